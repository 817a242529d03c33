"""Which nodes are not needed, and which of them go now."""

from typing import Any

import msgspec
import pytest

from lambda_autoscaler.core import scale_down
from lambda_autoscaler.core.decide import decide
from lambda_autoscaler.core.marks import RECORD_ANNOTATION
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.core.model import Cluster, DisruptionBudget, GroupOptions, HostPort, Instance, Node, PodSet
from lambda_autoscaler.core.options import Range
from lambda_autoscaler.core.plan import NodeOutcome, Plan, RemovalRecord, Unremovable
from lambda_autoscaler.core.removal_words import stay_text
from lambda_autoscaler.core.scale_down import unneeded_limit
from tests.build import (
    LONG_AGO,
    NOW,
    cluster,
    daemon_pod,
    managed,
    node,
    options,
    rs,
    selector,
    shape,
    spread,
    taint,
    term,
    unready,
    waiting,
)

WORKLOADS = {("ReplicaSet", "default", "web"): 9, ("DaemonSet", "kube-system", "agent"): 1}
AT_ONCE: dict[str, Any] = {"scale_down_unneeded_time": 0.0, "scale_down_unready_time": 0.0, "scale_down_delay_after_add": 0.0}
DELETION = "ToBeDeletedByClusterAutoscaler"


def web(cpu: int, count: int = 1, name: str = "web", **fields: Any) -> PodSet:
    return waiting(shape(cpu, cpu // 100, controller=rs("web"), labels={"app": "web"}, **fields), count, name=name)


def small(name: str, *holds: PodSet, **fields: Any) -> Node:
    return node(name, 1000, 1000, holds=holds, **fields)


def planned(*nodes: Node, minimum: int = 0, desired: int | None = None, memory: Memory | None = None, **flags: Any) -> Plan:
    """The plan for one group of these nodes, clocks at zero unless said otherwise."""
    seen = cluster(managed("ng1", *nodes, minimum=minimum, desired=desired), workloads=WORKLOADS)
    return plan_of(seen, memory, **flags)


def plan_of(seen: Cluster, memory: Memory | None = None, **flags: Any) -> Plan:
    return decide(seen, memory or Memory(), options(**{**AT_ONCE, **flags}), NOW)


def outcome(plan: Plan, name: str = "n1") -> NodeOutcome:
    return next(item for item in plan.nodes if item.node == name)


def going(plan: Plan) -> list[str]:
    return sorted(item.node for item in plan.removals)


def unneeded(*names: str, since: float = 600.0, **fields: Any) -> Memory:
    return Memory(unneeded_since=dict.fromkeys(names, NOW - since), **fields)


@pytest.mark.parametrize(
    ("candidate", "flags", "reason"),
    [
        (small("n1"), {}, None),
        (small("n1", web(600)), {}, Unremovable.NOT_UNDERUTILIZED),
        (small("n1", web(500)), {}, None),
        (small("n1", web(100)), {}, None),
        (small("n1", taints=(taint(DELETION, value=str(int(NOW - 30))),)), {}, Unremovable.BEING_DELETED),
        (small("n1", annotations={"cluster-autoscaler.kubernetes.io/scale-down-disabled": "true"}), {}, Unremovable.DISABLED),
        (node("n1", 0, 0), {}, Unremovable.UNEXPECTED),
        (small("n1", conditions=unready()), {}, None),
        (small("n1", conditions=unready()), {"scale_down_unready_enabled": False}, Unremovable.UNREADY_DISABLED),
        (small("n1", waiting(daemon_pod(500)), web(100)), {"ignore_daemonsets_utilization": True}, None),
        (small("n1", waiting(daemon_pod(500)), web(100)), {}, Unremovable.NOT_UNDERUTILIZED),
        (small("n1", waiting(daemon_pod(500))), {"ignore_daemonsets_utilization": True, "scale_down_utilization_threshold": 0.0}, None),
    ],
)
def test_which_nodes_may_go_at_all(candidate: Node, flags: dict[str, Any], reason: Unremovable | None) -> None:
    assert outcome(planned(candidate, node("n2", 2000, 2000, holds=[web(1100, name="b")]), **flags)).reason == reason


def test_a_node_of_no_group_stays() -> None:
    assert outcome(plan_of(cluster(others=[small("n1")]))).reason is Unremovable.NOT_AUTOSCALED


def test_the_threshold_of_a_group_goes_before_that_of_the_cluster() -> None:
    owner, members = managed("ng1", small("n1", web(300)), small("n2", web(100)))
    owner = msgspec.structs.replace(owner, options=GroupOptions(utilization_threshold=0.2))
    assert outcome(plan_of(cluster((owner, members), workloads=WORKLOADS))).reason is Unremovable.NOT_UNDERUTILIZED


@pytest.mark.parametrize(
    ("others", "reason"),
    [([], Unremovable.NO_PLACE), ([small("n2", web(100, name="b"))], None), ([small("n2", web(1000, name="b"))], Unremovable.NO_PLACE)],
)
def test_a_node_goes_only_when_its_pods_find_a_place(others: list[Node], reason: Unremovable | None) -> None:
    plan = planned(small("n1", web(100, 2)), *others)
    found = outcome(plan)
    assert found.reason == reason
    assert found.object == ("" if reason is None else "default/web-0")


def test_of_two_half_full_nodes_exactly_one_goes() -> None:
    plan = planned(small("n1", web(500, name="a")), small("n2", web(500, name="b")))
    assert going(plan) == ["n1"]
    assert plan.removals[0].moves == ("default/a-0",)


def test_what_one_removal_takes_of_a_budget_is_gone_for_the_next() -> None:
    nodes = [small(name, web(100, name=name)) for name in ("n1", "n2", "n3")]
    seen = cluster(managed("ng1", *nodes, small("n4", web(600, name="n4"))), workloads=WORKLOADS)
    seen = msgspec.structs.replace(seen, budgets=(DisruptionBudget("default", "web", selector(app="web"), 1),))
    plan = plan_of(seen, max_drain_parallelism=5)
    assert going(plan) == ["n1"]
    assert (outcome(plan, "n2").reason, outcome(plan, "n2").rule) == (Unremovable.BLOCKED_BY_POD, "NotEnoughPdb")


def test_a_blocking_pod_is_named_with_its_rule_and_not_looked_at_again_for_a_while() -> None:
    bare = waiting(shape(100), name="bare")
    plan = planned(small("n1", bare), small("n2", web(600)))
    found = outcome(plan)
    assert (found.reason, found.object, found.rule) == (Unremovable.BLOCKED_BY_POD, "default/bare-0", "NotReplicated")
    again = planned(small("n1"), small("n2", web(600)), memory=plan.memory)
    remembered = outcome(again)
    assert (remembered.reason, remembered.object, remembered.rule) == (Unremovable.RECENTLY_UNREMOVABLE, "default/bare-0", "NotReplicated")
    assert "default/bare-0 (no controller would recreate it): 5m0s left" in stay_text(remembered, NOW)


@pytest.mark.parametrize(
    ("known", "unneeded_time", "interval", "limit"),
    [(0, 60, 10, 20), (3, 60, 10, 23), (70, 60, 10, 70), (77, 60, 10, 70), (0, 0, 10, 20), (13, 60, 1, 33), (13, 60, 30, 30)],
)
def test_no_more_unneeded_nodes_are_looked_for_than_can_go(known: int, unneeded_time: float, interval: float, limit: int) -> None:
    memory = unneeded(*(f"n{number}" for number in range(known)), shortest_interval=interval)
    assert unneeded_limit(memory, options(scale_down_unneeded_time=unneeded_time)) == limit


def test_the_more_scans_the_unneeded_time_holds_the_more_unneeded_nodes_are_known() -> None:
    seen = cluster(managed("ng1", *(small(f"n{number}") for number in range(200)), maximum=300))
    memory, known = Memory(), []
    for scan in range(8):
        memory = decide(seen, memory, options(), NOW + 60 * scan).memory
        known.append(len(memory.unneeded_since))
    assert memory.shortest_interval == 60.0
    assert known == [20, 40, 60, 80, 100, 110, 110, 110]


def test_what_a_scan_does_not_get_to_is_looked_at_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale_down, "MOST_LOOKS", 4 * 9)
    alone = web(100, anti_affinity=(term(app="web"),))
    nodes = [small(f"n{number}", alone) for number in range(10)]
    first = planned(*nodes)
    reasons = [item.reason for item in first.nodes]
    assert (reasons.count(Unremovable.NO_PLACE), reasons.count(Unremovable.OVER_LIMIT)) == (4, 6)
    second = planned(*nodes, memory=first.memory)
    assert [item.reason for item in second.nodes].count(Unremovable.RECENTLY_UNREMOVABLE) == 4
    assert {item.node for item in second.nodes if item.reason is Unremovable.NO_PLACE}.isdisjoint(
        item.node for item in first.nodes if item.reason is Unremovable.NO_PLACE
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"anti_affinity": (term(app="web"),)},
        {"spread": (spread(app="web"),)},
        {"host_ports": (HostPort(8080, "TCP", "0.0.0.0"),)},
    ],
)
def test_pods_that_are_to_stand_apart_find_no_place_where_each_node_has_one(fields: dict[str, Any]) -> None:
    plan = planned(*(small(f"n{number}", web(100, **fields)) for number in range(4)))
    assert {item.reason for item in plan.nodes} == {Unremovable.NO_PLACE}


def test_an_unneeded_node_waits_for_its_clock_and_loses_it_when_it_is_needed() -> None:
    first = planned(small("n1"), small("n2", web(600)), scale_down_unneeded_time=600.0)
    assert (outcome(first).reason, outcome(first).until) == (Unremovable.NOT_UNNEEDED_LONG_ENOUGH, NOW + 600)
    assert first.memory.unneeded_since == {"n1": NOW}
    busy = planned(small("n1", web(700)), small("n2", web(600)), scale_down_unneeded_time=600.0, memory=first.memory)
    assert busy.memory.unneeded_since == {}


@pytest.mark.parametrize(
    ("state", "reason"),
    [({}, Unremovable.NOT_UNNEEDED_LONG_ENOUGH), ({"conditions": unready(LONG_AGO)}, Unremovable.NOT_UNREADY_LONG_ENOUGH)],
)
def test_a_node_that_is_not_ready_has_a_clock_of_its_own(state: dict[str, Any], reason: Unremovable) -> None:
    times: dict[str, Any] = {"scale_down_unneeded_time": 900.0, "scale_down_unready_time": 900.0}
    plan = planned(small("n1", **state), small("n2", web(600)), memory=unneeded("n1"), **times)
    assert outcome(plan).reason is reason


@pytest.mark.parametrize(
    ("target", "empty", "to_drain", "removed"),
    [(10, 3, 2, (3, 2)), (10, 3, 5, (3, 4)), (5, 3, 5, (2, 0))],
)
def test_removals_in_progress_count_against_the_minimum_of_the_group(
    target: int, empty: int, to_drain: int, removed: tuple[int, int]
) -> None:
    begun = RemovalRecord("empty")
    leaving = [
        small(
            f"x{number}",
            taints=(taint(DELETION, value=str(int(NOW))),),
            annotations={RECORD_ANNOTATION: msgspec.json.encode(begun).decode()},
        )
        for number in range(2)
    ]
    empties = [small(f"e{number}") for number in range(empty)]
    drained = [small(f"d{number}", web(10, name=f"d{number}")) for number in range(to_drain)]
    roomy = node("big", 10_000, 10_000, holds=[web(6000, name="big")])
    seen = cluster(managed("ng1", *leaving, *empties, *drained, minimum=1, desired=target), others=[roomy], workloads=WORKLOADS)
    plan = plan_of(seen, max_drain_parallelism=10, max_scale_down_parallelism=20)
    counted = (sum(item.reason == "empty" for item in plan.removals), sum(item.reason != "empty" for item in plan.removals))
    assert counted == removed


def test_a_group_at_its_minimum_keeps_its_nodes() -> None:
    assert outcome(planned(small("n1"), minimum=1)).reason is Unremovable.MIN_SIZE


@pytest.mark.parametrize(
    ("holds", "cores", "memory", "removed"),
    [((web(100),), 2, 0, ["n1"]), ((), 1, 0, ["n1", "n2"])],
)
def test_the_cluster_keeps_its_minimum_of_cores(holds: tuple[PodSet, ...], cores: int, memory: int, removed: list[str]) -> None:
    nodes = [small("n1"), small("n2", *holds), small("n3", web(600, name="c"))]
    plan = planned(*nodes, cores_total=Range(cores, 100))
    assert going(plan) == removed
    if len(removed) == 1:
        assert outcome(plan, "n2").reason is Unremovable.MINIMAL_LIMIT


@pytest.mark.parametrize("more", [(), (web(100),)])
def test_a_node_whose_pod_is_to_run_to_its_end_is_held(more: tuple[PodSet, ...]) -> None:
    last = waiting(shape(100, controller=rs("web"), annotations=(("cluster-autoscaler.kubernetes.io/safe-to-evict", "on-completion"),)))
    plan = planned(small("n1", last, *more), small("n2", web(600, name="b")))
    assert going(plan) == []
    assert outcome(plan).reason is Unremovable.ON_COMPLETION
    assert plan.memory.unneeded_since == {"n1": NOW}


@pytest.mark.parametrize(
    ("begun", "ready", "removed"),
    [
        ((0, 0), (11, 0), (10, 0)),
        ((1, 1), (10, 0), (8, 0)),
        ((5, 5), (10, 0), (0, 0)),
        ((0, 0), (0, 6), (0, 5)),
        ((1, 2), (0, 5), (0, 3)),
        ((7, 1), (0, 4), (0, 2)),
        ((0, 0), (8, 8), (8, 2)),
        ((0, 0), (2, 8), (2, 5)),
        ((0, 9), (5, 5), (1, 0)),
        ((5, 3), (5, 2), (2, 0)),
        ((5, 3), (1, 2), (1, 1)),
        ((1, 3), (4, 5), (4, 2)),
        ((0, 5), (5, 5), (5, 0)),
    ],
)
def test_removals_in_parallel_are_limited_and_those_to_drain_more_so(
    begun: tuple[int, int], ready: tuple[int, int], removed: tuple[int, int]
) -> None:
    leaving = [_begun(f"x{number}", "empty" if number < begun[0] else "underutilized") for number in range(sum(begun))]
    empties = [small(f"e{number}") for number in range(ready[0])]
    drained = [small(f"d{number}", web(10, name=f"d{number}")) for number in range(ready[1])]
    roomy = node("big", 10_000, 10_000, holds=[web(6000, name="big")])
    seen = cluster(managed("ng1", *leaving, *empties, *drained, maximum=50), others=[roomy], workloads=WORKLOADS)
    plan = plan_of(seen, max_drain_parallelism=5)
    counted = (sum(item.reason == "empty" for item in plan.removals), sum(item.reason != "empty" for item in plan.removals))
    assert counted == removed
    held = {item.reason for item in plan.nodes if item.node[0] in "ed"} - {None}
    assert held <= {Unremovable.OVER_BUDGET}


def _begun(name: str, reason: str) -> Node:
    record = msgspec.json.encode(RemovalRecord(reason)).decode()
    return small(name, taints=(taint(DELETION, value=str(int(NOW))),), annotations={RECORD_ANNOTATION: record})


DELAYS: dict[str, Any] = {
    "scale_down_delay_after_add": 300.0,
    "scale_down_delay_after_delete": 300.0,
    "scale_down_delay_after_failure": 300.0,
    "scale_down_unneeded_time": 600.0,
}


@pytest.mark.parametrize("last", ["last_scale_up", "last_scale_down_delete", "last_scale_down_failure"])
def test_after_a_change_scale_down_rests_and_its_clocks_run_on(last: str) -> None:
    memory = unneeded("n1", since=700, **{last: NOW - 180})
    plan = planned(small("n1"), small("n2", web(600)), memory=memory, **DELAYS)
    assert going(plan) == []
    assert (outcome(plan).reason, outcome(plan).until) == (Unremovable.IN_COOLDOWN, NOW + 120)
    assert plan.memory.unneeded_since == {"n1": NOW - 700}


@pytest.mark.parametrize(
    ("field", "group", "removed"),
    [("group_scale_up", "ng1", ["n2"]), ("group_scale_down", "ng2", ["n1"]), ("group_scale_down_failure", "ng1", ["n2"])],
)
def test_delays_may_hold_for_the_changed_group_alone(field: str, group: str, removed: list[str]) -> None:
    memory = unneeded("n1", "n2", since=700, **{field: {group: NOW - 180}})
    seen = cluster(managed("ng1", small("n1")), managed("ng2", small("n2")), workloads=WORKLOADS)
    assert going(plan_of(seen, memory, scale_down_delay_type_local=True, **DELAYS)) == removed


def test_with_scale_down_disabled_nothing_is_looked_at() -> None:
    plan = planned(small("n1"), scale_down_enabled=False)
    assert (plan.removals, plan.nodes, plan.soft_taints) == ((), (), ())


def test_soft_taints_come_off_first_and_are_few() -> None:
    needed = small("n0", web(600), taints=(taint("DeletionCandidateOfClusterAutoscaler", "PreferNoSchedule", "1"),))
    plan = planned(needed, *(small(f"n{number}") for number in range(1, 9)), scale_down_unneeded_time=600.0, max_bulk_soft_taint_count=3)
    assert [(item.node, item.value) for item in plan.soft_taints] == [("n0", 0), ("n1", int(NOW)), ("n2", int(NOW))]


def test_pods_of_a_node_in_removal_keep_their_place_elsewhere_free() -> None:
    first = msgspec.structs.replace(_begun("n1", "underutilized"), pods=(web(400, name="a"),))
    others = (small("n2", web(400, name="b")), small("n3", web(520, name="c")))
    assert going(planned(*others)) == ["n2"]
    assert going(planned(first, *others, max_drain_parallelism=5)) == []


# --- a cluster that could not be read as a whole ---


def test_nothing_is_removed_while_not_all_of_the_cluster_could_be_read() -> None:
    seen = cluster(managed("ng1", small("n1"), small("n2", web(600))), workloads=WORKLOADS, unread=("csinodes", "pods"))
    plan = plan_of(seen, unneeded("n1", since=60.0))
    assert plan.removals == ()
    assert outcome(plan).reason is Unremovable.INCOMPLETE
    assert stay_text(outcome(plan), NOW) == "not needed, but not all of the cluster could be read: csinodes, pods"
    assert plan.memory.unneeded_since == {"n1": NOW - 60}


def test_an_instance_whose_node_could_not_be_read_is_not_taken_for_one_without_a_node() -> None:
    lost = Instance("i-lost", "us-east-1a")
    (group, nodes) = managed("ng1", small("n1"), desired=2)
    group = msgspec.structs.replace(group, instances=(*group.instances, lost))
    memory = Memory(unregistered_since={lost.id: NOW - 86400})
    assert plan_of(cluster((group, nodes)), memory).delete_instances == (("ng1", ("i-lost",)),)
    assert plan_of(cluster((group, nodes), unread=("nodes",)), memory).delete_instances == ()


def test_soft_taints_of_before_come_off_when_there_are_to_be_none() -> None:
    soft = taint("DeletionCandidateOfClusterAutoscaler", value="1", effect="PreferNoSchedule")
    plan = planned(small("n1", taints=(soft,)), small("n2"), max_bulk_soft_taint_count=0, minimum=2)
    assert [(item.node, item.value) for item in plan.soft_taints] == [("n1", 0)]
