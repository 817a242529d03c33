"""One group per zone: what is declared, what becomes of it in AWS, and what is refused."""

import base64
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from eks_autoscaling import ZonalNodeGroups
from eks_autoscaling.misuse import ArgumentError
from tests.cluster.aws_world import AwsWorld
from tests.cluster.pulumi_mocks import Deployment, deploy, preview
from tests.components import programs
from tests.components.test_node_group import NODE_GROUP

ZONES = ["us-east-1a", "us-east-1b"]
TEMPLATE = "k8s.io/cluster-autoscaler/node-template/"
GROUP = {**programs.GROUP, "subnet_ids": ["subnet-1", "subnet-in-b"]}


def previewed(group: dict[str, Any] | None = None, **arguments: Any) -> Deployment:
    args: Any = {"capacity_type": "SPOT", "zones": ZONES, "group": {**GROUP, **(group or {})}, **arguments}
    return preview(lambda: ZonalNodeGroups("data", args), {})


@pytest.fixture(scope="module")
def deployed(world: AwsWorld) -> Deployment:
    return deploy(_program, {}, world)


def _program() -> None:
    vpc = aws.ec2.Vpc("network", cidr_block="10.0.0.0/16")
    subnets = [
        aws.ec2.Subnet(zone, vpc_id=vpc.id, availability_zone=zone, cidr_block=f"10.0.{index * 32}.0/19").id
        for index, zone in enumerate(ZONES)
    ]
    role = aws.iam.Role("cluster", assume_role_policy="{}")
    cluster = aws.eks.Cluster("prod", name="prod", role_arn=role.arn, vpc_config={"subnet_ids": subnets})
    groups = ZonalNodeGroups(
        "data",
        {
            "capacity_type": "ON_DEMAND",
            "zones": ZONES,
            "group": {
                "cluster": {"name": cluster.name, "arn": cluster.arn},
                "instance_types": ["m5.xlarge"],
                "subnet_ids": subnets,
                "min_size": 0,
                "max_size": 5,
                "fixed_name": "data",
                "max_unavailable": 1,
                "update_strategy": "MINIMAL",
                "node_repair": True,
                "node_repair_limits": {"max_unhealthy_percentage": 20, "max_parallel_count": 1},
                "max_pods": 40,
            },
        },
    )
    pulumi.export("node_groups", groups.node_group_names)
    pulumi.export("auto_scaling_groups", groups.auto_scaling_group_names)


def test_each_zone_has_a_group_of_its_own_in_its_subnet() -> None:
    groups = previewed().of_type(NODE_GROUP)
    subnets = {group.name: group.inputs["subnetIds"] for group in groups}
    assert subnets == {"data-us-east-1a": ["subnet-1"], "data-us-east-1b": ["subnet-in-b"]}
    assert {group.inputs["capacityType"] for group in groups} == {"SPOT"}


def test_the_groups_share_one_role_and_all_wait_for_its_policies() -> None:
    deployment = previewed()
    deployment.one("aws:iam/role:Role")
    attachments = {resource.urn for resource in deployment.of_type("aws:iam/rolePolicyAttachment:RolePolicyAttachment")}
    assert len(attachments) == 3
    for group in deployment.of_type(NODE_GROUP):
        assert attachments <= set(group.options.depends_on)


def test_the_groups_wait_for_what_the_component_waits_for() -> None:
    def program() -> None:
        add_on = aws.eks.Addon("vpc-cni", cluster_name="prod", addon_name="vpc-cni")
        args: Any = {"capacity_type": "SPOT", "zones": ZONES, "group": GROUP}
        ZonalNodeGroups("data", args, pulumi.ResourceOptions(depends_on=[add_on]))

    deployment = preview(program, {})
    add_on = deployment.one("aws:eks/addon:Addon").urn
    assert all(add_on in group.options.depends_on for group in deployment.of_type(NODE_GROUP))


def test_fixed_names_end_with_the_zone() -> None:
    names = {group.inputs["nodeGroupName"] for group in previewed({"fixed_name": "db"}).of_type(NODE_GROUP)}
    assert names == {"db-us-east-1a", "db-us-east-1b"}


@pytest.mark.aws
def test_an_empty_group_tells_in_which_zone_its_nodes_would_be(deployed: Deployment, world: AwsWorld) -> None:
    assert deployed.outputs["node_groups"] == {zone: f"data-{zone}" for zone in ZONES}
    by_zone = deployed.outputs["auto_scaling_groups"]
    described = world.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=list(by_zone.values()))["AutoScalingGroups"]
    groups = {group["AutoScalingGroupName"]: group for group in described}
    for zone in ZONES:
        group = groups[by_zone[zone]]
        tags = {tag["Key"]: tag["Value"] for tag in group["Tags"]}
        assert group["AvailabilityZones"] == [zone]
        assert tags[f"{TEMPLATE}label/topology.kubernetes.io/zone"] == tags[f"{TEMPLATE}label/topology.ebs.csi.aws.com/zone"] == zone
        assert tags["eks:nodegroup-name"] == f"data-{zone}"


@pytest.mark.aws
def test_each_group_is_updated_and_repaired_as_was_asked(deployed: Deployment, world: AwsWorld) -> None:
    for name in deployed.outputs["node_groups"].values():
        group = world.client("eks").describe_nodegroup(clusterName="prod", nodegroupName=name)["nodegroup"]
        assert group["updateConfig"] == {"maxUnavailable": 1, "updateStrategy": "MINIMAL"}
        assert group["nodeRepairConfig"] == {
            "enabled": True,
            "maxUnhealthyNodeThresholdPercentage": 20,
            "maxParallelNodesRepairedCount": 1,
        }


@pytest.mark.aws
def test_the_nodes_are_told_the_number_of_pods_that_the_tags_tell(deployed: Deployment, world: AwsWorld) -> None:
    name = deployed.outputs["auto_scaling_groups"]["us-east-1a"]
    (group,) = world.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    specification = group["MixedInstancesPolicy"]["LaunchTemplate"]["LaunchTemplateSpecification"]
    versions = world.client("ec2").describe_launch_template_versions(LaunchTemplateId=specification["LaunchTemplateId"])
    user_data = base64.b64decode(versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]["UserData"]).decode()
    assert '"--max-pods=40"' in user_data
    assert {tag["Key"]: tag["Value"] for tag in group["Tags"]}[f"{TEMPLATE}resources/pods"] == "40"


@pytest.mark.parametrize(
    ("group", "arguments", "message"),
    [
        ({}, {"capacity_type": "CAPACITY_BLOCK"}, "capacity_type is 'CAPACITY_BLOCK': use one of ON_DEMAND, SPOT"),
        ({}, {"zones": []}, "name at least one zone"),
        ({}, {"zones": ["us-east-1a", "us-east-1a"]}, "name at least one zone, and each of them once"),
        ({"subnet_ids": ["subnet-1"]}, {}, r"group.subnet_ids is \['subnet-1'\]: give one subnet for each of the 2 zones"),
        ({"zone": "us-east-1a"}, {}, "group.zone is 'us-east-1a': leave it out"),
        ({"subnet_ids": ["subnet-in-b", "subnet-1"]}, {}, "zone is 'us-east-1.': the subnet subnet-"),
    ],
)
def test_groups_that_cannot_be_are_refused(group: dict[str, Any], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        previewed(group, **arguments)
