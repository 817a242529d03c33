"""Pulumi components that give an Amazon EKS cluster its capacity: cluster, node groups and an autoscaler without a pod.

The names below are all that a program needs. Only components and their argument types stand here: Pulumi's plugin
host serves every component class that it finds in this module to programs in other languages.
"""

from eks_autoscaling.autoscaler import Autoscaler, AutoscalerArgs
from eks_autoscaling.cluster import Cluster, ClusterArgs, ClusterRef
from eks_autoscaling.misuse import ArgumentError
from eks_autoscaling.node_group import NodeGroupArgs, OnDemandNodeGroup, SpotNodeGroup, Taint
from eks_autoscaling.self_managed_arguments import SelfManagedNodeGroupArgs
from eks_autoscaling.self_managed_node_group import SelfManagedNodeGroup

__all__ = [
    "ArgumentError",
    "Autoscaler",
    "AutoscalerArgs",
    "Cluster",
    "ClusterArgs",
    "ClusterRef",
    "NodeGroupArgs",
    "OnDemandNodeGroup",
    "SelfManagedNodeGroup",
    "SelfManagedNodeGroupArgs",
    "SpotNodeGroup",
    "Taint",
]
