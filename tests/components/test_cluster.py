"""The cluster component: secure by default, and clear about what cannot work."""

import json
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import pytest

from eks_autoscaling import Cluster
from eks_autoscaling.kubeconfig import KubeconfigCredentials, kubeconfig
from eks_autoscaling.misuse import ArgumentError
from tests.cluster.pulumi_mocks import Deployment, preview
from tests.components import programs

EKS_CLUSTER = "aws:eks/cluster:Cluster"


def test_the_api_endpoint_is_private_unless_ranges_are_named() -> None:
    network = programs.cluster().one(EKS_CLUSTER).inputs["vpcConfig"]
    assert (network["endpointPrivateAccess"], network["endpointPublicAccess"]) == (True, False)
    assert "publicAccessCidrs" not in network


def test_named_ranges_open_the_endpoint_to_themselves_only() -> None:
    network = programs.cluster(public_access_cidrs=["203.0.113.0/24"]).one(EKS_CLUSTER).inputs["vpcConfig"]
    assert (network["endpointPublicAccess"], network["publicAccessCidrs"]) == (True, ["203.0.113.0/24"])


def test_the_creator_gets_no_access_that_nobody_declared() -> None:
    access = programs.cluster().one(EKS_CLUSTER).inputs["accessConfig"]
    assert access == {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False}


def test_all_control_plane_logs_are_kept_and_extended_support_is_not_bought() -> None:
    inputs = programs.cluster().one(EKS_CLUSTER).inputs
    assert inputs["enabledClusterLogTypes"] == ["api", "audit", "authenticator", "controllerManager", "scheduler"]
    assert inputs["upgradePolicy"] == {"supportType": "STANDARD"}


def test_the_log_group_stands_before_the_cluster_that_writes_to_it() -> None:
    deployment = programs.cluster(log_retention_days=7)
    logs = deployment.one("aws:cloudwatch/logGroup:LogGroup")
    assert (logs.inputs["name"], logs.inputs["retentionInDays"]) == ("/aws/eks/prod/cluster", 7)
    assert logs.urn in deployment.one(EKS_CLUSTER).options.depends_on


def test_secrets_are_encrypted_with_a_key_that_rotates() -> None:
    key = programs.cluster().one("aws:kms/key:Key")
    assert (key.inputs["enableKeyRotation"], key.inputs["deletionWindowInDays"]) == (True, 30)


def test_a_key_of_ones_own_takes_the_place_of_a_new_one() -> None:
    arn = "arn:aws:kms:eu-west-1:123456789012:key/1"
    deployment = programs.cluster(kms_key_arn=arn)
    assert deployment.of_type("aws:kms/key:Key") == []
    assert deployment.one(EKS_CLUSTER).inputs["encryptionConfig"]["provider"] == {"keyArn": arn}


def test_every_admin_has_an_entry_that_keeps_its_name_when_another_goes() -> None:
    both = {"ada": "arn:aws:iam::123456789012:role/ada", "bob": "arn:aws:iam::123456789012:role/bob"}
    names = [entry.name for entry in programs.cluster(admins=both).of_type("aws:eks/accessEntry:AccessEntry")]
    assert sorted(names) == ["prod-ada", "prod-bob"]
    alone = programs.cluster(admins={"bob": both["bob"]}).one("aws:eks/accessEntry:AccessEntry")
    assert alone.name == "prod-bob"


def test_eks_decides_what_nobody_asked_for() -> None:
    inputs = programs.cluster().one(EKS_CLUSTER).inputs
    optional = {"kubernetesNetworkConfig", "zonalShiftConfig", "controlPlaneScalingConfig", "bootstrapSelfManagedAddons"}
    assert not optional & set(inputs)
    assert "securityGroupIds" not in inputs["vpcConfig"]


def test_addresses_zonal_shift_capacity_and_security_groups_are_taken_as_given() -> None:
    deployment = programs.cluster(
        service_ipv4_cidr="172.16.0.0/16",
        zonal_shift=True,
        scaling_tier="tier-xl",
        security_group_ids=["sg-1"],
        bootstrap_add_ons=False,
    )
    inputs = deployment.one(EKS_CLUSTER).inputs
    assert inputs["kubernetesNetworkConfig"] == {"serviceIpv4Cidr": "172.16.0.0/16"}
    assert (inputs["zonalShiftConfig"], inputs["controlPlaneScalingConfig"]) == ({"enabled": True}, {"tier": "tier-xl"})
    assert inputs["vpcConfig"]["securityGroupIds"] == ["sg-1"]
    assert inputs["bootstrapSelfManagedAddons"] is False


def test_everything_the_component_makes_carries_its_tags_and_is_its_child() -> None:
    deployment = programs.cluster(tags={"team": "platform"})
    component = deployment.one("eks-autoscaling:index:Cluster")
    children = [resource for resource in deployment.resources if resource is not component]
    assert {child.options.parent for child in children} == {component.urn}
    untagged = {child.type for child in children if child.inputs.get("tags") != {"team": "platform"}}
    assert untagged == {
        "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
        "aws:iam/rolePolicy:RolePolicy",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"subnet_ids": []}, r"subnet_ids is \[\]: name at least two subnets"),
        ({"subnet_ids": ["subnet-1"]}, "name at least two subnets, in different zones"),
        ({"admins": {"bob": "bob"}}, r"admins\['bob'\] is 'bob': write the ARN of an IAM role or user, such as arn:aws:iam::"),
        ({"version": "v1.34"}, "version is 'v1.34': write major and minor version alone, such as \"1.34\""),
        ({"public_access_cidrs": ["0.0.0.0"]}, "public_access_cidrs is '0.0.0.0': write a range with its first address and its length"),
        ({"public_access_cidrs": ["10.0.0.0/8", "203.0.113.0/33"]}, "public_access_cidrs is '203.0.113.0/33': write a range"),
        ({"public_access_cidrs": ["203.0.113.7/24"]}, "public_access_cidrs is '203.0.113.7/24': write a range with its first address"),
        ({"public_access_cidrs": ["everywhere"]}, "public_access_cidrs is 'everywhere': write a range"),
        ({"admins": {}}, r"admins is {}: name at least one IAM role or user"),
        ({"log_types": ["audit", "kubelet"]}, r"log_types is \['kubelet'\]: EKS writes api, audit"),
        ({"support_type": "FOREVER"}, "support_type is 'FOREVER': write one of STANDARD, EXTENDED"),
        ({"cluster_name": "a.b"}, r"cluster_name is 'a\.b'"),
        ({"ip_family": "ipv5"}, "ip_family is 'ipv5': write one of ipv4, ipv6"),
        ({"scaling_tier": "huge"}, "scaling_tier is 'huge': write one of standard, tier-xl"),
        ({"security_group_ids": [f"sg-{number}" for number in range(6)]}, "security_group_ids is 6: name at most 5"),
        ({"service_ipv4_cidr": "172.20.0.1/16"}, "write an IPv4 range with its first address"),
        ({"service_ipv4_cidr": "172.20.0.0/25"}, "use a /12 to /24 in 10.0.0.0/8"),
        ({"service_ipv4_cidr": "100.64.0.0/16"}, "use a /12 to /24 in 10.0.0.0/8"),
        ({"service_ipv4_cidr": "172.20.0.0/16", "ip_family": "ipv6"}, "with ip_family ipv6 EKS chooses the range of services"),
    ],
)
def test_arguments_that_cannot_work_are_refused_before_anything_is_declared(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        programs.cluster(**arguments)


# --- kubeconfig ---


def with_provider(**arguments: Any) -> Deployment:
    """A preview of a cluster and of a Kubernetes provider with its kubeconfig."""

    def program() -> None:
        smallest = {"subnet_ids": ["subnet-1", "subnet-2"], "admins": {"team": "arn:aws:iam::123456789012:role/team"}}
        cluster = Cluster("prod", {**smallest, **arguments})  # type: ignore[typeddict-item]
        kubernetes.Provider("kubernetes", kubeconfig=cluster.kubeconfig)

    return preview(program, {})


def test_whoever_uses_the_kubeconfig_waits_for_the_access_of_every_admin() -> None:
    declared = with_provider(admins={name: f"arn:aws:iam::123456789012:role/{name}" for name in ("team", "pipeline")})
    associations = {one.urn for one in declared.of_type("aws:eks/accessPolicyAssociation:AccessPolicyAssociation")}
    assert len(associations) == 2
    assert associations <= set(declared.one("pulumi:providers:kubernetes").options.depends_on)


@pytest.mark.parametrize(
    ("credentials", "added", "variables"),
    [
        ({}, [], None),
        ({"profile": "ops"}, [], [{"name": "AWS_PROFILE", "value": "ops"}]),
        ({"role_arn": "arn:aws:iam::123456789012:role/team"}, ["--role-arn", "arn:aws:iam::123456789012:role/team"], None),
    ],
)
def test_the_kubeconfig_uses_the_credentials_that_it_is_told(
    credentials: KubeconfigCredentials, added: list[str], variables: list[dict[str, str]] | None
) -> None:
    def program() -> None:
        arn, name, endpoint, authority = (pulumi.Output.from_input(text) for text in (programs.REF["arn"], "prod", "https://api", "Y2E="))
        pulumi.export("kubeconfig", kubeconfig(arn, name, endpoint, authority, credentials))

    command = json.loads(preview(program, {}).outputs["kubeconfig"])["users"][0]["user"]["exec"]
    assert command["args"] == ["--region", "eu-west-1", "eks", "get-token", "--cluster-name", "prod", "--output", "json", *added]
    assert command.get("env") == variables
