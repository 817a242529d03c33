"""Which of the unneeded nodes go in this scan (behaviour specification, sections 8.6, 8.7 and 8.9).

A node goes when its clock has run out, its group and the cluster stay above their minimums, and the budgets for parallel removals allow it:
empty nodes first, then nodes to drain, those that a disruption budget may hold up last.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from lambda_autoscaler.core.draining import removals_in_progress
from lambda_autoscaler.core.health import Health
from lambda_autoscaler.core.interruption import is_at_risk
from lambda_autoscaler.core.marks import is_being_deleted, record_of
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.core.model import CPU, DELETION_CANDIDATE_TAINT, MEMORY, Cluster, Node
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.plan import NodeOutcome, Removal, SoftTaint, Unremovable
from lambda_autoscaler.core.quota import usage
from lambda_autoscaler.core.readiness import readiness
from lambda_autoscaler.core.scale_down import Candidate, ScaleDownInput

MOST_TAKEN_OFF: Final = 10
_GIB = 2**30


class Chosen(msgspec.Struct, frozen=True):
    """The removals that start now, and what is said of the unneeded nodes that wait."""

    removals: tuple[Removal, ...]
    outcomes: Mapping[str, NodeOutcome]


def choose_removals(unneeded: Sequence[Candidate], given: ScaleDownInput) -> Chosen:
    """The nodes to remove now. ``given.memory`` must hold the clocks of this scan's survey."""
    gate = _Gate(given)
    outcomes: dict[str, NodeOutcome] = {}
    ready: list[Candidate] = []
    for candidate in sorted(unneeded, key=lambda item: (bool(item.to_move.moved), not is_at_risk(item.node), item.is_risky)):
        held = gate.holds(candidate)
        if held is None:
            ready.append(candidate)
        outcomes[candidate.node.name] = held or _outcome(candidate, None, given.memory)
    going = _within_budget(ready, given)
    names = {candidate.node.name for candidate in going}
    for candidate in ready:
        if candidate.node.name not in names:
            outcomes[candidate.node.name] = _outcome(candidate, Unremovable.OVER_BUDGET, given.memory)
    return Chosen(tuple(removal_of(candidate, given) for candidate in going), outcomes)


def cooldown_until(memory: Memory, options: Options) -> float:
    """Instant until which nothing may be removed after a scale-up, a removal or a failure; 0 when delays are per group."""
    if options.scale_down_delay_type_local:
        return 0.0
    return max(
        memory.last_scale_up + options.scale_down_delay_after_add,
        memory.last_scale_down_delete + options.scale_down_delay_after_delete,
        memory.last_scale_down_failure + options.scale_down_delay_after_failure,
    )


class _Gate:
    """Clocks and minimums. Remembers what it let through, since each node that goes makes its group and the cluster smaller."""

    def __init__(self, given: ScaleDownInput) -> None:
        self._given = given
        self._leaving = Counter(node.group for node in removals_in_progress(given.cluster))
        self._spare = _spare(given)

    def holds(self, candidate: Candidate) -> NodeOutcome | None:
        """Why the node waits; None when it may go."""
        given, node = self._given, candidate.node
        until = self._clock(candidate)
        if until >= given.now and until > given.memory.unneeded_since[node.name]:
            ready = readiness(node, given.options).ready
            reason = Unremovable.NOT_UNNEEDED_LONG_ENOUGH if ready else Unremovable.NOT_UNREADY_LONG_ENOUGH
            return msgspec.structs.replace(_outcome(candidate, reason, given.memory), until=until)
        group = given.group(node.group)
        if group.desired - self._leaving[node.group] <= group.minimum:
            return _outcome(candidate, Unremovable.MIN_SIZE, given.memory)
        needed = usage(node.labels, node.capacity)
        if any(amount > self._spare.get(name, amount) for name, amount in needed.items() if amount > 0):
            return _outcome(candidate, Unremovable.MINIMAL_LIMIT, given.memory)
        for name, amount in needed.items():
            if name in self._spare:
                self._spare[name] -= amount
        self._leaving[node.group] += 1
        return _outcome(candidate, Unremovable.ON_COMPLETION, given.memory) if candidate.to_move.awaited else None

    def _clock(self, candidate: Candidate) -> float:
        """Instant after which the node has been unneeded for long enough."""
        given, node = self._given, candidate.node
        own = given.group(node.group).options
        if readiness(node, given.options).ready:
            threshold = given.options.scale_down_unneeded_time if own.unneeded_time is None else own.unneeded_time
        else:
            threshold = given.options.scale_down_unready_time if own.unready_time is None else own.unready_time
        return given.memory.unneeded_since[node.name] + threshold


def _spare(given: ScaleDownInput) -> dict[str, int]:
    """What may go before a minimum of cores, memory or GPUs is reached; resources without a minimum are left out."""
    options = given.options
    minimums = {CPU: options.cores_total.minimum, MEMORY: options.memory_total.minimum * _GIB}
    minimums |= {total.gpu_type: total.minimum for total in options.gpu_total}
    present: Counter[str] = Counter()
    for labels, capacity in given.footprint:
        if labels.get("type") != "virtual-kubelet":
            present.update(usage(labels, capacity))
    return {name: present[name] - minimum for name, minimum in minimums.items() if minimum > 0}


def _within_budget(ready: Sequence[Candidate], given: ScaleDownInput) -> list[Candidate]:
    """At most so many in parallel, of which so many to drain; removals that have begun count."""
    leaving = removals_in_progress(given.cluster)
    draining = sum(record_of(node, given.options).reason != "empty" for node in leaving)
    room = max(0, given.options.max_scale_down_parallelism - len(leaving))
    empty = _by_group(candidate for candidate in ready if not candidate.to_move.moved)[:room]
    room_to_drain = max(0, min(given.options.max_drain_parallelism - draining, room - len(empty)))
    return [*empty, *[candidate for candidate in ready if candidate.to_move.moved][:room_to_drain]]


def _by_group(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Candidates group by group, in order of the groups' first appearance."""
    groups: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.node.group, []).append(candidate)
    return [candidate for members in groups.values() for candidate in members]


def removal_of(candidate: Candidate, given: ScaleDownInput) -> Removal:
    """The removal of a node, with the pods that are on it and must move."""
    node, used = candidate.node, candidate.utilization
    instances = given.group(node.group).instances
    own = node.provider_id.rpartition("/")[2]  # compared first: an instance puts its provider id together whenever it is asked
    instance = next((item.id for item in instances if item.id == own and item.provider_id == node.provider_id), "")
    here = {pod.uid or pod.name for item in candidate.pods for pod in item.pods}
    moved = [(item.shape.namespace, pod) for item in candidate.to_move.moved for pod in item.pods]
    moves = tuple(f"{namespace}/{pod.name}" for namespace, pod in moved if (pod.uid or pod.name) in here)
    share, resource = (used.share, used.resource) if used is not None else (0.0, "")
    return Removal(node.name, node.group, "underutilized" if moves else "empty", instance, share, resource, moves)


def _outcome(candidate: Candidate, reason: Unremovable | None, memory: Memory) -> NodeOutcome:
    used = candidate.utilization
    share, resource = (used.share, used.resource) if used is not None else (None, "")
    since = memory.unneeded_since.get(candidate.node.name)
    return NodeOutcome(candidate.node.name, candidate.node.group, reason, utilization=share, resource=resource, unneeded_since=since)


def soft_taints(cluster: Cluster, health: Health, unneeded: Iterable[str], limits: tuple[Options, float]) -> tuple[SoftTaint, ...]:
    """Which nodes gain or lose the taint that asks the scheduler to prefer others; at most so many in one scan, removals first."""
    options, now = limits
    wanted = set(unneeded)
    managed = [node for node in cluster.nodes if node.group in health.groups and not is_being_deleted(node)]
    off = [SoftTaint(node.name, 0) for node in managed if _is_soft_tainted(node) and node.name not in wanted]
    on = [SoftTaint(node.name, int(now)) for node in managed if not _is_soft_tainted(node) and node.name in wanted]
    most = options.max_bulk_soft_taint_count
    # Without soft taints those of before are taken off all the same.
    return tuple([*off, *on][:most] if most else off[:MOST_TAKEN_OFF])


def _is_soft_tainted(node: Node) -> bool:
    return any(taint.key == DELETION_CANDIDATE_TAINT for taint in node.taints)
