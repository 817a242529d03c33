"""Which nodes are not needed, and which of them go now (behaviour specification, section 8).

Every scan simulates the removal of underutilised nodes one after the other; what one removal takes from the free capacity and from the
disruption budgets is gone for the next. A node that stays removable for long enough, and only then, is removed.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from lambda_autoscaler.core.drain import BudgetTracker, DrainContext, PodsToMove, pods_to_move
from lambda_autoscaler.core.health import Health
from lambda_autoscaler.core.interruption import is_at_risk, is_doomed
from lambda_autoscaler.core.marks import is_being_deleted
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.core.model import Cluster, GroupOptions, Node, NodeGroup, PodRef, PodSet, PodShape, Resources
from lambda_autoscaler.core.node_state import NodeState
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.plan import NodeOutcome, Unremovable
from lambda_autoscaler.core.readiness import readiness
from lambda_autoscaler.core.removal import Arrivals, Removals
from lambda_autoscaler.core.simulation import Simulation
from lambda_autoscaler.core.utilization import Utilization, utilization

# What a survey may cost. Where pods find no place, each candidate looks at every node: a scan ends in time and the next one goes on.
MOST_LOOKS: Final = 2_000_000
DISABLED_ANNOTATION: Final = "cluster-autoscaler.kubernetes.io/scale-down-disabled"


class Candidate(msgspec.Struct, frozen=True):
    """A node that may go, with what is on it in the simulation."""

    node: Node
    state: NodeState
    pods: tuple[PodSet, ...]
    utilization: Utilization | None = None
    to_move: PodsToMove = PodsToMove()
    is_risky: bool = False


class ScaleDownInput(msgspec.Struct, frozen=True):
    """What scale-down decides from.

    ``states`` are the simulation's nodes by name, ``extra`` the pods promised to or placed on them, ``footprint`` labels and capacity of
    every node that counts against the cluster's limits, ``consolidating`` nodes that are being replaced or came to replace others: they
    neither go nor take pods.
    """

    cluster: Cluster
    health: Health
    memory: Memory
    options: Options
    now: float
    states: Mapping[str, NodeState]
    extra: Mapping[str, tuple[PodSet, ...]]
    footprint: tuple[tuple[Mapping[str, str], Resources], ...] = ()
    consolidating: frozenset[str] = frozenset()

    def group(self, name: str) -> NodeGroup:
        """A node group by its id."""
        return self.health.groups[name].group


class Survey(msgspec.Struct, frozen=True):
    """The nodes that are not needed, in the order found; what is said of each other node; and nodes that failed the simulation."""

    unneeded: tuple[Candidate, ...]
    outcomes: Mapping[str, NodeOutcome]
    unremovable: tuple[str, ...] = ()


def survey(simulation: Simulation, given: ScaleDownInput) -> Survey:
    """Find the unneeded nodes. Removals stay simulated, so call this last."""
    outcomes: dict[str, NodeOutcome] = {}
    budgets = BudgetTracker(given.cluster.budgets)
    context = DrainContext(given.options, given.now, budgets, given.cluster.workloads)
    eligible: list[Candidate] = []
    for candidate in _candidates(given, outcomes):
        checked, outcome = _check(candidate, given)
        if outcome is not None:
            outcomes[candidate.node.name] = outcome
        else:
            eligible.append(checked)
    return _simulate_removals(simulation, _in_order(eligible, given), given, (context, outcomes))


def _simulate_removals(
    simulation: Simulation, eligible: Sequence[Candidate], given: ScaleDownInput, judged: tuple[DrainContext, dict[str, NodeOutcome]]
) -> Survey:
    context, outcomes = judged
    leaving = {node.name for node in given.cluster.nodes if is_being_deleted(node) or is_doomed(node)} | given.consolidating
    destinations = {state for name, state in given.states.items() if name not in leaving}
    removals = Removals(simulation, destinations, _movable(eligible))
    arrived: dict[str, list[PodSet]] = {}
    limit = unneeded_limit(given.memory, given.options)
    unneeded: list[Candidate] = []
    failed: list[str] = []
    for candidate in eligible:
        name = candidate.node.name
        if len(unneeded) >= limit or removals.looks >= MOST_LOOKS:
            outcomes[name] = _stays(candidate, Unremovable.OVER_LIMIT)
            continue
        to_move = pods_to_move(_by_shape((*candidate.pods, *arrived.get(name, ()))), context)
        arrivals, outcome = _try_removal(removals, candidate, to_move)
        if outcome is not None:
            outcomes[name] = outcome
            failed.append(name)
            continue
        for destination, pods in arrivals:
            arrived.setdefault(destination, []).append(pods)
        risky = not context.budgets.allows_all_at_once(to_move.moved)
        context.budgets.use(to_move.moved)
        unneeded.append(msgspec.structs.replace(candidate, to_move=to_move, is_risky=risky))
    return Survey(tuple(unneeded), outcomes, tuple(failed))


def _movable(candidates: Iterable[Candidate]) -> set[PodShape]:
    """Shapes of the pods that may have to move: a daemon set's and static ones never do."""
    shapes = {item.shape for candidate in candidates for item in candidate.pods}
    return {shape for shape in shapes if not (shape.is_daemonset or shape.is_mirror)}


def _by_shape(pods: Iterable[PodSet]) -> list[PodSet]:
    """Pods of the same shape together: equal pods are looked at, and look for a place, once."""
    found: dict[PodShape, list[PodRef]] = {}
    for item in pods:
        found.setdefault(item.shape, []).extend(item.pods)
    return [PodSet(shape, tuple(refs)) for shape, refs in found.items()]


def _try_removal(removals: Removals, candidate: Candidate, to_move: PodsToMove) -> tuple[Arrivals, NodeOutcome | None]:
    if to_move.blocking is not None:
        outcome = _stays(candidate, Unremovable.BLOCKED_BY_POD)
        return [], msgspec.structs.replace(outcome, object=to_move.blocking.pod, rule=to_move.blocking.rule)
    arrivals, homeless = removals.simulate(candidate.state, to_move.moved)
    if homeless:
        return [], msgspec.structs.replace(_stays(candidate, Unremovable.NO_PLACE), object=homeless)
    return arrivals, None


def _candidates(given: ScaleDownInput, outcomes: dict[str, NodeOutcome]) -> list[Candidate]:
    """Nodes of groups above their minimum, and out of a delay of their own, that are not starting and not already going."""
    found: list[Candidate] = []
    for node in given.cluster.nodes:
        state = given.states.get(node.name)
        if state is None:
            outcomes[node.name] = NodeOutcome(node.name, node.group, Unremovable.STARTING)
        elif is_being_deleted(node):
            outcomes[node.name] = NodeOutcome(node.name, node.group, Unremovable.BEING_DELETED)
        elif is_doomed(node):
            outcomes[node.name] = NodeOutcome(node.name, node.group, Unremovable.INTERRUPTED)
        elif node.name in given.consolidating:
            outcomes[node.name] = NodeOutcome(node.name, node.group, Unremovable.CONSOLIDATING)
        elif not node.group:
            outcomes[node.name] = NodeOutcome(node.name, "", Unremovable.NOT_AUTOSCALED)
        elif given.group(node.group).desired <= given.group(node.group).minimum:
            outcomes[node.name] = NodeOutcome(node.name, node.group, Unremovable.MIN_SIZE)
        elif (until := group_cooldown_until(node.group, given.memory, given.options)) > given.now:
            outcomes[node.name] = NodeOutcome(node.name, node.group, Unremovable.IN_COOLDOWN, until=until)
        else:
            found.append(Candidate(node, state, pods_on(node, given)))
    return found


def group_cooldown_until(group: str, memory: Memory, options: Options) -> float:
    """The same for one group when delays are per group, else 0."""
    if not options.scale_down_delay_type_local:
        return 0.0
    return max(
        memory.group_scale_up.get(group, 0.0) + options.scale_down_delay_after_add,
        memory.group_scale_down.get(group, 0.0) + options.scale_down_delay_after_delete,
        memory.group_scale_down_failure.get(group, 0.0) + options.scale_down_delay_after_failure,
    )


def pods_on(node: Node, given: ScaleDownInput) -> tuple[PodSet, ...]:
    """Pods that the simulation has on the node: the expendable ones are not there."""
    own = tuple(pod_set for pod_set in node.pods if pod_set.shape in given.states[node.name].load)
    return (*own, *given.extra.get(node.name, ()))


def _in_order(candidates: Iterable[Candidate], given: ScaleDownInput) -> list[Candidate]:
    """Empty nodes first, then those without pods to wait for; among equals, nodes at risk of interruption, then those unneeded before."""
    alone = DrainContext(given.options, given.now, BudgetTracker(()))

    def rank(candidate: Candidate) -> tuple[bool, bool, bool, bool]:
        to_move = pods_to_move(candidate.pods, alone)
        empty = to_move.blocking is None and not to_move.moved
        node = candidate.node
        return not empty, bool(to_move.awaited), not is_at_risk(node), node.name not in given.memory.unneeded_since

    return sorted(candidates, key=rank)


def _check(candidate: Candidate, given: ScaleDownInput) -> tuple[Candidate, NodeOutcome | None]:
    """The candidate with its utilisation, and the first reason for which it is not even simulated (section 8.2)."""
    node, options = candidate.node, given.options
    until = given.memory.unremovable_until.get(node.name, 0.0)
    if until > given.now:
        pod, rule = given.memory.unremovable_for.get(node.name, ("", ""))
        return candidate, msgspec.structs.replace(_stays(candidate, Unremovable.RECENTLY_UNREMOVABLE), until=until, object=pod, rule=rule)
    if is_to_be_kept(node):
        return candidate, _stays(candidate, Unremovable.DISABLED)
    group = given.group(node.group).options
    ignored = options.ignore_daemonsets_utilization if group.ignore_daemonsets is None else group.ignore_daemonsets
    mirrors = options.ignore_mirror_pods_utilization
    used = utilization(node, candidate.pods, given.now, ignore_daemonsets=ignored, ignore_mirrors=mirrors)
    candidate = msgspec.structs.replace(candidate, utilization=used)
    if used is None:
        return candidate, _stays(candidate, Unremovable.UNEXPECTED)
    if not options.scale_down_unready_enabled and not readiness(node, options).ready:
        return candidate, _stays(candidate, Unremovable.UNREADY_DISABLED)
    if used.share > _threshold(used, group, options):
        return candidate, _stays(candidate, Unremovable.NOT_UNDERUTILIZED)
    return candidate, None


def is_to_be_kept(node: Node) -> bool:
    """Whether somebody asked by annotation for the node to stay."""
    return node.annotations.get(DISABLED_ANNOTATION) == "true"


def _threshold(used: Utilization, group: GroupOptions, options: Options) -> float:
    if used.resource in ("cpu", "memory"):
        own, common = group.utilization_threshold, options.scale_down_utilization_threshold
    else:
        own, common = group.gpu_utilization_threshold, options.scale_down_gpu_utilization_threshold
    return common if own is None else own


def _stays(candidate: Candidate, reason: Unremovable) -> NodeOutcome:
    used = candidate.utilization
    share, resource = (used.share, used.resource) if used is not None else (None, "")
    return NodeOutcome(candidate.node.name, candidate.node.group, reason, utilization=share, resource=resource)


def unneeded_limit(memory: Memory, options: Options) -> int:
    """How many unneeded nodes are worth knowing of: what can be deleted while the clocks run, with some to spare (section 8.4)."""
    parallel = options.max_scale_down_parallelism
    interval = memory.shortest_interval or _longest_interval(options)
    rounds = int(max(options.scale_down_unneeded_time, interval) // interval)
    return min(len(memory.unneeded_since) + 2 * parallel, parallel * rounds + parallel)


def shortest_interval(memory: Memory, options: Options, now: float) -> float:
    """Smallest time between two scans so far, in seconds; before there were two, the unneeded time. ``memory`` is that of the last scan."""
    known = memory.shortest_interval or _longest_interval(options)
    since = now - memory.last_scan
    return min(known, since) if memory.last_scan and since > 0 else known


def _longest_interval(options: Options) -> float:
    return options.scale_down_unneeded_time or 1e-9


def with_survey(memory: Memory, found: Survey, given: ScaleDownInput) -> Memory:
    """Memory after a survey: clocks of the unneeded nodes go on, all others are forgotten; nodes that failed are not tried for a while."""
    since = {candidate.node.name: memory.unneeded_since.get(candidate.node.name, given.now) for candidate in found.unneeded}
    known = {node.name for node in given.cluster.nodes}
    until = {name: at for name, at in memory.unremovable_until.items() if at > given.now and name in known}
    reasons = {name: reason for name, reason in memory.unremovable_for.items() if name in until}
    until |= dict.fromkeys(found.unremovable, given.now + given.options.unremovable_node_recheck_timeout)
    reasons |= {name: (found.outcomes[name].object, found.outcomes[name].rule) for name in found.unremovable}
    return msgspec.structs.replace(memory, unneeded_since=since, unremovable_until=until, unremovable_for=reasons)
