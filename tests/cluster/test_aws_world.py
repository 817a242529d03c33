"""The AWS account of the tests: what it adds to moto must be as on AWS, or the tests that stand on it prove nothing."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import urllib3
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from botocore.exceptions import ClientError

from tests.cluster.aws_world import AwsWorld
from tests.cluster.node_user_data import max_pods_of
from tests.cluster.principals import Credentials

pytestmark = pytest.mark.aws

TRUST_LAMBDA = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


@pytest.fixture(scope="module")
def shared_world() -> Iterator[AwsWorld]:
    with AwsWorld() as world:
        yield world


@pytest.fixture
def world(shared_world: AwsWorld) -> AwsWorld:
    shared_world.reset()
    return shared_world


@pytest.fixture
def role(world: AwsWorld) -> str:
    """A role for Lambda that may do nothing yet."""
    arn: str = world.client("iam").create_role(RoleName="function", AssumeRolePolicyDocument=json.dumps(TRUST_LAMBDA))["Role"]["Arn"]
    return arn


@pytest.fixture
def group(world: AwsWorld, role: str) -> str:
    """The Auto Scaling group of a spot node group, 2 of at most 20 nodes."""
    subnets = [subnet["SubnetId"] for subnet in world.client("ec2").describe_subnets()["Subnets"][:2]]
    eks = world.client("eks")
    access = {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False}
    eks.create_cluster(name="prod", roleArn=role, resourcesVpcConfig={"subnetIds": subnets}, accessConfig=access)
    node_group = eks.create_nodegroup(
        clusterName="prod",
        nodegroupName="spot",
        nodeRole=role,
        subnets=subnets,
        capacityType="SPOT",
        instanceTypes=["m5.xlarge", "m4.xlarge"],
        scalingConfig={"minSize": 2, "maxSize": 20, "desiredSize": 2},
    )["nodegroup"]
    name: str = node_group["resources"]["autoScalingGroups"][0]["name"]
    return name


def sizes(world: AwsWorld, group: str) -> tuple[int, int]:
    """Desired capacity and number of instances in service."""
    found = world.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"][0]
    return found["DesiredCapacity"], sum(instance["LifecycleState"] == "InService" for instance in found["Instances"])


def resize(world: AwsWorld, group: str, desired: int) -> None:
    world.client("autoscaling").set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=desired)


def activities(world: AwsWorld, group: str) -> list[tuple[str, str]]:
    found = world.client("autoscaling").describe_scaling_activities(AutoScalingGroupName=group)["Activities"]
    return [(activity["StatusCode"], activity.get("StatusMessage", "")) for activity in found]


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("autoscaling", "describe_auto_scaling_groups", "AccessDenied"),
        ("ec2", "describe_instances", "UnauthorizedOperation"),
        ("eks", "list_clusters", "AccessDeniedException"),
        ("logs", "describe_log_groups", "AccessDeniedException"),
    ],
)
def test_a_role_without_policies_is_refused_in_the_words_of_aws(
    world: AwsWorld, role: str, service: str, operation: str, code: str
) -> None:
    client = world.client(service, world.credentials_of(role, session_name="me"))
    with pytest.raises(ClientError) as refused:
        getattr(client, operation)()
    error = refused.value.response["Error"]
    action = f"{service}:{refused.value.operation_name}"
    assert error["Code"] == code
    assert error["Message"].endswith(
        f"User: arn:aws:sts::123456789012:assumed-role/function/me is not authorized to perform: {action} on resource: * "
        f"because no identity-based policy allows the {action} action"
    )


def test_an_attached_aws_managed_policy_counts(world: AwsWorld, role: str) -> None:
    client = world.client("ec2", world.credentials_of(role))
    with pytest.raises(ClientError):
        client.describe_subnets()
    world.client("iam").attach_role_policy(RoleName="function", PolicyArn="arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy")
    assert client.describe_subnets()["Subnets"]


def test_a_key_that_nobody_was_given_is_refused(world: AwsWorld) -> None:
    with pytest.raises(ClientError, match="The security token included in the request is invalid"):
        world.client("sts", Credentials("AKIASTRANGER", "secret")).get_caller_identity()


def test_a_session_tells_its_role_without_the_roles_path(world: AwsWorld) -> None:
    arn = world.client("iam").create_role(RoleName="deep", Path="/a/b/", AssumeRolePolicyDocument=json.dumps(TRUST_LAMBDA))["Role"]["Arn"]
    assert arn == "arn:aws:iam::123456789012:role/a/b/deep"
    identity = world.client("sts", world.credentials_of(arn, session_name="me")).get_caller_identity()
    assert (identity["Arn"], identity["Account"]) == ("arn:aws:sts::123456789012:assumed-role/deep/me", "123456789012")


def test_a_presigned_request_tells_the_same_identity(world: AwsWorld, role: str) -> None:
    keys = world.credentials_of(role, session_name="me")
    request = AWSRequest("GET", f"{world.url}/?Action=GetCallerIdentity&Version=2011-06-15", headers={"x-k8s-aws-id": "prod"})
    signer = SigV4QueryAuth(BotoCredentials(keys.access_key, keys.secret_key, keys.session_token), "sts", "us-east-1")
    signer.add_auth(request)
    answer = urllib3.request("GET", str(request.url), headers={"x-k8s-aws-id": "prod"})
    assert answer.status == 200
    assert b"<Arn>arn:aws:sts::123456789012:assumed-role/function/me</Arn>" in answer.data


def test_another_process_finds_every_service_at_one_address(world: AwsWorld, role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"AWS_ENDPOINT_URL": world.url, "AWS_REGION": "us-east-1", **world.credentials_of(role).as_environment()}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert boto3.Session(region_name="us-east-1").client("sts").get_caller_identity()["Arn"].endswith("assumed-role/function/session")


def test_a_node_group_brings_its_auto_scaling_group_with_the_tags_of_eks(world: AwsWorld, group: str) -> None:
    assert group.startswith("eks-spot-")
    found = world.client("autoscaling").describe_auto_scaling_groups(
        Filters=[
            {"Name": "tag:k8s.io/cluster-autoscaler/prod", "Values": ["owned"]},
            {"Name": "tag-key", "Values": ["k8s.io/cluster-autoscaler/enabled"]},
        ]
    )["AutoScalingGroups"]
    assert [each["AutoScalingGroupName"] for each in found] == [group]
    assert {instance["InstanceType"] for instance in found[0]["Instances"]} == {"m5.xlarge"}


def test_the_node_group_shows_the_desired_size_of_its_auto_scaling_group(world: AwsWorld, group: str) -> None:
    resize(world, group, 5)
    node_group = world.client("eks").describe_nodegroup(clusterName="prod", nodegroupName="spot")["nodegroup"]
    assert node_group["scalingConfig"] == {"minSize": 2, "maxSize": 20, "desiredSize": 5}


def test_deleting_the_node_group_takes_its_auto_scaling_group_along(world: AwsWorld, group: str) -> None:
    world.client("eks").delete_nodegroup(clusterName="prod", nodegroupName="spot")
    assert world.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"] == []


@pytest.mark.parametrize(("desired", "message"), [(21, "above max value 20"), (1, "below min value 2")])
def test_a_size_outside_the_limits_is_refused(world: AwsWorld, group: str, desired: int, message: str) -> None:
    with pytest.raises(ClientError, match=message):
        resize(world, group, desired)
    assert sizes(world, group) == (2, 2)


def test_a_group_launches_where_it_has_fewest_instances(world: AwsWorld, group: str) -> None:
    def zones() -> list[str]:
        found = world.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"][0]
        return sorted(instance["AvailabilityZone"] for instance in found["Instances"])

    assert zones() == ["us-east-1a", "us-east-1b"]
    resize(world, group, 5)
    assert zones() == ["us-east-1a"] * 3 + ["us-east-1b"] * 2


@pytest.mark.parametrize(
    ("variables", "instance_types", "pods"),
    [
        pytest.param({}, ["m5.xlarge"], 58, id="addresses"),
        pytest.param({"ENABLE_PREFIX_DELEGATION": "true"}, ["m5.xlarge"], 110, id="prefixes"),
        pytest.param({"ENABLE_PREFIX_DELEGATION": "true"}, ["m5.xlarge", "m4.xlarge"], 58, id="prefixes that one type does not take"),
        pytest.param({"AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true"}, ["m5.xlarge"], 44, id="custom networking"),
    ],
)
def test_nodes_of_managed_groups_take_the_pods_that_the_cni_has_addresses_for(
    world: AwsWorld, role: str, variables: dict[str, str], instance_types: list[str], pods: int
) -> None:
    subnets = [subnet["SubnetId"] for subnet in world.client("ec2").describe_subnets()["Subnets"][:2]]
    eks = world.client("eks")
    eks.create_cluster(name="prod", roleArn=role, resourcesVpcConfig={"subnetIds": subnets})
    eks.create_addon(clusterName="prod", addonName="vpc-cni", configurationValues=json.dumps({"env": variables}))
    sizes = {"minSize": 0, "maxSize": 1, "desiredSize": 0}
    described = eks.create_nodegroup(
        clusterName="prod", nodegroupName="group", nodeRole=role, subnets=subnets, instanceTypes=instance_types, scalingConfig=sizes
    )["nodegroup"]
    name = described["resources"]["autoScalingGroups"][0]["name"]
    (made,) = world.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    template = made["MixedInstancesPolicy"]["LaunchTemplate"]["LaunchTemplateSpecification"]["LaunchTemplateId"]
    versions = world.client("ec2").describe_launch_template_versions(LaunchTemplateId=template, Versions=["1"])["LaunchTemplateVersions"]
    assert max_pods_of(versions[0]["LaunchTemplateData"]["UserData"]) == pods


def test_failing_launches_leave_the_desired_capacity_above_the_instances(world: AwsWorld, group: str) -> None:
    world.fail_launches(group, "InsufficientInstanceCapacity - no spot capacity")
    resize(world, group, 7)
    assert sizes(world, group) == (7, 2)
    assert activities(world, group) == [("Failed", "InsufficientInstanceCapacity - no spot capacity")]


def test_giving_up_on_failed_launches_brings_the_desired_capacity_back(world: AwsWorld, group: str) -> None:
    world.fail_launches(group, "InsufficientInstanceCapacity")
    resize(world, group, 7)
    resize(world, group, 2)
    assert sizes(world, group) == (2, 2)


def test_capacity_that_comes_back_fulfils_what_was_wanted(world: AwsWorld, group: str) -> None:
    world.fail_launches(group, "InsufficientInstanceCapacity")
    resize(world, group, 4)
    world.release_launches(group)
    assert sizes(world, group) == (4, 4)
    assert [status for status, _ in activities(world, group)] == ["Successful", "Successful", "Failed"]


def test_slow_launches_come_when_they_are_released(world: AwsWorld, group: str) -> None:
    world.hold_launches(group)
    resize(world, group, 7)
    assert sizes(world, group) == (7, 2)
    world.release_launches(group, 3)
    assert sizes(world, group) == (7, 5)
    world.release_launches(group, 3)
    assert sizes(world, group) == (7, 7)


def test_new_limits_of_a_node_group_leave_everything_else_as_it_was(world: AwsWorld, group: str) -> None:
    autoscaling, eks = world.client("autoscaling"), world.client("eks")
    (before,) = autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    (name,) = eks.list_nodegroups(clusterName="prod")["nodegroups"]
    eks.update_nodegroup_config(clusterName="prod", nodegroupName=name, scalingConfig={"minSize": 1})
    (after,) = autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    assert after == before | {"MinSize": 1}


def test_terminating_at_the_minimum_is_refused(world: AwsWorld, group: str) -> None:
    autoscaling = world.client("autoscaling")
    instance = autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"][0]["Instances"][0]["InstanceId"]
    with pytest.raises(ClientError, match="desiredSize equals minSize"):
        autoscaling.terminate_instance_in_auto_scaling_group(InstanceId=instance, ShouldDecrementDesiredCapacity=True)


def test_terminating_one_of_a_group_that_waits_for_more_lowers_both_numbers(world: AwsWorld, group: str) -> None:
    world.hold_launches(group)
    resize(world, group, 7)
    autoscaling = world.client("autoscaling")
    instance = autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"][0]["Instances"][0]["InstanceId"]
    autoscaling.terminate_instance_in_auto_scaling_group(InstanceId=instance, ShouldDecrementDesiredCapacity=True)
    assert sizes(world, group) == (6, 1)


def test_an_unknown_group_or_instance_is_a_validation_error(world: AwsWorld) -> None:
    with pytest.raises(ClientError, match="AutoScalingGroup name not found"):
        resize(world, "missing", 1)
    with pytest.raises(ClientError, match="No managed instance found"):
        world.client("autoscaling").terminate_instance_in_auto_scaling_group(
            InstanceId="i-0123456789abcdef0", ShouldDecrementDesiredCapacity=True
        )


def test_a_test_can_write_the_history_of_a_group(world: AwsWorld, group: str) -> None:
    world.add_scaling_activity(group, "Failed", "VcpuLimitExceeded")
    assert activities(world, group) == [("Failed", "VcpuLimitExceeded")]


def test_a_cluster_names_the_control_plane_that_a_test_gives_it(world: AwsWorld, group: str) -> None:
    world.set_cluster_endpoint("prod", "https://127.0.0.1:6443", b"PEM")
    cluster = world.client("eks").describe_cluster(name="prod")["cluster"]
    assert (cluster["endpoint"], cluster["certificateAuthority"]) == ("https://127.0.0.1:6443", {"data": "UEVN"})


def entry(world: AwsWorld, **params: Any) -> dict[str, Any]:
    created: dict[str, Any] = world.client("eks").create_access_entry(clusterName="prod", **params)["accessEntry"]
    return created


def test_an_access_entry_without_a_user_name_gets_that_of_the_session(world: AwsWorld, group: str) -> None:
    arn = world.client("iam").create_role(RoleName="other", AssumeRolePolicyDocument=json.dumps(TRUST_LAMBDA))["Role"]["Arn"]
    created = entry(world, principalArn=arn, kubernetesGroups=["viewers"])
    assert created["username"] == "arn:aws:sts::123456789012:assumed-role/other/{{SessionName}}"
    assert (created["type"], created["kubernetesGroups"]) == ("STANDARD", ["viewers"])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"principalArn": "arn:aws:iam::123456789012:role/missing"}, "invalid principal"),
        ({"principalArn": "arn:aws:iam::123456789012:role/function"}, "already in use"),
        ({"principalArn": "arn:aws:iam::123456789012:user/a", "username": "system:admin"}, "reserved prefix"),
        ({"principalArn": "arn:aws:iam::123456789012:user/a", "kubernetesGroups": ["system:masters"]}, "cannot start with system:"),
    ],
)
def test_access_entries_that_eks_refuses_are_refused(world: AwsWorld, group: str, params: dict[str, Any], message: str) -> None:
    # The node group has given its role an entry already.
    with pytest.raises(ClientError, match=message):
        entry(world, **params)


def test_add_ons_and_pod_identities_are_kept(world: AwsWorld, group: str, role: str) -> None:
    eks = world.client("eks")
    eks.create_addon(clusterName="prod", addonName="vpc-cni", configurationValues="{}")
    assert eks.list_addons(clusterName="prod")["addons"] == ["vpc-cni"]
    made = eks.create_pod_identity_association(clusterName="prod", namespace="kube-system", serviceAccount="ca", roleArn=role)[
        "association"
    ]
    with pytest.raises(ClientError, match="Association already exists"):
        eks.create_pod_identity_association(clusterName="prod", namespace="kube-system", serviceAccount="ca", roleArn=role)
    eks.delete_pod_identity_association(clusterName="prod", associationId=made["associationId"])
    assert eks.list_pod_identity_associations(clusterName="prod")["associations"] == []


def test_every_call_is_recorded_with_its_caller_and_its_end(world: AwsWorld, role: str) -> None:
    world.forget_calls()
    client = world.client("autoscaling", world.credentials_of(role, session_name="me"))
    with pytest.raises(ClientError):
        client.set_desired_capacity(AutoScalingGroupName="any", DesiredCapacity=3)
    call = world.writes("assumed-role/function")[-1]
    assert (call.service, call.operation, call.error) == ("autoscaling", "SetDesiredCapacity", "AccessDenied")
    assert call.params == {"AutoScalingGroupName": "any", "DesiredCapacity": 3}
