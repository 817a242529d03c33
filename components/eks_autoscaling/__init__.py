"""Pulumi components that give an Amazon EKS cluster its capacity: cluster, node groups and an autoscaler without a pod.

The names below are all that a program needs. Only components and their argument types stand here: Pulumi's plugin
host serves every component class that it finds in this module to programs in other languages.

Without Pulumi the package has its catalogue of instance types and the choice among them, and no component: that much
the lambda-autoscaler command needs, which is installed without Pulumi's 200 MB.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING or all(find_spec(name) for name in ("pulumi", "pulumi_aws", "pulumi_kubernetes")):
    from eks_autoscaling.access_entries import AccessEntry, AccessPolicy
    from eks_autoscaling.add_on import AddOn, AddOnArgs
    from eks_autoscaling.add_ons import AddOns, AddOnsArgs
    from eks_autoscaling.auto_mode import AutoMode
    from eks_autoscaling.autoscaler import Autoscaler
    from eks_autoscaling.autoscaler_arguments import AutoscalerArgs, FleetMember
    from eks_autoscaling.cluster import Cluster, ClusterRef
    from eks_autoscaling.cluster_arguments import ClusterArgs
    from eks_autoscaling.cni_metrics import CniMetrics, CniMetricsArgs
    from eks_autoscaling.control_plane_settings import ControlPlaneSettings
    from eks_autoscaling.fargate_profile import FargateProfile, FargateProfileArgs, FargateSelector
    from eks_autoscaling.function_network import FunctionNetwork
    from eks_autoscaling.misuse import ArgumentError
    from eks_autoscaling.node_add_ons import NodeAddOns, NodeAddOnsArgs
    from eks_autoscaling.node_group import OnDemandNodeGroup, SpotNodeGroup
    from eks_autoscaling.node_group_arguments import NodeGroupArgs, Taint
    from eks_autoscaling.node_repair import NodeRepairLimits, NodeRepairOverride
    from eks_autoscaling.overprovisioning import Overprovisioning, OverprovisioningArgs, Toleration
    from eks_autoscaling.priority_expander import PriorityExpander, PriorityExpanderArgs
    from eks_autoscaling.self_managed_arguments import SelfManagedNodeGroupArgs
    from eks_autoscaling.self_managed_node_group import SelfManagedNodeGroup
    from eks_autoscaling.service_account_role import ServiceAccountRole, ServiceAccountRoleArgs
    from eks_autoscaling.vpc_cni import VpcCni, VpcCniArgs
    from eks_autoscaling.vpc_cni_settings import PodSubnet, VpcCniSettings
    from eks_autoscaling.warm_pools import WarmPool
    from eks_autoscaling.zonal_node_groups import ZonalNodeGroups, ZonalNodeGroupsArgs
else:

    def __getattr__(name: str) -> object:
        """Say what a component lacks, instead of that there is none."""
        if name in __all__:
            remedy = "install eks-autoscaling with its dependencies"
            raise ModuleNotFoundError(f"eks_autoscaling.{name} needs Pulumi, which is not installed: {remedy}")
        raise AttributeError(f"module 'eks_autoscaling' has no attribute {name!r}")


__all__ = [
    "AccessEntry",
    "AccessPolicy",
    "AddOn",
    "AddOnArgs",
    "AddOns",
    "AddOnsArgs",
    "ArgumentError",
    "AutoMode",
    "Autoscaler",
    "AutoscalerArgs",
    "Cluster",
    "ClusterArgs",
    "ClusterRef",
    "CniMetrics",
    "CniMetricsArgs",
    "ControlPlaneSettings",
    "FargateProfile",
    "FargateProfileArgs",
    "FargateSelector",
    "FleetMember",
    "FunctionNetwork",
    "NodeAddOns",
    "NodeAddOnsArgs",
    "NodeGroupArgs",
    "NodeRepairLimits",
    "NodeRepairOverride",
    "OnDemandNodeGroup",
    "Overprovisioning",
    "OverprovisioningArgs",
    "PodSubnet",
    "PriorityExpander",
    "PriorityExpanderArgs",
    "SelfManagedNodeGroup",
    "SelfManagedNodeGroupArgs",
    "ServiceAccountRole",
    "ServiceAccountRoleArgs",
    "SpotNodeGroup",
    "Taint",
    "Toleration",
    "VpcCni",
    "VpcCniArgs",
    "VpcCniSettings",
    "WarmPool",
    "ZonalNodeGroups",
    "ZonalNodeGroupsArgs",
]
