"""Replacing nodes by cheaper ones (``--consolidation-enabled``; the Cluster Autoscaler has no counterpart).

A consolidation takes one or more nodes of which every pod may be moved, and new nodes of one other group on which all of those pods fit and
which together cost less. It goes in three steps, one consolidation at a time, remembered between scans:

1. It is found, and found again in every scan until ``scale-down-unneeded-time`` has passed.
2. The new nodes are asked for. Until they are ready nothing is removed: there is room for every pod before the first is evicted.
3. The old nodes are drained and removed like others, within the same budgets. Those whose pods no longer fit on the new nodes stay.

If the new nodes do not come in time the consolidation is given up; new nodes without pods are then unneeded like any other.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from lambda_autoscaler.core.deletion import cooldown_until, removal_of
from lambda_autoscaler.core.drain import BudgetTracker, DrainContext, pods_to_move
from lambda_autoscaler.core.draining import removals_in_progress
from lambda_autoscaler.core.estimate import WaitingPods, estimate, node_limit, template_facts
from lambda_autoscaler.core.marks import is_being_deleted, record_of
from lambda_autoscaler.core.memory import Consolidation
from lambda_autoscaler.core.model import Cluster, Node, NodeGroup, PodShape
from lambda_autoscaler.core.plan import Increase, NodeOutcome, Removal, Replacement, Unremovable
from lambda_autoscaler.core.prices import price_of
from lambda_autoscaler.core.quota import usage
from lambda_autoscaler.core.readiness import readiness
from lambda_autoscaler.core.removal import simulate_removal
from lambda_autoscaler.core.scale_down import Candidate, ScaleDownInput, Survey, is_to_be_kept, pods_on
from lambda_autoscaler.core.scale_up import ScaleUpInput, skip_reason
from lambda_autoscaler.core.simulation import Simulation

MOST_NODES: Final = 10
MOST_LOOKED_AT: Final = 100
_REPLACEABLE: Final = (Unremovable.NOT_UNDERUTILIZED, Unremovable.NO_PLACE, Unremovable.RECENTLY_UNREMOVABLE)


class Site(msgspec.Struct, frozen=True):
    """What a consolidation is decided from: the inputs of scale-down and scale-up, and what this scan's scale-down came to.

    ``is_quiet`` says that the scan changes nothing else: no group grows, no node is coming or going.
    """

    down: ScaleDownInput
    up: ScaleUpInput
    survey: Survey
    removals: tuple[Removal, ...] = ()
    is_quiet: bool = False


class Outcome(msgspec.Struct, frozen=True):
    """What a scan does about consolidation: what to remember, the new nodes to ask for, the old ones to remove, and what to say."""

    consolidation: Consolidation | None = None
    increase: Increase | None = None
    removals: tuple[Removal, ...] = ()
    replacement: Replacement | None = None


class _Dear(msgspec.Struct, frozen=True):
    """A node that may be replaced, with what it costs (USD per hour)."""

    candidate: Candidate
    price: float


def taking_part(cluster: Cluster, step: Consolidation | None) -> frozenset[str]:
    """Nodes of a consolidation whose new nodes have been asked for: the old ones, and those that came for it."""
    if step is None or not step.asked:
        return frozenset()
    return frozenset((*step.nodes, *(node.name for node in _arrived(cluster, step))))


def consolidate(simulation: Simulation, site: Site) -> Outcome:
    """The next step. The simulation, in which scale-down's removals stand, is left as it was unless nodes are removed."""
    known = site.down.memory.consolidation
    if known is not None and known.asked:
        return _go_on(simulation, site, known)
    if not site.is_quiet:
        return Outcome(known)
    found = _found_again(simulation, site, known) if known is not None else None
    found = found or _search(simulation, site)
    return Outcome() if found is None else _ask(site, found)


# --- finding ---


def _search(simulation: Simulation, site: Site) -> Consolidation | None:
    """The consolidation that saves most per hour, of those that save enough."""
    nodes = list(_first(_replaceable(site), MOST_NODES))
    offers = [offer for group in _cheaper_groups(site) for offer in [_best_for(simulation, site, nodes, group)] if offer is not None]
    return max(offers, key=lambda offer: offer.saving, default=None)


def _first(dear: Iterator[_Dear], number: int) -> Iterator[_Dear]:
    return (item for item, _ in zip(dear, range(number), strict=False))


def _cheaper_groups(site: Site) -> list[NodeGroup]:
    return [
        group
        for group in site.up.groups
        if group.id in site.up.expander.prices and group.capacity_type != "MIXED" and skip_reason(group, site.up) is None
    ]


def _replaceable(site: Site) -> Iterator[_Dear]:
    """Nodes in use whose pods may all be moved, those that waste most money first; each is only looked at when its turn comes."""
    priced = [item for node in site.down.cluster.nodes if (item := _priced(site, node)) is not None]
    priced.sort(key=lambda item: (-item[1] * (1 - item[2]), item[0].name))
    context = DrainContext(site.down.options, site.down.now, BudgetTracker(site.down.cluster.budgets), site.down.cluster.workloads)
    for node, price, _ in priced[:MOST_LOOKED_AT]:
        pods = pods_on(node, site.down)
        to_move = pods_to_move(pods, context)
        if to_move.blocking is None and not to_move.awaited and to_move.moved:
            context.budgets.use(to_move.moved)
            yield _Dear(Candidate(node, site.down.states[node.name], pods, to_move=to_move), price)


def _priced(site: Site, node: Node) -> tuple[Node, float, float] | None:
    """A node that is in use and takes no pods of others, with its price (USD per hour) and the share of it that is asked for."""
    outcome: NodeOutcome | None = site.survey.outcomes.get(node.name)
    if outcome is None or outcome.reason not in _REPLACEABLE or not readiness(node, site.down.options).ready or _is_kept(node, site):
        return None
    state = site.down.states[node.name]
    if sum(state.load.values()) != sum(len(item.pods) for item in pods_on(node, site.down)):
        return None
    price = price_of(node, site.down.group(node.group), site.down.cluster.prices)
    return None if price is None else (node, price, min(1.0, outcome.utilization or 0.0))


def _is_kept(node: Node, site: Site) -> bool:
    """Whether somebody asked for the node to be kept, or what it costs is not known: of a mixed group some nodes are spot."""
    return is_to_be_kept(node) or site.down.group(node.group).capacity_type == "MIXED"


def _best_for(simulation: Simulation, site: Site, nodes: Sequence[_Dear], group: NodeGroup) -> Consolidation | None:
    """Nodes are added one after the other, as long as their pods fit on new nodes of the group; the set that saves most."""
    held: list[_Dear] = []
    best: Consolidation | None = None
    for item in nodes:
        if not _may_move_to(group, item, site):
            continue
        offer = _offer(simulation, site, [*held, item], group)
        if offer is None:
            continue
        held.append(item)
        if _is_worthwhile(offer, site) and (best is None or offer.saving > best.saving):
            best = offer
    return best


def _may_move_to(group: NodeGroup, item: _Dear, site: Site) -> bool:
    own = site.down.group(item.candidate.node.group)
    same_kind = (own.capacity_type == "SPOT") == (group.capacity_type == "SPOT")
    return own.id != group.id and (same_kind or site.down.options.consolidation_across_capacity_types)


def _is_worthwhile(offer: Consolidation, site: Site) -> bool:
    return offer.saving > 0 and offer.saving >= site.down.options.consolidation_saving_threshold * offer.before


def _offer(simulation: Simulation, site: Site, nodes: Sequence[_Dear], group: NodeGroup) -> Consolidation | None:
    """What it would take to replace all the nodes by new ones of the group; None when it cannot be done."""
    counts = Counter(item.candidate.node.group for item in nodes)
    if any(site.down.group(name).desired - number < site.down.group(name).minimum for name, number in counts.items()):
        return None
    template = site.up.templates[group.id]
    limit = _most_new_nodes(simulation, site, group)
    moved: Counter[PodShape] = Counter()
    for item in nodes:
        moved.update({pod_set.shape: len(pod_set.pods) for pod_set in item.candidate.to_move.moved})
    with simulation.attempt():
        for item in nodes:
            simulation.remove(item.candidate.state)
        found = estimate(simulation, template_facts(template, group.id), [WaitingPods(*pods) for pods in moved.items()], limit)
    if (
        found.pods < moved.total()
        or not found.nodes
        or site.up.quota.allowed(usage(template.labels, template.capacity), found.nodes) < found.nodes
    ):
        return None
    before, after = sum(item.price for item in nodes), found.nodes * site.up.expander.prices[group.id]
    return Consolidation(tuple(item.candidate.node.name for item in nodes), group.id, found.nodes, before, after, site.down.now)


def _most_new_nodes(simulation: Simulation, site: Site, group: NodeGroup) -> int:
    options = site.down.options
    in_cluster = (options.max_nodes_total - simulation.size() or -1) if options.max_nodes_total else 0
    return node_limit(options.max_nodes_per_scaleup, group.maximum - group.desired, in_cluster)


def _found_again(simulation: Simulation, site: Site, known: Consolidation) -> Consolidation | None:
    """A consolidation that was found before, as it is now: it keeps its clock for as long as it is worthwhile."""
    group = next((item for item in _cheaper_groups(site) if item.id == known.group), None)
    nodes = [item for item in _replaceable(site) if item.candidate.node.name in known.nodes]
    if group is None or len(nodes) < len(known.nodes) or not all(_may_move_to(group, item, site) for item in nodes):
        return None
    offer = _offer(simulation, site, nodes, group)
    return msgspec.structs.replace(offer, since=known.since) if offer is not None and _is_worthwhile(offer, site) else None


# --- asking for the new nodes ---


def _ask(site: Site, found: Consolidation) -> Outcome:
    options, now = site.down.options, site.down.now
    due = max(found.since + options.scale_down_unneeded_time, cooldown_until(site.down.memory, options))
    if due > now:
        return Outcome(found, replacement=Replacement(found, "it must hold for a while first", due))
    group = site.down.group(found.group)
    asked = msgspec.structs.replace(found, asked=now)
    increase = Increase(group.id, group.desired, group.desired + found.count, group.maximum)
    return Outcome(asked, increase, replacement=Replacement(asked, "its new nodes are asked for", now + options.max_node_provision_time))


# --- removing the old nodes ---


def _go_on(simulation: Simulation, site: Site, step: Consolidation) -> Outcome:
    down = site.down
    left = [node for node in down.cluster.nodes if node.name in step.nodes]
    until = step.asked + 2 * down.options.max_node_provision_time
    if not left or down.now > until:
        return Outcome()
    ready = [node for node in _arrived(down.cluster, step) if readiness(node, down.options).ready and node.name in down.states]
    if len(ready) < step.count:
        if step.group not in down.memory.requests:
            return Outcome()
        return Outcome(step, replacement=Replacement(step, "its new nodes are not ready yet", until))
    removals = _removals(simulation, site, left, ready)
    return Outcome(step, removals=removals, replacement=Replacement(step, "its old nodes are being removed", until))


def _arrived(cluster: Cluster, step: Consolidation) -> list[Node]:
    return [node for node in cluster.nodes if node.group == step.group and node.created >= step.asked and node.name not in step.nodes]


def _removals(simulation: Simulation, site: Site, left: Sequence[Node], ready: Sequence[Node]) -> tuple[Removal, ...]:
    """Old nodes whose pods find a place on the new ones, as many as may be drained at once."""
    down = site.down
    destinations = {down.states[node.name] for node in ready}
    context = DrainContext(down.options, down.now, BudgetTracker(down.cluster.budgets), down.cluster.workloads)
    leaving = Counter(node.group for node in removals_in_progress(down.cluster))
    going: list[Removal] = []
    for node in left:
        group = down.group(node.group)
        if is_being_deleted(node) or is_to_be_kept(node) or node.name not in down.states or len(going) >= _room_to_drain(site):
            continue
        if group.desired - leaving[node.group] <= group.minimum:
            continue
        pods = pods_on(node, down)
        candidate = Candidate(node, down.states[node.name], pods, to_move=pods_to_move(pods, context))
        blocked = candidate.to_move.blocking is not None or candidate.to_move.awaited
        if blocked or simulate_removal(simulation, candidate.state, candidate.to_move.moved, destinations)[1]:
            continue
        context.budgets.use(candidate.to_move.moved)
        leaving[node.group] += 1
        going.append(msgspec.structs.replace(removal_of(candidate, down), reason="consolidated"))
    return tuple(going)


def _room_to_drain(site: Site) -> int:
    """Drains that may begin in this scan: none beside those that scale-down begins, which have used up what budgets allow."""
    options = site.down.options
    leaving = removals_in_progress(site.down.cluster)
    draining = sum(record_of(node, options).reason != "empty" for node in leaving)
    if site.removals:
        return 0
    return max(0, min(options.max_scale_down_parallelism - len(leaving), options.max_drain_parallelism - draining))
