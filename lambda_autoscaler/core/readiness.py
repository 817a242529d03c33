"""Is a node ready, as the autoscaler sees it.

Ready by its conditions and taints is not enough: a node that still carries a startup taint, or that should have a GPU and shows none,
counts as unready from its creation on (behaviour specification, sections 1.2 step 4, and 7.4).
"""

from typing import Final

import msgspec

from lambda_autoscaler.core.model import GPU_LABEL, GPU_RESOURCES, Node, NodeCondition
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.taints import NOT_READY_TAINTS, is_startup_taint
from lambda_autoscaler.core.units import TimestampError, parse_timestamp

RESOURCE_UNREADY: Final = "cluster-autoscaler.kubernetes.io/resource-not-ready"
STARTUP_TAINT: Final = "cluster-autoscaler.kubernetes.io/startup-taint"
_BAD: Final = {"DiskPressure": "True", "NetworkUnavailable": "True"}


class Readiness(msgspec.Struct, frozen=True):
    """Whether a node is ready, when that last changed (seconds since the epoch), and why it is not when the autoscaler itself says so."""

    ready: bool
    changed: float
    reason: str = ""


def readiness(node: Node, options: Options) -> Readiness:
    """Readiness of a node. Cordoned nodes are judged by their conditions alone."""
    found = _by_conditions(node)
    if not found.ready or node.unschedulable:
        return found
    if GPU_LABEL in node.labels and not _has_gpu(node):
        return Readiness(ready=False, changed=node.created, reason=RESOURCE_UNREADY)
    if any(is_startup_taint(taint.key, options) for taint in node.taints):
        return Readiness(ready=False, changed=node.created, reason=STARTUP_TAINT)
    return found


def _by_conditions(node: Node) -> Readiness:
    state = [condition for condition in node.conditions if condition.type == "Ready" or condition.type in _BAD]
    taints = [taint for taint in node.taints if taint.key in NOT_READY_TAINTS]
    changes = [condition.changed for condition in state] + [_added(taint.time_added) for taint in taints]
    known = any(condition.type == "Ready" for condition in state)
    ready = known and not taints and not any(_is_bad(condition) for condition in state)
    return Readiness(ready, max(changes, default=0.0))


def _is_bad(condition: NodeCondition) -> bool:
    if condition.type == "Ready":
        return condition.status in ("False", "Unknown")
    return condition.status == _BAD[condition.type]


def _added(time_added: str | None) -> float:
    try:
        return parse_timestamp(time_added) if time_added else 0.0
    except TimestampError:
        return 0.0


def _has_gpu(node: Node) -> bool:
    allocatable = dict(node.allocatable)
    return any(allocatable.get(name, 0) > 0 for name in GPU_RESOURCES)
