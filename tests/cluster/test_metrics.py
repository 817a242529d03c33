"""Alarms and dashboard have data: one run in which all happens that they tell of, and what both functions wrote in it.

One story, told in the order of the tests: each brings about some of the metrics, and the last ones look at all that was written.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lightkube.codecs import from_dict
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.policy_v1 import PodDisruptionBudget

from tests.cluster import metrics
from tests.cluster.binaries import Binaries
from tests.cluster.declared_cluster import DeclaredCluster
from tests.cluster.teams import NAMESPACE, create_team, keep_one_pod_a_node, scale_team, wait_for_running_pods
from tests.cluster.waiting import wait_for

pytestmark = pytest.mark.control_plane

PROGRAM = Path(__file__).parent / "programs" / "watched.py"
METRICS_PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
PREFIX = "cluster_autoscaler_"
NO_CAPACITY = "InsufficientInstanceCapacity - We currently do not have sufficient m5.xlarge capacity"
SETTINGS = {
    "consolidation-enabled": True,
    "expander": "most-pods",
    "max-pod-eviction-time": "8s",
    "node-delete-delay-after-taint": "1s",
    "scale-down-delay-after-add": "0s",
    "scale-down-delay-after-failure": "0s",
    "scale-down-unneeded-time": "2s",
    "unremovable-node-recheck-timeout": "1s",
}


@dataclass(frozen=True)
class Watched:
    """The cluster, and what its functions wrote so far."""

    cluster: DeclaredCluster

    def written(self) -> set[metrics.Metric]:
        scans = [line for one in self.cluster.invoker.history for line in one.logs]
        answers = [line for one in self.cluster.event_source.deliveries for line in one.invocation.logs]
        return metrics.written([*scans, *answers])

    def names(self) -> set[str]:
        return {metric.name.removeprefix(PREFIX) for metric in self.written()}

    def scan_until(self, *names: str) -> None:
        """Scan as the schedule does until each of the metrics was written."""
        wait_for(f"{names} to be written", self._scan, lambda seen: seen >= set(names), 90, pause=1.0)

    def wait_for(self, *names: str) -> None:
        """Return when each of the metrics was written."""
        wait_for(f"{names} to be written", self.names, lambda seen: seen >= set(names), 60)

    def _scan(self) -> set[str]:
        done = self.cluster.scan()
        assert done.error is None, done.error
        return self.names()

    def instance(self, group: str) -> str:
        """The instance in service of a group that has one."""
        instances = self.cluster.group(self.cluster.deployment.outputs[group])["Instances"]
        (only,) = (one["InstanceId"] for one in instances if one["LifecycleState"] == "InService")
        return str(only)

    def guard(self, name: str, team: str, min_available: int) -> None:
        """Make a disruption budget for a team."""
        spec = {"minAvailable": min_available, "selector": {"matchLabels": {"team": team}}}
        metadata = {"name": name, "namespace": NAMESPACE}
        self.cluster.admin.create(from_dict({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec}))


@pytest.fixture(scope="module")
def watched(binaries: Binaries) -> Iterator[Watched]:
    with DeclaredCluster(binaries, PROGRAM, first_nodes=1, settings=SETTINGS) as running:
        running.joiner.delay_leaves(120)  # node objects of ended instances are left to the function
        yield Watched(running)


def requests(cpu: str) -> dict[str, Any]:
    return {"containers": [{"name": "main", "image": "app", "resources": {"requests": {"cpu": cpu}}}]}


def test_a_group_grows_and_its_nodes_go_half_empty_and_empty(watched: Watched) -> None:
    """The first drain fails for eight seconds, longer than its scan lasts: pods with two budgets cannot be evicted at all."""
    admin = watched.cluster.admin
    create_team(admin, "pair", pods=4, **requests("1500m"))
    watched.scan_until("scaled_up_nodes_total")
    wait_for_running_pods(admin, "pair", 4)
    keep_one_pod_a_node(admin, "pair")
    scale_team(admin, "pair", 2)
    for name in ("one", "other"):
        watched.guard(name, "pair", min_available=1)
    watched.scan_until("pending_node_deletions", "evicted_pods_total_failed")
    admin.delete(PodDisruptionBudget, "other", namespace=NAMESPACE)
    watched.scan_until("scaled_down_nodes_total_underutilized", "evicted_pods_total_succeeded")
    scale_team(admin, "pair", 0)
    watched.scan_until("scaled_down_nodes_total_empty")


def test_a_group_cannot_grow(watched: Watched) -> None:
    watched.cluster.world.fail_launches(watched.cluster.deployment.outputs["scarce"], NO_CAPACITY)
    create_team(watched.cluster.admin, "scarce", pods=1)
    watched.scan_until("failed_scale_ups_total")
    watched.cluster.admin.delete(Deployment, "scarce", namespace=NAMESPACE)


def test_a_node_gives_way_to_a_cheaper_one(watched: Watched) -> None:
    admin = watched.cluster.admin
    create_team(admin, "large", pods=1, nodeSelector={"team": "shop"}, **requests("5"))
    create_team(admin, "small", pods=1, nodeSelector={"team": "shop"}, **requests("1"))
    watched.cluster.scan()
    wait_for_running_pods(admin, "large", 1)
    wait_for_running_pods(admin, "small", 1)
    admin.delete(Deployment, "large", namespace=NAMESPACE)
    wait_for_running_pods(admin, "large", 0)
    watched.scan_until("scaled_down_nodes_total_consolidated")


def test_a_spot_node_is_at_risk_and_then_taken_back(watched: Watched) -> None:
    admin = watched.cluster.admin
    create_team(admin, "batch", pods=1, waiting=0)
    wait_for_running_pods(admin, "batch", 1)
    instance = watched.instance("spot")
    watched.cluster.world.instances.recommend_rebalance(instance)
    watched.wait_for("interruption_received_total_RebalanceRecommendation")
    watched.cluster.world.instances.take_back(instance)
    watched.wait_for("interruption_received_total_SpotInterruption", "interruption_seconds_to_empty", "interruption_pods_moved_total")
    wait_for_running_pods(admin, "batch", 1)


def test_an_instance_ends_with_a_pod_that_its_budget_kept_there(watched: Watched) -> None:
    watched.guard("batch", "batch", min_available=1)
    wait_for("the group to have one instance", lambda: _in_service(watched), lambda seen: seen == 1, 60)
    watched.cluster.world.instances.lose(watched.instance("spot"))
    watched.wait_for("interruption_received_total_StateChange", "interruption_pods_lost_total")


def _in_service(watched: Watched) -> int:
    instances = watched.cluster.group(watched.cluster.deployment.outputs["spot"])["Instances"]
    return sum(one["LifecycleState"] == "InService" for one in instances)


def test_every_metric_that_an_alarm_or_a_panel_names_was_written_under_the_dimensions_that_it_names(watched: Watched) -> None:
    cloudwatch = watched.cluster.world.client("cloudwatch")
    alarms = metrics.named_by_alarms(cloudwatch)
    panels = metrics.named_by_dashboard(cloudwatch, watched.cluster.deployment.outputs["dashboard"])
    assert len(alarms) >= 11
    assert len(panels) >= 25
    outputs = watched.cluster.deployment.outputs
    functions = [outputs["function_name"], outputs["interruption_function_name"]]
    queues = [url.rpartition("/")[2] for url in watched.cluster.world.client("sqs").list_queues()["QueueUrls"]]
    there = watched.written() | metrics.of_aws({"FunctionName": functions, "QueueName": queues})
    assert sorted((metric.name, sorted(metric.dimensions)) for metric in (alarms | panels) - there) == []


def test_every_metric_that_was_written_is_documented(watched: Watched) -> None:
    documented = re.findall(r"\| `(cluster_autoscaler_[\w*]+)`", METRICS_PAGE.read_text())
    patterns = [re.compile(re.escape(name).replace(r"\*", r"\w+")) for name in documented]
    names = {metric.name for metric in watched.written()}
    assert [name for name in sorted(names) if not any(pattern.fullmatch(name) for pattern in patterns)] == []
