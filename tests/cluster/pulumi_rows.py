"""Which AWS call creates which Pulumi resource: one row for each, for the resources that take no more than that.

A row names the service and the operation, how inputs are called there, and what the answer gives back. Inputs that no
row or shape knows are errors.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.cluster.aws_world import AwsWorld
from tests.cluster.pulumi_values import to_api

Inputs = dict[str, Any]
Created = tuple[str, dict[str, Any]]
Handler = Callable[[AwsWorld, str, Inputs], Created]


@dataclass(frozen=True)
class Row:
    """How one resource type is created; calling it does so and returns the id and the outputs.

    ``name``: the input that Pulumi fills with a name of its own when it is absent. ``renames``: input -> API name.
    ``shaped``: rewrites the inputs first where names alone do not do. ``after``: inputs for which another call follows,
    made by ``follow(world, answer, inputs)``. ``resource_type``: what EC2 calls the resource in TagSpecifications.
    """

    token: str
    service: str
    operation: str
    created: Callable[[dict[str, Any], Inputs], Created]
    name: str | None = None
    renames: Mapping[str, str] = field(default_factory=dict)
    shaped: Callable[[Inputs], Inputs] = dict
    after: frozenset[str] = frozenset()
    follow: Callable[[AwsWorld, dict[str, Any], Inputs], None] | None = None
    resource_type: str | None = None

    def __call__(self, world: AwsWorld, logical_name: str, inputs: Inputs) -> Created:
        """Create the resource in ``world``."""
        inputs = named(inputs, self.name, logical_name)
        answer = self._call(world, logical_name, inputs)
        if self.follow is not None:
            self.follow(world, answer, inputs)
        identifier, outputs = self.created(answer, inputs)
        return identifier, {**inputs, **outputs}

    def _call(self, world: AwsWorld, logical_name: str, inputs: Inputs) -> dict[str, Any]:
        wanted = {key: value for key, value in self.shaped(inputs).items() if key not in self.after}
        if self.resource_type is not None:
            tags = wanted.pop("tags", None)
            wanted |= {"tagSpecifications": [{"resourceType": self.resource_type, "tags": tags}]} if tags else {}
        return call(world, self.service, self.operation, {self.renames.get(key, key): value for key, value in wanted.items()}, logical_name)


def call(world: AwsWorld, service: str, operation: str, wanted: Inputs, where: str) -> dict[str, Any]:
    """Make an AWS call with inputs in Pulumi's spelling; botocore validates what comes out."""
    client = world.client(service)
    shape = client.meta.service_model.operation_model(operation).input_shape
    method = next(name for name, api_name in client.meta.method_to_api_mapping.items() if api_name == operation)
    answer: dict[str, Any] = getattr(client, method)(**to_api(wanted, shape, where))
    return answer


def named(inputs: Inputs, key: str | None, logical_name: str) -> Inputs:
    """``inputs`` with the name that Pulumi's engine would make, which mocks do without."""
    if key is None or inputs.get(key):
        return inputs
    prefix = inputs.get(f"{key}Prefix")
    suffix = uuid.uuid4().hex[:7]
    made = f"{prefix}{suffix}" if prefix else f"{logical_name}-{suffix}"
    return {**{name: value for name, value in inputs.items() if name != f"{key}Prefix"}, key: made}


def _cluster(inputs: Inputs) -> Inputs:
    shaped = dict(inputs)
    logs = shaped.pop("enabledClusterLogTypes", [])
    shaped["logging"] = {"clusterLogging": [{"types": logs, "enabled": True}]}
    shaped["resourcesVpcConfig"] = shaped.pop("vpcConfig")
    return shaped


def _cluster_outputs(answer: dict[str, Any], inputs: Inputs) -> Created:
    cluster = answer["cluster"]
    where = cluster["resourcesVpcConfig"]
    network = {**inputs["vpcConfig"], "clusterSecurityGroupId": where["clusterSecurityGroupId"], "vpcId": where.get("vpcId", "")}
    outputs = {
        "arn": cluster["arn"],
        "endpoint": cluster["endpoint"],
        "certificateAuthority": {"data": cluster["certificateAuthority"]["data"]},
        "identities": [{"oidcs": [{"issuer": cluster["identity"]["oidc"]["issuer"]}]}],
        "version": cluster["version"],
        "kubernetesNetworkConfig": cluster["kubernetesNetworkConfig"],
        "vpcConfig": network,
    }
    return cluster["name"], outputs


def _node_group_outputs(answer: dict[str, Any], inputs: Inputs) -> Created:
    group = answer["nodegroup"]
    groups = [{"name": found["name"]} for found in group["resources"]["autoScalingGroups"]]
    identifier = f"{group['clusterName']}:{group['nodegroupName']}"
    return identifier, {"arn": group["nodegroupArn"], "resources": [{"autoscalingGroups": groups}], "version": group["version"]}


def _launch_template(inputs: Inputs) -> Inputs:
    top = {"name", "description", "tags"}
    data = {key: value for key, value in inputs.items() if key not in top}
    data.pop("updateDefaultVersion", None)
    if "vpcSecurityGroupIds" in data:
        data["securityGroupIds"] = data.pop("vpcSecurityGroupIds")
    return {**{key: value for key, value in inputs.items() if key in top}, "launchTemplateData": data}


def _launch_template_outputs(answer: dict[str, Any], inputs: Inputs) -> Created:
    template = answer["LaunchTemplate"]
    arn = f"arn:aws:ec2:us-east-1:123456789012:launch-template/{template['LaunchTemplateId']}"
    return template["LaunchTemplateId"], {"arn": arn, "latestVersion": template["LatestVersionNumber"], "defaultVersion": 1}


def _group_tag(inputs: Inputs) -> Inputs:
    group = inputs["autoscalingGroupName"]
    return {"tags": [{**inputs["tag"], "resourceId": group, "resourceType": "auto-scaling-group"}]}


def _retain_logs(world: AwsWorld, _: dict[str, Any], inputs: Inputs) -> None:
    if inputs.get("retentionInDays"):
        wanted = {"logGroupName": inputs["name"], "retentionInDays": inputs["retentionInDays"]}
        call(world, "logs", "PutRetentionPolicy", wanted, inputs["name"])


def _rotate_key(world: AwsWorld, answer: dict[str, Any], inputs: Inputs) -> None:
    if inputs.get("enableKeyRotation"):
        world.client("kms").enable_key_rotation(KeyId=answer["KeyMetadata"]["KeyId"])


def _open_subnet(world: AwsWorld, answer: dict[str, Any], inputs: Inputs) -> None:
    value = {"Value": bool(inputs.get("mapPublicIpOnLaunch"))}
    world.client("ec2").modify_subnet_attribute(SubnetId=answer["Subnet"]["SubnetId"], MapPublicIpOnLaunch=value)


def _name_hosts(world: AwsWorld, answer: dict[str, Any], inputs: Inputs) -> None:
    value = {"Value": bool(inputs.get("enableDnsHostnames"))}
    world.client("ec2").modify_vpc_attribute(VpcId=answer["Vpc"]["VpcId"], EnableDnsHostnames=value)


def _attach_gateway(world: AwsWorld, answer: dict[str, Any], inputs: Inputs) -> None:
    gateway = answer["InternetGateway"]["InternetGatewayId"]
    world.client("ec2").attach_internet_gateway(InternetGatewayId=gateway, VpcId=inputs["vpcId"])


def _add_routes(world: AwsWorld, answer: dict[str, Any], inputs: Inputs) -> None:
    table = answer["RouteTable"]["RouteTableId"]
    for route in inputs.get("routes", []):
        wanted = {"routeTableId": table, **{{"cidrBlock": "destinationCidrBlock"}.get(key, key): value for key, value in route.items()}}
        call(world, "ec2", "CreateRoute", wanted, f"route of {table}")


def _log_group_arn(_: dict[str, Any], inputs: Inputs) -> Created:
    return inputs["name"], {"arn": f"arn:aws:logs:us-east-1:123456789012:log-group:{inputs['name']}"}


def _role_outputs(answer: dict[str, Any], _: Inputs) -> Created:
    role = answer["Role"]
    return role["RoleName"], {"arn": role["Arn"], "name": role["RoleName"], "uniqueId": role["RoleId"]}


ROWS = (
    Row(
        "aws:kms/key:Key",
        "kms",
        "CreateKey",
        lambda answer, _: (answer["KeyMetadata"]["KeyId"], {"arn": answer["KeyMetadata"]["Arn"]}),
        after=frozenset({"enableKeyRotation", "deletionWindowInDays"}),
        follow=_rotate_key,
    ),
    Row(
        "aws:iam/role:Role",
        "iam",
        "CreateRole",
        _role_outputs,
        name="name",
        renames={"name": "roleName", "assumeRolePolicy": "assumeRolePolicyDocument"},
    ),
    Row(
        "aws:iam/rolePolicy:RolePolicy",
        "iam",
        "PutRolePolicy",
        lambda _, inputs: (f"{inputs['role']}:{inputs['name']}", {}),
        name="name",
        renames={"name": "policyName", "role": "roleName", "policy": "policyDocument"},
    ),
    Row(
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        "iam",
        "AttachRolePolicy",
        lambda _, inputs: (f"{inputs['role']}-{inputs['policyArn']}", {}),
        renames={"role": "roleName"},
    ),
    Row(
        "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
        "iam",
        "CreateOpenIDConnectProvider",
        lambda answer, _: (answer["OpenIDConnectProviderArn"], {"arn": answer["OpenIDConnectProviderArn"], "thumbprintLists": []}),
        renames={"clientIdLists": "clientIDList"},
    ),
    Row(
        "aws:cloudwatch/logGroup:LogGroup",
        "logs",
        "CreateLogGroup",
        _log_group_arn,
        name="name",
        renames={"name": "logGroupName"},
        after=frozenset({"retentionInDays"}),
        follow=_retain_logs,
    ),
    Row("aws:eks/cluster:Cluster", "eks", "CreateCluster", _cluster_outputs, name="name", shaped=_cluster),
    Row(
        "aws:eks/nodeGroup:NodeGroup",
        "eks",
        "CreateNodegroup",
        _node_group_outputs,
        name="nodeGroupName",
        renames={"nodeGroupName": "nodegroupName", "nodeRoleArn": "nodeRole", "subnetIds": "subnets"},
    ),
    Row(
        "aws:eks/accessEntry:AccessEntry",
        "eks",
        "CreateAccessEntry",
        lambda answer, inputs: (
            f"{inputs['clusterName']}:{inputs['principalArn']}",
            {
                "accessEntryArn": answer["accessEntry"]["accessEntryArn"],
                "userName": answer["accessEntry"]["username"],
            },
        ),
    ),
    Row(
        "aws:eks/podIdentityAssociation:PodIdentityAssociation",
        "eks",
        "CreatePodIdentityAssociation",
        lambda answer, _: (
            answer["association"]["associationId"],
            {
                "associationId": answer["association"]["associationId"],
                "associationArn": answer["association"]["associationArn"],
            },
        ),
    ),
    Row(
        "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
        "eks",
        "AssociateAccessPolicy",
        lambda _, inputs: (f"{inputs['clusterName']}#{inputs['principalArn']}#{inputs['policyArn']}", {}),
    ),
    Row(
        "aws:ec2/launchTemplate:LaunchTemplate",
        "ec2",
        "CreateLaunchTemplate",
        _launch_template_outputs,
        name="name",
        renames={"name": "launchTemplateName", "description": "versionDescription"},
        shaped=_launch_template,
        resource_type="launch-template",
    ),
    Row(
        "aws:ec2/vpc:Vpc",
        "ec2",
        "CreateVpc",
        lambda answer, _: (answer["Vpc"]["VpcId"], {}),
        after=frozenset({"enableDnsHostnames"}),
        follow=_name_hosts,
        resource_type="vpc",
    ),
    Row(
        "aws:ec2/subnet:Subnet",
        "ec2",
        "CreateSubnet",
        lambda answer, _: (answer["Subnet"]["SubnetId"], {}),
        after=frozenset({"mapPublicIpOnLaunch"}),
        follow=_open_subnet,
        resource_type="subnet",
    ),
    Row(
        "aws:ec2/internetGateway:InternetGateway",
        "ec2",
        "CreateInternetGateway",
        lambda answer, _: (answer["InternetGateway"]["InternetGatewayId"], {}),
        after=frozenset({"vpcId"}),
        follow=_attach_gateway,
        resource_type="internet-gateway",
    ),
    Row(
        "aws:ec2/routeTable:RouteTable",
        "ec2",
        "CreateRouteTable",
        lambda answer, _: (answer["RouteTable"]["RouteTableId"], {}),
        after=frozenset({"routes"}),
        follow=_add_routes,
        resource_type="route-table",
    ),
    Row(
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        "ec2",
        "AssociateRouteTable",
        lambda answer, _: (answer["AssociationId"], {}),
    ),
    Row(
        "aws:autoscaling/tag:Tag",
        "autoscaling",
        "CreateOrUpdateTags",
        lambda _, inputs: (f"{inputs['autoscalingGroupName']},{inputs['tag']['key']}", {}),
        shaped=_group_tag,
    ),
    Row(
        "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig",
        "lambda",
        "PutFunctionEventInvokeConfig",
        lambda _, inputs: (inputs["functionName"], {}),
    ),
    Row(
        "aws:scheduler/schedule:Schedule",
        "scheduler",
        "CreateSchedule",
        lambda answer, inputs: (f"{inputs.get('groupName', 'default')}/{inputs['name']}", {"arn": answer["ScheduleArn"]}),
        name="name",
    ),
)
