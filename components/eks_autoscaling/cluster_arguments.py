"""Arguments of ``Cluster``, what follows from them, and what they cannot be.

Pure.
"""

import ipaddress
from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import pulumi

from eks_autoscaling import access_entries, auto_mode, control_plane_settings, kubernetes_version
from eks_autoscaling.access_entries import AccessEntry
from eks_autoscaling.auto_mode import AutoMode
from eks_autoscaling.control_plane_settings import ControlPlaneSettings
from eks_autoscaling.kubeconfig import KubeconfigCredentials
from eks_autoscaling.misuse import ArgumentError

LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")
SUPPORT_TYPES = ("STANDARD", "EXTENDED")
IP_FAMILIES = ("ipv4", "ipv6")
SCALING_TIERS = ("standard", "tier-xl", "tier-2xl", "tier-4xl", "tier-8xl")
_PRIVATE_BLOCKS = tuple(ipaddress.IPv4Network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))


class ClusterArgs(TypedDict):
    """Arguments of ``Cluster``."""

    subnet_ids: Sequence[pulumi.Input[str]]
    """Subnets for the control plane's network interfaces, in at least two zones."""
    admins: dict[str, pulumi.Input[str]]
    """Who administers the cluster: a short name of your choice -> ARN of an IAM role or user. At least one, since nobody else gets in."""
    access_entries: NotRequired[dict[str, AccessEntry]]
    """Who else may enter: a short name of your choice, not one of ``admins`` -> principal, groups and policies. Nodes need none here."""
    cluster_name: NotRequired[str]
    """Name of the cluster in EKS; the component's name if absent. Another name is another cluster."""
    version: NotRequired[pulumi.Input[str] | None]
    """Kubernetes version, such as "1.34"; the newest that EKS offers by default if absent."""
    public_access_cidrs: NotRequired[Sequence[pulumi.Input[str]]]
    """Address ranges that may reach a public API endpoint. Without any the endpoint is private to the VPC."""
    security_group_ids: NotRequired[Sequence[pulumi.Input[str]]]
    """More security groups (5 at most) for the control plane's network interfaces, beside the one that EKS makes for cluster and nodes."""
    ip_family: NotRequired[str]
    """ipv4 (default) or ipv6: the addresses of pods and services. ipv6 needs subnets with both kinds. Another family is another cluster."""
    service_ipv4_cidr: NotRequired[str]
    """Range for the addresses of services, /12 to /24 in a private block, apart from the VPC and networks connected to it. EKS takes
    10.100.0.0/16 or 172.20.0.0/16 if absent. Another range is another cluster."""
    log_types: NotRequired[Sequence[str]]
    """Control plane logs to keep; all five if absent."""
    log_retention_days: NotRequired[int]
    """Days for which control plane logs are kept; 90 if absent."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """Key that encrypts Kubernetes secrets; the component makes one with rotation if absent. Cannot be removed later."""
    customer_managed_key: NotRequired[bool]
    """False leaves the encryption of secrets to a key that AWS owns, at no charge; True if absent. True cannot be taken back."""
    support_type: NotRequired[str]
    """STANDARD (default): upgraded when standard support ends. EXTENDED: stays on the version, for an extra charge per hour."""
    zonal_shift: NotRequired[bool]
    """Let Application Recovery Controller move traffic away from an impaired zone; False if absent."""
    scaling_tier: NotRequired[str]
    """Capacity of the control plane: standard (default) scales with the load; tier-xl to tier-8xl are provisioned, for an extra charge."""
    control_plane: NotRequired[ControlPlaneSettings]
    """What API server, scheduler and controller manager do otherwise than by default. Needs Kubernetes 1.31."""
    auto_mode: NotRequired[AutoMode]
    """EKS Auto Mode: nodes, load balancers, volumes, networking and DNS by EKS itself, beside node groups if you like. Off if absent."""
    remote_node_cidrs: NotRequired[Sequence[pulumi.Input[str]]]
    """Private ranges of hybrid nodes outside AWS, apart from the VPC's and the services'; none if absent. Their role enters by an access
    entry of type HYBRID_LINUX."""
    remote_pod_cidrs: NotRequired[Sequence[pulumi.Input[str]]]
    """With ``remote_node_cidrs``: ranges of the pods on hybrid nodes, needed where webhooks run there."""
    bootstrap_add_ons: NotRequired[bool]
    """False leaves out the VPC CNI, kube-proxy and CoreDNS that EKS else installs unmanaged, and on which ``NodeAddOns`` and ``AddOns``
    build; True if absent, and always False with ``auto_mode``. It counts when the cluster is made, later changes do nothing."""
    deletion_protection: NotRequired[bool]
    """Refuse to delete the cluster until this is switched off; False if absent."""
    kubeconfig_credentials: NotRequired[KubeconfigCredentials]
    """Which AWS credentials the output ``kubeconfig`` uses; those of the environment if absent. They must be an admin's."""
    tags: NotRequired[dict[str, pulumi.Input[str]]]
    """Tags on everything the component makes."""


def check(name: str, args: ClusterArgs) -> None:
    """Refuse (ArgumentError) arguments that EKS would refuse or that would lock everyone out."""
    subnets = list(args.get("subnet_ids", []))
    if len(subnets) < 2:
        raise ArgumentError("subnet_ids", subnets, "name at least two subnets, in different zones")
    if not args.get("admins"):
        raise ArgumentError("admins", args.get("admins"), "name at least one IAM role or user; nobody else could ever enter the cluster")
    kubernetes_version.check("version", args.get("version"))
    _check_public_access(args.get("public_access_cidrs", ()))
    unknown = [kind for kind in args.get("log_types", ()) if kind not in LOG_TYPES]
    if unknown:
        raise ArgumentError("log_types", unknown, f"EKS writes {', '.join(LOG_TYPES)}")
    choices = {"support_type": SUPPORT_TYPES, "ip_family": IP_FAMILIES, "scaling_tier": SCALING_TIERS}
    for argument, values in choices.items():
        if args.get(argument, values[0]) not in values:
            raise ArgumentError(argument, args.get(argument), f"write one of {', '.join(values)}")
    if len(list(args.get("security_group_ids", []))) > 5:
        raise ArgumentError("security_group_ids", len(list(args.get("security_group_ids", []))), "name at most 5")
    _check_service_cidr(args.get("service_ipv4_cidr"), args.get("ip_family", IP_FAMILIES[0]))
    _check_key(args)
    _check_remote_networks(args)
    control_plane_settings.check(args.get("control_plane", {}))
    auto_mode.check(name, args.get("auto_mode"), {*args["admins"], *args.get("access_entries", {})})
    _check_auto_mode(args)
    access_entries.check(args["admins"], args.get("access_entries", {}))


def _check_key(args: ClusterArgs) -> None:
    if args.get("kms_key_arn") is not None and not args.get("customer_managed_key", True):
        raise ArgumentError("kms_key_arn", args.get("kms_key_arn"), "leave it out: customer_managed_key is False")


def _check_auto_mode(args: ClusterArgs) -> None:
    if auto_mode.is_on(args.get("auto_mode")):
        kubernetes_version.require(args.get("version"), auto_mode.OLDEST_VERSION, "auto_mode")
        if args.get("bootstrap_add_ons", False):
            raise ArgumentError("bootstrap_add_ons", True, "leave it out: with auto_mode EKS installs none, its nodes bring their own")
    if args.get("control_plane"):
        kubernetes_version.require(args.get("version"), control_plane_settings.OLDEST_VERSION, "control_plane")


def _check_remote_networks(args: ClusterArgs) -> None:
    nodes, pods = list(args.get("remote_node_cidrs", [])), list(args.get("remote_pod_cidrs", []))
    if pods and not nodes:
        raise ArgumentError("remote_pod_cidrs", pods, "add remote_node_cidrs, the ranges of the nodes that these pods run on")
    for argument, cidrs in (("remote_node_cidrs", nodes), ("remote_pod_cidrs", pods)):
        for cidr in cidrs:
            if isinstance(cidr, str):
                _private_block(argument, cidr, (8, 32))


def _check_public_access(cidrs: Sequence[pulumi.Input[str]]) -> None:
    for cidr in cidrs:
        if isinstance(cidr, str) and not _is_range(cidr):
            remedy = "write a range with its first address and its length, such as 203.0.113.0/24 (203.0.113.7/32 for one address)"
            raise ArgumentError("public_access_cidrs", cidr, remedy)


def _is_range(cidr: str) -> bool:
    try:
        ipaddress.ip_network(cidr)
    except ValueError:
        return False
    return "/" in cidr


def _check_service_cidr(cidr: str | None, family: str) -> None:
    if cidr is None:
        return
    if family != "ipv4":
        raise ArgumentError("service_ipv4_cidr", cidr, "leave it out: with ip_family ipv6 EKS chooses the range of services")
    _private_block("service_ipv4_cidr", cidr, (12, 24))


def _private_block(argument: str, cidr: str, lengths: tuple[int, int]) -> None:
    least, most = lengths
    try:
        block = ipaddress.IPv4Network(cidr)
    except ValueError:
        raise ArgumentError(argument, cidr, "write an IPv4 range with its first address, such as 172.20.0.0/16") from None
    if not least <= block.prefixlen <= most or not any(block.subnet_of(private) for private in _PRIVATE_BLOCKS):
        raise ArgumentError(argument, cidr, f"use a /{least} to /{most} in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16")


def vpc_config(args: ClusterArgs) -> Any:
    """Where the control plane's interfaces are and from where its API is reached."""
    cidrs = list(args.get("public_access_cidrs", []))
    groups = list(args.get("security_group_ids", []))
    network: dict[str, Any] = {
        "subnet_ids": list(args["subnet_ids"]),
        "endpoint_private_access": True,
        "endpoint_public_access": bool(cidrs),
    }
    return network | ({"public_access_cidrs": cidrs} if cidrs else {}) | ({"security_group_ids": groups} if groups else {})


def optional_config(args: ClusterArgs, auto_mode_node_role_arn: pulumi.Input[str] | None) -> Any:
    """The parts of ``aws.eks.Cluster`` that stand there only when asked for, so that EKS decides about the others."""
    chosen = args.get("auto_mode")
    addresses = {argument: args.get(argument) for argument in ("ip_family", "service_ipv4_cidr") if args.get(argument)}
    parts = {
        "kubernetes_network_config": {**addresses, **auto_mode.load_balancing(chosen)} or None,
        "zonal_shift_config": {"enabled": args["zonal_shift"]} if "zonal_shift" in args else None,
        "control_plane_scaling_config": {"tier": args["scaling_tier"]} if "scaling_tier" in args else None,
        "remote_network_config": _remote_networks(args),
        "bootstrap_self_managed_addons": args.get("bootstrap_add_ons"),
        **control_plane_settings.config(args.get("control_plane", {})),
        **auto_mode.config(chosen, auto_mode_node_role_arn),
    }
    return {name: value for name, value in parts.items() if value is not None}


def _remote_networks(args: ClusterArgs) -> Any:
    networks = {
        "remote_node_networks": {"cidrs": list(args.get("remote_node_cidrs", []))},
        "remote_pod_networks": {"cidrs": list(args.get("remote_pod_cidrs", []))},
    }
    return {name: network for name, network in networks.items() if network["cidrs"]} or None
