"""What follows from the arguments of a managed node group: for the EKS API, for the group's tags and for its nodes.

Pure.
"""

from collections.abc import Sequence
from typing import Any

from eks_autoscaling import names, node_config, node_repair, shapes, subnet_space, vpc_cni_settings, warm_pools
from eks_autoscaling import node_group_arguments as arguments
from eks_autoscaling.ami_types import AmiType
from eks_autoscaling.launch_templates import DEFAULT_DISK_GIB
from eks_autoscaling.node_group_arguments import NodeGroupArgs

DEFAULT_UNAVAILABLE_PERCENTAGE = 33
# With fewer pools, a type that runs out in one zone is a large part of all there is.
FEW_SPOT_POOLS = 5


def scaling_config(args: NodeGroupArgs) -> Any:
    """Sizes in the EKS API's form."""
    size = arguments.size(args)
    return {"min_size": size.least, "max_size": size.most, "desired_size": size.desired}


def update_config(args: NodeGroupArgs) -> Any:
    """How an update goes about it."""
    count = args.get("max_unavailable")
    pace = (
        {"max_unavailable_percentage": int(args.get("max_unavailable_percentage", DEFAULT_UNAVAILABLE_PERCENTAGE))}
        if count is None
        else {"max_unavailable": int(count)}
    )
    strategy = args.get("update_strategy")
    return pace if strategy is None else {**pace, "update_strategy": strategy}


def node_repair_config(args: NodeGroupArgs) -> Any:
    """Node repair, None where it is off."""
    return node_repair.config(args.get("node_repair", False), args.get("node_repair_limits"), args.get("node_repair_overrides"))


def warm_pool_config(args: NodeGroupArgs) -> Any:
    """The warm pool, None where there is none."""
    return warm_pools.config(args.get("warm_pool"))


def taints(args: NodeGroupArgs) -> Any:
    """Taints with their effects as the EKS API spells them."""
    found = arguments.node_taints(args.get("taints", []))
    return [{"key": taint.key, "value": taint.value, "effect": names.EKS_EFFECTS[taint.effect]} for taint in found]


def template_tags(args: NodeGroupArgs, capacity_type: str) -> dict[str, str]:
    """Tags of the Auto Scaling group that tell what its nodes are like while it has none."""
    zone = args.get("zone")
    where = {} if zone is None else dict.fromkeys(names.ZONE_LABELS, zone)
    labels = {names.CAPACITY_TYPE_LABEL: capacity_type, **where, **args.get("labels", {})}
    resources = {"ephemeral-storage": f"{int(args.get('disk_size_gib', DEFAULT_DISK_GIB))}Gi", "pods": str(max_pods(args))}
    return names.node_template_tags(labels, arguments.node_taints(args.get("taints", [])), resources)


def max_pods(args: NodeGroupArgs) -> int:
    """Pods that a node takes: as was asked for, else what EKS works out under the settings of the CNI."""
    asked = args.get("max_pods")
    return addressable_pods(args) if asked is None else int(asked)


def addressable_pods(args: NodeGroupArgs) -> int:
    """Pods for which a node has addresses, and with which Kubernetes copes."""
    return vpc_cni_settings.max_pods(args["instance_types"], args.get("vpc_cni", {}))


def user_data(args: NodeGroupArgs, image: AmiType) -> str | None:
    """User data by which the nodes take ``max_pods``; None where what EKS works out holds."""
    if args.get("max_pods") is None:
        return None
    return node_config.max_pods_user_data(max_pods(args), bottlerocket=image.is_bottlerocket)


def addresses_per_node(args: NodeGroupArgs) -> int:
    """IPv4 addresses that a node takes from the group's subnets at most."""
    given = args.get("addresses_per_node")
    if given is not None:
        return int(given)
    settings = args.get("vpc_cni", {})
    return subnet_space.addresses_per_node(
        args["instance_types"],
        max_pods(args),
        prefix_delegation=settings.get("prefix_delegation", False),
        pods_elsewhere=bool(settings.get("custom_networking")) or vpc_cni_settings.is_ipv6(settings),
    )


def warnings(args: NodeGroupArgs, capacity_type: str) -> Sequence[str]:
    """What works but is likely to hurt, for whoever runs the program."""
    found = []
    pools = len(args["instance_types"]) * len(args["subnet_ids"])
    if capacity_type == "SPOT" and pools < FEW_SPOT_POOLS:
        shape = shapes.common_shape(args["instance_types"])
        found.append(
            f"{len(args['instance_types'])} instance types in {len(args['subnet_ids'])} subnets are {pools} spot pools, fewer than"
            f" {FEW_SPOT_POOLS}: one shortage can take most of the nodes at once. Add types of {shape}; these do: lambda-autoscaler types"
            f" --vcpus {shape.vcpus} --memory {shape.memory_mib / 1024:g} --architecture {shape.architecture} --output python"
        )
    if max_pods(args) > addressable_pods(args):
        found.append(
            f"max_pods is {max_pods(args)}, and the VPC CNI has addresses for {addressable_pods(args)} pods on a node: those beyond stay in"
            " ContainerCreating, unless another network plugin gives addresses"
        )
    return found
