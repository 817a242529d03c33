"""One autoscaler for two clusters, end to end: on two real control planes, with the one packaged function, on what a program declares.

One story, told in the order of the tests.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from lightkube.resources.core_v1 import Event, Node

from tests.cluster.audit import read_audit
from tests.cluster.binaries import Binaries
from tests.cluster.declared_cluster import DeclaredCluster
from tests.cluster.eks_control_plane import EksControlPlane
from tests.cluster.function import Invocation
from tests.cluster.teams import create_team, scale_team, wait_for_running_pods, wait_for_unschedulable_pods
from tests.cluster.waiting import wait_for

pytestmark = pytest.mark.control_plane

PROGRAM = Path(__file__).parent / "programs" / "fleet.py"
CLUSTERS = NORTH, SOUTH = ("north", "south")
INTERRUPTION = "eks-autoscaling-interruption"


@pytest.fixture(scope="module")
def fleet(binaries: Binaries) -> Iterator[DeclaredCluster]:
    with DeclaredCluster(binaries, PROGRAM, first_nodes=1, names=CLUSTERS) as running:
        for plane in running.control_planes.values():
            create_team(plane.admin, "batch", pods=1, waiting=0)
            wait_for_running_pods(plane.admin, "batch", 1)
        yield running


def schedule(fleet: DeclaredCluster, cluster: str) -> str:
    """Name of a cluster's schedule, as the program exports it."""
    outputs = fleet.deployment.outputs
    return str(outputs["schedule_name"] if cluster == NORTH else outputs["fleet_schedule_names"][cluster])


def scan(fleet: DeclaredCluster, cluster: str) -> Invocation:
    done = fleet.scan(schedule(fleet, cluster))
    assert done.error is None, done.error
    assert done.result["failures"] == done.result["faults"] == []
    return done


def scaled(fleet: DeclaredCluster, done: Invocation) -> list[tuple[str, int]]:
    """Cluster and new size of the groups that a scan let grow."""
    clusters = {fleet.deployment.outputs[name]: name for name in CLUSTERS}
    return [(clusters[item["group"]], item["to"]) for item in done.result["scale_up"]]


def desired(fleet: DeclaredCluster) -> dict[str, int]:
    return {name: fleet.group(fleet.deployment.outputs[name])["DesiredCapacity"] for name in CLUSTERS}


def let_pods_wait(plane: EksControlPlane, pods: int, waiting: int) -> None:
    scale_team(plane.admin, "batch", pods)
    wait_for_unschedulable_pods(plane.admin, "batch", waiting)


def test_each_schedule_has_the_one_function_scan_its_own_cluster(fleet: DeclaredCluster) -> None:
    assert set(fleet.invokers) == {schedule(fleet, name) for name in CLUSTERS}
    assert len(fleet.deployment.of_type("aws:lambda/function:Function")) == 2
    for cluster, pods in ((NORTH, 2), (SOUTH, 3)):
        let_pods_wait(fleet.control_planes[cluster], pods, pods - 1)
    fleet.world.forget_calls()
    assert scaled(fleet, scan(fleet, SOUTH)) == [(SOUTH, 3)]
    assert desired(fleet) == {NORTH: 1, SOUTH: 3}
    assert scaled(fleet, scan(fleet, NORTH)) == [(NORTH, 2)]
    assert desired(fleet) == {NORTH: 2, SOUTH: 3}
    assert fleet.function_writes() == ["SetDesiredCapacity"] * 2


def test_pods_of_each_cluster_run_on_nodes_of_their_own_and_tell_of_it_in_it(fleet: DeclaredCluster) -> None:
    for cluster, pods in ((NORTH, 2), (SOUTH, 3)):
        admin = fleet.control_planes[cluster].admin
        wait_for_running_pods(admin, "batch", pods)
        nodes = {str(node.spec.providerID).rpartition("/")[2] for node in admin.list(Node) if node.spec}
        assert nodes == set(_instances(fleet, cluster))
        messages = [str(event.message) for event in admin.list(Event, namespace="default") if event.reason == "TriggeredScaleUp"]
        assert len(messages) == pods - 1
        assert all(fleet.deployment.outputs[cluster] in message for message in messages)


def _instances(fleet: DeclaredCluster, cluster: str) -> list[str]:
    group = fleet.group(fleet.deployment.outputs[cluster])
    return [one["InstanceId"] for one in group["Instances"] if one["LifecycleState"] == "InService"]


def test_scans_of_both_clusters_run_at_the_same_time(fleet: DeclaredCluster) -> None:
    with ThreadPoolExecutor(2) as threads:
        done = list(threads.map(lambda cluster: scan(fleet, cluster), CLUSTERS))
    assert [one.result["result"] for one in done] == ["ScaleUpNotNeeded"] * 2
    assert desired(fleet) == {NORTH: 2, SOUTH: 3}


def test_an_interruption_reaches_the_cluster_of_its_node_and_no_other(fleet: DeclaredCluster) -> None:
    instance = _instances(fleet, SOUTH)[0]
    node = fleet.control_planes[SOUTH].joiner.nodes[instance]
    others = _writes_on_nodes(fleet, NORTH)
    fleet.world.instances.take_back(instance)
    wait_for("the node to be marked and its instance to go", lambda: _instances(fleet, SOUTH), lambda seen: instance not in seen, 90)
    wait_for_running_pods(fleet.control_planes[SOUTH].admin, "batch", 3)
    assert ("patch nodes", node) in _writes_on_nodes(fleet, SOUTH)
    assert _writes_on_nodes(fleet, NORTH) == others == []
    assert desired(fleet) == {NORTH: 2, SOUTH: 3}


def _writes_on_nodes(fleet: DeclaredCluster, cluster: str) -> list[tuple[str, str]]:
    """What the interruption function did in a cluster beside reading."""
    requests = read_audit(fleet.control_planes[cluster].control_plane.folder)
    reads = ("get", "list", "watch")
    return [(one.what, one.name) for one in requests if one.user == INTERRUPTION and one.what.partition(" ")[0] not in reads]
