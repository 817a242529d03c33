"""Interruptions end to end: events through EventBridge and SQS reach the packaged function, on a real control plane."""

from collections.abc import Iterator

import pytest

from tests.cluster.binaries import Binaries
from tests.cluster.instance_ends import SPOT_NOTICE_SECONDS
from tests.cluster.interrupted import COMPLETE, OURS, SET, TERMINATE, Interrupted, interrupted_cluster
from tests.cluster.pod_watch import PodWatch
from tests.cluster.waiting import now

pytestmark = pytest.mark.control_plane


@pytest.fixture(scope="module")
def spot(binaries: Binaries) -> Iterator[Interrupted]:
    with interrupted_cluster(binaries) as running:
        yield running


@pytest.fixture(autouse=True)
def _only_calls_of_this_test(spot: Interrupted) -> None:
    spot.cluster.world.forget_calls()


def test_a_self_managed_spot_node_is_emptied_within_its_budget_and_replaced_once(spot: Interrupted) -> None:
    spot.run("shop", "own", 3, min_available=2)
    (instance,) = spot.instances("own")
    node = spot.node_of(instance)
    with PodWatch(spot.cluster.admin, {"app": "shop"}) as watch:
        warned_at = now()
        spot.cluster.world.instances.take_back(instance)
        spot.wait_for_the_end(node)
        spot.wait_for_pods("shop", 3)
    assert watch.least >= 2

    assert spot.marked_at(node) - spot.delivered_at(instance) < 2
    calls = spot.aws_writes("own", instance)
    assert [call.operation for call in calls] == [SET, TERMINATE, COMPLETE]
    asked, handed_back, _ = calls
    granted = [one.at for one in spot.evictions("shop", OURS) if one.status == 201]
    assert (len(granted), asked.params["DesiredCapacity"]) == (3, 2)
    assert asked.at < min(granted)
    assert max(granted) < handed_back.at < warned_at + SPOT_NOTICE_SECONDS
    assert handed_back.params["ShouldDecrementDesiredCapacity"] is True
    assert [call.error for call in calls] == [None] * 3
    assert (spot.desired("own"), len(spot.instances("own"))) == (1, 1)
    assert spot.instances("own") != [instance]
    assert [one.what for one in spot.requests(OURS) if one.name == node][-1] == "delete nodes"
    print(spot.times(instance, node))


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
    spot.wait_for_the_end(node, seconds=15)
    assert [one.user for one in spot.requests() if (one.what, one.name) == ("delete nodes", node)] == [OURS]
    spot.wait_for_pods("shop", 3, seconds=30)
    assert spot.aws_writes("own", instance) == []
    assert (spot.desired("own"), len(spot.instances("own"))) == (1, 1)
