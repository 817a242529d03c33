"""Scale-down in words: how a removal begins, and why a node stays, with the pod, the rule or the clock that keeps it."""

from collections.abc import Mapping
from typing import Final

from lambda_autoscaler.core.explain import counted, short_name
from lambda_autoscaler.core.plan import Drain, NodeOutcome, Plan, Removal, Replacement, Step, Unremovable
from lambda_autoscaler.core.units import format_duration

HOURS_A_MONTH: Final = 730
_STAYS: Final[Mapping[Unremovable, str]] = {
    Unremovable.NOT_AUTOSCALED: "it belongs to no node group of this autoscaler",
    Unremovable.DISABLED: "annotated cluster-autoscaler.kubernetes.io/scale-down-disabled",
    Unremovable.UNREADY_DISABLED: "it is not ready, and scale-down-unready-enabled is off",
    Unremovable.NOT_UNDERUTILIZED: "in use",
    Unremovable.NOT_UNNEEDED_LONG_ENOUGH: "not needed, but not for long enough",
    Unremovable.NOT_UNREADY_LONG_ENOUGH: "not needed and not ready, but not for long enough",
    Unremovable.MIN_SIZE: "its group is at its minimum",
    Unremovable.MINIMAL_LIMIT: "the cluster is at its minimum of cores, memory or GPUs",
    Unremovable.BEING_DELETED: "it is being removed already",
    Unremovable.NO_PLACE: "a pod finds no other place",
    Unremovable.BLOCKED_BY_POD: "a pod keeps it",
    Unremovable.ON_COMPLETION: "a pod on it is to run to its end",
    Unremovable.RECENTLY_UNREMOVABLE: "it could not be removed a short while ago",
    Unremovable.IN_COOLDOWN: "not needed, but scale-down rests after a change",
    Unremovable.OVER_LIMIT: "enough nodes are known not to be needed",
    Unremovable.OVER_BUDGET: "not needed, but enough nodes are being removed at once",
    Unremovable.STARTING: "it is starting",
    Unremovable.CONSOLIDATING: "it takes part in a consolidation",
    Unremovable.INTERRUPTED: "its instance is being interrupted",
    Unremovable.INCOMPLETE: "not needed, but not all of the cluster could be read",
    Unremovable.UNEXPECTED: "its utilisation cannot be computed",
}
_RULES: Final[Mapping[str, str]] = {
    "ControllerNotFound": "its controller is gone",
    "MinReplicasReached": "its controller has fewer replicas than min-replica-count",
    "NotReplicated": "no controller would recreate it",
    "UnmovableKubeSystemPod": "in kube-system without a PodDisruptionBudget",
    "NotSafeToEvictAnnotation": "annotated safe-to-evict=false",
    "LocalStorageRequested": "it has local storage",
    "NotEnoughPdb": "its PodDisruptionBudget allows no disruption now",
}


def beginning(removal: Removal) -> str:
    """What operators of the Cluster Autoscaler look for when a node goes."""
    if removal.reason == "empty":
        return f'Scale-down: removing empty node "{removal.node}"'
    used = f"{removal.resource} {removal.utilization:.4g}"
    pods = ",".join(name.partition("/")[2] for name in removal.moves)
    return f"Scale-down: removing node {removal.node}, utilization: {{{used}}}, pods to reschedule: {pods}"


def stay_text(outcome: NodeOutcome, now: float) -> str:
    """Why a node stays, in one sentence; ``now`` in seconds since the epoch. A node that goes has none: ""."""
    if outcome.reason is None:
        return ""
    text = _STAYS[outcome.reason]
    if outcome.utilization is not None and outcome.reason is Unremovable.NOT_UNDERUTILIZED:
        text = f"{text}: {outcome.utilization:.0%} of its {outcome.resource}"
    if outcome.object:
        rule = f" ({_RULES.get(outcome.rule, outcome.rule)})" if outcome.rule else ""
        text = f"{text}: {outcome.object}{rule}"
    if outcome.until > now:
        text = f"{text}: {format_duration(round(outcome.until - now))} left"
    return text


def node_lines(plan: Plan, now: float) -> list[str]:
    """A line for each node that stays or is on its way out; ``now`` in seconds since the epoch."""
    leaving = [f"{drain.node}: {drain_text(drain, now)}" for drain in plan.drains]
    known = {drain.node for drain in plan.drains}
    staying = [f"{item.node} stays: {stay_text(item, now)}" for item in plan.nodes if item.reason is not None and item.node not in known]
    return leaving + staying


def drain_text(drain: Drain, now: float) -> str:
    """How far the removal of a node is, in one sentence; ``now`` in seconds since the epoch."""
    match drain.step:
        case Step.LEAVING:
            text = "its instance terminates"
        case Step.TERMINATE:
            text = "empty of pods: its instance is terminated next"
        case Step.ROLL_BACK:
            text = f"its removal is taken back: {drain.why}"
        case Step.EVICT:
            number = len(drain.evictions)
            text = f"its removal goes on: {number} pod{'' if number == 1 else 's'} to evict"
        case _:
            text = f"its removal goes on: {drain.why}"
    return f"{text} ({format_duration(round(drain.until - now))} at most)" if drain.until > now else text


def replacement_text(replacement: Replacement, now: float) -> str:
    """A consolidation in one sentence, with what it saves; ``now`` in seconds since the epoch."""
    step = replacement.consolidation
    nodes = f"{counted(len(step.nodes), 'node')} ({', '.join(step.nodes)}: ${step.before:.3f}/h)"
    new = f"{step.count} of {short_name(step.group)} (${step.after:.3f}/h)"
    saving = f"saves ${step.saving:.3f}/h, ${step.saving * HOURS_A_MONTH:,.0f} a month"
    left = f" ({format_duration(round(replacement.until - now))} at most)" if replacement.until > now else ""
    return f"consolidation: {nodes} by {new} {saving}; {replacement.why}{left}"
