"""A small VPC with one public subnet in each of three zones: enough for a tutorial, without the cost of NAT gateways."""

import pulumi
import pulumi_aws as aws

ZONES = 3
# Zones in which EKS has no control plane.
UNSUITABLE_ZONE_IDS = ["use1-az3", "usw1-az2", "cac1-az3"]


def public_subnets(name: str) -> list[pulumi.Output[str]]:
    """Ids of the new subnets; ``name`` starts the logical names and is the value of the Name tags."""
    # No Local or Wavelength Zones, which an account has to opt in to.
    ordinary = [aws.GetAvailabilityZonesFilterArgs(name="opt-in-status", values=["opt-in-not-required"])]
    zones = aws.get_availability_zones(state="available", exclude_zone_ids=UNSUITABLE_ZONE_IDS, filters=ordinary).names[:ZONES]
    tags = {"Name": name}
    vpc = aws.ec2.Vpc(name, cidr_block="10.0.0.0/16", enable_dns_hostnames=True, tags=tags)
    gateway = aws.ec2.InternetGateway(name, vpc_id=vpc.id, tags=tags)
    table = aws.ec2.RouteTable(name, vpc_id=vpc.id, routes=[{"cidr_block": "0.0.0.0/0", "gateway_id": gateway.id}], tags=tags)
    return [_subnet(f"{name}-{zone}", zone, f"10.0.{index * 32}.0/19", vpc, table) for index, zone in enumerate(zones)]


def _subnet(name: str, zone: str, cidr: str, vpc: aws.ec2.Vpc, table: aws.ec2.RouteTable) -> pulumi.Output[str]:
    subnet = aws.ec2.Subnet(name, vpc_id=vpc.id, availability_zone=zone, cidr_block=cidr, map_public_ip_on_launch=True, tags={"Name": name})
    association = aws.ec2.RouteTableAssociation(name, subnet_id=subnet.id, route_table_id=table.id)
    # Whoever uses the subnet waits for its way out.
    return pulumi.Output.all(subnet.id, association.id).apply(lambda ids: str(ids[0]))
