"""The decision of one scan: the only function the outside calls.

Its steps are those of the peer's loop, in its order (behaviour specification, section 1.2): judge the health of the cluster, give up what
never came, add the nodes that are coming, place waiting pods on free capacity, and for the rest choose a group to grow.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from lambda_autoscaler.core.consolidation import Site, consolidate, taking_part
from lambda_autoscaler.core.deletion import Chosen, choose_removals, cooldown_until, soft_taints
from lambda_autoscaler.core.draining import next_steps, pods_to_rehome
from lambda_autoscaler.core.estimate import template_facts
from lambda_autoscaler.core.expand import ExpanderInput
from lambda_autoscaler.core.explain import increase_text, not_triggered_message
from lambda_autoscaler.core.health import Health, assess, status_notice
from lambda_autoscaler.core.increases import joined, with_requests
from lambda_autoscaler.core.interrupted import answers, pods_of_doomed_nodes, with_marks, with_replacements, with_risky_pools
from lambda_autoscaler.core.interruption import is_doomed
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.core.minimum import to_minimum
from lambda_autoscaler.core.model import Cluster, Node, PodRef, PodSet, PodShape, Resources, Template
from lambda_autoscaler.core.node_state import NodeFacts, NodeState
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.pending import FreeCapacity, are_all_new, is_expendable, old_enough, place_on_free_capacity
from lambda_autoscaler.core.plan import (
    GroupStatus,
    Misfit,
    NodeOutcome,
    Notice,
    PendingPods,
    Plan,
    Removal,
    Rule,
    ScaleUpResult,
    Unremovable,
)
from lambda_autoscaler.core.prices import node_price
from lambda_autoscaler.core.quota import Quota
from lambda_autoscaler.core.readiness import readiness
from lambda_autoscaler.core.removal_words import replacement_text
from lambda_autoscaler.core.salvo import Round, left_over, rounds
from lambda_autoscaler.core.scale_down import Candidate, ScaleDownInput, Survey, shortest_interval, survey, with_survey
from lambda_autoscaler.core.scale_up import ScaleUpDecision, ScaleUpInput
from lambda_autoscaler.core.simulation import Simulation
from lambda_autoscaler.core.template import cluster_shapes, templates
from lambda_autoscaler.core.totals import totals_of


def decide(cluster: Cluster, memory: Memory, options: Options, now: float) -> Plan:
    """What to do about the cluster at ``now`` (seconds since the epoch), and why. Nothing is done here."""
    if not options.scale_up_from_zero and (empty := _emptiness(cluster, options)):
        notice = status_notice(options, "Warning", "ClusterUnhealthy", empty)
        return Plan(ScaleUpResult.NOT_NEEDED, notices=(notice,), memory=memory, faults=cluster.faults, totals=totals_of(cluster))
    cluster, marks = with_marks(cluster, options, now)
    found, memory = templates(cluster, with_risky_pools(memory, cluster, now), options, now)
    health = assess(cluster, memory, options, now)
    memory = msgspec.structs.replace(health.memory, last_scan=now, shortest_interval=shortest_interval(memory, options, now))
    plan = Plan(
        ScaleUpResult.NOT_NEEDED,
        # The node of an instance that seems to have none may be one that could not be read.
        delete_instances=() if "nodes" in cluster.unread else health.delete_instances,
        resize=health.resize,
        groups=health.statuses(now),
        notices=health.notices,
        memory=memory,
        healthy=health.healthy,
        faults=cluster.faults,
        totals=totals_of(cluster),
        drains=next_steps(cluster, options, now),
        cleared_interruptions=marks.cleared,
    )
    if not health.healthy:
        unhealthy = status_notice(options, "Warning", "ClusterUnhealthy", "Cluster is unhealthy")
        cleared = msgspec.structs.replace(memory, unneeded_since={})
        return msgspec.structs.replace(plan, memory=cleared, notices=(*plan.notices, unhealthy))
    if health.resize:
        return plan
    scan = _Scan(cluster, options, now, health, found)
    plan = scan.run(plan)
    # A scan that leaves new pods to the scheduler has not looked for capacity: it has no answer.
    replies = {} if plan.result is ScaleUpResult.IN_COOLDOWN else answers(cluster, plan, memory)
    memory = with_replacements(plan.memory, cluster, replies, plan.increases)
    plan = msgspec.structs.replace(plan, begun_interruptions=marks.begun, answers=replies, memory=memory)
    return scan.with_minimum_sizes(plan) if options.enforce_node_group_min_size else plan


def _emptiness(cluster: Cluster, options: Options) -> str:
    """What makes the cluster one that ``--scale-up-from-zero=false`` leaves alone, nothing otherwise."""
    if not cluster.nodes:
        return "Cluster has no nodes."
    ready = any(readiness(node, options).ready and not node.unschedulable for node in cluster.nodes)
    return "" if ready else "Cluster has no ready nodes."


class _Scan:
    """One scan of a healthy cluster."""

    def __init__(self, cluster: Cluster, options: Options, now: float, health: Health, found: dict[str, Template]) -> None:
        self.cluster = cluster
        self.options = options
        self.now = now
        self.health = health
        self.templates = found
        self.simulation, self.states = _simulate(cluster, options, health, found)

    def run(self, plan: Plan) -> Plan:
        """The plan with what becomes of the waiting pods."""
        doomed = pods_of_doomed_nodes(self.cluster)
        every = _joined(doomed, self.cluster.pending, self.cluster.unprocessed, pods_to_rehome(self.cluster))
        waiting = [item for item in every if not is_expendable(item.shape, self.options)]
        urgent = {item.shape for item in doomed}
        free = place_on_free_capacity(self.simulation, waiting, urgent)
        left, faults = old_enough([item for item in free.left if not item.shape.is_daemonset], self.options, self.now)
        pods = tuple(PendingPods(item.shape, item.pods, "schedulable") for item in free.placed)
        plan = msgspec.structs.replace(plan, pods=pods, faults=(*plan.faults, *faults))
        held = self._held_back(left)
        several = self.options.salvo_scale_up or any(item.shape in urgent for item in left)
        plan = self._with_scale_up(plan, left, several=several) if held is None else self._without_scale_up(plan, left, held)
        if not self.options.scale_down_enabled:
            return msgspec.structs.replace(plan, memory=msgspec.structs.replace(plan.memory, unneeded_since={}))
        return self._with_scale_down(plan, free, may_remove=held is not ScaleUpResult.IN_COOLDOWN)

    def _held_back(self, left: Sequence[PodSet]) -> ScaleUpResult | None:
        """Why no group may grow in this scan (step 22), None when one may."""
        if not left:
            return ScaleUpResult.NOT_NEEDED
        ready = sum(readiness(node, self.options).ready and not node.unschedulable for node in self.cluster.nodes)
        if 0 < self.options.max_nodes_total <= ready:
            return ScaleUpResult.LIMITED
        if not self.options.bypassed_scheduler_names and are_all_new(left, self.now):
            return ScaleUpResult.IN_COOLDOWN
        return None

    def _without_scale_up(self, plan: Plan, left: Sequence[PodSet], result: ScaleUpResult) -> Plan:
        if result is not ScaleUpResult.LIMITED:
            pods = tuple(PendingPods(item.shape, item.pods, "waiting") for item in left)
            return msgspec.structs.replace(plan, result=result, pods=(*plan.pods, *pods))
        limit = self.options.max_nodes_total
        reached = status_notice(self.options, "Warning", "MaxNodesTotalReached", f"Max total nodes in cluster reached: {limit}")
        message = "pod didn't trigger scale-up: max total nodes in cluster reached"
        refusal = (("", Misfit(Rule.MAX_NODES_TOTAL)),)
        pods = tuple(PendingPods(item.shape, item.pods, "unhelped", refusal) for item in left)
        notices = [_pod_notice(item.shape, pod, "NotTriggerScaleUp", message) for item in left for pod in item.pods]
        return msgspec.structs.replace(plan, result=result, pods=(*plan.pods, *pods), notices=(*plan.notices, reached, *notices))

    def _with_scale_up(self, plan: Plan, left: Sequence[PodSet], *, several: bool) -> Plan:
        found = rounds(self.simulation, self._input(tuple(left)), several=several)
        increases = tuple(item for part in found for item in part.decision.increases)
        last = found[-1].decision
        outcomes = tuple(outcome for part in found for outcome in _outcomes(part, final=part is found[-1]))
        plan = msgspec.structs.replace(
            plan,
            result=ScaleUpResult.SUCCESSFUL if increases else last.result,
            increases=joined(increases),
            options=tuple(option for part in found for option in part.decision.options),
            skipped_groups=tuple(last.skipped.items()),
            pods=(*plan.pods, *outcomes),
            memory=with_requests(plan.memory, increases, self.options, self.now),
        )
        notices = [notice for part in found for notice in (*part.decision.notices, *_triggered(part))]
        return msgspec.structs.replace(plan, notices=(*plan.notices, *notices, *_not_triggered(plan)))

    def with_minimum_sizes(self, plan: Plan) -> Plan:
        """The plan with the groups that stand below their minimum brought to it."""
        increases, notices = to_minimum(self._input(), plan.increases)
        return msgspec.structs.replace(
            plan,
            increases=joined((*plan.increases, *increases)),
            notices=(*plan.notices, *notices),
            memory=with_requests(plan.memory, increases, self.options, self.now),
        )

    def _input(self, waiting: tuple[PodSet, ...] = ()) -> ScaleUpInput:
        groups = self.cluster.groups
        known = {
            group.id: node_price(group, self.templates[group.id], self.cluster.prices) for group in groups if group.id in self.templates
        }
        prices = {name: price for name, price in known.items() if price is not None}
        return ScaleUpInput(
            waiting=waiting,
            groups=groups,
            templates=self.templates,
            health=self.health,
            quota=Quota(self.options, self._footprint()),
            expander=ExpanderInput(self.options, self.cluster.priorities, prices, len(self.cluster.nodes)),
            now=self.now,
        )

    def _footprint(self) -> list[tuple[Mapping[str, str], Resources]]:
        """Labels and capacity of every node that counts against the cluster's limits: those there are, and those that are coming."""
        replaced = {name for item in self.health.groups.values() if item.upcoming for name in item.not_started}
        present = [(node.labels, node.capacity) for node in self.cluster.nodes if node.name not in replaced]
        templates = ((self.templates.get(name), item.upcoming) for name, item in self.health.groups.items())
        return [*present, *((found.labels, found.capacity) for found, count in templates if found is not None for _ in range(count))]

    def _with_scale_down(self, plan: Plan, free: FreeCapacity, *, may_remove: bool) -> Plan:
        """The plan with the nodes that are not needed. They are found in every scan; whether they may go now is another question."""
        promised = {name: tuple(pods) for name, pods in _promised(self.cluster).items()}
        extra = {name: (*promised.get(name, ()), *free.by_node.get(name, ())) for name in self.states}
        given = ScaleDownInput(
            cluster=self.cluster,
            health=self.health,
            memory=plan.memory,
            options=self.options,
            now=self.now,
            states=self.states,
            extra=extra,
            footprint=tuple(self._footprint()),
            consolidating=taking_part(self.cluster, plan.memory.consolidation) if self.options.consolidation_enabled else frozenset(),
        )
        found = survey(self.simulation, given)
        memory = with_survey(plan.memory, found, given)
        given = msgspec.structs.replace(given, memory=memory)
        chosen = choose_removals(found.unneeded, given)
        until = cooldown_until(memory, self.options)
        unread = self.cluster.unread
        removals = chosen.removals if may_remove and until <= self.now and not unread else ()
        held = (Unremovable.INCOMPLETE, 0.0, ", ".join(unread)) if unread else (Unremovable.IN_COOLDOWN, until, "")
        outcomes = {**found.outcomes, **_held_back(chosen, removals, held)}
        names = [candidate.node.name for candidate in found.unneeded]
        plan = msgspec.structs.replace(
            plan,
            removals=removals,
            groups=_with_candidates(plan.groups, found.unneeded),
            nodes=tuple(outcomes[node.name] for node in self.cluster.nodes if node.name in outcomes),
            soft_taints=soft_taints(self.cluster, self.health, names, (self.options, self.now)),
            memory=_with_removals(memory, removals, self.now),
        )
        return self._with_consolidation(plan, given, found) if self.options.consolidation_enabled and not unread else plan

    def _with_consolidation(self, plan: Plan, given: ScaleDownInput, found: Survey) -> Plan:
        """The plan with the next step of replacing nodes by cheaper ones."""
        busy = plan.result is not ScaleUpResult.NOT_NEEDED or plan.drains or plan.removals
        coming = any(item.upcoming for item in self.health.groups.values())
        step = consolidate(self.simulation, Site(given, self._input(), found, plan.removals, is_quiet=not (busy or coming)))
        increases = () if step.increase is None else (step.increase,)
        memory = _with_removals(with_requests(plan.memory, increases, self.options, self.now), step.removals, self.now)
        notices = (
            [status_notice(self.options, "Normal", "Consolidating", replacement_text(step.replacement, self.now))]
            if step.replacement and increases
            else []
        )
        return msgspec.structs.replace(
            plan,
            increases=(*plan.increases, *increases),
            removals=(*plan.removals, *step.removals),
            replacement=step.replacement,
            notices=(*plan.notices, *notices),
            memory=msgspec.structs.replace(memory, consolidation=step.consolidation),
        )


def _with_candidates(groups: Iterable[GroupStatus], unneeded: Iterable[Candidate]) -> tuple[GroupStatus, ...]:
    """Rows of the groups with the number of their unneeded nodes."""
    numbers = Counter(candidate.node.group for candidate in unneeded)
    return tuple(msgspec.structs.replace(group, candidates=numbers[group.group]) for group in groups)


def _held_back(chosen: Chosen, removals: tuple[Removal, ...], held: tuple[Unremovable, float, str]) -> dict[str, NodeOutcome]:
    """Outcomes of the unneeded nodes; those that could go and do not, say what holds them: a reason, until when, and what it is about."""
    going = {removal.node for removal in removals}
    reason, until, about = held
    return {
        name: outcome
        if outcome.reason is not None or name in going
        else msgspec.structs.replace(outcome, reason=reason, until=until, object=about)
        for name, outcome in chosen.outcomes.items()
    }


def _with_removals(memory: Memory, removals: Iterable[Removal], now: float) -> Memory:
    groups = {removal.group: now for removal in removals}
    if not groups:
        return memory
    return msgspec.structs.replace(memory, last_scale_down_delete=now, group_scale_down={**memory.group_scale_down, **groups})


def _promised(cluster: Cluster) -> dict[str, list[PodSet]]:
    """Nominated pods by node."""
    promised: dict[str, list[PodSet]] = {}
    for name, pod_set in cluster.nominated:
        promised.setdefault(name, []).append(pod_set)
    return promised


def _joined(*parts: Iterable[PodSet]) -> list[PodSet]:
    """Pods of the same shape together, in order of first appearance."""
    found: dict[PodShape, tuple[PodRef, ...]] = {}
    for part in parts:
        for pod_set in part:
            found[pod_set.shape] = found.get(pod_set.shape, ()) + pod_set.pods
    return [PodSet(shape, pods) for shape, pods in found.items()]


def _simulate(cluster: Cluster, options: Options, health: Health, found: dict[str, Template]) -> tuple[Simulation, dict[str, NodeState]]:
    """The cluster as it will be: its nodes with their pods, without expendable ones, and the nodes that are coming; real nodes by name."""
    simulation = Simulation(cluster_shapes(cluster, found))
    coming = {name: item.upcoming for name, item in health.groups.items() if item.upcoming}
    replaced = {node for name in coming for node in health.groups[name].not_started}
    promised = _promised(cluster)
    states = {
        node.name: simulation.add(_facts(node, promised.get(node.name, ()), cluster, options))
        for node in cluster.nodes
        if node.name not in replaced
    }
    for name, count in coming.items():
        if name in found:
            simulation.add(template_facts(found[name], name), count)
    return simulation, states


def _facts(node: Node, promised: Iterable[PodSet], cluster: Cluster, options: Options) -> NodeFacts:
    pods = tuple((item.shape, len(item.pods)) for item in _joined(node.pods, promised) if not is_expendable(item.shape, options))
    limits = cluster.attach_limits.get(node.name, {})
    return NodeFacts(node.labels, node.taints, node.allocatable, pods, node.name, node.unschedulable or is_doomed(node), limits)


def _outcomes(part: Round, *, final: bool) -> list[PendingPods]:
    """What became of the pods of a round: its option helps the first ones of each shape, the rest goes on to the next round."""
    decision = part.decision
    rest = left_over(part.waiting, decision)
    kept = {item.shape: len(item.pods) for item in rest}
    helped = [(item.shape, item.pods[: len(item.pods) - kept.get(item.shape, 0)]) for item in part.waiting]
    found = [PendingPods(shape, pods, "triggered", _reasons(shape, decision)) for shape, pods in helped if pods]
    for item in rest if final else ():
        outcome = "waiting" if item.shape in decision.helped else "unhelped"
        found.append(PendingPods(item.shape, item.pods, outcome, _reasons(item.shape, decision)))
    return found


def _reasons(shape: PodShape, decision: ScaleUpDecision) -> tuple[tuple[str, Misfit], ...]:
    """Per group, why it takes no pod of the shape: the group's own reason, or the first rule to refuse a new node of it."""
    return tuple(sorted({**decision.skipped, **decision.refusals.get(shape, {})}.items()))


def _triggered(part: Round) -> list[Notice]:
    """Events on the pods for which a round grows groups."""
    text = f"pod triggered scale-up: [{' '.join(f'{{{increase_text(item)}}}' for item in part.decision.increases)}]"
    helped = (item for item in _outcomes(part, final=False))
    return [_pod_notice(item.shape, pod, "TriggeredScaleUp", text) for item in helped for pod in item.pods]


def _not_triggered(plan: Plan) -> list[Notice]:
    """Events on the pods that no group can help, when nothing grows."""
    if plan.result is not ScaleUpResult.NO_OPTIONS:
        return []
    return [
        _pod_notice(item.shape, pod, "NotTriggerScaleUp", not_triggered_message(misfit for _, misfit in item.reasons))
        for item in plan.pods
        if item.outcome == "unhelped"
        for pod in item.pods
    ]


def _pod_notice(shape: PodShape, pod: PodRef, reason: str, message: str) -> Notice:
    return Notice("Pod", shape.namespace, pod.name, "Normal", reason, message, pod.uid)
