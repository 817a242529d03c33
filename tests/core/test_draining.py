"""The step that is due for a node whose removal has begun, from what the node shows."""

from typing import Any

import msgspec
import pytest

from lambda_autoscaler.core.draining import next_steps, pods_to_rehome, removals_in_progress
from lambda_autoscaler.core.marks import RECORD_ANNOTATION, begin_patch, roll_back_patch, soft_taint_patch
from lambda_autoscaler.core.model import Cluster, DisruptionBudget, Node, PodSet, PodShape
from lambda_autoscaler.core.options import DrainPriority
from lambda_autoscaler.core.plan import Drain, RemovalRecord, SoftTaint, Step
from tests.build import LONG_AGO, NOW, cluster, daemon_pod, managed, node, options, rs, selector, shape, taint, unready, waiting

DELETION = "ToBeDeletedByClusterAutoscaler"
WORKLOADS = {("ReplicaSet", "default", "web"): 3, ("DaemonSet", "kube-system", "agent"): 1}
WEB = shape(100, 100, controller=rs("web"), labels={"app": "web"})


def leaving(
    *holds: PodSet, age: float = 30.0, record: RemovalRecord | None = None, annotations: dict[str, str] | None = None, **fields: Any
) -> Node:
    """A node whose removal began ``age`` seconds ago."""
    notes = {RECORD_ANNOTATION: msgspec.json.encode(record).decode()} if record is not None else {}
    begun = taint(DELETION, value=str(int(NOW - age)))
    return node("n1", holds=holds, taints=(begun,), annotations={**notes, **(annotations or {})}, **fields)


def around(removed: Node, *, minimum: int = 0, **fields: Any) -> Cluster:
    return cluster(managed("ng1", removed, node("n2"), minimum=minimum), workloads=WORKLOADS, **fields)


def due(removed: Node, *, minimum: int = 0, budgets: tuple[DisruptionBudget, ...] = (), **flags: Any) -> Drain:
    (drain,) = next_steps(around(removed, minimum=minimum, budgets=budgets), options(**flags), NOW)
    return drain


def evicting(since: float, phase: int = 0, **fields: Any) -> RemovalRecord:
    return RemovalRecord(phase=phase, since=NOW - since, **fields)


def ending(of: PodShape, asked: float, name: str = "pod") -> PodSet:
    """A pod that was asked to end ``asked`` seconds ago."""
    pods = waiting(msgspec.structs.replace(of, terminating=True), name=name)
    ends = NOW - asked + of.grace_seconds
    return msgspec.structs.replace(pods, pods=(msgspec.structs.replace(pods.pods[0], deletion=ends),))


def budget(allowed: int) -> DisruptionBudget:
    return DisruptionBudget("default", "web", selector(app="web"), allowed)


EMPTY = RemovalRecord("empty", cordoned=True)
OCCUPIED = RemovalRecord(cordoned=True)


def test_the_taint_is_given_time_to_be_seen() -> None:
    drain = due(leaving(age=3, record=EMPTY))
    assert (drain.step, drain.until) == (Step.WAIT, NOW + 2)


def test_an_empty_node_is_terminated_after_that() -> None:
    drain = due(leaving(age=6, record=EMPTY))
    assert (drain.step, drain.instance, drain.reason) == (Step.TERMINATE, "i-n1", "empty")


def test_an_empty_node_to_which_a_pod_came_is_given_back() -> None:
    drain = due(leaving(waiting(WEB), record=EMPTY))
    assert (drain.step, drain.why) == (Step.ROLL_BACK, "it was empty, and pod default/pod-0 came meanwhile")


def test_pods_are_evicted_with_their_own_grace_and_the_start_is_noted_first() -> None:
    drain = due(leaving(waiting(WEB, 2), record=OCCUPIED))
    assert drain.step is Step.EVICT
    assert drain.record == RemovalRecord(cordoned=True, phase=0, since=NOW)
    assert [(item.pod, item.uid, item.grace_seconds) for item in drain.evictions] == [
        ("pod-0", "uid-pod-0", 30),
        ("pod-1", "uid-pod-1", 30),
    ]


def test_no_pod_gets_longer_to_end_than_max_graceful_termination_sec() -> None:
    slow = shape(controller=rs("web"), grace_seconds=3600)
    assert due(leaving(waiting(slow))).evictions[0].grace_seconds == 600
    assert due(leaving(waiting(slow)), max_graceful_termination_sec=20).evictions[0].grace_seconds == 20


@pytest.mark.parametrize(
    ("pod", "rule"),
    [
        (shape(), "NotReplicated"),
        (
            shape(controller=rs("web"), annotations=(("cluster-autoscaler.kubernetes.io/safe-to-evict", "false"),)),
            "NotSafeToEvictAnnotation",
        ),
        (shape(controller=rs("web"), local_volumes=("cache",)), "LocalStorageRequested"),
        (shape(controller=rs("gone")), "ControllerNotFound"),
    ],
)
def test_a_pod_that_the_drain_rules_protect_gives_the_node_back_at_any_time(pod: PodShape, rule: str) -> None:
    for record in (OCCUPIED, evicting(10)):
        drain = due(leaving(waiting(pod), record=record))
        assert (drain.step, drain.why) == (Step.ROLL_BACK, f"pod default/pod-0 keeps it: {rule}")


def test_a_pod_that_is_to_run_to_its_end_gives_the_node_back() -> None:
    job = shape(controller=rs("web"), annotations=(("cluster-autoscaler.kubernetes.io/safe-to-evict", "on-completion"),))
    assert "BlockedByOnCompletionPod" in due(leaving(waiting(job), record=OCCUPIED)).why


def test_an_exhausted_budget_gives_the_node_back_before_the_first_eviction_only() -> None:
    assert due(leaving(waiting(WEB), record=OCCUPIED), budgets=(budget(0),)).step is Step.ROLL_BACK
    drain = due(leaving(waiting(WEB), record=evicting(10)), budgets=(budget(0),))
    assert (drain.step, drain.record) == (Step.EVICT, None)


def test_pods_that_end_are_waited_for_and_not_evicted_again() -> None:
    drain = due(leaving(ending(WEB, 10), waiting(WEB, name="late"), record=evicting(10)))
    assert [item.pod for item in drain.evictions] == ["late-0"]
    alone = due(leaving(ending(WEB, 10), record=evicting(10)))
    assert (alone.step, alone.evictions, alone.until) == (Step.WAIT, (), NOW - 10 + 120 + 600 + 30)


def test_a_pod_that_cannot_be_evicted_in_time_gives_the_node_back_and_is_named() -> None:
    assert due(leaving(waiting(WEB), age=300, record=evicting(119))).step is Step.EVICT
    drain = due(leaving(waiting(WEB), age=300, record=evicting(121)))
    assert (drain.step, drain.why) == (Step.ROLL_BACK, "pod default/pod-0 was not evicted within 2m1s")
    assert [item.pod for item in drain.evictions] == ["pod-0"]


def test_a_pod_that_does_not_end_in_time_gives_the_node_back() -> None:
    drain = due(leaving(ending(WEB, 751), age=800, record=evicting(751)))
    assert (drain.step, drain.why) == (Step.ROLL_BACK, "pod default/pod-0 did not end within 12m31s")


def test_a_pod_that_should_have_been_gone_before_is_not_waited_for() -> None:
    assert due(leaving(ending(WEB, 3600), record=OCCUPIED)).step is Step.TERMINATE


def test_a_removal_of_the_cluster_autoscaler_is_carried_on_as_one_with_pods() -> None:
    assert due(leaving(waiting(WEB))).step is Step.EVICT
    assert due(leaving()).step is Step.TERMINATE


def test_a_record_that_cannot_be_read_counts_as_none() -> None:
    assert due(leaving(waiting(WEB), annotations={RECORD_ANNOTATION: "{"})).step is Step.EVICT


@pytest.mark.parametrize("value", ["", "soon", "9" * 400, str(int(NOW + 3600))])
def test_a_removal_whose_start_is_not_known_is_taken_back(value: str) -> None:
    drain = due(node("n1", taints=(taint(DELETION, value=value),)))
    assert (drain.step, drain.why) == (Step.ROLL_BACK, "when its removal began is not known")


def test_a_node_that_lost_its_taint_but_not_its_record_is_given_back() -> None:
    record = {RECORD_ANNOTATION: msgspec.json.encode(OCCUPIED).decode()}
    assert due(node("n1", annotations=record)).why == "somebody took its taint off"


def test_with_scale_down_disabled_every_removal_is_taken_back() -> None:
    assert due(leaving(), scale_down_enabled=False).why == "scale-down is disabled"


def test_a_node_that_is_to_be_kept_is_given_back() -> None:
    kept = {"cluster-autoscaler.kubernetes.io/scale-down-disabled": "true"}
    assert due(leaving(annotations=kept)).step is Step.ROLL_BACK


@pytest.mark.parametrize(
    ("lifecycle", "step"), [("Terminating:Wait", Step.LEAVING), ("Detaching", Step.ROLL_BACK), ("InService", Step.TERMINATE)]
)
def test_the_state_of_the_instance_counts(lifecycle: str, step: Step) -> None:
    seen = around(leaving(record=EMPTY))
    owner = seen.groups[0]
    instances = tuple(msgspec.structs.replace(item, lifecycle=lifecycle) if item.id == "i-n1" else item for item in owner.instances)
    seen = msgspec.structs.replace(seen, groups=(msgspec.structs.replace(owner, instances=instances),))
    (drain,) = next_steps(seen, options(), NOW)
    assert drain.step is step
    assert [item.name for item in removals_in_progress(seen)] == ([] if step is Step.LEAVING else ["n1"])


def test_a_group_never_goes_below_its_minimum() -> None:
    removed = [
        msgspec.structs.replace(leaving(record=EMPTY), name=name, provider_id=f"aws:///us-east-1a/i-{name}") for name in ("a", "b", "c")
    ]
    drains = next_steps(cluster(managed("ng1", *removed, minimum=1)), options(), NOW)
    assert [drain.step for drain in drains] == [Step.TERMINATE, Step.TERMINATE, Step.ROLL_BACK]
    assert drains[2].why == "group ng1 is at its minimum of 1"


def test_nodes_of_others_are_left_alone() -> None:
    assert next_steps(cluster(others=[leaving()]), options(), NOW) == ()


def test_daemon_set_pods_go_last_from_occupied_nodes_and_hold_nothing_up() -> None:
    agent = waiting(daemon_pod(), name="agent")
    assert due(leaving(agent, record=EMPTY)).step is Step.TERMINATE
    first = due(leaving(waiting(WEB), agent, record=OCCUPIED))
    assert [item.pod for item in first.evictions] == ["pod-0"]
    second = due(leaving(agent, record=evicting(20)))
    assert second.record == RemovalRecord(phase=1, since=NOW)
    assert [(item.pod, item.required) for item in second.evictions] == [("agent-0", False)]
    assert due(leaving(agent, record=evicting(31, phase=1))).step is Step.TERMINATE


def test_a_daemon_set_pod_that_was_made_anew_is_not_evicted_again() -> None:
    anew = waiting(daemon_pod(), name="agent", created=NOW - 3)
    assert due(leaving(anew, record=evicting(5, phase=1))).step is Step.TERMINATE


@pytest.mark.parametrize(
    ("record", "flags", "wish", "evicted"),
    [
        (EMPTY, {"daemonset_eviction_for_empty_nodes": True}, None, True),
        (EMPTY, {}, "true", True),
        (OCCUPIED, {"daemonset_eviction_for_occupied_nodes": False}, None, False),
        (OCCUPIED, {}, "false", False),
        (OCCUPIED, {}, "maybe", False),
    ],
)
def test_flags_and_annotations_say_which_daemon_set_pods_are_evicted(
    record: RemovalRecord, flags: dict[str, Any], wish: str | None, evicted: bool
) -> None:
    notes = (("cluster-autoscaler.kubernetes.io/enable-ds-eviction", wish),) if wish else ()
    drain = due(leaving(waiting(daemon_pod(annotations=notes), name="agent"), record=record), **flags)
    assert (drain.step is Step.EVICT) is evicted


def test_mirror_pods_are_never_evicted() -> None:
    mirror = shape(annotations=(("kubernetes.io/config.mirror", "x"),))
    assert due(leaving(waiting(mirror), record=OCCUPIED)).step is Step.TERMINATE


PRIORITIES = (DrainPriority(0, 60), DrainPriority(1000, 20), DrainPriority(2_000_000_000, 5))


def test_pods_of_lower_priority_go_first_each_group_with_its_own_grace() -> None:
    low, high = (shape(controller=rs("web"), priority=priority, grace_seconds=90) for priority in (100, 2000))
    system = daemon_pod(priority=2_000_000_005)
    pods = [waiting(low, name="low"), waiting(high, name="high"), waiting(system, name="agent")]
    flags: dict[str, Any] = {"drain_priority_config": PRIORITIES}
    first = due(leaving(*pods, record=OCCUPIED), **flags)
    assert [(item.pod, item.grace_seconds) for item in first.evictions] == [("low-0", 60)]
    second = due(leaving(*pods[1:], record=evicting(10)), **flags)
    assert [(item.pod, item.grace_seconds) for item in second.evictions] == [("high-0", 20)]
    third = due(leaving(pods[2], record=evicting(10, phase=1)), **flags)
    assert [(item.pod, item.grace_seconds, item.required) for item in third.evictions] == [("agent-0", 5, True)]


@pytest.mark.parametrize(("priority", "group"), [(0, 0), (100, 0), (500, 0), (1000, 1), (2_000_000_005, 3)])
def test_a_pod_belongs_to_the_group_of_the_greatest_priority_up_to_its_own(priority: int, group: int) -> None:
    configured = tuple(DrainPriority(at, 30) for at in (10, 1000, 2000, 2_000_000_000))
    pod = shape(controller=rs("web"), priority=priority)
    record = due(leaving(waiting(pod), record=OCCUPIED), drain_priority_config=configured).record
    assert record is not None
    assert record.phase == group


def test_a_pod_of_an_earlier_group_that_comes_late_goes_with_the_present_one() -> None:
    low = shape(controller=rs("web"), priority=100)
    drain = due(leaving(waiting(low), record=evicting(10, phase=2)), drain_priority_config=PRIORITIES)
    assert (drain.step, drain.record, len(drain.evictions)) == (Step.EVICT, None, 1)


DELAY = {"delay-deletion.cluster-autoscaler.kubernetes.io/backup": "true"}


def test_who_asks_by_annotation_delays_the_end_of_the_node_for_two_minutes_at_most() -> None:
    first = due(leaving(record=EMPTY, annotations=DELAY))
    assert (first.step, first.until) == (Step.WAIT, NOW + 120)
    assert first.record == RemovalRecord("empty", cordoned=True, delayed_since=NOW)
    waited = RemovalRecord("empty", delayed_since=NOW - 60)
    assert (due(leaving(record=waited, annotations=DELAY)).step, due(leaving(record=waited)).step) == (Step.WAIT, Step.TERMINATE)
    assert due(leaving(record=RemovalRecord("empty", delayed_since=NOW - 121), annotations=DELAY)).step is Step.TERMINATE


def test_pods_of_a_node_in_removal_look_for_another_place_already() -> None:
    static = shape(annotations=(("kubernetes.io/config.source", "file"),))
    mirror = shape(annotations=(("kubernetes.io/config.mirror", "x"),))
    pods = [waiting(WEB), waiting(daemon_pod()), waiting(static), waiting(mirror), ending(WEB, 5)]
    assert [item.shape for item in pods_to_rehome(around(leaving(*pods)))] == [WEB]


def test_a_removal_begins_and_is_taken_back_with_one_write_for_the_node_as_it_was_read() -> None:
    other = taint("gpu", value="yes")
    fresh = node("n1", taints=(other,), resource_version="7", created=LONG_AGO)
    begun = msgspec.json.decode(begin_patch(fresh, "empty", options(), NOW))
    assert begun["metadata"]["resourceVersion"] == "7"
    assert msgspec.json.decode(begun["metadata"]["annotations"][RECORD_ANNOTATION]) == {"reason": "empty", "cordoned": True}
    assert begun["spec"] == {
        "taints": [
            {"key": "gpu", "value": "yes", "effect": "NoSchedule"},
            {"key": DELETION, "value": str(int(NOW)), "effect": "NoSchedule"},
        ],
        "unschedulable": True,
    }
    back = msgspec.json.decode(roll_back_patch(leaving(record=EMPTY, unschedulable=True), options()))
    assert back["spec"] == {"taints": [], "unschedulable": None}
    assert back["metadata"]["annotations"] == {RECORD_ANNOTATION: None}


def test_a_node_that_was_cordoned_before_stays_so() -> None:
    begun = msgspec.json.decode(begin_patch(node("n1", unschedulable=True), "empty", options(), NOW))
    assert "unschedulable" not in begun["spec"]
    assert "unschedulable" not in msgspec.json.decode(roll_back_patch(leaving(record=RemovalRecord("empty")), options()))["spec"]


def test_a_node_is_not_cordoned_when_that_is_switched_off() -> None:
    assert (
        "unschedulable"
        not in msgspec.json.decode(begin_patch(node("n1"), "empty", options(cordon_node_before_terminating=False), NOW))["spec"]
    )


def test_the_soft_taint_is_put_on_and_taken_off_beside_others() -> None:
    tainted = node("n1", taints=(taint("gpu"), taint("DeletionCandidateOfClusterAutoscaler", "PreferNoSchedule", "5")))
    off = msgspec.json.decode(soft_taint_patch(tainted, SoftTaint("n1", 0)))
    on = msgspec.json.decode(soft_taint_patch(node("n1"), SoftTaint("n1", 9)))
    assert off["spec"]["taints"] == [{"key": "gpu", "effect": "NoSchedule"}]
    assert on["spec"]["taints"] == [{"key": "DeletionCandidateOfClusterAutoscaler", "value": "9", "effect": "PreferNoSchedule"}]


def test_expendable_pods_neither_fill_an_empty_node_nor_are_evicted() -> None:
    worthless = waiting(shape(priority=-11), name="worthless")
    assert due(leaving(worthless, record=EMPTY)).step is Step.TERMINATE
    drain = due(leaving(worthless, waiting(WEB), record=OCCUPIED))
    assert [item.pod for item in drain.evictions] == ["pod-0"]


# --- removals that nobody carried on ---


def test_a_removal_that_did_not_get_on_is_not_begun_with_days_later() -> None:
    days = 3 * 86400.0
    assert due(leaving(waiting(WEB), age=days, record=OCCUPIED)).step is Step.ROLL_BACK
    assert due(leaving(waiting(WEB), age=days)).step is Step.ROLL_BACK
    assert "has not got on for" in due(leaving(age=days, record=EMPTY)).why


def test_a_removal_that_waits_for_who_asked_for_it_is_not_taken_for_left_over() -> None:
    asks = {"delay-deletion.cluster-autoscaler.kubernetes.io/backup": "true"}
    late = leaving(age=1000, record=RemovalRecord("empty", cordoned=True, delayed_since=NOW - 900), annotations=asks)
    assert due(late, node_deletion_delay_timeout=3600.0).step is Step.WAIT


def test_a_node_that_left_its_group_in_the_middle_of_its_removal_is_given_back_after_a_while() -> None:
    def drains(left: Node) -> list[tuple[str, Step]]:
        found = next_steps(cluster(managed("ng1", node("n2")), others=[left], workloads=WORKLOADS), options(), NOW)
        return [(drain.node, drain.step) for drain in found]

    assert drains(leaving(waiting(WEB), age=40, record=evicting(30))) == []
    assert drains(leaving(waiting(WEB), age=400, record=evicting(390))) == [("n1", Step.ROLL_BACK)]
    assert drains(leaving(age=400, record=evicting(390), conditions=unready(NOW - 100))) == []
    assert drains(leaving(waiting(WEB), age=400)) == []


def test_pods_whose_controller_was_deleted_meanwhile_are_waited_for_when_they_end() -> None:
    pods = ending(msgspec.structs.replace(WEB, grace_seconds=300), asked=60)
    removed = leaving(pods, age=70, record=evicting(60))
    (drain,) = next_steps(cluster(managed("ng1", removed, node("n2")), workloads={}), options(), NOW)
    assert drain.step is Step.WAIT
    standing = leaving(waiting(WEB), age=70, record=evicting(60))
    (drain,) = next_steps(cluster(managed("ng1", standing, node("n2")), workloads={}), options(), NOW)
    assert drain.step is Step.ROLL_BACK


def test_no_pod_is_evicted_first_while_budgets_could_not_be_read() -> None:
    unread = ("poddisruptionbudgets",)
    (drain,) = next_steps(around(leaving(waiting(WEB), record=OCCUPIED), unread=unread), options(), NOW)
    assert (drain.step, drain.why) == (Step.WAIT, "not all of the cluster could be read: poddisruptionbudgets")
    (drain,) = next_steps(around(leaving(waiting(WEB), record=evicting(10)), unread=unread), options(), NOW)
    assert drain.step is Step.EVICT
