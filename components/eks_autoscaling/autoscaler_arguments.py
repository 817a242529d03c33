"""Arguments of the autoscaler, and what of them cannot work."""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_kubernetes as kubernetes

from eks_autoscaling import cluster_reference, function_network
from eks_autoscaling.cluster import ClusterRef
from eks_autoscaling.function_network import FunctionNetwork
from eks_autoscaling.misuse import ArgumentError

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
# An inline policy of a role holds 10,240 characters, and each cluster takes about a thousand of the interruption function's.
MOST_MEMBERS = 7


class FleetMember(TypedDict):
    """One more cluster that an autoscaler serves."""

    cluster: ClusterRef
    """The cluster: ``cluster.ref()``, or name and ARN of any other EKS cluster that uses access entries."""
    kubernetes_provider: NotRequired[kubernetes.Provider]
    """Provider that declares the Kubernetes RBAC in that cluster. Without it apply the output ``manifests`` there yourself."""
    cluster_security_group_id: NotRequired[pulumi.Input[str]]
    """Where the functions stand in a VPC: the cluster security group, which guards the private endpoint; the functions are let in. Their
    VPC must have a route to the cluster's."""


class AutoscalerArgs(TypedDict):
    """Arguments of ``Autoscaler``."""

    cluster: ClusterRef
    """The cluster to scale: ``cluster.ref()``, or name and ARN of any other EKS cluster that uses access entries."""
    settings: NotRequired[dict[str, Any]]
    """Cluster Autoscaler flags without the dashes in front, such as {"expander": "least-waste", "scale-down-unneeded-time": "10m"}. Numbers
    and booleans may be texts, lists one text with ``;``. What the function would refuse the preview refuses."""
    kubernetes_provider: NotRequired[kubernetes.Provider]
    """Provider that declares the Kubernetes RBAC. Without it apply the output ``manifests`` yourself."""
    fleet: NotRequired[dict[str, FleetMember]]
    """More clusters of the same account and region that the functions serve with the same settings: a short name of your choice -> cluster.
    At most 7 beside the first, since a role's policy holds no more."""
    code: NotRequired[pulumi.Archive | None]
    """The zip of both functions, if you build it elsewhere; built from the installed package if absent."""
    memory_size_mib: NotRequired[int]
    """Memory of the scan in MiB, 128 to 10240; 512 if absent. Processor time grows with it."""
    timeout_seconds: NotRequired[int]
    """Longest run of a scan in seconds, 1 to 900; 55 if absent, so that a scan ends before the next begins."""
    reserved_concurrency: NotRequired[int]
    """Scans at a time: one for each cluster if absent, 0 to stop them, or -1 to reserve nothing for either function, which accounts with a
    quota of few concurrent invocations need."""
    enabled: NotRequired[bool]
    """Whether the autoscaler works; True if absent. False keeps everything in place, scans nothing and answers no events."""
    interruption: NotRequired[bool]
    """Whether nodes are emptied before AWS takes their instances away; True if absent. False leaves queue, rules and function out."""
    interruption_concurrency: NotRequired[int]
    """Batches of ten events that are answered at a time, 2 to 1000; 10 if absent. As many invocations are reserved, so that no other
    function of the account takes them, unless ``reserved_concurrency`` is -1."""
    network: NotRequired[FunctionNetwork]
    """A VPC for the functions, needed when the cluster's endpoint is private. Outside a VPC if absent. Each cluster of the fleet then needs
    its ``cluster_security_group_id`` too."""
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


def check(args: AutoscalerArgs) -> None:
    """Raises ArgumentError for arguments that cannot work."""
    ranges = {"memory_size_mib": (512, 128, 10240), "timeout_seconds": (55, 1, 900), "interruption_concurrency": (10, 2, 1000)}
    for argument, (default, low, high) in ranges.items():
        value = args.get(argument, default)
        if not low <= int(value) <= high:  # type: ignore[call-overload]
            raise ArgumentError(argument, value, f"Lambda takes {low} to {high}")
    if len(args.get("fleet", {})) > MOST_MEMBERS:
        raise ArgumentError(
            "fleet", sorted(args["fleet"]), f"serve at most {MOST_MEMBERS} clusters beside the first; declare another autoscaler"
        )
    _check_places(args)
    cluster_reference.check_fleet(
        args["cluster"], {f"fleet[{short!r}].cluster": member["cluster"] for short, member in sorted(args.get("fleet", {}).items())}
    )
    if int(args.get("reserved_concurrency", 1)) < -1:
        raise ArgumentError("reserved_concurrency", args.get("reserved_concurrency"), "use 1, 0 to stop scans, or -1 to reserve nothing")
    if "network" in args:
        function_network.check(args["network"])
    if args.get("log_level", "INFO") not in LOG_LEVELS:
        raise ArgumentError("log_level", args.get("log_level"), f"use one of {', '.join(LOG_LEVELS)}")


def _check_places(args: AutoscalerArgs) -> None:
    for short, member in sorted(args.get("fleet", {}).items()):
        if ("network" in args) != ("cluster_security_group_id" in member):
            remedy = (
                "name the cluster security group, which must let the functions in"
                if "network" in args
                else "leave it out, or give the functions a network"
            )
            raise ArgumentError(f"fleet[{short!r}].cluster_security_group_id", member.get("cluster_security_group_id"), remedy)
