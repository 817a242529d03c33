"""Interruptions of managed node groups, and rebalance recommendations, end to end on a real control plane.

EKS drains spot nodes of managed groups by itself. A stand-in plays it; switched off, the drain is the autoscaler's.
"""

from collections.abc import Iterator

import pytest

from tests.cluster.binaries import Binaries
from tests.cluster.instance_ends import SPOT_NOTICE_SECONDS
from tests.cluster.interrupted import COMPLETE, OURS, SET, TERMINATE, Interrupted, interrupted_cluster, taint_of
from tests.cluster.pod_watch import PodWatch
from tests.cluster.waiting import now

pytestmark = pytest.mark.control_plane

EKS_PATIENCE = 20.0


@pytest.fixture(scope="module")
def spot(binaries: Binaries) -> Iterator[Interrupted]:
    with interrupted_cluster(binaries) as running:
        running.run("web", "managed", 3, min_available=2)
        yield running


@pytest.fixture(autouse=True)
def _only_calls_of_this_test(spot: Interrupted) -> None:
    spot.cluster.world.forget_calls()
    spot.eks.works = True


def test_eks_drains_a_managed_node_and_ours_only_asks_for_capacity(spot: Interrupted) -> None:
    (instance,) = spot.instances("managed")
    node, names = spot.node_of(instance), spot.names("web")
    with PodWatch(spot.cluster.admin, {"app": "web"}) as watch:
        spot.cluster.world.instances.take_back(instance)
        marked = spot.wait_for_mark(node)
        spot.wait_for_the_end(node)
        spot.wait_for_pods("web", 3)
    assert taint_of(marked) == "SpotInterruption"
    assert watch.least >= 2

    delivered_at = spot.delivered_at(instance)
    assert spot.marked_at(node) - delivered_at < 2
    assert [one for one in spot.requests(OURS) if one.what in ("create pods/eviction", "delete pods")] == []
    granted = [one.at for one in spot.evictions("web") if one.status == 201]
    asked, handed_back = spot.aws_writes("managed", instance)
    assert (asked.operation, asked.params["DesiredCapacity"], handed_back.operation) == (SET, 2, TERMINATE)
    assert delivered_at < asked.at < min(delivered_at + 60, max(granted))
    assert max(granted) < handed_back.at < delivered_at + SPOT_NOTICE_SECONDS
    waited = [name for name in names if "TriggeredScaleUp" in spot.events_on_pod(name)]
    assert len(waited) >= 2  # one may have been evicted before the scan looked
    assert (len(granted), spot.desired("managed"), len(spot.instances("managed"))) == (3, 1, 1)
    assert spot.instances("managed") != [instance]
    print(spot.times(instance, node))


def test_a_managed_node_that_eks_does_not_drain_is_taken_over(spot: Interrupted) -> None:
    spot.eks.works = False
    (instance,) = spot.instances("managed")
    node, before = spot.node_of(instance), now()
    with PodWatch(spot.cluster.admin, {"app": "web"}) as watch:
        spot.cluster.world.instances.take_back(instance)
        spot.wait_for_the_end(node)
        spot.wait_for_pods("web", 3)
    assert watch.least >= 2

    delivered_at = spot.delivered_at(instance)
    assert spot.marked_at(node) - delivered_at < 2
    evictions = [one for one in spot.evictions("web") if one.at > before]
    assert {one.user for one in evictions} == {OURS}
    granted = [one.at for one in evictions if one.status == 201]
    asked, handed_back = spot.aws_writes("managed", instance)
    assert (asked.operation, asked.params["DesiredCapacity"], handed_back.operation) == (SET, 2, TERMINATE)
    assert asked.at < delivered_at + EKS_PATIENCE <= evictions[0].at
    assert len(granted) == 3
    assert max(granted) < handed_back.at < delivered_at + SPOT_NOTICE_SECONDS
    assert (spot.desired("managed"), len(spot.instances("managed"))) == (1, 1)
    print(spot.times(instance, node))


def test_with_draining_opted_in_a_recommendation_moves_the_pods_of_either_kind_of_group(spot: Interrupted) -> None:
    spot.configure(AUTOSCALER_DRAIN_ON_REBALANCE="true")
    spot.run("shop", "own", 3, min_available=2)
    spot.cluster.world.forget_calls()
    (own,), (managed,) = spot.instances("own"), spot.instances("managed")
    before, nodes = now(), [spot.node_of(own), spot.node_of(managed)]
    with PodWatch(spot.cluster.admin, {"app": "shop"}) as shop, PodWatch(spot.cluster.admin, {"app": "web"}) as web:
        spot.cluster.world.instances.recommend_rebalance(own, managed)
        spot.wait_for_the_end(*nodes, seconds=180)
        spot.wait_for_pods("shop", 3)
        spot.wait_for_pods("web", 3)
    assert (shop.least >= 2, web.least >= 2) == (True, True)

    ours, eks = ([one for one in spot.evictions(app) if one.at > before and one.status == 201] for app in ("shop", "web"))
    assert (len(ours), {one.user for one in ours}) == (3, {OURS})
    assert (len(eks), OURS in {one.user for one in eks}) == (3, False)
    asked, *rest = spot.aws_writes("own", own)
    assert [asked.operation, *(call.operation for call in rest)] == [SET, TERMINATE, COMPLETE]
    assert asked.at < min(one.at for one in ours)
    assert [call.operation for call in spot.aws_writes("managed", managed)] == [SET, TERMINATE]
    for group, instance in (("own", own), ("managed", managed)):
        assert (spot.desired(group), len(spot.instances(group))) == (1, 1)
        assert spot.instances(group) != [instance]
    print(spot.times(own, nodes[0]), spot.times(managed, nodes[1]))


def test_a_recommendation_marks_and_moves_nothing_by_default(spot: Interrupted) -> None:
    spot.configure(AUTOSCALER_DRAIN_ON_REBALANCE="false")
    spot.eks.works = False
    spot.cluster.world.forget_calls()
    (own,), (managed,) = spot.instances("own"), spot.instances("managed")
    before = now()
    spot.cluster.world.instances.recommend_rebalance(own, managed)
    marked = [spot.wait_for_mark(spot.node_of(instance)) for instance in (own, managed)]
    assert spot.cluster.scan().error is None
    assert [taint_of(node) for node in marked] == ["RebalanceRecommendation"] * 2
    for instance in (own, managed):
        node = spot.node(spot.node_of(instance))
        assert (taint_of(node), node.spec and node.spec.unschedulable) == ("RebalanceRecommendation", None)
        assert {"RebalanceRecommendation", "Cordon"} <= set(spot.events_on(spot.node_of(instance)))
        assert spot.marked_at(spot.node_of(instance)) - spot.delivered_at(instance) < 2
    assert [one for one in spot.requests() if one.at > before and one.what in ("create pods/eviction", "delete pods")] == []
    assert spot.aws_writes("own") + spot.aws_writes("managed") == []
