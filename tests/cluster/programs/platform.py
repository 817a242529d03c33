"""A cluster as a platform team would declare it: access for developers, add-ons before and after its nodes, an alarm on addresses."""

import json

import pulumi
import pulumi_aws as aws

from eks_autoscaling import AddOns, Cluster, CniMetrics, NodeAddOns, OnDemandNodeGroup, VpcCniSettings

ZONES = ("us-east-1a", "us-east-1b")
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "sts:AssumeRole"}],
}

vpc = aws.ec2.Vpc("network", cidr_block="10.0.0.0/16")
subnet_ids = [
    aws.ec2.Subnet(zone, vpc_id=vpc.id, availability_zone=zone, cidr_block=f"10.0.{index * 32}.0/19").id for index, zone in enumerate(ZONES)
]
developers = aws.iam.Role("developers", assume_role_policy=json.dumps(TRUST))
cluster = Cluster(
    "platform",
    {
        "subnet_ids": subnet_ids,
        "admins": {"deployer": "arn:aws:iam::123456789012:user/administrator"},
        "access_entries": {
            "developers": {
                "principal_arn": developers.arn,
                "kubernetes_groups": ["developers"],
                "policies": [{"policy": "AmazonEKSViewPolicy"}, {"policy": "AmazonEKSEditPolicy", "namespaces": ["shop"]}],
            },
        },
        "service_ipv4_cidr": "172.16.0.0/16",
        "zonal_shift": True,
        "scaling_tier": "tier-xl",
    },
)
settings: VpcCniSettings = {
    "prefix_delegation": True,
    "custom_networking": {zone: {"subnet_id": subnet} for zone, subnet in zip(ZONES, subnet_ids, strict=True)},
}
before = NodeAddOns("platform", {"cluster": cluster.ref(), "vpc_cni": settings})
system = OnDemandNodeGroup(
    "system",
    {
        "cluster": cluster.ref(),
        "fixed_name": "system",
        "instance_types": ["m5.xlarge"],
        "subnet_ids": subnet_ids,
        "min_size": 1,
        "max_size": 3,
        "vpc_cni": settings,
    },
    pulumi.ResourceOptions(depends_on=[before]),
)
AddOns(
    "platform",
    {
        "cluster": cluster.ref(),
        "ebs_csi_driver": True,
        "metrics_server": True,
        "versions": {"coredns": "latest"},
        "configurations": {"coredns": {"replicaCount": 3}},
    },
    pulumi.ResourceOptions(depends_on=[system]),
)
CniMetrics("platform", {"cluster": cluster.ref()})
pulumi.export("developers", developers.arn)
pulumi.export("service_cidr", cluster.service_cidr)
pulumi.export("version", cluster.version)
pulumi.export("vpc_id", cluster.vpc_id)
pulumi.export("node_role", system.node_role_arn)
