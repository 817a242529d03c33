"""Managed node groups: on-demand for what must stay, spot for what may move.

Each group brings a launch template (IMDSv2, encrypted gp3 volume, tags on instances and volumes), tags its Auto
Scaling group for discovery and for scaling from zero, and leaves the desired size to the autoscaler.

Odd parts:

* Node-template tags must stand on the Auto Scaling group. EKS does not copy tags of the node group there, hence one
  ``aws.autoscaling.Tag`` each.
* Names are made by Pulumi unless ``fixed_name`` is given. A changed instance type or capacity type replaces the group;
  with made names the new group stands before the old one is drained. With a fixed name Pulumi's provider would on its own
  delete first, and all nodes with it; the component forbids that unless told otherwise, EKS then refuses the second group
  of that name, and nothing is lost.
* Pulumi does not hand a component's ``depends_on`` to its children; here the node group gets it, so that it can wait for
  add-ons such as the VPC CNI.
"""

from typing import Any

import pulumi
import pulumi_aws as aws

from eks_autoscaling import component_arguments, fixed_names, launch_templates, names, policies, roles, subnet_space, vpc_cni_settings
from eks_autoscaling import node_group_arguments as arguments
from eks_autoscaling import node_group_inputs as inputs
from eks_autoscaling.ami_types import AmiType
from eks_autoscaling.launch_templates import DEFAULT_DISK_GIB, DEFAULT_HOP_LIMIT
from eks_autoscaling.misuse import ArgumentError
from eks_autoscaling.node_group_arguments import NodeGroupArgs


class _ManagedNodeGroup(pulumi.ComponentResource):
    """What both kinds share, but for the outputs' docstrings: the plugin host reads those of a component's own class alone."""

    def __init__(self, name: str, args: NodeGroupArgs, capacity_type: str, opts: pulumi.ResourceOptions | None) -> None:
        component_arguments.check(args, NodeGroupArgs)
        super().__init__(f"eks-autoscaling:index:{type(self).__name__}", name, None, opts)
        image = arguments.check(name, args, capacity_type)
        template_tags = inputs.template_tags(args, capacity_type)
        fixed_name = args.get("fixed_name")
        if fixed_name is not None:
            fixed_names.claim(args["cluster"]["name"], fixed_name)
        self._name = name
        self._tags = args.get("tags", {})
        self._child = pulumi.ResourceOptions(parent=self)
        for warning in inputs.warnings(args, capacity_type):
            pulumi.log.warn(f"{name}: {warning}", resource=self)
        group = self._group(args, capacity_type, image, opts)
        self.node_group_name = group.node_group_name
        self.arn = group.arn
        self.auto_scaling_group_name = group.resources[0].autoscaling_groups[0].name.apply(str)
        self.node_role_arn = group.node_role_arn
        self._tag_auto_scaling_group(args["cluster"]["name"], template_tags)
        outputs = ("node_group_name", "arn", "auto_scaling_group_name", "node_role_arn")
        self.register_outputs({output: getattr(self, output) for output in outputs})

    def _group(self, args: NodeGroupArgs, capacity_type: str, image: AmiType, opts: pulumi.ResourceOptions | None) -> aws.eks.NodeGroup:
        role_arn, grants = self._role(args)
        template = self._launch_template(args, image)
        return aws.eks.NodeGroup(
            self._name,
            cluster_name=args["cluster"]["name"],
            node_group_name=args.get("fixed_name"),
            node_role_arn=role_arn,
            subnet_ids=self._subnets(args),
            capacity_type=capacity_type,
            instance_types=list(args["instance_types"]),
            ami_type=image.name,
            version=args.get("version"),
            release_version=args.get("release_version"),
            scaling_config=inputs.scaling_config(args),
            update_config=inputs.update_config(args),
            node_repair_config=inputs.node_repair_config(args),
            warm_pool_config=inputs.warm_pool_config(args),
            labels=dict(args.get("labels", {})),
            taints=inputs.taints(args),
            launch_template={"id": template.id, "version": template.latest_version.apply(lambda version: str(int(version)))},
            tags=self._tags,
            opts=pulumi.ResourceOptions.merge(self._options(args, grants), _waiting_for_the_same(opts)),
        )

    def _options(self, args: NodeGroupArgs, grants: list[aws.iam.RolePolicyAttachment]) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(
            parent=self,
            depends_on=grants,
            ignore_changes=["scalingConfig.desiredSize"] if args.get("ignore_desired_size", True) else [],
            protect=args.get("protect"),
            # Said in either case: left unsaid, the provider chooses to delete first where the name is fixed.
            delete_before_replace=args.get("delete_before_replace", False),
        )

    def _subnets(self, args: NodeGroupArgs) -> pulumi.Output[list[str]]:
        """Ids of the subnets, which fail if these turn out to be too small or in another zone."""
        ask = pulumi.InvokeOutputOptions(parent=self)
        found = [aws.ec2.get_subnet_output(id=subnet, opts=ask) for subnet in args["subnet_ids"]]
        # What is looked up does not remember on which resources its arguments depend, hence the ids themselves.
        return pulumi.Output.all(pulumi.Output.all(*args["subnet_ids"]), *found).apply(lambda known: _suitable(known[0], known[1:], args))

    def _role(self, args: NodeGroupArgs) -> tuple[pulumi.Input[str], list[aws.iam.RolePolicyAttachment]]:
        shared = args.get("node_role_arn")
        if shared is not None:
            return shared, []
        role, grants = roles.with_managed_policies(
            self,
            names.child(self._name, "node", names.IAM_ROLE_NAME_LIMIT),
            policies.service_trust("ec2.amazonaws.com"),
            vpc_cni_settings.node_policies(args.get("vpc_cni")),
            self._tags,
        )
        return role.arn, grants

    def _launch_template(self, args: NodeGroupArgs, image: AmiType) -> aws.ec2.LaunchTemplate:
        machine = launch_templates.Machine(
            self._name,
            image.device,
            args.get("disk_size_gib", DEFAULT_DISK_GIB),
            args.get("imds_hop_limit", DEFAULT_HOP_LIMIT),
            self._tags,
            args.get("volume_kms_key_arn"),
            image.system_device,
        )
        return launch_templates.launch_template(self, machine, user_data=inputs.user_data(args, image))

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

    node_group_name: pulumi.Output[str]
    """Name of the node group in EKS."""
    arn: pulumi.Output[str]
    """ARN of the node group."""
    auto_scaling_group_name: pulumi.Output[str]
    """Name of the Auto Scaling group that EKS made for it."""
    node_role_arn: pulumi.Output[str]
    """IAM role of the nodes."""

    def __init__(self, name: str, args: NodeGroupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError for arguments that cannot work."""
        super().__init__(name, args, "ON_DEMAND", opts)


class SpotNodeGroup(_ManagedNodeGroup):
    """A managed node group of spot instances, drained by EKS itself when a notice of interruption comes."""

    node_group_name: pulumi.Output[str]
    """Name of the node group in EKS."""
    arn: pulumi.Output[str]
    """ARN of the node group."""
    auto_scaling_group_name: pulumi.Output[str]
    """Name of the Auto Scaling group that EKS made for it."""
    node_role_arn: pulumi.Output[str]
    """IAM role of the nodes."""

    def __init__(self, name: str, args: NodeGroupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError for arguments that cannot work."""
        super().__init__(name, args, "SPOT", opts)


def _suitable(ids: list[str], subnets: list[aws.ec2.GetSubnetResult], args: NodeGroupArgs) -> list[str]:
    zone = args.get("zone")
    for subnet in subnets:
        if zone not in (None, subnet.availability_zone):
            raise ArgumentError("zone", zone, f"the subnet {subnet.id} is in {subnet.availability_zone}")
    subnet_space.check([subnet.cidr_block for subnet in subnets], arguments.size(args).most, inputs.addresses_per_node(args))
    return ids


def _waiting_for_the_same(opts: pulumi.ResourceOptions | None) -> pulumi.ResourceOptions:
    depends_on: Any = None if opts is None else opts.depends_on
    return pulumi.ResourceOptions(depends_on=depends_on)
