"""To zero nodes and back, end to end: on a real control plane, with the packaged function, on what a stack declares.

One story, told in the order of the tests. It begins and twice ends without any node: the function needs none.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from lightkube.codecs import from_dict
from lightkube.resources.core_v1 import ConfigMap, Event, Node, Pod

from tests.cluster.binaries import Binaries
from tests.cluster.command_line import plan_live
from tests.cluster.coredns import coredns_nodes, create_coredns, create_coredns_budget, scale_coredns, wait_for_coredns
from tests.cluster.declared_cluster import CLUSTER, DeclaredCluster
from tests.cluster.function import Invocation
from tests.cluster.teams import NAMESPACE, create_team, scale_team, wait_for_running_pods, wait_for_unschedulable_pods
from tests.cluster.waiting import wait_for
from tests.cluster.workloads import wait_for_ready_nodes

pytestmark = pytest.mark.control_plane

PROGRAM = Path(__file__).parent / "programs" / "all_from_zero.py"
SETTINGS = {
    "scale-down-unneeded-time": "2s",
    "scale-down-delay-after-add": "0s",
    "unremovable-node-recheck-timeout": "1s",
    "node-delete-delay-after-taint": "1s",
}
TEMPLATE_TAG = "k8s.io/cluster-autoscaler/node-template/"
DEDICATED = ("batch", "untagged", "tagged")
GROUPS = ("general", *DEDICATED)
BACKGROUND = "background"
NOWHERE = dict.fromkeys(GROUPS, 0)
EVERYWHERE = dict.fromkeys(GROUPS, 1)


@pytest.fixture(scope="module")
def cluster(binaries: Binaries) -> Iterator[DeclaredCluster]:
    with DeclaredCluster(binaries, PROGRAM, first_nodes=0, settings=SETTINGS) as running:
        _create_tagged_group(running)
        yield running


def _create_tagged_group(cluster: DeclaredCluster) -> None:
    """A self-managed group that the stack does not know: what its nodes are like is in its node-template tags, and nowhere else."""
    data = {"ImageId": "ami-12c6146b", "InstanceType": "m5.xlarge"}
    cluster.world.client("ec2").create_launch_template(LaunchTemplateName="tagged", LaunchTemplateData=data)
    tags = {
        "k8s.io/cluster-autoscaler/enabled": "true",
        f"k8s.io/cluster-autoscaler/{CLUSTER}": "owned",
        f"kubernetes.io/cluster/{CLUSTER}": "owned",
        f"{TEMPLATE_TAG}label/team": "tagged",
        f"{TEMPLATE_TAG}taint/dedicated": "tagged:NoSchedule",
    }
    cluster.world.client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName="tagged",
        MinSize=0,
        MaxSize=3,
        DesiredCapacity=0,
        VPCZoneIdentifier=cluster.group(cluster.deployment.outputs["general"])["VPCZoneIdentifier"],
        LaunchTemplate={"LaunchTemplateName": "tagged", "Version": "$Latest"},
        Tags=[{"Key": key, "Value": value, "PropagateAtLaunch": True} for key, value in tags.items()],
    )


def _asg(cluster: DeclaredCluster, name: str) -> str:
    return str(cluster.deployment.outputs.get(name, name))


def _sizes(cluster: DeclaredCluster) -> dict[str, int]:
    """Desired capacity by group, once the group has as many instances in service."""
    groups = {name: cluster.group(_asg(cluster, name)) for name in GROUPS}
    in_service = {name: [one for one in group["Instances"] if one["LifecycleState"] == "InService"] for name, group in groups.items()}
    assert {name: len(instances) for name, instances in in_service.items()} == {
        name: group["DesiredCapacity"] for name, group in groups.items()
    }
    return {name: group["DesiredCapacity"] for name, group in groups.items()}


def _scan(cluster: DeclaredCluster) -> Invocation:
    done = cluster.scan()
    assert done.error is None, done.error
    assert done.result["failures"] == done.result["faults"] == []
    assert done.result["healthy"] is True
    return done


def _scan_until(cluster: DeclaredCluster, sizes: dict[str, int]) -> None:
    wait_for(f"groups of {sizes}", lambda: (_scan(cluster), _sizes(cluster))[1], lambda seen: seen == sizes, 120)


def _kept(cluster: DeclaredCluster) -> dict[str, tuple[str, str]]:
    """Why nodes stay, by name: the reason, and the rule or the namespace of the pod."""
    outcomes = plan_live(cluster)["nodes"]
    return {item["node"]: (item["reason"], item["rule"] or item["object"].partition("/")[0]) for item in outcomes if item["reason"]}


def _status(cluster: DeclaredCluster) -> dict[str, Any]:
    found = cluster.admin.get(ConfigMap, "cluster-autoscaler-status", namespace="kube-system")
    assert found.data is not None
    status: dict[str, Any] = yaml.safe_load(found.data["status"])
    return status


def _assert_scans_at_zero_go_well(cluster: DeclaredCluster) -> None:
    """Two scans of a cluster without nodes and without pods that are worth one: all is well, and nothing is asked for."""
    assert _sizes(cluster) == NOWHERE
    assert list(cluster.admin.list(Node)) == []
    cluster.world.forget_calls()
    results, times = [], []
    for _ in range(2):
        done = _scan(cluster)
        assert [line for line in done.logs if line.startswith("{") and json.loads(line).get("level") in ("WARNING", "ERROR")] == []
        results.append((done.result["result"], done.result["scale_up"], done.result["pending_pods"]))
        status = _status(cluster)
        times.append(status["time"])
        wide = status["clusterWide"]
        assert (wide["health"]["status"], wide["scaleUp"]["status"], wide["scaleDown"]["status"]) == (
            "Healthy",
            "NoActivity",
            "NoCandidates",
        )
        assert wide["health"]["nodeCounts"]["registered"]["total"] == 0
        groups = {group["name"]: (group["health"]["status"], group["health"]["cloudProviderTarget"]) for group in status["nodeGroups"]}
        assert groups == {_asg(cluster, name): ("Healthy", 0) for name in GROUPS}
    assert results == [("ScaleUpNotNeeded", [], 0)] * 2
    assert times[0] < times[1]
    assert cluster.function_writes() == []
    assert [event.message for event in cluster.admin.list(Event, namespace="kube-system") if event.reason == "ClusterUnhealthy"] == []


def test_scans_of_a_cluster_that_never_had_a_node_go_well_and_ask_for_nothing(cluster: DeclaredCluster) -> None:
    _assert_scans_at_zero_go_well(cluster)


def test_an_empty_group_carries_the_tags_of_eks_and_tells_what_its_nodes_would_be(cluster: DeclaredCluster) -> None:
    tags = {tag["Key"]: tag["Value"] for tag in cluster.group(_asg(cluster, "batch"))["Tags"]}
    assert tags == {
        "eks:cluster-name": CLUSTER,
        "eks:nodegroup-name": "batch",
        "k8s.io/cluster-autoscaler/enabled": "true",
        f"k8s.io/cluster-autoscaler/{CLUSTER}": "owned",
        f"kubernetes.io/cluster/{CLUSTER}": "owned",
        f"{TEMPLATE_TAG}label/eks.amazonaws.com/capacityType": "SPOT",
        f"{TEMPLATE_TAG}label/team": "batch",
        f"{TEMPLATE_TAG}taint/dedicated": "batch:NoSchedule",
        f"{TEMPLATE_TAG}resources/ephemeral-storage": "50Gi",
        f"{TEMPLATE_TAG}resources/pods": "58",
    }


def test_taints_of_groups_that_never_had_a_node_are_known_from_eks_or_from_tags(cluster: DeclaredCluster) -> None:
    """Pods that want the group's label and do not tolerate its taint bring no node."""
    for team in DEDICATED:
        metadata = {"name": f"stranger-{team}", "namespace": NAMESPACE, "labels": {"team": "strangers"}}
        spec = {"nodeSelector": {"team": team}, "containers": [{"name": "main", "image": "app"}]}
        cluster.admin.create(from_dict({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}))
    wait_for_unschedulable_pods(cluster.admin, "strangers", len(DEDICATED))
    plan = plan_live(cluster)
    for team in DEDICATED:
        cluster.admin.delete(Pod, f"stranger-{team}", namespace=NAMESPACE, grace_period=0)
    assert plan["scale_up"] == []
    assert {item["names"][0]: _rule(item, _asg(cluster, item["names"][0].partition("-")[2])) for item in plan["pods"]} == {
        f"stranger-{team}": "taint" for team in DEDICATED
    }


def _rule(pods: dict[str, Any], group: str) -> str:
    """The rule by which the pods do not fit a group's nodes."""
    (rule,) = (item["rule"] for item in pods["reasons"] if item["group"] == group)
    return str(rule)


def test_pods_bring_the_first_nodes(cluster: DeclaredCluster) -> None:
    create_coredns(cluster.admin)
    _create_background_work(cluster)
    create_team(cluster.admin, "general", pods=2)
    _scan_until(cluster, NOWHERE | {"general": 2})
    wait_for_ready_nodes(cluster.admin, 2, seconds=60)
    wait_for_running_pods(cluster.admin, "general", 2)
    wait_for_coredns(cluster.admin)
    wait_for_running_pods(cluster.admin, BACKGROUND, 1)


def _create_background_work(cluster: DeclaredCluster) -> None:
    """A Deployment that stays at one pod in the whole story, and whose priority says that it is worth no node."""
    priority = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": BACKGROUND}, "value": -20}
    cluster.admin.create(from_dict(priority))
    labels = {"team": BACKGROUND}
    pod = {"priorityClassName": BACKGROUND, "containers": [{"name": "main", "image": "app"}]}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    metadata = {"name": BACKGROUND, "namespace": NAMESPACE}
    cluster.admin.create(from_dict({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}))


def _collect_background_pod(cluster: DeclaredCluster) -> None:
    """What the pod garbage collector does once a pod's node has been gone for 40 seconds."""
    for pod in cluster.admin.list(Pod, namespace=NAMESPACE, labels={"team": BACKGROUND}):
        assert pod.metadata is not None
        cluster.admin.delete(Pod, str(pod.metadata.name), namespace=NAMESPACE, grace_period=0)


def test_kube_system_pods_without_a_disruption_budget_keep_their_nodes(cluster: DeclaredCluster) -> None:
    scale_team(cluster.admin, "general", 0)
    wait_for_running_pods(cluster.admin, "general", 0)
    holding = coredns_nodes(cluster.admin)
    wait_for(
        "both scans and plan to see CoreDNS keep its nodes",
        lambda: (_scan(cluster), {node: why for node, why in _kept(cluster).items() if node in holding})[1],
        lambda seen: {node: named for node, (_, named) in seen.items()} == dict.fromkeys(holding, "UnmovableKubeSystemPod"),
        30,
        pause=1.5,
    )
    assert holding
    assert _sizes(cluster)["general"] >= len(holding)


def test_the_last_node_stays_for_as_long_as_a_pod_on_it_has_no_other_place(cluster: DeclaredCluster) -> None:
    create_coredns_budget(cluster.admin)
    _scan_until(cluster, NOWHERE | {"general": 1})
    wait_for_ready_nodes(cluster.admin, 1, seconds=60)
    wait_for_coredns(cluster.admin)
    (last,) = coredns_nodes(cluster.admin)
    wait_for(
        "a plan that says why",
        lambda: (_scan(cluster), _kept(cluster))[1],
        lambda seen: {node: named for node, (_, named) in seen.items()} == {last: "kube-system"},
        30,
        pause=1.5,
    )
    assert _sizes(cluster) == NOWHERE | {"general": 1}


def test_the_last_node_goes_when_no_pod_but_those_of_daemon_sets_and_expendable_ones_is_left(cluster: DeclaredCluster) -> None:
    scale_coredns(cluster.admin, 0)
    _scan_until(cluster, NOWHERE)
    wait_for_ready_nodes(cluster.admin, 0, seconds=60)
    assert set(cluster.function_writes()) == {"SetDesiredCapacity", "TerminateInstanceInAutoScalingGroup"}


def test_scans_after_the_last_node_went_go_well_and_ask_for_nothing(cluster: DeclaredCluster) -> None:
    _collect_background_pod(cluster)
    wait_for_unschedulable_pods(cluster.admin, BACKGROUND, 1)
    _assert_scans_at_zero_go_well(cluster)


def test_every_group_comes_back_from_zero_for_its_pods(cluster: DeclaredCluster) -> None:
    scale_coredns(cluster.admin, 2)
    scale_team(cluster.admin, "general", 1)
    for team in DEDICATED:
        create_team(cluster.admin, team, pods=1)
    wait_for_unschedulable_pods(cluster.admin, "general", 1)
    cluster.world.forget_calls()
    _scan_until(cluster, EVERYWHERE)
    wait_for_ready_nodes(cluster.admin, len(GROUPS), seconds=60)
    for team in GROUPS:
        wait_for_running_pods(cluster.admin, team, 1)
    wait_for_coredns(cluster.admin)
    wait_for_running_pods(cluster.admin, BACKGROUND, 1)
    assert cluster.function_writes() == ["SetDesiredCapacity"] * len(GROUPS)


def test_a_group_with_a_minimum_of_one_keeps_its_last_node(cluster: DeclaredCluster) -> None:
    _set_minimum(cluster, "general", 1)
    scale_coredns(cluster.admin, 0)
    for team in GROUPS:
        scale_team(cluster.admin, team, 0)
    _scan_until(cluster, NOWHERE | {"general": 1})
    (last,) = wait_for("the others' nodes to go", lambda: _node_names(cluster), lambda seen: len(seen) == 1, 60)
    assert _kept(cluster)[last][0] == "NodeGroupMinSizeReached"
    for _ in range(3):
        _scan(cluster)
    assert _sizes(cluster) == NOWHERE | {"general": 1}


def test_once_its_minimum_is_zero_again_that_node_goes_too(cluster: DeclaredCluster) -> None:
    _set_minimum(cluster, "general", 0)
    _scan_until(cluster, NOWHERE)
    wait_for_ready_nodes(cluster.admin, 0, seconds=60)
    _assert_scans_at_zero_go_well(cluster)


def _node_names(cluster: DeclaredCluster) -> list[str]:
    return [str(node.metadata.name) for node in cluster.admin.list(Node) if node.metadata]


def _set_minimum(cluster: DeclaredCluster, name: str, size: int) -> None:
    """What ``pulumi up`` does when ``min_size`` was changed."""
    cluster.world.client("eks").update_nodegroup_config(clusterName=CLUSTER, nodegroupName=name, scalingConfig={"minSize": size})
