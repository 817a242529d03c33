"""The plan: what a scan decided, and the reason for every no.

A refusal is a value that names rule and object; events, metrics, ``plan`` and ``explain`` are renderings of the same values.
"""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from lambda_autoscaler.core.interruption import Answer, InterruptionRecord
from lambda_autoscaler.core.memory import Backoff, Consolidation, Memory
from lambda_autoscaler.core.model import PodRef, PodShape


class Rule(StrEnum):
    """Why a pod does not run on a node, or a group is not considered: the rule that said no first."""

    UNSCHEDULABLE = "unschedulable"
    NODE_NAME = "node name"
    TAINT = "taint"
    NODE_AFFINITY = "node affinity"
    HOST_PORT = "host port"
    RESOURCE = "resource"
    TOO_MANY_PODS = "too many pods"
    VOLUME = "volume"
    VOLUME_LIMIT = "volume limit"
    SPREAD = "topology spread"
    SPREAD_LABEL = "topology spread label"
    AFFINITY = "pod affinity"
    ANTI_AFFINITY = "pod anti-affinity"
    EXISTING_ANTI_AFFINITY = "existing pod anti-affinity"
    MAX_SIZE = "max size"
    NOT_READY = "not ready"
    BACKOFF = "backoff"
    QUOTA = "quota"
    NO_TEMPLATE = "no template"
    MAX_NODES_TOTAL = "max nodes total"
    FILTERED_OUT = "filtered out"


class Misfit(msgspec.Struct, frozen=True):
    """A refusal: the rule, and the object it refers to (a resource name, a taint, a label key, a quota)."""

    rule: Rule
    object: str = ""


class Increase(msgspec.Struct, frozen=True):
    """A node group to grow: its desired capacity goes from ``current`` to ``target``; ``maximum`` is its limit."""

    group: str
    current: int
    target: int
    maximum: int


class Unremovable(StrEnum):
    """Why a node stays, in upstream's words; metrics and logs use them."""

    NOT_AUTOSCALED = "NotAutoscaled"
    DISABLED = "ScaleDownDisabledAnnotation"
    UNREADY_DISABLED = "ScaleDownUnreadyDisabled"
    NOT_UNDERUTILIZED = "NotUnderutilized"
    NOT_UNNEEDED_LONG_ENOUGH = "NotUnneededLongEnough"
    NOT_UNREADY_LONG_ENOUGH = "NotUnreadyLongEnough"
    MIN_SIZE = "NodeGroupMinSizeReached"
    MINIMAL_LIMIT = "MinimalResourceLimitExceeded"
    BEING_DELETED = "CurrentlyBeingDeleted"
    NO_PLACE = "NoPlaceToMovePods"
    BLOCKED_BY_POD = "BlockedByPod"
    ON_COMPLETION = "BlockedByOnCompletionPod"
    RECENTLY_UNREMOVABLE = "RecentlyUnremovable"
    IN_COOLDOWN = "InCooldown"
    OVER_LIMIT = "NotConsidered"
    OVER_BUDGET = "DeletionBudgetExceeded"
    STARTING = "NotStarted"
    CONSOLIDATING = "BeingConsolidated"
    INTERRUPTED = "BeingInterrupted"
    INCOMPLETE = "ClusterNotFullyRead"
    UNEXPECTED = "UnexpectedError"


class NodeOutcome(msgspec.Struct, frozen=True):
    """What the scan says of one node: ``reason`` None when its removal starts now.

    ``object`` is what the reason refers to: a pod and its rule, a resource, an instant (seconds since the epoch) until which a clock runs.
    ``unneeded_since`` is set while the node is unneeded. ``utilization`` is None when it was not looked at or cannot be computed.
    """

    node: str
    group: str
    reason: Unremovable | None
    object: str = ""
    rule: str = ""
    until: float = 0.0
    utilization: float | None = None
    resource: str = ""
    unneeded_since: float | None = None


class SoftTaint(msgspec.Struct, frozen=True):
    """A DeletionCandidateOfClusterAutoscaler taint to put on a node (``value`` in seconds since the epoch), or to take off (value 0)."""

    node: str
    value: int


class Removal(msgspec.Struct, frozen=True):
    """A node to remove: ``empty``, ``underutilized`` or ``consolidated``. ``moves`` are the pods to evict, as namespace/name."""

    node: str
    group: str
    reason: str
    instance: str = ""
    utilization: float = 0.0
    resource: str = ""
    moves: tuple[str, ...] = ()


class RemovalRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a removal in progress notes on its node, as JSON in an annotation. Times are seconds since the epoch.

    ``reason`` is that of the removal, ``cordoned`` whether the autoscaler itself cordoned the node. ``phase`` is the group of
    pods that is being evicted, lowest first, ``since`` when its eviction began; ``delayed_since`` is when the node, free of pods, began to
    wait for those who asked to delay its end.
    """

    reason: str = "underutilized"
    cordoned: bool = False
    phase: int | None = None
    since: float = 0.0
    delayed_since: float | None = None


class Eviction(msgspec.Struct, frozen=True):
    """A pod to evict, with the time it gets to end, in seconds. A pod that is not ``required`` does not stop the removal."""

    namespace: str
    pod: str
    uid: str
    grace_seconds: int
    required: bool = True


class Step(StrEnum):
    """What comes next for a node whose removal is in progress."""

    WAIT = "wait"
    EVICT = "evict"
    TERMINATE = "terminate"
    ROLL_BACK = "roll back"
    LEAVING = "leaving"


class Drain(msgspec.Struct, frozen=True):
    """The next step of a removal in progress, and why.

    ``until`` is when a wait ends at the latest (0: unknown). ``record`` must be written on the node before anything else is done.
    ``evictions`` are pods to evict or, when the removal is rolled back, those that could not be evicted.
    """

    node: str
    group: str
    step: Step
    why: str = ""
    instance: str = ""
    reason: str = "underutilized"
    until: float = 0.0
    record: RemovalRecord | None = None
    evictions: tuple[Eviction, ...] = ()


class ScaleUpResult(StrEnum):
    """Outcome of the scale-up part of a scan, in upstream's words (section 1.2, step 22, and 7.1)."""

    SUCCESSFUL = "ScaleUpSuccessful"
    NOT_NEEDED = "ScaleUpNotNeeded"
    NO_OPTIONS = "ScaleUpNoOptionsAvailable"
    IN_COOLDOWN = "ScaleUpInCooldown"
    LIMITED = "ScaleUpLimitedByMaxNodesTotal"
    ERROR = "ScaleUpError"


class PendingPods(msgspec.Struct, frozen=True):
    """What became of waiting pods of one shape.

    ``outcome``: ``schedulable`` (there is room, on a node or on one that is coming), ``triggered`` (the plan adds their nodes), ``waiting``
    (a group could take them, another was chosen first), ``unhelped`` (no group can take them: ``reasons`` says why, per group).
    """

    shape: PodShape
    pods: tuple[PodRef, ...]
    outcome: str
    reasons: tuple[tuple[str, Misfit], ...] = ()


class OptionSummary(msgspec.Struct, frozen=True):
    """One way to help, as the expander saw it: ``nodes`` more of ``group`` place ``pods`` pods.

    ``waste`` is least-waste's score: the unused shares of CPU and of memory, added up (0 to 2).
    """

    group: str
    nodes: int
    pods: int
    waste: float
    chosen: bool = False
    similar: tuple[str, ...] = ()


class GroupStatus(msgspec.Struct, frozen=True):
    """Health and numbers of a group as the status ConfigMap shows them (section 10.1). Counts of nodes."""

    group: str
    healthy: bool
    ready: int
    unready: int
    not_started: int
    being_deleted: int
    registered: int
    unregistered: int
    long_unregistered: int
    target: int
    minimum: int
    maximum: int
    scale_up: str = "NoActivity"
    backoff: Backoff | None = None
    candidates: int = 0
    resource_unready: int = 0


class Notice(msgspec.Struct, frozen=True):
    """An event to record on a Kubernetes object. ``kind`` is Pod, Node or ConfigMap; ``type`` Normal or Warning."""

    kind: str
    namespace: str
    name: str
    type: str
    reason: str
    message: str
    uid: str = ""


class ClusterTotals(msgspec.Struct, frozen=True):
    """What the scan found: nodes with their whole cores and bytes of memory, those being deleted left out, and pods without a place."""

    nodes: int = 0
    cores: int = 0
    memory: int = 0
    unschedulable_pods: int = 0
    unprocessed_pods: int = 0


class Replacement(msgspec.Struct, frozen=True):
    """A consolidation and what it waits for; ``until`` when that ends at the latest, in seconds since the epoch (0: unknown)."""

    consolidation: Consolidation
    why: str
    until: float = 0.0


class Plan(msgspec.Struct, frozen=True):
    """All that a scan decided, and why.

    ``increases`` and ``removals`` are to be carried out in order, ``drains`` are removals begun earlier; ``delete_instances`` are
    unregistered or failed instances (group, instance ids); ``resize`` sets a target that was wrong (group, new desired capacity).
    ``begun_interruptions`` are nodes at risk that begin to drain, by name, ``cleared_interruptions`` marks to take off as long as they are
    those; ``answers`` tell the interruption function, by node, whether
    capacity was asked for. ``memory`` is what to remember once the actions are done.
    """

    result: ScaleUpResult
    increases: tuple[Increase, ...] = ()
    removals: tuple[Removal, ...] = ()
    drains: tuple[Drain, ...] = ()
    soft_taints: tuple[SoftTaint, ...] = ()
    begun_interruptions: Mapping[str, InterruptionRecord] = {}
    cleared_interruptions: Mapping[str, InterruptionRecord] = {}
    answers: Mapping[str, Answer] = {}
    replacement: Replacement | None = None
    nodes: tuple[NodeOutcome, ...] = ()
    delete_instances: tuple[tuple[str, tuple[str, ...]], ...] = ()
    resize: tuple[tuple[str, int], ...] = ()
    pods: tuple[PendingPods, ...] = ()
    options: tuple[OptionSummary, ...] = ()
    skipped_groups: tuple[tuple[str, Misfit], ...] = ()
    groups: tuple[GroupStatus, ...] = ()
    notices: tuple[Notice, ...] = ()
    memory: Memory = Memory()
    healthy: bool = True
    faults: tuple[str, ...] = ()
    totals: ClusterTotals = ClusterTotals()
