"""Add-ons: which ones there are by default, with which versions, settings and rights, and in which order."""

import json
from collections.abc import Callable
from typing import Any

import pulumi
import pytest

from eks_autoscaling import AddOn, AddOns, NodeAddOns, OnDemandNodeGroup
from eks_autoscaling.misuse import ArgumentError
from tests.cluster.eks_add_ons import version_of
from tests.cluster.pulumi_mocks import Deployment, preview
from tests.components.programs import REF

ADD_ON = "aws:eks/addon:Addon"
ROLE_ARN = "arn:aws:iam::123456789012:role/pods"


def add_on(**arguments: Any) -> Deployment:
    return preview(lambda: AddOn("dns", {"cluster": REF, "add_on": "coredns", **arguments}), {})  # type: ignore[typeddict-item]


def add_ons(**arguments: Any) -> Deployment:
    return preview(lambda: AddOns("shop", {"cluster": REF, **arguments}), {})  # type: ignore[typeddict-item]


def node_add_ons(**arguments: Any) -> Deployment:
    return preview(lambda: NodeAddOns("shop", {"cluster": REF, **arguments}), {})  # type: ignore[typeddict-item]


def names(deployment: Deployment) -> set[str]:
    return {declared.inputs["addonName"] for declared in deployment.of_type(ADD_ON)}


def test_an_add_on_takes_over_what_is_installed_and_sets_it_back_on_updates() -> None:
    inputs = add_on().one(ADD_ON).inputs
    assert (inputs["resolveConflictsOnCreate"], inputs["resolveConflictsOnUpdate"], inputs["preserve"]) == ("OVERWRITE", "OVERWRITE", False)
    kept = add_on(resolve_conflicts_on_create="NONE", resolve_conflicts_on_update="PRESERVE", preserve=True).one(ADD_ON).inputs
    assert (kept["resolveConflictsOnCreate"], kept["resolveConflictsOnUpdate"], kept["preserve"]) == ("NONE", "PRESERVE", True)


@pytest.mark.parametrize(
    ("arguments", "version"),
    [
        ({}, version_of("coredns", most_recent=False)),
        ({"version": "default"}, version_of("coredns", most_recent=False)),
        ({"version": "latest"}, version_of("coredns", most_recent=True)),
        ({"version": "v1.2.3-eksbuild.4"}, "v1.2.3-eksbuild.4"),
    ],
)
def test_the_version_is_the_default_the_latest_or_the_pinned_one(arguments: dict[str, Any], version: str) -> None:
    assert add_on(**arguments).one(ADD_ON).inputs["addonVersion"] == version


def test_settings_keep_their_text_when_the_program_reorders_them() -> None:
    one = add_on(configuration={"replicaCount": 3, "autoScaling": {"enabled": True}}).one(ADD_ON).inputs["configurationValues"]
    other = add_on(configuration={"autoScaling": {"enabled": True}, "replicaCount": 3}).one(ADD_ON).inputs["configurationValues"]
    assert one == other == '{"autoScaling": {"enabled": true}, "replicaCount": 3}'
    assert "configurationValues" not in add_on().one(ADD_ON).inputs


def test_pods_get_their_role_by_pod_identity_or_by_token() -> None:
    by_agent = add_on(pod_identity_roles={"coredns": ROLE_ARN}).one(ADD_ON).inputs
    assert by_agent["podIdentityAssociations"] == [{"serviceAccount": "coredns", "roleArn": ROLE_ARN}]
    by_token = add_on(service_account_role_arn=ROLE_ARN).one(ADD_ON).inputs
    assert by_token["serviceAccountRoleArn"] == ROLE_ARN
    assert "podIdentityAssociations" not in by_token


def test_nodes_need_the_network_and_the_agent_by_default() -> None:
    deployment = node_add_ons()
    assert names(deployment) == {"vpc-cni", "kube-proxy", "eks-pod-identity-agent"}
    kept = {declared.inputs["addonName"] for declared in deployment.of_type(ADD_ON) if declared.inputs["preserve"]}
    assert kept == {"vpc-cni", "kube-proxy"}


def test_a_cluster_with_nodes_has_dns_by_default_and_everything_else_by_choice() -> None:
    assert names(add_ons()) == {"coredns"}
    everything = ("ebs_csi_driver", "metrics_server", "cloudwatch_observability", "guardduty_agent", "kubecost")
    assert names(add_ons(coredns=False, **dict.fromkeys(everything, True))) == {
        "aws-ebs-csi-driver",
        "metrics-server",
        "amazon-cloudwatch-observability",
        "aws-guardduty-agent",
        "kubecost_kubecost",
    }


@pytest.mark.parametrize(
    ("switch", "account", "policy"),
    [
        ("ebs_csi_driver", ("kube-system", "ebs-csi-controller-sa"), "AmazonEBSCSIDriverPolicyV2"),
        ("cloudwatch_observability", ("amazon-cloudwatch", "cloudwatch-agent"), "CloudWatchAgentServerPolicy"),
    ],
)
def test_an_add_on_that_calls_aws_has_a_role_before_it_starts(switch: str, account: tuple[str, str], policy: str) -> None:
    deployment = add_ons(coredns=False, **{switch: True})
    association = deployment.one("aws:eks/podIdentityAssociation:PodIdentityAssociation")
    assert (association.inputs["namespace"], association.inputs["serviceAccount"]) == account
    attachment = deployment.one("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
    assert attachment.inputs["policyArn"] == f"arn:aws:iam::aws:policy/{policy}"
    order = [resource.urn for resource in deployment.resources]
    assert order.index(association.urn) < order.index(deployment.one(ADD_ON).urn)


def test_roles_by_token_are_told_to_the_add_on() -> None:
    ref = {**REF, "oidc_provider_arn": "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/1"}
    deployment = add_ons(cluster=ref, coredns=False, ebs_csi_driver=True, identity="IRSA")
    assert deployment.of_type("aws:eks/podIdentityAssociation:PodIdentityAssociation") == []
    component = deployment.one("eks-autoscaling:index:AddOn")
    role = deployment.one("aws:iam/role:Role")
    assert role.urn in deployment.one(ADD_ON).options.depends_on
    assert role.urn in component.options.depends_on


def test_versions_and_settings_go_to_the_add_on_that_they_name() -> None:
    deployment = add_ons(metrics_server=True, versions={"coredns": "v9.9.9-eksbuild.1"}, configurations={"metrics-server": {"replicas": 3}})
    inputs = {declared.inputs["addonName"]: declared.inputs for declared in deployment.of_type(ADD_ON)}
    assert inputs["coredns"]["addonVersion"] == "v9.9.9-eksbuild.1"
    assert json.loads(inputs["metrics-server"]["configurationValues"]) == {"replicas": 3}
    assert "configurationValues" not in inputs["coredns"]


def test_node_groups_and_later_add_ons_wait_for_the_network_of_the_nodes() -> None:
    def program() -> None:
        before = NodeAddOns("before", {"cluster": REF, "vpc_cni": {"prefix_delegation": True}})
        group = OnDemandNodeGroup(
            "system",
            {"cluster": REF, "instance_types": ["m5.xlarge"], "subnet_ids": ["subnet-1"], "min_size": 1, "max_size": 3},
            pulumi.ResourceOptions(depends_on=[before]),
        )
        AddOns("after", {"cluster": REF}, pulumi.ResourceOptions(depends_on=[group]))

    deployment = preview(program, {})
    order = [resource.urn for resource in deployment.resources]
    cni = next(declared for declared in deployment.of_type(ADD_ON) if declared.inputs["addonName"] == "vpc-cni")
    dns = next(declared for declared in deployment.of_type(ADD_ON) if declared.inputs["addonName"] == "coredns")
    group = deployment.one("aws:eks/nodeGroup:NodeGroup")
    assert cni.urn in deployment.one("eks-autoscaling:index:OnDemandNodeGroup").options.depends_on
    assert group.urn in deployment.one("eks-autoscaling:index:AddOns").options.depends_on
    assert order.index(cni.urn) < order.index(group.urn) < order.index(dns.urn)
    agent = next(declared for declared in deployment.of_type(ADD_ON) if declared.inputs["addonName"] == "eks-pod-identity-agent")
    assert order.index(agent.urn) < order.index(cni.urn)


def test_everything_carries_the_tags() -> None:
    deployment = add_ons(ebs_csi_driver=True, tags={"team": "platform"})
    untagged = {
        resource.type
        for resource in deployment.resources
        if resource.type.startswith("aws:") and resource.inputs.get("tags") != {"team": "platform"}
    }
    assert untagged == {"aws:iam/rolePolicyAttachment:RolePolicyAttachment"}


@pytest.mark.parametrize(
    ("declare", "arguments", "message"),
    [
        (add_on, {"version": "1.2"}, "version is '1.2': pin a version such as v1.21.1-eksbuild.1, or write default or latest"),
        (add_on, {"resolve_conflicts_on_create": "PRESERVE"}, "resolve_conflicts_on_create is 'PRESERVE': write one of OVERWRITE, NONE"),
        (add_on, {"resolve_conflicts_on_update": "KEEP"}, "write one of OVERWRITE, PRESERVE, NONE"),
        (
            add_on,
            {"pod_identity_roles": {"a": ROLE_ARN}, "service_account_role_arn": ROLE_ARN},
            "leave it out, or leave out pod_identity_roles",
        ),
        (add_ons, {"identity": "NODE"}, "identity is 'NODE': use one of IRSA, POD_IDENTITY"),
        (add_ons, {"versions": {"metrics-server": "latest"}}, r"versions is \['metrics-server'\]: the component has the add-ons coredns"),
        (add_ons, {"configurations": {"dns": {}}}, r"configurations is \['dns'\]"),
        (node_add_ons, {"versions": {"coredns": "latest"}}, "the component has the add-ons vpc-cni, kube-proxy, eks-pod-identity-agent"),
        (node_add_ons, {"configurations": {"vpc-cni": {}}}, "the component has the add-ons kube-proxy, eks-pod-identity-agent"),
        (node_add_ons, {"vpc_cni": {"warm_prefix_target": 2}}, "warm_prefix_target is 2: it needs prefix_delegation"),
    ],
)
def test_arguments_that_cannot_work_are_refused_before_anything_is_declared(
    declare: Callable[..., Deployment], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        declare(**arguments)
