"""Spot interruptions in the simulated world, in simulated time: every one becomes a planned move."""

import contextlib
import json
from typing import Any

import pytest

from lambda_autoscaler import app
from lambda_autoscaler.core.interruption import ANSWER, INTERRUPTION
from lambda_autoscaler.core.units import format_timestamp
from lambda_autoscaler.ports import Kube, Throttled
from lambda_autoscaler.sim import kube_api
from lambda_autoscaler.sim.interruptions import InterruptionPath
from lambda_autoscaler.sim.journal import Happening
from lambda_autoscaler.sim.specification import WorkloadSpecification
from tests.sim.interruptions import Cluster
from tests.sim.small_world import group_name, pod_spec
from tests.sim.storm import weathered

DEADLINE = 120.0
DELETION = "ToBeDeletedByClusterAutoscaler"
SLOW = WorkloadSpecification(name="slow", replicas=0, pod=pod_spec("200m", terminationGracePeriodSeconds=120))


def taints(cluster: Cluster, node: str) -> dict[str, str]:
    return {taint["key"]: taint.get("value", "") for taint in cluster.node(node)["spec"].get("taints", [])}


def instant(cluster: Cluster, kind: Happening) -> float:
    """When something of a kind first happened, in seconds since the start."""
    return cluster.happened(kind)[0].at - cluster.start


# --- self-managed groups ---


def test_a_warning_moves_the_pods_within_their_budget_to_a_node_that_was_asked_for_first() -> None:
    cluster = Cluster()
    doomed = cluster.instances()[0]
    cluster.path.take_back(doomed.id)
    cluster.minutes(4)
    assert instant(cluster, Happening.CAPACITY_SET) < instant(cluster, Happening.POD_EVICTED)
    assert instant(cluster, Happening.INSTANCE_TERMINATED) < DEADLINE
    assert cluster.least_available >= 5
    assert cluster.running() == 6
    assert cluster.path.lines.metrics.get("interruption_pods_lost_total", 0) == 0
    assert (cluster.group.desired, cluster.launched(), len(cluster.nodes())) == (2, 1, 2)
    assert doomed.node not in cluster.nodes()


def test_the_node_is_marked_cordoned_and_out_of_load_balancers_seconds_after_the_warning() -> None:
    cluster = Cluster()
    doomed = cluster.instances()[0]
    cluster.path.take_back(doomed.id)
    cluster.seconds(2)
    node = cluster.node(doomed.node)
    assert taints(cluster, doomed.node)[INTERRUPTION] == "SpotInterruption"
    assert node["spec"]["unschedulable"] is True
    assert node["metadata"]["labels"]["node.kubernetes.io/exclude-from-external-load-balancers"] == "true"
    assert {"SpotInterruption", "CordonAndDrain"} <= cluster.reasons()


def test_where_the_pods_have_room_elsewhere_nothing_is_asked_for_and_the_group_replaces_its_instance() -> None:
    cluster = Cluster(spare=1)
    cluster.path.take_back(cluster.instances()[0].id)
    cluster.minutes(5)
    assert not cluster.happened(Happening.CAPACITY_SET)
    assert (cluster.group.desired, cluster.launched(), cluster.running()) == (3, 1, 6)
    assert cluster.least_available >= 5


@pytest.mark.parametrize("later", [1, 5, 20, 45])
def test_a_second_warning_some_seconds_later_leads_to_a_second_replacement_and_no_third(later: int) -> None:
    cluster = Cluster(replicas=9, available=3, desired=3)
    first, second, _ = cluster.instances()
    cluster.path.take_back(first.id)
    cluster.seconds(later)
    cluster.path.take_back(second.id)
    cluster.minutes(6)
    assert (cluster.group.desired, cluster.launched(), cluster.running()) == (3, 2, 9)
    assert cluster.path.lines.metrics.get("interruption_pods_lost_total", 0) == 0


def test_a_group_at_its_maximum_is_never_exceeded_and_its_pods_come_back_with_the_replacement() -> None:
    cluster = Cluster(maximum=2)
    cluster.path.take_back(cluster.instances()[0].id)
    cluster.minutes(8)
    assert all(int(entry.detail.split("->")[1]) <= 2 for entry in cluster.happened(Happening.CAPACITY_SET))
    assert (cluster.group.desired, cluster.running()) == (2, 6)


def test_a_pod_without_a_place_anywhere_stays_until_the_end_and_is_told_of() -> None:
    cluster = Cluster(maximum=2)
    doomed = cluster.instances()[0]
    cluster.path.take_back(doomed.id)
    cluster.seconds(60)
    cluster.minutes(1)
    evicted = [entry.at - cluster.start for entry in cluster.happened(Happening.POD_EVICTED)]
    assert evicted
    assert min(evicted) >= DEADLINE - 36
    assert "NotTriggerScaleUp" in cluster.reasons()


def test_a_budget_that_allows_nothing_ends_in_time_for_a_graceful_stop() -> None:
    cluster = Cluster(available=6)
    doomed = cluster.instances()[0]
    cluster.path.take_back(doomed.id)
    cluster.seconds(84)
    assert not cluster.happened(Happening.POD_EVICTED)
    cluster.seconds(11)
    assert len(cluster.happened(Happening.POD_EVICTED)) == 3


# --- managed groups ---


def test_on_a_managed_node_eks_drains_and_ours_asks_for_capacity_and_evicts_nothing() -> None:
    cluster = Cluster(self_managed=False)
    doomed = cluster.instances()[0]
    cluster.path.take_back(doomed.id)
    cluster.minutes(4)
    assert instant(cluster, Happening.CAPACITY_SET) < 60
    assert cluster.path.lines.metrics.get("interruption_pods_moved_total", 0) == 0
    assert "PodEviction" not in cluster.reasons()
    assert (cluster.group.desired, cluster.launched(), cluster.running()) == (2, 1, 6)


def test_a_managed_node_that_eks_does_not_drain_is_taken_over_in_time() -> None:
    cluster = Cluster(self_managed=False)
    cluster.path.eks_drains = False
    doomed = cluster.instances()[0]
    cluster.path.take_back(doomed.id)
    cluster.minutes(4)
    assert cluster.path.lines.metrics["interruption_pods_moved_total"] == 3
    assert instant(cluster, Happening.INSTANCE_TERMINATED) < DEADLINE
    assert cluster.least_available >= 5
    assert (cluster.group.desired, cluster.launched(), cluster.running()) == (2, 1, 6)


# --- rebalance recommendations ---


def test_a_rebalance_recommendation_only_marks() -> None:
    cluster = Cluster()
    risky = cluster.instances()[0]
    cluster.path.recommend_rebalance(risky.id)
    cluster.minutes(5)
    assert taints(cluster, risky.node)[INTERRUPTION] == "RebalanceRecommendation"
    assert "unschedulable" not in cluster.node(risky.node)["spec"]
    assert not cluster.happened(Happening.POD_EVICTED, Happening.CAPACITY_SET, Happening.INSTANCE_TERMINATED)


def test_a_mark_of_risk_that_came_to_nothing_is_taken_off_after_its_time() -> None:
    cluster = Cluster(flags={"interruption-risk-ttl": "5m"})
    risky = cluster.instances()[0]
    cluster.path.recommend_rebalance(risky.id)
    cluster.minutes(4)
    assert INTERRUPTION in taints(cluster, risky.node)
    cluster.minutes(3)
    assert INTERRUPTION not in taints(cluster, risky.node)
    assert INTERRUPTION not in cluster.node(risky.node)["metadata"]["annotations"]


def test_with_draining_opted_in_a_recommendation_moves_the_pods_like_a_warning() -> None:
    cluster = Cluster(flags={"drain-on-rebalance": "true"})
    cluster.path.recommend_rebalance(cluster.instances()[0].id)
    cluster.minutes(6)
    assert instant(cluster, Happening.CAPACITY_SET) < instant(cluster, Happening.POD_EVICTED)
    assert cluster.least_available >= 5
    assert (cluster.group.desired, cluster.launched(), cluster.running()) == (2, 1, 6)


def test_a_storm_of_recommendations_drains_no_more_than_the_share_of_the_group_at_a_time() -> None:
    flags = {"drain-on-rebalance": "true", "rebalance-drain-share": "0.34"}
    cluster = Cluster(replicas=9, available=7, desired=3, flags=flags)
    for instance in cluster.instances():
        cluster.path.recommend_rebalance(instance.id)
    most = 0
    for _ in range(20):
        cluster.minutes(1)
        cordoned = [node for node in cluster.nodes() if cluster.node(node)["spec"].get("unschedulable")]
        most = max(most, len(cordoned))
    assert most == 1
    assert cluster.least_available >= 7


# --- other events ---


def test_an_instance_that_ends_without_a_warning_leaves_no_node_and_no_lost_pod() -> None:
    cluster = Cluster()
    gone = cluster.instances()[0]
    cluster.path.end(gone.id)
    cluster.seconds(5)
    assert gone.node not in cluster.nodes()
    cluster.minutes(3)
    assert cluster.running() == 6


@pytest.mark.parametrize("times", [2, 5])
def test_the_same_warning_again_changes_nothing(times: int) -> None:
    cluster = Cluster()
    doomed = cluster.instances()[0]
    for _ in range(times):
        cluster.path.send(_warning(cluster, doomed.id))
    cluster.minutes(1)
    assert len(cluster.happened(Happening.CAPACITY_SET)) == 1
    assert len({entry.subject for entry in cluster.happened(Happening.POD_EVICTED)}) == len(cluster.happened(Happening.POD_EVICTED))


def test_messages_that_nobody_understands_end_in_the_dead_letter_queue_and_hurt_no_other() -> None:
    cluster = Cluster()
    cluster.path.send("?")
    cluster.path.take_back(cluster.instances()[0].id)
    cluster.minutes(4)
    assert cluster.path.dead == ["?"]
    assert cluster.running() == 6


def test_events_of_strange_instances_are_recorded_and_cost_one_list_of_nodes() -> None:
    cluster = Cluster()
    for number in range(50):
        cluster.path.send(_warning(cluster, f"i-{number:017x}"))
    cluster.seconds(5)
    assert cluster.path.lines.metrics == {"interruption_ignored_total": 50.0}


def test_half_of_a_large_cluster_is_moved_at_once_and_what_that_costs_grows_with_the_warnings_only() -> None:
    storm = weathered(nodes=200, warned=100)
    assert (storm.given_back, storm.lost, storm.dead) == (100, 0, 0)
    assert (storm.running, storm.desired) == (600, 200)
    assert max(storm.slowest_mark, storm.last_empty) < DEADLINE
    assert storm.calls_per_warning < 30
    assert storm.calls["evict"] == storm.pods


def _warning(cluster: Cluster, instance: str) -> str:
    envelope: dict[str, Any] = {
        "id": "one",
        "source": "aws.ec2",
        "detail-type": "EC2 Spot Instance Interruption Warning",
        "account": cluster.world.specification.account,
        "region": cluster.world.specification.region,
        "time": format_timestamp(cluster.world.now),
        "detail": {"instance-id": instance, "instance-action": "terminate"},
    }
    return json.dumps(envelope)


# --- scans that die, or wait, or cannot write ---


class Killed(BaseException):
    """Lambda ended the invocation."""


def test_capacity_that_a_killed_scan_asked_for_is_not_asked_for_again_nor_the_instance_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, left, mark = Cluster(), [1], app._Scan._mark

    def killed_before_the_first_answer(scan: Any, plan: Any, outcome: Any) -> None:
        if outcome.scaled and left.pop() if left else False:
            raise Killed
        mark(scan, plan, outcome)

    def survived(path: Any, wait: float) -> None:
        with contextlib.suppress(Killed):
            woken(path, wait)

    woken = InterruptionPath._scan
    monkeypatch.setattr(app._Scan, "_mark", killed_before_the_first_answer)
    monkeypatch.setattr(InterruptionPath, "_scan", survived)
    cluster.path.take_back(cluster.instances()[0].id)
    cluster.minutes(4)
    assert left == []
    assert (cluster.launched(), cluster.group.desired, cluster.running()) == (1, 2, 6)


class BusyKube:
    """The API server, which refuses the first answer that a scan writes."""

    def __init__(self, kube: Kube) -> None:
        self._kube, self._refusals = kube, 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kube, name)

    def patch_node(self, name: str, patch: bytes) -> None:
        if ANSWER.encode() in patch and INTERRUPTION.encode() not in patch and self._refusals:
            self._refusals -= 1
            raise Throttled("too many requests")
        self._kube.patch_node(name, patch)


def test_an_answer_that_could_not_be_written_is_given_by_the_next_scan_and_means_no_second_replacement() -> None:
    cluster = Cluster()
    cluster.path = InterruptionPath(cluster.world, cluster.options, cluster.telemetry, BusyKube(cluster.world.kube))
    cluster.path.take_back(cluster.instances()[0].id)
    cluster.minutes(4)
    assert (cluster.launched(), cluster.group.desired, cluster.running()) == (1, 2, 6)


@pytest.fixture
def removing(monkeypatch: pytest.MonkeyPatch) -> tuple[Cluster, str]:
    """A cluster in the minute in which a third node is being removed, whose pod takes long to end; and the name of that node."""
    monkeypatch.setattr(kube_api, "STOP_SECONDS", 100.0)
    cluster = Cluster(flags={"scale-down-unneeded-time": "1m"}, more=(SLOW,))
    cluster.world.fleet.set_desired(group_name(cluster.world), 3)
    cluster.world.advance(60)
    cluster.world.scale("default", "slow", 1)
    cluster.world.advance(15)
    for _ in range(8):
        cluster.minutes(1)
        leaving = [name for name in cluster.nodes() if DELETION in taints(cluster, name)]
        if leaving:
            cluster.start = cluster.world.now
            return cluster, leaving[0]
    raise AssertionError("no node is being removed")


def test_a_scan_that_waits_for_a_removal_gives_way_to_a_warning(removing: tuple[Cluster, str]) -> None:
    cluster, leaving = removing
    doomed = next(instance for instance in cluster.instances() if instance.node != leaving)
    cluster.world.agenda.after(3.0, lambda: cluster.path.take_back(doomed.id))
    cluster.minutes(3)
    assert instant(cluster, Happening.CAPACITY_SET) < instant(cluster, Happening.POD_EVICTED)
    assert instant(cluster, Happening.CAPACITY_SET) < 15
    assert cluster.least_available >= 5


def test_a_node_that_is_being_removed_is_not_replaced_when_its_instance_is_taken_back(removing: tuple[Cluster, str]) -> None:
    cluster, leaving = removing
    doomed = next(instance for instance in cluster.instances() if instance.node == leaving)
    cluster.world.agenda.after(3.0, lambda: cluster.path.take_back(doomed.id))
    cluster.minutes(6)
    assert (cluster.group.desired, cluster.launched(), cluster.running()) == (2, 0, 6)
