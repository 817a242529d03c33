"""Why, for one object: what a plan does with a pod, a node or a node group, as plain lines.

Like ``explain.py``, this renders values that the decision left behind; it decides nothing itself.
"""

import msgspec

from lambda_autoscaler.core.explain import counted, outcome_text, plain_reason, short_name, upstream_reasons, workload_name
from lambda_autoscaler.core.model import CPU, MEMORY, PODS, Cluster, Node, PodRef, PodShape
from lambda_autoscaler.core.plan import GroupStatus, Increase, Misfit, PendingPods, Plan
from lambda_autoscaler.core.removal_words import drain_text, stay_text
from lambda_autoscaler.core.units import format_duration, format_resource

YES, NO, UP, DOWN, NOTE = "✓", "✗", "▲", "▼", " "


class Reason(msgspec.Struct, frozen=True):
    """One line of an answer: a mark (✓ ✗ ▲ ▼ or a blank), what it is about, and a sentence."""

    mark: str
    subject: str
    text: str


class Answer(msgspec.Struct, frozen=True):
    """An answer: a heading and its reasons."""

    title: str
    reasons: tuple[Reason, ...]


class Scene(msgspec.Struct, frozen=True):
    """What questions are asked about: a cluster, the plan for it, and the instant of the decision (seconds since the epoch)."""

    cluster: Cluster
    plan: Plan
    now: float


def explain_pod(scene: Scene, namespace: str, name: str) -> Answer | None:
    """Where a pod runs, or what was decided about it while it waits; None when the cluster has no such pod."""
    for waiting in scene.plan.pods:
        for pod in waiting.pods:
            if (waiting.shape.namespace, pod.name) == (namespace, name):
                return _waiting_pod(scene, waiting, pod)
    for node in scene.cluster.nodes:
        for placed in node.pods:
            if placed.shape.namespace == namespace and any(pod.name == name for pod in placed.pods):
                where = f"group {short_name(node.group)}" if node.group else "no node group of this cluster"
                return Answer(f"pod {namespace}/{name}", (Reason(YES, "bound", f"to node {node.name}, {where}"),))
    for left_out in (*scene.cluster.pending, *scene.cluster.unprocessed):
        if left_out.shape.namespace == namespace and any(pod.name == name for pod in left_out.pods):
            text = "does not count for scale-up (expendable, too young, or a DaemonSet's)"
            return Answer(f"pod {namespace}/{name}", (Reason(NOTE, "pending", text),))
    return None


def _waiting_pod(scene: Scene, waiting: PendingPods, pod: PodRef) -> Answer:
    age = f"waiting for {format_duration(int(scene.now - pod.created))}" if pod.created else "waiting"
    title = f"pod {waiting.shape.namespace}/{pod.name} · {age} · asks {_requests(waiting.shape)}"
    reasons: list[Reason] = []
    if waiting.outcome == "schedulable":
        reasons.append(Reason(YES, "room", "it fits on a node that is there or on its way"))
    if waiting.outcome == "triggered":
        reasons += [Reason(UP, short_name(item.group), f"grows for it, {_sizes(item)}") for item in scene.plan.increases]
    if waiting.outcome == "waiting":
        reasons.append(Reason(NOTE, "later", outcome_text(scene.plan, waiting.outcome)))
    reasons += [Reason(NO, short_name(group), _refusal(misfit)) for group, misfit in waiting.reasons]
    if waiting.outcome != "unhelped":
        known = {group for group, _ in waiting.reasons}
        reasons += [Reason(NO, short_name(group), _refusal(misfit)) for group, misfit in scene.plan.skipped_groups if group not in known]
    return Answer(title, tuple(reasons))


def _sizes(increase: Increase) -> str:
    return f"{increase.current}->{increase.target} (max: {increase.maximum})"


def _requests(shape: PodShape) -> str:
    amounts = [f"{format_resource(name, amount)} {name}" for name, amount in shape.requests if name != PODS]
    return ", ".join(amounts) or "nothing"


def _refusal(misfit: Misfit) -> str:
    plain, upstream = plain_reason(misfit), "; ".join(upstream_reasons(misfit))
    return plain if plain == upstream else f"{plain} ({upstream})"


def explain_node(scene: Scene, name: str) -> Answer | None:
    """State, load and fate of a node; None when the cluster has no node of that name."""
    node = next((item for item in scene.cluster.nodes if item.name == name), None)
    if node is None:
        return None
    pods = sum(len(placed.pods) for placed in node.pods)
    group = f"group {short_name(node.group)}" if node.group else "no node group of this cluster"
    reasons = [Reason(NOTE, "requested", _load(node)), *_taints(node)]
    removal = next((item for item in scene.plan.removals if item.node == name), None)
    if removal is not None:
        moves = f", {counted(len(removal.moves), 'pod')} to move" if removal.moves else ""
        reasons.append(Reason(DOWN, "removed", f"{removal.reason}{moves}"))
    else:
        reasons.append(_fate(scene, name))
    return Answer(f"node {name} · {group} · {_readiness(node)} · {counted(pods, 'pod')}", tuple(reasons))


def _fate(scene: Scene, name: str) -> Reason:
    """What becomes of a node whose removal does not begin now."""
    drain = next((item for item in scene.plan.drains if item.node == name), None)
    if drain is not None:
        return Reason(DOWN, "leaves", drain_text(drain, scene.now))
    outcome = next((item for item in scene.plan.nodes if item.node == name), None)
    if outcome is None:
        return Reason(YES, "stays", "the plan does not remove it")
    return Reason(YES, "stays", stay_text(outcome, scene.now))


def _readiness(node: Node) -> str:
    ready = next((condition.status for condition in node.conditions if condition.type == "Ready"), "Unknown")
    return {"True": "ready", "False": "not ready"}.get(ready, "readiness unknown") + (", cordoned" if node.unschedulable else "")


def _load(node: Node) -> str:
    parts = []
    for resource, total in node.allocatable:
        used = sum(placed.shape.request(resource) * len(placed.pods) for placed in node.pods)
        if resource in (CPU, MEMORY) and total:
            amounts = f"{format_resource(resource, used)} of {format_resource(resource, total)} {resource}"
            parts.append(f"{amounts} ({100 * used / total:.0f}%)")
    return ", ".join(parts)


def _taints(node: Node) -> list[Reason]:
    return [Reason(NOTE, "taint", f"{taint.key}={taint.value}:{taint.effect}".replace("=:", ":")) for taint in node.taints]


def explain_group(scene: Scene, name: str) -> Answer | None:
    """Size, health and part in the plan of a node group, named by its ASG or its EKS node group; None when there is none."""
    status = next((item for item in scene.plan.groups if name in (item.group, short_name(item.group))), None)
    if status is None:
        return None
    title = f"group {status.group} · {counted(status.target, 'node')} ({status.minimum} to {status.maximum})"
    return Answer(title, tuple(_health(status) + _part(scene.plan, status.group)))


def _health(status: GroupStatus) -> list[Reason]:
    reasons = [
        Reason(YES, "healthy", f"{counted(status.ready, 'node')} ready")
        if status.healthy
        else Reason(NO, "unhealthy", f"{status.unready} not ready")
    ]
    if status.backoff is not None:
        reasons.append(Reason(NO, "backing off", status.backoff.message))
    if status.unregistered:
        reasons.append(Reason(NOTE, "on the way", f"{counted(status.unregistered, 'instance')} not registered yet"))
    return reasons


def _part(plan: Plan, group: str) -> list[Reason]:
    reasons = [Reason(UP, "grows", _sizes(item)) for item in plan.increases if item.group == group]
    reasons += [Reason(DOWN, "shrinks", f"{item.node}: {item.reason}") for item in plan.removals if item.group == group]
    for option in plan.options:
        if option.group == group and not option.chosen:
            reasons.append(Reason(NOTE, "option", f"{counted(option.nodes, 'node')} would take {counted(option.pods, 'pod')}"))
    reasons += [Reason(NO, "not considered", _refusal(misfit)) for name, misfit in plan.skipped_groups if name == group]
    for pods in plan.pods:
        for name, misfit in pods.reasons:
            if name == group:
                about = f"{counted(len(pods.pods), 'pod')} of {workload_name(pods.shape)}"
                reasons.append(Reason(NO, about, _refusal(misfit)))
    if not reasons and plan.options:
        reasons.append(Reason(NO, "not an option", "it takes none of the waiting pods"))
    return reasons
