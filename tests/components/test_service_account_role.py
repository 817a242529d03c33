"""Roles of service accounts: who may take them, what they may do, and what both ways of getting there have in common."""

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

import pulumi
import pytest

from eks_autoscaling import Cluster, ServiceAccountRole, workload_policies
from eks_autoscaling.cluster import ClusterRef
from eks_autoscaling.misuse import ArgumentError
from tests.cluster.aws_protocol import AwsError
from tests.cluster.aws_world import AwsWorld
from tests.cluster.iam_evaluation import Access, Decision, decide, trusts
from tests.cluster.pulumi_mocks import Deployment, deploy, preview

ACCOUNT = "123456789012"
ISSUER = "oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF"
PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{ISSUER}"
CLUSTER_ARN = f"arn:aws:eks:eu-west-1:{ACCOUNT}:cluster/prod"
REF: ClusterRef = {"name": "prod", "arn": CLUSTER_ARN, "oidc_provider_arn": PROVIDER}
DOCUMENT = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::b/*"]}]}
ROLE = "aws:iam/role:Role"
ASSOCIATION = "aws:eks/podIdentityAssociation:PodIdentityAssociation"

Trust = dict[str, Any]
Caller = dict[str, str]


def previewed(name: str = "reader", **arguments: Any) -> Deployment:
    smallest = {"cluster": REF, "namespace": "shop", "service_account": "reader"}
    return preview(lambda: ServiceAccountRole(name, {**smallest, **arguments}), {})  # type: ignore[typeddict-item]


# --- Who may take the role --------------------------------------------------------------------------------


def by_irsa(trust: Trust, caller: Caller) -> bool:
    """Whether STS gives the role for a token with the caller's claims."""
    issuer = caller["provider"].partition(":oidc-provider/")[2]
    context = {f"{issuer}:sub": f"system:serviceaccount:{caller['namespace']}:{caller['name']}", f"{issuer}:aud": caller["audience"]}
    return trusts(trust, ("Federated", caller["provider"]), context, "sts:AssumeRoleWithWebIdentity")


def by_pod_identity(trust: Trust, caller: Caller) -> bool:
    """Whether EKS gets the role for the caller's pod: it takes the role and tags the session in one call."""
    context = {
        "aws:SourceAccount": caller["account"],
        "aws:RequestTag/eks-cluster-arn": caller["cluster"],
        "aws:RequestTag/eks-cluster-name": caller["cluster"].rpartition("/")[2],
        "aws:RequestTag/kubernetes-namespace": caller["namespace"],
        "aws:RequestTag/kubernetes-service-account": caller["name"],
    }
    return all(trusts(trust, ("Service", caller["service"]), context, action) for action in ("sts:AssumeRole", "sts:TagSession"))


# What decides, the trust, who is let in, and others who are not: one for each thing that the trust must look at.
IRSA = (
    by_irsa,
    workload_policies.irsa_trust(PROVIDER, "shop", "reader"),
    {"provider": PROVIDER, "namespace": "shop", "name": "reader", "audience": "sts.amazonaws.com"},
    {
        "provider": f"arn:aws:iam::{ACCOUNT}:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/FEDCBA9876543210",
        "namespace": "shop-test",
        "name": "reader2",
        "audience": "vault",
    },
)
POD_IDENTITY = (
    by_pod_identity,
    workload_policies.pod_identity_trust(CLUSTER_ARN, "shop", "reader"),
    {"service": "pods.eks.amazonaws.com", "account": ACCOUNT, "cluster": CLUSTER_ARN, "namespace": "shop", "name": "reader"},
    {
        "service": "eks.amazonaws.com",
        "account": "999999999999",
        "cluster": f"arn:aws:eks:eu-west-1:{ACCOUNT}:cluster/test",
        "namespace": "shop-test",
        "name": "reader2",
    },
)
Case = tuple[Callable[[Trust, Caller], bool], Trust, Caller, Caller]
WAYS = pytest.mark.parametrize("case", [IRSA, POD_IDENTITY], ids=["IRSA", "POD_IDENTITY"])


@WAYS
def test_the_service_account_is_let_in_and_anybody_who_differs_in_one_thing_is_not(case: Case) -> None:
    lets_in, trust, caller, strange = case
    assert lets_in(trust, caller)
    assert {key: lets_in(trust, {**caller, key: strange[key]}) for key in caller} == dict.fromkeys(caller, False)


@WAYS
def test_the_trust_is_one_statement_of_which_every_condition_keeps_somebody_out(case: Case) -> None:
    lets_in, trust, caller, strange = case
    (statement,) = trust["Statement"]
    assert list(statement["Condition"]) == ["StringEquals"]
    for key in statement["Condition"]["StringEquals"]:
        weaker = copy.deepcopy(trust)
        del weaker["Statement"][0]["Condition"]["StringEquals"][key]
        assert [other for other in caller if lets_in(weaker, {**caller, other: strange[other]})], f"nobody would miss {key}"


@pytest.mark.parametrize("namespace", ["*", "sho?", ""])
def test_patterns_cannot_widen_the_trust(namespace: str) -> None:
    with pytest.raises(ArgumentError, match="namespace is"):
        previewed(namespace=namespace)


# --- Deployed ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def deployed(world: AwsWorld) -> Deployment:
    return deploy(_program, {}, world)


def _program() -> None:
    cluster = Cluster("prod", {"subnet_ids": ["subnet-1", "subnet-2"], "admins": {"team": f"arn:aws:iam::{ACCOUNT}:user/administrator"}})
    old = ServiceAccountRole(
        "cluster-autoscaler",
        {
            "cluster": cluster.ref(),
            "namespace": "kube-system",
            "service_account": "cluster-autoscaler",
            "policy_documents": {"scaling": cluster.arn.apply(workload_policies.cluster_autoscaler)},
        },
    )
    driver = ServiceAccountRole(
        "ebs-csi",
        {
            "cluster": cluster.ref(),
            "namespace": "kube-system",
            "service_account": "ebs-csi-controller-sa",
            "identity": "POD_IDENTITY",
            "managed_policies": {"driver": cluster.arn.apply(workload_policies.ebs_csi)},
        },
    )
    for name, role in (("old", old), ("driver", driver)):
        pulumi.export(name, {"arn": role.role_arn, "name": role.role_name, "annotations": role.annotations})
    pulumi.export("cluster", {"arn": cluster.arn, "provider": cluster.oidc_provider_arn, "issuer": cluster.oidc_issuer})


def trust_of(world: AwsWorld, role: str) -> Trust:
    trust: Trust = world.client("iam").get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
    return trust


@pytest.mark.aws
def test_a_role_by_irsa_trusts_tokens_of_its_own_cluster(world: AwsWorld, deployed: Deployment) -> None:
    cluster, role = deployed.outputs["cluster"], deployed.outputs["old"]
    assert cluster["provider"].endswith(f":oidc-provider/{cluster['issuer']}")
    caller = {"provider": cluster["provider"], "namespace": "kube-system", "name": "cluster-autoscaler", "audience": "sts.amazonaws.com"}
    assert by_irsa(trust_of(world, role["name"]), caller)
    assert not by_irsa(trust_of(world, role["name"]), {**caller, "provider": PROVIDER})


@pytest.mark.aws
def test_a_role_by_pod_identity_is_associated_and_taken_for_its_service_account_alone(world: AwsWorld, deployed: Deployment) -> None:
    cluster, role = deployed.outputs["cluster"], deployed.outputs["driver"]
    (found,) = world.client("eks").list_pod_identity_associations(clusterName="prod")["associations"]
    described = world.client("eks").describe_pod_identity_association(clusterName="prod", associationId=found["associationId"])
    association = described["association"]
    assert (association["namespace"], association["serviceAccount"]) == ("kube-system", "ebs-csi-controller-sa")
    assert association["roleArn"] == role["arn"]
    sent = {
        "aws:SourceAccount": ACCOUNT,
        "aws:RequestTag/eks-cluster-arn": cluster["arn"],
        "aws:RequestTag/kubernetes-namespace": association["namespace"],
        "aws:RequestTag/kubernetes-service-account": association["serviceAccount"],
    }
    world.credentials_of(role["arn"], "pods.eks.amazonaws.com", context=sent)
    with pytest.raises(AwsError, match="not authorized to perform: sts:AssumeRole"):
        world.credentials_of(role["arn"], "pods.eks.amazonaws.com", context={**sent, "aws:RequestTag/kubernetes-namespace": "shop"})


@pytest.mark.aws
def test_both_ways_give_the_same_outputs_and_only_irsa_annotates(deployed: Deployment) -> None:
    old, driver = deployed.outputs["old"], deployed.outputs["driver"]
    assert all(role["arn"] == f"arn:aws:iam::{ACCOUNT}:role/{role['name']}" for role in (old, driver))
    assert old["annotations"] == {"eks.amazonaws.com/role-arn": old["arn"]}
    assert driver["annotations"] == {}
    assert [found.name for found in deployed.of_type(ASSOCIATION)] == ["ebs-csi"]


@pytest.mark.aws
def test_roles_carry_their_policies(world: AwsWorld, deployed: Deployment) -> None:
    iam, (old, driver) = world.client("iam"), (deployed.outputs["old"]["name"], deployed.outputs["driver"]["name"])
    (name,) = iam.list_role_policies(RoleName=old)["PolicyNames"]
    written = iam.get_role_policy(RoleName=old, PolicyName=name)["PolicyDocument"]
    assert written == workload_policies.cluster_autoscaler(deployed.outputs["cluster"]["arn"])
    (attached,) = iam.list_attached_role_policies(RoleName=driver)["AttachedPolicies"]
    assert attached["PolicyArn"] == "arn:aws:iam::aws:policy/AmazonEBSCSIDriverPolicyV2"
    document = iam.get_policy_version(PolicyArn=attached["PolicyArn"], VersionId="v1")["PolicyVersion"]["Document"]
    assert "ec2:AttachVolume" in json.dumps(document), "the policy exists and is the driver's"


# --- Previewed --------------------------------------------------------------------------------------------


def test_the_association_waits_for_the_permissions() -> None:
    managed = {"read": "arn:aws:iam::aws:policy/ReadOnlyAccess"}
    deployment = previewed(identity="POD_IDENTITY", managed_policies=managed, policy_documents={"bucket": DOCUMENT})
    waits_for = set(deployment.one(ASSOCIATION).options.depends_on)
    assert deployment.one("aws:iam/rolePolicyAttachment:RolePolicyAttachment", "reader-read").urn in waits_for
    assert deployment.one("aws:iam/rolePolicy:RolePolicy", "reader-bucket").urn in waits_for


def test_children_are_tagged_and_belong_to_the_component() -> None:
    deployment = previewed(identity="POD_IDENTITY", policy_documents={"bucket": DOCUMENT}, tags={"team": "shop"})
    component = deployment.one("eks-autoscaling:index:ServiceAccountRole")
    children = [resource for resource in deployment.resources if resource is not component]
    assert {child.options.parent for child in children} == {component.urn}
    assert {child.type for child in children if child.inputs.get("tags") == {"team": "shop"}} == {ROLE, ASSOCIATION}


def test_a_preview_of_a_cluster_that_does_not_exist_yet_declares_everything(deployed: Deployment) -> None:
    previewed_resources = preview(_program, {}).resources
    assert sorted((one.type, one.name) for one in previewed_resources) == sorted((one.type, one.name) for one in deployed.resources)


def test_pod_identity_does_without_an_oidc_provider() -> None:
    assert previewed(cluster={"name": "prod", "arn": CLUSTER_ARN}, identity="POD_IDENTITY").one(ASSOCIATION).name == "reader"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"identity": "KIAM"}, "identity is 'KIAM': use one of IRSA, POD_IDENTITY"),
        ({"cluster": {"name": "prod", "arn": CLUSTER_ARN}}, r"cluster is \['arn', 'name'\]: IRSA needs .*add oidc_provider_arn"),
        ({"namespace": "Shop"}, "namespace is 'Shop': use 1 to 63 lower-case letters"),
        ({"service_account": "read:er"}, "service_account is 'read:er': use 1 to 253 lower-case letters"),
        ({"service_account": "x" * 254}, "service_account is 'x+': use 1 to 253"),
        ({"managed_policies": {"read": "ReadOnlyAccess"}}, "managed_policies is 'ReadOnlyAccess': give the whole ARN of policy 'read'"),
        ({"policy_documents": {"s3": {"Action": "s3:*"}}}, "policy_documents is .*: give policy 's3' as a dict with Version and Statement"),
        ({"policy_documents": {"s3": json.dumps(DOCUMENT)}}, r"policy_documents\['s3'\] is .*: write a dictionary"),
        ({"name": "x" * 52}, "name is 'x+': use at most 51 characters"),
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        previewed(**arguments)


# --- What the Cluster Autoscaler may do -------------------------------------------------------------------

GROUP = f"arn:aws:autoscaling:eu-west-1:{ACCOUNT}:autoScalingGroup:1:autoScalingGroupName/eks-spot"
TAGS = {"aws:ResourceTag/k8s.io/cluster-autoscaler/enabled": "true", "aws:ResourceTag/k8s.io/cluster-autoscaler/prod": "owned"}


def may(action: str, resource: str = "*", tags: Mapping[str, str] = {}) -> bool:
    return decide([workload_policies.cluster_autoscaler(CLUSTER_ARN)], Access(action, resource, tags)) is Decision.ALLOWED


def test_the_cluster_autoscaler_reads_what_it_reads_upstream() -> None:
    reads = [
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DescribeAutoScalingInstances",
        "autoscaling:DescribeLaunchConfigurations",
        "autoscaling:DescribeScalingActivities",
        "ec2:DescribeImages",
        "ec2:DescribeInstanceTypes",
        "ec2:DescribeLaunchTemplateVersions",
        "ec2:GetInstanceTypesFromInstanceRequirements",
    ]
    assert [action for action in reads if not may(action)] == []
    assert may("eks:DescribeNodegroup", f"arn:aws:eks:eu-west-1:{ACCOUNT}:nodegroup/prod/spot/1")
    assert not may("eks:DescribeNodegroup", f"arn:aws:eks:eu-west-1:{ACCOUNT}:nodegroup/test/spot/1")


@pytest.mark.parametrize("action", ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"])
def test_the_cluster_autoscaler_resizes_groups_that_carry_both_tags_of_its_cluster(action: str) -> None:
    assert may(action, GROUP, TAGS)
    for tag in TAGS:
        assert not may(action, GROUP, {key: value for key, value in TAGS.items() if key != tag})
    other = {key.replace("/prod", "/test"): value for key, value in TAGS.items()}
    assert not may(action, GROUP, other)
    assert not may("autoscaling:UpdateAutoScalingGroup", GROUP, TAGS)


def test_the_ebs_csi_drivers_policy_is_that_of_the_clusters_partition() -> None:
    china = f"arn:aws-cn:eks:cn-north-1:{ACCOUNT}:cluster/prod"
    assert workload_policies.ebs_csi(china) == "arn:aws-cn:iam::aws:policy/AmazonEBSCSIDriverPolicyV2"
