"""The scan: the function that sizes the node groups, and the schedule that runs it every minute.

Odd parts:

* EventBridge Scheduler invokes functions asynchronously, and Lambda retries asynchronous invocations twice on its own.
  A late scan decides on an old view, so both retries are off and events die after a minute: the next scan is the retry.
* One scan at a time: reserved concurrency is 1. In an account whose quota leaves nothing to reserve, -1 does without;
  the function then relies on its Lease alone.
* The schedule is made last, so that the first scan finds its permissions in place.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from eks_autoscaling import names, policies
from eks_autoscaling.cluster import ClusterRef
from eks_autoscaling.functions import Function, Package

HANDLER = "lambda_autoscaler.handler.scan"
PART = "scan"
ROLE_PART = "function"
# Keywords that EventBridge Scheduler replaces at each run; the form is that of EventBridge's own scheduled events.
SCHEDULED_EVENT = {
    "version": "0",
    "id": "<aws.scheduler.execution-id>",
    "source": "aws.scheduler",
    "detail-type": "Scheduled Event",
    "time": "<aws.scheduler.scheduled-time>",
    "resources": ["<aws.scheduler.schedule-arn>"],
    "detail": {},
}


def declare_function(
    package: Package, clusters: Sequence[ClusterRef], *, memory_size_mib: int, timeout_seconds: int, reserved_concurrency: int
) -> Function:
    """The function, which AWS does not retry. ArgumentError when the autoscaler's name is too long."""
    logs = package.logs(f"{package.name}-logs", package.name)
    arns = pulumi.Output.all(logs.arn, *(cluster["arn"] for cluster in clusters))
    document = arns.apply(lambda found: policies.joined([policies.autoscaler(arn, found[0]) for arn in found[1:]]))
    settings = {
        "description": "Scales the node groups of an EKS cluster once a minute",
        "handler": HANDLER,
        "memory_size": memory_size_mib,
        "timeout": timeout_seconds,
        "reserved_concurrent_executions": reserved_concurrency,
    }
    scanning = package.function(PART, logs, package.role(ROLE_PART, document), settings)
    aws.lambda_.FunctionEventInvokeConfig(
        f"{package.name}-{PART}",
        function_name=scanning.function.name,
        maximum_retry_attempts=0,
        maximum_event_age_in_seconds=60,
        opts=package.child,
    )
    return scanning


def declare_schedule(
    package: Package, cluster: ClusterRef, scanning: Function, role: "ScheduleRole", settings: Mapping[str, Any]
) -> aws.scheduler.Schedule:
    """The schedule of one cluster, made after the function's permissions.

    ``settings``: its ``part`` of the name, ``needs`` that must be there before, ``enabled``, and whether the event is ``named`` after the
    cluster.
    """
    event = pulumi.Output.from_input(cluster["name"]).apply(lambda name: json.dumps({**SCHEDULED_EVENT, "detail": {"cluster": name}}))
    return aws.scheduler.Schedule(
        names.child(package.name, settings["part"], 64),
        description="Scans the cluster for pods without a place and nodes without work",
        schedule_expression="rate(1 minute)",
        flexible_time_window={"mode": "OFF"},
        state="ENABLED" if settings["enabled"] else "DISABLED",
        target={
            "arn": scanning.function.arn,
            "role_arn": role.role.arn,
            "input": event if settings["named"] else json.dumps(SCHEDULED_EVENT),
            "retry_policy": {"maximum_retry_attempts": 0, "maximum_event_age_in_seconds": 60},
        },
        opts=pulumi.ResourceOptions(parent=package.parent, depends_on=[role.permissions, scanning.permissions, *settings["needs"]]),
    )


@dataclass(frozen=True)
class ScheduleRole:
    """The role that schedules take to invoke the function, and its permissions."""

    role: aws.iam.Role
    permissions: aws.iam.RolePolicy


def schedule_role(package: Package, cluster: ClusterRef, function: aws.lambda_.Function) -> ScheduleRole:
    """The role of the schedules; account and region are the cluster's."""
    trust = pulumi.Output.from_input(cluster["arn"]).apply(policies.ClusterArn)
    role = aws.iam.Role(
        names.child(package.name, "schedule", names.IAM_ROLE_NAME_LIMIT),
        assume_role_policy=trust.apply(lambda arn: json.dumps(policies.scheduler_trust(arn.account, arn.schedule_group))),
        tags=dict(package.tags),
        opts=package.child,
    )
    permissions = aws.iam.RolePolicy(
        f"{package.name}-schedule",
        role=role.name,
        policy=function.arn.apply(lambda arn: json.dumps(policies.invoke(arn))),
        opts=package.child,
    )
    return ScheduleRole(role, permissions)
