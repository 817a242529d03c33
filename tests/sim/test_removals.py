"""Removals of nodes in the simulated world, in simulated time: what goes well, and what others do meanwhile."""

import json
from typing import Any

import msgspec
import pytest

from lambda_autoscaler.ports import Conflict, Denied, NotFound, Refused, Throttled, Unreachable
from lambda_autoscaler.settings import from_flags
from lambda_autoscaler.sim.journal import Happening
from lambda_autoscaler.sim.run import play
from lambda_autoscaler.sim.scenario import Scaling, tutorial
from lambda_autoscaler.sim.specification import BudgetSpecification
from lambda_autoscaler.sim.world import World
from tests.sim.removals import Cluster


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def settled(cluster: Cluster, nodes: int = 1) -> bool:
    return len(cluster.nodes()) == cluster.group.desired == nodes and not cluster.marked()


def draining(cluster: Cluster) -> str:
    """Let the first removal begin, with its eviction refused for now; the node."""
    cluster.fail("evict", Throttled("the disruption budget allows no disruption now"), times=1000)
    cluster.minutes(3)
    (node,) = cluster.tainted()
    cluster.seen.before = lambda _call, _subject: None
    return node


def patch(cluster: Cluster, node: str, change: dict[str, Any]) -> None:
    """What another actor writes on a node."""
    cluster.world.kube.patch_node(node, json.dumps(change).encode())


def test_the_tutorial_scaled_back_to_two_replicas_is_back_at_two_spot_nodes_after_ten_minutes() -> None:
    story = tutorial()
    world = msgspec.structs.replace(story.world, budgets=(BudgetSpecification(workload="nginx-spot-demo", minimum_available=2),))
    back = Scaling(at=200, deployment="nginx-spot-demo", replicas=2)
    story = msgspec.structs.replace(story, world=world, steps=(*story.steps, back), duration=1500)
    worlds: list[World] = []
    trace = play(story, from_flags({"cluster-name": story.world.cluster}), worlds.append)
    spot = next(group for name, group in worlds[-1].fleet.groups.items() if "spot" in name)
    gone = [lane for lane in trace.lanes() if lane.gone is not None]
    assert (spot.desired, len(gone), len(worlds[-1].state.nodes)) == (2, 5, 4)
    assert all(600 <= (lane.leaving or 0) - trace.start - 200 <= 780 for lane in gone)
    assert sum(pod.is_available for pod in worlds[-1].state.pods if "nginx" in pod.name) == 2
    assert trace.warnings == ()


def test_two_of_three_nodes_are_drained_one_after_the_other_and_the_budget_holds(cluster: Cluster) -> None:
    cluster.minutes(12)
    assert settled(cluster)
    assert len(cluster.removed()) == 2
    assert cluster.least_available == 2
    assert cluster.telemetry.warnings == []


def test_what_happens_to_a_node_is_told_on_the_node_its_pods_and_the_status(cluster: Cluster) -> None:
    cluster.minutes(3)
    (node,) = cluster.removed()
    told = cluster.events("ScaleDown")
    assert told.count("marked the node as toBeDeleted/unschedulable") == 1
    assert told.count("nodes removed by cluster autoscaler") == 1
    assert told.count("deleting pod for node scale down") == 2
    assert any(text.startswith(f"Scale-down: removing node {node}, utilization: {{cpu 0.26") for text in told)
    assert f"Scale-down: node {node} removed with drain" in told


def test_a_group_at_its_minimum_loses_no_node() -> None:
    cluster = Cluster(minimum=3)
    cluster.minutes(6)
    assert settled(cluster, 3)
    assert cluster.removed() == []


def test_a_group_whose_minimum_is_raised_meanwhile_keeps_the_node(cluster: Cluster) -> None:
    node = draining(cluster)
    group = cluster.group
    group.specification = msgspec.structs.replace(group.specification, minimum=3)
    cluster.minutes(3)
    assert settled(cluster, 3)
    assert node not in cluster.removed()
    assert "is at its minimum of 3" in cluster.rolled_back()[0]
    assert any("failed to drain and delete node" in text for text in cluster.events("ScaleDownFailed"))


def test_an_eviction_that_a_budget_refuses_for_a_while_is_tried_again(cluster: Cluster) -> None:
    cluster.fail("evict", Throttled("the disruption budget allows no disruption now"), times=3)
    cluster.minutes(4)
    assert len(cluster.removed()) == 1
    assert cluster.rolled_back() == []


def test_an_eviction_that_is_refused_for_too_long_takes_the_removal_back(cluster: Cluster) -> None:
    cluster.fail("evict", Throttled("the disruption budget allows no disruption now"), times=1000)
    cluster.minutes(6)
    assert settled(cluster, 3)
    assert "was not evicted within" in cluster.rolled_back()[0]
    assert "failed to delete pod for ScaleDown" in cluster.events("ScaleDownFailed")


def test_a_pod_that_two_budgets_guard_is_not_evicted_by_force(cluster: Cluster) -> None:
    cluster.fail("evict", Refused("This pod has more than one PodDisruptionBudget"), times=1000)
    cluster.minutes(6)
    assert settled(cluster, 3)
    assert len(cluster.web_pods()) == 3


def test_a_pod_that_is_gone_when_it_is_evicted_is_no_failure(cluster: Cluster) -> None:
    cluster.fail("evict", NotFound("pods not found"))
    cluster.minutes(12)
    assert settled(cluster)
    assert cluster.rolled_back() == []


@pytest.mark.parametrize("times", [1, 2])
def test_a_node_that_changed_under_the_taint_is_read_again_or_left_for_the_next_scan(cluster: Cluster, times: int) -> None:
    cluster.minutes(2)
    cluster.fail("patch", Conflict("the object has been modified"), times=times)
    cluster.minutes(12)
    assert settled(cluster)


def test_a_taint_that_cannot_be_put_takes_the_others_of_its_batch_off_and_delays_scale_down() -> None:
    cluster = Cluster({"scale-down-delay-after-failure": "5m"}, replicas=0, available=0)
    cluster.minutes(2)
    began, patched = cluster.world.now, []

    def refuse_the_second(call: str, subject: str) -> None:
        if call == "patch" and subject not in patched:
            patched.append(subject)
            if len(patched) == 2:
                raise Denied("nodes is forbidden")

    cluster.seen.before = refuse_the_second
    cluster.minutes(1)
    assert cluster.marked() == []
    assert cluster.removed() == []
    assert cluster.world.memory.load().last_scale_down_failure == began
    assert any("failed to mark the node" in text for text in cluster.events("ScaleDownFailed"))
    cluster.minutes(4)
    assert cluster.removed() == []
    cluster.minutes(5)
    assert settled(cluster)


def test_a_node_that_vanishes_while_it_is_drained_is_no_failure(cluster: Cluster) -> None:
    node = draining(cluster)
    instance = next(item.id for item in cluster.group.instances.values() if item.node == node)
    cluster.world.fleet.terminate(instance)
    cluster.minutes(12)
    assert settled(cluster)
    assert cluster.rolled_back() == []


def test_an_instance_that_aws_will_not_terminate_keeps_its_node(cluster: Cluster) -> None:
    cluster.fail("terminate", Refused("ValidationError: instance is not in a state to be terminated"))
    cluster.minutes(3)
    assert settled(cluster, 3)
    assert "not in a state" in cluster.rolled_back()[0]


def test_a_termination_whose_answer_was_lost_is_not_made_twice(cluster: Cluster) -> None:
    lost = [True]

    def after(call: str, _subject: str) -> None:
        if call == "terminate" and lost:
            lost.pop()
            raise Unreachable("autoscaling does not answer")

    cluster.seen.after = after
    cluster.minutes(12)
    assert settled(cluster)
    assert cluster.rolled_back() == []
    assert len(cluster.world.journal.of(Happening.INSTANCE_TERMINATED)) == 2


def test_a_node_that_another_actor_untaints_is_given_back_and_told(cluster: Cluster) -> None:
    node = draining(cluster)
    patch(cluster, node, {"spec": {"taints": []}})
    cluster.minutes(1)
    assert cluster.marked() == []
    assert cluster.rolled_back() == ["somebody took its taint off"]


def test_a_node_that_somebody_cordoned_before_stays_cordoned_when_its_removal_is_taken_back() -> None:
    cluster = Cluster(replicas=0, available=0)
    cordoned, other = (node["metadata"]["name"] for node in cluster.nodes()[:2])
    patch(cluster, cordoned, {"spec": {"unschedulable": True}})
    cluster.fail("terminate", Refused("no"), times=1000)
    cluster.minutes(3)
    rolled_back = {item.node for report in cluster.reports for item in report.removals.rolled_back}
    assert {cordoned, other} <= rolled_back
    assert cluster.marked() == [cordoned]
    assert cluster.world.state.nodes[cordoned]["spec"]["unschedulable"]


def test_a_node_that_somebody_asks_to_keep_while_it_is_drained_is_kept(cluster: Cluster) -> None:
    node = draining(cluster)
    patch(cluster, node, {"metadata": {"annotations": {"cluster-autoscaler.kubernetes.io/scale-down-disabled": "true"}}})
    cluster.minutes(1)
    assert cluster.marked() == []
    assert node not in cluster.removed()


def test_a_removal_that_the_cluster_autoscaler_began_is_carried_on(cluster: Cluster) -> None:
    node = cluster.nodes()[0]["metadata"]["name"]
    taint = {"key": "ToBeDeletedByClusterAutoscaler", "value": str(int(cluster.world.now)), "effect": "NoSchedule"}
    patch(cluster, node, {"spec": {"taints": [taint], "unschedulable": True}})
    cluster.minutes(2)
    assert cluster.removed() == [node]


def test_a_deletion_taint_without_a_time_is_taken_off(cluster: Cluster) -> None:
    node = cluster.nodes()[0]["metadata"]["name"]
    patch(cluster, node, {"spec": {"taints": [{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}], "unschedulable": True}})
    cluster.minutes(1)
    assert cluster.marked() == []


def test_a_pod_that_came_to_an_empty_node_meanwhile_keeps_it() -> None:
    cluster = Cluster(replicas=0, available=0)
    came: list[str] = []

    def bind_a_pod(call: str, subject: str) -> None:
        if call == "patch" and not came:
            came.append(subject)
            template = next(iter(cluster.world.controllers.deployments.values())).template
            cluster.world.state.create_pod("default", "web-late", template, subject)

    cluster.minutes(2)
    cluster.seen.before = bind_a_pod
    cluster.minutes(1)
    assert "default/web-late" in cluster.rolled_back()[0]
    assert cluster.evictions() == {}
    assert came[0] not in cluster.removed()


def test_soft_taints_ask_the_scheduler_to_prefer_other_nodes_while_the_clock_runs(cluster: Cluster) -> None:
    cluster.minutes(1)
    soft = [taint for node in cluster.nodes() for taint in node["spec"].get("taints", ())]
    assert [(taint["key"], taint["effect"]) for taint in soft] == [("DeletionCandidateOfClusterAutoscaler", "PreferNoSchedule")]


def test_little_time_left_begins_no_removal(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.sim.removals.INVOCATION", 9.0)
    cluster.minutes(4)
    assert cluster.tainted() == []
    assert any("too little time was left" in warning for warning in cluster.telemetry.warnings)
