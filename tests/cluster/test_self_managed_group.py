"""A self-managed spot group beside a managed one, end to end: on a real control plane, with the packaged function."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lightkube.codecs import from_dict
from lightkube.resources.core_v1 import Node, Pod

from lambda_autoscaler.core.pending import NEW_POD_GRACE
from tests.cluster.binaries import Binaries
from tests.cluster.declared_cluster import DeclaredCluster
from tests.cluster.waiting import wait_for
from tests.cluster.workloads import wait_for_ready_nodes

pytestmark = pytest.mark.control_plane

PROGRAM = Path(__file__).parent / "programs" / "self_managed.py"
NAMESPACE = "default"
LABELS = {"app": "work"}


@pytest.fixture(scope="module")
def cluster(binaries: Binaries) -> Iterator[DeclaredCluster]:
    with DeclaredCluster(binaries, PROGRAM, first_nodes=3, settings={"scale-down-enabled": False}) as running:
        yield running


def create_work(cluster: DeclaredCluster, pods: int) -> None:
    """Create a Deployment whose pods take a spot node each."""
    resources = {"requests": {"cpu": "3", "memory": "1Gi"}}
    pod = {"nodeSelector": {"workload": "spot"}, "containers": [{"name": "main", "image": "app", "resources": resources}]}
    spec = {"replicas": pods, "selector": {"matchLabels": LABELS}, "template": {"metadata": {"labels": LABELS}, "spec": pod}}
    metadata = {"name": "work", "namespace": NAMESPACE}
    cluster.admin.create(from_dict({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}))


def pod_states(cluster: DeclaredCluster) -> tuple[int, int]:
    """How many of the pods run, and for how many the scheduler found no node."""
    statuses = [pod.status for pod in cluster.admin.list(Pod, namespace=NAMESPACE, labels=dict(LABELS)) if pod.status]
    unschedulable = [one for status in statuses for one in status.conditions or () if one.reason == "Unschedulable"]
    return sum(status.phase == "Running" for status in statuses), len(unschedulable)


def spot_nodes(cluster: DeclaredCluster) -> list[str]:
    """Ids of the instances whose nodes carry the labels of the self-managed group."""
    labels = {"workload": "spot", "eks.amazonaws.com/capacityType": "SPOT"}
    nodes = cluster.admin.list(Node, labels=dict(labels))
    return sorted(str(node.spec.providerID).rpartition("/")[2] for node in nodes if node.spec)


def instances(cluster: DeclaredCluster) -> list[str]:
    return sorted(one["InstanceId"] for one in cluster.group(cluster.deployment.outputs["spot"])["Instances"])


def test_the_instances_of_a_self_managed_group_join_with_its_labels(cluster: DeclaredCluster) -> None:
    assert len(instances(cluster)) == 2
    assert spot_nodes(cluster) == instances(cluster)


def test_one_scan_scales_a_self_managed_group_up_for_pods_that_wait(cluster: DeclaredCluster) -> None:
    create_work(cluster, pods=5)
    wait_for("two running pods and three that wait", lambda: pod_states(cluster), lambda seen: seen == (2, 3), 30)
    time.sleep(NEW_POD_GRACE + 1)
    cluster.world.forget_calls()
    done = cluster.scan()
    assert done.error is None, done.error
    assert [(item["group"], item["to"]) for item in done.result["scale_up"]] == [(cluster.deployment.outputs["spot"], 5)]
    assert cluster.function_writes() == ["SetDesiredCapacity"]
    wait_for_ready_nodes(cluster.admin, 6, seconds=60)
    wait_for("five running pods", lambda: pod_states(cluster), lambda seen: seen[0] == 5, 60)
    assert spot_nodes(cluster) == instances(cluster)
