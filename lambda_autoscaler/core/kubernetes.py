"""The Kubernetes API objects the autoscaler reads, with the fields it needs and no others.

These are wire types: msgspec decodes a page of a list straight into them, about ten times faster than building dictionaries.
Field names are the API's in snake case. Unknown fields are skipped. A missing field has the API's own default.
"""

from typing import Any

import msgspec


class Wire(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """A wire type: camel case in JSON, frozen, outside the garbage collector (it holds no cycles)."""


class OwnerReference(Wire, frozen=True):
    """metav1.OwnerReference."""

    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False
    api_version: str = ""


class _Meta(Wire, frozen=True):
    """What is read of the metadata of objects of every kind. Times are RFC 3339 texts."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    labels: dict[str, str] | None = None
    owner_references: list[OwnerReference] | None = None


class ObjectMeta(_Meta, frozen=True):
    """metav1.ObjectMeta."""

    resource_version: str = ""
    annotations: dict[str, str] | None = None


class PodAnnotations(Wire, frozen=True):
    """The annotations of a pod that matter here; others, which may be long, are not kept."""

    safe_to_evict: str | None = msgspec.field(default=None, name="cluster-autoscaler.kubernetes.io/safe-to-evict")
    safe_local_volumes: str | None = msgspec.field(default=None, name="cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes")
    scale_up_delay: str | None = msgspec.field(default=None, name="cluster-autoscaler.kubernetes.io/pod-scale-up-delay")
    daemon_set_pod: str | None = msgspec.field(default=None, name="cluster-autoscaler.kubernetes.io/daemonset-pod")
    daemon_set_eviction: str | None = msgspec.field(default=None, name="cluster-autoscaler.kubernetes.io/enable-ds-eviction")
    mirror: str | None = msgspec.field(default=None, name="kubernetes.io/config.mirror")
    source: str | None = msgspec.field(default=None, name="kubernetes.io/config.source")


class PodMeta(_Meta, frozen=True):
    """metav1.ObjectMeta of a pod."""

    annotations: PodAnnotations | None = None


class SelectorRequirement(Wire, frozen=True):
    """One expression of a label selector or a node selector term."""

    key: str
    operator: str
    values: list[str] | None = None


class LabelSelector(Wire, frozen=True):
    """metav1.LabelSelector: all expressions must hold; an empty one selects everything."""

    match_labels: dict[str, str] | None = None
    match_expressions: list[SelectorRequirement] | None = None


class NodeSelectorTerm(Wire, frozen=True):
    """v1.NodeSelectorTerm: an empty term selects nothing."""

    match_expressions: list[SelectorRequirement] | None = None
    match_fields: list[SelectorRequirement] | None = None


class NodeSelector(Wire, frozen=True):
    """v1.NodeSelector: one of the terms must hold."""

    node_selector_terms: list[NodeSelectorTerm] = []


class NodeAffinity(Wire, frozen=True):
    """v1.NodeAffinity; preferences do not decide feasibility and are not read."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None


class PodAffinityTerm(Wire, frozen=True):
    """v1.PodAffinityTerm."""

    topology_key: str
    label_selector: LabelSelector | None = None
    namespaces: list[str] | None = None
    namespace_selector: LabelSelector | None = None
    match_label_keys: list[str] | None = None
    mismatch_label_keys: list[str] | None = None


class PodAffinity(Wire, frozen=True):
    """v1.PodAffinity or v1.PodAntiAffinity, required terms only."""

    required_during_scheduling_ignored_during_execution: list[PodAffinityTerm] | None = None


class Affinity(Wire, frozen=True):
    """v1.Affinity."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


class Toleration(Wire, frozen=True):
    """v1.Toleration; also the domain value, compared by content."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


class TopologySpreadConstraint(Wire, frozen=True):
    """v1.TopologySpreadConstraint."""

    topology_key: str
    max_skew: int
    when_unsatisfiable: str
    label_selector: LabelSelector | None = None
    min_domains: int | None = None
    node_affinity_policy: str | None = None
    node_taints_policy: str | None = None
    match_label_keys: list[str] | None = None


class ContainerPort(Wire, frozen=True):
    """v1.ContainerPort, host side only."""

    host_port: int = 0
    host_ip: str = msgspec.field(default="", name="hostIP")
    protocol: str = "TCP"


class ResourceRequirements(Wire, frozen=True):
    """v1.ResourceRequirements as quantity texts."""

    requests: dict[str, str | int] | None = None
    limits: dict[str, str | int] | None = None


class Container(Wire, frozen=True):
    """v1.Container, scheduling facts only."""

    resources: ResourceRequirements | None = None
    ports: list[ContainerPort] | None = None
    restart_policy: str | None = None


class PersistentVolumeClaimSource(Wire, frozen=True):
    """v1.PersistentVolumeClaimVolumeSource."""

    claim_name: str
    read_only: bool = False


class EmptyDirSource(Wire, frozen=True):
    """v1.EmptyDirVolumeSource."""

    medium: str = ""


class EphemeralSource(Wire, frozen=True):
    """v1.EphemeralVolumeSource: its claim is named after pod and volume."""

    volume_claim_template: Any = None


class Volume(Wire, frozen=True):
    """v1.Volume, the sources that decide about placement or eviction."""

    name: str = ""
    persistent_volume_claim: PersistentVolumeClaimSource | None = None
    empty_dir: EmptyDirSource | None = None
    host_path: dict[str, Any] | None = None
    ephemeral: EphemeralSource | None = None


class SchedulingGate(Wire, frozen=True):
    """v1.PodSchedulingGate."""

    name: str = ""


class PodSpec(Wire, frozen=True):
    """v1.PodSpec, scheduling and eviction facts only."""

    containers: list[Container] = []
    init_containers: list[Container] | None = None
    resources: ResourceRequirements | None = None
    overhead: dict[str, str | int] | None = None
    node_name: str = ""
    node_selector: dict[str, str] | None = None
    affinity: Affinity | None = None
    tolerations: list[Toleration] | None = None
    topology_spread_constraints: list[TopologySpreadConstraint] | None = None
    volumes: list[Volume] | None = None
    scheduler_name: str = "default-scheduler"
    priority: int | None = None
    priority_class_name: str = ""
    preemption_policy: str | None = None
    host_network: bool = False
    restart_policy: str = "Always"
    termination_grace_period_seconds: int | None = None
    scheduling_gates: list[SchedulingGate] | None = None


class Condition(Wire, frozen=True):
    """A condition of a node, a pod or a disruption budget."""

    type: str
    status: str = "Unknown"
    reason: str = ""
    last_transition_time: str | None = None


class PodStatus(Wire, frozen=True):
    """v1.PodStatus."""

    phase: str = "Pending"
    conditions: list[Condition] | None = None
    nominated_node_name: str = ""
    start_time: str | None = None


class Pod(Wire, frozen=True):
    """v1.Pod."""

    metadata: PodMeta = PodMeta()
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class Taint(Wire, frozen=True):
    """v1.Taint; also the domain value, compared by content."""

    key: str
    effect: str
    value: str = ""
    time_added: str | None = None


class NodeSpec(Wire, frozen=True):
    """v1.NodeSpec."""

    provider_id: str = msgspec.field(default="", name="providerID")
    taints: list[Taint] | None = None
    unschedulable: bool = False


class NodeStatus(Wire, frozen=True):
    """v1.NodeStatus."""

    capacity: dict[str, str | int] | None = None
    allocatable: dict[str, str | int] | None = None
    conditions: list[Condition] | None = None


class Node(Wire, frozen=True):
    """v1.Node."""

    metadata: ObjectMeta = ObjectMeta()
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class PodTemplate(Wire, frozen=True):
    """v1.PodTemplateSpec."""

    metadata: PodMeta = PodMeta()
    spec: PodSpec = PodSpec()


class WorkloadSpec(Wire, frozen=True):
    """Spec of a ReplicaSet, StatefulSet, ReplicationController, Job or DaemonSet."""

    replicas: int | None = None
    template: PodTemplate | None = None


class Workload(Wire, frozen=True):
    """apps/v1 and batch/v1 controllers: their existence, replicas and, for DaemonSets, their template."""

    metadata: ObjectMeta = ObjectMeta()
    spec: WorkloadSpec = WorkloadSpec()


class DisruptionBudgetSpec(Wire, frozen=True):
    """policy/v1 PodDisruptionBudgetSpec: a nil selector selects nothing, an empty one everything."""

    selector: LabelSelector | None = None


class DisruptionBudgetStatus(Wire, frozen=True):
    """policy/v1 PodDisruptionBudgetStatus."""

    disruptions_allowed: int = 0


class PodDisruptionBudget(Wire, frozen=True):
    """policy/v1 PodDisruptionBudget."""

    metadata: ObjectMeta = ObjectMeta()
    spec: DisruptionBudgetSpec = DisruptionBudgetSpec()
    status: DisruptionBudgetStatus = DisruptionBudgetStatus()


class Namespace(Wire, frozen=True):
    """v1.Namespace: its labels, for namespace selectors."""

    metadata: ObjectMeta = ObjectMeta()


class ConfigMap(Wire, frozen=True):
    """v1.ConfigMap."""

    metadata: ObjectMeta = ObjectMeta()
    data: dict[str, str] | None = None


class ListMeta(Wire, frozen=True):
    """metav1.ListMeta: where the next page starts."""

    resource_version: str = ""
    continue_token: str = msgspec.field(default="", name="continue")
