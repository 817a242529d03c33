"""May this pod be evicted so that its node can go? The rules in their order (behaviour specification, section 8.5).

Mirrors ``simulator/drainability/rules``: the first rule with an opinion decides. A rule that blocks names itself, so that every node that
stays can say which pod and which rule keep it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from lambda_autoscaler.core.labels import selects
from lambda_autoscaler.core.model import DisruptionBudget, PodRef, PodSet, PodShape
from lambda_autoscaler.core.options import Options

SAFE_TO_EVICT: Final = "cluster-autoscaler.kubernetes.io/safe-to-evict"
SAFE_LOCAL_VOLUMES: Final = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"
POD_EXTRA_GRACE: Final = 30.0
REPLICATED_KINDS: Final = frozenset({"ReplicationController", "Job", "ReplicaSet", "StatefulSet"})


class Outcome(StrEnum):
    """What a rule says about a pod: it vanishes with its node, it is evicted, it keeps the node, or the node waits for it."""

    SKIP = "skip"
    DAEMON_SET = "daemon set"
    MOVE = "move"
    BLOCK = "block"
    WAIT = "wait"


class Verdict(msgspec.Struct, frozen=True):
    """An outcome; for a block, the rule in upstream's words."""

    outcome: Outcome
    rule: str = ""


class DrainContext:
    """What the rules look at beside the pod. ``workloads`` is None where controllers are not consulted (sorting by emptiness).

    Of all this only the budgets change while a context lives. ``lasting`` is what the other rules say of shapes whose pods are all alike.
    """

    __slots__ = ("budgets", "lasting", "now", "options", "workloads")

    def __init__(
        self, options: Options, now: float, budgets: "BudgetTracker", workloads: Mapping[tuple[str, str, str], int] | None = None
    ) -> None:
        self.options = options
        self.now = now
        self.budgets = budgets
        self.workloads = workloads
        self.lasting: dict[PodShape, Verdict | None] = {}


DrainRule = Callable[[PodShape, PodRef, DrainContext], Verdict | None]
_SKIP: Final = Verdict(Outcome.SKIP)
_MOVE: Final = Verdict(Outcome.MOVE)


def _mirror(shape: PodShape, _pod: PodRef, _context: DrainContext) -> Verdict | None:
    return _SKIP if shape.is_mirror else None


def _long_terminating(shape: PodShape, pod: PodRef, context: DrainContext) -> Verdict | None:
    return _SKIP if is_long_terminating(shape, pod, context.now) else None


def _replica_count(shape: PodShape, _pod: PodRef, context: DrainContext) -> Verdict | None:
    owner = shape.controller
    if owner is None or context.workloads is None or not context.options.skip_nodes_with_custom_controller_pods:
        return None
    known = {"ReplicationController": "v1", "ReplicaSet": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1", "Job": "batch/v1"}
    if owner.kind not in known or owner.api_version not in ("", known[owner.kind]):
        return None
    replicas = context.workloads.get((owner.kind, shape.namespace, owner.name))
    if replicas is None:
        return Verdict(Outcome.BLOCK, "ControllerNotFound")
    limited = owner.kind in ("ReplicationController", "ReplicaSet")
    return Verdict(Outcome.BLOCK, "MinReplicasReached") if limited and replicas < context.options.min_replica_count else None


def _daemon_set(shape: PodShape, _pod: PodRef, _context: DrainContext) -> Verdict | None:
    return Verdict(Outcome.DAEMON_SET) if shape.is_daemonset else None


def _safe_to_evict(shape: PodShape, _pod: PodRef, _context: DrainContext) -> Verdict | None:
    return _MOVE if shape.annotation(SAFE_TO_EVICT) == "true" else None


def _terminal(shape: PodShape, _pod: PodRef, _context: DrainContext) -> Verdict | None:
    ended = shape.phase == "Failed" or (shape.phase == "Succeeded" and shape.restart_policy in ("Never", "OnFailure"))
    return _MOVE if ended else None


def _on_completion(shape: PodShape, _pod: PodRef, _context: DrainContext) -> Verdict | None:
    return Verdict(Outcome.WAIT) if shape.annotation(SAFE_TO_EVICT) == "on-completion" else None


def _replicated(shape: PodShape, _pod: PodRef, context: DrainContext) -> Verdict | None:
    custom = context.options.skip_nodes_with_custom_controller_pods
    if shape.controller is None or (custom and shape.controller.kind not in REPLICATED_KINDS):
        return Verdict(Outcome.BLOCK, "NotReplicated")
    return None


def _system(shape: PodShape, pod: PodRef, context: DrainContext) -> Verdict | None:
    if not context.options.skip_nodes_with_system_pods or shape.namespace != "kube-system" or context.budgets.matching(shape):
        return None
    if pod.created and pod.created + context.options.blocking_system_pod_distruption_timeout < context.now:
        return _MOVE
    return Verdict(Outcome.BLOCK, "UnmovableKubeSystemPod")


def _not_safe_to_evict(shape: PodShape, _pod: PodRef, _context: DrainContext) -> Verdict | None:
    return Verdict(Outcome.BLOCK, "NotSafeToEvictAnnotation") if shape.annotation(SAFE_TO_EVICT) == "false" else None


def _local_storage(shape: PodShape, _pod: PodRef, context: DrainContext) -> Verdict | None:
    safe = (shape.annotation(SAFE_LOCAL_VOLUMES) or "").split(",")
    if context.options.skip_nodes_with_local_storage and any(name not in safe for name in shape.local_volumes):
        return Verdict(Outcome.BLOCK, "LocalStorageRequested")
    return None


def _disruption_budget(shape: PodShape, _pod: PodRef, context: DrainContext) -> Verdict | None:
    return Verdict(Outcome.BLOCK, "NotEnoughPdb") if context.budgets.is_exhausted(shape) else None


_LASTING_RULES: Final[tuple[DrainRule, ...]] = (
    _mirror,
    _long_terminating,
    _replica_count,
    _daemon_set,
    _safe_to_evict,
    _terminal,
    _on_completion,
    _replicated,
    _system,
    _not_safe_to_evict,
    _local_storage,
)
DRAIN_RULES: Final[tuple[DrainRule, ...]] = (*_LASTING_RULES, _disruption_budget)


class BudgetTracker:
    """What PodDisruptionBudgets still allow in this decision. Mutable: every simulated removal uses some up."""

    def __init__(self, budgets: Iterable[DisruptionBudget]) -> None:
        self._budgets = tuple(budgets)
        self._left = [budget.allowed for budget in self._budgets]
        self._matching: dict[PodShape, tuple[int, ...]] = {}

    def matching(self, shape: PodShape) -> tuple[int, ...]:
        """Indices of the budgets that guard pods of a shape."""
        found = self._matching.get(shape)
        if found is None:
            labels = dict(shape.labels)
            found = tuple(at for at, budget in enumerate(self._budgets) if selects(budget.selector, shape.namespace, labels))
            self._matching[shape] = found
        return found

    def is_exhausted(self, shape: PodShape) -> bool:
        """Whether one of the budgets allows no disruption any more."""
        return any(self._left[at] < 1 for at in self.matching(shape))

    def allows_all_at_once(self, pods: Sequence[PodSet]) -> bool:
        """Whether all the pods may go at the same time."""
        wanted: dict[int, int] = {}
        for pod_set in pods:
            for at in self.matching(pod_set.shape):
                wanted[at] = wanted.get(at, 0) + len(pod_set.pods)
        return all(self._left[at] >= number for at, number in wanted.items())

    def use(self, pods: Sequence[PodSet]) -> None:
        """Count the pods as disrupted."""
        for pod_set in pods:
            for at in self.matching(pod_set.shape):
                self._left[at] -= len(pod_set.pods)


class Blocking(msgspec.Struct, frozen=True):
    """The pod that keeps its node, as namespace/name, and the rule that says so."""

    pod: str
    rule: str


class PodsToMove(msgspec.Struct, frozen=True):
    """A node's pods by what happens to them when it goes. With ``blocking`` set it cannot go."""

    moved: tuple[PodSet, ...] = ()
    daemon_sets: tuple[PodSet, ...] = ()
    awaited: tuple[PodSet, ...] = ()
    blocking: Blocking | None = None


def pods_to_move(pods: Iterable[PodSet], context: DrainContext) -> PodsToMove:
    """Sort a node's pods by the drain rules; stops at the first pod that blocks."""
    parts: dict[Outcome, list[PodSet]] = {Outcome.MOVE: [], Outcome.DAEMON_SET: [], Outcome.WAIT: [], Outcome.SKIP: []}
    for pod_set in pods:
        for part, verdict in _verdicts(pod_set, context):
            if verdict.outcome is Outcome.BLOCK:
                return PodsToMove(blocking=Blocking(f"{pod_set.shape.namespace}/{part.pods[0].name}", verdict.rule))
            parts[verdict.outcome].append(part)
    return PodsToMove(tuple(parts[Outcome.MOVE]), tuple(parts[Outcome.DAEMON_SET]), tuple(parts[Outcome.WAIT]))


def _verdicts(pod_set: PodSet, context: DrainContext) -> list[tuple[PodSet, Verdict]]:
    """Equal pods by the verdict on them. Only terminating pods and young system pods are told apart one by one."""
    shape, pods = pod_set.shape, pod_set.pods
    if not (shape.terminating or shape.namespace == "kube-system"):
        return [(pod_set, _common_verdict(shape, pods[0], context))]
    found: dict[Verdict, list[PodRef]] = {}
    for pod in pods:
        found.setdefault(_first(DRAIN_RULES, shape, pod, context) or _MOVE, []).append(pod)
    return [(PodSet(shape, tuple(refs)), verdict) for verdict, refs in found.items()]


def _common_verdict(shape: PodShape, pod: PodRef, context: DrainContext) -> Verdict:
    if shape not in context.lasting:
        context.lasting[shape] = _first(_LASTING_RULES, shape, pod, context)
    return context.lasting[shape] or _disruption_budget(shape, pod, context) or _MOVE


def _first(rules: tuple[DrainRule, ...], shape: PodShape, pod: PodRef, context: DrainContext) -> Verdict | None:
    """What the first rule with an opinion says. A pod that none speaks of is moved."""
    return next((found for rule in rules if (found := rule(shape, pod, context)) is not None), None)


def is_long_terminating(shape: PodShape, pod: PodRef, now: float) -> bool:
    """Whether a pod should have been gone for half a minute: nobody waits for it any more."""
    return pod.deletion is not None and pod.deletion + shape.grace_seconds + POD_EXTRA_GRACE < now
