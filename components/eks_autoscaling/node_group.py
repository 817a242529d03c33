"""Managed node groups: on-demand for what must stay, spot for what may move.

Each group brings a launch template (IMDSv2, encrypted gp3 volume, tags on instances and volumes), tags its Auto
Scaling group for discovery and for scaling from zero, and leaves the desired size to the autoscaler.

Odd parts:

* Node-template tags must stand on the Auto Scaling group. EKS does not copy tags of the node group there, hence one
  ``aws.autoscaling.Tag`` each.
* Names are made by Pulumi unless ``fixed_name`` is given. A changed instance type or capacity type replaces the group;
  with made names the new group stands before the old one is drained. With a fixed name EKS refuses the second group
  of that name, and nothing is lost, unless ``delete_before_replace`` allows all nodes to go first.
"""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from eks_autoscaling import launch_templates, names, policies, roles, shapes
from eks_autoscaling.cluster import IAM_ROLE_NAME_LIMIT, ClusterRef
from eks_autoscaling.group_size import GroupSize, group_size
from eks_autoscaling.launch_templates import DEFAULT_DISK_GIB, DEFAULT_HOP_LIMIT
from eks_autoscaling.misuse import ArgumentError

AMI_TYPES = {"x86_64": "AL2023_x86_64_STANDARD", "arm64": "AL2023_ARM_64_STANDARD"}


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
    labels: NotRequired[dict[str, str]]
    """Kubernetes labels of the nodes."""
    taints: NotRequired[Sequence[Taint]]
    """Kubernetes taints of the nodes."""
    node_role_arn: NotRequired[pulumi.Input[str]]
    """IAM role of the nodes, such as ``node_role_arn`` of another group; the component makes one if absent."""
    disk_size_gib: NotRequired[int]
    """Size of the encrypted gp3 volume in GiB; 50 if absent."""
    ami_type: NotRequired[str]
    """AMI family in the EKS API's form; Amazon Linux 2023 for the types' architecture if absent."""
    version: NotRequired[pulumi.Input[str]]
    """Kubernetes version of the nodes; the cluster's at creation if absent."""
    imds_hop_limit: NotRequired[int]
    """1 (default) keeps pods away from the node's credentials; 2 lets pods reach the metadata service."""
    max_unavailable_percentage: NotRequired[int]
    """Share of the nodes (1 to 100) that an update may replace at a time; 33 if absent."""
    fixed_name: NotRequired[str]
    """Exact name of the node group in EKS. Without it Pulumi makes one, so that a replacement can stand before the old group goes."""
    delete_before_replace: NotRequired[bool]
    """With ``fixed_name`` only: a replacement may remove the group with all its nodes first. False if absent."""
    tags: NotRequired[dict[str, pulumi.Input[str]]]
    """Tags on the node group, its instances, volumes and everything else the component makes."""


class _ManagedNodeGroup(pulumi.ComponentResource):
    """What both kinds of managed node group share."""

    node_group_name: pulumi.Output[str]
    """Name of the node group in EKS."""
    arn: pulumi.Output[str]
    """ARN of the node group."""
    auto_scaling_group_name: pulumi.Output[str]
    """Name of the Auto Scaling group that EKS made for it."""
    node_role_arn: pulumi.Output[str]
    """IAM role of the nodes."""

    def __init__(self, name: str, args: NodeGroupArgs, capacity_type: str, opts: pulumi.ResourceOptions | None) -> None:
        super().__init__(f"eks-autoscaling:index:{type(self).__name__}", name, None, opts)
        shape = _check(name, args)
        self._name = name
        self._tags = args.get("tags", {})
        self._child = pulumi.ResourceOptions(parent=self)
        template_tags = _template_tags(args, capacity_type)
        group = self._group(args, capacity_type, shape)
        self.node_group_name = group.node_group_name
        self.arn = group.arn
        self.auto_scaling_group_name = group.resources[0].autoscaling_groups[0].name.apply(str)
        self.node_role_arn = group.node_role_arn
        self._tag_auto_scaling_group(args["cluster"]["name"], template_tags)
        self.register_outputs(
            {
                "node_group_name": self.node_group_name,
                "arn": self.arn,
                "auto_scaling_group_name": self.auto_scaling_group_name,
                "node_role_arn": self.node_role_arn,
            }
        )

    def _group(self, args: NodeGroupArgs, capacity_type: str, shape: shapes.Shape) -> aws.eks.NodeGroup:
        ami_type = args.get("ami_type", AMI_TYPES[shape.architecture])
        role_arn, grants = self._role(args)
        template = self._launch_template(args, ami_type)
        return aws.eks.NodeGroup(
            self._name,
            cluster_name=args["cluster"]["name"],
            node_group_name=args.get("fixed_name"),
            node_role_arn=role_arn,
            subnet_ids=list(args["subnet_ids"]),
            capacity_type=capacity_type,
            instance_types=list(args["instance_types"]),
            ami_type=ami_type,
            version=args.get("version"),
            scaling_config=_scaling(args),
            update_config={"max_unavailable_percentage": int(args.get("max_unavailable_percentage", 33))},
            labels=dict(args.get("labels", {})),
            taints=_taints_for_eks(args),
            launch_template={"id": template.id, "version": template.latest_version.apply(lambda version: str(int(version)))},
            tags=self._tags,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=grants,
                ignore_changes=["scalingConfig.desiredSize"] if args.get("ignore_desired_size", True) else [],
                delete_before_replace=args.get("delete_before_replace"),
            ),
        )

    def _role(self, args: NodeGroupArgs) -> tuple[pulumi.Input[str], list[aws.iam.RolePolicyAttachment]]:
        shared = args.get("node_role_arn")
        if shared is not None:
            return shared, []
        role, grants = roles.with_managed_policies(
            self,
            names.child(self._name, "node", IAM_ROLE_NAME_LIMIT),
            policies.service_trust("ec2.amazonaws.com"),
            policies.NODE_POLICIES,
            self._tags,
        )
        return role.arn, grants

    def _launch_template(self, args: NodeGroupArgs, ami_type: str) -> aws.ec2.LaunchTemplate:
        # Bottlerocket keeps images and pods on its second volume.
        device = "/dev/xvdb" if ami_type.startswith("BOTTLEROCKET") else "/dev/xvda"
        machine = launch_templates.Machine(
            self._name,
            device,
            args.get("disk_size_gib", DEFAULT_DISK_GIB),
            args.get("imds_hop_limit", DEFAULT_HOP_LIMIT),
            self._tags,
        )
        return launch_templates.launch_template(self, machine)

    def _tag_auto_scaling_group(self, cluster: pulumi.Input[str], template_tags: dict[str, str]) -> None:
        discovery = pulumi.Output.from_input(cluster).apply(lambda name: list(names.discovery_tags(name).items()))
        for index, part in enumerate(("enabled", "cluster")):
            # EKS copies these to its instances; a different value here would undo that.
            self._tag(f"discovery-{part}", discovery[index][0], discovery[index][1], propagate=True)
        for key, value in template_tags.items():
            self._tag(key.removeprefix(names.TEMPLATE_PREFIX), key, value)

    def _tag(self, part: str, key: pulumi.Input[str], value: pulumi.Input[str], *, propagate: bool = False) -> None:
        aws.autoscaling.Tag(
            f"{self._name}-{part}",
            autoscaling_group_name=self.auto_scaling_group_name,
            tag={"key": key, "value": value, "propagate_at_launch": propagate},
            opts=self._child,
        )


class OnDemandNodeGroup(_ManagedNodeGroup):
    """A managed node group of on-demand instances, for system pods and all that must not be interrupted."""

    def __init__(self, name: str, args: NodeGroupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError for arguments that cannot work."""
        super().__init__(name, args, "ON_DEMAND", opts)


class SpotNodeGroup(_ManagedNodeGroup):
    """A managed node group of spot instances, drained by EKS itself when a notice of interruption comes."""

    def __init__(self, name: str, args: NodeGroupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError for arguments that cannot work."""
        super().__init__(name, args, "SPOT", opts)


def _check(name: str, args: NodeGroupArgs) -> shapes.Shape:
    if not list(args.get("subnet_ids", [])):
        raise ArgumentError("subnet_ids", [], "name at least one subnet for the nodes")
    fixed = args.get("fixed_name")
    if fixed is None:
        names.node_group_name(name, "name", names.AUTONAME_SUFFIX)
        if args.get("delete_before_replace"):
            raise ArgumentError("delete_before_replace", True, "leave it out, or give a fixed_name: made names never need it")
    else:
        names.node_group_name(fixed, "fixed_name")
    _check_sizes(args)
    names.check_labels(args.get("labels", {}))
    shape = shapes.common_shape(args["instance_types"])
    _check_ami_type(args.get("ami_type"), shape)
    return shape


def _check_sizes(args: NodeGroupArgs) -> None:
    _size(args)
    if not 1 <= int(args.get("max_unavailable_percentage", 33)) <= 100:
        raise ArgumentError("max_unavailable_percentage", args.get("max_unavailable_percentage"), "use 1 to 100")


def _check_ami_type(ami_type: str | None, shape: shapes.Shape) -> None:
    if ami_type is None or ami_type == "CUSTOM":
        return
    architecture = "arm64" if "ARM" in ami_type.upper() else "x86_64"
    if architecture != shape.architecture:
        raise ArgumentError("ami_type", ami_type, f"the instance types are {shape.architecture}, use an AMI type for it")


def _size(args: NodeGroupArgs) -> GroupSize:
    return group_size(args["min_size"], args["max_size"], args.get("desired_size"))


def _scaling(args: NodeGroupArgs) -> Any:
    size = _size(args)
    return {"min_size": size.least, "max_size": size.most, "desired_size": size.desired}


def node_taints(taints: Sequence[Taint]) -> list[names.NodeTaint]:
    """The checked taints of an argument ``taints``; ArgumentError for an effect that Kubernetes does not know."""
    return [names.node_taint(taint["key"], taint.get("value", ""), taint["effect"]) for taint in taints]


def _taints_for_eks(args: NodeGroupArgs) -> Any:
    taints = node_taints(args.get("taints", []))
    return [{"key": taint.key, "value": taint.value, "effect": names.EKS_EFFECTS[taint.effect]} for taint in taints]


def _template_tags(args: NodeGroupArgs, capacity_type: str) -> dict[str, str]:
    labels = {names.CAPACITY_TYPE_LABEL: capacity_type, **args.get("labels", {})}
    disk = f"{int(args.get('disk_size_gib', DEFAULT_DISK_GIB))}Gi"
    return names.node_template_tags(labels, node_taints(args.get("taints", [])), {"ephemeral-storage": disk})
