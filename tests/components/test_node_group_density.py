"""How many pods a group's nodes take: the same number in what the nodes are told, in the group's tags, and in what EKS works out."""

import base64
import email
import json
import tomllib
from typing import Any

import pytest

from tests.cluster.pulumi_mocks import Deployment
from tests.components import programs
from tests.components.test_node_group import LAUNCH_TEMPLATE, group_tags

PODS = "k8s.io/cluster-autoscaler/node-template/resources/pods"


def user_data(deployment: Deployment) -> str:
    return base64.b64decode(deployment.one(LAUNCH_TEMPLATE).inputs["userData"]).decode()


@pytest.mark.parametrize(
    ("arguments", "pods"),
    [
        ({}, "58"),
        ({"vpc_cni": {"prefix_delegation": True}}, "110"),
        ({"vpc_cni": {"prefix_delegation": True}, "instance_types": ["m5.8xlarge"]}, "250"),
        ({"vpc_cni": {"custom_networking": {"us-east-1a": {"subnet_id": "subnet-pods"}}}}, "44"),
        ({"vpc_cni": {"ip_family": "ipv6"}}, "110"),
        ({"instance_types": ["m5.large"]}, "29"),
    ],
)
def test_without_a_number_of_its_own_a_group_has_that_which_eks_works_out(arguments: dict[str, Any], pods: str) -> None:
    deployment = programs.spot(**arguments)
    assert group_tags(deployment)[PODS] == pods
    assert "userData" not in deployment.one(LAUNCH_TEMPLATE).inputs


def test_a_number_of_its_own_is_told_to_amazon_linux_by_a_node_config() -> None:
    deployment = programs.spot(max_pods=40)
    assert group_tags(deployment)[PODS] == "40"
    message = email.message_from_string(user_data(deployment))
    assert message.get_content_type() == "multipart/mixed"
    parts: Any = message.get_payload()
    (part,) = parts
    assert part.get_content_type() == "application/node.eks.aws"
    assert json.loads(part.get_payload()) == {
        "apiVersion": "node.eks.aws/v1alpha1",
        "kind": "NodeConfig",
        "spec": {"kubelet": {"config": {"maxPods": 40}, "flags": ["--max-pods=40"]}},
    }


def test_a_number_of_its_own_is_told_to_bottlerocket_in_toml() -> None:
    deployment = programs.spot(max_pods=40, ami_type="BOTTLEROCKET_x86_64")
    assert group_tags(deployment)[PODS] == "40"
    assert tomllib.loads(user_data(deployment)) == {"settings": {"kubernetes": {"max-pods": 40}}}


def test_more_pods_than_addresses_are_told_of(caplog: pytest.LogCaptureFixture) -> None:
    programs.on_demand(max_pods=58)
    assert caplog.messages == []
    programs.on_demand(max_pods=59)
    (warning,) = caplog.messages
    assert "max_pods is 59, and the VPC CNI has addresses for 58 pods on a node" in warning
