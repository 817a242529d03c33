"""Nodes under interruption: what an event makes of a node, and how that stands on the node itself.

A doomed node is one whose instance goes: it takes no new pods, its pods count as waiting, its capacity counts for nothing. A node at risk
may go: it takes no new pods either, and is removed before others. Both carry a taint, and an annotation with what is known. That record is
all the memory there is, so that any invocation, in any order, comes to the same end: a second event for a node can make its record stricter
and never laxer (strongest kind, earliest deadline), and the same event twice changes nothing.

The scan answers a mark with an annotation of its own (``Answer``): whether capacity was asked for, and which pods have no place anywhere.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from lambda_autoscaler.core.events import Hook, InstanceEvent, Kind
from lambda_autoscaler.core.kubernetes import Taint
from lambda_autoscaler.core.model import INTERRUPTION_TAINT, Node
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.readiness import readiness

INTERRUPTION: Final = INTERRUPTION_TAINT
ANSWER: Final = "eks-autoscaling/replacement"
EXCLUDE_FROM_LOAD_BALANCERS: Final = "node.kubernetes.io/exclude-from-external-load-balancers"
NODEGROUP_LABEL: Final = "eks.amazonaws.com/nodegroup"
EKS_HOOK: Final = "Terminate-LC-Hook"
# An instance that outlived its warning by this long is not being interrupted any more.
STALE_SECONDS: Final = 600.0
# What an instance takes at the least to stop and start again; times of events and conditions are whole seconds.
RESTART_SECONDS: Final = 5.0
_OTHERS: Final = {"karpenter.sh/nodepool": "Karpenter", "eks.amazonaws.com/compute-type": "EKS Auto Mode"}
_Written = TypeVar("_Written")
_STRENGTH: Final = {kind: at for at, kind in enumerate(Kind)}
_TAKEN_BACK: Final = (Kind.SPOT_INTERRUPTION, Kind.RESERVATION_INTERRUPTION, Kind.CAPACITY_BLOCK)


class InterruptionRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a node's annotation says. Times in seconds since the epoch.

    ``noticed`` is when the event happened, ``seen`` when it was handled, ``deadline`` when the instance goes. ``drains`` separates doomed
    nodes from those at risk; ``watched`` ones are looked at again and again, so that a scan may begin their drain. ``managed`` nodes belong
    to a managed node group; ``cordoned`` says that it was the autoscaler who cordoned. ``evicting`` is when the first pod was evicted,
    ``taken_over`` that EKS did not drain a managed node in time, ``given_back`` when the instance was handed back. ``found_cordoned`` says
    that somebody had cordoned the node before, ``excluded`` that the autoscaler took it out of load balancers. ``series`` names the
    reminders that carry the drain on: others are left over.
    """

    kind: Kind
    event: str
    noticed: float
    seen: float
    deadline: float | None = None
    drains: bool = True
    watched: bool = False
    managed: bool = False
    cordoned: bool = False
    hooks: tuple[Hook, ...] = ()
    detail: str = ""
    evicting: float | None = None
    taken_over: bool = False
    given_back: float | None = None
    found_cordoned: bool = False
    excluded: bool = False
    series: float = 0.0

    @property
    def waits_for_eks(self) -> bool:
        """Whether draining is left to EKS, which drains spot nodes of managed groups by itself."""
        return self.managed and not self.taken_over and not self.hooks and self.kind in (Kind.SPOT_INTERRUPTION, Kind.REBALANCE)

    @property
    def is_taken_back(self) -> bool:
        """Whether AWS takes the instance at the deadline, whatever runs on it."""
        return self.kind in _TAKEN_BACK


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The scan's answer to a doomed node: ``asked`` for capacity, found ``room``, or ``none``; ``homeless`` pods have no place anywhere."""

    verdict: str
    homeless: tuple[str, ...] = ()


class Response(msgspec.Struct, frozen=True):
    """What to do about an event on its node: write the record, take the mark off, delete the node object, or nothing (``why``).

    ``goes_on`` says that the drain has steps to come, ``wakes`` that a scan should look at once.
    """

    record: InterruptionRecord | None = None
    unmarks: bool = False
    deletes: bool = False
    goes_on: bool = False
    wakes: bool = False
    why: str = ""


def record_of(node: Node) -> InterruptionRecord | None:
    """The node's record; None without one, or when somebody wrote something else there."""
    return _read(node.annotations, INTERRUPTION, InterruptionRecord)


def answer_of(node: Node) -> Answer | None:
    """The scan's answer, None before there is one."""
    return _read(node.annotations, ANSWER, Answer)


def awaits_answer(annotations: Mapping[str, str]) -> bool:
    """Whether a node with these annotations is doomed and no scan has answered yet whether there is room for its pods."""
    record = _read(annotations, INTERRUPTION, InterruptionRecord)
    return record is not None and record.drains and _read(annotations, ANSWER, Answer) is None


def is_doomed(node: Node) -> bool:
    """Whether the node's instance goes."""
    record = record_of(node)
    return record is not None and record.drains


def is_at_risk(node: Node) -> bool:
    """Whether the node may be interrupted soon."""
    record = record_of(node)
    return record is not None and not record.drains


def respond(event: InstanceEvent, node: Node, options: Options, now: float) -> Response:
    """What an event makes of a node."""
    refusal = _refusal(event, node, options, now)
    if refusal:
        return Response(why=refusal)
    if event.kind is Kind.STATE_CHANGE and event.detail in ("stopped", "terminated"):
        return Response(deletes=True, wakes=True)
    known = record_of(node)
    if event.cancelled:
        ours = known is not None and known.kind is event.kind and known.event == event.id
        return Response(unmarks=ours, wakes=ours, why="" if ours else "the change was cancelled and the node does not wait for it")
    fresh = _fresh(event, node, options, now)
    if known is None:
        follows = fresh.drains or fresh.watched
        return Response(fresh, goes_on=follows, wakes=follows)
    merged = _merged(known, fresh)
    if merged == known:
        again = (known.kind, known.event) == (event.kind, event.id)
        why = "the event has been handled already" if again else f"the node is under {known.kind} already"
        return Response(wakes=again and known.drains, why=why)
    renewed = (merged.kind, merged.hooks, merged.watched) != (known.kind, known.hooks, known.watched)
    follows = merged.drains or merged.watched
    return Response(merged, goes_on=follows and renewed, wakes=follows)


def _refusal(event: InstanceEvent, node: Node, options: Options, now: float) -> str:
    """Why an event is none of the autoscaler's business."""
    for label, owner in _OTHERS.items():
        if label in node.labels:
            return f"{owner} owns node {node.name}"
    if event.hook is not None and event.hook.name == EKS_HOOK and NODEGROUP_LABEL in node.labels:
        return "EKS drains the node and completes its own lifecycle action"
    deadline = event.deadline
    if event.kind in _TAKEN_BACK and deadline is not None and deadline + STALE_SECONDS < now:
        return f"the warning is {now - event.at:.0f} s old and the instance is still there"
    return "the instance was started again since, its node is ready" if _has_come_back(event, node, options) else ""


def _has_come_back(event: InstanceEvent, node: Node, options: Options) -> bool:
    """Whether the news of a stop come late: a stopped instance may be started again, a terminated one never."""
    if event.kind is not Kind.STATE_CHANGE or event.detail not in ("stopping", "stopped"):
        return False
    state = readiness(node, options)
    return state.ready and state.changed > event.at + RESTART_SECONDS


def _fresh(event: InstanceEvent, node: Node, options: Options, now: float) -> InterruptionRecord:
    """The record of an event on a node without one. An event from the future comes from a clock that is ahead: it happens now."""
    ahead = max(0.0, event.at - now)
    return InterruptionRecord(
        kind=event.kind,
        event=event.id,
        noticed=event.at - ahead,
        seen=now,
        deadline=None if event.deadline is None else event.deadline - (ahead if event.kind is not Kind.SCHEDULED_CHANGE else 0.0),
        drains=event.kind is not Kind.REBALANCE,
        watched=event.kind is Kind.REBALANCE and options.drain_on_rebalance,
        managed=NODEGROUP_LABEL in node.labels,
        hooks=() if event.hook is None else (event.hook,),
        detail=event.detail,
        found_cordoned=node.unschedulable,
    )


def _merged(known: InterruptionRecord, fresh: InterruptionRecord) -> InterruptionRecord:
    """The stricter of two records. The clocks of a drain (``seen``) start anew with a stronger kind: its patience is another."""
    leading = fresh if (fresh.drains, -_STRENGTH[fresh.kind]) > (known.drains, -_STRENGTH[known.kind]) else known
    return msgspec.structs.replace(
        known,
        kind=leading.kind,
        event=leading.event,
        detail=leading.detail,
        noticed=leading.noticed,
        seen=leading.seen,
        deadline=_earliest(leading.kind, (known, fresh)),
        drains=known.drains or fresh.drains,
        watched=known.watched or fresh.watched,
        hooks=_all_of(known.hooks, fresh.hooks),
    )


def _earliest(leading: Kind, records: Iterable[InterruptionRecord]) -> float | None:
    """The earliest deadline. When a maintenance begins says nothing about when EC2 takes the instance, and may be long past."""
    counts = [record for record in records if (record.kind is Kind.SCHEDULED_CHANGE) == (leading is Kind.SCHEDULED_CHANGE)]
    return min((record.deadline for record in counts if record.deadline is not None), default=None)


def _all_of(known: Iterable[Hook], fresh: Iterable[Hook]) -> tuple[Hook, ...]:
    """Hooks of both, in an order of their own whichever was told of first."""
    return tuple(sorted({*known, *fresh}, key=lambda hook: (hook.group, hook.name, hook.token)))


# --- marks ---


def marked(node: Node, record: InterruptionRecord) -> Node:
    """The node as it is once it carries the record."""
    mark = Taint(key=INTERRUPTION, value=record.kind.value, effect="NoSchedule")
    return msgspec.structs.replace(
        node,
        annotations={**node.annotations, INTERRUPTION: msgspec.json.encode(record).decode()},
        taints=(*(taint for taint in node.taints if taint.key != INTERRUPTION), mark),
        unschedulable=node.unschedulable or _cordons(record),
    )


def _cordons(record: InterruptionRecord) -> bool:
    return record.drains and not record.waits_for_eks


def mark_patch(node: Node, record: InterruptionRecord) -> bytes:
    """Merge patch that puts a record on a node: taint, annotation and, unless EKS drains it, cordon, in one write.

    The node leaves external load balancers as it is doomed, so that no new connection comes while its pods end.
    """
    cordons = _cordons(record)
    excludes = record.drains and EXCLUDE_FROM_LOAD_BALANCERS not in node.labels
    record = msgspec.structs.replace(
        record, cordoned=record.cordoned or (cordons and not node.unschedulable), excluded=record.excluded or excludes
    )
    taints = [*_others(node), {"key": INTERRUPTION, "value": record.kind.value, "effect": "NoSchedule"}]
    spec: dict[str, Any] = {"taints": taints} | ({"unschedulable": True} if cordons else {})
    annotations: dict[str, str | None] = {INTERRUPTION: msgspec.json.encode(record).decode()}
    if record_of(node) is None:
        annotations[ANSWER] = None  # one that is there was given to an earlier mark
    metadata: dict[str, Any] = {"annotations": annotations}
    if record.drains:
        metadata["labels"] = {EXCLUDE_FROM_LOAD_BALANCERS: "true"}
    return _patch(node, metadata, spec)


def unmark_patch(node: Node) -> bytes:
    """Merge patch that takes the mark off; the node is uncordoned if it was the autoscaler who cordoned it."""
    record = record_of(node)
    spec: dict[str, Any] = {"taints": _others(node)}
    if record is not None and record.cordoned:
        spec["unschedulable"] = None
    metadata: dict[str, Any] = {"annotations": {INTERRUPTION: None, ANSWER: None}}
    if record is not None and record.excluded:
        metadata["labels"] = {EXCLUDE_FROM_LOAD_BALANCERS: None}
    return _patch(node, metadata, spec)


def cordon_owned(node: Node) -> dict[str, str]:
    """Annotations of a doomed node whose cordon another part of the autoscaler put on: it goes with the mark from now on."""
    record = record_of(node)
    return {} if record is None else {INTERRUPTION: msgspec.json.encode(msgspec.structs.replace(record, cordoned=True)).decode()}


def answer_patch(answer: Answer) -> bytes:
    """Merge patch that gives the scan's answer."""
    return msgspec.json.encode({"metadata": {"annotations": {ANSWER: msgspec.json.encode(answer).decode()}}})


def record_patch(node: Node, record: InterruptionRecord) -> bytes:
    """Merge patch that writes down how far the drain is."""
    return _patch(node, {"annotations": {INTERRUPTION: msgspec.json.encode(record).decode()}}, None)


def record_taken_back(record: InterruptionRecord) -> bytes:
    """Merge patch that writes a record whatever became of the node: for the one who wrote the last."""
    return msgspec.json.encode({"metadata": {"annotations": {INTERRUPTION: msgspec.json.encode(record).decode()}}})


def _patch(node: Node, metadata: dict[str, Any], spec: dict[str, Any] | None) -> bytes:
    change: dict[str, Any] = {"metadata": {"resourceVersion": node.resource_version, **metadata}}
    return msgspec.json.encode(change if spec is None else {**change, "spec": spec})


def _others(node: Node) -> list[dict[str, str]]:
    return [_written(taint) for taint in node.taints if taint.key != INTERRUPTION]


def _written(taint: Taint) -> dict[str, str]:
    fields = {"key": taint.key, "value": taint.value, "effect": taint.effect, "timeAdded": taint.time_added}
    return {name: value for name, value in fields.items() if value}


def _read(annotations: Mapping[str, str], annotation: str, kind: type[_Written]) -> _Written | None:
    text = annotations.get(annotation, "")
    try:
        return msgspec.json.decode(text, type=kind) if text else None
    except msgspec.DecodeError:
        return None
