"""What comes next for every node whose removal has begun (behaviour specification, section 8.8).

A pure function of what the cluster shows: the taint with its time, the record beside it, the pods and how they end, the state of the
instance, and the clock. Whoever calls it, in the invocation that began the removal or in a later one, gets the step that is due; a removal
that nobody carried on for too long is taken back. Nothing depends on what an earlier invocation had in mind.

The order is the Cluster Autoscaler's: wait for the taint to be seen, look at the pods once more, evict them group by group, wait until they
ended, give those time who asked for it by annotation, terminate the instance. Once pods are being evicted, disruption budgets are left to
the eviction API: a budget that this very drain has used up is a reason to wait, not to give up. All other drain rules go on to hold.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from lambda_autoscaler.core.drain import POD_EXTRA_GRACE, BudgetTracker, DrainContext, PodsToMove, is_long_terminating, pods_to_move
from lambda_autoscaler.core.marks import RECORD_ANNOTATION, begun_at, is_being_deleted, is_tainted, record_of
from lambda_autoscaler.core.model import Cluster, DisruptionBudget, Instance, Node, NodeGroup, PodRef, PodSet, PodShape
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.pending import is_expendable
from lambda_autoscaler.core.plan import Drain, Eviction, Step
from lambda_autoscaler.core.readiness import readiness
from lambda_autoscaler.core.scale_down import DISABLED_ANNOTATION, is_to_be_kept
from lambda_autoscaler.core.units import format_duration

DELAY_PREFIX: Final = "delay-deletion.cluster-autoscaler.kubernetes.io/"
DAEMON_SET_EVICTION: Final = "cluster-autoscaler.kubernetes.io/enable-ds-eviction"
CLOCK_TOLERANCE: Final = 60.0
# A removal whose first pod was not evicted by then was decided about another cluster than today's.
STALE_SECONDS: Final = 300.0
_UNBOUNDED: Final = 2**31


def removals_in_progress(cluster: Cluster) -> list[Node]:
    """Nodes whose removal has begun and whose instance still is a full member of its group."""
    leaving = {item.provider_id for group in cluster.groups for item in group.instances if _is_terminating(item)}
    return [node for node in cluster.nodes if node.group and is_being_deleted(node) and node.provider_id not in leaving]


def pods_to_rehome(cluster: Cluster) -> list[PodSet]:
    """Pods of nodes that are being drained and that will want another place: they count as waiting already (section 2.2)."""
    return [
        pod_set
        for node in removals_in_progress(cluster)
        for pod_set in node.pods
        if not (pod_set.shape.stays_with_node or pod_set.shape.terminating)
    ]


def next_steps(cluster: Cluster, options: Options, now: float) -> tuple[Drain, ...]:
    """The step that is due for each node in removal, in the order of the nodes; ``now`` in seconds since the epoch."""
    groups = {group.id: group for group in cluster.groups}
    spare = Counter({group.id: group.desired - group.minimum for group in cluster.groups})
    found: list[Drain] = []
    for node in cluster.nodes:
        if not is_being_deleted(node):
            continue
        if node.group not in groups:
            found.extend(_left_over(node, options, now))
            continue
        drain = _Removal(node, groups[node.group], cluster, options, now).next()
        if drain.step is Step.TERMINATE:
            spare[node.group] -= 1
            if spare[node.group] < 0:
                why = f"group {node.group} is at its minimum of {groups[node.group].minimum}"
                drain = msgspec.structs.replace(drain, step=Step.ROLL_BACK, why=why)
        found.append(drain)
    return tuple(found)


def _left_over(node: Node, options: Options, now: float) -> list[Drain]:
    """A removal of ours whose instance has left its group, or whose group is no longer known, and which still runs: it is taken back.

    Nodes of terminated instances, too, are in no group; they stop being ready, and are gone after a while.
    """
    begun, running = begun_at(node), readiness(node, options).ready
    if RECORD_ANNOTATION not in node.annotations or not running or (begun is not None and now < begun + STALE_SECONDS):
        return []
    reason = record_of(node, options).reason
    return [Drain(node.name, node.group, Step.ROLL_BACK, "its instance is in no known group any more", reason=reason)]


class _Phase(msgspec.Struct, frozen=True):
    """A pod's place in the order of evictions: number of its group, and the longest time it gets to end, in seconds."""

    number: int
    grace: int
    required: bool


class _Leaver(msgspec.Struct, frozen=True):
    """A pod that must go before its node does."""

    shape: PodShape
    pod: PodRef
    phase: _Phase

    @property
    def name(self) -> str:
        """``namespace/name``."""
        return f"{self.shape.namespace}/{self.pod.name}"

    @property
    def eviction(self) -> Eviction:
        """Its eviction."""
        grace = min(self.shape.grace_seconds, self.phase.grace)
        return Eviction(self.shape.namespace, self.pod.name, self.pod.uid, grace, self.phase.required)


class _Removal:
    """One node in removal."""

    def __init__(self, node: Node, group: NodeGroup, cluster: Cluster, options: Options, now: float) -> None:
        self._node, self._group, self._cluster, self._options, self._now = node, group, cluster, options, now
        self._record = record_of(node, options)
        self._instance = next((item for item in group.instances if item.provider_id == node.provider_id), None)

    def next(self) -> Drain:
        """The step that is due."""
        if self._instance is None or _is_terminating(self._instance):
            return self._step(Step.LEAVING, "its instance terminates")
        fault = self._no_longer_wanted()
        if fault:
            return self._step(Step.ROLL_BACK, fault)
        seen = (begun_at(self._node) or 0.0) + self._options.node_delete_delay_after_taint
        if self._now < seen:
            return self._step(Step.WAIT, "the scheduler may still place pods on it", until=seen)
        if self._has_not_got_on:
            if self._now > seen + STALE_SECONDS:
                return self._step(Step.ROLL_BACK, f"its removal has not got on for {format_duration(int(self._now - seen))}")
            if self._cluster.unread:
                return self._step(Step.WAIT, f"not all of the cluster could be read: {', '.join(self._cluster.unread)}")
        to_move = self._to_move()
        fault = self._blocked(to_move)
        if fault:
            return self._step(Step.ROLL_BACK, fault)
        return self._evict(to_move) or self._delay() or self._step(Step.TERMINATE)

    def _step(self, step: Step, why: str = "", *, until: float = 0.0, evictions: Iterable[Eviction] = ()) -> Drain:
        instance = self._instance.id if self._instance is not None else ""
        drain = Drain(self._node.name, self._node.group, step, why, instance, self._record.reason, until)
        return msgspec.structs.replace(drain, evictions=tuple(evictions))

    @property
    def _has_not_got_on(self) -> bool:
        """Whether nothing has been done yet but to mark the node."""
        return self._record.phase is None and self._record.delayed_since is None

    def _no_longer_wanted(self) -> str:
        begun = begun_at(self._node)
        if not is_tainted(self._node):
            return "somebody took its taint off"
        if begun is None or begun > self._now + CLOCK_TOLERANCE:
            return "when its removal began is not known"
        if self._instance is not None and self._instance.lifecycle.startswith("Detach"):
            return "its instance is being detached from the group"
        if not self._options.scale_down_enabled:
            return "scale-down is disabled"
        if is_to_be_kept(self._node):
            return f"it was annotated {DISABLED_ANNOTATION}"
        return ""

    def _to_move(self) -> PodsToMove:
        """The pods as the drain rules sort them, at the instant the eviction began if it has."""
        record, budgets = self._record, self._cluster.budgets
        if record.phase is not None:
            budgets = tuple(_unbounded(budget) for budget in budgets)
        at = self._now if record.phase is None else record.since
        # What decided that the node may go did not see the expendable ones either: they end with it.
        pods = [item for item in self._node.pods if not is_expendable(item.shape, self._options)]
        # Whether a pod that ends already may be moved is no question any more: its controller may be gone with its wish for it.
        ending = [item for item in pods if record.phase is not None and item.shape.terminating and not item.shape.stays_with_node]
        context = DrainContext(self._options, at, BudgetTracker(budgets), self._cluster.workloads)
        to_move = pods_to_move([item for item in pods if item not in ending], context)
        left = [PodSet(item.shape, refs) for item in ending if (refs := _still_ending(item, at))]
        return msgspec.structs.replace(to_move, moved=(*to_move.moved, *left))

    def _blocked(self, to_move: PodsToMove) -> str:
        if to_move.blocking is not None:
            return f"pod {to_move.blocking.pod} keeps it: {to_move.blocking.rule}"
        if to_move.awaited:
            return f"pod {_first_of(to_move.awaited)} is to run to its end: BlockedByOnCompletionPod"
        if self._record.reason == "empty" and to_move.moved:
            return f"it was empty, and pod {_first_of(to_move.moved)} came meanwhile"
        return ""

    def _evict(self, to_move: PodsToMove) -> Drain | None:
        """The present group of pods: begin with it, evict those that stand, wait for those that end, or give up."""
        leavers = self._leavers(to_move)
        if not leavers:
            return None
        phase = min(item.phase.number for item in leavers)
        present = [item for item in leavers if item.phase.number == phase]
        standing = [item for item in present if item.pod.deletion is None]
        if phase != self._record.phase:
            record = msgspec.structs.replace(self._record, phase=phase, since=self._now)
            drain = self._step(Step.EVICT, evictions=(item.eviction for item in standing))
            return msgspec.structs.replace(drain, record=record)
        return self._overdue(present) or self._step(
            Step.EVICT if standing else Step.WAIT,
            f"{len(present)} of its pods have not ended yet",
            until=self._evicted_by() if standing else max(self._ended_by(item) for item in present),
            evictions=(item.eviction for item in standing),
        )

    def _overdue(self, present: Sequence[_Leaver]) -> Drain | None:
        """The removal taken back, when pods could not be evicted or did not end in time."""
        late = [item for item in present if self._now > (self._evicted_by() if item.pod.deletion is None else self._ended_by(item))]
        if not late:
            return None
        could_not = "was not evicted" if late[0].pod.deletion is None else "did not end"
        waited = format_duration(int(self._now - self._record.since))
        return self._step(Step.ROLL_BACK, f"pod {late[0].name} {could_not} within {waited}", evictions=(item.eviction for item in late))

    def _evicted_by(self) -> float:
        return self._record.since + self._options.max_pod_eviction_time

    def _ended_by(self, item: _Leaver) -> float:
        return self._evicted_by() + item.phase.grace + POD_EXTRA_GRACE

    def _leavers(self, to_move: PodsToMove) -> list[_Leaver]:
        """Pods that must go, each with its group; never one of a group before the present one, since groups are not gone back to."""
        reached = self._record.phase
        regular = [_Leaver(item.shape, pod, self._phase(item.shape, required=True)) for item in to_move.moved for pod in item.pods]
        found = [
            item if reached is None or item.phase.number >= reached else _in_phase(item, reached, self._longest_grace()) for item in regular
        ]
        for pod_set in to_move.daemon_sets:
            if self._evicts_daemon_sets(pod_set.shape):
                found += [item for pod in pod_set.pods if self._counts(item := self._daemon(pod_set.shape, pod))]
        return found

    def _daemon(self, shape: PodShape, pod: PodRef) -> _Leaver:
        return _Leaver(shape, pod, self._phase(shape, required=bool(self._options.drain_priority_config)))

    def _counts(self, item: _Leaver) -> bool:
        """Whether a DaemonSet's pod is waited for. One that was made anew after its group went is not, nor one that is out of time."""
        reached, since = self._record.phase, self._record.since
        if is_long_terminating(item.shape, item.pod, self._now):
            return False
        if reached is None or item.phase.number > reached:
            return True
        if item.phase.number < reached or item.pod.created > since:
            return False
        return item.phase.required or self._now <= since + item.eviction.grace_seconds

    def _evicts_daemon_sets(self, shape: PodShape) -> bool:
        wish = shape.annotation(DAEMON_SET_EVICTION)
        if wish is not None:
            return wish == "true"
        options = self._options
        empty = self._record.reason == "empty"
        return options.daemonset_eviction_for_empty_nodes if empty else options.daemonset_eviction_for_occupied_nodes

    def _phase(self, shape: PodShape, *, required: bool) -> _Phase:
        """Without drain priorities DaemonSet pods go last, and nobody insists on them; with them, every pod goes with its priority."""
        configured = sorted(self._options.drain_priority_config, key=lambda item: item.priority)
        if not configured:
            return _Phase(0 if required else 1, self._options.max_graceful_termination_sec, required)
        number = max((at for at, item in enumerate(configured) if item.priority <= (shape.priority or 0)), default=0)
        return _Phase(number, configured[number].grace_seconds, required)

    def _longest_grace(self) -> int:
        return max((item.grace_seconds for item in self._options.drain_priority_config), default=self._options.max_graceful_termination_sec)

    def _delay(self) -> Drain | None:
        """A wait for those who asked by annotation to delay the end of the node, for as long as they may."""
        asking = sorted(key for key in self._node.annotations if key.startswith(DELAY_PREFIX))
        if not asking:
            return None
        began = self._now if self._record.delayed_since is None else self._record.delayed_since
        until = began + self._options.node_deletion_delay_timeout
        if self._now >= until:
            return None
        drain = self._step(Step.WAIT, f"annotation {asking[0]} delays its end", until=until)
        if self._record.delayed_since is not None:
            return drain
        return msgspec.structs.replace(drain, record=msgspec.structs.replace(self._record, delayed_since=self._now))


def _still_ending(item: PodSet, at: float) -> tuple[PodRef, ...]:
    """The pods of a set that are still waited for."""
    return tuple(pod for pod in item.pods if not is_long_terminating(item.shape, pod, at))


def _is_terminating(instance: Instance) -> bool:
    return instance.lifecycle.startswith("Terminat")


def _unbounded(budget: DisruptionBudget) -> DisruptionBudget:
    return msgspec.structs.replace(budget, allowed=_UNBOUNDED)


def _first_of(pods: Sequence[PodSet]) -> str:
    return f"{pods[0].shape.namespace}/{pods[0].pods[0].name}"


def _in_phase(item: _Leaver, number: int, grace: int) -> _Leaver:
    return msgspec.structs.replace(item, phase=_Phase(number, grace, item.phase.required))
