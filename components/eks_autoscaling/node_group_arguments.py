"""Arguments of managed node groups, and what they cannot be.

Pure. What follows from them for EKS and for tags is in ``node_group_inputs``.
"""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi

from eks_autoscaling import kubernetes_version, names, node_repair, pod_density, shapes, warm_pools
from eks_autoscaling.ami_types import AmiType, ami_type
from eks_autoscaling.catalogue import instance_types as catalogue
from eks_autoscaling.cluster import ClusterRef
from eks_autoscaling.group_size import GroupSize, group_size
from eks_autoscaling.misuse import ArgumentError, require_within
from eks_autoscaling.node_repair import NodeRepairLimits, NodeRepairOverride
from eks_autoscaling.vpc_cni_settings import VpcCniSettings
from eks_autoscaling.warm_pools import WarmPool

UPDATE_STRATEGIES = ("DEFAULT", "MINIMAL")


class Taint(TypedDict):
    """A taint on every node of a group."""

    key: str
    """Key of the taint."""
    value: NotRequired[str]
    """Value of the taint; empty if absent."""
    effect: str
    """NoSchedule, PreferNoSchedule or NoExecute."""


class NodeGroupArgs(TypedDict):
    """Arguments of ``OnDemandNodeGroup`` and ``SpotNodeGroup``."""

    cluster: ClusterRef
    """The cluster that the nodes join: ``cluster.ref()``, or name and ARN of any other EKS cluster."""
    instance_types: Sequence[str]
    """1 to 20 instance types with equal vCPUs, memory and architecture. On-demand capacity is tried in this order; spot
    capacity comes from the pools that are deep and cheap, so name many. Another list replaces the group."""
    subnet_ids: Sequence[pulumi.Input[str]]
    """Subnets for the nodes, large enough for ``max_size`` nodes full of pods. For volumes bound to a zone see ``ZonalNodeGroups``. Other
    subnets replace the group."""
    min_size: int
    """Fewest nodes that the autoscaler may leave, 0 or more. EKS refuses a minimum above the size that the group has at the moment. Change
    sizes with ``pulumi up --refresh``, see ``ignore_desired_size``."""
    max_size: int
    """Most nodes that the autoscaler may ask for, 1 or more. Change sizes with ``pulumi up --refresh``, see ``ignore_desired_size``."""
    desired_size: NotRequired[int]
    """Nodes to start with; ``min_size`` if absent. Later the autoscaler decides, see ``ignore_desired_size``."""
    ignore_desired_size: NotRequired[bool]
    """Leave the desired size alone once the group exists; True if absent. False resets it on every update. When another size changes, the
    provider sends the desired size that Pulumi saw last: refresh in the same run, or the group goes back to it."""
    labels: NotRequired[dict[str, str]]
    """Kubernetes labels of the nodes."""
    taints: NotRequired[Sequence[Taint]]
    """Kubernetes taints of the nodes."""
    zone: NotRequired[str]
    """The availability zone, such as eu-west-1a, when all subnets are in one: the group's tags then tell where its nodes would be."""
    node_role_arn: NotRequired[pulumi.Input[str]]
    """IAM role of the nodes, such as ``node_role_arn`` of another group; the component makes one if absent."""
    disk_size_gib: NotRequired[int]
    """Size of the encrypted gp3 volume in GiB; 50 if absent."""
    volume_kms_key_arn: NotRequired[pulumi.Input[str]]
    """Key that encrypts the volume; the account's for EBS if absent. Its policy must let Auto Scaling use it, or no node starts:
    ``policies.volume_key`` is one that does."""
    ami_type: NotRequired[str]
    """An AMI type of Amazon Linux 2023 or Bottlerocket in the EKS API's form, for the types' architecture. Absent: Amazon Linux 2023, for
    types with accelerators that with their drivers. Another one replaces the group."""
    version: NotRequired[pulumi.Input[str]]
    """Kubernetes version of the nodes; the cluster's at creation if absent, and then no later one. Changed in place, node by node."""
    release_version: NotRequired[pulumi.Input[str]]
    """Version of the image, such as 1.34.2-20251112; the latest at creation if absent. Changed in place, node by node."""
    max_pods: NotRequired[int]
    """Pods that a node takes, 1 to 110, or 250 above 30 vCPU. Absent: as many as have addresses, which EKS works out; say ``vpc_cni`` if
    the CNI does not have its defaults."""
    vpc_cni: NotRequired[VpcCniSettings]
    """Settings that the VPC CNI has, those given to ``VpcCni``: they decide how many pods a node takes. The CNI must have them before the
    group is made, so name it in ``depends_on``; the number stays what it was then. If they give the CNI a role of its own, as they do
    unless ``identity`` is NODE, the nodes' role that the component makes has no rights for it."""
    addresses_per_node: NotRequired[int]
    """Addresses that a node takes from its subnets at most, 1 or more, to say whether they are large enough. Absent: what a node full of
    pods takes with the CNI's default targets."""
    imds_hop_limit: NotRequired[int]
    """1 (default) keeps pods away from the node's credentials; 2 lets pods reach the metadata service."""
    max_unavailable: NotRequired[int]
    """How many nodes (1 to 100) an update may replace at a time, instead of ``max_unavailable_percentage``."""
    max_unavailable_percentage: NotRequired[int]
    """Share of the nodes (1 to 100) that an update may replace at a time; 33 if absent."""
    update_strategy: NotRequired[str]
    """DEFAULT (default) starts new nodes before old ones go, beyond ``max_size`` for that while. MINIMAL ends old ones first, where
    capacity or addresses are scarce: pods have fewer nodes meanwhile."""
    node_repair: NotRequired[bool]
    """Let EKS replace nodes that stay unhealthy; False if absent. Without the add-on eks-node-monitoring-agent it sees only what
    the kubelet reports."""
    node_repair_limits: NotRequired[NodeRepairLimits]
    """With ``node_repair``: when to stop and how much to do at a time; as EKS chooses if absent."""
    node_repair_overrides: NotRequired[Sequence[NodeRepairOverride]]
    """With ``node_repair``: what to do about which fault, and after how long; as EKS chooses for the others."""
    warm_pool: NotRequired[WarmPool]
    """For nodes that take long to start: instances that have started once and wait. Not for spot instances. None if absent."""
    protect: NotRequired[bool]
    """Let Pulumi refuse to delete or replace the group, and with it all its nodes, until this is False; as the component's own option if
    absent. For groups in production."""
    fixed_name: NotRequired[str]
    """Exact name of the node group in EKS. Without it Pulumi makes one, so that a replacement can stand before the old group goes. With it
    EKS refuses a replacement, and nothing is lost, see ``delete_before_replace``."""
    delete_before_replace: NotRequired[bool]
    """With ``fixed_name`` only: a replacement may remove the group with all its nodes first. False if absent."""
    tags: NotRequired[dict[str, pulumi.Input[str]]]
    """Tags on the node group, its instances, volumes and everything else the component makes."""


def check(name: str, args: NodeGroupArgs, capacity_type: str) -> AmiType:
    """The image of the nodes; ArgumentError for arguments that cannot work."""
    if not list(args.get("subnet_ids", [])):
        raise ArgumentError("subnet_ids", [], "name at least one subnet for the nodes")
    _check_name(name, args)
    kubernetes_version.check("version", args.get("version"))
    size(args)
    _check_update(args)
    node_repair.check(args.get("node_repair", False), args.get("node_repair_limits"), args.get("node_repair_overrides"), args["max_size"])
    names.check_labels(args.get("labels", {}))
    shape = shapes.common_shape(args["instance_types"])
    image = ami_type(args.get("ami_type"), args["instance_types"], shape.architecture)
    _check_density(args, shape)
    warm_pools.check(args.get("warm_pool"), capacity_type, image)
    return image


def size(args: NodeGroupArgs) -> GroupSize:
    """How many nodes the group may have, and starts with."""
    return group_size(args["min_size"], args["max_size"], args.get("desired_size"))


def node_taints(taints: Sequence[Taint]) -> list[names.NodeTaint]:
    """The checked taints of an argument ``taints``; ArgumentError for an effect that Kubernetes does not know."""
    return [names.node_taint(taint["key"], taint.get("value", ""), taint["effect"]) for taint in taints]


def _check_name(name: str, args: NodeGroupArgs) -> None:
    fixed = args.get("fixed_name")
    if fixed is not None:
        names.node_group_name(fixed, "fixed_name")
        return
    names.node_group_name(name, "name", names.AUTONAME_SUFFIX)
    if args.get("delete_before_replace"):
        raise ArgumentError("delete_before_replace", True, "leave it out, or give a fixed_name: made names never need it")


def _check_update(args: NodeGroupArgs) -> None:
    both = [argument for argument in ("max_unavailable", "max_unavailable_percentage") if args.get(argument) is not None]
    if len(both) == 2:
        raise ArgumentError(both[0], args.get(both[0]), f"leave it out, or leave out {both[1]}: EKS takes one of them")
    for argument in both:
        require_within(argument, args.get(argument), 100)
    strategy = args.get("update_strategy", UPDATE_STRATEGIES[0])
    if strategy not in UPDATE_STRATEGIES:
        raise ArgumentError("update_strategy", strategy, f"use one of {', '.join(UPDATE_STRATEGIES)}")


def _check_density(args: NodeGroupArgs, shape: shapes.Shape) -> None:
    if args.get("max_pods") is not None:
        large = shape.vcpus > pod_density.LARGE_NODE_VCPUS
        require_within("max_pods", args.get("max_pods"), pod_density.LARGE_NODE_LIMIT if large else pod_density.SMALL_NODE_LIMIT)
    if args.get("addresses_per_node") is not None and int(args["addresses_per_node"]) < 1:
        raise ArgumentError("addresses_per_node", args["addresses_per_node"], "use 1 or more: a node has an address of its own")
    old = [name for name in args["instance_types"] if not pod_density.takes_prefixes(catalogue()[name])]
    if old and args.get("vpc_cni", {}).get("prefix_delegation", False):
        raise ArgumentError(
            "instance_types",
            old,
            "they cannot have address prefixes, and EKS gives the whole group the pods of its smallest type; leave them out"
            " (lambda-autoscaler types --nitro), or switch vpc_cni.prefix_delegation off",
        )
