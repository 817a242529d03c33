"""One node group per zone, for pods whose volumes are bound to a zone.

An EBS volume stays in the zone where it was made, and so must the node that mounts it. Of a group over several zones nobody can ask for a
node in a certain one; Auto Scaling chooses, and its rebalancing between zones ends nodes without regard to disruption budgets. With a group
per zone the autoscaler grows the one where the volume is. Its option ``balance-similar-node-groups`` keeps the groups at equal sizes for
pods that may run in any zone; without it one of them takes all the growth. EKS's tag with the group's name makes groups without nodes look
different: ``balancing-ignore-label`` with ``nodegroup-name`` makes them alike.
"""

from typing import TypedDict

import pulumi

from eks_autoscaling import component_arguments, names, policies, roles
from eks_autoscaling.misuse import ArgumentError
from eks_autoscaling.node_group import OnDemandNodeGroup, SpotNodeGroup
from eks_autoscaling.node_group_arguments import NodeGroupArgs

KINDS = {"ON_DEMAND": OnDemandNodeGroup, "SPOT": SpotNodeGroup}


class ZonalNodeGroupsArgs(TypedDict):
    """Arguments of ``ZonalNodeGroups``."""

    capacity_type: str
    """SPOT or ON_DEMAND."""
    zones: list[str]
    """Availability zones, such as eu-west-1a and eu-west-1b, each with a group of its own. For pods that may run in any of them the
    autoscaler keeps the groups at one size with its settings balance-similar-node-groups (true) and balancing-ignore-label
    (nodegroup-name)."""
    group: NodeGroupArgs
    """Arguments of each of the groups, sizes too. ``subnet_ids`` has one subnet for each of ``zones``, in their order. Names are
    ``fixed_name``, or that of the component, with a hyphen and the zone."""


class ZonalNodeGroups(pulumi.ComponentResource):
    """Equal managed node groups, one in each zone, for pods whose volumes are bound to a zone."""

    node_group_names: pulumi.Output[dict[str, str]]
    """Names of the node groups in EKS, by zone."""
    auto_scaling_group_names: pulumi.Output[dict[str, str]]
    """Names of their Auto Scaling groups, by zone."""
    node_role_arn: pulumi.Output[str]
    """IAM role of all their nodes."""

    def __init__(self, name: str, args: ZonalNodeGroupsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError for arguments that cannot work."""
        component_arguments.check(args, ZonalNodeGroupsArgs)
        super().__init__("eks-autoscaling:index:ZonalNodeGroups", name, None, opts)
        _check(args)
        self._name = name
        shared: NodeGroupArgs = {**args["group"], "node_role_arn": self._role_arn(args["group"])}
        waiting = pulumi.ResourceOptions(parent=self, depends_on=None if opts is None else opts.depends_on)
        self.groups = {
            zone: KINDS[args["capacity_type"]](f"{name}-{zone}", _in_zone(shared, zone, subnet), waiting)
            for zone, subnet in zip(args["zones"], args["group"]["subnet_ids"], strict=True)
        }
        self.node_group_names = pulumi.Output.all(**{zone: group.node_group_name for zone, group in self.groups.items()})
        self.auto_scaling_group_names = pulumi.Output.all(**{zone: group.auto_scaling_group_name for zone, group in self.groups.items()})
        self.node_role_arn = pulumi.Output.from_input(shared["node_role_arn"])
        outputs = ("node_group_names", "auto_scaling_group_names", "node_role_arn")
        self.register_outputs({output: getattr(self, output) for output in outputs})

    def _role_arn(self, group: NodeGroupArgs) -> pulumi.Input[str]:
        """ARN of one role for all the groups. Whoever uses it waits for its policies too."""
        given = group.get("node_role_arn")
        if given is not None:
            return given
        role, grants = roles.with_managed_policies(
            self,
            names.child(self._name, "node", names.IAM_ROLE_NAME_LIMIT),
            policies.service_trust("ec2.amazonaws.com"),
            policies.NODE_POLICIES,
            group.get("tags", {}),
        )
        return pulumi.Output.all(role.arn, *(grant.id for grant in grants)).apply(lambda known: str(known[0]))


def _check(args: ZonalNodeGroupsArgs) -> None:
    zones, subnets = list(args["zones"]), list(args["group"].get("subnet_ids", []))
    if args["capacity_type"] not in KINDS:
        raise ArgumentError("capacity_type", args["capacity_type"], f"use one of {', '.join(KINDS)}")
    if not zones or len(set(zones)) < len(zones):
        raise ArgumentError("zones", zones, "name at least one zone, and each of them once")
    if len(subnets) != len(zones):
        raise ArgumentError("group.subnet_ids", subnets, f"give one subnet for each of the {len(zones)} zones, in the order of zones")
    if args["group"].get("zone") is not None:
        raise ArgumentError("group.zone", args["group"]["zone"], "leave it out: each group is in one of zones")


def _in_zone(shared: NodeGroupArgs, zone: str, subnet: pulumi.Input[str]) -> NodeGroupArgs:
    group: NodeGroupArgs = {**shared, "subnet_ids": [subnet], "zone": zone}
    fixed_name = shared.get("fixed_name")
    if fixed_name is not None:
        group["fixed_name"] = f"{fixed_name}-{zone}"
    return group
