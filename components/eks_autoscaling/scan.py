"""The scan: the function that sizes the node groups, and the schedule that runs it every minute.

Odd parts:

* EventBridge Scheduler invokes functions asynchronously, and Lambda retries asynchronous invocations twice on its own.
  A late scan decides on an old view, so both retries are off and events die after a minute: the next scan is the retry.
* One scan at a time: reserved concurrency is 1. In an account whose quota leaves nothing to reserve, -1 does without;
  the function then relies on its Lease alone.
* The schedule is made last, so that the first scan finds its permissions in place.
"""

import json

import pulumi
import pulumi_aws as aws

from eks_autoscaling import names, policies
from eks_autoscaling.cluster import IAM_ROLE_NAME_LIMIT, ClusterRef
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
    package: Package, cluster: ClusterRef, *, memory_size_mib: int, timeout_seconds: int, reserved_concurrency: int
) -> Function:
    """The function, which AWS does not retry. ArgumentError when the autoscaler's name is too long."""
    logs = package.logs(f"{package.name}-logs", package.name)
    document = pulumi.Output.all(cluster["arn"], logs.arn).apply(lambda arns: policies.autoscaler(*arns))
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
    package: Package, cluster: ClusterRef, scanning: Function, needs: list[pulumi.Resource], *, enabled: bool
) -> aws.scheduler.Schedule:
    """The schedule, made after the function's permissions and ``needs``."""
    role, permissions = _schedule_role(package, cluster, scanning.function)
    return aws.scheduler.Schedule(
        names.child(package.name, "every-minute", 64),
        description="Scans the cluster for pods without a place and nodes without work",
        schedule_expression="rate(1 minute)",
        flexible_time_window={"mode": "OFF"},
        state="ENABLED" if enabled else "DISABLED",
        target={
            "arn": scanning.function.arn,
            "role_arn": role.arn,
            "input": json.dumps(SCHEDULED_EVENT),
            "retry_policy": {"maximum_retry_attempts": 0, "maximum_event_age_in_seconds": 60},
        },
        opts=pulumi.ResourceOptions(parent=package.parent, depends_on=[permissions, scanning.permissions, *needs]),
    )


def _schedule_role(package: Package, cluster: ClusterRef, function: aws.lambda_.Function) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
    trust = pulumi.Output.from_input(cluster["arn"]).apply(policies.ClusterArn)
    role = aws.iam.Role(
        names.child(package.name, "schedule", IAM_ROLE_NAME_LIMIT),
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
    return role, permissions
