"""A network for the functions, so that they reach the private endpoint of a cluster.

The functions' interfaces stand in subnets of the VPC and share one security group, which the cluster security group lets in on the port of
the Kubernetes API. From there they also need a way to AWS: a NAT gateway, or interface endpoints for autoscaling, ec2, eks, sqs and lambda.
"""

from collections.abc import Mapping, Sequence
from typing import TypedDict

import pulumi
import pulumi_aws as aws

from eks_autoscaling.functions import FunctionPlace, Package
from eks_autoscaling.misuse import ArgumentError

HTTPS = 443


class FunctionNetwork(TypedDict):
    """Where the functions stand in a VPC."""

    subnet_ids: Sequence[pulumi.Input[str]]
    """Private subnets with a way to AWS's APIs (NAT gateway or interface endpoints), in two zones or more."""
    vpc_id: pulumi.Input[str]
    """The VPC of the subnets."""
    cluster_security_group_id: pulumi.Input[str]
    """The cluster security group (``cluster.security_group_id``), which guards the private endpoint; the functions are let in."""


def check(network: FunctionNetwork) -> None:
    """Raises ArgumentError for fewer subnets than one zone may fail of."""
    if len(list(network["subnet_ids"])) < 2:
        raise ArgumentError("network", list(network["subnet_ids"]), "name at least two subnets, in different zones")


def declare(package: Package, network: FunctionNetwork, others: Mapping[str, pulumi.Input[str]]) -> FunctionPlace:
    """The functions' security group, let into the APIs and out to AWS; ``others`` are cluster security groups of a fleet by short name."""
    group = aws.ec2.SecurityGroup(
        f"{package.name}-functions",
        description=f"Functions of the autoscaler {package.name}",
        vpc_id=network["vpc_id"],
        tags=dict(package.tags),
        opts=package.child,
    )
    aws.vpc.SecurityGroupEgressRule(
        f"{package.name}-functions",
        description="AWS APIs and the Kubernetes API",
        security_group_id=group.id,
        ip_protocol="tcp",
        from_port=HTTPS,
        to_port=HTTPS,
        cidr_ipv4="0.0.0.0/0",
        tags=dict(package.tags),
        opts=package.child,
    )
    guards = {"": network["cluster_security_group_id"], **others}
    allowed: list[pulumi.Resource] = [
        aws.vpc.SecurityGroupIngressRule(
            f"{package.name}-functions-{key}" if key else f"{package.name}-functions",
            description=f"Kubernetes API for the autoscaler {package.name}",
            security_group_id=guard,
            referenced_security_group_id=group.id,
            ip_protocol="tcp",
            from_port=HTTPS,
            to_port=HTTPS,
            tags=dict(package.tags),
            opts=package.child,
        )
        for key, guard in guards.items()
    ]
    return FunctionPlace(list(network["subnet_ids"]), [group.id], allowed)
