"""The values a decision is made of: pod shapes, nodes, node groups, memory, and the plan.

Everything is immutable. Identical pods are one ``PodShape`` with the list of its pods, so that the cost of a decision grows with shapes and
not with pods. Amounts are integers (CPU in millicores, memory in bytes, other resources in whole units), times are seconds since the epoch.
"""

from collections.abc import Mapping
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


INTERRUPTION_TAINT: Final = "eks-autoscaling/interruption"


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

    ``terms`` are node selectors that must all hold (one per volume); those of claims without a volume are in ``unbound`` too. ``fault`` is
    the scheduler's sentence when no node can do, else "". ``exclusive`` are claims that only one pod may use (ReadWriteOncePod).
    ``attachments`` are (CSI driver, number of volumes).
    """

    terms: tuple[NodeTerms, ...] = ()
    unbound: tuple[NodeTerms, ...] = ()
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

    @property
    def stays_with_node(self) -> bool:
        """Never moved: every node has its own, or the kubelet runs it."""
        return self.is_daemonset or self.is_mirror or self.is_static

    def request(self, resource: str) -> int:
        """Requested amount of a resource, 0 when none."""
        for name, amount in self.requests:
            if name == resource:
                return amount
        return 0


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
    """What nodes share as far as any pod of the cluster can tell: the labels that some pod's rules mention (not the hostname), taints.

    ``hostname`` is None without that label. It and ``name`` are "" unless a pod that spreads names this very node in its own rules: then
    the node is a class of its own. One object per distinct class: compared by identity.
    """

    key: int
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    unschedulable: bool = False
    hostname: str | None = ""
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
    ``cloud`` or ``unready node`` (section 9.4). A cordoned node makes a cordoned template, on which nothing fits.
    """

    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    capacity: Resources
    allocatable: Resources
    pods: tuple[tuple[PodShape, int], ...] = ()
    source: str = "node"
    unschedulable: bool = False


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
    """An Auto Scaling group that the autoscaler may size. ``id`` is its name, ``types`` are the instance types it may launch."""

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
    types: tuple[str, ...] = ()


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


class Priorities(msgspec.Struct, frozen=True):
    """The priority expander's table: priority to patterns of group names. None when there is none; ``fault`` says why it cannot be used."""

    table: Mapping[int, tuple[str, ...]] | None = None
    fault: str = ""


class PriceTable(msgspec.Struct, frozen=True):
    """What instances cost, in USD per hour: on demand by type, spot by type and availability zone."""

    on_demand: Mapping[str, float] = {}
    spot: Mapping[tuple[str, str], float] = {}


class Cluster(msgspec.Struct, frozen=True):
    """All that a scan saw. ``pending`` are unschedulable pods in the order of the API; ``nominated`` are pods promised to a node.

    ``workloads`` maps (kind, namespace, name) of existing controllers to their replicas. ``faults`` are objects that could not be read,
    each one sentence naming it; the scan goes on without them. ``unread`` are the kinds of Kubernetes objects of which some are missing:
    capacity may be added all the same, but nothing may be taken away.
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
    priorities: Priorities = Priorities()
    prices: PriceTable = PriceTable()
    faults: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
