"""Node groups: what they declare, what they leave to the autoscaler, and what they refuse."""

from typing import Any

import pytest

from eks_autoscaling.misuse import ArgumentError
from tests.components import programs

NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
LAUNCH_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"


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
    assert not group.options.delete_before_replace


def test_a_fixed_name_deletes_all_nodes_first_only_when_told_to() -> None:
    assert not programs.spot(fixed_name="blue").one(NODE_GROUP).options.delete_before_replace
    told = programs.spot(fixed_name="blue", delete_before_replace=True).one(NODE_GROUP)
    assert told.inputs["nodeGroupName"] == "blue"
    assert told.options.delete_before_replace


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
    tags = {tag.inputs["tag"]["key"]: tag.inputs["tag"]["value"] for tag in deployment.of_type("aws:autoscaling/tag:Tag")}
    prefix = "k8s.io/cluster-autoscaler/node-template/"
    assert tags == {
        "k8s.io/cluster-autoscaler/enabled": "true",
        "k8s.io/cluster-autoscaler/prod": "owned",
        f"{prefix}label/eks.amazonaws.com/capacityType": "SPOT",
        f"{prefix}label/team": "data",
        f"{prefix}taint/dedicated": "data:NoSchedule",
        f"{prefix}resources/ephemeral-storage": "50Gi",
    }


def test_a_larger_disk_is_seen_from_zero_too() -> None:
    deployment = programs.spot(disk_size_gib=200)
    volume = deployment.one(LAUNCH_TEMPLATE).inputs["blockDeviceMappings"][0]
    assert (volume["deviceName"], volume["ebs"]["volumeSize"]) == ("/dev/xvda", 200)
    sizes = [tag.inputs["tag"]["value"] for tag in deployment.of_type("aws:autoscaling/tag:Tag") if tag.name.endswith("ephemeral-storage")]
    assert sizes == ["200Gi"]


def test_bottlerocket_gets_the_disk_on_its_data_volume() -> None:
    template = programs.spot(ami_type="BOTTLEROCKET_x86_64").one(LAUNCH_TEMPLATE)
    assert template.inputs["blockDeviceMappings"][0]["deviceName"] == "/dev/xvdb"


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
        ({"ami_type": "AL2023_ARM_64_STANDARD"}, "the instance types are x86_64, use an AMI type for it"),
        ({"labels": {"kubernetes.io/arch": "amd64"}}, "EKS reserves the prefixes"),
        ({"taints": [{"key": "a", "effect": "Never"}]}, "the effect of taint 'a' must be one of"),
        ({"max_unavailable_percentage": 0}, "max_unavailable_percentage is 0: use 1 to 100"),
        ({"delete_before_replace": True}, "leave it out, or give a fixed_name"),
        ({"fixed_name": "x" * 64}, "use 1 to 63 letters"),
        ({"name": "x" * 56}, "use 1 to 55 letters"),
    ],
)
def test_arguments_that_cannot_work_are_refused_before_anything_is_declared(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        programs.spot(**arguments)
