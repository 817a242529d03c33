"""What comes next for a doomed node: a pure function of the node, its pods, its record, the scan's answer and the clock.

The order: wait for the scan to ask for capacity, evict pods tier by tier through the eviction API, and give the instance back once the node
is empty or its time is over. On a node whose instance AWS takes at the deadline, what could not be evicted is deleted in time to end
gracefully: a disruption budget can put off an eviction, not the end of the machine. Elsewhere budgets are kept for as long as it takes.

Pods without a place anywhere are not evicted: they run where they are until the end. Managed nodes are left to EKS, and watched: when EKS
does not cordon the node or its pods stay, the drain is taken over. Sources: AWS Node Termination Handler in queue mode, Karpenter's
terminator (eviction in tiers, deletion at the deadline less the grace period).
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from lambda_autoscaler.core.events import Kind
from lambda_autoscaler.core.interruption import INTERRUPTION, InterruptionRecord, answer_of, record_of
from lambda_autoscaler.core.kubernetes import Taint
from lambda_autoscaler.core.marks import is_being_deleted
from lambda_autoscaler.core.model import Node, PodRef, PodShape
from lambda_autoscaler.core.plan import Eviction
from lambda_autoscaler.core.taints import untolerated

ANSWER_PATIENCE: Final = 15.0
EKS_PATIENCE: Final = 20.0
EKS_MARGIN: Final = 45.0
TIER_SECONDS: Final = 45.0
DELETE_MARGIN: Final = 5.0
END_MARGIN: Final = 5.0
HOOK_SECONDS: Final = 900.0
STATE_SECONDS: Final = 60.0
# How long an instance that was handed back may still be there before it is asked to go once more.
GIVE_BACK_PATIENCE: Final = 20.0
# Scans come once a minute.
SUCCESSOR_SECONDS: Final = 90.0
SHORT_PAUSE: Final = 2.0
PAUSE: Final = 5.0
LONG_PAUSE: Final = 30.0
RISK_PAUSE: Final = 60.0
# A warning may follow a recommendation at any time: so long its pods are moved as fast as after a warning.
BRISK_SECONDS: Final = 120.0
CRITICAL_PRIORITY: Final = 2_000_000_000


class Act(StrEnum):
    """What to do about a doomed node now."""

    WAIT = "wait"
    EVICT = "evict"
    GIVE_BACK = "give back"
    COMPLETE = "complete"
    DONE = "done"


class NodeStep(msgspec.Struct, frozen=True):
    """The step that is due. ``pause`` is when to look again, in seconds; 0: never.

    ``record`` must be written first; to hand the instance back, by nobody else. ``evictions`` go through the eviction API, ``deletions``
    past it. ``decrements`` says that the group gives the instance's capacity back with it, since other capacity was asked for in its
    place. ``left`` are pods still there.
    """

    act: Act
    why: str = ""
    pause: float = 0.0
    record: InterruptionRecord | None = None
    evictions: tuple[Eviction, ...] = ()
    deletions: tuple[Eviction, ...] = ()
    decrements: bool = False
    left: int = 0


class _Pod(msgspec.Struct, frozen=True):
    shape: PodShape
    ref: PodRef

    @property
    def name(self) -> str:
        return f"{self.shape.namespace}/{self.ref.name}"

    @property
    def tier(self) -> int:
        return 1 if (self.shape.priority or 0) >= CRITICAL_PRIORITY else 0


def next_step(node: Node, now: float) -> NodeStep:
    """The step that is due for a node at ``now`` (seconds since the epoch), with its pods as they are."""
    record = record_of(node)
    if record is None:
        return NodeStep(Act.DONE, "the node is not under interruption")
    if not record.drains:
        return NodeStep(Act.WAIT, "at risk: no new pods", RISK_PAUSE)
    return _Interruption(node, record, now).next()


class _Interruption:
    """One doomed node."""

    def __init__(self, node: Node, record: InterruptionRecord, now: float) -> None:
        self._node, self._record, self._now = node, record, now
        self._answer = answer_of(node)
        self._pods = list(_to_move(node, record))
        self._end = record.deadline if record.deadline is not None and record.kind is not Kind.STATE_CHANGE else None

    def next(self) -> NodeStep:
        # The lifecycle action of an instance that was handed back waits to be completed.
        if self._record.given_back is not None and not self._record.hooks:
            return self._handed_back(self._record.given_back)
        if not self._pods:
            return self._ended("empty")
        if self._is_over():
            return self._ended(f"time is over with {len(self._pods)} pods left")
        if self._record.waits_for_eks:
            return self._watch()
        patience = self._patience()
        if self._answer is None and self._now < patience:
            return NodeStep(Act.WAIT, "a scan asks for capacity first", SHORT_PAUSE)
        return self._evict()

    def _is_over(self) -> bool:
        record = self._record
        if record.is_taken_back and self._end is not None:
            return self._now >= self._end - END_MARGIN
        if record.hooks:
            return self._now >= record.seen + HOOK_SECONDS
        return record.kind is Kind.STATE_CHANGE and self._now >= record.seen + STATE_SECONDS

    def _ended(self, why: str) -> NodeStep:
        """Complete what waits for it, or hand the instance back. Where AWS ends the instance anyhow, nothing is left to do."""
        record, left = self._record, len(self._pods)
        if record.hooks:
            return NodeStep(Act.COMPLETE, why, left=left)
        asked = self._answer is not None and self._answer.verdict == "asked"
        stays = record.kind is Kind.STATE_CHANGE or (record.waits_for_eks and not asked)
        if stays or (left and not asked):
            return NodeStep(Act.DONE, why, left=left)
        if self._answer is None and self._now < self._latest_answer():
            return NodeStep(Act.WAIT, "a scan looks at its capacity first", SHORT_PAUSE)
        record = msgspec.structs.replace(record, given_back=self._now)
        # A node that scale-down was removing is not needed: nothing takes its place.
        return NodeStep(Act.GIVE_BACK, why, record=record, decrements=asked or is_being_deleted(self._node), left=left)

    def _handed_back(self, since: float) -> NodeStep:
        """Whether that happened is not known when an answer was lost. Capacity is given up with the instance once and never again."""
        left = since + GIVE_BACK_PATIENCE - self._now
        if left > 0:
            return NodeStep(Act.WAIT, "its instance was handed back", left)
        return NodeStep(Act.GIVE_BACK, "it is still there", left=len(self._pods))

    def _patience(self) -> float:
        """How long the scan may take to answer: a quarter of the time there is at most, none where the machine goes already."""
        record = self._record
        if record.kind is Kind.STATE_CHANGE:
            return record.seen
        room = ANSWER_PATIENCE if self._end is None else min(ANSWER_PATIENCE, (self._end - record.seen) / 4)
        return record.seen + max(0.0, room)

    def _latest_answer(self) -> float:
        """Until when handing the instance back may wait: a scan that asked for capacity and did not live to say so has a successor."""
        if self._record.kind is Kind.STATE_CHANGE:
            return self._record.seen
        return self._record.seen + SUCCESSOR_SECONDS if self._end is None else self._end - GIVE_BACK_PATIENCE

    def _watch(self) -> NodeStep:
        """A managed node: EKS cordons it and evicts its pods. What it does not do in time is taken over."""
        cordoned = self._node.unschedulable and not self._record.found_cordoned
        acts = cordoned or any(self._has_begun_to_end(pod) for pod in self._pods)
        until = self._record.seen + EKS_PATIENCE
        if acts and self._end is not None:
            until = max(until, self._end - EKS_MARGIN)
        if self._now < until or (acts and self._end is None):
            return NodeStep(Act.WAIT, "EKS drains it" if acts else "EKS is to drain it", PAUSE)
        record = msgspec.structs.replace(self._record, taken_over=True, cordoned=not self._node.unschedulable)
        return NodeStep(Act.WAIT, "EKS does not drain it in time: the drain is taken over", SHORT_PAUSE, record)

    def _has_begun_to_end(self, pod: _Pod) -> bool:
        """Whether a pod was asked to end since the mark was put; its deletion is when its grace is over."""
        return pod.ref.deletion is not None and pod.ref.deletion - pod.shape.grace_seconds >= self._record.noticed

    def _evict(self) -> NodeStep:
        standing = [pod for pod in self._pods if pod.ref.deletion is None and not self._is_homeless(pod)]
        tier = min((pod.tier for pod in self._pods if not self._is_homeless(pod)), default=0)
        late = self._now >= self._record.seen + TIER_SECONDS
        deletions = [pod for pod in self._pods if self._must_be_deleted(pod)]
        evictions = [pod for pod in standing if (pod.tier <= tier or late) and pod not in deletions]
        record = None
        if self._record.evicting is None and (evictions or deletions):
            record = msgspec.structs.replace(self._record, evicting=self._now)
        return NodeStep(
            Act.EVICT if evictions or deletions else Act.WAIT,
            self._why(),
            self._pause(),
            record,
            tuple(self._ending(pod) for pod in evictions),
            tuple(self._ending(pod) for pod in deletions),
            left=len(self._pods),
        )

    def _why(self) -> str:
        homeless = [pod.name for pod in self._pods if self._is_homeless(pod)]
        if homeless:
            return f"{len(self._pods)} pods have not ended; {homeless[0]} has no other place and stays until the end"
        return f"{len(self._pods)} pods have not ended"

    def _is_homeless(self, pod: _Pod) -> bool:
        return self._answer is not None and (self._answer.verdict == "none" or pod.name in self._answer.homeless)

    def _must_be_deleted(self, pod: _Pod) -> bool:
        """Whether a pod would be cut off by the end of the machine unless it begins to end now, or ends sooner than it was told to."""
        if not self._record.is_taken_back or self._end is None:
            return False
        if pod.ref.deletion is not None:
            return pod.ref.deletion > self._end
        return self._now >= self._last_moment(pod, self._end)

    def _last_moment(self, pod: _Pod, end: float) -> float:
        """When a pod must begin to end; a step's distance before the last step at the latest, so that one falls in between."""
        return end - DELETE_MARGIN - max(pod.shape.grace_seconds, PAUSE)

    def _ending(self, pod: _Pod) -> Eviction:
        grace = pod.shape.grace_seconds
        if self._record.is_taken_back and self._end is not None:
            grace = min(grace, int(self._end - self._now - DELETE_MARGIN))
        return Eviction(pod.shape.namespace, pod.ref.name, pod.ref.uid, max(1, grace))

    def _pause(self) -> float:
        record = self._record
        is_brisk = record.kind is Kind.STATE_CHANGE or (record.kind is Kind.REBALANCE and self._now < record.seen + BRISK_SECONDS)
        has_time = self._end is None or self._end - self._now > 2 * HOOK_SECONDS
        pause = LONG_PAUSE if has_time and not record.hooks and not is_brisk else PAUSE
        if self._end is None or not record.is_taken_back:
            return pause
        ahead = (self._last_moment(pod, self._end) - self._now for pod in self._pods if pod.ref.deletion is None)
        return min((pause, *(seconds for seconds in ahead if seconds > 0)))


def _to_move(node: Node, record: InterruptionRecord) -> Iterable[_Pod]:
    """Pods that want another place: not those that every node has, nor those that chose to stay by tolerating the mark."""
    mark = Taint(key=INTERRUPTION, value=record.kind.value, effect="NoSchedule")
    for pod_set in node.pods:
        shape = pod_set.shape
        if not (shape.stays_with_node or untolerated([mark], shape.tolerations) is None):
            yield from (_Pod(shape, ref) for ref in pod_set.pods)


def pods_to_move(node: Node) -> Sequence[tuple[PodShape, PodRef]]:
    """The pods of a doomed node that want another place."""
    record = record_of(node)
    return [] if record is None else [(pod.shape, pod.ref) for pod in _to_move(node, record)]
