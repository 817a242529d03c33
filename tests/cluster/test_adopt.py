"""An existing cluster adopted, end to end: made beforehand without a word of ours, then the adopting stack, on a real control plane.

One story, told in the order of the tests.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lightkube.resources.core_v1 import Pod
from lightkube.resources.rbac_authorization_v1 import ClusterRole, ClusterRoleBinding

from tests.cluster.aws_world import AwsWorld
from tests.cluster.binaries import Binaries
from tests.cluster.declared_cluster import DeclaredCluster
from tests.cluster.production_cluster import make_network
from tests.cluster.teams import NAMESPACE, create_team, wait_for_running_pods
from tests.cluster.workloads import wait_for_ready_nodes

pytestmark = pytest.mark.control_plane

STACK = Path(__file__).parents[2] / "stacks" / "adopt"
NAME = "old"
ADOPTED, STRANGE = "workers", "somebody-else-s"
DISCOVERY = {"k8s.io/cluster-autoscaler/enabled": "true", f"k8s.io/cluster-autoscaler/{NAME}": "owned"}


def make_old_cluster(world: AwsWorld) -> dict[str, Any]:
    """A cluster with two self-managed groups of one node each, alike but for their names; returns the stack's configuration."""
    network = make_network(world)
    subnets = list(network["subnetIds"].values())
    role = world.client("iam").create_role(RoleName=NAME, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    access = {"authenticationMode": "API_AND_CONFIG_MAP"}
    eks = world.client("eks")
    eks.create_cluster(name=NAME, roleArn=role, resourcesVpcConfig={"subnetIds": subnets}, accessConfig=access)
    cluster = eks.describe_cluster(name=NAME)["cluster"]
    for group in (ADOPTED, STRANGE):
        make_group(world, group, subnets)
    return {
        "clusterName": NAME,
        "clusterArn": cluster["arn"],
        "untaggedGroups": [ADOPTED],
        "vpcId": network["vpcId"],
        "subnetIds": subnets,
        "clusterSecurityGroupId": cluster["resourcesVpcConfig"]["clusterSecurityGroupId"],
    }


def make_group(world: AwsWorld, name: str, subnets: list[str]) -> None:
    """A self-managed group with the one tag that EKS asks of nodes."""
    data = {"ImageId": "ami-12c6146b", "InstanceType": "m5.xlarge"}
    world.client("ec2").create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
    world.client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=name,
        MinSize=0,
        MaxSize=5,
        DesiredCapacity=1,
        VPCZoneIdentifier=",".join(subnets),
        LaunchTemplate={"LaunchTemplateName": name, "Version": "$Latest"},
        Tags=[{"Key": f"kubernetes.io/cluster/{NAME}", "Value": "owned", "PropagateAtLaunch": True}],
    )


@pytest.fixture(scope="module")
def old(binaries: Binaries) -> Iterator[DeclaredCluster]:
    with DeclaredCluster(binaries, STACK, first_nodes=2, names=[NAME], prepare=make_old_cluster) as running:
        create_team(running.admin, "shop", pods=4, waiting=2, nodeSelector={})
        yield running


def sizes(old: DeclaredCluster) -> dict[str, int]:
    return {name: old.group(name)["DesiredCapacity"] for name in (ADOPTED, STRANGE)}


def ours(old: DeclaredCluster) -> set[str]:
    """Names of what an autoscaler has in the cluster, beside what Kubernetes itself brings."""
    kinds: tuple[Any, ...] = (ClusterRole, ClusterRoleBinding)
    return {str(item.metadata.name) for kind in kinds for item in old.admin.list(kind) if "autoscal" in str(item.metadata.name)}


def test_the_stack_changes_nothing_inside_the_cluster_and_scans_fail_until_somebody_does(old: DeclaredCluster) -> None:
    before = ours(old)
    assert not {name for name in before if name.startswith("eks-autoscaling")}
    done = old.scan()
    assert done.error is not None
    assert "is forbidden" in done.error["errorMessage"]
    assert sizes(old) == {ADOPTED: 1, STRANGE: 1}
    assert old.function_writes() == []
    assert ours(old) == before


def test_with_the_manifests_applied_a_scan_grows_the_adopted_group_and_leaves_the_other_alone(old: DeclaredCluster) -> None:
    exported = json.loads(json.dumps(old.deployment.outputs["manifests"]))
    assert exported["kind"] == "List"
    for manifest in exported["items"]:
        old.control_planes[NAME].apply(manifest)
    tags = {tag["Key"]: tag["Value"] for tag in old.group(ADOPTED)["Tags"]}
    assert tags == {**DISCOVERY, f"kubernetes.io/cluster/{NAME}": "owned"}
    assert not DISCOVERY.keys() & {tag["Key"] for tag in old.group(STRANGE)["Tags"]}
    done = old.scan()
    assert done.error is None, done.error
    assert done.result["failures"] == done.result["faults"] == []
    assert [(item["group"], item["from"], item["to"]) for item in done.result["scale_up"]] == [(ADOPTED, 1, 3)]
    assert sizes(old) == {ADOPTED: 3, STRANGE: 1}
    assert old.function_writes() == ["SetDesiredCapacity"]


def test_the_pods_run_on_the_nodes_that_joined(old: DeclaredCluster) -> None:
    wait_for_ready_nodes(old.admin, 4, seconds=60)
    wait_for_running_pods(old.admin, "shop", 4)
    names = {str(pod.spec.nodeName) for pod in old.admin.list(Pod, namespace=NAMESPACE, labels={"team": "shop"}) if pod.spec}
    joined = old.joiner.nodes
    assert {joined[one["InstanceId"]] for one in old.group(ADOPTED)["Instances"]} < names


def test_a_scan_after_that_finds_nothing_to_do(old: DeclaredCluster) -> None:
    done = old.scan()
    assert done.error is None, done.error
    assert done.result["scale_up"] == []
    assert sizes(old) == {ADOPTED: 3, STRANGE: 1}
