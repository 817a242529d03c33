"""The autoscaler: the scan and what runs it every minute, the interruption path, and what both may do in AWS and in the cluster."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_kubernetes as kubernetes

from eks_autoscaling import function_network, interruption, kubernetes_access, monitoring, policies, rbac, scan, settings
from eks_autoscaling.cluster import ClusterRef
from eks_autoscaling.function_network import FunctionNetwork
from eks_autoscaling.functions import Function, Package
from eks_autoscaling.misuse import ArgumentError
from eks_autoscaling.monitoring import Watched

METRICS_NAMESPACE = "EksAutoscaling"
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class AutoscalerArgs(TypedDict):
    """Arguments of ``Autoscaler``."""

    cluster: ClusterRef
    """The cluster to scale: ``cluster.ref()``, or name and ARN of any other EKS cluster that uses access entries."""
    settings: NotRequired[dict[str, Any]]
    """Cluster Autoscaler flags without the dashes in front, such as {"expander": "least-waste", "scale-down-unneeded-time": "10m"}."""
    kubernetes_provider: NotRequired[kubernetes.Provider]
    """Provider that declares the Kubernetes RBAC. Without it apply the output ``manifests`` yourself."""
    code: NotRequired[pulumi.Archive | None]
    """The zip of both functions, if you build it elsewhere; built from the installed package if absent."""
    memory_size_mib: NotRequired[int]
    """Memory of the scan in MiB, 128 to 10240; 512 if absent. Processor time grows with it."""
    timeout_seconds: NotRequired[int]
    """Longest run of a scan in seconds, 1 to 900; 55 if absent, so that a scan ends before the next begins."""
    reserved_concurrency: NotRequired[int]
    """Scans at a time: 1 (default), 0 to stop them, or -1 to reserve nothing."""
    enabled: NotRequired[bool]
    """Whether the autoscaler works; True if absent. False keeps everything in place, scans nothing and answers no events."""
    interruption: NotRequired[bool]
    """Whether nodes are emptied before AWS takes their instances away; True if absent. False leaves queue, rules and function out."""
    interruption_concurrency: NotRequired[int]
    """Batches of ten events that are answered at a time, 2 to 1000; 10 if absent."""
    network: NotRequired[FunctionNetwork]
    """A VPC for the functions, needed when the cluster's endpoint is private. Outside a VPC if absent."""
    alarms: NotRequired[bool]
    """Alarms on what should wake somebody; True if absent. About ten, at $0.10 a month each (us-east-1)."""
    alarm_topic_arns: NotRequired[Sequence[pulumi.Input[str]]]
    """SNS topics that alarms notify; nobody if absent."""
    dashboard: NotRequired[bool]
    """A CloudWatch dashboard; True if absent. An account's first three are free, others $3 a month (us-east-1)."""
    log_level: NotRequired[str]
    """DEBUG, INFO (default), WARNING or ERROR."""
    log_retention_days: NotRequired[int]
    """Days for which the functions' logs are kept; 30 if absent."""
    tags: NotRequired[dict[str, pulumi.Input[str]]]
    """Tags on everything the component makes."""


class Autoscaler(pulumi.ComponentResource):
    """Two Lambda functions: one does every minute what the Cluster Autoscaler's pod would do, one answers interruptions of instances."""

    function_name: pulumi.Output[str]
    """Name of the function that scans."""
    function_arn: pulumi.Output[str]
    """ARN of the function that scans."""
    role_arn: pulumi.Output[str]
    """IAM role of the scan, the principal of its access entry."""
    schedule_name: pulumi.Output[str]
    """Name of the schedule in EventBridge Scheduler's default group."""
    schedule_arn: pulumi.Output[str]
    """ARN of the schedule."""
    log_group_name: pulumi.Output[str]
    """Log group of the scan."""
    manifests: pulumi.Output[list[Any]]
    """Kubernetes RBAC of the autoscaler, as manifests."""
    interruption_function_name: pulumi.Output[str] | None = None
    """Name of the function that answers interruptions. This and the outputs below are None without ``interruption``."""
    interruption_function_arn: pulumi.Output[str] | None = None
    """ARN of the function that answers interruptions."""
    interruption_role_arn: pulumi.Output[str] | None = None
    """IAM role of the function that answers interruptions, the principal of its access entry."""
    interruption_log_group_name: pulumi.Output[str] | None = None
    """Log group of the function that answers interruptions."""
    interruption_queue_url: pulumi.Output[str] | None = None
    """URL of the queue of events."""
    interruption_queue_arn: pulumi.Output[str] | None = None
    """ARN of the queue of events."""
    interruption_dead_letter_queue_url: pulumi.Output[str] | None = None
    """URL of the queue of events that failed three times. It should be empty: a place for an alarm."""
    interruption_rule_names: pulumi.Output[list[str]] | None = None
    """Names of the rules on EventBridge's default bus."""
    alarm_arns: pulumi.Output[list[str]]
    """ARNs of the alarms."""
    dashboard_name: pulumi.Output[str] | None = None
    """Name of the dashboard; None without one."""

    def __init__(self, name: str, args: AutoscalerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError for arguments that cannot work, unknown settings among them."""
        super().__init__("eks-autoscaling:index:Autoscaler", name, None, opts)
        _check(args)
        self._args = args
        package = _package(self, name, args)
        if "network" in args:
            package = replace(package, place=function_network.declare(package, args["network"]))
        scanning = self._scan(package)
        watched = Watched(args["cluster"]["name"], scanning.function.name)
        manifests = _rbac(args.get("settings", {}))
        if args.get("interruption", True):
            watched = self._interruption(package, scanning, watched)
            manifests = manifests + rbac.interruption_manifests()
        manifests = manifests + self._share_the_api(name)
        self._watch(package, watched)
        self.manifests = pulumi.Output.from_input(manifests)
        self.register_outputs({output: getattr(self, output) for output in type(self).__annotations__})

    def _scan(self, package: Package) -> Function:
        args = self._args
        scanning = scan.declare_function(
            package,
            args["cluster"],
            memory_size_mib=int(args.get("memory_size_mib", 512)),
            timeout_seconds=int(args.get("timeout_seconds", 55)),
            reserved_concurrency=int(args.get("reserved_concurrency", 1)),
        )
        access = self._admit(package, scan.ROLE_PART, scanning, rbac.GROUP, _rbac(args.get("settings", {})))
        schedule = scan.declare_schedule(package, args["cluster"], scanning, access, enabled=args.get("enabled", True))
        self.function_name, self.function_arn = scanning.function.name, scanning.function.arn
        self.role_arn, self.log_group_name = scanning.role.arn, scanning.logs.name
        self.schedule_name, self.schedule_arn = schedule.name, schedule.arn
        return scanning

    def _interruption(self, package: Package, scanning: Function, watched: Watched) -> Watched:
        args = self._args
        queues = interruption.declare_queues(package)
        answering = interruption.declare_function(package, args["cluster"], queues.events, scanning.function)
        access = self._admit(package, interruption.PART, answering, rbac.INTERRUPTION_GROUP, rbac.interruption_manifests())
        rules = interruption.declare_rules(package, args["cluster"], queues.events)
        polling = {"concurrency": int(args.get("interruption_concurrency", 10)), "enabled": args.get("enabled", True)}
        interruption.declare_mapping(package, queues.events, answering, access, polling)
        self.interruption_function_name, self.interruption_function_arn = answering.function.name, answering.function.arn
        self.interruption_role_arn, self.interruption_log_group_name = answering.role.arn, answering.logs.name
        self.interruption_queue_url, self.interruption_queue_arn = queues.events.url, queues.events.arn
        self.interruption_dead_letter_queue_url = queues.dead_letters.url
        self.interruption_rule_names = pulumi.Output.all(*(rule.name for rule in rules))
        return replace(
            watched, interruption_function=answering.function.name, queue=queues.events.name, dead_letters=queues.dead_letters.name
        )

    def _share_the_api(self, name: str) -> list[rbac.Manifest]:
        """Seats at the API server for the functions' groups, so that nobody waits for the other."""
        groups = [rbac.GROUP, *([rbac.INTERRUPTION_GROUP] if self._args.get("interruption", True) else [])]
        manifests = rbac.flow_control(groups)
        provider = self._args.get("kubernetes_provider")
        if provider is not None:
            kubernetes_access.declare(self, name, manifests, provider)
        return manifests

    def _watch(self, package: Package, watched: Watched) -> None:
        args = self._args
        declared = monitoring.declare_alarms(package, watched, args.get("alarm_topic_arns", ())) if args.get("alarms", True) else []
        self.alarm_arns = pulumi.Output.all(*(alarm.arn for alarm in declared))
        if args.get("dashboard", True):
            region = pulumi.Output.from_input(args["cluster"]["arn"]).apply(lambda arn: policies.ClusterArn(arn).region)
            self.dashboard_name = monitoring.declare_dashboard(package, watched, region).dashboard_name

    def _admit(self, package: Package, part: str, called: Function, group: str, manifests: list[rbac.Manifest]) -> list[pulumi.Resource]:
        entry = kubernetes_access.declare_entry(package, part, self._args["cluster"], called.role, group)
        provider = self._args.get("kubernetes_provider")
        if provider is None:
            return [entry]
        prefix = package.name if part == scan.ROLE_PART else f"{package.name}-{part}"
        return [entry, *kubernetes_access.declare(self, prefix, manifests, provider)]


def _check(args: AutoscalerArgs) -> None:
    ranges = {"memory_size_mib": (512, 128, 10240), "timeout_seconds": (55, 1, 900), "interruption_concurrency": (10, 2, 1000)}
    for argument, (default, low, high) in ranges.items():
        value = args.get(argument, default)
        if not low <= int(value) <= high:  # type: ignore[call-overload]
            raise ArgumentError(argument, value, f"Lambda takes {low} to {high}")
    if int(args.get("reserved_concurrency", 1)) < -1:
        raise ArgumentError("reserved_concurrency", args.get("reserved_concurrency"), "use 1, 0 to stop scans, or -1 to reserve nothing")
    if "network" in args:
        function_network.check(args["network"])
    if args.get("log_level", "INFO") not in LOG_LEVELS:
        raise ArgumentError("log_level", args.get("log_level"), f"use one of {', '.join(LOG_LEVELS)}")


def _package(parent: pulumi.Resource, name: str, args: AutoscalerArgs) -> Package:
    return Package(
        parent,
        name,
        code=args.get("code") or _own_code(),
        variables={**settings.environment(args["cluster"]["name"], args.get("settings", {})), **_powertools(args)},
        log_retention_days=int(args.get("log_retention_days", 30)),
        tags=args.get("tags", {}),
    )


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
