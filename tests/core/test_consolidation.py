"""Replacing nodes by cheaper ones: what is found, when it is asked for, and what is removed once the new nodes are there."""

from typing import Any

import msgspec
import pytest

from lambda_autoscaler.core.decide import decide
from lambda_autoscaler.core.memory import Consolidation, Memory, ScaleUpRequest
from lambda_autoscaler.core.model import Cluster, DisruptionBudget, Node, NodeGroup, PodSet, PriceTable
from lambda_autoscaler.core.options import Options, Range
from lambda_autoscaler.core.plan import Plan, Unremovable
from lambda_autoscaler.core.removal_words import replacement_text
from tests.build import GIB, NOW, cloud, cluster, managed, node, options, rs, selector, shape, taint, waiting

TYPE = "node.kubernetes.io/instance-type"
PRICES = PriceTable({"big": 1.0, "small": 0.3, "middle": 0.5}, {("big", "us-east-1a"): 0.35, ("small", "us-east-1a"): 0.1})
WORKLOADS = {("ReplicaSet", "default", "web"): 9, ("Job", "default", "batch"): 1}
HELD_LONG = NOW - 900


def web(cpu: int, count: int = 1, name: str = "web", **fields: Any) -> PodSet:
    return waiting(shape(cpu, controller=rs("web"), labels={"app": "web"}, **fields), count, name=name)


def big(name: str, *holds: PodSet, **fields: Any) -> Node:
    return node(name, 8000, 8000, holds=holds, labels={TYPE: "big", **fields.pop("labels", {})}, **fields)


def of_big(*members: Node, **fields: Any) -> tuple[NodeGroup, list[Node]]:
    return managed("big", *members, capacity_type=fields.pop("capacity_type", "ON_DEMAND"), **fields)


def of_small(*members: Node, **fields: Any) -> tuple[NodeGroup, list[Node]]:
    labels = fields.pop("labels", {})
    described = cloud(2200, 12 * GIB, labels={TYPE: "small", **labels}, taints=fields.pop("taints", ()), instance_type="small")
    return managed("small", *members, cloud=described, capacity_type=fields.pop("capacity_type", "ON_DEMAND"), **fields)


def of_middle(**fields: Any) -> tuple[NodeGroup, list[Node]]:
    described = cloud(4400, 12 * GIB, labels={TYPE: "middle"}, instance_type="middle")
    return managed("middle", cloud=described, capacity_type="ON_DEMAND", **fields)


def settings(**flags: Any) -> Options:
    return options(**{"consolidation_enabled": True, "scale_down_utilization_threshold": 0.2, **flags})


def decided(seen: Cluster, memory: Memory | None = None, **flags: Any) -> Plan:
    return decide(seen, memory or Memory(), settings(**flags), NOW)


def seen(*groups: tuple[NodeGroup, list[Node]], **fields: Any) -> Cluster:
    return cluster(*groups, prices=fields.pop("prices", PRICES), workloads=WORKLOADS, **fields)


def found(plan: Plan) -> Consolidation | None:
    return plan.memory.consolidation


def found_long_ago(plan: Plan) -> Memory:
    step = plan.memory.consolidation
    assert step is not None
    return msgspec.structs.replace(plan.memory, consolidation=msgspec.structs.replace(step, since=HELD_LONG), last_scan=NOW - 60)


# --- finding ---


def test_a_node_is_to_be_replaced_by_a_cheaper_one_that_takes_all_its_pods() -> None:
    step = found(decided(seen(of_big(big("n1", web(1000, 2))), of_small())))
    assert step == Consolidation(("n1",), "small", 1, 1.0, 0.3, NOW)


def test_nothing_is_replaced_unless_it_is_asked_for() -> None:
    plan = decided(seen(of_big(big("n1", web(1000, 2))), of_small()), consolidation_enabled=False)
    assert found(plan) is None
    assert plan.replacement is None


def test_several_nodes_may_become_one() -> None:
    step = found(decided(seen(of_big(big("n1", web(1000, 2, "a")), big("n2", web(1000, 2, "b"))), of_middle())))
    assert step == Consolidation(("n1", "n2"), "middle", 1, 2.0, 0.5, NOW)


def test_one_node_may_become_several() -> None:
    step = found(decided(seen(of_big(big("n1", web(1000, 4))), of_small())))
    assert step is not None
    assert (step.count, step.after) == (2, 0.6)


def test_of_several_groups_the_one_that_saves_most_is_taken() -> None:
    step = found(decided(seen(of_big(big("n1", web(1000, 4))), of_small(), of_middle())))
    assert step is not None
    assert (step.group, step.count) == ("middle", 1)


@pytest.mark.parametrize(
    "held", [web(1000, 8), web(3000), web(1000, 2, node_selector=((TYPE, "big"),))], ids=["too many", "too large", "selector"]
)
def test_a_node_stays_when_its_pods_fit_on_no_cheaper_node(held: PodSet) -> None:
    assert found(decided(seen(of_big(big("n1", held)), of_small()))) is None


def test_a_node_stays_when_the_cheaper_nodes_are_tainted() -> None:
    assert found(decided(seen(of_big(big("n1", web(1000, 2))), of_small(taints=(taint("team"),))))) is None


def test_a_saving_below_the_threshold_is_no_reason() -> None:
    world = seen(of_big(big("n1", web(1000, 2))), of_small())
    assert found(decided(world, consolidation_saving_threshold=0.71)) is None
    assert found(decided(world, consolidation_saving_threshold=0.69)) is not None


def test_nodes_of_unknown_price_stay() -> None:
    assert found(decided(seen(of_big(big("n1", web(1000, 2))), of_small(), prices=PriceTable({"small": 0.3})))) is None


@pytest.mark.parametrize(
    "held",
    [
        web(1000, 2, annotations=(("cluster-autoscaler.kubernetes.io/safe-to-evict", "false"),)),
        web(1000, 2, annotations=(("cluster-autoscaler.kubernetes.io/safe-to-evict", "on-completion"),)),
        waiting(shape(1000), 2),
        web(1000, 2, local_volumes=("scratch",)),
    ],
    ids=["not safe to evict", "on completion", "no controller", "local storage"],
)
def test_the_drain_rules_keep_a_node_from_being_replaced(held: PodSet) -> None:
    assert found(decided(seen(of_big(big("n1", held)), of_small()))) is None


def test_a_pod_whose_budget_is_used_up_keeps_its_node() -> None:
    budget = DisruptionBudget("default", "web", selector(app="web"), 0)
    assert found(decided(seen(of_big(big("n1", web(1000, 2))), of_small(), budgets=(budget,)))) is None


@pytest.mark.parametrize(
    ("group", "flags"),
    [
        ({"minimum": 1}, {}),
        ({}, {"max_nodes_total": 1}),
        ({}, {"cores_total": Range(0, 8)}),
    ],
    ids=["minimum of the group", "nodes of the cluster", "cores of the cluster"],
)
def test_minimums_and_limits_hold_while_old_and_new_nodes_stand_together(group: dict[str, int], flags: dict[str, Any]) -> None:
    assert found(decided(seen(of_big(big("n1", web(1000, 2)), **group), of_small()), **flags)) is None


def test_a_full_group_takes_nothing() -> None:
    assert found(decided(seen(of_big(big("n1", web(1000, 2))), of_small(maximum=0)))) is None


def test_a_node_annotated_against_scale_down_stays() -> None:
    annotated = big("n1", web(1000, 2), annotations={"cluster-autoscaler.kubernetes.io/scale-down-disabled": "true"})
    assert found(decided(seen(of_big(annotated), of_small()))) is None


# --- spot and on demand ---


@pytest.mark.parametrize(("old", "new"), [("SPOT", "ON_DEMAND"), ("ON_DEMAND", "SPOT")])
def test_pods_change_between_spot_and_on_demand_only_where_that_is_allowed(old: str, new: str) -> None:
    world = seen(of_big(big("n1", web(1000, 2), zone="us-east-1a"), capacity_type=old), of_small(capacity_type=new))
    assert found(decided(world)) is None
    assert found(decided(world, consolidation_across_capacity_types=True, consolidation_saving_threshold=0.1)) is not None


@pytest.mark.parametrize(("old", "new"), [("MIXED", "ON_DEMAND"), ("ON_DEMAND", "MIXED"), ("MIXED", "SPOT"), ("SPOT", "MIXED")])
def test_groups_of_both_kinds_take_no_part_since_what_a_node_costs_is_not_known(old: str, new: str) -> None:
    groups = of_big(big("n1", web(1000)), capacity_type=old), of_small(capacity_type=new)
    assert found(decided(seen(*groups), consolidation_across_capacity_types=True)) is None


def test_spot_nodes_count_at_the_spot_price_of_their_zone() -> None:
    world = seen(of_big(big("n1", web(1000, 2), zone="us-east-1a"), capacity_type="SPOT"), of_small(capacity_type="SPOT"))
    step = found(decided(world))
    assert step is not None
    assert (step.before, step.after) == (0.35, 0.1)


# --- when ---


def test_the_new_nodes_are_asked_for_once_the_consolidation_has_held_for_the_unneeded_time() -> None:
    world = seen(of_big(big("n1", web(1000, 2))), of_small())
    first = decided(world)
    assert first.increases == ()
    assert first.replacement is not None
    assert first.replacement.until == NOW + 600
    second = decided(world, found_long_ago(first))
    assert [(item.group, item.current, item.target) for item in second.increases] == [("small", 0, 1)]
    assert second.removals == ()
    assert "small" in second.memory.requests
    assert [notice.reason for notice in second.notices] == ["Consolidating"]


def test_nothing_is_asked_for_in_the_delay_after_a_scale_up() -> None:
    world = seen(of_big(big("n1", web(1000, 2))), of_small())
    memory = msgspec.structs.replace(found_long_ago(decided(world)), last_scale_up=NOW - 60)
    plan = decided(world, memory)
    assert plan.increases == ()
    assert found(plan) is not None


def test_a_consolidation_that_no_longer_pays_is_forgotten() -> None:
    world = seen(of_big(big("n1", web(1000, 2))), of_small())
    dearer = msgspec.structs.replace(world, prices=PriceTable({"big": 1.0, "small": 0.9}))
    assert found(decided(dearer, found_long_ago(decided(world)))) is None


def test_its_clock_stands_while_pods_wait_but_is_not_lost() -> None:
    world = seen(of_big(big("n1", web(1000, 2))), of_small())
    memory = found_long_ago(decided(world))
    waits = msgspec.structs.replace(world, pending=(waiting(shape(9000, controller=rs("web")), 1, name="huge"),))
    plan = decided(waits, memory)
    assert plan.increases == ()
    assert found(plan) == memory.consolidation


def test_the_plan_states_the_saving() -> None:
    plan = decided(seen(of_big(big("n1", web(1000, 2))), of_small()))
    assert plan.replacement is not None
    text = replacement_text(plan.replacement, NOW)
    assert text.startswith("consolidation: 1 node (n1: $1.000/h) by 1 of small ($0.300/h) saves $0.700/h, $511 a month; ")
    assert text.endswith("it must hold for a while first (10m0s at most)")


# --- the new nodes ---

ASKED = Consolidation(("n1", "n2"), "small", 2, 2.0, 0.6, HELD_LONG, asked=NOW - 120)


def small(name: str, *holds: PodSet, created: float = NOW - 60) -> Node:
    return node(name, 2000, 8000, holds=holds, labels={TYPE: "small"}, created=created)


def asked(*groups: tuple[NodeGroup, list[Node]], **flags: Any) -> Plan:
    memory = Memory(consolidation=ASKED, last_scale_up=NOW - 120, requests=flags.pop("requests", {}))
    return decided(seen(*groups), memory, max_drain_parallelism=flags.pop("parallel", 5), **flags)


OLD = (big("n1", web(1000, 2, "a")), big("n2", web(1000, 2, "b")))


def test_old_nodes_go_when_the_new_ones_are_ready_whatever_delay_runs_for_others() -> None:
    plan = asked(of_big(*OLD), of_small(small("s1"), small("s2")))
    assert [(removal.node, removal.reason, len(removal.moves)) for removal in plan.removals] == [
        ("n1", "consolidated", 2),
        ("n2", "consolidated", 2),
    ]


def test_nothing_goes_before_all_new_nodes_are_ready() -> None:
    plan = asked(of_big(*OLD), of_small(small("s1"), desired=2), requests={"small": ScaleUpRequest(2, NOW - 120, NOW + 780)})
    assert plan.removals == ()
    assert found(plan) == ASKED


def test_new_nodes_that_never_came_end_it() -> None:
    plan = asked(of_big(*OLD), of_small(small("s1")))
    assert found(plan) is None
    assert plan.removals == ()


def test_a_node_that_is_to_be_kept_meanwhile_stays() -> None:
    kept = {"cluster-autoscaler.kubernetes.io/scale-down-disabled": "true"}
    plan = asked(of_big(big("n1", web(1000), annotations=kept)), of_small(small("s1")))
    assert plan.removals == ()


def test_the_limit_on_drains_holds() -> None:
    assert [removal.node for removal in asked(of_big(*OLD), of_small(small("s1"), small("s2")), parallel=1).removals] == ["n1"]


def test_a_node_whose_pods_no_longer_fit_on_the_new_ones_stays() -> None:
    taken = small("s2", web(1000, 1, "c"))
    assert [removal.node for removal in asked(of_big(*OLD), of_small(small("s1"), taken)).removals] == ["n1"]


def test_the_new_nodes_are_not_taken_for_unneeded_while_they_wait_for_pods() -> None:
    plan = asked(of_big(*OLD), of_small(small("s1"), small("s2")), scale_down_unneeded_time=0.0, scale_down_delay_after_add=0.0, parallel=1)
    reasons = {item.node: item.reason for item in plan.nodes}
    assert reasons["s1"] is reasons["s2"] is Unremovable.CONSOLIDATING
    assert [removal.node for removal in plan.removals] == ["n1"]


def test_it_ends_when_the_old_nodes_are_gone() -> None:
    assert found(asked(of_big(), of_small(small("s1", web(1000, 2)), small("s2", web(1000, 2))))) is None


def test_it_is_given_up_after_twice_the_time_that_nodes_may_take_to_come() -> None:
    memory = Memory(consolidation=msgspec.structs.replace(ASKED, asked=NOW - 1801))
    plan = decided(seen(of_big(*OLD), of_small(small("s1"), small("s2"))), memory)
    assert found(plan) is None
    assert plan.removals == ()


def test_switched_off_in_the_middle_the_new_nodes_are_like_any_other() -> None:
    plan = asked(of_big(*OLD), of_small(small("s1"), small("s2")), consolidation_enabled=False)
    assert {item.node: item.reason for item in plan.nodes}["s1"] is not Unremovable.CONSOLIDATING
