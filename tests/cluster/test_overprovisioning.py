"""Room kept free, end to end: on a real control plane, whose scheduler preempts, with the packaged function, on what a stack declares.

One story, told in the order of the tests.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lightkube.codecs import from_dict
from lightkube.resources.core_v1 import Event, Pod

from lambda_autoscaler.core.pending import NEW_POD_GRACE
from tests.cluster.binaries import Binaries
from tests.cluster.declared_cluster import DeclaredCluster
from tests.cluster.function import Invocation
from tests.cluster.teams import wait_for_running_pods
from tests.cluster.waiting import wait_for

pytestmark = pytest.mark.control_plane

PROGRAM = Path(__file__).parent / "programs" / "reserve.py"
NAMESPACE = "default"
TEAM = "shop"
PLACEHOLDERS = {"app.kubernetes.io/instance": "reserve"}


@pytest.fixture(scope="module")
def cluster(binaries: Binaries) -> Iterator[DeclaredCluster]:
    with DeclaredCluster(binaries, PROGRAM, first_nodes=1) as running:
        yield running


def _scan(cluster: DeclaredCluster) -> Invocation:
    done = cluster.scan()
    assert done.error is None, done.error
    assert done.result["failures"] == done.result["faults"] == []
    return done


def _sizes(cluster: DeclaredCluster) -> dict[str, int]:
    return {name: cluster.group(cluster.deployment.outputs[name])["DesiredCapacity"] for name in ("first", "preferred")}


def _placeholder(cluster: DeclaredCluster) -> tuple[str, str]:
    """Where the only placeholder is (no node: empty), and in which phase."""
    (pod,) = [pod for pod in cluster.admin.list(Pod, namespace=NAMESPACE, labels={**PLACEHOLDERS}) if _is_kept(pod)]
    assert pod.spec is not None
    assert pod.status is not None
    return pod.spec.nodeName or "", str(pod.status.phase)


def _is_kept(pod: Pod) -> bool:
    assert pod.metadata is not None
    return pod.metadata.deletionTimestamp is None


def _node_of_the_team(cluster: DeclaredCluster) -> str:
    (pod,) = cluster.admin.list(Pod, namespace=NAMESPACE, labels={"team": TEAM})
    assert pod.spec is not None
    return str(pod.spec.nodeName)


def _reasons(cluster: DeclaredCluster, namespace: str) -> set[str]:
    return {str(event.reason) for event in cluster.admin.list(Event, namespace=namespace)}


def test_a_placeholder_fills_the_first_node_and_brings_none(cluster: DeclaredCluster) -> None:
    wait_for("a running placeholder", lambda: _placeholder(cluster)[1], lambda phase: phase == "Running", 30)
    assert _scan(cluster).result["scale_up"] == []
    assert _sizes(cluster) == {"first": 1, "preferred": 0}


def test_a_pod_takes_the_placeholders_room_without_waiting_for_a_node(cluster: DeclaredCluster) -> None:
    room, _ = _placeholder(cluster)
    requests: dict[str, Any] = {"requests": {"cpu": "3", "memory": "1Gi"}}
    metadata = {"name": "checkout", "namespace": NAMESPACE, "labels": {"team": TEAM}}
    spec = {"nodeSelector": {"team": TEAM}, "containers": [{"name": "main", "image": "app", "resources": requests}]}
    cluster.admin.create(from_dict({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}))
    wait_for_running_pods(cluster.admin, TEAM, 1)
    assert _node_of_the_team(cluster) == room
    assert "Preempted" in _reasons(cluster, NAMESPACE)
    assert _sizes(cluster) == {"first": 1, "preferred": 0}


def test_the_placeholder_that_waits_brings_a_node_of_the_group_with_the_highest_priority(cluster: DeclaredCluster) -> None:
    wait_for("a placeholder that waits", lambda: _placeholder(cluster), lambda seen: seen == ("", "Pending"), 30)
    time.sleep(NEW_POD_GRACE + 1)
    cluster.world.forget_calls()
    assert [(item["group"], item["to"]) for item in _scan(cluster).result["scale_up"]] == [(cluster.deployment.outputs["preferred"], 1)]
    assert cluster.function_writes() == ["SetDesiredCapacity"]
    assert not {reason for reason in _reasons(cluster, "kube-system") if reason.startswith("PriorityConfigMap")}


def test_there_is_room_again_and_nothing_more_is_asked_for(cluster: DeclaredCluster) -> None:
    node, _ = wait_for("a running placeholder", lambda: _placeholder(cluster), lambda seen: seen[1] == "Running", 60)
    assert node != _node_of_the_team(cluster)
    assert _scan(cluster).result["scale_up"] == []
    assert _sizes(cluster) == {"first": 1, "preferred": 1}
