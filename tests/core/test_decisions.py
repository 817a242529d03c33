"""What a whole scan decides, with the cases of the peer's own tests."""

from collections.abc import Sequence

import msgspec
import pytest

from lambda_autoscaler.core.backoff import with_failure
from lambda_autoscaler.core.decide import decide
from lambda_autoscaler.core.memory import IncorrectSize, Memory, ScaleUpRequest
from lambda_autoscaler.core.model import GPU_LABEL, CloudTemplate, Cluster, DaemonSet, Node, NodeGroup, PodSet
from lambda_autoscaler.core.options import Range
from lambda_autoscaler.core.plan import Plan, Rule, ScaleUpResult
from lambda_autoscaler.core.template import templates
from tests.build import (
    GIB,
    LONG_AGO,
    MIB,
    NOW,
    cloud,
    cluster,
    daemon_pod,
    managed,
    node,
    options,
    ready,
    rs,
    shape,
    spread,
    taint,
    unready,
    waiting,
)

Members = tuple[NodeGroup, list[Node]]
DELAY = "cluster-autoscaler.kubernetes.io/pod-scale-up-delay"


def planned(given: Cluster, memory: Memory | None = None, now: float = NOW, **flags: object) -> Plan:
    flags.setdefault("scale_down_enabled", False)
    return decide(given, memory or Memory(), options(**flags), now)


def growth(plan: Plan) -> dict[str, int]:
    return {item.group: item.target - item.current for item in plan.increases}


def reasons(plan: Plan) -> list[str]:
    return [notice.reason for notice in plan.notices]


def full(name: str, cpu: int, used: int, memory: int = 1000) -> Node:
    return node(name, cpu, memory, holds=[waiting(shape(used, 0, controller=rs(f"on-{name}")), name=f"on-{name}")])


def two_groups(pending: Sequence[PodSet], **fields: object) -> Cluster:
    return cluster(managed("ng1", full("n1", 100, 80)), managed("ng2", full("n2", 1000, 800)), pending=pending, **fields)


# --- which group grows ---


def test_the_group_whose_nodes_are_large_enough_grows() -> None:
    plan = planned(two_groups([waiting(shape(500))]))
    assert growth(plan) == {"ng2": 1}
    assert plan.result is ScaleUpResult.SUCCESSFUL
    assert [notice.message for notice in plan.notices if notice.reason == "TriggeredScaleUp"] == [
        "pod triggered scale-up: [{ng2 1->2 (max: 10)}]"
    ]
    assert plan.memory.requests["ng2"] == ScaleUpRequest(1, NOW, NOW + 900)
    assert plan.memory.last_scale_up == plan.memory.size_set["ng2"] == NOW


def test_a_pod_that_no_group_can_help_is_told_why() -> None:
    plan = planned(cluster(managed("ng1", full("n1", 100, 80)), pending=[waiting(shape(500))]))
    assert plan.result is ScaleUpResult.NO_OPTIONS
    assert reasons(plan) == ["NotTriggerScaleUp"]
    assert plan.pods[0].outcome == "unhelped"
    assert plan.pods[0].reasons[0][1].rule is Rule.RESOURCE


def test_pods_helped_pods_without_hope_and_pods_that_another_group_could_help() -> None:
    filler = waiting(shape(80, 900, controller=rs("filler")))
    groups = managed("ng1", node("n1", 100, 1000, holds=[filler])), managed("ng2", full("n2", 1000, 800, memory=100))
    helped, hopeless, could_be = shape(900), shape(2000), shape(0, 200)
    plan = planned(cluster(*groups, pending=[waiting(item) for item in (helped, hopeless, could_be)]), expander=("random",), random_seed=1)
    assert growth(plan) == {"ng2": 1}
    assert {item.shape: item.outcome for item in plan.pods} == {helped: "triggered", hopeless: "unhelped", could_be: "waiting"}


def test_a_request_in_memory_grows_by_what_is_added() -> None:
    missing = managed("ng1", full("n1", 1000, 800), desired=2)
    plan = planned(cluster(missing, pending=[waiting(shape(800), 3)]), Memory(requests={"ng1": ScaleUpRequest(1, NOW - 60, NOW + 840)}))
    assert growth(plan) == {"ng1": 2}
    assert plan.memory.requests["ng1"].increase == 3


def test_pods_wait_for_nodes_that_are_coming() -> None:
    plan = planned(cluster(managed("ng1", full("n1", 1000, 800), desired=2), pending=[waiting(shape(800))]))
    assert growth(plan) == {}
    assert [item.outcome for item in plan.pods] == ["schedulable"]


def test_a_node_still_starting_is_counted_once() -> None:
    starting = node("n2", conditions=unready(NOW - 60), created=NOW - 60)
    plan = planned(cluster(managed("ng1", full("n1", 1000, 900), starting), pending=[waiting(shape(900), 2)]))
    assert growth(plan) == {"ng1": 1}


def test_equal_groups_share_an_increase_when_balancing_is_on() -> None:
    groups = [managed(name, full(f"{name}-1", 1500, 1400, 1000 * MIB)) for name in ("ng1", "ng2")]
    given = cluster(*groups, pending=[waiting(shape(1400), 2)])
    assert growth(planned(given, balance_similar_node_groups=True)) == {"ng1": 1, "ng2": 1}
    assert sum(growth(planned(given)).values()) == 2
    assert len(growth(planned(given))) == 1


def test_an_increase_goes_to_the_smallest_of_equal_groups() -> None:
    sizes = {"ng1": (1, 1), "ng2": (1, 2), "ng3": (1, 5), "ng4": (3, 5)}
    groups = [managed(name, *(full(f"{name}-{at}", 100, 80) for at in range(size)), maximum=top) for name, (size, top) in sizes.items()]
    assert growth(planned(cluster(*groups, pending=[waiting(shape(80), 2)]), balance_similar_node_groups=True)) == {"ng2": 1, "ng3": 1}


def test_only_groups_that_can_host_the_same_pods_share_an_increase() -> None:
    picky = shape(1400, 0, node_selector=(("disk", "ssd"),))
    groups = (
        managed("ng1", full("n1", 1500, 1400)),
        managed("ng2", node("n2", 1500, holds=[waiting(shape(1400, controller=rs("x")))], labels={"disk": "ssd"})),
    )
    plan = planned(cluster(*groups, pending=[waiting(picky, 2)]), balance_similar_node_groups=True, balancing_ignore_label=("disk",))
    assert growth(plan) == {"ng2": 2}


def test_pods_that_want_gpus_make_options_of_the_groups_that_have_them() -> None:
    def pool(name: str, gpus: int) -> Members:
        amounts = tuple(sorted({"cpu": 2000, "memory": 1000 * MIB, "nvidia.com/gpu": gpus, "pods": 100}.items()))
        busy = waiting(shape(2000, 1000 * MIB, more={"nvidia.com/gpu": gpus} if gpus else {}, controller=rs(name)), name=name)
        return managed(name, node(name, amounts=amounts, holds=[busy], labels={GPU_LABEL: "t4"} if gpus else {}))

    plan = planned(
        cluster(*(pool(f"gpu-{gpus}", gpus) for gpus in (0, 1, 2, 4)), pending=[waiting(shape(1, MIB, more={"nvidia.com/gpu": 1}), 3)])
    )
    assert {option.group: option.nodes for option in plan.options} == {"gpu-1": 3, "gpu-2": 2, "gpu-4": 1}


# --- limits ---


def test_the_limit_on_cores_cuts_an_increase() -> None:
    groups = managed("ng1", full("n1", 2000, 1000)), managed("ng2", full("n2", 4000, 3000))
    plan = planned(cluster(*groups, pending=[waiting(shape(2000), 2)]), cores_total=Range(0, 9), expander=("random",))
    assert growth(plan) == {"ng1": 1}
    assert sum(len(item.pods) for item in plan.pods if item.outcome == "triggered") == 2


def test_nodes_outside_any_group_count_against_the_limit_on_cores() -> None:
    plan = planned(
        cluster(managed("ng1", full("n1", 2000, 1000)), others=[full("n2", 4000, 3000)], pending=[waiting(shape(2000), 2)]),
        cores_total=Range(0, 9),
    )
    assert growth(plan) == {"ng1": 1}


def test_the_limit_on_memory_cuts_an_increase() -> None:
    groups = managed("ng1", full("n1", 2000, 1000, GIB)), managed("ng2", full("n2", 2000, 1000, 10 * GIB))
    plan = planned(cluster(*groups, pending=[waiting(shape(2000, GIB), 3)]), memory_total=Range(0, 13), expander=("random",))
    assert growth(plan) == {"ng1": 2}


def test_a_group_over_the_limit_is_skipped_and_the_limit_named() -> None:
    groups = managed("ng1", full("n1", 2000, 1000)), managed("ng2", full("n2", 4000, 3000))
    plan = planned(cluster(*groups, pending=[waiting(shape(2000), 2)]), cores_total=Range(0, 7))
    assert plan.increases == ()
    assert {reason.rule for _, reason in plan.skipped_groups} == {Rule.QUOTA}
    assert any('exceeded quota: "cluster-wide"' in notice.message for notice in plan.notices)


@pytest.mark.parametrize("autoscaled", [True, False])
def test_the_limit_on_nodes_cuts_an_increase(autoscaled: bool) -> None:
    other = full("n1", 2000, 2000)
    groups = [managed("ng2", full("n2", 4000, 3000, 1000 * MIB))] + ([managed("ng1", other)] if autoscaled else [])
    plan = planned(cluster(*groups, others=[] if autoscaled else [other], pending=[waiting(shape(4000, 100 * MIB), 3)]), max_nodes_total=3)
    assert growth(plan) == {"ng2": 1}


def test_spread_pods_on_old_nodes_do_not_lift_an_increase_over_the_limit() -> None:
    web = shape(100, 0, labels={"app": "web"}, spread=(spread(max_skew=1),), controller=rs("web"))
    plan = planned(cluster(managed("ng1", full("n1", 1000, 950)), pending=[waiting(web, 8)]), max_nodes_total=2)
    assert sum(growth(plan).values()) <= 1


def test_no_group_grows_when_the_cluster_has_its_nodes() -> None:
    plan = planned(two_groups([waiting(shape(600))]), max_nodes_total=2)
    assert plan.result is ScaleUpResult.LIMITED
    assert reasons(plan) == ["MaxNodesTotalReached", "NotTriggerScaleUp"]


def test_unready_nodes_count_against_the_limit_on_nodes_when_packing() -> None:
    groups = managed("ng1", full("n1", 1000, 1000), node("n2", conditions=unready()))
    plan = planned(cluster(groups, pending=[waiting(shape(600), 3)]), max_nodes_total=2)
    assert plan.increases == ()


def test_a_full_group_is_skipped() -> None:
    plan = planned(cluster(managed("ng1", full("n1", 1000, 900), maximum=1), pending=[waiting(shape(600))]))
    assert dict(plan.skipped_groups)["ng1"].rule is Rule.MAX_SIZE


def test_a_group_left_alone_is_skipped_and_the_next_one_grows() -> None:
    memory = with_failure(Memory(), "ng1", options(), NOW - 1, ("code", "text"))
    groups = [managed(name, full(f"{name}-1", 1000, 900)) for name in ("ng1", "ng2")]
    plan = planned(cluster(*groups, pending=[waiting(shape(600))]), memory)
    assert growth(plan) == {"ng2": 1}
    assert dict(plan.skipped_groups)["ng1"].rule is Rule.BACKOFF


def test_an_unhealthy_group_is_skipped() -> None:
    memory = with_failure(Memory(), "ng2", options(), NOW - 1, ("code", "text"))
    groups = managed("ng1", full("n1", 100, 80)), managed("ng2", full("n2", 1000, 800), desired=5)
    plan = planned(cluster(*groups, pending=[waiting(shape(550))]), memory, ok_total_unready_count=0, max_total_unready_percentage=0.0)
    assert plan.increases == ()
    assert {name: reason.rule for name, reason in plan.skipped_groups} == {"ng2": Rule.NOT_READY}


def test_a_group_without_template_is_skipped_and_says_why() -> None:
    empty = managed("ng1", cloud=CloudTemplate(fault="launch template lt-1 does not exist"))
    plan = planned(cluster(empty, pending=[waiting(shape(1))]))
    reason = dict(plan.skipped_groups)["ng1"]
    assert (reason.rule, reason.object) == (Rule.NO_TEMPLATE, "launch template lt-1 does not exist")


def test_an_unhealthy_cluster_decides_nothing() -> None:
    broken = [node(f"n{at}", conditions=unready()) for at in range(4)]
    plan = planned(cluster(managed("ng1", *broken), pending=[waiting(shape(600))]), Memory(unneeded_since={"n1": LONG_AGO}))
    assert (plan.healthy, plan.increases, plan.pods) == (False, (), ())
    assert plan.memory.unneeded_since == {}
    assert reasons(plan) == ["ClusterUnhealthy"]


# --- which pods count ---


def test_free_capacity_is_used_before_nodes_are_added_larger_priorities_first() -> None:
    small, middle, large = shape(200), shape(500, priority=10), shape(1800, priority=20)
    plan = planned(cluster(managed("ng1", node("n1", 2000)), pending=[waiting(item) for item in (small, middle, large)]))
    assert {item.shape: item.outcome for item in plan.pods} == {large: "schedulable", small: "schedulable", middle: "triggered"}


@pytest.mark.parametrize(("priority", "grown"), [(1, 0), (2, 1), (3, 1), (None, 1)])
def test_pods_below_the_cutoff_ask_for_nothing(priority: int | None, grown: int) -> None:
    plan = planned(two_groups([waiting(shape(500, priority=priority))]), expendable_pods_priority_cutoff=2)
    assert sum(growth(plan).values()) == grown


def test_expendable_pods_leave_their_room_to_others() -> None:
    idle = node("n1", holds=[waiting(shape(1000, priority=-20))])
    assert growth(planned(cluster(managed("ng1", idle), pending=[waiting(shape(600))]))) == {}


def test_a_pod_promised_to_a_node_takes_its_room() -> None:
    nominated = (("n1", waiting(shape(800))),)
    given = cluster(managed("ng1", node("n1")), nominated=nominated, pending=[waiting(shape(300))])
    assert growth(planned(given)) == {"ng1": 1}
    assert growth(planned(msgspec.structs.replace(given, pending=()))) == {}


def test_daemon_pods_ask_for_nothing() -> None:
    assert planned(two_groups([waiting(daemon_pod(500))])).increases == ()


def test_pods_of_bypassed_schedulers_count_at_once() -> None:
    young = waiting(shape(500), created=NOW - 1)
    assert growth(planned(two_groups([], unprocessed=(young,)), bypassed_scheduler_names=("custom",))) == {"ng2": 1}


@pytest.mark.parametrize(
    ("annotation", "age", "flag", "grown"),
    [(None, 60, 0, 1), ("5m", 60, 0, 0), ("5m", 360, 0, 1), (None, 60, 300, 0), ("2m", 180, 300, 0), ("error", 60, 0, 1)],
)
def test_pods_wait_for_their_scale_up_delay(annotation: str | None, age: float, flag: float, grown: int) -> None:
    annotations = ((DELAY, annotation),) if annotation else ()
    plan = planned(two_groups([waiting(shape(500, annotations=annotations), created=NOW - age)]), new_pod_scale_up_delay=float(flag))
    assert sum(growth(plan).values()) == grown
    assert len(plan.faults) == ((annotation, flag) in {("2m", 300), ("error", 0)})


@pytest.mark.parametrize(
    ("age", "gpu", "result"),
    [(1, False, ScaleUpResult.IN_COOLDOWN), (3, False, ScaleUpResult.SUCCESSFUL), (3, True, ScaleUpResult.IN_COOLDOWN)],
)
def test_pods_that_are_all_new_are_left_to_the_scheduler_for_a_moment(age: float, gpu: bool, result: ScaleUpResult) -> None:
    pod = shape(500, more={"nvidia.com/gpu": 1} if gpu else {})
    assert planned(two_groups([waiting(pod, created=NOW - age)])).result is result


def test_nothing_waiting_needs_nothing() -> None:
    plan = planned(two_groups([]))
    assert (plan.result, plan.increases, plan.notices) == (ScaleUpResult.NOT_NEEDED, (), ())


# --- the node a group would add ---


def source(*nodes: Node, memory: Memory | None = None, fault: str = "", now: float = NOW) -> str:
    owner = managed("ng1", *nodes, cloud=CloudTemplate(fault=fault) if fault else cloud(1000, 1000))
    found, _ = templates(cluster(owner), memory or Memory(), options(node_info_cache_expire_time=3600.0), now)
    return found["ng1"].source if found else ""


def remembered(now: float) -> Memory:
    return templates(cluster(managed("ng1", node("n1"))), Memory(), options(), now)[1]


def test_a_steady_ready_node_is_the_template() -> None:
    assert source(node(conditions=ready(NOW - 120)), memory=remembered(NOW)) == "node"


@pytest.mark.parametrize(
    "poor",
    [
        node(conditions=unready()),
        node(taints=(taint("ToBeDeletedByClusterAutoscaler"),)),
        node(conditions=ready(NOW - 10)),
        node(unschedulable=True),
    ],
)
def test_a_poor_node_is_the_last_resort(poor: Node) -> None:
    assert source(poor) == "cloud"
    assert source(poor, memory=remembered(NOW)) == "remembered"
    assert source(poor, fault="unknown type") == "unready node"


def test_a_remembered_node_is_used_until_it_is_too_old() -> None:
    assert source(memory=remembered(NOW - 60)) == "remembered"
    assert source(memory=remembered(NOW - 3601)) == "cloud"
    assert source(memory=remembered(NOW - 3601), fault="unknown") == ""


def test_an_unchanged_node_is_not_remembered_anew_every_minute() -> None:
    before = remembered(NOW)
    after = templates(cluster(managed("ng1", node("n1"))), before, options(), NOW + 60)[1]
    assert after == before


def template_pods(*holds: PodSet, daemon: DaemonSet, live: bool = True, **flags: object) -> list[str]:
    owner = managed("ng1", *([node(holds=list(holds))] if live else []), cloud=cloud(1000, 1000))
    found, _ = templates(cluster(owner, daemon_sets=(daemon,)), Memory(), options(**flags), NOW)
    return [item.controller.name if item.controller else "mirror" for item, _ in found["ng1"].pods]


def test_a_template_carries_daemon_and_mirror_pods_and_no_others() -> None:
    agent = DaemonSet("agent", "kube-system", daemon_pod(10, name="agent"))
    mirror = shape(5, annotations=(("kubernetes.io/config.mirror", "x"),))
    assert template_pods(waiting(agent.shape), waiting(mirror), waiting(shape(7, controller=rs("web"))), daemon=agent) == [
        "agent",
        "mirror",
    ]


def test_daemon_sets_that_a_node_lacks_are_added_when_forced_critical_or_the_node_is_unseen() -> None:
    agent = DaemonSet("agent", "kube-system", daemon_pod(10, name="agent"))
    assert template_pods(daemon=agent) == []
    assert template_pods(daemon=agent, force_ds=True) == ["agent"]
    assert template_pods(daemon=msgspec.structs.replace(agent, critical=True)) == ["agent"]
    assert template_pods(daemon=agent, live=False) == ["mirror", "agent"]
    unsuited = DaemonSet("gpu", "kube-system", daemon_pod(10, name="gpu", node_selector=(("gpu", "yes"),)))
    assert template_pods(daemon=unsuited, live=False) == ["mirror"]


def test_resources_that_only_aws_knows_of_are_added_to_a_live_node() -> None:
    extra = CloudTemplate(capacity=(("cpu", 9), ("example.com/fpga", 2)))
    found, _ = templates(cluster(managed("ng1", node(), cloud=extra)), Memory(), options(), NOW)
    assert dict(found["ng1"].allocatable)["example.com/fpga"] == 2
    assert dict(found["ng1"].capacity)["cpu"] == 1000


def test_a_wrong_size_is_set_right_before_anything_else() -> None:
    owner, nodes = managed("ng1", full("n1", 1000, 900))
    wrong = cluster((msgspec.structs.replace(owner, desired=3), nodes), pending=[waiting(shape(600))])
    plan = planned(wrong, Memory(incorrect_sizes={"ng1": IncorrectSize(1, 3, LONG_AGO)}))
    assert (plan.resize, plan.increases, plan.pods) == ((("ng1", 1),), (), ())
