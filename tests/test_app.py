"""A scan as a whole, against ports that keep what is done to them."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lambda_autoscaler import questions
from lambda_autoscaler.app import Edges, ScanReport, scan
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.core.plan import Notice, Plan
from lambda_autoscaler.core.units import format_timestamp
from lambda_autoscaler.edge.snapshot import SnapshotAws, SnapshotKube, open_snapshot
from lambda_autoscaler.ports import AutoscalerError, BadInput, Conflict, Denied, Refused, Unreachable

FOLDER = Path(__file__).parent / "conformance" / "recorded" / "tutorial-2-to-7"
STATE = open_snapshot(FOLDER)
NOW = STATE.now
SPOT = "eks-spot-4vcpu-16gb"


class Journal:
    """Every write, in order, whichever port it went through."""

    def __init__(self) -> None:
        self.writes: list[tuple[str, Any]] = []
        self.warnings: list[str] = []
        self.lines: list[str] = []

    def of(self, kind: str) -> list[Any]:
        return [what for name, what in self.writes if name == kind]

    def kinds(self) -> list[str]:
        return [name for name, _ in self.writes]


class Kube(SnapshotKube):
    """The recorded cluster; what is written stays."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(FOLDER)
        self.journal = journal
        self.denied: set[str] = set()
        self.config_maps: dict[str, bytes] = {}

    def list(self, plural: str, node: str = "") -> Iterator[bytes]:
        if plural in self.denied:
            raise Denied(f'cannot list resource "{plural}"')
        return super().list(plural, node)

    def config_map(self, namespace: str, name: str) -> bytes | None:
        return self.config_maps.get(name)

    def write_config_map(self, namespace: str, name: str, manifest: bytes) -> None:
        self.config_maps[name] = manifest
        self.journal.writes.append(("config map", json.loads(manifest)))

    def record(self, notices: Sequence[Notice], now: float) -> None:
        self.journal.writes.append(("events", [*notices]))


class Aws(SnapshotAws):
    """The recorded groups; desired capacity can be set. ``refusal`` is raised instead, ``lost`` after it happened."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(FOLDER, STATE.options)
        self.journal = journal
        self.desired: dict[str, int] = {}
        self.refusal: AutoscalerError | None = None
        self.lost = False
        self.before_second_look: Callable[[], None] = lambda: None
        self.looks = 0
        self.failed_at = ""

    def describe(self, question: questions.Question) -> bytes | None:
        if not isinstance(question, questions.Activities):
            return super().describe(question)
        group = question.group
        failed = {"StartTime": self.failed_at, "StatusCode": "Failed", "StatusMessage": "no Spot capacity", "AutoScalingGroupName": group}
        return json.dumps({"Activities": [failed] if self.failed_at else []}).encode()

    def groups(self) -> Iterator[bytes]:
        self.looks += 1
        if self.looks % 2 == 0:
            self.before_second_look()
        for page in super().groups():
            answer = json.loads(page)
            for group in answer["AutoScalingGroups"]:
                group["DesiredCapacity"] = self.desired.get(group["AutoScalingGroupName"], group["DesiredCapacity"])
            yield json.dumps(answer).encode()

    def set_desired_capacity(self, group: str, desired: int) -> None:
        self.journal.writes.append(("desired", (group, desired)))
        if self.refusal is not None:
            raise self.refusal
        self.desired[group] = desired
        if self.lost:
            raise Unreachable("autoscaling did not answer")


class Store:
    """Memory and lock in this process."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.memory = Memory()
        self.holder = ""
        self.unreadable = False
        self.conflict = False

    def acquire(self, holder: str, now: float, seconds: float) -> bool:
        if self.holder:
            return False
        self.holder = holder
        return True

    def load(self) -> Memory:
        if self.unreadable:
            raise BadInput("ConfigMap kube-system/eks-autoscaling-state: memory.json cannot be read")
        return self.memory

    def save(self, memory: Memory) -> None:
        if self.conflict:
            raise Conflict("memory was written by somebody else")
        if memory != self.memory:
            self.journal.writes.append(("memory", memory))
        self.memory = memory

    def release(self) -> None:
        self.holder = ""


class Lines:
    """Telemetry as lists."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    def planned(self, plan: Plan) -> None:
        self.journal.lines.append("planned")

    def warn(self, sentence: str) -> None:
        self.journal.warnings.append(sentence)

    def scanned(self, plan: Plan, summary: Any) -> None:
        self.journal.lines.append("scanned")


class World:
    """All ports of one cluster."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.kube, self.aws = Kube(self.journal), Aws(self.journal)
        self.store = Store(self.journal)
        self.options = STATE.options
        self.seconds_left = 60.0

    def scan(self, now: float = NOW) -> ScanReport:
        edges = Edges(self.kube, self.aws, self.store, Lines(self.journal), lambda _seconds: None)
        return scan(edges, self.options, now, "test/1", lambda: self.seconds_left)

    def reasons(self) -> set[str]:
        return {notice.reason for notices in self.journal.of("events") for notice in notices}


@pytest.fixture
def world() -> World:
    return World()


def test_the_spot_group_grows_from_two_to_seven(world: World) -> None:
    report = world.scan()
    assert world.journal.of("desired") == [(SPOT, 7)]
    assert report.summary()["scale_up"] == [{"group": SPOT, "from": 2, "to": 7, "max": 20}]
    assert {"TriggeredScaleUp", "ScaledUpGroup"} <= world.reasons()
    assert world.store.holder == ""


def test_the_intent_is_remembered_before_anything_is_done_and_events_come_last(world: World) -> None:
    world.scan()
    assert world.journal.kinds() == ["memory", "desired", "config map", "events"]
    assert world.journal.of("memory")[0].requests[SPOT].increase == 5


def test_a_second_scan_while_nodes_boot_asks_for_nothing(world: World) -> None:
    world.scan()
    world.scan(NOW + 60)
    assert world.journal.of("desired") == [(SPOT, 7)]


def test_a_scan_that_died_after_asking_does_not_ask_again(world: World) -> None:
    world.scan()
    died = World()
    died.aws.desired = world.aws.desired
    died.store.memory = world.journal.of("memory")[0]
    died.scan(NOW + 60)
    assert died.journal.of("desired") == []


def test_a_scan_that_lost_its_memory_counts_the_nodes_that_are_coming(world: World) -> None:
    world.scan()
    world.store.unreadable = True
    world.scan(NOW + 60)
    assert world.journal.of("desired") == [(SPOT, 7)]
    assert any("memory is rebuilt" in warning for warning in world.journal.warnings)
    assert world.store.memory.last_scale_up == NOW + 60


def test_a_scan_that_died_before_asking_asks_in_the_next_scan(world: World) -> None:
    world.scan()
    died = World()
    died.store.memory = world.journal.of("memory")[0]
    died.scan(NOW + 60)
    assert died.journal.of("desired") == [(SPOT, 7)]


def test_capacity_that_aws_cannot_give_is_given_up_at_once(world: World) -> None:
    world.scan()
    world.aws.failed_at = format_timestamp(NOW + 30)
    world.scan(NOW + 60)
    assert world.journal.of("desired") == [(SPOT, 7), (SPOT, 2)]
    assert "no Spot capacity" in world.store.memory.backoffs[SPOT].message
    assert SPOT not in world.store.memory.requests


def test_a_scan_that_finds_nothing_to_do_writes_nothing_to_aws(world: World) -> None:
    world.aws.desired[SPOT] = 7
    world.scan()
    assert "desired" not in world.journal.kinds()
    assert world.aws.looks == 1


def test_a_scan_without_the_lock_reads_and_writes_nothing(world: World) -> None:
    world.store.holder = "somebody else"
    report = world.scan()
    assert report.locked_out
    assert report.summary()["result"] == "LockedOut"
    assert world.journal.writes == []
    assert world.aws.looks == 0
    assert world.store.holder == "somebody else"
    assert "lock" in world.journal.warnings[0]


def test_a_scan_whose_intent_cannot_be_saved_does_nothing(world: World) -> None:
    world.store.conflict = True
    with pytest.raises(Conflict):
        world.scan()
    assert world.journal.writes == []
    assert world.store.holder == ""


def test_a_refused_increase_backs_the_group_off_and_is_told(world: World) -> None:
    world.aws.refusal = Refused("New SetDesiredCapacity value 7 is above max value 5")
    report = world.scan()
    assert SPOT not in world.store.memory.requests
    backoff = world.store.memory.backoffs[SPOT]
    assert (backoff.code, backoff.duration) == ("cloudProviderError", 300.0)
    assert world.store.memory.last_scale_up == 0.0
    assert "above max value 5" in report.failures[0]
    assert "FailedToScaleUpGroup" in world.reasons()
    assert "TriggeredScaleUp" not in world.reasons()
    assert world.journal.kinds() == ["memory", "desired", "memory", "config map", "events"]


def test_an_increase_whose_answer_was_lost_stays_remembered_and_is_not_repeated(world: World) -> None:
    world.aws.lost = True
    world.scan()
    assert world.store.memory.requests[SPOT].increase == 5
    assert SPOT not in world.store.memory.backoffs
    world.aws.lost = False
    world.scan(NOW + 60)
    assert world.journal.of("desired") == [(SPOT, 7)]


def test_a_group_that_somebody_else_sized_meanwhile_is_left_for_the_next_scan(world: World) -> None:
    world.aws.before_second_look = lambda: world.aws.desired.update({SPOT: 4})
    report = world.scan()
    assert world.journal.of("desired") == []
    assert "by somebody else" in " ".join(report.failures)
    assert SPOT not in world.store.memory.requests
    assert SPOT not in world.store.memory.backoffs


def test_nothing_is_begun_in_the_last_seconds(world: World) -> None:
    world.seconds_left = 4.0
    report = world.scan()
    assert world.journal.of("desired") == []
    assert "was not scaled" in report.failures[0]
    assert SPOT not in world.store.memory.requests


def test_an_optional_kind_that_may_not_be_listed_is_named_and_the_scan_goes_on(world: World) -> None:
    world.kube.denied = {"csinodes"}
    report = world.scan()
    assert world.journal.of("desired") == [(SPOT, 7)]
    assert report.plan is not None
    assert any("csinodes cannot be listed" in fault for fault in report.plan.faults)
    assert report.plan.removals == ()
    assert all(item.reason is not None for item in report.plan.nodes)


def test_pods_that_may_not_be_listed_end_the_scan_and_free_the_lock(world: World) -> None:
    world.kube.denied = {"pods"}
    with pytest.raises(Denied):
        world.scan()
    assert world.journal.writes == []
    assert world.store.holder == ""


def test_without_a_tagged_group_the_tags_are_named(world: World) -> None:
    options = msgspec.structs.replace(STATE.options, cluster_name="elsewhere")
    world.aws = Aws(world.journal)
    world.aws._options = options
    world.options = options
    with pytest.raises(BadInput, match=r"k8s\.io/cluster-autoscaler/enabled, k8s\.io/cluster-autoscaler/elsewhere"):
        world.scan()


def test_the_status_keeps_its_transition_times(world: World) -> None:
    world.scan()
    world.scan(NOW + 60)
    first, second = (manifest["data"]["status"] for manifest in world.journal.of("config map"))
    transitions = [line for line in first.splitlines() if "lastTransitionTime" in line]
    assert transitions[0] in second
    assert first != second
