"""The stacks beside the tutorial, as a preview sees them and as they are deployed into the AWS account of the tests."""

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.cluster.aws_world import AwsWorld
from tests.cluster.production_cluster import make_network
from tests.cluster.pulumi_mocks import Deployment, deploy, preview

pytestmark = [
    pytest.mark.aws,
    # The module of pulumi_eks says so whenever it is imported.
    pytest.mark.filterwarnings("ignore:NodeGroup uses AWS EC2 LaunchConfiguration:DeprecationWarning"),
]

PRODUCTION, ADOPT, PULUMI_EKS = (Path("stacks") / name for name in ("production", "adopt", "pulumi-eks"))
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
ADMINS = {"team": "arn:aws:iam::123456789012:user/administrator"}
TOPIC = "arn:aws:sns:us-east-1:123456789012:on-call"
CLUSTER_ARN = "arn:aws:eks:us-east-1:123456789012:cluster/{}"
CLUSTER, FUNCTION, NODE_GROUP = "aws:eks/cluster:Cluster", "aws:lambda/function:Function", "aws:eks/nodeGroup:NodeGroup"
CONFIGURATIONS: dict[Path, dict[str, Any]] = {
    Path("stacks/tutorial"): {},
    PRODUCTION: {"vpcId": "vpc-1", "subnetIds": {"us-east-1a": "subnet-1", "us-east-1b": "subnet-in-b"}, "admins": ADMINS},
    ADOPT: {
        "clusterName": "old",
        "clusterArn": CLUSTER_ARN.format("old"),
        "untaggedGroups": ["workers"],
        "vpcId": "vpc-1",
        "subnetIds": ["subnet-1", "subnet-2"],
        "clusterSecurityGroupId": "sg-1",
    },
    PULUMI_EKS: {"vpcId": "vpc-1", "subnetIds": ["subnet-1", "subnet-2"], "bucketArn": "arn:aws:s3:::prices"},
}


@pytest.fixture(scope="module")
def network(world: AwsWorld) -> dict[str, Any]:
    """``vpcId`` and ``subnetIds`` by zone of a VPC that was there before."""
    return make_network(world)


@pytest.fixture(scope="module")
def production(world: AwsWorld, network: dict[str, Any], function_zip: Path) -> Deployment:
    configuration = {**network, "admins": ADMINS, "alarmTopicArns": [TOPIC], "functionZip": str(function_zip)}
    return deploy(PRODUCTION, configuration, world)


def group_tags(world: AwsWorld, name: str) -> dict[str, str]:
    found = world.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    return {tag["Key"]: tag["Value"] for tag in found[0]["Tags"]}


@pytest.mark.parametrize("stack", CONFIGURATIONS, ids=lambda stack: stack.name)
def test_a_preview_gets_through_every_stack_with_all_outputs_unknown(stack: Path, function_zip: Path) -> None:
    declared = preview(stack, {**CONFIGURATIONS[stack], "functionZip": str(function_zip)})
    assert {function.name for function in declared.of_type(FUNCTION)} == {"autoscaler-scan", "autoscaler-interruption"}


def test_the_api_of_the_production_cluster_is_private(production: Deployment, world: AwsWorld) -> None:
    cluster = world.client("eks").describe_cluster(name="production")["cluster"]
    where = cluster["resourcesVpcConfig"]
    assert (where["endpointPublicAccess"], where["endpointPrivateAccess"], where.get("publicAccessCidrs", [])) == (False, True, [])


def test_the_production_cluster_keeps_secrets_logs_and_itself(production: Deployment, world: AwsWorld) -> None:
    cluster = world.client("eks").describe_cluster(name="production")["cluster"]
    assert cluster["deletionProtection"] is True
    assert cluster["encryptionConfig"][0]["resources"] == ["secrets"]
    assert set(cluster["logging"]["clusterLogging"][0]["types"]) == {"api", "audit", "authenticator", "controllerManager", "scheduler"}


def test_both_functions_stand_in_the_vpc_and_the_cluster_lets_them_in(
    production: Deployment, world: AwsWorld, network: dict[str, Any]
) -> None:
    client, groups = world.client("lambda"), set()
    for function in ("function_name", "interruption_function_name"):
        place = client.get_function_configuration(FunctionName=production.outputs[function])["VpcConfig"]
        assert set(place["SubnetIds"]) == set(network["subnetIds"].values())
        groups |= set(place["SecurityGroupIds"])
    cluster_group = world.client("eks").describe_cluster(name="production")["cluster"]["resourcesVpcConfig"]["clusterSecurityGroupId"]
    rules = world.client("ec2").describe_security_groups(GroupIds=[cluster_group])["SecurityGroups"][0]["IpPermissions"]
    admitted = {pair["GroupId"] for rule in rules if rule.get("FromPort") == 443 for pair in rule["UserIdGroupPairs"]}
    assert groups
    assert groups <= admitted


def test_no_production_group_can_be_deleted_and_each_takes_as_many_pods_as_prefixes_allow(production: Deployment) -> None:
    groups = production.of_type(NODE_GROUP)
    assert {group.name: group.inputs["capacityType"] for group in groups} == {
        "operations": "ON_DEMAND",
        "spot-4vcpu-16gb": "SPOT",
        "spot-8vcpu-32gb": "SPOT",
        **{f"spot-volumes-{zone}": "SPOT" for zone in ZONES},
    }
    assert all(group.options.protect for group in groups)
    pods = [tag.inputs["tag"]["value"] for tag in production.of_type("aws:autoscaling/tag:Tag") if tag.name.endswith("resources/pods")]
    assert pods == ["110"] * len(groups)


def test_groups_for_volumes_have_the_subnet_of_their_zone(production: Deployment, network: dict[str, Any]) -> None:
    subnets = {group.name: group.inputs["subnetIds"] for group in production.of_type(NODE_GROUP)}
    assert [subnets[f"spot-volumes-{zone}"] for zone in ZONES] == [[network["subnetIds"][zone]] for zone in ZONES]


def test_spot_groups_are_preferred_by_the_names_that_eks_gives_them(production: Deployment) -> None:
    (priorities,) = (manifest["data"]["priorities"] for manifest in production.manifests if manifest["kind"] == "ConfigMap")
    assert priorities == '20:\n  - "^eks-spot-"\n10:\n  - ".*"\n'
    names = {group.name: group.outputs["resources"][0]["autoscalingGroups"][0]["name"] for group in production.of_type(NODE_GROUP)}
    assert {name for name, called in names.items() if not called.startswith("eks-spot-")} == {"operations"}


def test_nodes_come_after_what_runs_on_each_and_before_other_add_ons(production: Deployment, world: AwsWorld) -> None:
    made = [call.params.get("addonName", call.operation) for call in world.calls if call.operation in ("CreateAddon", "CreateNodegroup")]
    nodes = [index for index, name in enumerate(made) if name == "CreateNodegroup"]
    assert set(made[: nodes[0]]) == {"eks-pod-identity-agent", "vpc-cni", "kube-proxy"}
    assert set(made[nodes[-1] + 1 :]) == {"coredns", "aws-ebs-csi-driver", "metrics-server", "amazon-cloudwatch-observability"}


def test_every_alarm_of_production_wakes_somebody(production: Deployment, world: AwsWorld) -> None:
    alarms = world.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert alarms
    assert all(alarm["AlarmActions"] == [TOPIC] for alarm in alarms)


@pytest.fixture(scope="module")
def adopted(world: AwsWorld, network: dict[str, Any], function_zip: Path) -> Deployment:
    """The adopting stack over a cluster and a self-managed group that were there before."""
    _make_old_cluster(world, list(network["subnetIds"].values()))
    cluster = world.client("eks").describe_cluster(name="old")["cluster"]
    configuration = {
        "clusterName": "old",
        "clusterArn": cluster["arn"],
        "untaggedGroups": ["workers"],
        "vpcId": network["vpcId"],
        "subnetIds": list(network["subnetIds"].values()),
        "clusterSecurityGroupId": cluster["resourcesVpcConfig"]["clusterSecurityGroupId"],
        "functionZip": str(function_zip),
    }
    return deploy(ADOPT, configuration, world)


def _make_old_cluster(world: AwsWorld, subnets: list[str]) -> None:
    world.client("eks").create_cluster(
        name="old",
        roleArn="arn:aws:iam::123456789012:role/old",
        resourcesVpcConfig={"subnetIds": subnets},
        accessConfig={"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False},
    )
    template = world.client("ec2").create_launch_template(
        LaunchTemplateName="workers", LaunchTemplateData={"ImageId": "ami-12c6146b", "InstanceType": "m5.xlarge"}
    )["LaunchTemplate"]["LaunchTemplateId"]
    for name in ("workers", "somebody-else-s"):
        world.client("autoscaling").create_auto_scaling_group(
            AutoScalingGroupName=name,
            MinSize=0,
            MaxSize=3,
            LaunchTemplate={"LaunchTemplateId": template, "Version": "1"},
            VPCZoneIdentifier=",".join(subnets),
        )


def test_an_adopted_group_can_be_discovered_and_no_other_one(adopted: Deployment, world: AwsWorld) -> None:
    assert group_tags(world, "workers") == {"k8s.io/cluster-autoscaler/enabled": "true", "k8s.io/cluster-autoscaler/old": "owned"}
    assert group_tags(world, "somebody-else-s") == {}


def test_the_function_may_resize_an_adopted_group_and_no_other_one(adopted: Deployment, world: AwsWorld) -> None:
    role = world.credentials_of(adopted.outputs["function_role_arn"], session_name="autoscaler")
    autoscaling = world.client("autoscaling", role)
    autoscaling.set_desired_capacity(AutoScalingGroupName="workers", DesiredCapacity=0)
    with pytest.raises(ClientError, match="is not authorized to perform: autoscaling:SetDesiredCapacity"):
        autoscaling.set_desired_capacity(AutoScalingGroupName="somebody-else-s", DesiredCapacity=0)


def test_adopting_declares_neither_cluster_nor_groups_and_nothing_inside_the_cluster(adopted: Deployment) -> None:
    assert [resource.name for resource in adopted.resources if resource.type in (CLUSTER, NODE_GROUP)] == []
    assert adopted.manifests == []


def test_what_an_adopted_cluster_needs_is_one_list_for_kubectl(adopted: Deployment) -> None:
    given = json.loads(json.dumps(adopted.outputs["manifests"]))
    assert (given["apiVersion"], given["kind"]) == ("v1", "List")
    bound = {item["metadata"]["name"] for item in given["items"] if item["kind"] == "ClusterRoleBinding"}
    entered = {entry.inputs["kubernetesGroups"][0] for entry in adopted.of_type("aws:eks/accessEntry:AccessEntry")}
    assert bound == entered == {"eks-autoscaling", "eks-autoscaling-interruption"}


def test_functions_of_an_adopted_cluster_stand_in_its_vpc(adopted: Deployment, network: dict[str, Any]) -> None:
    places = [function.inputs["vpcConfig"]["subnetIds"] for function in adopted.of_type(FUNCTION)]
    assert places == [list(network["subnetIds"].values())] * 2


def test_pulumi_eks_makes_a_cluster_without_nodes_or_config_map(function_zip: Path) -> None:
    declared = preview(PULUMI_EKS, {**CONFIGURATIONS[PULUMI_EKS], "functionZip": str(function_zip)})
    inputs = declared.one("eks:index:Cluster").inputs
    assert {key: inputs[key] for key in ("authenticationMode", "skipDefaultNodeGroup", "createOidcProvider")} == {
        "authenticationMode": "API",
        "skipDefaultNodeGroup": True,
        "createOidcProvider": True,
    }
    assert {group.name: group.inputs["capacityType"] for group in declared.of_type(NODE_GROUP)} == {"system": "ON_DEMAND", "spot": "SPOT"}


@pytest.fixture(scope="module")
def on_pulumi_eks(world: AwsWorld, network: dict[str, Any], function_zip: Path) -> Deployment:
    configuration = {**CONFIGURATIONS[PULUMI_EKS], "vpcId": network["vpcId"], "subnetIds": list(network["subnetIds"].values())}
    return deploy(PULUMI_EKS, {**configuration, "functionZip": str(function_zip)}, world)


def test_components_find_the_cluster_of_pulumi_eks_by_name_and_arn(on_pulumi_eks: Deployment, world: AwsWorld) -> None:
    (name,) = {group.inputs["clusterName"] for group in on_pulumi_eks.of_type(NODE_GROUP)}
    assert world.client("eks").describe_cluster(name=name)["cluster"]["accessConfig"]["authenticationMode"] == "API"
    assert {entry.inputs["clusterName"] for entry in on_pulumi_eks.of_type("aws:eks/accessEntry:AccessEntry")} == {name}
    scan = on_pulumi_eks.one(FUNCTION, "autoscaler-scan")
    assert scan.inputs["environment"]["variables"]["AUTOSCALER_CLUSTER_NAME"] == name
    role = world.credentials_of(scan.inputs["role"], session_name="autoscaler")
    assert world.client("eks", role).describe_cluster(name=name)["cluster"]["name"] == name
    world.client("autoscaling", role).set_desired_capacity(
        AutoScalingGroupName=on_pulumi_eks.outputs["spot_auto_scaling_group"], DesiredCapacity=0
    )


def test_the_oidc_provider_of_pulumi_eks_vouches_for_the_service_account(on_pulumi_eks: Deployment, world: AwsWorld) -> None:
    arn = on_pulumi_eks.outputs["service_account_annotations"]["eks.amazonaws.com/role-arn"]
    role = world.client("iam").get_role(RoleName=arn.rpartition("/")[2])["Role"]
    name = on_pulumi_eks.of_type(NODE_GROUP)[0].inputs["clusterName"]
    issuer = world.client("eks").describe_cluster(name=name)["cluster"]["identity"]["oidc"]["issuer"].removeprefix("https://")
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"]["Federated"] == f"arn:aws:iam::123456789012:oidc-provider/{issuer}"
    assert statement["Condition"]["StringEquals"][f"{issuer}:sub"] == "system:serviceaccount:shop:reader"
