"""Alarms, dashboard, network and fair share of the API: what surrounds the autoscaler's functions."""

import json
import re
from pathlib import Path
from typing import Any

import pulumi
import pytest

from eks_autoscaling import Autoscaler, ClusterRef, monitoring, rbac
from eks_autoscaling.misuse import ArgumentError
from eks_autoscaling.monitoring import Metric, Watched
from tests.cluster.aws_world import AwsWorld
from tests.cluster.pulumi_mocks import Deployment, deploy
from tests.components import programs

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
DASHBOARD = "aws:cloudwatch/dashboard:Dashboard"
METRICS_PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
WATCHED = Watched("prod", "scan", "interruption", "queue", "dead")
TOPIC = "arn:aws:sns:eu-west-1:123456789012:pager"


def every_metric() -> list[Metric]:
    panels = (*monitoring.SCAN_PANELS, *monitoring.INTERRUPTION_PANELS)
    return [alarm.metric for alarm in monitoring.alarms(WATCHED)] + [metric for panel in panels for metric in panel.metrics]


def documented() -> list[str]:
    return re.findall(r"\| `(cluster_autoscaler_[\w*]+)`", METRICS_PAGE.read_text())


def test_every_metric_of_the_autoscaler_that_an_alarm_or_panel_names_is_documented() -> None:
    patterns = [re.compile(re.escape(name).replace(r"\*", r"\w+")) for name in documented()]
    own = {metric.name for metric in every_metric() if metric.source == monitoring.NAMESPACE}
    assert own
    assert [name for name in sorted(own) if not any(pattern.fullmatch(name) for pattern in patterns)] == []


def test_metrics_of_aws_carry_the_dimension_by_which_aws_writes_them() -> None:
    of_aws = {(monitoring.namespace(metric), *WATCHED.dimensions(metric)) for metric in every_metric() if metric.source != "EksAutoscaling"}
    assert of_aws == {("AWS/Lambda", "FunctionName"), ("AWS/SQS", "QueueName")}


def test_missing_data_is_a_fault_only_where_it_means_that_nothing_scans() -> None:
    assert [alarm.key for alarm in monitoring.alarms(WATCHED) if alarm.missing == "breaching"] == ["silent"]


def test_alarms_notify_the_topics_when_they_begin_and_end() -> None:
    declared = programs.autoscaler(alarm_topic_arns=[TOPIC]).of_type(ALARM)
    assert len(declared) == len(monitoring.alarms(WATCHED))
    assert all(alarm.inputs["alarmActions"] == alarm.inputs["okActions"] == [TOPIC] for alarm in declared)


@pytest.mark.parametrize(("arguments", "alarms", "dashboards"), [({"alarms": False}, 0, 1), ({"dashboard": False}, 11, 0)])
def test_alarms_and_dashboard_can_be_left_out(arguments: dict[str, Any], alarms: int, dashboards: int) -> None:
    declared = programs.autoscaler(**arguments)
    assert (len(declared.of_type(ALARM)), len(declared.of_type(DASHBOARD))) == (alarms, dashboards)


def test_dashboards_of_clusters_and_regions_have_names_of_their_own() -> None:
    names = {
        str(programs.autoscaler(cluster=cluster).one(DASHBOARD).inputs["dashboardName"])
        for cluster in (
            programs.REF,
            {"name": "prod", "arn": "arn:aws:eks:us-east-1:123456789012:cluster/prod"},
            {"name": "staging", "arn": "arn:aws:eks:eu-west-1:123456789012:cluster/staging"},
        )
    }
    assert names == {"autoscaler-prod-eu-west-1", "autoscaler-prod-us-east-1", "autoscaler-staging-eu-west-1"}


def test_without_the_interruption_path_nothing_of_it_is_watched() -> None:
    declared = programs.autoscaler(interruption=False).of_type(ALARM)
    assert len(declared) == len(monitoring.SCAN_ALARMS)


def test_panels_stand_three_a_row_and_do_not_overlap() -> None:
    widgets = monitoring.dashboard_body(WATCHED, "eu-west-1")["widgets"]
    places = [(widget["x"], widget["y"]) for widget in widgets]
    assert len(set(places)) == len(places) == len(monitoring.SCAN_PANELS) + len(monitoring.INTERRUPTION_PANELS)
    assert {x for x, _ in places} == {0, 8, 16}


# --- in an account ---


@pytest.fixture(scope="module")
def account(tutorial_world: AwsWorld) -> AwsWorld:
    """The module's account."""
    return tutorial_world


@pytest.fixture(scope="module")
def deployed(account: AwsWorld) -> Deployment:
    vpc = account.client("ec2").create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        account.client("ec2").create_subnet(VpcId=vpc, CidrBlock=f"10.1.{number}.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]
        for number, zone in enumerate(("us-east-1a", "us-east-1b"))
    ]
    cluster_group = account.client("ec2").create_security_group(GroupName="cluster", Description="cluster", VpcId=vpc)["GroupId"]

    role = account.client("iam").create_role(RoleName="cluster", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    cluster = account.client("eks").create_cluster(
        name="prod", roleArn=role, resourcesVpcConfig={"subnetIds": subnets}, accessConfig={"authenticationMode": "API"}
    )["cluster"]
    ref: ClusterRef = {"name": "prod", "arn": cluster["arn"]}

    def program() -> None:
        network = {"vpc_id": vpc, "subnet_ids": subnets, "cluster_security_group_id": cluster_group}
        code = pulumi.AssetArchive({"handler.py": pulumi.StringAsset("")})
        made = Autoscaler("autoscaler", {"cluster": ref, "code": code, "network": network})  # type: ignore[typeddict-item]
        pulumi.export("dashboard", made.dashboard_name)
        pulumi.export("clusterGroup", cluster_group)

    return deploy(program, {}, account)


@pytest.mark.aws
def test_the_dashboard_names_the_functions_and_queues_that_were_made(account: AwsWorld, deployed: Deployment) -> None:
    body = account.client("cloudwatch").get_dashboard(DashboardName=deployed.outputs["dashboard"])["DashboardBody"]
    text = json.dumps(json.loads(body))
    functions = [function.outputs["name"] for function in deployed.of_type("aws:lambda/function:Function")]
    queues = [queue.outputs["name"] for queue in deployed.of_type("aws:sqs/queue:Queue")]
    assert [name for name in (*functions, *queues) if f'"{name}"' not in text] == []


@pytest.mark.aws
def test_the_alarms_watch_what_was_made(account: AwsWorld, deployed: Deployment) -> None:
    alarms = account.client("cloudwatch").describe_alarms()["MetricAlarms"]
    named = {dimension["Value"] for alarm in alarms for dimension in alarm["Dimensions"]}
    made = {function.outputs["name"] for function in deployed.of_type("aws:lambda/function:Function")}
    assert made < named
    assert "prod" in named


@pytest.mark.aws
def test_both_functions_stand_in_the_vpc_and_the_cluster_lets_them_in(account: AwsWorld, deployed: Deployment) -> None:
    declared = deployed.of_type("aws:lambda/function:Function")
    assert all(len(function.inputs["vpcConfig"]["subnetIds"]) == 2 for function in declared)
    (group,) = {group for function in declared for group in function.inputs["vpcConfig"]["securityGroupIds"]}
    guarded = account.client("ec2").describe_security_groups(GroupIds=[deployed.outputs["clusterGroup"]])["SecurityGroups"][0]
    (rule,) = guarded["IpPermissions"]
    assert (rule["FromPort"], rule["UserIdGroupPairs"][0]["GroupId"]) == (443, group)


@pytest.mark.aws
def test_the_roles_may_make_interfaces_only_when_there_is_a_network(account: AwsWorld, deployed: Deployment) -> None:
    policies = [policy for policy in deployed.of_type("aws:iam/rolePolicy:RolePolicy") if policy.name.endswith("-network")]
    assert len(policies) == 2
    assert not [policy for policy in programs.autoscaler().of_type("aws:iam/rolePolicy:RolePolicy") if policy.name.endswith("-network")]


def test_one_subnet_is_refused() -> None:
    with pytest.raises(ArgumentError, match="at least two subnets"):
        programs.autoscaler(network={"subnet_ids": ["subnet-1"], "vpc_id": "vpc-1", "cluster_security_group_id": "sg-1"})


# --- the API server ---


def test_both_functions_have_seats_of_their_own_at_the_api_server() -> None:
    level, schema = rbac.flow_control([rbac.GROUP, rbac.INTERRUPTION_GROUP])
    assert schema["spec"]["priorityLevelConfiguration"]["name"] == level["metadata"]["name"]
    assert [subject["group"]["name"] for subject in schema["spec"]["rules"][0]["subjects"]] == [rbac.GROUP, rbac.INTERRUPTION_GROUP]
