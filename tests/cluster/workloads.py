"""What runs on the story's cluster: the DaemonSets of every EKS node and the Deployment that wants spot nodes.

The requests decide how many pods a node takes: an m5.xlarge offers 3920 millicores, aws-node and kube-proxy take 150
of them, and three pods of 1000 fit into the rest.
"""

from typing import Any

import lightkube
from lightkube.codecs import from_dict
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Node, Pod

from tests.cluster.waiting import wait_for

DEPLOYMENT = "nginx-spot-demo"
NAMESPACE = "default"
_DAEMON_SETS_MILLICORES = {"aws-node": 50, "kube-proxy": 100}


def create_eks_daemon_sets(client: lightkube.Client) -> None:
    """Create aws-node (50 millicores) and kube-proxy (100 millicores), which tolerate every taint."""
    for name, millicores in _DAEMON_SETS_MILLICORES.items():
        client.create(from_dict(_daemon_set(name, millicores)))


def create_spot_demo(client: lightkube.Client, replicas: int = 2) -> None:
    """Create the Deployment nginx-spot-demo: pods of 1000 millicores and 1024 MiB that want spot nodes."""
    resources = {"cpu": "1000m", "memory": "1024Mi"}
    pod = {
        "nodeSelector": {"eks.amazonaws.com/capacityType": "SPOT"},
        "containers": [{"name": "nginx", "image": "nginx:1.29", "resources": {"requests": resources, "limits": resources}}],
    }
    client.create(
        from_dict(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": DEPLOYMENT, "namespace": NAMESPACE},
                "spec": {"replicas": replicas, **_selected({"app": DEPLOYMENT}, pod)},
            }
        )
    )


def scale(client: lightkube.Client, replicas: int) -> None:
    """Set the replicas of nginx-spot-demo, as ``kubectl scale`` does."""
    client.patch(Deployment.Scale, DEPLOYMENT, {"spec": {"replicas": replicas}}, namespace=NAMESPACE)


def create_disruption_budget(client: lightkube.Client, min_available: int) -> None:
    """Create a PodDisruptionBudget that keeps ``min_available`` pods of nginx-spot-demo from eviction."""
    client.create(
        from_dict(
            {
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": {"name": DEPLOYMENT, "namespace": NAMESPACE},
                "spec": {"minAvailable": min_available, "selector": {"matchLabels": {"app": DEPLOYMENT}}},
            }
        )
    )


def wait_for_running(client: lightkube.Client, count: int, seconds: float = 30.0) -> None:
    """Return when exactly ``count`` pods of nginx-spot-demo run and are ready."""
    wait_for(f"{count} running pods", lambda: _states(client), lambda seen: seen.get("Running", 0) == count, seconds)


def wait_for_unschedulable(client: lightkube.Client, count: int, seconds: float = 30.0) -> None:
    """Return when the scheduler has found no node for exactly ``count`` pods of nginx-spot-demo."""
    wait_for(
        f"{count} unschedulable pods",
        lambda: _states(client),
        lambda seen: seen.get("Unschedulable", 0) == count,
        seconds,
    )


def wait_for_ready_nodes(client: lightkube.Client, count: int, seconds: float = 30.0) -> None:
    """Return when the cluster has exactly ``count`` nodes, all ready and free of the control plane's own taints."""
    wait_for(
        f"{count} ready nodes",
        lambda: {node.metadata.name: _is_ready(node) for node in client.list(Node) if node.metadata},
        lambda seen: len(seen) == count and all(seen.values()),
        seconds,
    )


def _is_ready(node: Node) -> bool:
    conditions = (node.status.conditions if node.status else None) or ()
    taints = (node.spec.taints if node.spec else None) or ()
    return any(one.type == "Ready" and one.status == "True" for one in conditions) and not any(
        taint.key.startswith("node.kubernetes.io/") for taint in taints
    )


def _states(client: lightkube.Client) -> dict[str, int]:
    """How many pods of nginx-spot-demo are in which state."""
    states: dict[str, int] = {}
    for pod in client.list(Pod, namespace=NAMESPACE, labels={"app": DEPLOYMENT}):
        state = _state(pod)
        states[state] = states.get(state, 0) + 1
    return states


def _state(pod: Pod) -> str:
    assert pod.status is not None
    assert pod.metadata is not None
    if pod.metadata.deletionTimestamp is not None:
        return "Terminating"
    conditions = {one.type: one for one in pod.status.conditions or ()}
    if pod.status.phase == "Running":
        return "Running" if "Ready" in conditions and conditions["Ready"].status == "True" else "NotReady"
    scheduled = conditions.get("PodScheduled")
    if scheduled is not None and scheduled.status == "False":
        return scheduled.reason or "Pending"
    return pod.status.phase or "Pending"


def _selected(labels: dict[str, str], pod: dict[str, Any]) -> dict[str, Any]:
    return {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}


def _daemon_set(name: str, millicores: int) -> dict[str, Any]:
    pod = {
        "priorityClassName": "system-node-critical",
        "hostNetwork": True,
        "tolerations": [{"operator": "Exists"}],
        "containers": [{"name": name, "image": name, "resources": {"requests": {"cpu": f"{millicores}m"}}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": "kube-system"},
        "spec": _selected({"k8s-app": name}, pod),
    }
