"""The VPC CNI: what its settings become, which ones contradict each other, whose rights it has, and how many pods follow."""

import json
from typing import Any

import pytest

from eks_autoscaling import VpcCni
from eks_autoscaling.misuse import ArgumentError
from eks_autoscaling.vpc_cni_settings import VpcCniSettings, max_pods, node_policies
from tests.cluster.pulumi_mocks import Deployment, preview
from tests.components.programs import REF

ADD_ON = "aws:eks/addon:Addon"
OIDC = "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/1"


def cni(**settings: Any) -> Deployment:
    return preview(lambda: VpcCni("cni", {"cluster": {**REF, "oidc_provider_arn": OIDC}, "settings": settings}), {})  # type: ignore[typeddict-item]


def values(**settings: Any) -> dict[str, Any]:
    configured: dict[str, Any] = json.loads(cni(**settings).one(ADD_ON).inputs["configurationValues"])
    return configured


def test_without_settings_network_policies_are_enforced_and_all_else_is_the_add_ons_own() -> None:
    assert values() == {"enableNetworkPolicy": "true"}
    assert values(network_policy=False) == {"enableNetworkPolicy": "false"}


def test_prefix_delegation_keeps_one_prefix_ready() -> None:
    assert values(prefix_delegation=True)["env"] == {"ENABLE_PREFIX_DELEGATION": "true", "WARM_PREFIX_TARGET": "1"}


@pytest.mark.parametrize(
    ("settings", "variables"),
    [
        ({"prefix_delegation": True, "warm_prefix_target": 3}, {"ENABLE_PREFIX_DELEGATION": "true", "WARM_PREFIX_TARGET": "3"}),
        (
            {"prefix_delegation": True, "warm_ip_target": 5, "minimum_ip_target": 20},
            {"ENABLE_PREFIX_DELEGATION": "true", "WARM_IP_TARGET": "5", "MINIMUM_IP_TARGET": "20"},
        ),
        ({"warm_ip_target": 2.0}, {"WARM_IP_TARGET": "2"}),
        ({"warm_eni_target": 0}, {"WARM_ENI_TARGET": "0"}),
        ({"external_snat": True}, {"AWS_VPC_K8S_CNI_EXTERNALSNAT": "true"}),
        ({"environment": {"AWS_VPC_K8S_CNI_LOGLEVEL": "INFO"}}, {"AWS_VPC_K8S_CNI_LOGLEVEL": "INFO"}),
    ],
)
def test_settings_become_variables_of_the_cni(settings: dict[str, Any], variables: dict[str, str]) -> None:
    assert values(**settings)["env"] == variables


def test_other_values_stand_beside_the_typed_ones() -> None:
    assert values(values={"resources": {"requests": {"cpu": "50m"}}})["resources"] == {"requests": {"cpu": "50m"}}


def test_custom_networking_names_a_subnet_for_each_zone_and_finds_it_by_the_nodes_zone() -> None:
    subnets = {"eu-west-1a": {"subnet_id": "subnet-a", "security_group_ids": ["sg-1"]}, "eu-west-1b": {"subnet_id": "subnet-b"}}
    configured = values(custom_networking=subnets)
    assert configured["env"] == {"AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true", "ENI_CONFIG_LABEL_DEF": "topology.kubernetes.io/zone"}
    assert configured["eniConfig"] == {
        "create": True,
        "region": "eu-west-1",
        "subnets": {"eu-west-1a": {"id": "subnet-a", "securityGroups": ["sg-1"]}, "eu-west-1b": {"id": "subnet-b"}},
    }


def test_the_cni_has_a_role_of_its_own_by_pod_identity() -> None:
    deployment = cni()
    association = deployment.one("aws:eks/podIdentityAssociation:PodIdentityAssociation").inputs
    assert (association["namespace"], association["serviceAccount"]) == ("kube-system", "aws-node")
    attachment = deployment.one("aws:iam/rolePolicyAttachment:RolePolicyAttachment").inputs
    assert attachment["policyArn"] == "arn:aws:iam::aws:policy/AmazonEKS_CNI_Policy"
    assert "serviceAccountRoleArn" not in deployment.one(ADD_ON).inputs


def test_the_role_may_come_by_token() -> None:
    deployment = cni(identity="IRSA")
    assert deployment.of_type("aws:eks/podIdentityAssociation:PodIdentityAssociation") == []
    assert deployment.one("aws:iam/role:Role").urn in deployment.one(ADD_ON).options.depends_on


def test_the_cni_may_share_the_nodes_role() -> None:
    deployment = cni(identity="NODE")
    assert deployment.of_type("aws:iam/role:Role") == []
    assert "serviceAccountRoleArn" not in deployment.one(ADD_ON).inputs


def test_with_ipv6_the_role_assigns_ipv6_addresses_to_interfaces_only() -> None:
    deployment = cni(ip_family="ipv6")
    assert deployment.of_type("aws:iam/rolePolicyAttachment:RolePolicyAttachment") == []
    statements = json.loads(deployment.one("aws:iam/rolePolicy:RolePolicy").inputs["policy"])["Statement"]
    writes = next(statement for statement in statements if "ec2:AssignIpv6Addresses" in statement["Action"])
    assert writes["Resource"] == ["arn:aws:ec2:eu-west-1:123456789012:network-interface/*"]


@pytest.mark.parametrize(
    ("settings", "pods"),
    [
        ({}, 29),
        ({"prefix_delegation": True}, 110),
        ({"custom_networking": {"eu-west-1a": {"subnet_id": "subnet-a"}}}, 20),
        ({"ip_family": "ipv6"}, 110),
    ],
)
def test_a_node_group_can_ask_how_many_pods_its_nodes_have(settings: VpcCniSettings, pods: int) -> None:
    assert max_pods(["m5.large"], settings) == pods


@pytest.mark.parametrize(
    ("settings", "has_policy"),
    [(None, True), ({}, False), ({"prefix_delegation": True}, False), ({"identity": "IRSA"}, False), ({"identity": "NODE"}, True)],
)
def test_the_nodes_role_has_the_cnis_rights_unless_the_cni_is_known_to_have_its_own(
    settings: VpcCniSettings | None, has_policy: bool
) -> None:
    policies = node_policies(settings)
    assert ("AmazonEKS_CNI_Policy" in policies) is has_policy
    assert {"AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly"} <= set(policies)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"identity": "PODS"}, "identity is 'PODS': write one of IRSA, POD_IDENTITY, NODE"),
        ({"ip_family": "dual"}, "ip_family is 'dual': write one of ipv4, ipv6"),
        ({"warm_prefix_target": 1}, "warm_prefix_target is 1: it needs prefix_delegation"),
        ({"prefix_delegation": True, "warm_prefix_target": 0}, "warm_prefix_target is 0: use 1 or more"),
        ({"warm_ip_target": 0}, "warm_ip_target is 0: use 1 or more"),
        ({"warm_eni_target": -1}, "warm_eni_target is -1: use 0 or more"),
        ({"minimum_ip_target": 20}, "minimum_ip_target is 20: add warm_ip_target"),
        ({"warm_eni_target": 1, "warm_ip_target": 5}, "warm_eni_target is 1: leave it out: warm_ip_target takes its place"),
        ({"prefix_delegation": True, "warm_eni_target": 1}, "leave it out: with prefix_delegation the CNI ignores it"),
        (
            {"prefix_delegation": True, "warm_prefix_target": 1, "warm_ip_target": 5},
            "warm_prefix_target is 1: leave it out: warm_ip_target takes its place",
        ),
        ({"custom_networking": {}}, "custom_networking is {}: name a subnet for each zone"),
        ({"environment": {"WARM_IP_TARGET": "5"}}, "environment is 'WARM_IP_TARGET': use the setting warm_ip_target"),
        ({"values": {"env": {}}}, r"values is \['env'\]: use environment, custom_networking and network_policy"),
        ({"ip_family": "ipv6", "prefix_delegation": True}, "with ip_family ipv6 each node has one prefix for all its pods"),
        ({"ip_family": "ipv6", "identity": "NODE"}, "no managed policy lets a node assign IPv6 addresses"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_before_anything_is_declared(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        cni(**settings)
