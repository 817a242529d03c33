"""What a scan makes of nodes under interruption."""

from typing import Any

import msgspec
import pytest

from lambda_autoscaler.core.decide import decide
from lambda_autoscaler.core.events import Kind
from lambda_autoscaler.core.interruption import (
    ANSWER,
    INTERRUPTION,
    NODEGROUP_LABEL,
    Answer,
    InterruptionRecord,
    is_at_risk,
    is_doomed,
    marked,
    record_of,
)
from lambda_autoscaler.core.kubernetes import Toleration
from lambda_autoscaler.core.memory import Memory, ScaleUpRequest
from lambda_autoscaler.core.model import Cluster, Instance, Node, NodeGroup, PodRef, PodSet
from lambda_autoscaler.core.plan import Increase, Plan, ScaleUpResult, Unremovable
from lambda_autoscaler.core.template import templates
from lambda_autoscaler.marking import Marker
from lambda_autoscaler.node_access import NodeAccess
from lambda_autoscaler.ports import Refused
from tests.build import NOW, cloud, cluster, daemon_pod, managed, node, options, rs, shape, taint, unready, waiting
from tests.ec2_events import spot as spot_event
from tests.interrupted_cluster import InterruptedCluster

HALF = shape(500, 500, controller=rs("web"))
WHOLE = shape(1000, 1000, controller=rs("db"))
ZONE = {"topology.kubernetes.io/zone": "us-east-1a", "node.kubernetes.io/instance-type": "m5.large"}


def interrupted(before: Node, kind: Kind = Kind.SPOT_INTERRUPTION, *, ago: float = 5.0, **fields: Any) -> Node:
    """The node under an event of so many seconds ago."""
    usual = {"deadline": NOW - ago + 120} if kind is Kind.SPOT_INTERRUPTION else {}
    record = InterruptionRecord(kind, f"e-{before.name}", NOW - ago, NOW - ago, **{"drains": kind is not Kind.REBALANCE, **usual, **fields})
    return marked(before, record)


def doomed(name: str = "n1", *holds: PodSet, **fields: Any) -> Node:
    return interrupted(node(name, holds=holds, **fields))


def at_risk(name: str, *holds: PodSet, ago: float = 5.0, **fields: Any) -> Node:
    return interrupted(node(name, holds=holds, **fields), Kind.REBALANCE, ago=ago, watched=True)


def answered(before: Node, answer: Answer) -> Node:
    return msgspec.structs.replace(before, annotations={**before.annotations, ANSWER: msgspec.json.encode(answer).decode()})


def planned(found: Cluster, memory: Memory | None = None, **flags: Any) -> Plan:
    return decide(found, memory or Memory(), options(**flags), NOW)


def outcomes(plan: Plan) -> dict[str, str]:
    return {pod.name: item.outcome for item in plan.pods for pod in item.pods}


def reasons(plan: Plan) -> dict[str, Unremovable | None]:
    return {item.node: item.reason for item in plan.nodes}


# --- capacity ---


def test_pods_of_a_doomed_node_count_as_waiting_and_capacity_is_asked_for() -> None:
    plan = planned(cluster(managed("ng1", doomed("n1", waiting(HALF, 2)), node("n2", holds=[waiting(HALF, 2, name="other")]))))
    assert plan.increases == (Increase("ng1", 2, 3, 10),)
    assert outcomes(plan) == {"pod-0": "triggered", "pod-1": "triggered"}
    assert plan.answers == {"n1": Answer("asked")}


def test_pods_of_a_doomed_node_are_not_left_to_the_scheduler_however_new_they_are() -> None:
    for pods, flags in ((waiting(HALF, 2, created=NOW - 1), {}), (waiting(HALF, 2, created=NOW - 60), {"new_pod_scale_up_delay": 300.0})):
        plan = planned(cluster(managed("ng1", doomed("n1", pods), cloud=cloud(2000, 2000))), **flags)
        assert plan.increases == (Increase("ng1", 1, 2, 10),)
        assert plan.answers == {"n1": Answer("asked")}


def test_a_scan_that_leaves_new_pods_to_the_scheduler_answers_no_doomed_node() -> None:
    new = waiting(shape(500, 500, more={"nvidia.com/gpu": 1}), name="new", created=NOW - 5)
    plan = planned(cluster(managed("ng1", doomed("n1", waiting(HALF, 2)), cloud=cloud(2000, 2000)), pending=[new]))
    assert (plan.result, plan.answers) == (ScaleUpResult.IN_COOLDOWN, {})


def test_a_doomed_node_takes_no_pods_even_those_that_tolerate_its_mark() -> None:
    bold = shape(500, 500, controller=rs("bold"), tolerations=(Toleration(operator="Exists"),))
    for pods in (waiting(HALF), waiting(bold)):
        for leaving in (doomed("n1"), interrupted(node("n1"), managed=True)):
            plan = planned(cluster(managed("ng1", leaving, node("n2", holds=[waiting(WHOLE, name="db")])), pending=[pods]))
            assert plan.increases == (Increase("ng1", 2, 3, 10),)


def test_a_pod_that_ends_already_is_waited_for_in_the_shape_of_its_successor_only() -> None:
    ending = PodSet(msgspec.structs.replace(HALF, terminating=True), (PodRef("old", "uid-old", NOW - 3600, deletion=NOW + 20),))
    plan = planned(cluster(managed("ng1", doomed("n1", ending), node("n2", holds=[waiting(HALF, name="own")]), maximum=2)))
    assert (plan.pods, plan.answers) == ((), {"n1": Answer("room")})


def test_a_node_at_risk_takes_no_new_pods_and_keeps_its_own() -> None:
    plan = planned(cluster(managed("ng1", at_risk("n1", waiting(HALF, name="own"))), pending=[waiting(HALF)]))
    assert plan.increases == (Increase("ng1", 1, 2, 10),)
    assert outcomes(plan) == {"pod-0": "triggered"}
    assert plan.answers == {}


def test_pods_that_have_room_elsewhere_need_no_capacity() -> None:
    plan = planned(cluster(managed("ng1", doomed("n1", waiting(HALF, 2)), node("n2"))))
    assert (plan.increases, plan.answers) == ((), {"n1": Answer("room")})


def test_an_empty_doomed_node_is_answered_too() -> None:
    assert planned(cluster(managed("ng1", doomed("n1")))).answers == {"n1": Answer("room")}


def test_pods_without_any_place_are_named() -> None:
    plan = planned(cluster(managed("ng1", doomed("n1", waiting(HALF, 2)), maximum=1)))
    assert (plan.increases, plan.answers) == ((), {"n1": Answer("none", ("default/pod-0", "default/pod-1"))})
    assert {notice.reason for notice in plan.notices if notice.kind == "Pod"} == {"NotTriggerScaleUp"}


def test_some_pods_may_have_room_while_others_have_none() -> None:
    plan = planned(
        cluster(managed("ng1", doomed("n1", waiting(HALF, 2)), node("n2", holds=[waiting(HALF, name="own")]), maximum=2)),
    )
    assert plan.answers == {"n1": Answer("room", ("default/pod-1",))}


def test_capacity_is_asked_for_some_pods_while_others_are_homeless() -> None:
    huge = waiting(shape(5000, 100, controller=rs("huge")), name="huge")
    leaving = doomed("n1", waiting(HALF, 2), huge, cpu=6000)
    plan = planned(cluster(managed("ng1", leaving, node("n2", holds=[waiting(WHOLE, name="db")]))))
    assert plan.answers == {"n1": Answer("asked", ("default/huge-0",))}


def test_capacity_is_asked_for_all_doomed_nodes_in_one_scan_however_many_groups_it_takes() -> None:
    def pool(name: str, *members: str) -> tuple[NodeGroup, list[Node]]:
        pod = shape(900, 900, controller=rs(name), node_selector=(("pool", name),))
        first, second = (waiting(pod, name=member) for member in members)
        return managed(name, doomed(members[0], first, labels={"pool": name}), node(members[1], holds=[second], labels={"pool": name}))

    plan = planned(cluster(pool("a", "n1", "n2"), pool("b", "n3", "n4")))
    assert plan.increases == (Increase("a", 2, 3, 10), Increase("b", 2, 3, 10))
    assert plan.answers == {"n1": Answer("asked"), "n3": Answer("asked")}


@pytest.mark.parametrize("kind", ["daemon", "static"])
def test_pods_that_end_with_their_node_ask_for_nothing(kind: str) -> None:
    stays = daemon_pod(900, 900) if kind == "daemon" else shape(900, 900, annotations=(("kubernetes.io/config.source", "file"),))
    plan = planned(cluster(managed("ng1", doomed("n1", waiting(stays)), maximum=1)))
    assert (plan.pods, plan.answers) == ((), {"n1": Answer("room")})


def test_pods_of_doomed_nodes_come_before_waiting_ones_of_their_priority() -> None:
    """One place is free: the pod that runs gets it, whichever the API names first and whatever its shape."""
    for other in (HALF, shape(500, 500, controller=rs("other"))):
        free = node("n2", holds=[waiting(HALF, name="own")])
        found = cluster(
            managed("ng1", doomed("n1", waiting(HALF, name="runs")), free, maximum=2), pending=[waiting(other, 3, name="waits")]
        )
        plan = planned(found)
        assert outcomes(plan)["runs-0"] == "schedulable"
        assert plan.answers == {"n1": Answer("room")}


def test_pods_of_higher_priority_still_come_first() -> None:
    urgent = shape(500, 500, controller=rs("urgent"), priority=1000)
    free = node("n2", holds=[waiting(HALF, name="own")])
    plan = planned(
        cluster(managed("ng1", doomed("n1", waiting(HALF, name="runs")), free, maximum=2), pending=[waiting(urgent, name="urgent")])
    )
    assert outcomes(plan) == {"urgent-0": "schedulable", "runs-0": "unhelped"}


# --- one replacement and no second ---


@pytest.mark.parametrize("held", [2, 0])
def test_a_second_warning_while_the_first_replacement_comes_is_not_answered_with_the_room_of_the_first(held: int) -> None:
    """The pods of n1 wait for the node that comes; those of n2 are still there, or were evicted before a scan looked."""
    first = answered(doomed("n1"), Answer("asked"))
    second = doomed("n2", *([waiting(HALF, held, name="second")] if held else []))
    full = node("n3", holds=[waiting(HALF, 2, name="other")])
    plan = planned(cluster(managed("ng1", first, second, full, desired=4), pending=[waiting(HALF, 4 - held, name="first")]))
    assert plan.increases == (Increase("ng1", 4, 5, 10),)
    assert plan.answers == {"n2": Answer("asked")}


@pytest.mark.parametrize(("ago", "verdict"), [(20.0, "asked"), (900.0, "room")])
def test_room_is_not_trusted_while_capacity_may_be_on_its_way_for_another_node(ago: float, verdict: str) -> None:
    """A pod of n1 was evicted a moment ago and the one that follows it is not there yet, so that n4 seems to be free for n2."""
    first = answered(interrupted(node("n1"), ago=ago), Answer("asked"))
    plan = planned(cluster(managed("ng1", first, doomed("n2", waiting(HALF, 2, name="second")), node("n4"))))
    assert (plan.increases, plan.answers) == ((), {"n2": Answer(verdict)})


def test_a_second_warning_is_answered_the_same_way_where_another_group_grows() -> None:
    first = answered(doomed("n1"), Answer("asked"))
    second = doomed("n2", waiting(HALF, 2, name="second"))
    successor = msgspec.structs.replace(HALF, phase="Pending")
    full = [node(name, holds=[waiting(HALF, 2, name=name)]) for name in ("n3", "n4")]
    found = cluster(
        managed("ng1", first, second, full[0], desired=4, maximum=4), managed("ng2", full[1]), pending=[waiting(successor, 2, name="first")]
    )
    plan = planned(found)
    assert (plan.increases, plan.answers) == ((Increase("ng2", 1, 2, 10),), {"n2": Answer("asked")})


def _asked(memory: Memory, *, desired: int) -> Cluster:
    """The cluster of the first test a minute later: the answer is given, the new instance comes."""
    first = answered(doomed("n1", waiting(HALF, 2)), Answer("asked"))
    return cluster(managed("ng1", first, node("n2", holds=[waiting(HALF, 2, name="other")]), desired=desired))


def test_the_next_scan_asks_for_nothing_more_and_keeps_its_answer() -> None:
    before = planned(cluster(managed("ng1", doomed("n1", waiting(HALF, 2)), node("n2", holds=[waiting(HALF, 2, name="other")]))))
    plan = planned(_asked(before.memory, desired=3), before.memory)
    assert (plan.increases, plan.answers) == ((), {})
    assert set(outcomes(plan).values()) == {"schedulable"}


def test_evicted_pods_that_wait_for_real_find_what_was_asked_for() -> None:
    before = planned(cluster(managed("ng1", doomed("n1", waiting(HALF, 2)), node("n2", holds=[waiting(HALF, 2, name="other")]))))
    emptied = answered(doomed("n1"), Answer("asked"))
    later = cluster(
        managed("ng1", emptied, node("n2", holds=[waiting(HALF, 2, name="other")]), desired=3), pending=[waiting(HALF, 2, name="anew")]
    )
    assert planned(later, before.memory).increases == ()


def test_answers_are_given_anew_when_pods_fare_better() -> None:
    stuck = answered(doomed("n1", waiting(HALF, 2)), Answer("none", ("default/pod-0", "default/pod-1")))
    assert planned(cluster(managed("ng1", stuck, node("n2")))).answers == {"n1": Answer("room")}


def test_capacity_that_was_asked_for_stays_asked_for_whatever_comes_free() -> None:
    spared = answered(doomed("n1", waiting(HALF, 2)), Answer("asked"))
    assert planned(cluster(managed("ng1", spared, node("n2")))).answers == {}


def with_replacement(group: NodeGroup, name: str, **fields: Any) -> NodeGroup:
    """The group with one instance beyond its desired capacity, as capacity rebalancing launches it."""
    return msgspec.structs.replace(group, instances=(*group.instances, Instance(f"i-{name}", "us-east-1a", **fields)))


def test_a_replacement_that_the_group_launches_by_itself_is_counted() -> None:
    group, nodes = managed("ng1", doomed("n1", waiting(HALF, 2)), node("n2", holds=[waiting(HALF, 2, name="other")]))
    plan = planned(cluster((with_replacement(group, "n3"), nodes)))
    assert (plan.increases, plan.answers) == ((), {"n1": Answer("room")})


def test_a_replacement_that_has_registered_and_is_not_ready_is_counted() -> None:
    starting = node("n3", conditions=unready(NOW - 10), created=NOW - 10, taints=(taint("node.kubernetes.io/not-ready"),))
    group, nodes = managed("ng1", doomed("n1", waiting(HALF, 2)), node("n2", holds=[waiting(HALF, 2, name="other")]), starting)
    plan = planned(cluster((msgspec.structs.replace(group, desired=2), nodes)))
    assert (plan.increases, plan.answers) == ((), {"n1": Answer("room")})


@pytest.mark.parametrize("fields", [{"lifecycle": "Terminating:Wait"}, {"placeholder": True}])
def test_an_instance_that_goes_or_never_came_is_no_replacement(fields: dict[str, Any]) -> None:
    group, nodes = managed("ng1", doomed("n1", waiting(HALF, 2)), node("n2", holds=[waiting(HALF, 2, name="other")]))
    assert planned(cluster((with_replacement(group, "n3", **fields), nodes))).increases != ()


def test_ten_nodes_and_one_warning_lead_to_one_replacement_from_group_and_autoscaler_together() -> None:
    full = [node(f"n{number}", holds=[waiting(HALF, 2, name=f"on-{number}")]) for number in range(2, 11)]
    group, nodes = managed("ng1", doomed("n1", waiting(HALF, 2)), *full, maximum=20)
    alone = planned(cluster((group, nodes)))
    assert alone.increases == (Increase("ng1", 10, 11, 20),)
    assert planned(cluster((with_replacement(group, "n11"), nodes))).increases == ()


# --- scale-down ---


def test_a_doomed_node_is_no_candidate_and_no_destination() -> None:
    found = cluster(
        managed("ng1", doomed("n1"), node("n2", holds=[waiting(shape(100, 100, controller=rs("web")))])),
        workloads={("ReplicaSet", "default", "web"): 9},
    )
    plan = planned(found)
    assert reasons(plan) == {"n1": Unremovable.INTERRUPTED, "n2": Unremovable.NO_PLACE}


def test_nodes_at_risk_are_removed_first() -> None:
    memory = Memory(unneeded_since={"n1": NOW - 700, "n2": NOW - 700}, last_scan=NOW - 60)
    small = shape(100, 100, controller=rs("web"))
    found = cluster(
        managed("ng1", node("n1", holds=[waiting(small)]), at_risk("n2", waiting(small, name="x")), node("n3", holds=[waiting(HALF, 1)])),
        workloads={("ReplicaSet", "default", "web"): 9},
    )
    assert [removal.node for removal in planned(found, memory).removals] == ["n2"]
    unmarked = msgspec.structs.replace(found, nodes=tuple(_without_mark(item) for item in found.nodes))
    assert [removal.node for removal in planned(unmarked, memory).removals] == ["n1"]


def test_where_only_one_of_two_nodes_can_be_emptied_it_is_the_one_at_risk() -> None:
    part = shape(400, 400, controller=rs("web"))
    full = node("n3", holds=[waiting(part, name="n3"), waiting(shape(200, 200), name="bare")])
    found = cluster(
        managed("ng1", node("n1", holds=[waiting(part)]), at_risk("n2", waiting(part, name="x")), full),
        workloads={("ReplicaSet", "default", "web"): 9},
    )
    assert [name for name, reason in reasons(planned(found)).items() if reason is Unremovable.NOT_UNNEEDED_LONG_ENOUGH] == ["n2"]


def _without_mark(before: Node) -> Node:
    return msgspec.structs.replace(before, annotations={}, taints=())


def test_an_empty_node_goes_before_one_at_risk_with_pods() -> None:
    memory = Memory(unneeded_since={"n1": NOW - 700, "n2": NOW - 700}, last_scan=NOW - 60)
    small = shape(100, 100, controller=rs("web"))
    found = cluster(
        managed("ng1", at_risk("n1", waiting(small)), node("n2"), node("n3", holds=[waiting(HALF)]), minimum=2),
        workloads={("ReplicaSet", "default", "web"): 9},
    )
    assert [removal.node for removal in planned(found, memory).removals] == ["n2"]


# --- recommendations ---


def storm(count: int, *, already: int = 0) -> Cluster:
    """A group whose nodes are all at risk, some of which drain already."""
    members = [doomed(f"n{number}") if number < already else at_risk(f"n{number}") for number in range(count)]
    return cluster(managed("ng1", *members, maximum=50))


def test_recommendations_begin_no_drain_unless_that_is_opted_in() -> None:
    plan = planned(storm(10))
    assert (plan.begun_interruptions, plan.answers) == ({}, {})


def test_no_drain_begins_on_a_node_that_nobody_looks_after_because_draining_was_opted_in_later() -> None:
    mark = interrupted(node("n1"), Kind.REBALANCE)
    assert planned(cluster(managed("ng1", mark)), drain_on_rebalance=True).begun_interruptions == {}


@pytest.mark.parametrize(
    ("count", "already", "share", "begun"),
    [(10, 0, 0.1, 1), (3, 0, 0.1, 1), (20, 0, 0.1, 2), (29, 0, 0.1, 2), (20, 1, 0.1, 1), (20, 2, 0.1, 0), (3, 1, 0.1, 0), (10, 0, 0.5, 5)],
)
def test_no_more_than_the_share_of_a_group_drains_at_a_time(count: int, already: int, share: float, begun: int) -> None:
    plan = planned(storm(count, already=already), drain_on_rebalance=True, rebalance_drain_share=share)
    assert len(plan.begun_interruptions) == begun
    assert all(record.drains and record.seen == NOW for record in plan.begun_interruptions.values())


def test_a_node_that_begins_to_drain_is_planned_for_in_the_same_scan() -> None:
    found = cluster(managed("ng1", at_risk("n1", waiting(HALF, 2)), node("n2", holds=[waiting(HALF, 2, name="other")])))
    plan = planned(found, drain_on_rebalance=True)
    assert (set(plan.begun_interruptions), plan.answers) == ({"n1"}, {"n1": Answer("asked")})
    assert plan.increases == (Increase("ng1", 2, 3, 10),)


def test_nodes_outside_of_groups_are_not_drained_on_a_recommendation() -> None:
    assert planned(cluster(others=[at_risk("n1"), node("n2")]), drain_on_rebalance=True).begun_interruptions == {}


def test_no_drain_begins_in_an_unhealthy_cluster() -> None:
    sick = [node(f"s{number}", conditions=unready()) for number in range(8)]
    plan = planned(cluster(managed("ng1", at_risk("n1"), *sick)), drain_on_rebalance=True)
    assert (plan.healthy, plan.begun_interruptions) == (False, {})


# --- marks that came to nothing ---


@pytest.mark.parametrize(
    ("marked_node", "cleared"),
    [
        (at_risk("n1", ago=21_600), False),
        (at_risk("n1", ago=21_601), True),
        (interrupted(node(), ago=120 + 600), False),
        (interrupted(node(), ago=120 + 601), True),
        (interrupted(node(), Kind.SCHEDULED_CHANGE, ago=30_000, deadline=NOW - 100), False),
        (interrupted(node(), Kind.SCHEDULED_CHANGE, ago=30_000, deadline=NOW - 21_601), True),
    ],
)
def test_a_mark_is_taken_off_after_its_time(marked_node: Node, cleared: bool) -> None:
    plan = planned(cluster(managed("ng1", marked_node)))
    assert plan.cleared_interruptions == ({"n1": record_of(marked_node)} if cleared else {})


def test_a_node_whose_mark_goes_takes_pods_in_the_same_scan() -> None:
    plan = planned(cluster(managed("ng1", at_risk("n1", ago=21_601)), pending=[waiting(HALF)]))
    assert (plan.increases, outcomes(plan)) == ((), {"pod-0": "schedulable"})


def test_the_time_of_a_mark_is_a_setting() -> None:
    found = cluster(managed("ng1", at_risk("n1", ago=400)))
    assert set(planned(found, interruption_risk_ttl=300.0).cleared_interruptions) == {"n1"}


# --- pools ---


def _two_groups(*, safe: bool) -> Cluster:
    """A spot group whose pool takes instances back and, if ``safe``, another one that is as good and named later."""
    full = [waiting(HALF, 2, name="other")]
    risky = managed(
        "a", doomed("n1", waiting(HALF, 2), labels=ZONE), node("n2", holds=full, labels=ZONE), capacity_type="SPOT", types=("m5.large",)
    )
    other = managed("b", capacity_type="SPOT", types=("m5a.large",), cloud=cloud(1000, 1000))
    return cluster(risky, other) if safe else cluster(risky)


def test_a_pool_that_takes_instances_back_is_avoided_while_there_is_another() -> None:
    avoiding = planned(_two_groups(safe=True))
    assert [item.group for item in avoiding.increases] == ["b"]
    assert avoiding.memory.risky_pools == {"m5.large/us-east-1a": NOW - 5 + 180}
    assert [item.group for item in planned(_two_groups(safe=False)).increases] == ["a"]


def test_a_pool_is_remembered_for_three_minutes() -> None:
    pending = cluster(
        managed("a", capacity_type="SPOT", types=("m5.large",), cloud=cloud(1000, 1000)),
        managed("b", capacity_type="SPOT", types=("m5a.large",), cloud=cloud(1000, 1000)),
        pending=[waiting(HALF)],
    )
    still, over = Memory(risky_pools={"m5.large/us-east-1a": NOW + 1}), Memory(risky_pools={"m5.large/us-east-1a": NOW})
    assert [item.group for item in planned(pending, still).increases] == ["b"]
    assert [item.group for item in planned(pending, over).increases] == ["a"]
    assert planned(pending, over).memory.risky_pools == {}


@pytest.mark.parametrize(
    "fields", [{"capacity_type": "ON_DEMAND", "types": ("m5.large",)}, {"capacity_type": "SPOT", "types": ("m5.large", "m5a.large")}]
)
def test_only_spot_groups_without_any_safe_pool_are_avoided(fields: dict[str, Any]) -> None:
    pending = cluster(
        managed("a", cloud=cloud(1000, 1000), **fields),
        managed("b", capacity_type="SPOT", types=("c5.large",), cloud=cloud(1000, 1000)),
        pending=[waiting(HALF)],
    )
    memory = Memory(risky_pools={"m5.large/us-east-1a": NOW + 100})
    assert [item.group for item in planned(pending, memory).increases] == ["a"]


@pytest.mark.parametrize("kind", [Kind.CAPACITY_BLOCK, Kind.RESERVATION_INTERRUPTION, Kind.REBALANCE, Kind.SCHEDULED_CHANGE])
def test_only_spot_interruptions_speak_of_spot_pools(kind: Kind) -> None:
    deadline = NOW + 600 if kind is not Kind.REBALANCE else None
    found = cluster(managed("a", interrupted(node(labels=ZONE), kind, deadline=deadline)))
    assert planned(found).memory.risky_pools == {}


# --- templates ---


@pytest.mark.parametrize("source", [doomed("n1"), at_risk("n1")])
def test_a_template_never_copies_the_mark(source: Node) -> None:
    found, memory = templates(cluster(managed("ng1", source)), Memory(), options(), NOW)
    assert [item.key for item in found["ng1"].taints] == []
    assert all(item.taints == () for item in memory.templates.values())


@pytest.mark.parametrize("source", [doomed("n1"), interrupted(node("n1"), managed=True)])
def test_a_doomed_node_is_not_remembered_as_a_good_one(source: Node) -> None:
    _, memory = templates(cluster(managed("ng1", source)), Memory(), options(), NOW)
    assert memory.templates == {}


# --- writing it down ---


def marking(found: InterruptedCluster) -> Marker:
    return Marker(found, NodeAccess(found, found.options), lambda: True)


def test_an_answer_that_capacity_was_asked_for_is_given_only_when_aws_took_all_of_it() -> None:
    for everything, written in ((True, '{"verdict":"asked"}'), (False, None)):
        found = InterruptedCluster()
        found.add_node()
        plan = msgspec.structs.replace(planned(cluster()), answers={"n1": Answer("asked")})
        marking(found).write(plan, everything_asked=everything)
        assert found.nodes["n1"]["metadata"].get("annotations", {}).get(ANSWER) == written
    found.take(spot_event())
    marking(found).write(msgspec.structs.replace(plan, answers={"n1": Answer("room")}), everything_asked=False)
    assert found.nodes["n1"]["metadata"]["annotations"][ANSWER] == '{"verdict":"room"}'


def test_a_mark_that_became_a_warning_meanwhile_is_not_taken_off() -> None:
    found = InterruptedCluster()
    found.add_node()
    old = InterruptionRecord(Kind.REBALANCE, "e", NOW - 30_000, NOW - 30_000, drains=False)
    found.nodes["n1"]["metadata"]["annotations"] = {INTERRUPTION: msgspec.json.encode(old).decode()}
    plan = msgspec.structs.replace(planned(cluster()), cleared_interruptions={"n1": old})
    found.take(spot_event())
    marking(found).write(plan, everything_asked=True)
    assert found.mark()["kind"] == "SpotInterruption"
    found.nodes["n1"]["metadata"]["annotations"] = {INTERRUPTION: msgspec.json.encode(old).decode()}
    marking(found).write(plan, everything_asked=True)
    assert found.mark() == {}


def test_a_drain_that_begins_leaves_alone_what_an_event_wrote_meanwhile() -> None:
    found = InterruptedCluster()
    found.add_node()
    begun = InterruptionRecord(Kind.REBALANCE, "e", NOW - 60, NOW)
    plan = msgspec.structs.replace(planned(cluster()), begun_interruptions={"n1": begun, "gone": begun})
    marking(found).write(plan, everything_asked=True)
    assert found.mark() == {}
    found.take(spot_event())
    marking(found).write(plan, everything_asked=True)
    assert found.mark()["kind"] == "SpotInterruption"


def test_a_mark_that_cannot_be_written_is_a_failure_of_the_scan_and_no_end_of_it() -> None:
    found = InterruptedCluster()
    found.add_node()
    found.failing["patch"] = [Refused("HTTP 500")]
    marker = marking(found)
    marker.write(msgspec.structs.replace(planned(cluster()), answers={"n1": Answer("room")}), everything_asked=True)
    assert marker.failures == ["the mark of node n1 was not written: HTTP 500"]


def test_a_managed_node_counts_as_doomed_although_eks_cordons_it() -> None:
    waits = interrupted(node("n1", holds=[waiting(HALF, 2)], labels={NODEGROUP_LABEL: "ng1"}), managed=True)
    assert (is_doomed(waits), is_at_risk(waits), waits.unschedulable) == (True, False, False)
    plan = planned(cluster(managed("ng1", waits, node("n2", holds=[waiting(HALF, 2, name="other")]))))
    assert plan.answers == {"n1": Answer("asked")}


def test_capacity_that_is_asked_for_is_remembered_as_coming() -> None:
    plan = planned(cluster(managed("ng1", doomed("n1", waiting(HALF, 2)), node("n2", holds=[waiting(HALF, 2, name="other")]))))
    assert plan.memory.requests == {"ng1": ScaleUpRequest(1, NOW, NOW + 900)}
