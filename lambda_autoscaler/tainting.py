"""Putting taints on nodes: the one that begins a removal, and the one that asks the scheduler to prefer other nodes.

A removal begins with a single write, made for the node as it was read a moment before: taint, record and cordon stand or fall together.
When somebody else changed the node in between, it is read once more. Nodes begin in two batches, empty ones first; if one of a batch
cannot be marked, those of the batch that were are unmarked again (behaviour specification, section 8.7).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from lambda_autoscaler.core.marks import begin_patch, is_being_deleted, roll_back_patch, soft_taint_patch
from lambda_autoscaler.core.model import Node
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.plan import Removal, SoftTaint
from lambda_autoscaler.node_access import NodeAccess
from lambda_autoscaler.ports import AutoscalerError, Conflict, Kube, NotFound
from lambda_autoscaler.removal_log import RemovalLog

SOFT_TAINT_SECONDS: Final = 3.0


class Clock(msgspec.Struct, frozen=True):
    """The time of one invocation: ``start`` in seconds since the epoch, ``begun_with`` the seconds that were left of it then."""

    start: float
    begun_with: float
    seconds_left: Callable[[], float]
    wait: Callable[[float], None]

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.start + self.begun_with - self.seconds_left()


class Tainter:
    """Writes taints; ``nodes`` reads and changes single nodes."""

    def __init__(self, kube: Kube, options: Options, clock: Clock, log: RemovalLog) -> None:
        self._kube, self._options, self._clock, self._log = kube, options, clock, log
        self.nodes = NodeAccess(kube, options)

    def begin(self, removals: Iterable[Removal], may_go_on: Callable[[], bool]) -> list[str]:
        """Mark the nodes of removals; names of those that are marked. ``may_go_on`` is asked before each one."""
        removals = tuple(removals)
        empty = [item for item in removals if item.reason == "empty"]
        to_drain = [item for item in removals if item.reason != "empty"]
        marked, failed = self._begin_batch(empty, may_go_on)
        if failed:
            return marked
        return [*marked, *self._begin_batch(to_drain, may_go_on)[0]]

    def _begin_batch(self, batch: Sequence[Removal], may_go_on: Callable[[], bool]) -> tuple[list[str], bool]:
        marked: list[Removal] = []
        for removal in batch:
            if not may_go_on():
                self._log.fail(f"node {removal.node} was not removed in this scan: too little time was left")
                break
            try:
                if self._mark(removal):
                    marked.append(removal)
            except AutoscalerError as fault:
                self._log.not_begun(removal, fault)
                return [item.node for item in marked if not self._unmark(item)], True
        return [item.node for item in marked], False

    def _mark(self, removal: Removal) -> bool:
        """Begin one removal, for the node as it is now; False when it is gone or somebody else removes it already."""

        def patch(node: Node) -> bytes | None:
            return None if is_being_deleted(node) else begin_patch(node, removal.reason, self._options, self._clock.now())

        node = self.nodes.change(removal.node, patch)
        if node is None:
            return False
        self._log.begun(removal, node)
        return True

    def _unmark(self, removal: Removal) -> bool:
        try:
            self.nodes.change(removal.node, lambda node: roll_back_patch(node, self._options))
        except AutoscalerError as fault:
            self._log.fail(f"node {removal.node} keeps its taint until the next scan: {fault}")
            return False
        self._log.taken_back(removal)
        return True

    def soften(self, nodes: dict[str, Node], wanted: Iterable[SoftTaint]) -> None:
        """Put soft taints on nodes and take them off, for a few seconds at most. What cannot be written is left to the next scan."""
        until = self._clock.now() + SOFT_TAINT_SECONDS
        for item in wanted:
            if self._clock.now() > until:
                return
            try:
                self._kube.patch_node(item.node, soft_taint_patch(nodes[item.node], item))
            except (NotFound, Conflict):
                continue
            except AutoscalerError as fault:
                self._log.fail(f"soft taints were not all written: {fault}")
                return
