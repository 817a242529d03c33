"""The autoscaler: the function, what runs it every minute, and what it may do in AWS and in the cluster.

Odd parts:

* EventBridge Scheduler invokes functions asynchronously, and Lambda retries asynchronous invocations twice on its own.
  A late scan decides on an old view, so both retries are off and events die after a minute: the next scan is the retry.
* One scan at a time: reserved concurrency is 1. In an account whose quota leaves nothing to reserve, -1 does without;
  the function then relies on its Lease alone.
* The log group is named, and made, by the component, so that it has a retention and the role can be limited to it.
* The schedule is made last, so that the first scan finds its permissions in place.
"""

import json
from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from eks_autoscaling import kubernetes_access, names, policies, rbac, settings
from eks_autoscaling.cluster import IAM_ROLE_NAME_LIMIT, ClusterRef
from eks_autoscaling.misuse import ArgumentError

HANDLER = "lambda_autoscaler.handler.scan"
RUNTIME = "python3.13"
METRICS_NAMESPACE = "EksAutoscaling"
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
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


class AutoscalerArgs(TypedDict):
    """Arguments of ``Autoscaler``."""

    cluster: ClusterRef
    """The cluster to scale: ``cluster.ref()``, or name and ARN of any other EKS cluster that uses access entries."""
    settings: NotRequired[dict[str, Any]]
    """Cluster Autoscaler flags without the dashes in front, such as {"expander": "least-waste", "scale-down-unneeded-time": "10m"}."""
    kubernetes_provider: NotRequired[kubernetes.Provider]
    """Provider that declares the Kubernetes RBAC. Without it apply the output ``manifests`` yourself."""
    code: NotRequired[pulumi.Archive | None]
    """The function's zip, if you build it elsewhere; built from the installed package if absent."""
    memory_size_mib: NotRequired[int]
    """Memory of the function in MiB, 128 to 10240; 512 if absent. Processor time grows with it."""
    timeout_seconds: NotRequired[int]
    """Longest run of a scan in seconds, 1 to 900; 55 if absent, so that a scan ends before the next begins."""
    reserved_concurrency: NotRequired[int]
    """Scans at a time: 1 (default), 0 to stop them, or -1 to reserve nothing."""
    enabled: NotRequired[bool]
    """Whether the schedule runs; True if absent. False keeps everything in place and scans nothing."""
    log_level: NotRequired[str]
    """DEBUG, INFO (default), WARNING or ERROR."""
    log_retention_days: NotRequired[int]
    """Days for which the function's logs are kept; 30 if absent."""
    tags: NotRequired[dict[str, pulumi.Input[str]]]
    """Tags on everything the component makes."""


class Autoscaler(pulumi.ComponentResource):
    """A Lambda function that does every minute what the Cluster Autoscaler's pod would do."""

    function_name: pulumi.Output[str]
    """Name of the function."""
    function_arn: pulumi.Output[str]
    """ARN of the function."""
    role_arn: pulumi.Output[str]
    """IAM role of the function, the principal of its access entry."""
    schedule_name: pulumi.Output[str]
    """Name of the schedule in EventBridge Scheduler's default group."""
    schedule_arn: pulumi.Output[str]
    """ARN of the schedule."""
    log_group_name: pulumi.Output[str]
    """Log group of the function."""
    manifests: pulumi.Output[list[Any]]
    """Kubernetes RBAC of the autoscaler, as manifests."""

    def __init__(self, name: str, args: AutoscalerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError for arguments that cannot work, unknown settings among them."""
        super().__init__("eks-autoscaling:index:Autoscaler", name, None, opts)
        _check(args)
        variables = settings.environment(args["cluster"]["name"], args.get("settings", {}))
        self._name = name
        self._tags = args.get("tags", {})
        self._manifests = _rbac(args.get("settings", {}))
        self._child = pulumi.ResourceOptions(parent=self)
        logs = self._logs(args)
        role, permissions = self._role(args["cluster"], logs)
        function = self._function(args, variables, role, [logs, permissions])
        access = self._access(args, role)
        schedule = self._schedule(args, function, [permissions, *access])
        self._set_outputs(function, role, schedule, logs)

    def _logs(self, args: AutoscalerArgs) -> aws.cloudwatch.LogGroup:
        return aws.cloudwatch.LogGroup(
            f"{self._name}-logs",
            name_prefix=f"/aws/lambda/{self._name}-",
            retention_in_days=int(args.get("log_retention_days", 30)),
            tags=self._tags,
            opts=self._child,
        )

    def _role(self, cluster: ClusterRef, logs: aws.cloudwatch.LogGroup) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        role = aws.iam.Role(
            names.child(self._name, "function", IAM_ROLE_NAME_LIMIT),
            assume_role_policy=json.dumps(policies.service_trust("lambda.amazonaws.com")),
            tags=self._tags,
            opts=self._child,
        )
        document = pulumi.Output.all(cluster["arn"], logs.arn).apply(
            lambda arns: json.dumps(policies.autoscaler(cluster_arn=arns[0], log_group_arn=arns[1]))
        )
        permissions = aws.iam.RolePolicy(f"{self._name}-function", role=role.name, policy=document, opts=self._child)
        return role, permissions

    def _function(
        self, args: AutoscalerArgs, variables: dict[str, Any], role: aws.iam.Role, needs: list[pulumi.Resource]
    ) -> aws.lambda_.Function:
        logs = needs[0]
        assert isinstance(logs, aws.cloudwatch.LogGroup)
        function = aws.lambda_.Function(
            names.child(self._name, "scan", 64),
            description="Scales the node groups of an EKS cluster once a minute",
            role=role.arn,
            code=args.get("code") or _own_code(),
            handler=HANDLER,
            runtime=RUNTIME,
            architectures=["arm64"],
            memory_size=int(args.get("memory_size_mib", 512)),
            timeout=int(args.get("timeout_seconds", 55)),
            reserved_concurrent_executions=int(args.get("reserved_concurrency", 1)),
            environment={"variables": {**variables, **_powertools(args)}},
            logging_config={"log_format": "JSON", "log_group": logs.name},
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=needs),
        )
        aws.lambda_.FunctionEventInvokeConfig(
            f"{self._name}-scan",
            function_name=function.name,
            maximum_retry_attempts=0,
            maximum_event_age_in_seconds=60,
            opts=self._child,
        )
        return function

    def _access(self, args: AutoscalerArgs, role: aws.iam.Role) -> list[pulumi.Resource]:
        entry = aws.eks.AccessEntry(
            f"{self._name}-function",
            cluster_name=args["cluster"]["name"],
            principal_arn=role.arn,
            type="STANDARD",
            kubernetes_groups=[rbac.GROUP],
            user_name=rbac.GROUP,
            tags=self._tags,
            opts=self._child,
        )
        provider = args.get("kubernetes_provider")
        declared = kubernetes_access.declare(self, self._name, self._manifests, provider) if provider is not None else []
        return [entry, *declared]

    def _schedule(self, args: AutoscalerArgs, function: aws.lambda_.Function, needs: list[pulumi.Resource]) -> aws.scheduler.Schedule:
        role, permissions = self._schedule_role(args["cluster"], function)
        return aws.scheduler.Schedule(
            names.child(self._name, "every-minute", 64),
            description="Scans the cluster for pods without a place and nodes without work",
            schedule_expression="rate(1 minute)",
            flexible_time_window={"mode": "OFF"},
            state="ENABLED" if args.get("enabled", True) else "DISABLED",
            target={
                "arn": function.arn,
                "role_arn": role.arn,
                "input": json.dumps(SCHEDULED_EVENT),
                "retry_policy": {"maximum_retry_attempts": 0, "maximum_event_age_in_seconds": 60},
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[permissions, *needs]),
        )

    def _schedule_role(self, cluster: ClusterRef, function: aws.lambda_.Function) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        trust = pulumi.Output.from_input(cluster["arn"]).apply(policies.ClusterArn)
        role = aws.iam.Role(
            names.child(self._name, "schedule", IAM_ROLE_NAME_LIMIT),
            assume_role_policy=trust.apply(lambda arn: json.dumps(policies.scheduler_trust(arn.account, arn.schedule_group))),
            tags=self._tags,
            opts=self._child,
        )
        permissions = aws.iam.RolePolicy(
            f"{self._name}-schedule",
            role=role.name,
            policy=function.arn.apply(lambda arn: json.dumps(policies.invoke(arn))),
            opts=self._child,
        )
        return role, permissions

    def _set_outputs(
        self,
        function: aws.lambda_.Function,
        role: aws.iam.Role,
        schedule: aws.scheduler.Schedule,
        logs: aws.cloudwatch.LogGroup,
    ) -> None:
        self.function_name = function.name
        self.function_arn = function.arn
        self.role_arn = role.arn
        self.schedule_name = schedule.name
        self.schedule_arn = schedule.arn
        self.log_group_name = logs.name
        self.manifests = pulumi.Output.from_input(self._manifests)
        outputs = ("function_name", "function_arn", "role_arn", "schedule_name", "schedule_arn", "log_group_name")
        self.register_outputs({output: getattr(self, output) for output in (*outputs, "manifests")})


def _check(args: AutoscalerArgs) -> None:
    ranges = {"memory_size_mib": (512, 128, 10240), "timeout_seconds": (55, 1, 900)}
    for argument, (default, low, high) in ranges.items():
        value = args.get(argument, default)
        if not low <= int(value) <= high:  # type: ignore[call-overload]
            raise ArgumentError(argument, value, f"Lambda takes {low} to {high}")
    if int(args.get("reserved_concurrency", 1)) < -1:
        raise ArgumentError("reserved_concurrency", args.get("reserved_concurrency"), "use 1, 0 to stop scans, or -1 to reserve nothing")
    if args.get("log_level", "INFO") not in LOG_LEVELS:
        raise ArgumentError("log_level", args.get("log_level"), f"use one of {', '.join(LOG_LEVELS)}")


def _rbac(chosen: Mapping[str, Any]) -> list[rbac.Manifest]:
    return rbac.manifests(chosen.get("namespace", rbac.NAMESPACE), chosen.get("status-config-map-name", rbac.STATUS_CONFIG_MAP))


def _powertools(args: AutoscalerArgs) -> dict[str, str]:
    return {
        "POWERTOOLS_SERVICE_NAME": "eks-autoscaling",
        "POWERTOOLS_METRICS_NAMESPACE": METRICS_NAMESPACE,
        "POWERTOOLS_LOG_LEVEL": args.get("log_level", "INFO"),
    }


def _own_code() -> pulumi.Archive:
    # Imported only when needed: whoever ships an archive of their own needs no builder.
    from eks_autoscaling import bundle  # noqa: PLC0415

    return pulumi.FileArchive(str(bundle.build_bundle()))
