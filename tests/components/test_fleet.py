"""One autoscaler for a fleet: the same two functions serve several clusters."""

import json
from typing import Any

import pytest

from eks_autoscaling import ClusterRef, policies
from eks_autoscaling.misuse import ArgumentError
from tests.components import programs

OTHER: ClusterRef = {"name": "shop", "arn": "arn:aws:eks:eu-west-1:123456789012:cluster/shop"}
SCHEDULE = "aws:scheduler/schedule:Schedule"
ENTRY = "aws:eks/accessEntry:AccessEntry"


def fleet(**arguments: Any) -> Any:
    return programs.autoscaler(fleet={"shop": {"cluster": OTHER}}, **arguments)


def test_every_cluster_has_a_schedule_whose_event_names_it() -> None:
    schedules = {schedule.name: json.loads(schedule.inputs["target"]["input"]) for schedule in fleet().of_type(SCHEDULE)}
    assert {name: event["detail"] for name, event in schedules.items()} == {
        "autoscaler-every-minute": {"cluster": "prod"},
        "autoscaler-every-minute-shop": {"cluster": "shop"},
    }


def test_a_single_cluster_need_not_be_named() -> None:
    assert json.loads(programs.autoscaler().one(SCHEDULE).inputs["target"]["input"])["detail"] == {}


def test_both_functions_know_both_clusters_and_there_are_only_two_of_them() -> None:
    functions = fleet().of_type("aws:lambda/function:Function")
    assert len(functions) == 2
    assert {function.inputs["environment"]["variables"]["AUTOSCALER_CLUSTER_NAME"] for function in functions} == {"prod;shop"}


def test_every_cluster_admits_both_functions() -> None:
    assert sorted((entry.inputs["clusterName"], entry.inputs["userName"]) for entry in fleet().of_type(ENTRY)) == [
        ("prod", "eks-autoscaling"),
        ("prod", "eks-autoscaling-interruption"),
        ("shop", "eks-autoscaling"),
        ("shop", "eks-autoscaling-interruption"),
    ]


NETWORK = {"vpc_id": "vpc-1", "subnet_ids": ["subnet-1", "subnet-2"], "cluster_security_group_id": "sg-prod"}


def test_functions_in_a_vpc_are_let_in_by_every_cluster() -> None:
    members = {"shop": {"cluster": OTHER, "cluster_security_group_id": "sg-shop"}}
    rules = programs.autoscaler(network=NETWORK, fleet=members).of_type("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    assert {rule.inputs["securityGroupId"] for rule in rules} == {"sg-prod", "sg-shop"}


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        ({"network": NETWORK, "fleet": {"shop": {"cluster": OTHER}}}, "must let the functions in"),
        ({"fleet": {"shop": {"cluster": OTHER, "cluster_security_group_id": "sg-shop"}}}, "give the functions a network"),
    ],
)
def test_a_cluster_that_could_not_be_reached_is_refused(arguments: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ArgumentError, match=remedy):
        programs.autoscaler(**arguments)


def test_as_many_scans_run_at_a_time_as_there_are_clusters() -> None:
    scan = fleet().one("aws:lambda/function:Function", "autoscaler-scan")
    assert scan.inputs["reservedConcurrentExecutions"] == 2


def test_alarms_on_what_is_measured_exist_for_every_cluster() -> None:
    declared = fleet().of_type("aws:cloudwatch/metricAlarm:MetricAlarm")
    silent = [alarm.inputs["dimensions"]["cluster"] for alarm in declared if alarm.name.endswith("silent")]
    assert sorted(silent) == ["prod", "shop"]


def test_a_joined_policy_says_what_is_common_once_and_keeps_clusters_apart() -> None:
    logs = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/scan"
    one, two = (policies.autoscaler(str(ref["arn"]), logs) for ref in (programs.REF, OTHER))
    statements = policies.joined([one, two])["Statement"]
    sids = [statement["Sid"] for statement in statements]
    assert len(set(sids)) == len(sids)
    assert sum(sid.startswith("WriteLogs") for sid in sids) == 1
    writes = [statement["Condition"]["StringEquals"] for statement in statements if sid_of(statement).startswith("ResizeGroups")]
    assert [[key for key in keys if key.endswith(("/prod", "/shop"))] for keys in writes] == [
        ["aws:ResourceTag/k8s.io/cluster-autoscaler/prod"],
        ["aws:ResourceTag/k8s.io/cluster-autoscaler/shop"],
    ]


def sid_of(statement: dict[str, Any]) -> str:
    return str(statement["Sid"])


def test_a_full_fleet_fits_into_the_policy_of_a_role() -> None:
    logs = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/" + "x" * 60
    queue, function = "arn:aws:sqs:eu-west-1:123456789012:" + "x" * 80, "arn:aws:lambda:eu-west-1:123456789012:function:" + "x" * 64
    arns = [f"arn:aws:eks:eu-west-1:123456789012:cluster/{'x' * 40}{number}" for number in range(8)]
    for document in (
        policies.joined([policies.autoscaler(arn, logs) for arn in arns]),
        policies.joined([policies.interruption(arn, logs, queue, function) for arn in arns]),
    ):
        assert len(json.dumps(document, separators=(",", ":"))) <= 10_240


def test_a_fleet_that_a_policy_cannot_hold_is_refused() -> None:
    with pytest.raises(ArgumentError, match="at most 7 clusters"):
        programs.autoscaler(fleet={f"c{number}": {"cluster": OTHER} for number in range(8)})
