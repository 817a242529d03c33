"""What the AWS provider's functions answer about clusters and parameters: what is in the world, or, in a preview, a cluster of its own."""

import re
from collections.abc import Mapping
from typing import Any

from tests.cluster.aws_world import AwsWorld
from tests.cluster.eks_add_ons import version_of

# One of the images that moto knows; it has no parameters of EKS.
IMAGE = "ami-12c6146b"
_RECOMMENDED = re.compile(r"/aws/service/eks/optimized-ami/1\.\d+/amazon-linux-2023/(x86_64|arm64)/standard/recommended/image_id")
_PREVIEWED = {
    "version": "1.34",
    "endpoint": "https://previewed.example",
    "certificateAuthority": {"data": "cHJldmlld2Vk"},
    "kubernetesNetworkConfig": {"ipFamily": "ipv4", "serviceIpv4Cidr": "172.20.0.0/16"},
    "resourcesVpcConfig": {"clusterSecurityGroupId": "sg-previewed"},
}
_PREVIEWED_SUBNET = {"cidrBlock": "10.0.0.0/19", "availabilityZone": "us-east-1a", "mapPublicIpOnLaunch": False}
# Subnets that a preview finds to be different.
_SUBNETS: dict[str, dict[str, Any]] = {
    "subnet-small": {"cidrBlock": "10.0.0.0/25"},
    "subnet-public": {"mapPublicIpOnLaunch": True},
    "subnet-in-b": {"availabilityZone": "us-east-1b"},
}


def look_up(token: str, args: Mapping[str, Any], world: AwsWorld | None) -> dict[str, Any] | None:
    """The answer of the function ``token``; None if it is none of these. Without a ``world`` that of a preview."""
    if token == "aws:eks/getCluster:getCluster":
        return _cluster(args["name"], world)
    if token == "aws:ssm/getParameter:getParameter":
        return _parameter(args["name"], world)
    if token == "aws:ec2/getSubnet:getSubnet":
        return _subnet(args["id"], world)
    if token == "aws:eks/getAddonVersion:getAddonVersion":
        version = version_of(args["addonName"], most_recent=args.get("mostRecent", False))
        return {"id": args["addonName"], **args, "version": version}
    return None


def _cluster(name: str, world: AwsWorld | None) -> dict[str, Any]:
    found = world.client("eks").describe_cluster(name=name)["cluster"] if world is not None else _PREVIEWED
    return {
        "id": name,
        "name": name,
        "version": found["version"],
        "endpoint": found["endpoint"],
        "certificateAuthorities": [found["certificateAuthority"]],
        "kubernetesNetworkConfigs": [found["kubernetesNetworkConfig"]],
        "vpcConfig": found["resourcesVpcConfig"],
    }


def _subnet(identifier: str, world: AwsWorld | None) -> dict[str, Any]:
    if world is None:
        return {"id": identifier, **_PREVIEWED_SUBNET, **_SUBNETS.get(identifier, {})}
    found = world.client("ec2").describe_subnets(SubnetIds=[identifier])["Subnets"][0]
    public = found["MapPublicIpOnLaunch"]
    return {"id": identifier, "cidrBlock": found["CidrBlock"], "availabilityZone": found["AvailabilityZone"], "mapPublicIpOnLaunch": public}


def _parameter(name: str, world: AwsWorld | None) -> dict[str, Any]:
    value = _value(name, world)
    return {"id": name, "name": name, "insecureValue": value, "value": value}


def _value(name: str, world: AwsWorld | None) -> str:
    if world is None or _RECOMMENDED.fullmatch(name):
        return IMAGE
    return str(world.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])
