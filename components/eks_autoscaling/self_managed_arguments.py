"""Arguments of self-managed node groups, what follows from them, and what they cannot be.

Pure.
"""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi

from eks_autoscaling import kubernetes_version, names, node_config, shapes
from eks_autoscaling.cluster import ClusterRef
from eks_autoscaling.group_size import GroupSize, group_size
from eks_autoscaling.launch_templates import DEFAULT_DISK_GIB
from eks_autoscaling.misuse import ArgumentError
from eks_autoscaling.node_group_arguments import Taint, node_taints

CAPACITY_TYPES = ("SPOT", "ON_DEMAND")
DEFAULT_HOOK_SECONDS = 300
# What a user's own tags must leave alone; options of the autoscaler for one group are the exception.
_TAGS_OF_OURS = (names.TAG_PREFIX, "kubernetes.io/cluster/")
_OPTION_TAGS = f"{names.TEMPLATE_PREFIX}autoscaling-options/"
# The two discovery tags, and that by which instances belong to a cluster.
_CLUSTER_TAGS = 3
# Of these arguments one at most: each says which image the nodes start from.
_IMAGE_ARGUMENTS = ("ami_id", "ami_ssm_parameter", "version")


class SelfManagedNodeGroupArgs(TypedDict):
    """Arguments of ``SelfManagedNodeGroup``."""

    cluster: ClusterRef
    """The cluster that the nodes join: ``cluster.ref()``, or name and ARN of any other EKS cluster that uses access entries."""
    capacity_type: str
    """SPOT or ON_DEMAND."""
    instance_types: Sequence[str]
    """1 to 20 instance types with equal vCPUs, memory and architecture. On-demand capacity is tried in this order; spot
    capacity comes from the pools that are deep and cheap, so name many."""
    subnet_ids: Sequence[pulumi.Input[str]]
    """Subnets for the nodes. For volumes bound to a zone declare one group per zone, with one subnet each."""
    min_size: int
    """Fewest nodes that the autoscaler may leave, 0 or more."""
    max_size: int
    """Most nodes that the autoscaler may ask for, 1 or more."""
    desired_size: NotRequired[int]
    """Nodes to start with; ``min_size`` if absent. Later the autoscaler decides, see ``ignore_desired_size``."""
    ignore_desired_size: NotRequired[bool]
    """Leave the desired size alone once the group exists; True if absent. False resets it on every update."""
    on_demand_base_size: NotRequired[int]
    """With SPOT only: so many nodes come on demand before the first spot one; 0 if absent."""
    on_demand_percentage: NotRequired[int]
    """With SPOT only: share (0 to 99) of the nodes beyond ``on_demand_base_size`` that come on demand; 0 if absent."""
    capacity_rebalance: NotRequired[bool]
    """Let Auto Scaling replace spot instances at risk by itself; False if absent."""
    terminate_hook: NotRequired[bool]
    """Let an instance wait before it ends, so that its pods can move; True if absent."""
    terminate_hook_seconds: NotRequired[int]
    """How long it waits (30 to 7200 s) unless told that it may go or must wait on; 300 if absent. Then it ends in any case."""
    labels: NotRequired[dict[str, str]]
    """Kubernetes labels of the nodes. A group of one capacity type also has eks.amazonaws.com/capacityType."""
    taints: NotRequired[Sequence[Taint]]
    """Kubernetes taints of the nodes."""
    security_group_ids: NotRequired[Sequence[pulumi.Input[str]]]
    """Security groups of the nodes; the cluster security group alone if absent."""
    node_role_arn: NotRequired[pulumi.Input[str]]
    """IAM role of the nodes, such as ``node_role_arn`` of another group; the component makes one if absent."""
    instance_profile_arn: NotRequired[pulumi.Input[str]]
    """With ``node_role_arn`` only: an instance profile that holds the role; the component makes one if absent."""
    access_entry: NotRequired[bool]
    """Let the role into the cluster by an access entry of type EC2_LINUX. Absent: True for a role that the component makes, False for
    ``node_role_arn``, since EKS takes one entry per role, and the role of another group has it."""
    disk_size_gib: NotRequired[int]
    """Size of the encrypted gp3 volume in GiB; 50 if absent."""
    volume_kms_key_arn: NotRequired[pulumi.Input[str]]
    """Key that encrypts the volume; the account's for EBS if absent. Its policy must let Auto Scaling use it, or no node starts:
    ``policies.volume_key`` is one that does."""
    ami_id: NotRequired[pulumi.Input[str]]
    """Image of the nodes, built on Amazon Linux 2023 for EKS. Without it: that which ``ami_ssm_parameter`` names."""
    ami_ssm_parameter: NotRequired[pulumi.Input[str]]
    """Systems Manager parameter that holds the image's id; that of EKS's recommended Amazon Linux 2023 image if absent."""
    version: NotRequired[pulumi.Input[str]]
    """Kubernetes version of the recommended image; the cluster's if absent."""
    imds_hop_limit: NotRequired[int]
    """1 (default) keeps pods away from the node's credentials; 2 lets pods reach the metadata service."""
    tags: NotRequired[dict[str, pulumi.Input[str]]]
    """Tags on the Auto Scaling group, its instances, volumes and everything else the component makes."""


def check(name: str, args: SelfManagedNodeGroupArgs) -> shapes.Shape:
    """The shape of the nodes; ArgumentError for arguments that cannot work."""
    names.node_group_name(name, "name", names.AUTONAME_SUFFIX)
    if args.get("node_role_arn") is None:
        names.child(name, "node", names.IAM_ROLE_NAME_LIMIT)
        if args.get("instance_profile_arn") is not None:
            raise ArgumentError("instance_profile_arn", args["instance_profile_arn"], "give node_role_arn too, the role in this profile")
    if not list(args.get("subnet_ids", [])):
        raise ArgumentError("subnet_ids", [], "name at least one subnet for the nodes")
    _check_capacity(args, size(args))
    _check_image(args)
    kubernetes_version.check("version", args.get("version"))
    if not 30 <= hook_seconds(args) <= 7200:
        raise ArgumentError("terminate_hook_seconds", hook_seconds(args), "Auto Scaling takes 30 to 7200")
    names.check_labels(args.get("labels", {}))
    node_config.check(args.get("labels", {}))
    _check_tags(args)
    template_tags(args)
    return shapes.common_shape(args["instance_types"])


def _check_capacity(args: SelfManagedNodeGroupArgs, size: GroupSize) -> None:
    kind = args["capacity_type"]
    if kind not in CAPACITY_TYPES:
        raise ArgumentError("capacity_type", kind, f"use one of {', '.join(CAPACITY_TYPES)}")
    limits = {
        "on_demand_base_size": (args.get("on_demand_base_size", 0), size.most - 1),
        "on_demand_percentage": (args.get("on_demand_percentage", 0), 99),
    }
    for argument, (value, most) in limits.items():
        if kind == "ON_DEMAND" and args.get(argument) is not None:
            raise ArgumentError(argument, value, "leave it out: with capacity_type ON_DEMAND every node comes on demand")
        if not 0 <= int(value) <= most:
            raise ArgumentError(argument, value, f"use 0 to {most}; with more, every node comes on demand: use capacity_type ON_DEMAND")


def _check_image(args: SelfManagedNodeGroupArgs) -> None:
    given = [argument for argument in _IMAGE_ARGUMENTS if args.get(argument) is not None]
    if len(given) > 1:
        raise ArgumentError(given[-1], args.get(given[-1]), f"leave it out, or leave out {given[0]}: either names the image")


def _check_tags(args: SelfManagedNodeGroupArgs) -> None:
    for key in args.get("tags", {}):
        if key.startswith(_TAGS_OF_OURS) and not key.startswith(_OPTION_TAGS):
            raise ArgumentError("tags", key, f"the component sets the tags below {' and '.join(_TAGS_OF_OURS)} itself; leave it out")


def size(args: SelfManagedNodeGroupArgs) -> GroupSize:
    """How many nodes the group may have, and starts with."""
    return group_size(args["min_size"], args["max_size"], args.get("desired_size"))


def hook_seconds(args: SelfManagedNodeGroupArgs) -> int:
    """How long an instance waits in the hook, in seconds."""
    return int(args.get("terminate_hook_seconds", DEFAULT_HOOK_SECONDS))


def labels(args: SelfManagedNodeGroupArgs) -> dict[str, str]:
    """The nodes' labels. Where both capacity types mix, no label that all nodes share can tell them apart."""
    mixes = int(args.get("on_demand_base_size", 0)) or int(args.get("on_demand_percentage", 0))
    kind = {} if mixes else {names.CAPACITY_TYPE_LABEL: args["capacity_type"]}
    return {**kind, **args.get("labels", {})}


def template_tags(args: SelfManagedNodeGroupArgs) -> dict[str, str]:
    """Node-template tags; ArgumentError when they do not fit on the group beside its other tags."""
    disk = f"{int(args.get('disk_size_gib', DEFAULT_DISK_GIB))}Gi"
    others = _CLUSTER_TAGS + len(args.get("tags", {}))
    return names.node_template_tags(labels(args), node_taints(args.get("taints", [])), {"ephemeral-storage": disk}, others)
