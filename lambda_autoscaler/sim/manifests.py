"""Kubernetes objects of the simulated world as an API server would print them: plain dictionaries, ready for JSON."""

from typing import Any
from uuid import NAMESPACE_URL, uuid5

from lambda_autoscaler.core.units import format_timestamp

Manifest = dict[str, Any]
NOT_READY_TAINT = "node.kubernetes.io/not-ready"


def stable_uid(*parts: str) -> str:
    """A UID that is the same on every run for the same parts."""
    return str(uuid5(NAMESPACE_URL, "/".join(parts)))


def metadata(namespace: str, name: str, created: float, labels: dict[str, str] | None = None) -> Manifest:
    """Object metadata; cluster-scoped objects have an empty namespace."""
    meta: Manifest = {"name": name, "uid": stable_uid(namespace, name), "creationTimestamp": format_timestamp(created)}
    if namespace:
        meta["namespace"] = namespace
    if labels:
        meta["labels"] = labels
    return meta


def workload(kind: str, meta: Manifest, template: Manifest, replicas: int | None = None) -> Manifest:
    """An apps/v1 ReplicaSet or DaemonSet whose selector is its template's labels."""
    spec: Manifest = {"selector": {"matchLabels": template["metadata"]["labels"]}, "template": template}
    if replicas is not None:
        spec["replicas"] = replicas
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": meta, "spec": spec, "status": {}}


def owner_reference(manifest: Manifest) -> Manifest:
    """The reference that a controller's pods carry."""
    return {
        "apiVersion": manifest["apiVersion"],
        "kind": manifest["kind"],
        "name": manifest["metadata"]["name"],
        "uid": manifest["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def condition(kind: str, status: bool, at: float, reason: str = "") -> Manifest:
    """A condition of a pod or a node."""
    return {
        "type": kind,
        "status": "True" if status else "False",
        "lastTransitionTime": format_timestamp(at),
        "reason": reason or kind,
    }


def node_conditions(ready: bool, at: float) -> list[Manifest]:
    """The four conditions every kubelet reports."""
    pressures = [condition(f"{name}Pressure", False, at, f"KubeletHasNo{name}Pressure") for name in ("Memory", "Disk", "PID")]
    return [condition("Ready", ready, at, "KubeletReady" if ready else "KubeletNotReady"), *pressures]


def disruption_budget(meta: Manifest, labels: dict[str, str], minimum_available: int) -> Manifest:
    """A policy/v1 PodDisruptionBudget; its status is the disruption controller's business."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": meta,
        "spec": {"minAvailable": minimum_available, "selector": {"matchLabels": labels}},
        "status": {"disruptionsAllowed": 0},
    }
