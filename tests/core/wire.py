"""API objects as the API prints them, and the way from their bytes to what the core reads."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lambda_autoscaler.core.decode import decode_objects

UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}


def pod(
    name: str = "p", *, spec: Mapping[str, Any] | None = None, status: Mapping[str, Any] | None = None, cpu: str = "100m", **meta: Any
) -> dict[str, Any]:
    """A pod that waits for a node, in namespace ``default``."""
    container = {"name": "main", "resources": {"requests": {"cpu": cpu}}}
    return {
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}", "creationTimestamp": "2026-11-22T13:00:00Z", **meta},
        "spec": {"containers": [container], "schedulerName": "default-scheduler", **(spec or {})},
        "status": {"phase": "Pending", "conditions": [UNSCHEDULABLE], **(status or {})},
    }


def node(name: str = "n1", **spec: Any) -> dict[str, Any]:
    amounts = {"cpu": "4", "memory": "16Gi", "pods": "58"}
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-22T13:00:00Z"}
    return {
        "metadata": {"name": name, "creationTimestamp": "2026-11-22T12:00:00Z", "labels": {"kubernetes.io/hostname": name}},
        "spec": spec,
        "status": {"capacity": amounts, "allocatable": amounts, "conditions": [condition]},
    }


def owned(kind: str, name: str) -> list[dict[str, Any]]:
    return [{"kind": kind, "name": name, "uid": f"uid-{name}", "controller": True, "apiVersion": "apps/v1"}]


def decoded(plural: str, *items: Mapping[str, Any]) -> list[Any]:
    """The objects after a trip through JSON; none may be refused."""
    found, faults = decode_objects(plural, page(*items))
    assert faults == []
    return found


def page(*items: Any, token: str = "") -> bytes:
    content: Sequence[Any] = items
    return json.dumps({"kind": "List", "metadata": {"continue": token}, "items": content}).encode()
