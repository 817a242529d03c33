"""Workloads of programs with a node group per team: a Deployment each, whose pods take a node each and want nodes of their team."""

import time
from typing import Any

import lightkube
from lightkube.codecs import from_dict
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Pod

from lambda_autoscaler.core.pending import NEW_POD_GRACE
from tests.cluster.waiting import wait_for

NAMESPACE = "default"


def create_team(client: lightkube.Client, team: str, pods: int, waiting: int | None = None, **spec: Any) -> None:
    """Create the team's Deployment, and return when the scheduler has found no node for its pods and a scan takes them.

    All of them, or ``waiting`` of them. ``spec`` holds fields of the pods' specification that are to be others than those of a team with
    nodes of its own.
    """
    labels = {"team": team}
    resources = {"requests": {"cpu": "3", "memory": "1Gi"}}
    pod = {
        "nodeSelector": {"team": team},
        "tolerations": [{"key": "dedicated", "operator": "Equal", "value": team, "effect": "NoSchedule"}],
        "containers": [{"name": "main", "image": "app", "resources": resources}],
        **spec,
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": team, "namespace": NAMESPACE},
        "spec": {"replicas": pods, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }
    client.create(from_dict(deployment))
    wait_for_unschedulable_pods(client, team, pods if waiting is None else waiting)


def scale_team(client: lightkube.Client, team: str, pods: int) -> None:
    """Set the replicas of the team's Deployment, as ``kubectl scale`` does."""
    client.patch(Deployment.Scale, team, {"spec": {"replicas": pods}}, namespace=NAMESPACE)


def keep_one_pod_a_node(client: lightkube.Client, team: str) -> None:
    """Make the team's Deployment give up the other pods first when it shrinks."""
    kept: set[str | None] = set()
    for pod in client.list(Pod, namespace=NAMESPACE, labels={"team": team}):
        assert pod.metadata is not None
        assert pod.spec is not None
        if pod.spec.nodeName not in kept:
            kept.add(pod.spec.nodeName)
            cost = {"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "100"}}}
            client.patch(Pod, str(pod.metadata.name), cost, namespace=NAMESPACE)


def wait_for_unschedulable_pods(client: lightkube.Client, team: str, pods: int) -> None:
    """Return when the scheduler has found no node for ``pods`` pods of the team and a scan takes them."""
    wait_for(f"{pods} unschedulable pods of {team}", lambda: _count(client, team, _is_unschedulable), lambda seen: seen == pods, 30.0)
    time.sleep(NEW_POD_GRACE + 1)


def wait_for_running_pods(client: lightkube.Client, team: str, count: int) -> None:
    """Return when ``count`` pods of the team run."""
    wait_for(f"{count} running pods of {team}", lambda: _count(client, team, _is_running), lambda seen: seen == count, 60.0)


def _count(client: lightkube.Client, team: str, wanted: Any) -> int:
    return sum(wanted(pod) for pod in client.list(Pod, namespace=NAMESPACE, labels={"team": team}))


def _is_running(pod: Pod) -> bool:
    return pod.status is not None and pod.status.phase == "Running"


def _is_unschedulable(pod: Pod) -> bool:
    conditions = (pod.status.conditions if pod.status else None) or ()
    return any(one.type == "PodScheduled" and one.reason == "Unschedulable" for one in conditions)
