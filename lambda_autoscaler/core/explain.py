"""A plan in words: upstream's sentences, rows for a table, and one JSON document.

Everything here is plain text and plain data: no colour, no width, no output. The sentences for a refusal are those of the scheduler's
plugins and of the Cluster Autoscaler (behaviour specification, sections 4.1, 7.1 and 10.2), because people search for them.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from lambda_autoscaler.core.model import PodShape
from lambda_autoscaler.core.plan import GroupStatus, Increase, Misfit, OptionSummary, PendingPods, Plan, Removal, Replacement, Rule

SCHEMA_VERSION: Final = 1
_EKS_GROUP: Final = re.compile(r"^eks-(?P<nodegroup>.+)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
_SENTENCES: Final[Mapping[Rule, str]] = {
    Rule.UNSCHEDULABLE: "node(s) were unschedulable",
    Rule.NODE_NAME: "node(s) didn't match the requested node name",
    Rule.TAINT: "node(s) had untolerated taint(s)",
    Rule.NODE_AFFINITY: "node(s) didn't match Pod's node affinity/selector",
    Rule.HOST_PORT: "node(s) didn't have free ports for the requested pod ports",
    Rule.TOO_MANY_PODS: "Too many pods",
    Rule.VOLUME_LIMIT: "node(s) exceed max volume count",
    Rule.SPREAD: "node(s) didn't match pod topology spread constraints",
    Rule.SPREAD_LABEL: "node(s) didn't match pod topology spread constraints (missing required label)",
    Rule.AFFINITY: "node(s) didn't match pod affinity rules",
    Rule.ANTI_AFFINITY: "node(s) didn't match pod anti-affinity rules",
    Rule.EXISTING_ANTI_AFFINITY: "node(s) didn't satisfy existing pods anti-affinity rules",
    Rule.MAX_SIZE: "max node group size reached",
    Rule.NOT_READY: "not ready for scale-up",
    Rule.BACKOFF: "in backoff after failed scale-up",
    Rule.NO_TEMPLATE: "not ready for scale-up",
    Rule.MAX_NODES_TOTAL: "max total nodes in cluster reached",
    Rule.FILTERED_OUT: "expansion options filtered out and no longer considered",
}
_PLAIN: Final[Mapping[Rule, str]] = {
    Rule.UNSCHEDULABLE: "its nodes are cordoned",
    Rule.NODE_NAME: "the pods ask for another node by name",
    Rule.TAINT: "taint {object} is not tolerated",
    Rule.NODE_AFFINITY: "node selector or affinity of the pods excludes it",
    Rule.HOST_PORT: "host port {object} is taken",
    Rule.RESOURCE: "an empty node has not enough {object}",
    Rule.TOO_MANY_PODS: "an empty node has no free pod slot",
    Rule.VOLUME: "{object}",
    Rule.VOLUME_LIMIT: "no more volumes can be attached to a node",
    Rule.SPREAD: "topology spread over {object} would be violated",
    Rule.SPREAD_LABEL: "its nodes lack the label {object} that the topology spread needs",
    Rule.AFFINITY: "pod affinity over {object} is not met",
    Rule.ANTI_AFFINITY: "pod anti-affinity over {object} forbids it",
    Rule.EXISTING_ANTI_AFFINITY: "pods already there refuse company over {object}",
    Rule.MAX_SIZE: "at its maximum size",
    Rule.NOT_READY: "not healthy",
    Rule.BACKOFF: "backing off after a failed scale-up",
    Rule.QUOTA: "cluster-wide limit on {object} reached",
    Rule.NO_TEMPLATE: "its nodes are not known: {object}",
    Rule.MAX_NODES_TOTAL: "max-nodes-total reached",
    Rule.FILTERED_OUT: "no expander kept it",
}


class GroupRow(msgspec.Struct, frozen=True):
    """One node group in a plan's table. Sizes are counts of nodes; ``pods`` and ``waste`` are None when the group was not an option."""

    group: str
    current: int
    target: int
    minimum: int
    maximum: int
    pods: int | None
    waste: float | None
    why: str


def upstream_reasons(misfit: Misfit) -> tuple[str, ...]:
    """A refusal as the scheduler or the Cluster Autoscaler words it; several when several resources are short."""
    match misfit.rule:
        case Rule.RESOURCE:
            return tuple("Too many pods" if name == "pods" else f"Insufficient {name}" for name in misfit.object.split(","))
        case Rule.QUOTA:
            return (f'exceeded quota: "cluster-wide", resources: {misfit.object}',)
        case Rule.VOLUME:
            return (misfit.object or "node(s) didn't find available persistent volumes to bind",)
        case rule:
            return (_SENTENCES[rule],)


def plain_reason(misfit: Misfit) -> str:
    """A refusal of a node group in everyday words, with the object it is about."""
    text = _PLAIN[misfit.rule].format(object=misfit.object.replace(",", " and ") or "?")
    return text.removesuffix(": ?")


def counted_reasons(misfits: Mapping[Misfit, int]) -> str:
    """Refusals with their numbers, most frequent first: ``3 Insufficient cpu, 2 node(s) had untolerated taint(s)``."""
    counts: Counter[str] = Counter()
    for misfit, number in misfits.items():
        for reason in upstream_reasons(misfit):
            counts[reason] += number
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number} {reason}" for reason, number in ordered)


def not_triggered_message(misfits: Iterable[Misfit]) -> str:
    """Message of the event NotTriggerScaleUp: one misfit per group that was looked at."""
    return f"pod didn't trigger scale-up: {counted_reasons(Counter(misfits))}"


def unschedulable_message(nodes: int, misfits: Mapping[Misfit, int]) -> str:
    """Message of the scheduler's Unschedulable condition for a pod that fits none of ``nodes`` nodes."""
    if not nodes:
        return "no nodes available to schedule pods"
    return f"0/{nodes} nodes are available: {counted_reasons(misfits)}."


def scale_up_line(increases: Sequence[Increase]) -> str:
    """Upstream's log line: ``Final scale-up plan: [{asg 2->7 (max: 20)}]``."""
    return f"Final scale-up plan: [{' '.join(f'{{{increase_text(item)}}}' for item in increases)}]"


def increase_text(increase: Increase) -> str:
    """``asg 2->7 (max: 20)``, as events and logs say it."""
    return f"{increase.group} {increase.current}->{increase.target} (max: {increase.maximum})"


def short_name(group: str) -> str:
    """Name of the managed node group behind an ASG that EKS named (``eks-<nodegroup>-<uuid>``); any other name as it is."""
    match = _EKS_GROUP.match(group)
    return match["nodegroup"] if match else group


def workload_name(shape: PodShape) -> str:
    """``namespace/name`` of what runs pods of this shape: the Deployment behind a ReplicaSet, the controller, or the namespace alone."""
    if shape.controller is None:
        return f"{shape.namespace}/(pods without a controller)"
    name, template_hash = shape.controller.name, dict(shape.labels).get("pod-template-hash", "")
    return f"{shape.namespace}/{name.removesuffix(f'-{template_hash}') if template_hash else name}"


def counted(number: int, noun: str) -> str:
    """``1 node``, ``5 nodes``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def group_rows(plan: Plan, expander: str) -> list[GroupRow]:
    """A row per node group, growing ones first, then by name."""
    rows = [_group_row(plan, status, expander) for status in plan.groups]
    return sorted(rows, key=lambda row: (row.target == row.current, short_name(row.group)))


def _group_row(plan: Plan, status: GroupStatus, expander: str) -> GroupRow:
    increase = next((item for item in plan.increases if item.group == status.group), None)
    option = next((item for item in plan.options if item.group == status.group), None)
    removed = sum(removal.group == status.group for removal in plan.removals)
    current = increase.current if increase else status.target
    return GroupRow(
        group=status.group,
        current=current,
        target=increase.target if increase else current - removed,
        minimum=status.minimum,
        maximum=status.maximum,
        pods=option.pods if option else None,
        waste=option.waste / 2 if option else None,
        why=_why(plan, status.group, option, expander),
    )


def _why(plan: Plan, group: str, option: OptionSummary | None, expander: str) -> str:
    removals = [removal for removal in plan.removals if removal.group == group]
    if removals:
        return _removal_text(removals)
    if option is not None:
        choice = f"{expander} of {counted(len(plan.options), 'option')}" if len(plan.options) > 1 else "the only option"
        return choice if option.chosen else f"could take them; {expander} chose another"
    if (
        plan.replacement is not None
        and plan.replacement.consolidation.group == group
        and any(item.group == group for item in plan.increases)
    ):
        return "replaces dearer nodes"
    if any(item.group == group for item in plan.increases):
        return "shares the increase with a similar group"
    skipped = next((misfit for name, misfit in plan.skipped_groups if name == group), None)
    if skipped is not None:
        return plain_reason(skipped)
    refusals: Counter[Misfit] = Counter()
    for pods in plan.pods:
        refusals.update({misfit: len(pods.pods) for name, misfit in pods.reasons if name == group})
    if refusals:
        return plain_reason(refusals.most_common(1)[0][0])
    return "takes none of the waiting pods" if plan.options else ""


def _removal_text(removals: Sequence[Removal]) -> str:
    counts = Counter(removal.reason for removal in removals)
    return ", ".join(f"{counted(number, f'{reason} node')}" for reason, number in counts.items())


def pod_lines(plan: Plan) -> list[str]:
    """One sentence per pod shape that waits, worst news first; refusals follow, indented, a line per group."""
    lines: list[str] = []
    for pods in sorted(plan.pods, key=lambda item: (_ORDER.get(item.outcome, 0), workload_name(item.shape))):
        lines.append(f"{counted(len(pods.pods), 'pod')} of {workload_name(pods.shape)}: {outcome_text(plan, pods.outcome)}")
        if pods.outcome == "unhelped":
            lines += [f"  {short_name(group)}: {plain_reason(misfit)}" for group, misfit in pods.reasons]
    return lines


def outcome_text(plan: Plan, outcome: str) -> str:
    """What becomes of pods with this outcome; for those left over, the maximum in their way if there is one."""
    full = [item for item in plan.increases if item.target >= item.maximum]
    if outcome == "waiting" and full:
        limits = ", ".join(f"{short_name(item.group)} is then at its maximum of {item.maximum}" for item in full)
        return f"left for the next scan: {limits}"
    return _OUTCOMES[outcome]


_OUTCOMES: Final = {
    "unhelped": "no node group can take them",
    "waiting": "a group could take them; the next scan looks again",
    "triggered": "the new nodes take them",
    "schedulable": "there is room, or a node on its way",
}
_ORDER: Final = {"unhelped": 0, "waiting": 1, "triggered": 2, "schedulable": 3}


def plan_json(plan: Plan) -> dict[str, Any]:
    """The plan as one JSON-ready document; ``schema_version`` counts incompatible changes."""
    return {
        "schema_version": SCHEMA_VERSION,
        "result": plan.result.value,
        "healthy": plan.healthy,
        "scale_up": [{"group": item.group, "from": item.current, "to": item.target, "max": item.maximum} for item in plan.increases],
        "scale_down": [_removal_json(item) for item in plan.removals],
        "removals_in_progress": [
            {"node": item.node, "group": item.group, "step": item.step.value, "why": item.why, "until": item.until} for item in plan.drains
        ],
        "consolidation": _replacement_json(plan.replacement),
        "nodes": [msgspec.to_builtins(outcome) for outcome in plan.nodes],
        "delete_instances": [{"group": group, "instances": list(names)} for group, names in plan.delete_instances],
        "resize": [{"group": group, "to": desired} for group, desired in plan.resize],
        "options": [msgspec.to_builtins(option) for option in plan.options],
        "pods": [_pods_json(pods) for pods in plan.pods],
        "skipped_groups": [_refusal_json(group, misfit) for group, misfit in plan.skipped_groups],
        "groups": [msgspec.to_builtins(status) for status in plan.groups],
        "faults": list(plan.faults),
    }


def _replacement_json(replacement: Replacement | None) -> dict[str, Any] | None:
    if replacement is None:
        return None
    step = replacement.consolidation
    return {
        "nodes": list(step.nodes),
        "group": step.group,
        "new_nodes": step.count,
        "usd_per_hour_before": step.before,
        "usd_per_hour_after": step.after,
        "why": replacement.why,
        "until": replacement.until,
    }


def _removal_json(removal: Removal) -> dict[str, Any]:
    return {
        "node": removal.node,
        "group": removal.group,
        "reason": removal.reason,
        "utilization": removal.utilization,
        "moves": list(removal.moves),
    }


def _pods_json(pods: PendingPods) -> dict[str, Any]:
    return {
        "workload": workload_name(pods.shape),
        "namespace": pods.shape.namespace,
        "outcome": pods.outcome,
        "count": len(pods.pods),
        "names": [pod.name for pod in pods.pods],
        "reasons": [_refusal_json(group, misfit) for group, misfit in pods.reasons],
    }


def _refusal_json(group: str, misfit: Misfit) -> dict[str, str]:
    return {"group": group, "rule": misfit.rule.value, "object": misfit.object, "message": "; ".join(upstream_reasons(misfit))}
