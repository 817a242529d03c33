"""CoreDNS as EKS installs it: a Deployment of two pods in kube-system that, unlike a DaemonSet's, need a node of the cluster."""

from typing import Any

import lightkube
from lightkube.codecs import from_dict
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Pod

from tests.cluster.waiting import wait_for

NAMESPACE = "kube-system"
NAME = "coredns"
LABELS: dict[str, Any] = {"k8s-app": "kube-dns"}
REPLICAS = 2


def create_coredns(client: lightkube.Client) -> None:
    """Create the Deployment: two pods of 100 millicores and 70 MiB, on different nodes where there are any."""
    pod = {
        "priorityClassName": "system-cluster-critical",
        "tolerations": [{"key": "CriticalAddonsOnly", "operator": "Exists"}],
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": LABELS},
            }
        ],
        "containers": [{"name": "coredns", "image": "coredns", "resources": {"requests": {"cpu": "100m", "memory": "70Mi"}}}],
    }
    spec = {"replicas": REPLICAS, "selector": {"matchLabels": LABELS}, "template": {"metadata": {"labels": LABELS}, "spec": pod}}
    client.create(_object("apps/v1", "Deployment", spec))


def create_coredns_budget(client: lightkube.Client) -> None:
    """Create the PodDisruptionBudget that the EKS add-on brings along: one pod at a time."""
    client.create(_object("policy/v1", "PodDisruptionBudget", {"maxUnavailable": 1, "selector": {"matchLabels": LABELS}}))


def scale_coredns(client: lightkube.Client, replicas: int) -> None:
    """``kubectl --namespace kube-system scale deployment/coredns``."""
    client.patch(Deployment.Scale, NAME, {"spec": {"replicas": replicas}}, namespace=NAMESPACE)


def coredns_nodes(client: lightkube.Client) -> set[str]:
    """Names of the nodes on which CoreDNS runs."""
    pods = client.list(Pod, namespace=NAMESPACE, labels=LABELS)
    return {pod.spec.nodeName for pod in pods if pod.spec and pod.spec.nodeName and pod.status and pod.status.phase == "Running"}


def wait_for_coredns(client: lightkube.Client) -> None:
    """Return when both pods run."""
    wait_for("CoreDNS", lambda: _running(client), lambda seen: seen == REPLICAS, 60.0)


def _running(client: lightkube.Client) -> int:
    return sum(pod.status is not None and pod.status.phase == "Running" for pod in client.list(Pod, namespace=NAMESPACE, labels=LABELS))


def _object(version: str, kind: str, spec: dict[str, Any]) -> Any:
    return from_dict({"apiVersion": version, "kind": kind, "metadata": {"name": NAME, "namespace": NAMESPACE}, "spec": spec})
