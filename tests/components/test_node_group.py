"""Node groups: what they declare, what they leave to the autoscaler, and what they refuse."""

from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from eks_autoscaling import ClusterRef, OnDemandNodeGroup, SpotNodeGroup
from eks_autoscaling.misuse import ArgumentError
from tests.cluster.pulumi_mocks import Deployment, preview
from tests.components import programs

NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
LAUNCH_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"


def group_tags(deployment: Deployment) -> dict[str, str]:
    return {tag.inputs["tag"]["key"]: tag.inputs["tag"]["value"] for tag in deployment.of_type("aws:autoscaling/tag:Tag")}


def test_the_autoscaler_owns_the_desired_size() -> None:
    group = programs.spot(min_size=2).one(NODE_GROUP)
    assert group.inputs["scalingConfig"] == {"minSize": 2, "maxSize": 10, "desiredSize": 2}
    assert group.options.ignore_changes == ("scalingConfig.desiredSize",)


def test_the_program_can_take_the_desired_size_back() -> None:
    group = programs.spot(desired_size=4, ignore_desired_size=False).one(NODE_GROUP)
    assert group.inputs["scalingConfig"]["desiredSize"] == 4
    assert group.options.ignore_changes == ()


def test_a_made_name_lets_a_replacement_stand_before_the_old_group_goes() -> None:
    group = programs.spot().one(NODE_GROUP)
    assert "nodeGroupName" not in group.inputs
    assert group.options.delete_before_replace is False


def test_a_fixed_name_deletes_all_nodes_first_only_when_told_to() -> None:
    """Left to itself, the provider deletes first what has a name of the program's own."""
    assert programs.spot(fixed_name="blue").one(NODE_GROUP).options.delete_before_replace is False
    told = programs.spot(fixed_name="blue", delete_before_replace=True).one(NODE_GROUP)
    assert told.inputs["nodeGroupName"] == "blue"
    assert told.options.delete_before_replace is True


def test_a_protected_group_lets_everything_else_go() -> None:
    assert programs.spot().one(NODE_GROUP).options.protect is False
    deployment = programs.spot(protect=True)
    assert [resource.type for resource in deployment.resources if resource.options.protect] == [NODE_GROUP]


def test_a_group_waits_for_what_its_component_waits_for() -> None:
    """Pulumi hands a component's depends_on to none of its children, and a group that comes before the CNI is small for ever."""

    def program() -> None:
        add_on = aws.eks.Addon("vpc-cni", cluster_name="prod", addon_name="vpc-cni")
        SpotNodeGroup("work", programs.GROUP, pulumi.ResourceOptions(depends_on=[add_on]))

    deployment = preview(program, {})
    group = deployment.one(NODE_GROUP)
    assert deployment.one("aws:eks/addon:Addon").urn in group.options.depends_on
    attachments = {resource.urn for resource in deployment.of_type("aws:iam/rolePolicyAttachment:RolePolicyAttachment")}
    assert attachments <= set(group.options.depends_on)


def test_an_update_goes_by_a_share_of_the_nodes_unless_told_a_number() -> None:
    assert programs.spot().one(NODE_GROUP).inputs["updateConfig"] == {"maxUnavailablePercentage": 33}
    assert programs.spot(max_unavailable_percentage=50).one(NODE_GROUP).inputs["updateConfig"] == {"maxUnavailablePercentage": 50}
    minimal = programs.spot(max_unavailable=2, update_strategy="MINIMAL").one(NODE_GROUP)
    assert minimal.inputs["updateConfig"] == {"maxUnavailable": 2, "updateStrategy": "MINIMAL"}


def test_nodes_are_repaired_by_those_who_ask_for_it() -> None:
    assert "nodeRepairConfig" not in programs.spot().one(NODE_GROUP).inputs
    assert programs.spot(node_repair=True).one(NODE_GROUP).inputs["nodeRepairConfig"] == {"enabled": True}
    limits = {"max_unhealthy_percentage": 20, "max_parallel_count": 1}
    limited = programs.spot(node_repair=True, node_repair_limits=limits).one(NODE_GROUP)
    assert limited.inputs["nodeRepairConfig"] == {
        "enabled": True,
        "maxUnhealthyNodeThresholdPercentage": 20,
        "maxParallelNodesRepairedCount": 1,
    }


def test_a_spot_group_with_few_pools_is_told_how_to_get_more(caplog: pytest.LogCaptureFixture) -> None:
    programs.spot(instance_types=["m5.xlarge", "m5a.xlarge"], subnet_ids=["subnet-1", "subnet-2"])
    (warning,) = caplog.messages
    assert "2 instance types in 2 subnets are 4 spot pools, fewer than 5" in warning
    assert "lambda-autoscaler types --vcpus 4 --memory 16 --architecture x86_64 --output python" in warning


@pytest.mark.parametrize(
    ("declare", "subnets"), [(programs.spot, ["subnet-1", "subnet-2", "subnet-3"]), (programs.on_demand, ["subnet-1"])]
)
def test_no_other_group_is(declare: Any, subnets: list[str], caplog: pytest.LogCaptureFixture) -> None:
    declare(instance_types=["m5.xlarge", "m5a.xlarge"], subnet_ids=subnets)
    assert caplog.messages == []


def test_subnets_that_are_not_there_yet_are_not_looked_at_in_a_preview() -> None:
    def program() -> None:
        subnet = aws.ec2.Subnet("new", vpc_id="vpc-1", cidr_block="10.0.0.0/19")
        SpotNodeGroup("work", {**programs.GROUP, "subnet_ids": [subnet.id]})

    deployment = preview(program, {})
    assert deployment.one("aws:ec2/subnet:Subnet").urn in deployment.one(NODE_GROUP).options.depends_on


def test_subnets_without_room_for_the_largest_size_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"they have 123 addresses, and 10 nodes full of pods take 600 \(60 each\)"):
        programs.spot(subnet_ids=["subnet-small"])
    assert programs.spot(subnet_ids=["subnet-small"], max_size=2).one(NODE_GROUP).inputs["subnetIds"] == ["subnet-small"]
    assert programs.spot(subnet_ids=["subnet-small"], addresses_per_node=12).one(NODE_GROUP).inputs["subnetIds"] == ["subnet-small"]


def test_a_zone_stands_in_the_tags_of_the_empty_group() -> None:
    tags = group_tags(programs.spot(zone="us-east-1a"))
    prefix = "k8s.io/cluster-autoscaler/node-template/label/"
    assert tags[f"{prefix}topology.kubernetes.io/zone"] == tags[f"{prefix}topology.ebs.csi.aws.com/zone"] == "us-east-1a"


def test_a_subnet_in_another_zone_is_refused() -> None:
    with pytest.raises(ArgumentError, match="zone is 'us-east-1a': the subnet subnet-in-b is in us-east-1b"):
        programs.spot(subnet_ids=["subnet-1", "subnet-in-b"], zone="us-east-1a")


def test_a_name_fixed_twice_in_a_cluster_is_refused() -> None:
    def program(other_cluster: str) -> Any:
        def declare() -> None:
            OnDemandNodeGroup("system", {**programs.GROUP, "fixed_name": "work"})
            other: ClusterRef = {"name": other_cluster, "arn": f"arn:aws:eks:eu-west-1:123456789012:cluster/{other_cluster}"}
            SpotNodeGroup("work", {**programs.GROUP, "cluster": other, "fixed_name": "work"})

        return declare

    preview(program("staging"), {})
    for _ in range(2):
        with pytest.raises(ArgumentError, match="fixed_name is 'work': another node group of this cluster has it"):
            preview(program("prod"), {})


def test_a_name_fixed_twice_is_refused_in_a_cluster_that_is_not_there_yet() -> None:
    def program() -> None:
        cluster = aws.eks.Cluster("new", role_arn="arn:aws:iam::123456789012:role/cluster", vpc_config={"subnet_ids": ["subnet-1"]})
        for name in ("system", "work"):
            SpotNodeGroup(name, {**programs.GROUP, "cluster": {"name": cluster.name, "arn": cluster.arn}, "fixed_name": "same"})

    with pytest.raises(ArgumentError, match="fixed_name is 'same'"):
        preview(program, {})


@pytest.mark.parametrize(("declare", "capacity_type"), [(programs.spot, "SPOT"), (programs.on_demand, "ON_DEMAND")])
def test_the_capacity_type_is_the_kind_of_group(declare: Any, capacity_type: str) -> None:
    assert declare().one(NODE_GROUP).inputs["capacityType"] == capacity_type


@pytest.mark.parametrize(("instance_type", "ami_type"), [("m5.xlarge", "AL2023_x86_64_STANDARD"), ("m6g.xlarge", "AL2023_ARM_64_STANDARD")])
def test_the_image_follows_the_architecture_of_the_types(instance_type: str, ami_type: str) -> None:
    assert programs.spot(instance_types=[instance_type]).one(NODE_GROUP).inputs["amiType"] == ami_type


def test_labels_and_taints_go_to_the_nodes_and_to_the_tags_of_the_empty_group() -> None:
    deployment = programs.spot(labels={"team": "data"}, taints=[{"key": "dedicated", "value": "data", "effect": "NoSchedule"}])
    inputs = deployment.one(NODE_GROUP).inputs
    assert inputs["labels"] == {"team": "data"}
    assert inputs["taints"] == [{"key": "dedicated", "value": "data", "effect": "NO_SCHEDULE"}]
    prefix = "k8s.io/cluster-autoscaler/node-template/"
    assert group_tags(deployment) == {
        "k8s.io/cluster-autoscaler/enabled": "true",
        "k8s.io/cluster-autoscaler/prod": "owned",
        f"{prefix}label/eks.amazonaws.com/capacityType": "SPOT",
        f"{prefix}label/team": "data",
        f"{prefix}taint/dedicated": "data:NoSchedule",
        f"{prefix}resources/ephemeral-storage": "50Gi",
        f"{prefix}resources/pods": "58",
    }


def test_a_larger_disk_is_seen_from_zero_too() -> None:
    deployment = programs.spot(disk_size_gib=200)
    volume = deployment.one(LAUNCH_TEMPLATE).inputs["blockDeviceMappings"][0]
    assert (volume["deviceName"], volume["ebs"]["volumeSize"]) == ("/dev/xvda", 200)
    sizes = [tag.inputs["tag"]["value"] for tag in deployment.of_type("aws:autoscaling/tag:Tag") if tag.name.endswith("ephemeral-storage")]
    assert sizes == ["200Gi"]


def test_bottlerocket_gets_the_disk_on_its_data_volume() -> None:
    template = programs.spot(ami_type="BOTTLEROCKET_x86_64").one(LAUNCH_TEMPLATE)
    data, system = template.inputs["blockDeviceMappings"]
    assert (data["deviceName"], data["ebs"]["volumeSize"]) == ("/dev/xvdb", 50)
    assert (system["deviceName"], system["ebs"]) == ("/dev/xvda", {"encrypted": "true", "deleteOnTermination": "true"})


def test_the_launch_template_holds_nothing_that_eks_sets_itself() -> None:
    inputs = programs.spot().one(LAUNCH_TEMPLATE).inputs
    assert not {"instanceType", "iamInstanceProfile", "networkInterfaces", "instanceInitiatedShutdownBehavior"} & set(inputs)


def test_a_shared_role_takes_the_place_of_a_new_one() -> None:
    deployment = programs.spot(node_role_arn="arn:aws:iam::123456789012:role/nodes")
    assert deployment.of_type("aws:iam/role:Role") == []
    assert deployment.one(NODE_GROUP).inputs["nodeRoleArn"] == "arn:aws:iam::123456789012:role/nodes"


def test_nodes_wait_for_the_permissions_of_their_role() -> None:
    deployment = programs.spot()
    attachments = {resource.urn for resource in deployment.of_type("aws:iam/rolePolicyAttachment:RolePolicyAttachment")}
    assert len(attachments) == 3
    assert attachments <= set(deployment.one(NODE_GROUP).options.depends_on)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_size": 5, "max_size": 3}, "min_size is 5: use at most max_size, which is 3"),
        ({"min_size": -1}, "min_size is -1: use 0 or more"),
        ({"max_size": 0}, "max_size is 0: use 1 or more"),
        ({"desired_size": 11}, "desired_size is 11: use a value from min_size to max_size, 0 to 10"),
        ({"instance_types": ["m5.xlarge", "m5.2xlarge"]}, r"instance_types is \['m5.2xlarge'\]: the other types have 4 vCPU"),
        ({"subnet_ids": []}, r"subnet_ids is \[\]: name at least one subnet"),
        ({"ami_type": "AL2023_ARM_64_STANDARD"}, "the instance types are x86_64: use one of AL2023_x86_64_STANDARD"),
        ({"labels": {"kubernetes.io/arch": "amd64"}}, "EKS reserves the prefixes"),
        ({"labels": {"a b": "c"}}, "labels is 'a b': a key is up to 63 letters"),
        ({"labels": {"a" * 64: "c"}}, "a key is up to 63 letters"),
        ({"labels": {"a": "c" * 64}}, "the value of 'a' may have up to 63 letters"),
        ({"taints": [{"key": "a", "value": "b c", "effect": "NoSchedule"}]}, "taints is 'b c': the value of 'a' may have"),
        ({"version": "1.34.2"}, "version is '1.34.2': write major and minor version alone"),
        ({"taints": [{"key": "a", "effect": "Never"}]}, "the effect of taint 'a' must be one of"),
        ({"max_unavailable_percentage": 0}, "max_unavailable_percentage is 0: use 1 to 100"),
        ({"max_unavailable": 101}, "max_unavailable is 101: use 1 to 100"),
        ({"max_unavailable": 1, "max_unavailable_percentage": 33}, "max_unavailable is 1: leave it out, or leave out max_unavailable_perc"),
        ({"update_strategy": "FAST"}, "update_strategy is 'FAST': use one of DEFAULT, MINIMAL"),
        ({"node_repair_limits": {"max_parallel_count": 1}}, "add node_repair, or leave this out"),
        (
            {"node_repair": True, "node_repair_limits": {"max_parallel_count": 1, "max_parallel_percentage": 9}},
            "max_parallel_count is 1: leave it out, or leave out max_parallel_percentage",
        ),
        ({"node_repair": True, "node_repair_limits": {"max_unhealthy_percentage": 101}}, "max_unhealthy_percentage is 101: use 1 to 100"),
        ({"max_pods": 0}, "max_pods is 0: use 1 to 110"),
        ({"max_pods": 111}, "max_pods is 111: use 1 to 110"),
        ({"addresses_per_node": 0}, "addresses_per_node is 0: use 1 or more"),
        (
            {"instance_types": ["m5.xlarge", "m4.xlarge"], "vpc_cni": {"prefix_delegation": True}},
            r"instance_types is \['m4.xlarge'\]: they cannot have address prefixes",
        ),
        ({"labels": {f"example.com/{number}": "a" for number in range(43)}}, "45 fit on an Auto Scaling group"),
        ({"delete_before_replace": True}, "leave it out, or give a fixed_name"),
        ({"fixed_name": "x" * 64}, "use 1 to 63 letters"),
        ({"name": "x" * 56}, "use 1 to 55 letters"),
    ],
)
def test_arguments_that_cannot_work_are_refused_before_anything_is_declared(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        programs.spot(**arguments)
