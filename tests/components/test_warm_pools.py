"""Warm pools, repair of single faults and keys of volumes: what EKS and EC2 get, and what they would refuse."""

from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from eks_autoscaling import OnDemandNodeGroup, SelfManagedNodeGroup, policies
from eks_autoscaling.misuse import ArgumentError
from tests.cluster.aws_world import AwsWorld
from tests.cluster.iam_evaluation import Access, Decision, decide
from tests.cluster.principals import ACCOUNT
from tests.cluster.pulumi_lookups import IMAGE
from tests.cluster.pulumi_mocks import Deployment, deploy, preview
from tests.components import programs
from tests.components.test_node_group import NODE_GROUP
from tests.documents import ROOT, blocks

KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1"
OVERRIDE = {"condition": "NetworkingReady", "reason": "InterfaceNotUp", "wait_minutes": 5, "action": "Reboot"}


@pytest.fixture(scope="module")
def deployed(world: AwsWorld) -> Deployment:
    return deploy(_program, {}, world)


def _program() -> None:
    vpc = aws.ec2.Vpc("network", cidr_block="10.0.0.0/16")
    subnet = aws.ec2.Subnet("private", vpc_id=vpc.id, availability_zone="us-east-1a", cidr_block="10.0.0.0/19").id
    role = aws.iam.Role("cluster", assume_role_policy="{}")
    access: Any = {"authentication_mode": "API"}
    cluster = aws.eks.Cluster("prod", name="prod", role_arn=role.arn, vpc_config={"subnet_ids": [subnet]}, access_config=access)
    group: Any = {
        "cluster": {"name": cluster.name, "arn": cluster.arn},
        "instance_types": ["m5.xlarge"],
        "subnet_ids": [subnet],
        "min_size": 0,
        "max_size": 5,
        "volume_kms_key_arn": KEY,
    }
    prepared: Any = {
        **group,
        "warm_pool": {"min_size": 2, "max_prepared_size": 4, "state": "RUNNING", "reuse_on_scale_in": True},
        "node_repair": True,
        "node_repair_overrides": [OVERRIDE],
    }
    pulumi.export("managed", OnDemandNodeGroup("managed", prepared).node_group_name)
    own: Any = {**group, "capacity_type": "ON_DEMAND", "ami_id": IMAGE}
    SelfManagedNodeGroup("own", own)


@pytest.mark.aws
def test_eks_gets_the_pool_and_what_to_do_about_single_faults(deployed: Deployment, world: AwsWorld) -> None:
    group = world.client("eks").describe_nodegroup(clusterName="prod", nodegroupName=deployed.outputs["managed"])["nodegroup"]
    assert group["warmPoolConfig"] == {"minSize": 2, "maxGroupPreparedCapacity": 4, "poolState": "RUNNING", "reuseOnScaleIn": True}
    override = {
        "nodeMonitoringCondition": "NetworkingReady",
        "nodeUnhealthyReason": "InterfaceNotUp",
        "minRepairWaitTimeMins": 5,
        "repairAction": "Reboot",
    }
    assert group["nodeRepairConfig"] == {"enabled": True, "nodeRepairConfigOverrides": [override]}


@pytest.mark.aws
@pytest.mark.parametrize("name", ["managed", "own"])
def test_volumes_are_encrypted_with_the_given_key(deployed: Deployment, world: AwsWorld, name: str) -> None:
    identifier = deployed.one("aws:ec2/launchTemplate:LaunchTemplate", name).id
    versions = world.client("ec2").describe_launch_template_versions(LaunchTemplateId=identifier)["LaunchTemplateVersions"]
    volume = versions[0]["LaunchTemplateData"]["BlockDeviceMappings"][0]["Ebs"]
    assert (volume["Encrypted"], volume["KmsKeyId"]) == (True, KEY)


def test_the_volume_of_the_system_has_the_same_key() -> None:
    deployment = programs.on_demand(ami_type="BOTTLEROCKET_x86_64", volume_kms_key_arn=KEY)
    volumes = deployment.one("aws:ec2/launchTemplate:LaunchTemplate").inputs["blockDeviceMappings"]
    assert [volume["ebs"]["kmsKeyId"] for volume in volumes] == [KEY, KEY]


def test_by_default_there_is_no_pool_and_the_accounts_key_encrypts_volumes() -> None:
    deployment = programs.on_demand()
    assert "warmPoolConfig" not in deployment.one(NODE_GROUP).inputs
    assert "kmsKeyId" not in deployment.one("aws:ec2/launchTemplate:LaunchTemplate").inputs["blockDeviceMappings"][0]["ebs"]


def test_a_pool_is_stopped_and_as_large_as_the_group_may_be_unless_told_otherwise() -> None:
    pool = programs.on_demand(warm_pool={}).one(NODE_GROUP).inputs["warmPoolConfig"]
    assert pool == {"minSize": 0, "poolState": "STOPPED", "reuseOnScaleIn": False}


def test_spot_groups_have_no_warm_pool() -> None:
    with pytest.raises(ArgumentError, match=r"warm_pool is .*: leave it out, or use OnDemandNodeGroup"):
        programs.spot(warm_pool={"min_size": 1})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"warm_pool": {"min_size": -1}}, r"warm_pool\.min_size is -1: use 0 or more"),
        ({"warm_pool": {"min_size": 3, "max_prepared_size": 2}}, r"warm_pool\.max_prepared_size is 2: use 3 or more"),
        ({"warm_pool": {"max_prepared_size": 0}}, r"warm_pool\.max_prepared_size is 0: use 1 or more"),
        ({"warm_pool": {"state": "COLD"}}, r"warm_pool\.state is 'COLD': use one of STOPPED, RUNNING, HIBERNATED"),
        ({"warm_pool": {"state": "HIBERNATED"}, "ami_type": "BOTTLEROCKET_x86_64"}, "Bottlerocket cannot hibernate"),
        ({"warm_pool": {"reuse_on_scale_in": True}, "ami_type": "BOTTLEROCKET_x86_64"}, "nodes of Bottlerocket cannot be used again"),
        ({"node_repair_overrides": [OVERRIDE]}, "add node_repair, or leave this out"),
        ({"node_repair": True, "node_repair_overrides": [{**OVERRIDE, "action": "Burn"}]}, "is 'Burn': as action use one of Replace"),
        ({"node_repair": True, "node_repair_overrides": [{**OVERRIDE, "wait_minutes": 0}]}, "is 0: as wait_minutes use 1 or more"),
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        programs.on_demand(**arguments)


# --- The key's policy -------------------------------------------------------------------------------------

SERVICE_ROLE = ("AWS", f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling")
FOR_AWS = {"kms:GrantIsForAWSResource": "true"}
POLICY = policies.volume_key(f"arn:aws:eks:us-east-1:{ACCOUNT}:cluster/prod")


def may(caller: tuple[str, str], action: str, context: dict[str, str]) -> bool:
    return decide([], Access(action, KEY, context), [POLICY], caller) is Decision.ALLOWED


def test_auto_scaling_may_start_nodes_with_the_key_and_hand_it_to_services_of_aws_alone() -> None:
    uses = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKeyWithoutPlaintext", "kms:DescribeKey"]
    assert [use for use in uses if not may(SERVICE_ROLE, use, {})] == []
    assert may(SERVICE_ROLE, "kms:CreateGrant", FOR_AWS)
    assert not may(SERVICE_ROLE, "kms:CreateGrant", {"kms:GrantIsForAWSResource": "false"})
    assert not may(SERVICE_ROLE, "kms:CreateGrant", {})
    assert not may(SERVICE_ROLE, "kms:ScheduleKeyDeletion", {})


def test_the_documented_program_gives_a_group_such_a_key() -> None:
    (program,) = blocks(ROOT / "docs" / "iam.md", "python")
    deployment = preview(lambda: exec(program, {}), {})
    assert [key.name for key in deployment.of_type("aws:kms/key:Key")] == ["shop-secrets", "volumes"]
    assert "kmsKeyId" in deployment.one("aws:ec2/launchTemplate:LaunchTemplate").inputs["blockDeviceMappings"][0]["ebs"]


def test_everybody_else_needs_leave_from_iam() -> None:
    assert may(("AWS", f"arn:aws:iam::{ACCOUNT}:root"), "kms:PutKeyPolicy", {})
    assert not may(("AWS", f"arn:aws:iam::{ACCOUNT}:role/other"), "kms:Decrypt", {})
