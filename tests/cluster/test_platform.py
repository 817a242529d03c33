"""A whole platform, deployed into the AWS account of the tests and read back from it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.aws_protocol import AwsError
from tests.cluster.aws_world import AwsWorld
from tests.cluster.eks_add_ons import version_of
from tests.cluster.pulumi_mocks import Deployment, deploy, preview

pytestmark = pytest.mark.aws

PROGRAM = Path(__file__).parent / "programs" / "platform.py"
CLUSTER = "platform"
CLUSTER_ARN = f"arn:aws:eks:us-east-1:123456789012:cluster/{CLUSTER}"


@pytest.fixture(scope="module")
def world() -> Iterator[AwsWorld]:
    with AwsWorld() as entered:
        yield entered


@pytest.fixture(scope="module")
def platform(world: AwsWorld) -> Deployment:
    return deploy(PROGRAM, {}, world)


def add_on(world: AwsWorld, name: str) -> dict[str, Any]:
    found: dict[str, Any] = world.client("eks").describe_addon(clusterName=CLUSTER, addonName=name)["addon"]
    return found


def policies_of(world: AwsWorld, role_arn: str) -> set[str]:
    attached = world.client("iam").list_attached_role_policies(RoleName=role_arn.rpartition("/")[2])["AttachedPolicies"]
    return {policy["PolicyName"] for policy in attached}


def test_the_settings_of_the_cni_stand_before_the_first_node_group(platform: Deployment, world: AwsWorld) -> None:
    made = [call.params.get("addonName", call.operation) for call in world.calls if call.operation in ("CreateAddon", "CreateNodegroup")]
    before, after = made[: made.index("CreateNodegroup")], made[made.index("CreateNodegroup") + 1 :]
    assert set(before) == {"eks-pod-identity-agent", "vpc-cni", "kube-proxy"}
    assert set(after) == {"coredns", "aws-ebs-csi-driver", "metrics-server"}
    configured = json.loads(add_on(world, "vpc-cni")["configurationValues"])
    assert configured["env"]["ENABLE_PREFIX_DELEGATION"] == "true"
    assert configured["eniConfig"]["region"] == "us-east-1"
    assert set(configured["eniConfig"]["subnets"]) == {"us-east-1a", "us-east-1b"}


def test_add_ons_have_the_versions_and_settings_that_were_asked_for(platform: Deployment, world: AwsWorld) -> None:
    assert add_on(world, "vpc-cni")["addonVersion"] == version_of("vpc-cni", most_recent=False)
    coredns = add_on(world, "coredns")
    assert coredns["addonVersion"] == version_of("coredns", most_recent=True)
    assert json.loads(coredns["configurationValues"]) == {"replicaCount": 3}


def test_the_cni_has_the_rights_that_the_nodes_no_longer_have(platform: Deployment, world: AwsWorld) -> None:
    (association,) = world.client("eks").list_pod_identity_associations(
        clusterName=CLUSTER, namespace="kube-system", serviceAccount="aws-node"
    )["associations"]
    role = world.client("eks").describe_pod_identity_association(clusterName=CLUSTER, associationId=association["associationId"])
    assert policies_of(world, role["association"]["roleArn"]) == {"AmazonEKS_CNI_Policy"}
    assert policies_of(world, platform.outputs["node_role"]) == {"AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly"}


def test_only_pods_of_the_cnis_service_account_in_this_cluster_get_its_role(platform: Deployment, world: AwsWorld) -> None:
    role = platform.one("aws:iam/role:Role", "platform-vpc-cni-role").outputs["arn"]
    tags = {"eks-cluster-arn": CLUSTER_ARN, "kubernetes-namespace": "kube-system", "kubernetes-service-account": "aws-node"}
    context = {"aws:SourceAccount": "123456789012", **{f"aws:RequestTag/{key}": value for key, value in tags.items()}}
    assert world.credentials_of(role, service="pods.eks.amazonaws.com", context=context)
    for key in tags:
        with pytest.raises(AwsError, match="not authorized to perform: sts:AssumeRole"):
            world.credentials_of(role, service="pods.eks.amazonaws.com", context={**context, f"aws:RequestTag/{key}": "another"})


def test_developers_see_the_cluster_and_edit_their_namespace(platform: Deployment, world: AwsWorld) -> None:
    eks = world.client("eks")
    principal = {"clusterName": CLUSTER, "principalArn": platform.outputs["developers"]}
    assert eks.describe_access_entry(**principal)["accessEntry"]["kubernetesGroups"] == ["developers"]
    associated = eks.list_associated_access_policies(**principal)["associatedAccessPolicies"]
    scopes = {policy["policyArn"].rpartition("/")[2]: policy["accessScope"] for policy in associated}
    assert scopes["AmazonEKSViewPolicy"]["type"] == "cluster"
    assert scopes["AmazonEKSEditPolicy"] == {"type": "namespace", "namespaces": ["shop"]}


def test_the_cluster_is_as_declared_and_tells_others_what_they_need(platform: Deployment, world: AwsWorld) -> None:
    cluster = world.client("eks").describe_cluster(name=CLUSTER)["cluster"]
    assert cluster["kubernetesNetworkConfig"] == {"ipFamily": "ipv4", "serviceIpv4Cidr": "172.16.0.0/16"}
    assert (cluster["zonalShiftConfig"], cluster["controlPlaneScalingConfig"]) == ({"enabled": True}, {"tier": "tier-xl"})
    outputs = platform.outputs
    assert (outputs["service_cidr"], outputs["version"]) == ("172.16.0.0/16", cluster["version"])
    assert outputs["vpc_id"] == platform.one("aws:ec2/vpc:Vpc").id


def test_the_alarm_on_addresses_exists(platform: Deployment, world: AwsWorld) -> None:
    (alarm,) = world.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert {metric["Id"] for metric in alarm["Metrics"]} == {"share", "assigned", "possible"}
    assert alarm["Threshold"] == 80.0


def test_a_preview_declares_the_same(platform: Deployment) -> None:
    previewed = preview(PROGRAM, {})
    assert sorted((made.type, made.name) for made in previewed.resources) == sorted((made.type, made.name) for made in platform.resources)
