"""Fargate profiles: what is declared, what becomes of it in AWS, and what is refused."""

import json
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from eks_autoscaling import FargateProfile
from eks_autoscaling.misuse import ArgumentError
from tests.cluster.aws_world import AwsWorld
from tests.cluster.pulumi_mocks import Deployment, deploy, preview
from tests.components.programs import REF

PROFILE = "aws:eks/fargateProfile:FargateProfile"
SELECTORS = [{"namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}]


def previewed(name: str = "dns", **arguments: Any) -> Deployment:
    args: Any = {"cluster": REF, "subnet_ids": ["subnet-1"], "selectors": SELECTORS, **arguments}
    return preview(lambda: FargateProfile(name, args), {})


@pytest.fixture(scope="module")
def deployed(world: AwsWorld) -> Deployment:
    return deploy(_program, {}, world)


def _program() -> None:
    vpc = aws.ec2.Vpc("network", cidr_block="10.0.0.0/16")
    subnet = aws.ec2.Subnet("private", vpc_id=vpc.id, availability_zone="us-east-1a", cidr_block="10.0.0.0/19")
    role = aws.iam.Role("cluster", assume_role_policy="{}")
    cluster = aws.eks.Cluster("prod", name="prod", role_arn=role.arn, vpc_config={"subnet_ids": [subnet.id]})
    profile = FargateProfile(
        "dns",
        {
            "cluster": {"name": cluster.name, "arn": cluster.arn},
            "subnet_ids": [subnet.id],
            "selectors": [{"namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}, {"namespace": "batch-*"}],
            "tags": {"team": "platform"},
        },
    )
    pulumi.export("name", profile.profile_name)
    pulumi.export("role", profile.pod_execution_role_arn)
    pulumi.export("subnet", subnet.id)


@pytest.mark.aws
def test_the_profile_takes_the_selected_pods_into_its_subnets(deployed: Deployment, world: AwsWorld) -> None:
    outputs = deployed.outputs
    profile = world.client("eks").describe_fargate_profile(clusterName="prod", fargateProfileName=outputs["name"])["fargateProfile"]
    assert profile["selectors"] == [
        {"namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}},
        {"namespace": "batch-*", "labels": {}},
    ]
    assert profile["subnets"] == [outputs["subnet"]]
    assert profile["podExecutionRoleArn"] == outputs["role"]
    assert profile["tags"] == {"team": "platform"}


@pytest.mark.aws
def test_only_profiles_of_the_cluster_may_take_the_role(deployed: Deployment, world: AwsWorld) -> None:
    name = deployed.outputs["role"].rpartition("/")[2]
    iam = world.client("iam")
    (statement,) = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "eks-fargate-pods.amazonaws.com"}
    assert statement["Condition"] == {"ArnLike": {"aws:SourceArn": "arn:aws:eks:us-east-1:123456789012:fargateprofile/prod/*"}}
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    assert [policy["PolicyName"] for policy in attached] == ["AmazonEKSFargatePodExecutionRolePolicy"]


def test_a_preview_knows_the_whole_trust() -> None:
    document = json.loads(previewed().one("aws:iam/role:Role").inputs["assumeRolePolicy"])
    (statement,) = document["Statement"]
    assert statement["Condition"]["ArnLike"]["aws:SourceArn"] == "arn:aws:eks:eu-west-1:123456789012:fargateprofile/prod/*"


def test_the_profile_waits_for_the_permissions_of_its_role() -> None:
    deployment = previewed()
    grant = deployment.one("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
    assert grant.urn in deployment.one(PROFILE).options.depends_on


def test_a_role_of_ones_own_takes_the_place_of_a_new_one() -> None:
    deployment = previewed(pod_execution_role_arn="arn:aws:iam::123456789012:role/fargate")
    assert deployment.of_type("aws:iam/role:Role") == []
    assert deployment.one(PROFILE).inputs["podExecutionRoleArn"] == "arn:aws:iam::123456789012:role/fargate"


def test_subnets_that_are_not_there_yet_are_waited_for() -> None:
    def program() -> None:
        subnet = aws.ec2.Subnet("new", vpc_id="vpc-1", cidr_block="10.0.0.0/19")
        FargateProfile("dns", {"cluster": REF, "subnet_ids": [subnet.id], "selectors": [{"namespace": "kube-system"}]})

    deployment = preview(program, {})
    assert deployment.one("aws:ec2/subnet:Subnet").urn in deployment.one(PROFILE).options.depends_on


def test_a_profile_has_a_made_name_so_that_a_new_one_stands_before_the_old_one_goes() -> None:
    assert "fargateProfileName" not in previewed().one(PROFILE).inputs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"subnet_ids": []}, "name at least one private subnet"),
        ({"subnet_ids": ["subnet-1", "subnet-public"]}, r"subnet_ids is \['subnet-public'\]: they give public addresses"),
        ({"selectors": []}, "name 1 to 5 selectors"),
        ({"selectors": SELECTORS * 6}, "name 1 to 5 selectors"),
        ({"selectors": [{"labels": {"a": "b"}}]}, r"selectors\[0\].namespace is missing"),
        ({"selectors": [{"namespace": ""}]}, "name a namespace"),
        ({"selectors": [{"namespace": "*"}]}, "this takes every pod of the cluster from its nodes"),
        ({"selectors": [{"namespace": "shop", "labels": {str(number): "a" for number in range(6)}}]}, "a selector takes 5 labels"),
        ({"name": "eks-dns"}, "EKS reserves names that begin with eks-"),
        ({"name": "x" * 52}, "use at most 51 characters"),
    ],
)
def test_a_profile_that_cannot_be_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        previewed(**arguments)
