"""The production stack end to end: on a real control plane, with the packaged function, on all that the stack declares.

One story, told in the order of the tests.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from lightkube.resources.core_v1 import Node, Pod

from tests.cluster.binaries import Binaries
from tests.cluster.function import Invocation
from tests.cluster.node_shapes import addressable_pods
from tests.cluster.node_user_data import max_pods_of
from tests.cluster.production_cluster import FIRST_NODES, NAME, ZONES, ProductionCluster
from tests.cluster.teams import create_team, wait_for_running_pods
from tests.cluster.waiting import wait_for
from tests.cluster.workloads import wait_for_ready_nodes

pytestmark = pytest.mark.control_plane

PODS_TAG = "k8s.io/cluster-autoscaler/node-template/resources/pods"
PLACEHOLDERS = {"app.kubernetes.io/instance": "room"}
CRITICAL = {"key": "CriticalAddonsOnly", "value": "true", "effect": "NoSchedule"}
VOLUMES = {"key": "workload", "value": "volumes", "effect": "NoSchedule"}
QUIET = {"operations": 3, "spot-4vcpu-16gb": 3, "spot-8vcpu-32gb": 0, **{f"spot-volumes-{zone}": 0 for zone in ZONES}}


@pytest.fixture(scope="module")
def production(binaries: Binaries) -> Iterator[ProductionCluster]:
    with ProductionCluster(binaries) as running:
        yield running


def scan(production: ProductionCluster) -> Invocation:
    done = production.scan()
    assert done.error is None, done.error
    assert done.result["failures"] == done.result["faults"] == []
    return done


def taints(node: Node) -> list[dict[str, Any]]:
    return [{"key": one.key, "value": one.value, "effect": one.effect} for one in (node.spec.taints if node.spec else None) or ()]


def labels(node: Node) -> dict[str, str]:
    assert node.metadata is not None
    return node.metadata.labels or {}


def nodes_of(production: ProductionCluster, kind: str) -> list[str]:
    """Nodes of the running pods of a team, or of the placeholders."""
    wanted = dict(PLACEHOLDERS) if kind == "room" else {"team": kind}
    pods = production.admin.list(Pod, namespace="default", labels={**wanted})
    return [str(pod.spec.nodeName) for pod in pods if pod.spec and pod.spec.nodeName]


def test_the_first_nodes_join_in_every_zone_with_the_labels_and_taints_of_their_groups(production: ProductionCluster) -> None:
    operations, spot = production.nodes("operations"), production.nodes("spot-4vcpu-16gb")
    for nodes in (operations, spot):
        assert {labels(node)["topology.kubernetes.io/zone"] for node in nodes} == set(ZONES)
    assert [taints(node) for node in operations] == [[CRITICAL]] * 3
    assert {(labels(node)["workload"], labels(node)["eks.amazonaws.com/capacityType"]) for node in operations} == {
        ("operations", "ON_DEMAND")
    }
    assert [taints(node) for node in spot] == [[]] * 3
    assert {labels(node)["eks.amazonaws.com/capacityType"] for node in spot} == {"SPOT"}


def test_add_on_tag_launch_template_and_node_agree_on_the_pods_of_a_node(production: ProductionCluster) -> None:
    add_on = production.world.client("eks").describe_addon(clusterName=NAME, addonName="vpc-cni")["addon"]
    prefixes = json.loads(add_on["configurationValues"])["env"]["ENABLE_PREFIX_DELEGATION"] == "true"
    ec2 = production.world.client("ec2")
    for name, group in production.groups.items():
        types = ec2.describe_instance_types(InstanceTypes=group["instanceTypes"])["InstanceTypes"]
        tags = {tag["Key"]: tag["Value"] for tag in production.auto_scaling_group(name)["Tags"]}
        (template,) = ec2.describe_launch_template_versions(LaunchTemplateId=_template(production, name), Versions=["$Latest"])[
            "LaunchTemplateVersions"
        ]
        told = {
            "add-on": min(addressable_pods(kind, prefixes=prefixes) for kind in types),
            "tag": int(tags[PODS_TAG]),
            "launch template": max_pods_of(template["LaunchTemplateData"]["UserData"]),
            **{labels(node)["kubernetes.io/hostname"]: _pods(node) for node in production.nodes(name)},
        }
        assert set(told.values()) == {110}, (name, told)


def _template(production: ProductionCluster, group: str) -> str:
    policy = production.auto_scaling_group(group)["MixedInstancesPolicy"]
    identifier: str = policy["LaunchTemplate"]["LaunchTemplateSpecification"]["LaunchTemplateId"]
    return identifier


def _pods(node: Node) -> int:
    assert node.status is not None
    return int((node.status.allocatable or {})["pods"])


def test_placeholders_keep_room_in_every_zone_and_a_scan_finds_nothing_to_do(production: ProductionCluster) -> None:
    rooms = wait_for("three placeholders", lambda: nodes_of(production, "room"), lambda seen: len(seen) == 3, 30)
    zones = {labels(production.admin.get(Node, name))["topology.kubernetes.io/zone"] for name in rooms}
    assert zones == set(ZONES)
    assert scan(production).result["scale_up"] == []
    assert production.desired() == QUIET
    assert production.function_writes() == []


def test_one_scheduled_scan_grows_the_group_that_the_priorities_prefer(production: ProductionCluster) -> None:
    """The pod that waits fits the on-demand group best, which least-waste alone would choose; priorities put spot first."""
    assert production.invoker.every_seconds() == 60
    elsewhere = {"key": "node.kubernetes.io/instance-type", "operator": "NotIn", "values": ["m5.xlarge"]}
    where = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [elsewhere]}]}}
    tolerations = [{"key": "CriticalAddonsOnly", "operator": "Exists"}]
    create_team(production.admin, "billing", pods=4, waiting=1, nodeSelector={}, affinity={"nodeAffinity": where}, tolerations=tolerations)
    done = scan(production)
    assert [(item["from"], item["to"]) for item in done.result["scale_up"]] == [(0, 1)]
    assert production.desired() == QUIET | {"spot-8vcpu-32gb": 1}
    assert production.function_writes() == ["SetDesiredCapacity"]
    wait_for_running_pods(production.admin, "billing", 4)
    (node,) = production.nodes("spot-8vcpu-32gb")
    assert labels(node)["node.kubernetes.io/instance-type"] == "m5.2xlarge"
    assert labels(node)["eks.amazonaws.com/capacityType"] == "SPOT"
    assert (taints(node), _pods(node)) == ([], 110)
    assert labels(node)["kubernetes.io/hostname"] in nodes_of(production, "billing")


def test_pods_with_volumes_bring_a_node_of_the_group_of_their_zone(production: ProductionCluster) -> None:
    zone = ZONES[1]
    create_team(
        production.admin,
        "orders",
        pods=1,
        nodeSelector={"workload": "volumes", "topology.kubernetes.io/zone": zone},
        tolerations=[{"key": "workload", "operator": "Equal", "value": "volumes", "effect": "NoSchedule"}],
    )
    production.world.forget_calls()
    scan(production)
    assert production.desired() == QUIET | {"spot-8vcpu-32gb": 1, f"spot-volumes-{zone}": 1}
    assert production.function_writes() == ["SetDesiredCapacity"]
    wait_for_running_pods(production.admin, "orders", 1)
    (node,) = production.nodes(f"spot-volumes-{zone}")
    assert (labels(node)["workload"], labels(node)["topology.kubernetes.io/zone"], taints(node)) == ("volumes", zone, [VOLUMES])
    assert nodes_of(production, "orders") == [labels(node)["kubernetes.io/hostname"]]


def test_the_function_was_let_into_aws_and_the_cluster_by_what_the_stack_declares_alone(production: ProductionCluster) -> None:
    wait_for_ready_nodes(production.admin, FIRST_NODES + 2, seconds=60)
    production.world.forget_calls()
    assert scan(production).result["scale_up"] == []
    role = production.function.configuration.role_arn.rpartition("/")[2]
    calls = [call for call in production.world.calls if f"assumed-role/{role}/" in call.principal]
    assert {call.service for call in calls} >= {"autoscaling"}
    assert [(call.operation, call.error) for call in calls if call.error] == []
    assert production.webhook.refusals == []
    entry = production.world.client("eks").describe_access_entry(clusterName=NAME, principalArn=production.function.configuration.role_arn)[
        "accessEntry"
    ]
    assert entry["kubernetesGroups"] == ["eks-autoscaling"]
    assert len(production.invoker.history) == 4
