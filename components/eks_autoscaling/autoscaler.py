"""The autoscaler: the scan and what runs it every minute, the interruption path, and what both may do in AWS and in the cluster."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from eks_autoscaling import (
    component_arguments,
    function_network,
    interruption,
    kubernetes_access,
    monitoring,
    policies,
    rbac,
    scan,
    settings,
)
from eks_autoscaling.autoscaler_arguments import AutoscalerArgs, check
from eks_autoscaling.cluster import ClusterRef
from eks_autoscaling.functions import Function, Package
from eks_autoscaling.monitoring import Watched

METRICS_NAMESPACE = "EksAutoscaling"


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
    fleet_schedule_names: pulumi.Output[dict[str, str]]
    """Names of the schedules of the fleet's other clusters, by their short names."""
    alarm_arns: pulumi.Output[list[str]]
    """ARNs of the alarms."""
    dashboard_name: pulumi.Output[str] | None = None
    """Name of the dashboard; None without one."""
    security_group_id: pulumi.Output[str] | None = None
    """Security group of the functions; None outside a VPC."""

    def __init__(self, name: str, args: AutoscalerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError for arguments that cannot work, unknown settings among them."""
        component_arguments.check(args, AutoscalerArgs)
        super().__init__("eks-autoscaling:index:Autoscaler", name, None, opts)
        check(args)
        self._args, self._flags = args, settings.checked(args.get("settings", {}))
        for note in settings.notes(self._flags):
            pulumi.log.warn(f"{name}: {note}", resource=self)
        self._members = _members(args)
        package = _package(self, name, args, self._flags)
        if "network" in args:
            guards = {
                short: member["cluster_security_group_id"]
                for short, member in sorted(args.get("fleet", {}).items())
                if "cluster_security_group_id" in member
            }
            place = function_network.declare(package, args["network"], guards)
            package = replace(package, place=place)
            self.security_group_id = pulumi.Output.from_input(place.security_group_ids[0])
        scanning = self._scan(package)
        watched = Watched(args["cluster"]["name"], scanning.function.name)
        manifests = _rbac(self._flags)
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
            [member.cluster for member in self._members],
            memory_size_mib=int(args.get("memory_size_mib", 512)),
            timeout_seconds=int(args.get("timeout_seconds", 55)),
            reserved_concurrency=int(args.get("reserved_concurrency", len(self._members))),
        )
        access = self._admit(package, scan.ROLE_PART, scanning, rbac.GROUP, _rbac(self._flags))
        role = scan.schedule_role(package, args["cluster"], scanning.function)
        common = {"needs": access, "enabled": args.get("enabled", True), "named": len(self._members) > 1}
        schedules = [
            scan.declare_schedule(package, member.cluster, scanning, role, {**common, "part": member.part("every-minute")})
            for member in self._members
        ]
        self.function_name, self.function_arn = scanning.function.name, scanning.function.arn
        self.role_arn, self.log_group_name = scanning.role.arn, scanning.logs.name
        self.schedule_name, self.schedule_arn = schedules[0].name, schedules[0].arn
        # Without names Output.all makes a list.
        self.fleet_schedule_names = pulumi.Output.all(
            **{member.key: schedule.name for member, schedule in zip(self._members[1:], schedules[1:], strict=True)}
        ).apply(dict)
        return scanning

    def _interruption(self, package: Package, scanning: Function, watched: Watched) -> Watched:
        args = self._args
        queues = interruption.declare_queues(package)
        clusters = [member.cluster for member in self._members]
        at_a_time = int(args.get("interruption_concurrency", 10))
        reserved = -1 if int(args.get("reserved_concurrency", 1)) == -1 else at_a_time
        answering = interruption.declare_function(package, clusters, queues.events, scanning.function, reserved)
        access = self._admit(package, interruption.PART, answering, rbac.INTERRUPTION_GROUP, rbac.interruption_manifests())
        rules = interruption.declare_rules(package, args["cluster"], queues.events, enabled=args.get("enabled", True))
        polling = {"concurrency": at_a_time, "enabled": args.get("enabled", True)}
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
        """Seats at the API servers for the functions' groups, so that nobody waits for the other."""
        groups = [rbac.GROUP, *([rbac.INTERRUPTION_GROUP] if self._args.get("interruption", True) else [])]
        manifests = rbac.flow_control(groups)
        for member in self._members:
            if member.provider is not None:
                kubernetes_access.declare(self, member.part(name), manifests, member.provider)
        return manifests

    def _watch(self, package: Package, watched: Watched) -> None:
        args = self._args
        notify = monitoring.Notify(list(args.get("alarm_topic_arns", ())), enabled=args.get("enabled", True))
        declared = monitoring.declare_alarms(package, watched, notify) if args.get("alarms", True) else []
        for member in self._members[1:] if args.get("alarms", True) else ():
            declared += monitoring.declare_member_alarms(package, member.key, member.cluster["name"], notify)
        self.alarm_arns = pulumi.Output.all(*(alarm.arn for alarm in declared))
        if args.get("dashboard", True):
            region = pulumi.Output.from_input(args["cluster"]["arn"]).apply(lambda arn: policies.ClusterArn(arn).region)
            self.dashboard_name = monitoring.declare_dashboard(package, watched, region).dashboard_name

    def _admit(self, package: Package, part: str, called: Function, group: str, manifests: list[rbac.Manifest]) -> list[pulumi.Resource]:
        found: list[pulumi.Resource] = []
        for member in self._members:
            found.append(kubernetes_access.declare_entry(package, member.part(part), member.cluster, called.role, group))
            if member.provider is not None:
                prefix = package.name if part == scan.ROLE_PART else f"{package.name}-{part}"
                found += kubernetes_access.declare(self, member.part(prefix), manifests, member.provider)
        return found


@dataclass(frozen=True)
class _Member:
    """A cluster that the functions serve; the first one has no ``key``."""

    key: str
    cluster: ClusterRef
    provider: kubernetes.Provider | None

    def part(self, name: str) -> str:
        """A name for what is declared once for each cluster."""
        return f"{name}-{self.key}" if self.key else name


def _members(args: AutoscalerArgs) -> list[_Member]:
    others = [_Member(key, member["cluster"], member.get("kubernetes_provider")) for key, member in sorted(args.get("fleet", {}).items())]
    return [_Member("", args["cluster"], args.get("kubernetes_provider")), *others]


def _package(parent: pulumi.Resource, name: str, args: AutoscalerArgs, flags: Mapping[str, str]) -> Package:
    return Package(
        parent,
        name,
        code=args.get("code") or _own_code(),
        variables={**settings.environment(_names(args), flags), **_powertools(args)},
        log_retention_days=int(args.get("log_retention_days", 30)),
        tags=args.get("tags", {}),
    )


def _names(args: AutoscalerArgs) -> pulumi.Input[str]:
    """Names of the clusters, as the functions' variable takes them."""
    members = _members(args)
    return (
        members[0].cluster["name"]
        if len(members) == 1
        else pulumi.Output.all(*(member.cluster["name"] for member in members)).apply(";".join)
    )


def _rbac(chosen: Mapping[str, str]) -> list[rbac.Manifest]:
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
