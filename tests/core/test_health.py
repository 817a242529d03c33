"""Readiness, health, what is coming, what never came, and backoff."""

from collections.abc import Sequence

import msgspec
import pytest

from lambda_autoscaler.core.backoff import is_backed_off, with_failure, without_stale
from lambda_autoscaler.core.health import Health, assess, node_class
from lambda_autoscaler.core.kubernetes import Taint
from lambda_autoscaler.core.memory import IncorrectSize, Memory, ScaleUpRequest
from lambda_autoscaler.core.model import GPU_LABEL, LaunchFailure, Node, NodeCondition, NodeGroup
from lambda_autoscaler.core.readiness import RESOURCE_UNREADY, STARTUP_TAINT, readiness
from tests.build import LONG_AGO, NOW, cluster, managed, node, options, ready, taint, unready

CAUSE = ("timeout", "too late")
STRICT = {"ok_total_unready_count": 1, "max_total_unready_percentage": 10.0}


def requested(increase: int, age: float = 0.0, provision: float = 900.0, *, group: str = "ng1") -> Memory:
    return Memory(requests={group: ScaleUpRequest(increase, NOW - age, NOW - age + provision)})


def judged(*groups: tuple[NodeGroup, list[Node]], memory: Memory | None = None, others: Sequence[Node] = (), **flags: object) -> Health:
    return assess(cluster(*groups, others=others), memory or Memory(), options(**flags), NOW)


def members(number: int, prefix: str = "n", **fields: object) -> list[Node]:
    return [node(f"{prefix}{at}", **fields) for at in range(number)]


# --- readiness of a node ---


@pytest.mark.parametrize(
    ("found", "answer"),
    [
        (node(), True),
        (node(conditions=()), False),
        (node(conditions=unready()), False),
        (node(conditions=(NodeCondition("Ready", "Unknown"),)), False),
        (node(conditions=(*ready(), NodeCondition("DiskPressure", "True"))), False),
        (node(conditions=(*ready(), NodeCondition("DiskPressure", "False"))), True),
        (node(conditions=(*ready(), NodeCondition("NetworkUnavailable", "True"))), False),
        (node(conditions=(*ready(), NodeCondition("MemoryPressure", "True"))), True),
        (node(taints=(taint("node.kubernetes.io/not-ready"),)), False),
        (node(unschedulable=True), True),
    ],
)
def test_when_a_node_is_ready(found: Node, answer: bool) -> None:
    assert readiness(found, options()).ready is answer


@pytest.mark.parametrize(("gpu", "answer"), [("nvidia.com/gpu", True), ("microsoft.com/directx", True), ("other/gpu", False)])
def test_a_node_labelled_with_a_gpu_is_ready_once_it_shows_one(gpu: str, answer: bool) -> None:
    found = readiness(node(labels={GPU_LABEL: "t4"}, amounts=((gpu, 1),)), options())
    assert (found.ready, found.reason) == ((True, "") if answer else (False, RESOURCE_UNREADY))


def test_a_startup_taint_makes_a_node_unready_since_its_creation_but_not_a_cordoned_one() -> None:
    starting = node(taints=(taint("startup-taint.cluster-autoscaler.kubernetes.io/x"),), created=NOW - 60)
    found = readiness(starting, options())
    assert (found.ready, found.changed, found.reason) == (False, NOW - 60, STARTUP_TAINT)
    assert readiness(msgspec.structs.replace(starting, unschedulable=True), options()).ready


def test_readiness_changed_when_the_last_condition_or_taint_did() -> None:
    late = Taint(key="node.kubernetes.io/not-ready", effect="NoSchedule", time_added="2026-11-22T13:46:47Z")
    broken = Taint(key="node.kubernetes.io/not-ready", effect="NoSchedule", time_added="soon")
    assert readiness(node(conditions=ready(5.0), taints=(late,)), options()).changed > 5.0
    assert readiness(node(conditions=ready(5.0), taints=(broken,)), options()).changed == 5.0


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (node(), "ready"),
        (node(conditions=unready()), "unready"),
        (node(conditions=unready(), created=NOW - 60), "not_started"),
        (node(annotations={"k8s.io/cluster-autoscaler-enabled": "false"}), "deleted"),
        (node(conditions=unready(), taints=(taint("ToBeDeletedByClusterAutoscaler"),)), "deleted"),
        (node(conditions=unready(), taints=(taint("ToBeDeletedByClusterAutoscaler"),), group="ng1"), "unready"),
    ],
)
def test_classes_of_registered_nodes(found: Node, kind: str) -> None:
    assert node_class(found, options(max_node_startup_time=900.0), NOW)[0] == kind


def test_a_longer_startup_time_keeps_a_node_starting() -> None:
    found = node(conditions=unready(), created=NOW - 1800)
    assert node_class(found, options(), NOW)[0] == "unready"
    assert node_class(found, options(max_node_startup_time=2100.0), NOW)[0] == "not_started"


# --- coming nodes ---


@pytest.mark.parametrize(
    ("nodes", "desired", "increase", "coming"),
    [
        (members(1), 7, 6, 6),
        ([node("a"), node("b", conditions=unready())], 3, 1, 1),
        ([node("a"), node("b", conditions=unready(), created=NOW - 60)], 2, 2, 1),
        (members(2), 2, 1, 0),
    ],
)
def test_nodes_asked_for_and_not_yet_there_are_coming(nodes: list[Node], desired: int, increase: int, coming: int) -> None:
    assert judged(managed("ng1", *nodes, desired=desired), memory=requested(increase)).groups["ng1"].upcoming == coming


def test_a_scan_without_memory_takes_missing_nodes_for_coming_ones() -> None:
    found = judged(managed("ng1", *members(1), desired=3))
    assert found.groups["ng1"].upcoming == 2
    assert found.memory.requests == {"ng1": ScaleUpRequest(2, NOW, NOW + 900)}


def test_a_group_left_alone_has_no_nodes_coming() -> None:
    memory = with_failure(requested(2), "ng1", options(), NOW, CAUSE)
    assert judged(managed("ng1", *members(1), desired=3), memory=memory).groups["ng1"].upcoming == 0


def test_a_request_ends_when_all_its_nodes_are_there() -> None:
    assert judged(managed("ng1", *members(3)), memory=requested(2)).memory.requests == {}


def test_a_request_of_a_group_that_is_gone_is_forgotten() -> None:
    assert judged(memory=requested(2)).memory.requests == {}


def test_a_request_that_times_out_is_told_and_the_group_left_alone() -> None:
    found = judged(managed("ng1", *members(1), desired=5), memory=requested(4, age=180, provision=120))
    assert found.memory.requests == {}
    assert [(item.reason, item.message) for item in found.notices] == [
        ("ScaleUpTimedOut", "Nodes added to group ng1 failed to register within 3m0s")
    ]
    record = found.memory.backoffs["ng1"]
    assert (record.code, record.message) == ("timeout", "Scale-up timed out for node group ng1 after 3m0s")
    assert is_backed_off(found.memory, "ng1", NOW)
    assert found.statuses(NOW)[0].scale_up == "Backoff"


# --- instances that never became nodes ---


def waiting_since(age: float, *names: str) -> Memory:
    return Memory(unregistered_since=dict.fromkeys(names, NOW - age))


def overdue_group(minimum: int = 1) -> tuple[NodeGroup, list[Node]]:
    owner, nodes = managed("ng1", node("a"), node("b"), minimum=minimum)
    return owner, nodes[:1]


def test_an_instance_that_never_registers_is_given_up_after_the_provision_time() -> None:
    assert judged(overdue_group(), memory=waiting_since(600, "i-b")).delete_instances == ()
    found = judged(overdue_group(), memory=waiting_since(3600, "i-b"))
    assert found.delete_instances == (("ng1", ("i-b",)),)
    assert found.notices[-1].message == "Removed unregistered node i-b"
    assert found.groups["ng1"].long_unregistered == ("i-b",)


def test_unregistered_instances_are_kept_at_the_minimum() -> None:
    assert judged(overdue_group(minimum=2), memory=waiting_since(3600, "i-b")).delete_instances == ()


def test_the_clock_of_an_unregistered_instance_starts_when_it_is_first_seen() -> None:
    assert judged(overdue_group()).memory.unregistered_since == {"i-b": NOW}


# --- launches that fail ---


def failing(started: float, desired: int = 3) -> tuple[NodeGroup, list[Node]]:
    return managed("ng1", node("a"), desired=desired, failures=(LaunchFailure(started, "no capacity"),))


def test_failed_launches_give_up_placeholders_and_leave_the_group_alone() -> None:
    memory = msgspec.structs.replace(requested(2, age=60), size_set={"ng1": NOW - 60})
    found = judged(failing(NOW - 30), memory=memory)
    assert found.delete_instances == (("ng1", ("i-placeholder-ng1-1", "i-placeholder-ng1-2")),)
    assert found.memory.backoffs["ng1"].message == "no capacity"
    assert found.memory.requests == {}
    assert found.notices[0].reason == "ScaleUpFailed"


def test_a_failure_from_before_the_request_does_not_count() -> None:
    memory = msgspec.structs.replace(requested(2, age=60), size_set={"ng1": NOW - 60})
    assert judged(failing(NOW - 90), memory=memory).delete_instances == ()


def test_the_rest_of_a_request_stays_when_only_some_launches_fail() -> None:
    memory = msgspec.structs.replace(requested(5, age=60), size_set={"ng1": NOW - 60})
    assert judged(failing(NOW - 30), memory=memory).memory.requests["ng1"].increase == 3


def test_placeholders_of_a_group_already_left_alone_are_given_up_silently() -> None:
    memory = with_failure(Memory(size_set={"ng1": NOW - 60}), "ng1", options(), NOW - 10, CAUSE)
    found = judged(failing(NOW - 30), memory=memory)
    assert found.delete_instances[0][0] == "ng1"
    assert found.notices == ()


# --- health ---


def test_a_group_that_misses_too_many_nodes_nobody_asked_for_is_unhealthy() -> None:
    away = with_failure(Memory(), "ng1", options(), NOW, CAUSE)
    found = judged(managed("ng1", *members(1), desired=5), memory=away, **STRICT)
    assert found.healthy
    assert not found.groups["ng1"].healthy
    assert judged(managed("ng1", *members(1), desired=5), memory=requested(4), **STRICT).groups["ng1"].healthy


def test_too_many_unready_nodes_make_the_cluster_unhealthy_but_not_its_groups() -> None:
    found = judged(*(managed(name, node(f"{name}-1", conditions=unready())) for name in ("ng1", "ng2")), **STRICT)
    assert not found.healthy
    assert all(item.healthy for item in found.groups.values())


def test_nodes_being_removed_do_not_make_the_cluster_unhealthy() -> None:
    leaving = members(5, conditions=unready(), taints=(taint("ToBeDeletedByClusterAutoscaler"),))
    assert judged(managed("ng1", node("a")), others=leaving).healthy


def test_an_empty_group_is_healthy_only_when_nothing_was_wanted_of_it() -> None:
    bare = managed("ng1")
    assert judged(bare).groups["ng1"].healthy
    wanted = msgspec.structs.replace(bare[0], desired=3), []
    assert judged(wanted, memory=requested(3)).groups["ng1"].healthy
    assert not judged(wanted, memory=with_failure(Memory(), "ng1", options(), NOW, CAUSE)).groups["ng1"].healthy


def sized(registered: int, desired: int) -> tuple[NodeGroup, list[Node]]:
    owner, nodes = managed("ng1", *members(registered))
    return msgspec.structs.replace(owner, desired=desired), nodes


def test_a_size_that_stays_wrong_is_set_right() -> None:
    first = judged(sized(8, 10))
    assert first.memory.incorrect_sizes == {"ng1": IncorrectSize(8, 10, NOW)}
    assert first.resize == ()
    known = Memory(incorrect_sizes={"ng1": IncorrectSize(8, 10, NOW - 1000)})
    assert judged(sized(8, 10), memory=known).resize == (("ng1", 8),)
    other = Memory(incorrect_sizes={"ng1": IncorrectSize(7, 10, NOW - 1000)})
    assert judged(sized(8, 10), memory=other).memory.incorrect_sizes["ng1"].first_observed == NOW


def test_more_nodes_than_wanted_are_only_noted() -> None:
    known = Memory(incorrect_sizes={"ng1": IncorrectSize(12, 10, LONG_AGO)})
    found = judged(sized(12, 10), memory=known)
    assert found.resize == ()
    assert "ng1" in found.memory.incorrect_sizes


def test_instances_on_their_way_explain_a_difference() -> None:
    assert judged(managed("ng1", *members(8), desired=10)).memory.incorrect_sizes == {}


# --- backoff ---


def test_backoff_doubles_after_it_ran_out_and_restarts_while_it_runs() -> None:
    given = options(initial_node_group_backoff_duration=1.0, max_node_group_backoff_duration=60.0)
    memory = with_failure(Memory(), "g", given, 0.0, CAUSE)
    assert is_backed_off(memory, "g", 1.0)
    memory = with_failure(memory, "g", given, 1.001, CAUSE)
    assert memory.backoffs["g"].duration == 2.0
    memory = with_failure(memory, "g", given, 2.001, CAUSE)
    assert (memory.backoffs["g"].duration, memory.backoffs["g"].until) == (2.0, pytest.approx(4.001))
    assert not is_backed_off(memory, "g", 4.002)


def test_backoff_grows_to_its_maximum() -> None:
    given = options(initial_node_group_backoff_duration=60.0, max_node_group_backoff_duration=180.0)
    memory = Memory()
    for at in (0.0, 61.0, 200.0, 400.0):
        memory = with_failure(memory, "g", given, at, CAUSE)
    assert memory.backoffs["g"].duration == 180.0


def test_old_backoffs_are_forgotten() -> None:
    memory = with_failure(with_failure(Memory(), "a", options(), 0.0, CAUSE), "b", options(), 3600.0, CAUSE)
    assert set(without_stale(memory, options(), 10_800.0).backoffs) == {"a", "b"}
    assert set(without_stale(memory, options(), 14_400.0).backoffs) == {"b"}
    assert without_stale(memory, options(), 14_401.0).backoffs == {}
