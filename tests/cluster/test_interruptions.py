"""Interruptions end to end: events through EventBridge and SQS reach the packaged function, on a real control plane."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lightkube.resources.core_v1 import Node

from tests.cluster.binaries import Binaries
from tests.cluster.declared_cluster import DeclaredCluster
from tests.cluster.eks_drains import EksDrains
from tests.cluster.interrupted import OURS, Interrupted
from tests.cluster.pod_watch import PodWatch
from tests.cluster.waiting import wait_for

pytestmark = pytest.mark.control_plane

PROGRAM = Path(__file__).parent / "programs" / "interruptions.py"
SETTINGS = {"scale-down-enabled": False}
NOTICE_SECONDS = 120.0
HERD = 30
SET, TERMINATE, COMPLETE = "SetDesiredCapacity", "TerminateInstanceInAutoScalingGroup", "CompleteLifecycleAction"


@pytest.fixture(scope="module")
def cluster(binaries: Binaries) -> Iterator[DeclaredCluster]:
    with DeclaredCluster(binaries, PROGRAM, first_nodes=3, settings=SETTINGS) as running:
        running.joiner.delay_leaves(NOTICE_SECONDS)  # node objects of ended instances are left to the function
        yield running


@pytest.fixture(scope="module")
def eks(cluster: DeclaredCluster) -> Iterator[EksDrains]:
    with EksDrains(cluster.admin, cluster.world.events) as running:
        yield running


@pytest.fixture(scope="module")
def spot(cluster: DeclaredCluster, eks: EksDrains) -> Interrupted:
    """The cluster, both functions warm."""
    found = Interrupted(cluster)
    found.warm()
    return found


@pytest.fixture(autouse=True)
def _only_calls_of_this_test(cluster: DeclaredCluster) -> None:
    cluster.world.forget_calls()


def now() -> float:
    return time.time()  # noqa: TID251 - beside the times of AWS's and Kubernetes' logs


def wait_for_the_end(spot: Interrupted, node: str, seconds: float = NOTICE_SECONDS) -> None:
    """Return when the node object is gone."""
    wait_for(
        f"the end of {node}",
        lambda: [one.metadata.name for one in spot.cluster.admin.list(Node) if one.metadata],
        lambda names: node not in names,
        seconds,
    )


def test_a_self_managed_spot_node_is_emptied_within_its_budget_and_replaced_once(spot: Interrupted) -> None:
    spot.run("shop", "own", 3, min_available=2)
    (instance,) = spot.instances("own")
    node = spot.node_of(instance)
    with PodWatch(spot.cluster.admin, {"app": "shop"}) as watch:
        warned_at = now()
        spot.cluster.world.instances.take_back(instance)
        wait_for_the_end(spot, node)
        spot.wait_for_pods("shop", 3)
    assert watch.least >= 2

    delivered_at = next(one.received_at for one in spot.cluster.event_source.deliveries if instance in one.bodies[0])
    marked, *_ = (one for one in spot.requests(OURS) if (one.what, one.name) == ("patch nodes", node))
    assert marked.at - delivered_at < 2
    calls = spot.aws_writes("own", instance)
    assert [call.operation for call in calls] == [SET, TERMINATE, COMPLETE]
    asked, handed_back, _ = calls
    granted = [one.at for one in spot.evictions("shop", OURS) if one.status == 201]
    assert (len(granted), asked.params["DesiredCapacity"]) == (3, 2)
    assert asked.at < min(granted)
    assert max(granted) < handed_back.at < warned_at + NOTICE_SECONDS
    assert handed_back.params["ShouldDecrementDesiredCapacity"] is True
    assert [call.error for call in calls] == [None] * 3
    assert (spot.desired("own"), len(spot.instances("own"))) == (1, 1)
    assert spot.instances("own") != [instance]
    assert [one.what for one in spot.requests(OURS) if one.name == node][-1] == "delete nodes"


def test_events_and_metrics_tell_of_it(spot: Interrupted) -> None:
    (node,) = {one.name for one in spot.requests(OURS) if one.what == "delete nodes"}
    assert {"SpotInterruption", "CordonAndDrain", "PostDrain", "DeletingNode"} <= set(spot.events_on(node))
    metrics = spot.metrics()
    prefix = "cluster_autoscaler_interruption_"
    assert metrics[f"{prefix}received_total_SpotInterruption"] == 1
    assert metrics[f"{prefix}pods_moved_total"] == 3
    assert 0 < metrics[f"{prefix}seconds_to_cordon"] < 5
    assert f"{prefix}pods_lost_total" not in metrics


@pytest.mark.parametrize("state", ["shutting-down", "stopping"])
def test_an_instance_that_ends_without_warning_leaves_no_node_and_no_pod_behind(spot: Interrupted, state: str) -> None:
    (instance,) = spot.instances("own")
    node = spot.node_of(instance)
    spot.cluster.world.instances.lose(instance, state)
    wait_for_the_end(spot, node, seconds=15)
    assert [one.user for one in spot.requests() if (one.what, one.name) == ("delete nodes", node)] == [OURS]
    spot.wait_for_pods("shop", 3, seconds=30)
    assert spot.aws_writes("own", instance) == []
    assert (spot.desired("own"), len(spot.instances("own"))) == (1, 1)
