"""What most programs of the tests begin with: a VPC with a subnet in each zone, and a cluster in it whose API everyone reaches."""

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from eks_autoscaling import Cluster

TWO_ZONES = ("us-east-1a", "us-east-1b")
ADMINISTRATOR = "arn:aws:iam::123456789012:user/administrator"


def subnets_by_zone(zones: Sequence[str] = TWO_ZONES) -> dict[str, pulumi.Output[str]]:
    """Ids of the subnets of a new VPC, by zone."""
    vpc = aws.ec2.Vpc("network", cidr_block="10.0.0.0/16")
    return {
        zone: aws.ec2.Subnet(zone, vpc_id=vpc.id, availability_zone=zone, cidr_block=f"10.0.{index * 32}.0/19").id
        for index, zone in enumerate(zones)
    }


def public_cluster(name: str, subnet_ids: Sequence[pulumi.Input[str]]) -> Cluster:
    """The cluster; who deploys administers it."""
    return Cluster(name, {"subnet_ids": subnet_ids, "admins": {"deployer": ADMINISTRATOR}, "public_access_cidrs": ["0.0.0.0/0"]})
