"""Access entries of a cluster, beyond its administrators."""

from typing import Any

import pytest

from eks_autoscaling.misuse import ArgumentError
from tests.cluster.pulumi_mocks import Declared
from tests.components import programs

ROLE = "arn:aws:iam::123456789012:role/readers"
ASSOCIATION = "aws:eks/accessPolicyAssociation:AccessPolicyAssociation"


def entry(**arguments: Any) -> dict[str, Any]:
    return {"access_entries": {"readers": {"principal_arn": ROLE, **arguments}}}


def declared(arguments: dict[str, Any]) -> Declared:
    return programs.cluster(**arguments).one("aws:eks/accessEntry:AccessEntry", "prod-readers")


def test_an_entry_has_the_groups_and_the_name_that_it_is_given() -> None:
    inputs = declared(entry(kubernetes_groups=["readers"], user_name="readers:{{SessionName}}")).inputs
    assert (inputs["type"], inputs["principalArn"]) == ("STANDARD", ROLE)
    assert (inputs["kubernetesGroups"], inputs["userName"]) == (["readers"], "readers:{{SessionName}}")


def test_policies_hold_in_the_named_namespaces_or_in_the_whole_cluster() -> None:
    policies = [{"policy": "AmazonEKSViewPolicy"}, {"policy": "AmazonEKSEditPolicy", "namespaces": ["shop", "cart"]}]
    deployment = programs.cluster(**entry(policies=policies))
    scopes = {
        association.inputs["policyArn"]: association.inputs["accessScope"]
        for association in deployment.of_type(ASSOCIATION)
        if association.name.startswith("prod-readers-")
    }
    arn = "arn:aws:eks::aws:cluster-access-policy/"
    assert scopes == {
        f"{arn}AmazonEKSViewPolicy": {"type": "cluster"},
        f"{arn}AmazonEKSEditPolicy": {"type": "namespace", "namespaces": ["shop", "cart"]},
    }


def test_administrators_have_the_whole_cluster() -> None:
    association = programs.cluster(admins={"ada": ROLE}).one(ASSOCIATION)
    assert association.inputs["policyArn"] == "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
    assert association.inputs["accessScope"] == {"type": "cluster"}


def test_nodes_that_join_by_themselves_have_a_type_and_nothing_else() -> None:
    inputs = declared(entry(type="EC2_LINUX")).inputs
    assert inputs["type"] == "EC2_LINUX"
    assert not {"kubernetesGroups", "userName"} & set(inputs)


def test_nodes_of_auto_mode_may_have_a_policy() -> None:
    deployment = programs.cluster(**entry(type="EC2", policies=[{"policy": "AmazonEKSAutoNodePolicy"}]))
    assert deployment.one(ASSOCIATION, "prod-readers-AmazonEKSAutoNodePolicy")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (entry(type="NODE"), r"access_entries\['readers'\]\.type is 'NODE': write one of STANDARD, EC2_LINUX"),
        (
            entry(type="EC2_LINUX", kubernetes_groups=["a"]),
            r"\.kubernetes_groups is \['a'\]: leave it out: type EC2_LINUX does not take it",
        ),
        (entry(type="FARGATE_LINUX", user_name="a"), r"\.user_name is 'a': leave it out: type FARGATE_LINUX does not take it"),
        (entry(type="EC2_LINUX", policies=[{"policy": "AmazonEKSViewPolicy"}]), "leave it out: type EC2_LINUX does not take it"),
        (entry(user_name="system:admin"), r"\.user_name is 'system:admin': EKS reserves the prefixes system:, eks:, aws:, amazon:, iam:"),
        (entry(user_name="eks:me"), "EKS reserves the prefixes"),
        (entry(kubernetes_groups=["a", "system:masters"]), r"\.kubernetes_groups is 'system:masters': EKS reserves the prefixes"),
        (entry(policies=[{"policy": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"}]), "write the name of an access policy"),
        (entry(policies=[{"policy": "AmazonEKSViewPolicy", "namespaces": []}]), r"\.namespaces is \[\]: name a namespace, or leave it out"),
        (
            {"admins": {"team": ROLE}, **entry()},
            r"access_entries is \['arn:aws:iam::123456789012:role/readers'\]: a principal has one entry",
        ),
        ({"access_entries": {"team": {"principal_arn": ROLE}}}, r"access_entries is \['team'\]: these names are taken by admins"),
    ],
)
def test_entries_that_cannot_work_are_refused_before_anything_is_declared(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        programs.cluster(**arguments)


@pytest.mark.parametrize(
    ("principal", "message"),
    [
        ("arn:aws:sts::123456789012:assumed-role/team/ada", "write the ARN of the role itself, arn:aws:iam::ACCOUNT:role/NAME"),
        ("arn:aws:iam::123456789012:group/team", "EKS lets no IAM groups in: name a role"),
        ("arn:aws:iam::123:role/team", "write the ARN of an IAM role or user, such as"),
        ("team", "write the ARN of an IAM role or user, such as"),
    ],
)
def test_who_is_neither_a_role_nor_a_user_is_refused(principal: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message) as refused:
        programs.cluster(**entry(principal_arn=principal))
    assert refused.value.argument == "access_entries['readers'].principal_arn"
    with pytest.raises(ArgumentError, match=message) as refused:
        programs.cluster(admins={"ada": principal})
    assert refused.value.argument == "admins['ada']"


@pytest.mark.parametrize(
    "principal",
    [
        "arn:aws:iam::123456789012:user/people/ada",
        "arn:aws-us-gov:iam::123456789012:role/aws-reserved/sso/x",
        "arn:aws:iam::123456789012:root",
    ],
)
def test_roles_and_users_have_their_paths_and_partitions(principal: str) -> None:
    assert declared(entry(principal_arn=principal)).inputs["principalArn"] == principal
