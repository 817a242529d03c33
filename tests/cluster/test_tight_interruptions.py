"""Interruptions where it gets tight, end to end on a real control plane: pods that cannot move, and many warnings at once."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.cluster.binaries import Binaries
from tests.cluster.instance_ends import SPOT_NOTICE_SECONDS
from tests.cluster.interrupted import COMPLETE, OURS, SET, TERMINATE, Interrupted, interrupted_cluster
from tests.cluster.pod_watch import PodWatch
from tests.cluster.waiting import now, wait_for

pytestmark = pytest.mark.control_plane

LARGE, SMALL = 3000, 500
GRACE_SECONDS = 5.0
LATE_NOTICE_SECONDS = 80.0
HERD = 30
CALLS_PER_WARNING = 60


@pytest.fixture(scope="module")
def spot(binaries: Binaries) -> Iterator[Interrupted]:
    with interrupted_cluster(binaries) as running:
        yield running


# --- pods that cannot move ---


@dataclass(frozen=True)
class Cornered:
    """A node with two pods that could not move: ``homeless`` had no place anywhere, ``guarded`` a budget at zero."""

    node: str
    homeless: str
    guarded: str
    ends: float
    sizes_asked: list[int]


@pytest.fixture(scope="module")
def cornered(spot: Interrupted) -> Cornered:
    """A warning that comes late, in a group at its maximum that has room elsewhere for the smaller one of two pods."""
    spot.resize("own", 2)
    spot.wait_for_nodes("own", 2)
    spot.limit("own", 2)
    spot.run("large", "own", 2, millicores=LARGE)
    spot.run("guarded", "own", 1, min_available=1, millicores=SMALL)
    ((node, guarded),) = spot.places("guarded").items()
    homeless = spot.places("large")[node]
    (instance,) = (one for one in spot.instances("own") if spot.node_of(one) == node)
    spot.cluster.world.forget_calls()
    spot.cluster.world.instances.take_back(instance, notice_seconds=LATE_NOTICE_SECONDS)
    spot.wait_for_the_end(node)
    sizes = [call.params["DesiredCapacity"] for call in spot.aws_writes("own") if call.operation == SET]
    return Cornered(node, homeless, guarded, spot.deadline(node), sizes)


def when_told_to_end(spot: Interrupted, pod: str) -> float:
    """When the function deleted a pod past the eviction API, in seconds since the epoch."""
    (deleted,) = (one for one in spot.requests(OURS) if (one.what, one.name) == ("delete pods", pod))
    assert deleted.status == 200
    return deleted.at


def test_a_pod_without_a_place_anywhere_runs_until_the_time_that_it_needs_to_end(spot: Interrupted, cornered: Cornered) -> None:
    assert cornered.sizes_asked == []
    assert [one for one in spot.evictions("large") if one.name == cornered.homeless] == []
    assert cornered.ends - GRACE_SECONDS - 7 < when_told_to_end(spot, cornered.homeless) < cornered.ends - GRACE_SECONDS
    assert {"NotTriggerScaleUp", "PodEviction"} <= set(spot.events_on_pod(cornered.homeless))
    assert "CordonAndDrainError" in spot.events_on(cornered.node)


def test_a_pod_whose_budget_is_at_zero_is_not_evicted_and_ends_in_time(spot: Interrupted, cornered: Cornered) -> None:
    refused = [one.status for one in spot.evictions("guarded", OURS)]
    assert (len(refused) > 1, set(refused)) == (True, {429})
    assert cornered.ends - GRACE_SECONDS - 7 < when_told_to_end(spot, cornered.guarded) < cornered.ends - GRACE_SECONDS
    assert "PodEviction" in spot.events_on_pod(cornered.guarded)


def test_a_pod_that_could_not_move_is_first_in_line_for_new_capacity(spot: Interrupted, cornered: Cornered) -> None:
    spot.stop("guarded")
    spot.wait_for_nodes("own", 2)
    spot.wait_for_pods("large", 2)
    spot.ask_for("rival", "own", 1, millicores=LARGE)
    (rival,) = wait_for("a rival", lambda: spot.names("rival"), lambda names: len(names) == 1, 30)
    node, homeless = next(iter(spot.places("large").items()))
    (instance,) = (one for one in spot.instances("own") if spot.node_of(one) == node)
    spot.cluster.world.forget_calls()
    spot.cluster.world.instances.take_back(instance)
    for pod in (homeless, rival):
        wait_for(f"word to {pod}", lambda pod=pod: spot.events_on_pod(pod), lambda seen: "NotTriggerScaleUp" in seen, 30)  # type: ignore[misc]
    spot.cluster.world.hold_launches(spot.auto_scaling_group("own"))
    spot.limit("own", 3)
    assert spot.cluster.scan().error is None
    assert "TriggeredScaleUp" in spot.events_on_pod(homeless)
    assert "TriggeredScaleUp" not in spot.events_on_pod(rival)
    spot.stop("rival")
    spot.cluster.world.release_launches(spot.auto_scaling_group("own"))
    spot.wait_for_the_end(node)
    spot.wait_for_pods("large", 2)
    assert spot.desired("own") == 2
    spot.stop("large")


# --- many at once ---


def test_thirty_warnings_at_once_move_every_pod_with_a_bounded_number_of_calls(spot: Interrupted) -> None:
    spot.limit("own", 2 * HERD)
    spot.resize("own", HERD)
    spot.wait_for_nodes("own", HERD)
    spot.run("herd", "own", 2 * HERD, min_available=HERD, millicores=1700)
    herd = {instance: spot.node_of(instance) for instance in spot.instances("own")}
    lost, before = spot.metrics().get("cluster_autoscaler_interruption_pods_lost_total"), now()
    spot.cluster.world.forget_calls()
    with PodWatch(spot.cluster.admin, {"app": "herd"}) as watch:
        spot.cluster.world.instances.take_back(*herd)
        spot.wait_for_the_end(*herd.values())
        spot.wait_for_pods("herd", 2 * HERD)
    ours = [one for one in spot.requests(OURS) if one.at > before]
    marks = [spot.marked_at(node) - spot.delivered_at(instance) for instance, node in herd.items()]
    calls = spot.aws_writes("own")
    handed_back = [call for call in calls if call.operation == TERMINATE]
    last = max(call.at for call in handed_back) - before
    by_kind = Counter(one.what for one in ours)
    print(f"{HERD} warnings: last node marked after {max(marks):.1f} s, last one empty after {last:.0f} s, {watch.least} pods at the least")
    print(f"{len(ours) / HERD:.1f} calls of the Kubernetes API per warning: {dict(by_kind)}")

    assert watch.least >= HERD
    assert max(marks) < 30
    assert {call.params["InstanceId"] for call in handed_back} == set(herd)
    assert last < SPOT_NOTICE_SECONDS
    # The action of an instance whose node went first may be completed twice.
    assert [call.error for call in calls if call.error and call.operation != COMPLETE] == []
    assert max(call.params["DesiredCapacity"] for call in calls if call.operation == SET) <= 2 * HERD
    assert HERD <= spot.desired("own") == len(spot.instances("own")) <= HERD + spot.overwritten_decrements("own")
    assert not set(spot.instances("own")) & set(herd)
    assert (spot.dead_letters(), spot.metrics().get("cluster_autoscaler_interruption_pods_lost_total")) == (0, lost)
    assert by_kind["create pods/eviction"] >= 2 * HERD
    assert by_kind["delete pods"] == 0
    assert len(ours) / HERD < CALLS_PER_WARNING
