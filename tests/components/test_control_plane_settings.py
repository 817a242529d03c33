"""Settings of API server, scheduler and controller manager: how EKS gets them, and which it would refuse."""

from typing import Any

import pulumi
import pytest

from eks_autoscaling import Cluster
from eks_autoscaling.misuse import ArgumentError
from tests.cluster.aws_world import AwsWorld
from tests.cluster.principals import ACCOUNT
from tests.cluster.pulumi_mocks import deploy
from tests.components import programs

EKS_CLUSTER = "aws:eks/cluster:Cluster"
EVERYTHING: Any = {
    "event_ttl": "3h",
    "service_node_port_range": "30000-31000",
    "scoring_strategy": "MostAllocated",
    "scoring_weights": {"memory": 1, "cpu": 2},
    "terminated_pod_gc_threshold": 1000,
    "horizontal_pod_autoscaler_sync_period": "15s",
}
WANTED = {
    "kubeApiServerConfig": {"eventTtl": "3h", "serviceNodePortRange": {"minPort": 30000, "maxPort": 31000}},
    "kubeSchedulerConfig": {
        "nodeResourcesFit": {
            "scoringStrategy": {"type": "MostAllocated", "resources": [{"name": "cpu", "weight": 2}, {"name": "memory", "weight": 1}]}
        }
    },
    "kubeControllerManagerConfig": {
        "podGcControllerConfig": {"terminatedPodGcThreshold": 1000},
        "horizontalPodAutoscalerControllerConfig": {"horizontalPodAutoscalerSyncPeriod": "15s"},
    },
}


@pytest.mark.aws
def test_the_api_takes_all_settings_and_the_ranges_of_hybrid_nodes() -> None:
    def program() -> None:
        arguments: Any = {
            "subnet_ids": ["subnet-1", "subnet-2"],
            "admins": {"team": f"arn:aws:iam::{ACCOUNT}:user/administrator"},
            "control_plane": EVERYTHING,
            "remote_node_cidrs": ["10.200.0.0/16"],
            "remote_pod_cidrs": ["10.201.0.0/16"],
        }
        pulumi.export("name", Cluster("prod", arguments).name)

    with AwsWorld() as world:
        name = deploy(program, {}, world).outputs["name"]
        cluster = world.client("eks").describe_cluster(name=name)["cluster"]
    assert {part: cluster[part] for part in WANTED} == WANTED
    remote = {"remoteNodeNetworks": [{"cidrs": ["10.200.0.0/16"]}], "remotePodNetworks": [{"cidrs": ["10.201.0.0/16"]}]}
    assert cluster["remoteNetworkConfig"] == remote


def test_eks_decides_about_what_is_not_set() -> None:
    inputs = programs.cluster(control_plane={"event_ttl": "30m"}).one(EKS_CLUSTER).inputs
    assert inputs["kubeApiServerConfig"] == {"eventTtl": "30m"}
    assert not {"kubeSchedulerConfig", "kubeControllerManagerConfig", "remoteNetworkConfig"} & set(inputs)
    assert not set(WANTED) & set(programs.cluster().one(EKS_CLUSTER).inputs)


def test_secrets_may_be_left_to_a_key_of_aws() -> None:
    deployment = programs.cluster(customer_managed_key=False)
    assert "encryptionConfig" not in deployment.one(EKS_CLUSTER).inputs
    assert deployment.of_type("aws:kms/key:Key") == []
    assert deployment.of_type("aws:iam/rolePolicy:RolePolicy") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"control_plane": {"event_ttl": "1h30m"}}, r"control_plane\.event_ttl is '1h30m': write a number and one unit of s, m or h"),
        ({"control_plane": {"horizontal_pod_autoscaler_sync_period": "15"}}, r"sync_period is '15': write a number and one unit"),
        ({"control_plane": {"service_node_port_range": "32767-30000"}}, "is '32767-30000': write the first and the last port"),
        ({"control_plane": {"service_node_port_range": "30000"}}, "is '30000': write the first and the last port"),
        ({"control_plane": {"service_node_port_range": "30000-70000"}}, "is '30000-70000': write the first and the last port"),
        ({"control_plane": {"scoring_strategy": "Packed"}}, "scoring_strategy is 'Packed': use one of LeastAllocated, MostAllocated"),
        ({"control_plane": {"scoring_weights": {"cpu": 1}}}, "add scoring_strategy, to which they belong"),
        ({"control_plane": {"scoring_strategy": "MostAllocated", "scoring_weights": {"cpu": 0}}}, r"\{'cpu': 0\}: use 1 to 100"),
        ({"control_plane": {"terminated_pod_gc_threshold": 0}}, "terminated_pod_gc_threshold is 0: use 1 to 1000000"),
        ({"control_plane": {"event_ttl": "30m"}, "version": "1.30"}, r"version is '1\.30': control_plane needs Kubernetes 1\.31"),
        ({"remote_pod_cidrs": ["10.0.0.0/16"]}, r"remote_pod_cidrs is \['10\.0\.0\.0/16'\]: add remote_node_cidrs"),
        ({"remote_node_cidrs": ["203.0.113.0/24"]}, r"remote_node_cidrs is '203\.0\.113\.0/24': use a /8 to /32 in 10\.0\.0\.0/8"),
        ({"kms_key_arn": "arn:aws:kms:::key/1", "customer_managed_key": False}, "leave it out: customer_managed_key is False"),
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        programs.cluster(**arguments)
