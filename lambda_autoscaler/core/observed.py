"""What a scan read, as wire objects: the input from which the cluster is built, the same from live APIs and from a snapshot."""

from collections.abc import Mapping

import msgspec

from lambda_autoscaler.core import amazon, kubernetes, storage


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """All answers of one observation.

    ``faults`` are sentences about what could not be read, ``unread`` the kinds of Kubernetes objects of which some are missing therefore.
    Node groups of EKS are keyed by name, launch templates by ``template_key``, activities (newest first) and the types that requirements
    resolve to by ASG name, ConfigMaps by name, on-demand prices (USD per hour) by instance type.
    """

    nodes: list[kubernetes.Node] = []
    pods: list[kubernetes.Pod] = []
    daemonsets: list[kubernetes.Workload] = []
    replicasets: list[kubernetes.Workload] = []
    statefulsets: list[kubernetes.Workload] = []
    jobs: list[kubernetes.Workload] = []
    replicationcontrollers: list[kubernetes.Workload] = []
    poddisruptionbudgets: list[kubernetes.PodDisruptionBudget] = []
    persistentvolumes: list[storage.PersistentVolume] = []
    persistentvolumeclaims: list[storage.PersistentVolumeClaim] = []
    storageclasses: list[storage.StorageClass] = []
    csinodes: list[storage.CsiNode] = []
    namespaces: list[kubernetes.Namespace] = []
    config_maps: Mapping[str, Mapping[str, str]] = {}
    groups: list[amazon.AutoScalingGroup] = []
    nodegroups: Mapping[str, amazon.Nodegroup] = {}
    instance_types: Mapping[str, amazon.InstanceTypeInfo] = {}
    launch_templates: Mapping[str, amazon.LaunchTemplateVersion] = {}
    launch_configurations: Mapping[str, amazon.LaunchConfiguration] = {}
    resolved_types: Mapping[str, str] = {}
    activities: Mapping[str, list[amazon.Activity]] = {}
    on_demand_prices: Mapping[str, float] = {}
    spot_prices: list[amazon.SpotPrice] = []
    faults: list[str] = []
    unread: list[str] = []


def template_key(specification: amazon.LaunchTemplateSpecification) -> str:
    """Key of a launch template version: ``id-or-name:version``; without a version EC2 takes ``$Default``."""
    return f"{specification.launch_template_id or specification.launch_template_name}:{specification.version or '$Default'}"
