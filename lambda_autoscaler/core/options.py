"""The autoscaler's options under their upstream names, with upstream's defaults.

A field is a Cluster Autoscaler flag in snake case (``--scale-down-unneeded-time`` is ``scale_down_unneeded_time``). Durations are seconds,
memory totals GiB as upstream's flags take them. Options that upstream parses but never uses, or that make no sense on AWS, are not here;
``settings.py`` says so when one is given.
"""

import msgspec

DEFAULT_DISCOVERY_TAG = "k8s.io/cluster-autoscaler/enabled"
CLUSTER_TAG_PREFIX = "k8s.io/cluster-autoscaler/"


class Range(msgspec.Struct, frozen=True):
    """A ``min:max`` pair of a resource total; both whole units."""

    minimum: int
    maximum: int


class GroupSpec(msgspec.Struct, frozen=True):
    """An explicit ``--nodes=min:max:name``."""

    minimum: int
    maximum: int
    name: str


class TagFilter(msgspec.Struct, frozen=True):
    """One ASG tag that discovery demands; an empty value means that the key alone is enough."""

    key: str
    value: str = ""


class GpuTotal(msgspec.Struct, frozen=True):
    """A ``--gpu-total=type:min:max``; the type is a value of the GPU label."""

    gpu_type: str
    minimum: int
    maximum: int


class DrainPriority(msgspec.Struct, frozen=True):
    """One ``priority:seconds`` of ``--drain-priority-config``."""

    priority: int
    grace_seconds: int


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that steers a decision (behaviour specification, section 11). Times in seconds."""

    cluster_name: str

    namespace: str = "kube-system"
    write_status_configmap: bool = True
    status_config_map_name: str = "cluster-autoscaler-status"
    scale_up_from_zero: bool = True
    record_duplicated_events: bool = False
    emit_per_nodegroup_metrics: bool = False

    nodes: tuple[GroupSpec, ...] = ()
    node_group_auto_discovery: tuple[TagFilter, ...] = ()
    enforce_node_group_min_size: bool = False
    force_ds: bool = False
    scale_from_unschedulable: bool = False
    node_info_cache_expire_time: float = 87_600 * 3600.0

    max_nodes_total: int = 0
    cores_total: Range = Range(0, 320_000)
    memory_total: Range = Range(0, 6_400_000)
    gpu_total: tuple[GpuTotal, ...] = ()

    expander: tuple[str, ...] = ("least-waste",)
    new_pod_scale_up_delay: float = 0.0
    expendable_pods_priority_cutoff: int = -10
    max_nodes_per_scaleup: int = 1000
    parallel_scale_up: bool = False
    salvo_scale_up: bool = False
    bypassed_scheduler_names: tuple[str, ...] = ()
    allowed_scheduler_names: tuple[str, ...] = ()

    balance_similar_node_groups: bool = False
    balancing_ignore_label: tuple[str, ...] = ()
    balancing_label: tuple[str, ...] = ()
    memory_difference_ratio: float = 0.015
    max_free_difference_ratio: float = 0.05
    max_allocatable_difference_ratio: float = 0.05

    max_node_provision_time: float = 900.0
    max_node_startup_time: float = 900.0
    ok_total_unready_count: int = 3
    max_total_unready_percentage: float = 45.0
    initial_node_group_backoff_duration: float = 300.0
    max_node_group_backoff_duration: float = 1800.0
    node_group_backoff_reset_timeout: float = 10_800.0
    force_delete_unregistered_nodes: bool = False

    scale_down_enabled: bool = True
    scale_down_unready_enabled: bool = True
    scale_down_delay_after_add: float = 600.0
    scale_down_delay_after_delete: float = 0.0
    scale_down_delay_after_failure: float = 180.0
    scale_down_delay_type_local: bool = False
    scale_down_unneeded_time: float = 600.0
    scale_down_unready_time: float = 1200.0
    scale_down_utilization_threshold: float = 0.5
    scale_down_gpu_utilization_threshold: float = 0.5
    ignore_daemonsets_utilization: bool = False
    ignore_mirror_pods_utilization: bool = False
    unremovable_node_recheck_timeout: float = 300.0
    max_scale_down_parallelism: int = 10
    max_drain_parallelism: int = 1

    skip_nodes_with_system_pods: bool = True
    skip_nodes_with_local_storage: bool = True
    skip_nodes_with_custom_controller_pods: bool = True
    min_replica_count: int = 0
    blocking_system_pod_distruption_timeout: float = 3600.0

    max_graceful_termination_sec: int = 600
    max_pod_eviction_time: float = 120.0
    drain_priority_config: tuple[DrainPriority, ...] = ()
    daemonset_eviction_for_occupied_nodes: bool = True
    daemonset_eviction_for_empty_nodes: bool = False
    cordon_node_before_terminating: bool = True
    node_delete_delay_after_taint: float = 5.0
    node_deletion_delay_timeout: float = 120.0
    max_bulk_soft_taint_count: int = 10

    startup_taint: tuple[str, ...] = ()
    startup_taint_prefix: tuple[str, ...] = ()
    status_taint: tuple[str, ...] = ()

    # Ours, beyond the peer; scan_interval is its flag, but a minute means one scan per invocation.
    random_seed: int = 0
    scan_interval: float = 60.0
    eni_max_pods: bool = False
    drain_on_rebalance: bool = False
    rebalance_drain_share: float = 0.1
    interruption_risk_ttl: float = 21_600.0
    consolidation_enabled: bool = False
    consolidation_across_capacity_types: bool = False
    consolidation_saving_threshold: float = 0.15

    @property
    def looks_at_prices(self) -> bool:
        """Whether any decision needs to know what instances cost."""
        return self.consolidation_enabled or "price" in self.expander

    def discovery(self) -> tuple[TagFilter, ...]:
        """Tags that a node group's ASG must carry, all of them: the given ones, else the convention's two."""
        if self.node_group_auto_discovery or self.nodes:
            return self.node_group_auto_discovery
        return (TagFilter(DEFAULT_DISCOVERY_TAG), TagFilter(CLUSTER_TAG_PREFIX + self.cluster_name))
