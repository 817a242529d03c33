"""From waiting pods to increases, with a reason for every pod that is not helped (behaviour specification, sections 3.2 and 7.1)."""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from lambda_autoscaler.core.backoff import is_backed_off
from lambda_autoscaler.core.balance import are_similar, balance
from lambda_autoscaler.core.estimate import Estimate, WaitingPods, estimate, node_limit, template_facts
from lambda_autoscaler.core.expand import ExpanderInput, Option, choose, waste
from lambda_autoscaler.core.health import Health, status_notice
from lambda_autoscaler.core.model import NodeGroup, PodSet, PodShape, Template
from lambda_autoscaler.core.node_state import NodeFacts
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.plan import Increase, Misfit, Notice, OptionSummary, Rule, ScaleUpResult
from lambda_autoscaler.core.pools import away_from_risk
from lambda_autoscaler.core.quota import CLUSTER_WIDE, Quota, usage
from lambda_autoscaler.core.simulation import Simulation

MAX_SHAPES_PER_CONTROLLER = 10
Refusals = dict[PodShape, dict[str, Misfit]]


class ScaleUpInput(msgspec.Struct, frozen=True):
    """What scale-up decides from: waiting pods, groups with templates, the cluster's health, limits, and the expander's table."""

    waiting: tuple[PodSet, ...]
    groups: tuple[NodeGroup, ...]
    templates: Mapping[str, Template]
    health: Health
    quota: Quota
    expander: ExpanderInput
    now: float

    @property
    def options(self) -> Options:
        """The autoscaler's options."""
        return self.expander.options


class ScaleUpDecision(msgspec.Struct, frozen=True, kw_only=True):
    """Increases, or why there are none. ``refusals`` are per shape and group the first reason; ``chosen`` is the best option."""

    result: ScaleUpResult
    increases: tuple[Increase, ...] = ()
    chosen: Option | None = None
    options: tuple[OptionSummary, ...] = ()
    skipped: Mapping[str, Misfit] = {}
    refusals: Refusals = {}
    helped: frozenset[PodShape] = frozenset()
    notices: tuple[Notice, ...] = ()


def waiting_groups(waiting: Sequence[PodSet]) -> list[WaitingPods]:
    """Waiting pods as equivalence groups. Pods without a controller, and those of a controller's eleventh shape on, stand alone."""
    shapes: Counter[str] = Counter()
    groups: list[WaitingPods] = []
    for pod_set in waiting:
        controller = pod_set.shape.controller
        if controller is not None:
            shapes[controller.uid] += 1
        alone = controller is None or shapes[controller.uid] > MAX_SHAPES_PER_CONTROLLER
        groups.append(WaitingPods(pod_set.shape, len(pod_set.pods), alone))
    return groups


def scale_up(simulation: Simulation, given: ScaleUpInput) -> ScaleUpDecision:
    """Decide which groups grow for the waiting pods. The simulation is left as it was."""
    groups = waiting_groups(given.waiting)
    skipped = {group.id: reason for group in given.groups if (reason := skip_reason(group, given)) is not None}
    valid = [group for group in given.groups if group.id not in skipped]
    looks = _Looks(simulation, groups)
    hosts: dict[str, list[WaitingPods]] = {}
    refusals: Refusals = {item.shape: {} for item in groups}
    for group in valid:
        hosts[group.id], refused = looks.hosted(template_facts(given.templates[group.id], group.id))
        for shape, misfit in refused.items():
            refusals[shape][group.id] = misfit
    helped = frozenset(item.shape for hosted in hosts.values() for item in hosted)
    options = [option for group in valid if hosts[group.id] and (option := _option(looks, group, hosts, given)) is not None]
    decision = ScaleUpDecision(result=ScaleUpResult.NO_OPTIONS, skipped=skipped, refusals=refusals, helped=helped)
    if not options:
        return decision
    best, notices = choose(away_from_risk(options, given.groups, given.health.memory.risky_pools), given.expander)
    increases, capped = _increases(simulation, best, hosts, given)
    return msgspec.structs.replace(
        decision,
        result=ScaleUpResult.SUCCESSFUL,
        increases=tuple(increases),
        chosen=best,
        options=_summaries(options, best),
        notices=(*notices, *capped),
    )


def skip_reason(group: NodeGroup, given: ScaleUpInput) -> Misfit | None:
    """Why a group cannot grow now, None when it can."""
    template = given.templates.get(group.id)
    if not given.health.groups[group.id].healthy:
        return Misfit(Rule.NOT_READY)
    if is_backed_off(given.health.memory, group.id, given.now):
        return Misfit(Rule.BACKOFF)
    if group.desired >= group.maximum:
        return Misfit(Rule.MAX_SIZE)
    if template is None:
        return Misfit(Rule.NO_TEMPLATE, group.cloud.fault)
    exceeded = given.quota.exceeded(usage(template.labels, template.capacity))
    return Misfit(Rule.QUOTA, f'"{CLUSTER_WIDE}", resources: {", ".join(exceeded)}') if exceeded else None


class _Looks:
    """What waiting pods make of new nodes. Groups whose nodes no pod can tell apart are looked at once."""

    def __init__(self, simulation: Simulation, groups: Sequence[WaitingPods]) -> None:
        self.simulation = simulation
        self._groups = groups
        self._hosted: dict[object, tuple[list[WaitingPods], dict[PodShape, Misfit]]] = {}
        self._packed: dict[object, Estimate] = {}

    def hosted(self, facts: NodeFacts) -> tuple[list[WaitingPods], dict[PodShape, Misfit]]:
        """The equivalence groups of which one pod runs on a new node, and the first reason of each of the others."""
        sight = self.simulation.sight(facts)
        if sight not in self._hosted:
            self._hosted[sight] = self._judge(facts)
        return self._hosted[sight]

    def packed(self, facts: NodeFacts, limit: int) -> Estimate:
        """The estimate for a new node, of which at most ``limit`` may be added."""
        sight = self.simulation.sight(facts)
        if (sight, limit) not in self._packed:
            self._packed[sight, limit] = estimate(self.simulation, facts, self.hosted(facts)[0], limit)
        return self._packed[sight, limit]

    def _judge(self, facts: NodeFacts) -> tuple[list[WaitingPods], dict[PodShape, Misfit]]:
        hosted: list[WaitingPods] = []
        refused: dict[PodShape, Misfit] = {}
        with self.simulation.attempt():
            state = self.simulation.add(facts)
            for item in self._groups:
                misfit = self.simulation.misfit(self.simulation.needs(item.shape), state)
                if misfit is None:
                    hosted.append(item)
                else:
                    refused[item.shape] = misfit
        return hosted, refused


def _option(looks: _Looks, group: NodeGroup, hosts: Mapping[str, list[WaitingPods]], given: ScaleUpInput) -> Option | None:
    options = given.options
    template = given.templates[group.id]
    similar = _similar(group, hosts, given)
    room = sum(max(0, item.maximum - item.desired) for item in (group, *similar)) or -1
    in_cluster = 0
    if options.max_nodes_total:
        in_cluster = options.max_nodes_total - looks.simulation.size()
        in_cluster = in_cluster if in_cluster > 0 else -1
    limit = node_limit(options.max_nodes_per_scaleup, room, in_cluster)
    if limit < 0:
        return None
    found = looks.packed(template_facts(template, group.id), limit)
    if not found.nodes or not found.pods:
        return None
    return Option(group.id, found.nodes, found.placed, template, tuple(item.id for item in similar))


def _similar(group: NodeGroup, hosts: Mapping[str, list[WaitingPods]], given: ScaleUpInput) -> list[NodeGroup]:
    """Groups the increase can be balanced with: alike, healthy, and able to host all that the main group hosts."""
    if not given.options.balance_similar_node_groups:
        return []
    ours = {item.shape for item in hosts[group.id]}
    template = given.templates[group.id]
    return [
        other
        for other in given.groups
        if other.id != group.id
        and other.id in hosts
        and ours <= {item.shape for item in hosts[other.id]}
        and are_similar(template, given.templates[other.id], given.options)
    ]


def _increases(
    simulation: Simulation, best: Option, hosts: Mapping[str, list[WaitingPods]], given: ScaleUpInput
) -> tuple[list[Increase], list[Notice]]:
    """The best option cut to the limits and split between similar groups."""
    notices: list[Notice] = []
    nodes, maximum = best.nodes, given.options.max_nodes_total
    if maximum and simulation.size() + nodes > maximum:
        nodes = maximum - simulation.size()
        notices.append(status_notice(given.options, "Warning", "MaxNodesTotalReached", f"Max total nodes in cluster reached: {maximum}"))
    by_id = {group.id: group for group in given.groups}
    main = by_id[best.group]
    similar = _similar(main, hosts, given)
    nodes = given.quota.allowed(_usage_of(best.group, given), nodes)
    shares = balance([Increase(group.id, group.desired, group.desired, group.maximum) for group in (main, *similar)], nodes)
    return [share for share in (_within_quota(share, given) for share in shares) if share.target > share.current], notices


def _within_quota(share: Increase, given: ScaleUpInput) -> Increase:
    one = _usage_of(share.group, given)
    allowed = given.quota.allowed(one, share.target - share.current)
    given.quota.take(one, allowed)
    return msgspec.structs.replace(share, target=share.current + allowed)


def _usage_of(group: str, given: ScaleUpInput) -> dict[str, int]:
    template = given.templates[group]
    return usage(template.labels, template.capacity)


def _summaries(options: Sequence[Option], best: Option) -> tuple[OptionSummary, ...]:
    return tuple(
        OptionSummary(option.group, option.nodes, option.pods, waste(option), option is best, option.similar) for option in options
    )
