"""Self-managed node groups: what they declare, and what AWS gets of it."""

import base64
import email
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from eks_autoscaling import SelfManagedNodeGroup
from tests.cluster.aws_world import AwsWorld
from tests.cluster.pulumi_mocks import Deployment, deploy, preview
from tests.components import programs

GROUP = "aws:autoscaling/group:Group"
HOOK = "aws:autoscaling/lifecycleHook:LifecycleHook"
LAUNCH_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
ENTRY = "aws:eks/accessEntry:AccessEntry"
PROFILE = "aws:iam/instanceProfile:InstanceProfile"
PROGRAM = Path("tests/cluster/programs/self_managed.py")
CLUSTER = "eks-spot-managed-node-groups"
ROLE = "arn:aws:iam::123456789012:role/teams/shop/nodes"
TAINT = {"key": "dedicated", "value": "data", "effect": "NoSchedule"}
TEMPLATE = "k8s.io/cluster-autoscaler/node-template/"


@pytest.fixture(scope="module")
def stack(world: AwsWorld, function_zip: Path) -> Deployment:
    """A cluster with a managed and a self-managed group, deployed."""
    return deploy(PROGRAM, {"functionZip": str(function_zip)}, world)


@pytest.fixture(scope="module")
def group(stack: Deployment, world: AwsWorld) -> dict[str, Any]:
    """The Auto Scaling group of the self-managed group, as AWS describes it."""
    found = world.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[stack.outputs["spot"]])
    described: dict[str, Any] = found["AutoScalingGroups"][0]
    return described


@pytest.fixture(scope="module")
def template(stack: Deployment, world: AwsWorld) -> dict[str, Any]:
    """The launch template of the self-managed group, as AWS describes it."""
    found = world.client("ec2").describe_launch_template_versions(LaunchTemplateId=stack.outputs["spot_launch_template"])
    data: dict[str, Any] = found["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    return data


def node_config(user_data: str) -> dict[str, Any]:
    """The NodeConfig in user data, read as nodeadm reads it: a MIME part of its own type, with YAML in it."""
    message = email.message_from_bytes(base64.b64decode(user_data))
    assert message.is_multipart()
    (part,) = message.get_payload()
    assert part.get_content_type() == "application/node.eks.aws"
    config: dict[str, Any] = yaml.safe_load(part.get_payload())
    return config


def group_tags(deployment: Deployment) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in deployment.one(GROUP).inputs["tags"]}


@pytest.mark.aws
def test_spot_instances_come_from_the_deep_and_cheap_pools_of_all_types(group: dict[str, Any]) -> None:
    policy = group["MixedInstancesPolicy"]
    assert [override["InstanceType"] for override in policy["LaunchTemplate"]["Overrides"]] == ["m5.xlarge", "m5a.xlarge", "m6i.xlarge"]
    assert policy["InstancesDistribution"] == {
        "OnDemandAllocationStrategy": "prioritized",
        "OnDemandBaseCapacity": 0,
        "OnDemandPercentageAboveBaseCapacity": 0,
        "SpotAllocationStrategy": "price-capacity-optimized",
    }
    assert (group["MinSize"], group["DesiredCapacity"], group["MaxSize"], len(group["Instances"])) == (0, 2, 6, 2)
    assert group["CapacityRebalance"] is False


@pytest.mark.aws
def test_the_group_tells_what_its_nodes_would_be_and_its_instances_belong_to_the_cluster(group: dict[str, Any]) -> None:
    tags = {tag["Key"]: (tag["Value"], tag["PropagateAtLaunch"]) for tag in group["Tags"]}
    assert tags == {
        "k8s.io/cluster-autoscaler/enabled": ("true", False),
        f"k8s.io/cluster-autoscaler/{CLUSTER}": ("owned", False),
        f"kubernetes.io/cluster/{CLUSTER}": ("owned", True),
        f"{TEMPLATE}label/eks.amazonaws.com/capacityType": ("SPOT", False),
        f"{TEMPLATE}label/workload": ("spot", False),
        f"{TEMPLATE}resources/ephemeral-storage": ("50Gi", False),
        "team": ("shop", False),
    }


@pytest.mark.aws
def test_an_instance_has_its_own_tags_and_the_clusters_security_group(group: dict[str, Any], stack: Deployment, world: AwsWorld) -> None:
    found = world.client("ec2").describe_instances(InstanceIds=[group["Instances"][0]["InstanceId"]])
    instance = found["Reservations"][0]["Instances"][0]
    tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"] if not tag["Key"].startswith("aws:")}
    assert tags == {"Name": "spot", "team": "shop", f"kubernetes.io/cluster/{CLUSTER}": "owned"}
    cluster = stack.one("aws:eks/cluster:Cluster").outputs["vpcConfig"]["clusterSecurityGroupId"]
    assert [one["GroupId"] for one in instance["SecurityGroups"]] == [cluster]


@pytest.mark.aws
def test_an_instance_waits_in_the_hook_before_it_ends_and_ends_then_in_any_case(stack: Deployment, world: AwsWorld) -> None:
    hooks = world.client("autoscaling").describe_lifecycle_hooks(AutoScalingGroupName=stack.outputs["spot"])["LifecycleHooks"]
    assert [
        (hook["LifecycleHookName"], hook["LifecycleTransition"], hook["HeartbeatTimeout"], hook["DefaultResult"]) for hook in hooks
    ] == [("eks-autoscaling-terminate", "autoscaling:EC2_INSTANCE_TERMINATING", 300, "CONTINUE")]


@pytest.mark.aws
def test_the_nodes_of_a_self_managed_group_have_imdsv2_and_an_encrypted_gp3_root_volume(template: dict[str, Any]) -> None:
    assert template["MetadataOptions"]["HttpTokens"] == "required"
    assert template["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    (device,) = template["BlockDeviceMappings"]
    assert device["DeviceName"] == "/dev/xvda"
    assert (device["Ebs"]["VolumeType"], device["Ebs"]["Encrypted"], device["Ebs"]["VolumeSize"]) == ("gp3", True, 50)
    assert "InstanceMarketOptions" not in template, "EC2 refuses it together with a mixed instances policy"


@pytest.mark.aws
def test_an_instance_finds_its_cluster_in_its_user_data(template: dict[str, Any], world: AwsWorld) -> None:
    cluster = world.client("eks").describe_cluster(name=CLUSTER)["cluster"]
    assert node_config(template["UserData"]) == {
        "apiVersion": "node.eks.aws/v1alpha1",
        "kind": "NodeConfig",
        "spec": {
            "cluster": {
                "name": CLUSTER,
                "apiServerEndpoint": cluster["endpoint"],
                "certificateAuthority": cluster["certificateAuthority"]["data"],
                "cidr": cluster["kubernetesNetworkConfig"]["serviceIpv4Cidr"],
            },
            "kubelet": {"flags": ["--node-labels=eks.amazonaws.com/capacityType=SPOT,workload=spot"]},
        },
    }


@pytest.mark.aws
def test_the_cluster_lets_the_nodes_in_by_their_role(stack: Deployment, template: dict[str, Any], world: AwsWorld) -> None:
    role = stack.outputs["spot_node_role_arn"]
    entry = world.client("eks").describe_access_entry(clusterName=CLUSTER, principalArn=role)["accessEntry"]
    assert entry["type"] == "EC2_LINUX"
    profiles = world.client("iam").list_instance_profiles_for_role(RoleName=role.rpartition("/")[2])["InstanceProfiles"]
    assert [profile["Arn"] for profile in profiles] == [template["IamInstanceProfile"]["Arn"]]
    trust = json.loads(stack.one("aws:iam/role:Role", "spot-node").inputs["assumeRolePolicy"])
    assert [statement["Principal"] for statement in trust["Statement"]] == [{"Service": "ec2.amazonaws.com"}]


def deploy_beside(stack: Deployment, world: AwsWorld, name: str, cluster: str, **arguments: Any) -> Deployment:
    """A group without nodes in a subnet of the stack, deployed by a program of its own."""
    smallest = {
        "cluster": {"name": cluster, "arn": f"arn:aws:eks:us-east-1:123456789012:cluster/{cluster}"},
        "capacity_type": "ON_DEMAND",
        "instance_types": ["m5.xlarge"],
        "subnet_ids": [stack.of_type("aws:ec2/subnet:Subnet")[0].id],
        "min_size": 0,
        "max_size": 1,
    }
    wanted: Any = {**smallest, **arguments}
    return deploy(lambda: SelfManagedNodeGroup(name, wanted), {}, world)


@pytest.mark.aws
def test_an_image_is_found_through_a_parameter_of_ones_own(world: AwsWorld, stack: Deployment) -> None:
    world.client("ssm").put_parameter(Name="/images/nodes", Value="ami-03cf127a", Type="String")
    deployed = deploy_beside(stack, world, "own-image", CLUSTER, ami_ssm_parameter="/images/nodes")
    assert deployed.one(LAUNCH_TEMPLATE).inputs["imageId"] == "ami-03cf127a"


@pytest.mark.aws
def test_nodes_of_an_ipv6_cluster_get_its_ipv6_service_addresses(world: AwsWorld, stack: Deployment) -> None:
    cluster = world.client("eks").create_cluster(
        name="six",
        roleArn=stack.one("aws:eks/cluster:Cluster").outputs["roleArn"],
        resourcesVpcConfig={"subnetIds": [subnet.id for subnet in stack.of_type("aws:ec2/subnet:Subnet")]},
        accessConfig={"authenticationMode": "API"},
        kubernetesNetworkConfig={"ipFamily": "ipv6"},
    )["cluster"]
    template = deploy_beside(stack, world, "six", "six").one(LAUNCH_TEMPLATE)
    services = node_config(template.inputs["userData"])["spec"]["cluster"]["cidr"]
    assert ":" in services
    assert services == cluster["kubernetesNetworkConfig"]["serviceIpv6Cidr"]


def test_a_preview_of_a_self_managed_group_declares_what_a_deployment_does(stack: Deployment, function_zip: Path) -> None:
    previewed = preview(PROGRAM, {"functionZip": str(function_zip)})
    assert sorted((resource.type, resource.name) for resource in previewed.resources) == sorted(
        (resource.type, resource.name) for resource in stack.resources
    )
    assert not any(resource.id for resource in previewed.resources)


def test_nodes_start_after_what_lets_them_in() -> None:
    deployment = programs.self_managed()
    needed = {"aws:iam/rolePolicyAttachment:RolePolicyAttachment", ENTRY}
    wanted = {resource.urn for resource in deployment.resources if resource.type in needed}
    assert len(wanted) == 4
    assert wanted <= set(deployment.one(GROUP).options.depends_on)


def test_the_autoscaler_owns_the_desired_capacity_of_a_self_managed_group() -> None:
    group = programs.self_managed(min_size=2).one(GROUP)
    assert (group.inputs["minSize"], group.inputs["maxSize"], group.inputs["desiredCapacity"]) == (2, 10, 2)
    assert group.options.ignore_changes == ("desiredCapacity",)
    assert programs.self_managed(ignore_desired_size=False).one(GROUP).options.ignore_changes == ()


def test_a_deployment_does_not_wait_for_spot_capacity() -> None:
    assert programs.self_managed().one(GROUP).inputs["waitForCapacityTimeout"] == "0"


def test_on_demand_alone_buys_no_spot_instance() -> None:
    deployment = programs.self_managed(capacity_type="ON_DEMAND")
    distribution = deployment.one(GROUP).inputs["mixedInstancesPolicy"]["instancesDistribution"]
    assert (distribution["onDemandBaseCapacity"], distribution["onDemandPercentageAboveBaseCapacity"]) == (0, 100)
    assert group_tags(deployment)[f"{TEMPLATE}label/eks.amazonaws.com/capacityType"] == "ON_DEMAND"


@pytest.mark.parametrize(("arguments", "base", "share"), [({"on_demand_base_size": 2}, 2, 0), ({"on_demand_percentage": 25}, 0, 25)])
def test_nodes_of_a_group_that_mixes_are_not_labelled_with_a_capacity_type(arguments: dict[str, int], base: int, share: int) -> None:
    deployment = programs.self_managed(labels={"team": "data"}, **arguments)
    distribution = deployment.one(GROUP).inputs["mixedInstancesPolicy"]["instancesDistribution"]
    assert (distribution["onDemandBaseCapacity"], distribution["onDemandPercentageAboveBaseCapacity"]) == (base, share)
    assert [key for key in group_tags(deployment) if key.startswith(f"{TEMPLATE}label/")] == [f"{TEMPLATE}label/team"]
    flags = node_config(deployment.one(LAUNCH_TEMPLATE).inputs["userData"])["spec"]["kubelet"]["flags"]
    assert flags == ["--node-labels=team=data"]


def test_taints_go_to_the_kubelet_and_to_the_tags_of_the_group() -> None:
    deployment = programs.self_managed(taints=[TAINT, {"key": "example.com/empty", "effect": "NoExecute"}])
    flags = node_config(deployment.one(LAUNCH_TEMPLATE).inputs["userData"])["spec"]["kubelet"]["flags"]
    assert flags[1:] == ["--register-with-taints=dedicated=data:NoSchedule,example.com/empty=:NoExecute"]
    tags = group_tags(deployment)
    assert (tags[f"{TEMPLATE}taint/dedicated"], tags[f"{TEMPLATE}taint/example.com/empty"]) == ("data:NoSchedule", ":NoExecute")


def test_a_larger_disk_is_seen_of_a_group_without_nodes() -> None:
    deployment = programs.self_managed(disk_size_gib=200)
    assert deployment.one(LAUNCH_TEMPLATE).inputs["blockDeviceMappings"][0]["ebs"]["volumeSize"] == 200
    assert group_tags(deployment)[f"{TEMPLATE}resources/ephemeral-storage"] == "200Gi"


def test_capacity_rebalancing_the_hook_and_its_time_are_the_programs_choice() -> None:
    assert programs.self_managed(capacity_rebalance=True).one(GROUP).inputs["capacityRebalance"] is True
    assert programs.self_managed(terminate_hook=False).of_type(HOOK) == []
    assert programs.self_managed(terminate_hook_seconds=900).one(HOOK).inputs["heartbeatTimeout"] == 900


def test_a_given_image_hop_limit_and_security_group_take_the_place_of_the_defaults() -> None:
    inputs = programs.self_managed(ami_id="ami-1", imds_hop_limit=2, security_group_ids=["sg-1"]).one(LAUNCH_TEMPLATE).inputs
    assert (inputs["imageId"], inputs["vpcSecurityGroupIds"]) == ("ami-1", ["sg-1"])
    assert inputs["metadataOptions"]["httpPutResponseHopLimit"] == 2


def test_a_shared_role_keeps_the_access_entry_it_has() -> None:
    deployment = programs.self_managed(node_role_arn=ROLE)
    assert deployment.of_type("aws:iam/role:Role") == []
    assert deployment.of_type(ENTRY) == []
    assert deployment.one(PROFILE).inputs["role"] == "nodes"
    assert programs.self_managed(node_role_arn=ROLE, access_entry=True).one(ENTRY).inputs["principalArn"] == ROLE


def test_a_given_instance_profile_takes_the_place_of_a_new_one() -> None:
    profile = "arn:aws:iam::123456789012:instance-profile/nodes"
    deployment = programs.self_managed(node_role_arn=ROLE, instance_profile_arn=profile)
    assert deployment.of_type(PROFILE) == []
    assert deployment.one(LAUNCH_TEMPLATE).inputs["iamInstanceProfile"] == {"arn": profile}
