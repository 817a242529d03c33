"""The decision of one scan: the only function the outside calls.

Its steps are those of the peer's loop, in its order (behaviour specification, section 1.2): judge the health of the cluster, give up what
never came, add the nodes that are coming, place waiting pods on free capacity, and for the rest choose a group to grow.
"""

from collections.abc import Iterable, Sequence

import msgspec

from lambda_autoscaler.core.estimate import template_facts
from lambda_autoscaler.core.expand import ExpanderInput
from lambda_autoscaler.core.explain import increase_text, not_triggered_message
from lambda_autoscaler.core.health import Health, assess, status_notice
from lambda_autoscaler.core.memory import Memory, ScaleUpRequest
from lambda_autoscaler.core.model import Cluster, Node, PodRef, PodSet, PodShape, Template
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.pending import are_all_new, is_expendable, old_enough, place_on_free_capacity
from lambda_autoscaler.core.plan import Increase, Misfit, Notice, PendingPods, Plan, Rule, ScaleUpResult
from lambda_autoscaler.core.quota import Quota
from lambda_autoscaler.core.readiness import readiness
from lambda_autoscaler.core.scale_up import ScaleUpDecision, ScaleUpInput, scale_up
from lambda_autoscaler.core.simulation import NodeFacts, Simulation
from lambda_autoscaler.core.template import cluster_shapes, templates


def decide(cluster: Cluster, memory: Memory, options: Options, now: float) -> Plan:
    """What to do about the cluster at ``now`` (seconds since the epoch), and why. Nothing is done here."""
    found, memory = templates(cluster, memory, options, now)
    health = assess(cluster, memory, options, now)
    memory = msgspec.structs.replace(health.memory, last_scan=now)
    plan = Plan(
        ScaleUpResult.NOT_NEEDED,
        delete_instances=health.delete_instances,
        resize=health.resize,
        groups=health.statuses(now),
        notices=health.notices,
        memory=memory,
        healthy=health.healthy,
        faults=cluster.faults,
    )
    if not health.healthy:
        unhealthy = status_notice(options, "Warning", "ClusterUnhealthy", "Cluster is unhealthy")
        cleared = msgspec.structs.replace(memory, unneeded_since={})
        return msgspec.structs.replace(plan, memory=cleared, notices=(*plan.notices, unhealthy))
    if health.resize:
        return plan
    return _Scan(cluster, options, now, health, found).run(plan)


class _Scan:
    """One scan of a healthy cluster."""

    def __init__(self, cluster: Cluster, options: Options, now: float, health: Health, found: dict[str, Template]) -> None:
        self.cluster = cluster
        self.options = options
        self.now = now
        self.health = health
        self.templates = found
        self.simulation = _simulate(cluster, options, health, found)

    def run(self, plan: Plan) -> Plan:
        """The plan with what becomes of the waiting pods."""
        waiting = [item for item in _joined(self.cluster.pending, self.cluster.unprocessed) if not is_expendable(item.shape, self.options)]
        placed, left = place_on_free_capacity(self.simulation, waiting)
        left = [item for item in left if not item.shape.is_daemonset]
        left, faults = old_enough(left, self.options, self.now)
        pods = tuple(PendingPods(item.shape, item.pods, "schedulable") for item in placed)
        plan = msgspec.structs.replace(plan, pods=pods, faults=(*plan.faults, *faults))
        held = self._held_back(left)
        if held is not None:
            return self._without_scale_up(plan, left, held)
        return self._with_scale_up(plan, left)

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

    def _with_scale_up(self, plan: Plan, left: Sequence[PodSet]) -> Plan:
        nodes = [(node.labels, node.capacity) for node in self.cluster.nodes]
        coming = [
            (self.templates[name].labels, self.templates[name].capacity)
            for name, item in self.health.groups.items()
            if name in self.templates
            for _ in range(item.upcoming)
        ]
        given = ScaleUpInput(
            waiting=tuple(left),
            groups=self.cluster.groups,
            templates=self.templates,
            health=self.health,
            quota=Quota(self.options, [*nodes, *coming]),
            expander=ExpanderInput(self.options, self.cluster.priorities),
            now=self.now,
        )
        decision = scale_up(self.simulation, given)
        outcomes = tuple(outcome for item in left for outcome in _outcomes(item, decision))
        return msgspec.structs.replace(
            plan,
            result=decision.result,
            increases=decision.increases,
            pods=(*plan.pods, *outcomes),
            options=decision.options,
            skipped_groups=tuple(decision.skipped.items()),
            notices=(*plan.notices, *decision.notices, *_pod_notices(outcomes, decision)),
            memory=_with_requests(plan.memory, decision.increases, self.options, self.now),
        )


def _joined(*parts: Iterable[PodSet]) -> list[PodSet]:
    """Pods of the same shape together, in order of first appearance."""
    found: dict[PodShape, tuple[PodRef, ...]] = {}
    for part in parts:
        for pod_set in part:
            found[pod_set.shape] = found.get(pod_set.shape, ()) + pod_set.pods
    return [PodSet(shape, pods) for shape, pods in found.items()]


def _simulate(cluster: Cluster, options: Options, health: Health, found: dict[str, Template]) -> Simulation:
    """The cluster as it will be: its nodes with their pods, without expendable ones, and the nodes that are coming."""
    simulation = Simulation(cluster_shapes(cluster, found))
    coming = {name: item.upcoming for name, item in health.groups.items() if item.upcoming}
    replaced = {node for name in coming for node in health.groups[name].not_started}
    promised: dict[str, list[PodSet]] = {}
    for name, pod_set in cluster.nominated:
        promised.setdefault(name, []).append(pod_set)
    for node in cluster.nodes:
        if node.name not in replaced:
            simulation.add(_facts(node, promised.get(node.name, ()), cluster, options))
    for name, count in coming.items():
        if name in found:
            simulation.add(template_facts(found[name], name), count)
    return simulation


def _facts(node: Node, promised: Iterable[PodSet], cluster: Cluster, options: Options) -> NodeFacts:
    pods = tuple((item.shape, len(item.pods)) for item in _joined(node.pods, promised) if not is_expendable(item.shape, options))
    limits = cluster.attach_limits.get(node.name, {})
    return NodeFacts(node.labels, node.taints, node.allocatable, pods, node.name, node.unschedulable, limits)


def _outcomes(item: PodSet, decision: ScaleUpDecision) -> list[PendingPods]:
    """What became of the pods of one shape: the first ones are helped by the chosen option, as far as it goes."""
    helped = decision.chosen.placed.get(item.shape, 0) if decision.chosen is not None and decision.increases else 0
    found = [PendingPods(item.shape, item.pods[:helped], "triggered")] if helped else []
    rest = item.pods[helped:]
    if rest:
        reasons = {**decision.skipped, **decision.refusals.get(item.shape, {})}
        outcome = "waiting" if item.shape in decision.helped else "unhelped"
        found.append(PendingPods(item.shape, rest, outcome, tuple(sorted(reasons.items()))))
    return found


def _pod_notices(outcomes: Iterable[PendingPods], decision: ScaleUpDecision) -> list[Notice]:
    """Events on pods: those that triggered the scale-up, and those that no group can help when there was none."""
    notices: list[Notice] = []
    triggered = f"pod triggered scale-up: [{' '.join(f'{{{increase_text(item)}}}' for item in decision.increases)}]"
    for item in outcomes:
        if item.outcome == "triggered":
            notices.extend(_pod_notice(item.shape, pod, "TriggeredScaleUp", triggered) for pod in item.pods)
        elif item.outcome == "unhelped" and decision.result is ScaleUpResult.NO_OPTIONS:
            message = not_triggered_message(misfit for _, misfit in item.reasons)
            notices.extend(_pod_notice(item.shape, pod, "NotTriggerScaleUp", message) for pod in item.pods)
    return notices


def _pod_notice(shape: PodShape, pod: PodRef, reason: str, message: str) -> Notice:
    return Notice("Pod", shape.namespace, pod.name, "Normal", reason, message, pod.uid)


def _with_requests(memory: Memory, increases: Iterable[Increase], options: Options, now: float) -> Memory:
    """Memory after the increases: each group's request grows, and its time starts anew (section 7.6)."""
    requests, sizes = dict(memory.requests), dict(memory.size_set)
    last = memory.last_scale_up
    for item in increases:
        before = requests[item.group].increase if item.group in requests else 0
        requests[item.group] = ScaleUpRequest(before + item.target - item.current, now, now + options.max_node_provision_time)
        sizes[item.group] = now
        last = now
    return msgspec.structs.replace(memory, requests=requests, size_set=sizes, last_scale_up=last)
