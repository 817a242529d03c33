"""The tutorial stack, deployed into the world as ``pulumi up`` would deploy it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from eks_autoscaling import rbac
from tests.cluster.aws_protocol import AwsError
from tests.cluster.aws_world import AwsWorld
from tests.cluster.principals import Credentials
from tests.cluster.pulumi_mocks import Deployment, preview
from tests.components.conftest import TUTORIAL

pytestmark = pytest.mark.aws

CLUSTER = "eks-spot-managed-node-groups"
FAMILIES = ("m5", "m4", "m5a", "m5d", "m5n", "m5ad", "m5dn")


def group_of(world: AwsWorld, name: str) -> dict[str, Any]:
    found = world.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])
    group: dict[str, Any] = found["AutoScalingGroups"][0]
    return group


def tags_of(group: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in group["Tags"]}


@pytest.fixture
def role(tutorial: Deployment, tutorial_world: AwsWorld) -> Credentials:
    """What Lambda gives the function."""
    return tutorial_world.credentials_of(tutorial.outputs["function_role_arn"], session_name="autoscaler")


def test_the_cluster_admits_by_access_entries_and_not_its_creator(tutorial: Deployment, tutorial_world: AwsWorld) -> None:
    cluster = tutorial_world.client("eks").describe_cluster(name=CLUSTER)["cluster"]
    assert cluster["accessConfig"] == {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False}


def test_whoever_deploys_the_tutorial_becomes_its_administrator(tutorial: Deployment, tutorial_world: AwsWorld) -> None:
    associated = tutorial_world.client("eks").list_associated_access_policies(
        clusterName=CLUSTER, principalArn="arn:aws:iam::123456789012:user/administrator"
    )["associatedAccessPolicies"]
    assert [(policy["policyArn"].rpartition("/")[2], policy["accessScope"]["type"]) for policy in associated] == [
        ("AmazonEKSClusterAdminPolicy", "cluster")
    ]


def test_the_spot_group_lists_seven_types_from_two_to_twenty_nodes(tutorial: Deployment, tutorial_world: AwsWorld) -> None:
    group = group_of(tutorial_world, tutorial.outputs["spot_auto_scaling_group"])
    overrides = group["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"]
    assert [override["InstanceType"] for override in overrides] == [f"{family}.xlarge" for family in FAMILIES]
    assert (group["MinSize"], group["DesiredCapacity"], group["MaxSize"], len(group["Instances"])) == (2, 2, 20, 2)
    assert group["CapacityRebalance"] is True


def test_the_spot_groups_tags_tell_how_to_find_it_and_what_its_nodes_would_be(tutorial: Deployment, tutorial_world: AwsWorld) -> None:
    tags = tags_of(group_of(tutorial_world, tutorial.outputs["spot_auto_scaling_group"]))
    assert tags == {
        "eks:cluster-name": CLUSTER,
        "eks:nodegroup-name": "spot-4vcpu-16gb",
        "k8s.io/cluster-autoscaler/enabled": "true",
        f"k8s.io/cluster-autoscaler/{CLUSTER}": "owned",
        f"kubernetes.io/cluster/{CLUSTER}": "owned",
        "k8s.io/cluster-autoscaler/node-template/label/eks.amazonaws.com/capacityType": "SPOT",
        "k8s.io/cluster-autoscaler/node-template/resources/ephemeral-storage": "50Gi",
        "k8s.io/cluster-autoscaler/node-template/resources/pods": "58",
    }


def test_the_nodes_have_imdsv2_and_an_encrypted_gp3_volume(tutorial: Deployment, tutorial_world: AwsWorld) -> None:
    identifier = tutorial.one("aws:ec2/launchTemplate:LaunchTemplate", "spot-4vcpu-16gb").id
    versions = tutorial_world.client("ec2").describe_launch_template_versions(LaunchTemplateId=identifier)
    data = versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    volume = data["BlockDeviceMappings"][0]["Ebs"]
    assert (volume["VolumeType"], volume["Encrypted"], volume["VolumeSize"]) == ("gp3", True, 50)
    assert {tags["ResourceType"] for tags in data["TagSpecifications"]} == {"instance", "volume", "network-interface"}


def test_the_schedule_runs_every_minute_without_retries(tutorial: Deployment, tutorial_world: AwsWorld) -> None:
    schedule = tutorial_world.client("scheduler").get_schedule(Name=tutorial.outputs["schedule_name"])
    assert schedule["ScheduleExpression"] == "rate(1 minute)"
    assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}
    assert schedule["State"] == "ENABLED"
    target = schedule["Target"]
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 0}
    assert target["Arn"].endswith(f":function:{tutorial.outputs['function_name']}")
    assert json.loads(target["Input"]) == {
        "version": "0",
        "id": "<aws.scheduler.execution-id>",
        "source": "aws.scheduler",
        "detail-type": "Scheduled Event",
        "time": "<aws.scheduler.scheduled-time>",
        "resources": ["<aws.scheduler.schedule-arn>"],
        "detail": {},
    }


def test_lambda_does_not_retry_a_scan_either(tutorial: Deployment, tutorial_world: AwsWorld) -> None:
    config = tutorial_world.client("lambda").get_function_event_invoke_config(FunctionName=tutorial.outputs["function_name"])
    assert (config["MaximumRetryAttempts"], config["MaximumEventAgeInSeconds"]) == (0, 60)


def test_the_function_runs_one_scan_at_a_time_on_arm_with_its_cluster_in_the_environment(
    tutorial: Deployment, tutorial_world: AwsWorld
) -> None:
    function = tutorial_world.client("lambda").get_function(FunctionName=tutorial.outputs["function_name"])
    settings = function["Configuration"]
    assert (settings["Handler"], settings["Runtime"]) == ("lambda_autoscaler.handler.scan", "python3.13")
    assert settings["Architectures"] == ["arm64"]
    assert settings["Environment"]["Variables"] == {
        "AUTOSCALER_CLUSTER_NAME": CLUSTER,
        "POWERTOOLS_SERVICE_NAME": "eks-autoscaling",
        "POWERTOOLS_METRICS_NAMESPACE": "EksAutoscaling",
        "POWERTOOLS_LOG_LEVEL": "INFO",
    }
    assert function["Concurrency"] == {"ReservedConcurrentExecutions": 1}


def test_log_groups_keep_logs_for_a_limited_time(tutorial: Deployment, tutorial_world: AwsWorld) -> None:
    declared = {group.outputs["name"] for group in tutorial.of_type("aws:cloudwatch/logGroup:LogGroup")}
    groups = tutorial_world.client("logs").describe_log_groups()["logGroups"]
    retention = {group["logGroupName"]: group.get("retentionInDays") for group in groups if group["logGroupName"] in declared}
    assert retention == {
        f"/aws/eks/{CLUSTER}/cluster": 90,
        tutorial.outputs["log_group"]: 30,
        tutorial.outputs["interruption_log_group"]: 30,
    }


def test_the_access_entry_puts_the_functions_role_into_the_group_that_rbac_knows(tutorial: Deployment, tutorial_world: AwsWorld) -> None:
    entry = tutorial_world.client("eks").describe_access_entry(clusterName=CLUSTER, principalArn=tutorial.outputs["function_role_arn"])[
        "accessEntry"
    ]
    assert (entry["type"], entry["kubernetesGroups"]) == ("STANDARD", [rbac.GROUP])
    bound = {
        (manifest["kind"], subject["name"]): manifest["roleRef"]["name"]
        for manifest in tutorial.manifests
        if manifest["kind"].endswith("Binding")
        for subject in manifest["subjects"]
    }
    assert bound == {
        ("ClusterRoleBinding", rbac.GROUP): rbac.GROUP,
        ("RoleBinding", rbac.GROUP): rbac.GROUP,
        ("ClusterRoleBinding", rbac.INTERRUPTION_GROUP): rbac.INTERRUPTION_GROUP,
    }


def test_kubernetes_gets_the_manifests_that_the_component_exports(tutorial: Deployment, applied: list[dict[str, Any]]) -> None:
    fair = rbac.flow_control([rbac.GROUP, rbac.INTERRUPTION_GROUP])
    declared = rbac.manifests() + rbac.interruption_manifests() + fair
    exported = {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in declared}
    assert {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in applied} == exported
    assert tutorial.manifests == applied


def test_the_functions_role_resizes_groups_of_its_cluster(tutorial: Deployment, tutorial_world: AwsWorld, role: Credentials) -> None:
    name = tutorial.outputs["on_demand_auto_scaling_group"]
    autoscaling = tutorial_world.client("autoscaling", role)
    autoscaling.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=3)
    group = group_of(tutorial_world, name)
    assert group["DesiredCapacity"] == 3
    autoscaling.terminate_instance_in_auto_scaling_group(
        InstanceId=group["Instances"][0]["InstanceId"], ShouldDecrementDesiredCapacity=True
    )
    assert group_of(tutorial_world, name)["DesiredCapacity"] == 2


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"k8s.io/cluster-autoscaler/enabled": "true"},
        {"k8s.io/cluster-autoscaler/enabled": "true", "k8s.io/cluster-autoscaler/another-cluster": "owned"},
        {"k8s.io/cluster-autoscaler/enabled": "false", f"k8s.io/cluster-autoscaler/{CLUSTER}": "owned"},
    ],
)
def test_the_functions_role_cannot_resize_a_group_without_both_tags(
    tutorial: Deployment, tutorial_world: AwsWorld, role: Credentials, tags: dict[str, str]
) -> None:
    autoscaling = tutorial_world.client("autoscaling")
    template = tutorial.one("aws:ec2/launchTemplate:LaunchTemplate", "spot-4vcpu-16gb").id
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="stranger",
        MinSize=0,
        MaxSize=5,
        DesiredCapacity=0,
        AvailabilityZones=["us-east-1a"],
        LaunchTemplate={"LaunchTemplateId": template},
        Tags=[{"Key": key, "Value": value, "PropagateAtLaunch": False} for key, value in tags.items()],
    )
    try:
        with pytest.raises(ClientError) as refused:
            tutorial_world.client("autoscaling", role).set_desired_capacity(AutoScalingGroupName="stranger", DesiredCapacity=1)
    finally:
        autoscaling.delete_auto_scaling_group(AutoScalingGroupName="stranger", ForceDelete=True)
    error = refused.value.response["Error"]
    assert error["Code"] == "AccessDenied"
    assert "is not authorized to perform: autoscaling:SetDesiredCapacity on resource: arn:aws:autoscaling:" in error["Message"]
    assert error["Message"].endswith("because no identity-based policy allows the autoscaling:SetDesiredCapacity action")


READS: list[tuple[str, Callable[[Any, Deployment], Any]]] = [
    ("eks", lambda client, _: client.describe_cluster(name=CLUSTER)),
    ("eks", lambda client, _: client.describe_nodegroup(clusterName=CLUSTER, nodegroupName="spot-4vcpu-16gb")),
    ("autoscaling", lambda client, _: client.describe_auto_scaling_groups()),
    ("autoscaling", lambda client, _: client.describe_launch_configurations()),
    (
        "autoscaling",
        lambda client, stack: client.describe_scaling_activities(AutoScalingGroupName=stack.outputs["spot_auto_scaling_group"]),
    ),
    ("ec2", lambda client, _: client.describe_instance_types(InstanceTypes=["m5.xlarge"])),
    ("ec2", lambda client, _: client.describe_spot_price_history(InstanceTypes=["m5.xlarge"])),
    ("ec2", lambda client, _: client.describe_images(ImageIds=["ami-12c6146b"])),
    (
        "ec2",
        lambda client, stack: client.describe_launch_template_versions(
            LaunchTemplateId=stack.one("aws:ec2/launchTemplate:LaunchTemplate", "spot-4vcpu-16gb").id
        ),
    ),
    ("logs", lambda client, stack: client.create_log_stream(logGroupName=stack.outputs["log_group"], logStreamName="stream")),
]


@pytest.mark.parametrize(("service", "read"), READS)
def test_the_functions_role_may_read_what_a_scan_reads(
    tutorial: Deployment,
    tutorial_world: AwsWorld,
    role: Credentials,
    service: str,
    read: Callable[[Any, Deployment], Any],
) -> None:
    assert read(tutorial_world.client(service, role), tutorial)


FORBIDDEN: list[tuple[str, Callable[[Any], Any]]] = [
    ("autoscaling", lambda client: client.delete_auto_scaling_group(AutoScalingGroupName="any")),
    ("autoscaling", lambda client: client.update_auto_scaling_group(AutoScalingGroupName="any", MaxSize=1000)),
    ("autoscaling", lambda client: client.create_or_update_tags(Tags=[{"Key": "k8s.io/cluster-autoscaler/enabled", "Value": "true"}])),
    ("ec2", lambda client: client.terminate_instances(InstanceIds=["i-0123456789abcdef0"])),
    ("ec2", lambda client: client.run_instances(MinCount=1, MaxCount=1)),
    ("ec2", lambda client: client.describe_instances()),
    ("eks", lambda client: client.describe_cluster(name="another-cluster")),
    ("eks", lambda client: client.describe_nodegroup(clusterName="another-cluster", nodegroupName="spot")),
    ("eks", lambda client: client.update_nodegroup_config(clusterName=CLUSTER, nodegroupName="spot-4vcpu-16gb")),
    ("eks", lambda client: client.list_clusters()),
    ("iam", lambda client: client.list_roles()),
    ("logs", lambda client: client.create_log_stream(logGroupName="/aws/lambda/another", logStreamName="stream")),
    ("lambda", lambda client: client.invoke(FunctionName="another")),
]


@pytest.mark.parametrize(("service", "attempt"), FORBIDDEN)
def test_the_functions_role_may_do_nothing_else(
    tutorial_world: AwsWorld, role: Credentials, service: str, attempt: Callable[[Any], Any]
) -> None:
    with pytest.raises(ClientError, match="is not authorized to perform"):
        attempt(tutorial_world.client(service, role))


def test_only_lambda_may_take_the_functions_role(tutorial: Deployment, tutorial_world: AwsWorld) -> None:
    with pytest.raises(AwsError, match="not authorized to perform: sts:AssumeRole"):
        tutorial_world.credentials_of(tutorial.outputs["function_role_arn"], service="ec2.amazonaws.com")


def test_the_schedules_role_invokes_the_function_and_nothing_else(tutorial: Deployment, tutorial_world: AwsWorld) -> None:
    target = tutorial_world.client("scheduler").get_schedule(Name=tutorial.outputs["schedule_name"])["Target"]
    tutorial_world.may_invoke(target["RoleArn"], target["Arn"])
    with pytest.raises(AwsError, match="is not authorized to perform: lambda:InvokeFunction"):
        tutorial_world.may_invoke(target["RoleArn"], target["Arn"] + "-other")
    ours = {"aws:SourceAccount": "123456789012", "aws:SourceArn": "arn:aws:scheduler:us-east-1:123456789012:schedule-group/default"}
    credentials = tutorial_world.credentials_of(target["RoleArn"], "scheduler.amazonaws.com", context=ours)
    with pytest.raises(ClientError, match="is not authorized to perform: lambda:GetFunction"):
        tutorial_world.client("lambda", credentials).get_function(FunctionName=tutorial.outputs["function_name"])


def test_nobody_elses_schedule_may_use_the_role(tutorial: Deployment, tutorial_world: AwsWorld) -> None:
    target = tutorial_world.client("scheduler").get_schedule(Name=tutorial.outputs["schedule_name"])["Target"]
    theirs = {"aws:SourceAccount": "999999999999", "aws:SourceArn": "arn:aws:scheduler:us-east-1:999999999999:schedule-group/default"}
    with pytest.raises(AwsError, match="not authorized to perform: sts:AssumeRole"):
        tutorial_world.credentials_of(target["RoleArn"], "scheduler.amazonaws.com", context=theirs)


def test_the_schedule_waits_for_the_permissions_of_a_scan(tutorial: Deployment) -> None:
    waits_for = {urn.split("::")[2].rpartition("$")[2] for urn in tutorial.one("aws:scheduler/schedule:Schedule").options.depends_on}
    assert {"aws:eks/accessEntry:AccessEntry", "aws:iam/rolePolicy:RolePolicy"} <= waits_for
    assert "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding" in waits_for


def test_a_preview_knows_no_output_and_declares_the_same_resources(tutorial: Deployment, function_zip: Path) -> None:
    previewed = preview(TUTORIAL, {"functionZip": str(function_zip)})
    assert sorted((resource.type, resource.name) for resource in previewed.resources) == sorted(
        (resource.type, resource.name) for resource in tutorial.resources
    )
    assert not any(resource.id for resource in previewed.resources)


def test_subnets_from_the_configuration_take_the_place_of_a_new_vpc(function_zip: Path) -> None:
    previewed = preview(TUTORIAL, {"functionZip": str(function_zip), "subnetIds": ["subnet-1", "subnet-2"]})
    assert previewed.of_type("aws:ec2/vpc:Vpc") == []
    assert previewed.one("aws:eks/cluster:Cluster").inputs["vpcConfig"]["subnetIds"] == ["subnet-1", "subnet-2"]


def test_the_control_plane_avoids_zones_in_which_eks_has_none(tutorial: Deployment) -> None:
    zones = {resource.inputs["availabilityZone"] for resource in tutorial.of_type("aws:ec2/subnet:Subnet")}
    assert len(zones) == 3
    assert "us-east-1e" not in zones
