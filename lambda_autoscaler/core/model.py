"""The values a decision is made of: pod shapes, nodes, node groups, memory, and the plan.

Everything is immutable. Identical pods are one ``PodShape`` with the list of its pods, so that the cost of a decision grows with shapes and
not with pods. Amounts are integers (CPU in millicores, memory in bytes, other resources in whole units), times are seconds since the epoch.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from lambda_autoscaler.core.kubernetes import Taint, Toleration

Labels = tuple[tuple[str, str], ...]
Resources = tuple[tuple[str, int], ...]

CPU: Final = "cpu"
MEMORY: Final = "memory"
PODS: Final = "pods"
HOSTNAME_LABEL: Final = "kubernetes.io/hostname"
ZONE_LABEL: Final = "topology.kubernetes.io/zone"
GPU_LABEL: Final = "k8s.amazonaws.com/accelerator"
GPU_RESOURCES: Final = ("nvidia.com/gpu", "habana.ai/gaudi", "gpu.intel.com/xe", "amd.com/gpu", "microsoft.com/directx")
TO_BE_DELETED_TAINT: Final = "ToBeDeletedByClusterAutoscaler"
DELETION_CANDIDATE_TAINT: Final = "DeletionCandidateOfClusterAutoscaler"


class Requirement(msgspec.Struct, frozen=True):
    """One expression of a selector: operator is In, NotIn, Exists, DoesNotExist, Gt or Lt."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class NodeTerm(msgspec.Struct, frozen=True):
    """A term of a node selector: all label expressions and all name expressions (``metadata.name``) must hold; an empty term never does."""

    labels: tuple[Requirement, ...] = ()
    names: tuple[Requirement, ...] = ()


NodeTerms = tuple[NodeTerm, ...]


class PodSelector(msgspec.Struct, frozen=True):
    """Which pods a topology term counts. ``namespaces`` None means every namespace; ``requirements`` None selects no pod."""

    namespaces: frozenset[str] | None
    requirements: tuple[Requirement, ...] | None


class AffinityTerm(msgspec.Struct, frozen=True):
    """A required pod (anti-)affinity term."""

    topology_key: str
    selector: PodSelector


class SpreadConstraint(msgspec.Struct, frozen=True):
    """A ``DoNotSchedule`` topology spread constraint."""

    topology_key: str
    max_skew: int
    min_domains: int
    selector: PodSelector
    honor_affinity: bool = True
    honor_taints: bool = False


class HostPort(msgspec.Struct, frozen=True):
    """A port taken on the node; ip ``0.0.0.0`` conflicts with every ip."""

    port: int
    protocol: str = "TCP"
    ip: str = "0.0.0.0"  # noqa: S104 - the wildcard of host ports, nothing is bound


class VolumeNeed(msgspec.Struct, frozen=True):
    """What a pod's volumes demand of a node, resolved from claims, volumes and storage classes.

    ``terms`` are node selectors that must all hold (one per volume). ``fault`` is the scheduler's sentence when no node can do, else "".
    ``exclusive`` are claims that only one pod may use (ReadWriteOncePod). ``attachments`` are (CSI driver, number of volumes).
    """

    terms: tuple[NodeTerms, ...] = ()
    fault: str = ""
    exclusive: tuple[str, ...] = ()
    attachments: tuple[tuple[str, int], ...] = ()


class Controller(msgspec.Struct, frozen=True):
    """The owner that recreates a pod."""

    kind: str
    name: str
    uid: str
    api_version: str = ""


class PodShape(msgspec.Struct, frozen=True, eq=False, gc=False):
    """What decides where a pod can run and whether it may be evicted. One object per distinct shape of a cluster: compared by identity."""

    key: int
    namespace: str
    labels: Labels = ()
    requests: Resources = ()
    node_selector: Labels = ()
    node_terms: NodeTerms | None = None
    tolerations: tuple[Toleration, ...] = ()
    host_ports: tuple[HostPort, ...] = ()
    spread: tuple[SpreadConstraint, ...] = ()
    affinity: tuple[AffinityTerm, ...] = ()
    anti_affinity: tuple[AffinityTerm, ...] = ()
    volumes: VolumeNeed = VolumeNeed()
    priority: int | None = None
    scheduler: str = "default-scheduler"
    controller: Controller | None = None
    annotations: Labels = ()
    local_volumes: tuple[str, ...] = ()
    grace_seconds: int = 30
    restart_policy: str = "Always"
    phase: str = "Running"
    terminating: bool = False

    def annotation(self, name: str) -> str | None:
        """Value of an annotation that the autoscaler knows, None when absent."""
        return next((value for key, value in self.annotations if key == name), None)

    @property
    def is_mirror(self) -> bool:
        """A static pod's copy in the API (section 2.2)."""
        return self.annotation("kubernetes.io/config.mirror") is not None

    @property
    def is_static(self) -> bool:
        """Run by the kubelet from a file."""
        return self.annotation("kubernetes.io/config.source") not in (None, "api")

    @property
    def is_daemonset(self) -> bool:
        """Controlled by a DaemonSet, or declared to be treated so."""
        controlled = self.controller is not None and self.controller.kind == "DaemonSet"
        return controlled or self.annotation("cluster-autoscaler.kubernetes.io/daemonset-pod") == "true"

    def request(self, resource: str) -> int:
        """Requested amount of a resource, 0 when none."""
        return next((amount for name, amount in self.requests if name == resource), 0)


class PodRef(msgspec.Struct, frozen=True, gc=False):
    """One pod of a shape. ``deletion`` is when it was asked to terminate, None when it was not."""

    name: str
    uid: str = ""
    created: float = 0.0
    deletion: float | None = None
    started: float | None = None


class PodSet(msgspec.Struct, frozen=True):
    """Pods of one shape in one place: on a node, or waiting."""

    shape: PodShape
    pods: tuple[PodRef, ...]


class NodeClass(msgspec.Struct, frozen=True, eq=False):
    """What identical nodes share, as far as any pod of the cluster can tell: the labels that some pod's rules mention, taints, capacity.

    One object per distinct class: compared by identity. ``name`` is set only when some pod selects nodes by name.
    """

    key: int
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    allocatable: Resources
    unschedulable: bool = False
    name: str = ""


class NodeCondition(msgspec.Struct, frozen=True):
    """A node condition with the time of its last change."""

    type: str
    status: str
    changed: float = 0.0
    reason: str = ""


class Node(msgspec.Struct, frozen=True):
    """A registered node and the pods on it."""

    name: str
    uid: str = ""
    provider_id: str = ""
    created: float = 0.0
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    capacity: Resources = ()
    allocatable: Resources = ()
    conditions: tuple[NodeCondition, ...] = ()
    pods: tuple[PodSet, ...] = ()
    group: str = ""
    resource_version: str = ""


class Instance(msgspec.Struct, frozen=True):
    """An EC2 instance of a node group. ``placeholder`` marks capacity that was asked for and has no instance yet."""

    id: str
    zone: str = ""
    lifecycle: str = "InService"
    type: str = ""
    protected: bool = False
    placeholder: bool = False

    @property
    def provider_id(self) -> str:
        """The provider id that the node of this instance carries."""
        return f"aws:///{self.zone}/{self.id}"


class GroupOptions(msgspec.Struct, frozen=True):
    """Scale-down options of one group, from its ASG tags; None means the cluster's (section 9.6). Times in seconds."""

    utilization_threshold: float | None = None
    gpu_utilization_threshold: float | None = None
    unneeded_time: float | None = None
    unready_time: float | None = None
    ignore_daemonsets: bool | None = None


class Template(msgspec.Struct, frozen=True):
    """The node that a group would add: its labels without hostname, its taints, what it can hold, and the pods it starts with.

    ``pods`` are shapes of DaemonSet and static pods with their number. ``source`` tells where it comes from: ``node``, ``remembered``,
    ``cloud`` or ``unready node`` (section 9.4).
    """

    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    capacity: Resources
    allocatable: Resources
    pods: tuple[tuple[PodShape, int], ...] = ()
    source: str = "node"


class CloudTemplate(msgspec.Struct, frozen=True):
    """What AWS says about the nodes of a group, used when no node can be looked at (section 9.5); ``fault`` says why there is none."""

    labels: Mapping[str, str] = {}
    taints: tuple[Taint, ...] = ()
    capacity: Resources = ()
    instance_type: str = ""
    fault: str = ""


class LaunchFailure(msgspec.Struct, frozen=True):
    """A failed scaling activity of a group."""

    started: float
    message: str = ""


class NodeGroup(msgspec.Struct, frozen=True):
    """An Auto Scaling group that the autoscaler may size. ``id`` is its name."""

    id: str
    minimum: int
    maximum: int
    desired: int
    instances: tuple[Instance, ...] = ()
    zones: tuple[str, ...] = ()
    tags: Mapping[str, str] = {}
    cloud: CloudTemplate = CloudTemplate()
    options: GroupOptions = GroupOptions()
    failures: tuple[LaunchFailure, ...] = ()
    managed: str = ""
    capacity_type: str = ""


class DisruptionBudget(msgspec.Struct, frozen=True):
    """A PodDisruptionBudget: which pods it guards, how many may go now."""

    namespace: str
    name: str
    selector: PodSelector
    allowed: int


class DaemonSet(msgspec.Struct, frozen=True):
    """A DaemonSet as the pod it would put on a node. ``critical`` when its priority class is system-node-critical."""

    name: str
    namespace: str
    shape: PodShape
    critical: bool = False


class Cluster(msgspec.Struct, frozen=True):
    """All that a scan saw. ``pending`` are unschedulable pods in the order of the API; ``nominated`` maps a node to pods that were promised it.

    ``workloads`` maps (kind, namespace, name) of existing controllers to their replicas. ``config_maps`` are the data of the ConfigMaps the
    autoscaler reads, by name. ``faults`` are objects that could not be read, each one sentence naming it; the scan goes on without them.
    """

    nodes: tuple[Node, ...] = ()
    groups: tuple[NodeGroup, ...] = ()
    pending: tuple[PodSet, ...] = ()
    unprocessed: tuple[PodSet, ...] = ()
    nominated: tuple[tuple[str, PodSet], ...] = ()
    daemon_sets: tuple[DaemonSet, ...] = ()
    budgets: tuple[DisruptionBudget, ...] = ()
    workloads: Mapping[tuple[str, str, str], int] = {}
    attach_limits: Mapping[str, Mapping[str, int]] = {}
    config_maps: Mapping[str, Mapping[str, str]] = {}
    faults: tuple[str, ...] = ()


# --- What is remembered between scans -----------------------------------------------------------------------------------------------------


class ScaleUpRequest(msgspec.Struct, frozen=True):
    """Capacity that was asked for and is not all there: ``increase`` nodes, asked at ``time``, given up at ``expected``."""

    increase: int
    time: float
    expected: float


class Backoff(msgspec.Struct, frozen=True):
    """A group left alone after a failure: for ``duration`` seconds, ``until`` an instant."""

    duration: float
    until: float
    last_failure: float
    code: str = ""
    message: str = ""


class IncorrectSize(msgspec.Struct, frozen=True):
    """A group whose registered nodes differ from its target since ``first_observed``."""

    registered: int
    target: int
    first_observed: float


class RememberedTemplate(msgspec.Struct, frozen=True):
    """The last good node of a group, kept so that a group at zero is still known (section 9.4)."""

    labels: dict[str, str]
    taints: tuple[Taint, ...]
    capacity: Resources
    allocatable: Resources
    seen: float


class Memory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What must survive between two scans and cannot be read off the cluster (section 0.3). Keys are group, instance or node names."""

    version: int = 1
    requests: dict[str, ScaleUpRequest] = {}
    backoffs: dict[str, Backoff] = {}
    unregistered_since: dict[str, float] = {}
    incorrect_sizes: dict[str, IncorrectSize] = {}
    templates: dict[str, RememberedTemplate] = {}
    unneeded_since: dict[str, float] = {}
    unremovable_until: dict[str, float] = {}
    last_scale_up: float = 0.0
    last_scale_down_delete: float = 0.0
    last_scale_down_failure: float = 0.0
    group_scale_up: dict[str, float] = {}
    group_scale_down: dict[str, float] = {}
    group_scale_down_failure: dict[str, float] = {}
    shortest_interval: float = 0.0
    last_scan: float = 0.0
    size_set: dict[str, float] = {}


# --- Reasons ------------------------------------------------------------------------------------------------------------------------------


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


# --- The plan -----------------------------------------------------------------------------------------------------------------------------


class Increase(msgspec.Struct, frozen=True):
    """A node group to grow: its desired capacity goes from ``current`` to ``target``; ``maximum`` is its limit."""

    group: str
    current: int
    target: int
    maximum: int


class Removal(msgspec.Struct, frozen=True):
    """A node to remove. ``reason`` is ``empty`` or ``underutilized``; ``moves`` are the pods to evict, as namespace/name."""

    node: str
    group: str
    reason: str
    instance: str = ""
    utilization: float = 0.0
    moves: tuple[str, ...] = ()


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
    """One way to help, as the expander saw it: ``nodes`` more of ``group`` place ``pods`` pods; waste is the mean unused share of its CPU and memory."""

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


class Plan(msgspec.Struct, frozen=True):
    """All that a scan decided, and why.

    ``increases`` and ``removals`` are to be carried out in order; ``delete_instances`` are unregistered or failed instances (group, instance
    ids); ``resize`` sets a target that was wrong (group, new desired capacity). ``memory`` is what to remember once the actions are done.
    """

    result: ScaleUpResult
    increases: tuple[Increase, ...] = ()
    removals: tuple[Removal, ...] = ()
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
