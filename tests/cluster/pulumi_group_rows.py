"""Which AWS calls create a Fargate profile, and a self-managed node group: Auto Scaling group, lifecycle hook and instance profile."""

from typing import Any

from tests.cluster.aws_world import AwsWorld
from tests.cluster.pulumi_rows import Created, Inputs, Row, call

# What tells Pulumi's provider how to go about it, and is no parameter of the API.
_OF_THE_PROVIDER = {"waitForCapacityTimeout", "forceDelete"}


def _group(inputs: Inputs) -> Inputs:
    shaped = {key: value for key, value in inputs.items() if key not in _OF_THE_PROVIDER}
    shaped["VPCZoneIdentifier"] = ",".join(shaped.pop("vpcZoneIdentifiers"))
    shaped["tags"] = [{**tag, "resourceType": "auto-scaling-group"} for tag in shaped.pop("tags", [])]
    return shaped


def _group_outputs(_: dict[str, Any], inputs: Inputs) -> Created:
    name = inputs["name"]
    arn = f"arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:00000000-0000-0000-0000-000000000000:autoScalingGroupName/{name}"
    return name, {"arn": arn}


def _profile_outputs(answer: dict[str, Any], inputs: Inputs) -> Created:
    profile = answer["fargateProfile"]
    return f"{inputs['clusterName']}:{inputs['fargateProfileName']}", {"arn": profile["fargateProfileArn"]}


def _put_role_in(world: AwsWorld, answer: dict[str, Any], inputs: Inputs) -> None:
    wanted = {"instanceProfileName": answer["InstanceProfile"]["InstanceProfileName"], "roleName": inputs["role"]}
    call(world, "iam", "AddRoleToInstanceProfile", wanted, inputs["name"])


GROUP_ROWS = (
    Row(
        "aws:autoscaling/group:Group",
        "autoscaling",
        "CreateAutoScalingGroup",
        _group_outputs,
        name="name",
        renames={"name": "autoScalingGroupName"},
        shaped=_group,
    ),
    Row(
        "aws:autoscaling/lifecycleHook:LifecycleHook",
        "autoscaling",
        "PutLifecycleHook",
        lambda _, inputs: (inputs["name"], {}),
        name="name",
        renames={"name": "lifecycleHookName"},
    ),
    Row(
        "aws:iam/instanceProfile:InstanceProfile",
        "iam",
        "CreateInstanceProfile",
        lambda answer, inputs: (inputs["name"], {"arn": answer["InstanceProfile"]["Arn"]}),
        name="name",
        renames={"name": "instanceProfileName"},
        after=frozenset({"role"}),
        follow=_put_role_in,
    ),
    Row(
        "aws:eks/fargateProfile:FargateProfile",
        "eks",
        "CreateFargateProfile",
        _profile_outputs,
        name="fargateProfileName",
        renames={"subnetIds": "subnets"},
    ),
)
