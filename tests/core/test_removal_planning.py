"""Where the pods of removed nodes find a place, one removal after the other; and pods of draining nodes, which wait already."""

from typing import Any

import pytest

from lambda_autoscaler.core.decide import decide
from lambda_autoscaler.core.draining import pods_to_rehome
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.core.model import Cluster, Node, PodSet, PodShape
from lambda_autoscaler.core.plan import Plan, Unremovable
from tests.build import NOW, cluster, daemon_pod, managed, node, options, rs, shape, spread, taint, waiting

WORKLOADS = {("ReplicaSet", "default", "web"): 9, ("DaemonSet", "kube-system", "agent"): 1}
AT_ONCE: dict[str, Any] = {"scale_down_unneeded_time": 0.0, "scale_down_delay_after_add": 0.0, "scale_down_utilization_threshold": 1.0}
BEGUN = taint("ToBeDeletedByClusterAutoscaler", value=str(int(NOW - 30)))
STATIC = shape(annotations=(("kubernetes.io/config.source", "file"),))
MIRROR = shape(annotations=(("kubernetes.io/config.mirror", "x"),))


def web(cpu: int, count: int = 1, name: str = "web") -> PodSet:
    return waiting(shape(cpu, controller=rs("web"), labels={"app": "web"}), count, name=name)


def sized(name: str, cpu: int, *holds: PodSet, **fields: Any) -> Node:
    return node(name, cpu, 1000, holds=holds, **fields)


def decided(seen: Cluster, memory: Memory | None = None, **flags: Any) -> Plan:
    return decide(seen, memory or Memory(), options(**{**AT_ONCE, **flags}), NOW)


def unneeded(plan: Plan) -> list[str]:
    return sorted(plan.memory.unneeded_since)


# --- one removal after the other; nodes outside the group only take pods ---


@pytest.mark.parametrize(
    ("members", "others", "answer"),
    [
        ([sized("n1", 1000, web(500, 2)), sized("n2", 1000)], [], ["n2"]),
        ([sized("n1", 1000, web(500))], [], []),
        ([sized("n1", 1000, web(500, 2)), sized("n2", 1000, taints=(BEGUN,))], [], []),
        ([sized("n1", 2000, web(1000, 2, "a")), sized("n2", 1000, web(1000, 1, "b"))], [sized("n3", 500)], []),
        ([sized("n1", 1000, web(500, 2, "a")), sized("n2", 1000, web(500, 2, "b"))], [sized("n3", 2000)], ["n1", "n2"]),
        ([sized("n1", 2000, web(1000, 2, "a")), sized("n2", 1000, web(500, 2, "b"))], [sized("n3", 1000)], ["n2"]),
        ([sized("n1", 2000, web(1000, 2, "a")), sized("n2", 1000, web(500, 2, "b"))], [sized("n3", 500)], []),
    ],
    ids=["the empty one first", "alone", "nowhere but a node that goes", "too small", "room for both", "room for one", "room for half"],
)
def test_nodes_are_unneeded_only_as_far_as_all_their_pods_find_room(members: list[Node], others: list[Node], answer: list[str]) -> None:
    assert unneeded(decided(cluster(managed("ng1", *members), others=others, workloads=WORKLOADS))) == answer


@pytest.mark.parametrize(("honors_taints", "reason"), [(False, Unremovable.NO_PLACE), (True, None)])
def test_a_leaving_node_stays_an_empty_domain_of_its_hostname_unless_taints_are_honored(
    honors_taints: bool, reason: Unremovable | None
) -> None:
    rule = spread(max_skew=1, min_domains=2, honor_taints=honors_taints)
    app = shape(100, controller=rs("web"), labels={"app": "web"}, spread=(rule,))
    first, *rest = (sized(name, 1000, waiting(app, name=name)) for name in ("n1", "n2", "n3"))
    plan = decided(cluster(managed("ng1", first), others=rest, workloads=WORKLOADS))
    outcome = next(item for item in plan.nodes if item.node == "n1")
    assert outcome.reason is reason
    assert outcome.object == ("default/n1-0" if reason else "")


# --- scale-down switched off and on ---


@pytest.mark.parametrize(("enabled", "removed"), [(True, ["n1"]), (False, [])])
def test_an_empty_node_goes_only_while_scale_down_is_enabled(enabled: bool, removed: list[str]) -> None:
    plan = decided(cluster(managed("ng1", sized("n1", 1000))), scale_down_enabled=enabled)
    assert [item.node for item in plan.removals] == removed


def test_clocks_start_anew_when_scale_down_was_disabled_in_between() -> None:
    seen = cluster(managed("ng1", sized("n1", 1000)))
    off = decided(seen, Memory(unneeded_since={"n1": NOW - 3600}), scale_down_enabled=False)
    on = decided(seen, off.memory, scale_down_unneeded_time=600.0)
    assert on.removals == ()
    assert on.memory.unneeded_since == {"n1": NOW}


# --- pods of draining nodes ---


def named(name: str, of: PodShape) -> PodSet:
    return waiting(of, name=name)


def test_pods_of_all_draining_nodes_wait_beside_the_pending_ones() -> None:
    movable = shape(400, controller=rs("web"))
    holds = {
        "n1": [named("p1", movable), named("p2", movable), named("p3", movable), named("p4", daemon_pod())],
        "n2": [named("p5", movable), named("p6", movable)],
        "n3": [named("p7", movable), named("p8", STATIC), named("p9", MIRROR)],
        "n4": [],
        "n5": [],
    }
    members = [sized(name, 1200, *pods, taints=(BEGUN,) if name in ("n1", "n3", "n5") else ()) for name, pods in holds.items()]
    pending = [named("p10", shape(100)), named("p11", MIRROR), named("p12", STATIC)]
    seen = cluster(managed("ng1", *members), pending=pending, workloads=WORKLOADS)
    assert [pod.name for item in pods_to_rehome(seen) for pod in item.pods] == ["p1-0", "p2-0", "p3-0", "p7-0"]
    waited = sorted(pod.name for item in decided(seen).pods for pod in item.pods)
    assert waited == ["p1-0", "p10-0", "p11-0", "p12-0", "p2-0", "p3-0", "p7-0"]


def test_a_group_grows_for_pods_that_a_draining_node_will_leave_without_a_place() -> None:
    going, staying = sized("n1", 1000, web(800, 1, "a"), taints=(BEGUN,)), sized("n2", 1000, web(800, 1, "b"))
    plan = decided(cluster(managed("ng1", going, staying), workloads=WORKLOADS))
    assert [(item.group, item.target) for item in plan.increases] == [("ng1", 3)]
