"""The production stack on real parts, in a VPC with a private subnet in each of three zones that was there before."""

from pathlib import Path
from typing import Any

from lightkube.resources.core_v1 import Node

from tests.cluster.aws_world import AwsWorld
from tests.cluster.binaries import Binaries
from tests.cluster.declared_cluster import DeclaredCluster

STACK = Path(__file__).parents[2] / "stacks" / "production"
NAME = "production"
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
ADMINS = {"team": "arn:aws:iam::123456789012:user/administrator"}
# Three of the on-demand group, three of the first spot group.
FIRST_NODES = 6


def make_network(world: AwsWorld) -> dict[str, Any]:
    """Make the VPC; returns its ``vpcId``, and ``subnetIds`` by zone."""
    ec2 = world.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = {
        zone: ec2.create_subnet(VpcId=vpc, AvailabilityZone=zone, CidrBlock=f"10.0.{index * 32}.0/19")["Subnet"]["SubnetId"]
        for index, zone in enumerate(ZONES)
    }
    return {"vpcId": vpc, "subnetIds": subnets}


class ProductionCluster(DeclaredCluster):
    """Context manager of the production stack's whole world. Groups go by the names that the stack gives them."""

    def __init__(self, binaries: Binaries) -> None:
        super().__init__(
            binaries, STACK, FIRST_NODES, names=[NAME], prepare=lambda world: {**make_network(world), "clusterName": NAME, "admins": ADMINS}
        )

    @property
    def groups(self) -> dict[str, dict[str, Any]]:
        """What EKS tells of every node group."""
        eks = self.world.client("eks")
        return {
            declared.name: eks.describe_nodegroup(clusterName=NAME, nodegroupName=declared.outputs["nodeGroupName"])["nodegroup"]
            for declared in self.deployment.of_type("aws:eks/nodeGroup:NodeGroup")
        }

    def auto_scaling_group(self, group: str) -> dict[str, Any]:
        """The Auto Scaling group of a node group."""
        return self.group(self.groups[group]["resources"]["autoScalingGroups"][0]["name"])

    def desired(self) -> dict[str, int]:
        """Desired capacity by group."""
        return {name: self.auto_scaling_group(name)["DesiredCapacity"] for name in self.groups}

    def nodes(self, group: str) -> list[Node]:
        """The nodes of a group."""
        return list(self.admin.list(Node, labels={"eks.amazonaws.com/nodegroup": self.groups[group]["nodegroupName"]}))
