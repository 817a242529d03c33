"""Scaling back, end to end: on a real control plane, with the packaged function, on what the stack declares."""

from collections.abc import Iterator

import pytest
from lightkube.resources.core_v1 import Event, Node, Pod

from tests.cluster.binaries import Binaries
from tests.cluster.function import Invocation
from tests.cluster.pod_watch import PodWatch
from tests.cluster.tutorial_cluster import TutorialCluster
from tests.cluster.waiting import wait_for
from tests.cluster.workloads import (
    DEPLOYMENT,
    NAMESPACE,
    create_disruption_budget,
    create_spot_demo,
    scale,
    wait_for_ready_nodes,
    wait_for_running,
    wait_for_unschedulable,
)

pytestmark = pytest.mark.control_plane

AT_ONCE = {
    "scale-down-unneeded-time": "2s",
    "scale-down-delay-after-add": "0s",
    "unremovable-node-recheck-timeout": "1s",
    "node-delete-delay-after-taint": "1s",
    "max-drain-parallelism": 5,
}
SPREAD_OUT, LEFT = 7, 2


@pytest.fixture(scope="module")
def tutorial(binaries: Binaries) -> Iterator[TutorialCluster]:
    with TutorialCluster(binaries, settings=AT_ONCE) as running:
        yield running


@pytest.fixture(scope="module")
def grown(tutorial: TutorialCluster) -> TutorialCluster:
    """The tutorial with its 20 pods on seven spot nodes."""
    create_spot_demo(tutorial.admin, replicas=2)
    wait_for_running(tutorial.admin, 2)
    scale(tutorial.admin, 20)
    wait_for_unschedulable(tutorial.admin, 14)
    wait_for("the spot group at 7", lambda: _scan(tutorial), lambda _: tutorial.spot_group()["DesiredCapacity"] == 7, 30)
    wait_for_ready_nodes(tutorial.admin, 9, seconds=60)
    wait_for_running(tutorial.admin, 20, seconds=60)
    return tutorial


def _keep_one_pod_a_node(tutorial: TutorialCluster) -> None:
    """Make the Deployment give up the other pods first when it shrinks."""
    kept: set[str | None] = set()
    for pod in tutorial.admin.list(Pod, namespace=NAMESPACE, labels={"app": DEPLOYMENT}):
        assert pod.metadata is not None
        assert pod.spec is not None
        if pod.spec.nodeName not in kept:
            kept.add(pod.spec.nodeName)
            cost = {"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "100"}}}
            tutorial.admin.patch(Pod, str(pod.metadata.name), cost, namespace=NAMESPACE)


def _scan(tutorial: TutorialCluster) -> Invocation:
    invocation = tutorial.scan()
    assert invocation.error is None, invocation.error
    return invocation


def _scan_until(tutorial: TutorialCluster, desired: int) -> None:
    wait_for(f"the spot group at {desired}", lambda: _scan(tutorial), lambda _: tutorial.spot_group()["DesiredCapacity"] == desired, 90)


def test_seven_pods_on_seven_nodes_are_drained_onto_three_without_breaking_their_budget(grown: TutorialCluster) -> None:
    _keep_one_pod_a_node(grown)
    scale(grown.admin, SPREAD_OUT)
    wait_for_running(grown.admin, SPREAD_OUT)
    create_disruption_budget(grown.admin, min_available=SPREAD_OUT - 1)
    with PodWatch(grown.admin, {"app": DEPLOYMENT}) as watch:
        _scan_until(grown, 3)
        wait_for_ready_nodes(grown.admin, 5, seconds=60)
        wait_for_running(grown.admin, SPREAD_OUT)
    assert watch.least >= SPREAD_OUT - 1


def test_back_at_two_replicas_the_group_is_back_at_two_nodes(grown: TutorialCluster) -> None:
    scale(grown.admin, LEFT)
    wait_for_running(grown.admin, LEFT)
    _scan_until(grown, 2)
    wait_for_ready_nodes(grown.admin, 4, seconds=60)
    wait_for_running(grown.admin, LEFT)
    assert set(grown.function_writes()) == {"SetDesiredCapacity", "TerminateInstanceInAutoScalingGroup"}


def test_nothing_that_a_removal_writes_is_left_on_a_node(grown: TutorialCluster) -> None:
    _scan(grown)
    for node in grown.admin.list(Node):
        assert node.metadata is not None
        assert node.spec is not None
        assert not node.spec.unschedulable
        assert [taint.key for taint in node.spec.taints or () if "ClusterAutoscaler" in taint.key] == []
        assert "eks-autoscaling/removal" not in (node.metadata.annotations or {})


def test_events_tell_what_became_of_nodes_and_pods(grown: TutorialCluster) -> None:
    events = grown.admin.list(Event, namespace="*")
    told = {(event.involvedObject.kind, event.reason, (event.message or "").split(" ip-")[0]) for event in events}
    assert ("Node", "ScaleDown", "marked the node as toBeDeleted/unschedulable") in told
    assert ("Node", "ScaleDown", "nodes removed by cluster autoscaler") in told
    assert ("Pod", "ScaleDown", "deleting pod for node scale down") in told
    assert ("ConfigMap", "ScaleDown", "Scale-down: node") in told
