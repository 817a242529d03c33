"""What a removal in progress writes on its node, so that any later scan can go on with it from the node alone.

The taint is the Cluster Autoscaler's own (``ToBeDeletedByClusterAutoscaler=<unix seconds>:NoSchedule``): people know it, and going back to
the Cluster Autoscaler needs no clean-up. What the taint cannot say stands in one annotation beside it: whether the node was empty when
its removal began, whether the autoscaler itself cordoned it, and which pods are being evicted since when. Every patch names the resource
version it was made for: lists in a merge patch replace the whole list, so a taint that somebody else adds meanwhile must be a conflict.
"""

from collections.abc import Iterable, Mapping
from math import ceil
from typing import Any, Final

import msgspec

from lambda_autoscaler.core.interruption import cordon_owned, is_doomed
from lambda_autoscaler.core.kubernetes import Taint
from lambda_autoscaler.core.model import DELETION_CANDIDATE_TAINT, TO_BE_DELETED_TAINT, Node
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.plan import RemovalRecord, SoftTaint

RECORD_ANNOTATION: Final = "eks-autoscaling/removal"
NO_SCHEDULE: Final = "NoSchedule"
PREFER_NO_SCHEDULE: Final = "PreferNoSchedule"


def is_being_deleted(node: Node) -> bool:
    """Whether a removal of the node has begun and is neither finished nor taken back."""
    return is_tainted(node) or RECORD_ANNOTATION in node.annotations


def is_tainted(node: Node) -> bool:
    """Whether the node carries the deletion taint."""
    return any(taint.key == TO_BE_DELETED_TAINT for taint in node.taints)


def begun_at(node: Node) -> float | None:
    """When the removal began, in seconds since the epoch; None when the node does not carry the taint or its value is no time."""
    value = next((taint.value for taint in node.taints if taint.key == TO_BE_DELETED_TAINT), "")
    return float(value) if value.isascii() and value.isdigit() else None


def record_of(node: Node, options: Options) -> RemovalRecord:
    """The node's record. A removal that the Cluster Autoscaler began has none: it counts as one with pods to move."""
    text = node.annotations.get(RECORD_ANNOTATION, "")
    try:
        return msgspec.json.decode(text, type=RemovalRecord) if text else RemovalRecord(cordoned=options.cordon_node_before_terminating)
    except msgspec.DecodeError:
        return RemovalRecord(cordoned=options.cordon_node_before_terminating)


def begin_patch(node: Node, reason: str, options: Options, now: float) -> bytes:
    """Merge patch that begins a removal (``reason`` is ``empty`` or ``underutilized``): taint, record and cordon in one write."""
    cordons = options.cordon_node_before_terminating and not node.unschedulable
    taint = Taint(TO_BE_DELETED_TAINT, NO_SCHEDULE, str(ceil(now)))
    spec: dict[str, Any] = {"taints": [*_without(node.taints, TO_BE_DELETED_TAINT), taint]}
    if cordons:
        spec["unschedulable"] = True
    return _patch(node, spec, RemovalRecord(reason, cordoned=cordons))


def record_patch(node: Node, record: RemovalRecord) -> bytes:
    """Merge patch that writes down how far a removal is."""
    return _patch(node, {}, record)


def roll_back_patch(node: Node, options: Options) -> bytes:
    """Merge patch that takes a removal back. A node that was cordoned before it, or that is doomed, stays cordoned."""
    spec: dict[str, Any] = {"taints": _without(node.taints, TO_BE_DELETED_TAINT)}
    if not record_of(node, options).cordoned:
        return _patch(node, spec, None)
    if is_doomed(node):
        return _patch(node, spec, None, cordon_owned(node))
    return _patch(node, {**spec, "unschedulable": None}, None)


def soft_taint_patch(node: Node, wanted: SoftTaint) -> bytes:
    """Merge patch that puts the soft taint on a node, or takes it off when its value is 0."""
    taints = _without(node.taints, DELETION_CANDIDATE_TAINT)
    if wanted.value:
        taints.append(Taint(DELETION_CANDIDATE_TAINT, PREFER_NO_SCHEDULE, str(wanted.value)))
    patch = {"metadata": {"resourceVersion": node.resource_version}, "spec": {"taints": [_written(taint) for taint in taints]}}
    return msgspec.json.encode(patch)


def _without(taints: Iterable[Taint], key: str) -> list[Taint]:
    return [taint for taint in taints if taint.key != key]


def _patch(node: Node, spec: dict[str, Any], record: RemovalRecord | None, annotations: Mapping[str, str] | None = None) -> bytes:
    text = None if record is None else msgspec.json.encode(record).decode()
    metadata = {"resourceVersion": node.resource_version, "annotations": {RECORD_ANNOTATION: text, **(annotations or {})}}
    if "taints" in spec:
        spec = {**spec, "taints": [_written(taint) for taint in spec["taints"]]}
    return msgspec.json.encode({"metadata": metadata, "spec": spec})


def _written(taint: Taint) -> dict[str, str]:
    """A taint as the API takes it, without the fields that it does not have."""
    fields = {"key": taint.key, "value": taint.value, "effect": taint.effect, "timeAdded": taint.time_added}
    return {name: value for name, value in fields.items() if value}
