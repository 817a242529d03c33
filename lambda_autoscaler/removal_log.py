"""What became of removals in one scan: collected while they are carried out, then told as events, metrics, summary and memory.

The sentences of the events are the Cluster Autoscaler's (behaviour specification, sections 8.8 and 10.2): people search for them.
"""

from collections.abc import Iterable

import msgspec

from lambda_autoscaler.core.health import status_notice
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.core.model import Node
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.plan import Drain, Eviction, Notice, Plan, Removal
from lambda_autoscaler.core.removal_words import beginning


class Ended(msgspec.Struct, frozen=True):
    """A removal that ended: the instance was terminated, or ``why`` says why it was taken back. ``reason`` is that of the removal."""

    node: str
    group: str
    reason: str
    why: str = ""


class RemovalOutcome(msgspec.Struct, frozen=True):
    """What became of removals. ``begun`` are those that this scan began; ``unmarked`` are groups whose nodes could not be tainted."""

    begun: tuple[Removal, ...] = ()
    removed: tuple[Ended, ...] = ()
    rolled_back: tuple[Ended, ...] = ()
    in_progress: tuple[str, ...] = ()
    unmarked: tuple[str, ...] = ()
    evicted: int = 0
    not_evicted: int = 0
    failures: tuple[str, ...] = ()

    def summary(self) -> dict[str, object]:
        """The removals' part of a scan's summary."""
        return {
            "scale_down": [{"node": item.node, "group": item.group, "reason": item.reason} for item in self.begun],
            "removed": [{"node": item.node, "group": item.group, "reason": item.reason} for item in self.removed],
            "rolled_back": [{"node": item.node, "group": item.group, "why": item.why} for item in self.rolled_back],
            "removals_in_progress": list(self.in_progress),
            "evicted_pods": self.evicted,
            "refused_evictions": self.not_evicted,
        }


class RemovalLog:
    """Collects what happens to removals."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._begun: dict[str, Removal] = {}
        self._removed: list[Ended] = []
        self._rolled_back: list[Ended] = []
        self._unmarked: list[str] = []
        self._evicted: set[str] = set()
        self._not_evicted = 0
        self._failures: dict[str, None] = {}
        self._notices: list[Notice] = []

    def outcome(self, in_progress: Iterable[str] = ()) -> RemovalOutcome:
        """All that happened so far."""
        return RemovalOutcome(
            begun=tuple(self._begun.values()),
            removed=tuple(self._removed),
            rolled_back=tuple(self._rolled_back),
            in_progress=tuple(in_progress),
            unmarked=tuple(self._unmarked),
            evicted=len(self._evicted),
            not_evicted=self._not_evicted,
            failures=tuple(self._failures),
        )

    def take_notices(self) -> list[Notice]:
        """The events that were not taken yet."""
        taken, self._notices = self._notices, []
        return taken

    def fail(self, sentence: str) -> None:
        """Something went wrong; told once a scan, however often it is tried."""
        self._failures[sentence] = None

    def begun(self, removal: Removal, node: Node) -> None:
        """The node carries the taint."""
        self._begun[removal.node] = removal
        self._on_node(node, "Normal", "ScaleDown", "marked the node as toBeDeleted/unschedulable")
        self._on_status("Normal", _reason_of(removal.reason), beginning(removal))

    def not_begun(self, removal: Removal, fault: Exception) -> None:
        """The node could not be tainted."""
        message = f"failed to mark the node as toBeDeleted/unschedulable: {fault}"
        self._unmarked.append(removal.group)
        self._notices.append(Notice("Node", "", removal.node, "Warning", "ScaleDownFailed", message))
        self.fail(f"node {removal.node}: {message}")

    def taken_back(self, removal: Removal) -> None:
        """The taint was taken off again, since another of the same batch could not be put."""
        self._begun.pop(removal.node, None)

    def evicted(self, eviction: Eviction) -> None:
        """A pod is on its way out."""
        if eviction.uid not in self._evicted:
            self._evicted.add(eviction.uid)
            self._on_pod(eviction, "Normal", "ScaleDown", "deleting pod for node scale down")

    def removed(self, drain: Drain, node: Node) -> None:
        """The instance was terminated."""
        self._removed.append(Ended(drain.node, drain.group, drain.reason))
        text = f"empty node {drain.node} removed" if drain.reason == "empty" else f"node {drain.node} removed with drain"
        self._on_status("Normal", _reason_of(drain.reason), f"Scale-down: {text}")
        self._on_node(node, "Normal", "ScaleDown", "nodes removed by cluster autoscaler")

    def rolled_back(self, drain: Drain, node: Node) -> None:
        """The taint is off and the node takes pods again."""
        self._rolled_back.append(Ended(drain.node, drain.group, drain.reason, drain.why))
        what = "delete empty node" if drain.reason == "empty" else "drain and delete node"
        self._on_node(node, "Warning", "ScaleDownFailed", f"failed to {what}: {drain.why}")
        self.fail(f"node {drain.node} stays: {drain.why}")
        for eviction in drain.evictions:
            self._not_evicted += 1
            self._on_pod(eviction, "Warning", "ScaleDownFailed", "failed to delete pod for ScaleDown")

    def _on_node(self, node: Node, kind: str, reason: str, message: str) -> None:
        self._notices.append(Notice("Node", "", node.name, kind, reason, message, node.uid))

    def _on_pod(self, eviction: Eviction, kind: str, reason: str, message: str) -> None:
        self._notices.append(Notice("Pod", eviction.namespace, eviction.pod, kind, reason, message, eviction.uid))

    def _on_status(self, kind: str, reason: str, message: str) -> None:
        self._notices.append(status_notice(self._options, kind, reason, message))


def _reason_of(reason: str) -> str:
    return "ScaleDownEmpty" if reason == "empty" else "ScaleDown"


def remembered_removals(memory: Memory, before: Memory, plan: Plan, outcome: RemovalOutcome, now: float) -> Memory:
    """Memory with what became of removals: a removal that did not begin is none, and failures start their delays."""
    begun = {item.group for item in outcome.begun}
    if plan.removals and not begun:
        memory = msgspec.structs.replace(memory, last_scale_down_delete=before.last_scale_down_delete)
    for group in {item.group for item in plan.removals} - begun:
        others = {name: at for name, at in memory.group_scale_down.items() if name != group}
        kept = {group: before.group_scale_down[group]} if group in before.group_scale_down else {}
        memory = msgspec.structs.replace(memory, group_scale_down={**others, **kept})
    failed = dict.fromkeys((*outcome.unmarked, *(item.group for item in outcome.rolled_back)), now)
    if failed:
        memory = msgspec.structs.replace(memory, group_scale_down_failure={**memory.group_scale_down_failure, **failed})
    return msgspec.structs.replace(memory, last_scale_down_failure=now) if outcome.unmarked else memory
