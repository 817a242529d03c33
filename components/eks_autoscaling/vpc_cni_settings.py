"""Settings of the VPC CNI, which gives each pod an address of the VPC: what they mean, and which ones contradict each other.

Pure. The CNI takes settings that exclude each other without a word and ignores some of them; here they are refused. Sources: the variables
in https://github.com/aws/amazon-vpc-cni-k8s/blob/master/README.md and its docs/prefix-and-ip-target.md and docs/eni-and-ip-target.md.
"""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import pulumi

from eks_autoscaling import pod_density
from eks_autoscaling.misuse import ArgumentError
from eks_autoscaling.policies import NODE_POLICIES
from eks_autoscaling.service_account_role import IDENTITIES
from eks_autoscaling.workload_policies import CNI_POLICY

NODE = "NODE"
ROLE_IDENTITIES = (*IDENTITIES, NODE)
DEFAULT_IDENTITY = "POD_IDENTITY"
IP_FAMILIES = ("ipv4", "ipv6")
ZONE_LABEL = "topology.kubernetes.io/zone"

_TARGETS = {
    "warm_eni_target": "WARM_ENI_TARGET",
    "warm_prefix_target": "WARM_PREFIX_TARGET",
    "warm_ip_target": "WARM_IP_TARGET",
    "minimum_ip_target": "MINIMUM_IP_TARGET",
}
_IP_TARGETS = ("warm_ip_target", "minimum_ip_target")
_IPV4_ONLY = (*_TARGETS, "prefix_delegation", "custom_networking", "external_snat")
_TYPED_VARIABLES = {
    **{variable: setting for setting, variable in _TARGETS.items()},
    "ENABLE_PREFIX_DELEGATION": "prefix_delegation",
    "AWS_VPC_K8S_CNI_EXTERNALSNAT": "external_snat",
    "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "custom_networking",
    "ENI_CONFIG_LABEL_DEF": "custom_networking",
    "ENABLE_IPv4": "ip_family",
    "ENABLE_IPv6": "ip_family",
}


class PodSubnet(TypedDict):
    """Where pods of one zone get their addresses with custom networking."""

    subnet_id: pulumi.Input[str]
    """Subnet in this zone, such as one in a secondary range of the VPC."""
    security_group_ids: NotRequired[Sequence[pulumi.Input[str]]]
    """Security groups of the pods' interfaces; those of the node's first interface if absent."""


class VpcCniSettings(TypedDict):
    """How pods get addresses."""

    ip_family: NotRequired[str]
    """ipv4 (default) or ipv6, as that of the cluster."""
    prefix_delegation: NotRequired[bool]
    """Take addresses sixteen at a time, which lets nodes have many more pods; False if absent. Subnets must have whole /28 blocks left:
    reserve a range in them. Set it before the first node group is made: a group keeps the number of pods that it was made with."""
    warm_prefix_target: NotRequired[int]
    """With ``prefix_delegation``: free prefixes that a node keeps ready, 1 or more; 1 if absent."""
    warm_ip_target: NotRequired[int]
    """Free addresses that a node keeps ready, 1 or more, instead of whole interfaces or prefixes. Spares addresses and costs EC2 calls,
    which AWS throttles: not for large clusters where pods come and go."""
    minimum_ip_target: NotRequired[int]
    """With ``warm_ip_target``: addresses that a node takes at once, about as many as it usually has pods."""
    warm_eni_target: NotRequired[int]
    """Without any of the three above: free interfaces, with all their addresses, that a node keeps ready, 0 or more; 1 if absent."""
    custom_networking: NotRequired[dict[str, PodSubnet]]
    """Other subnets for pods than for nodes: zone, such as eu-west-1a -> subnet. Name every zone that has nodes: in others pods get no
    address. The node's first interface then has no pods. Holds for nodes that come later."""
    external_snat: NotRequired[bool]
    """True where a NAT gateway translates the addresses of pods, so that peers of the VPC see a pod's own. False (default) lets the node
    translate, which pods in public subnets need."""
    network_policy: NotRequired[bool]
    """Enforce NetworkPolicies, by an agent on each node; True if absent. Without policies nothing is refused."""
    environment: NotRequired[dict[str, str]]
    """Other variables of the CNI, such as AWS_VPC_K8S_CNI_LOGLEVEL; not those that a setting above writes."""
    values: NotRequired[dict[str, Any]]
    """Other settings in the add-on's schema, such as resources; not env, eniConfig or enableNetworkPolicy."""
    identity: NotRequired[str]
    """Whose rights the CNI has: a role of its own through POD_IDENTITY (default; needs the add-on eks-pod-identity-agent) or IRSA, or
    NODE for the node's role, which then needs AmazonEKS_CNI_Policy, and pods with the host's network share it."""


def check(settings: VpcCniSettings) -> None:
    """Refuse (ArgumentError) settings that contradict each other or that the CNI would ignore."""
    choices = {"identity": ROLE_IDENTITIES, "ip_family": IP_FAMILIES}
    for argument, values in choices.items():
        if settings.get(argument, values[0]) not in values:
            raise ArgumentError(argument, settings.get(argument), f"write one of {', '.join(values)}")
    if is_ipv6(settings):
        _check_ipv6(settings)
    _check_numbers(settings)
    _check_targets(settings)
    if "custom_networking" in settings and not settings["custom_networking"]:
        raise ArgumentError("custom_networking", {}, "name a subnet for each zone that has nodes, or leave it out")
    _check_escapes(settings)


def _check_ipv6(settings: VpcCniSettings) -> None:
    for argument in _IPV4_ONLY:
        if settings.get(argument) is not None:
            raise ArgumentError(
                argument, settings.get(argument), "leave it out: with ip_family ipv6 each node has one prefix for all its pods"
            )
    if settings.get("identity") == NODE:
        raise ArgumentError("identity", NODE, "no managed policy lets a node assign IPv6 addresses; use POD_IDENTITY or IRSA")


def _check_numbers(settings: VpcCniSettings) -> None:
    for argument in _TARGETS:
        least = 0 if argument == "warm_eni_target" else 1
        value = settings.get(argument)
        if value is not None and _target(value) < least:
            raise ArgumentError(argument, value, f"use {least} or more")


def _check_targets(settings: VpcCniSettings) -> None:
    prefixes = settings.get("prefix_delegation", False)
    by_address = [argument for argument in _IP_TARGETS if settings.get(argument) is not None]
    if "warm_prefix_target" in settings and not prefixes:
        raise ArgumentError("warm_prefix_target", settings["warm_prefix_target"], "it needs prefix_delegation")
    if "warm_eni_target" in settings and prefixes:
        raise ArgumentError("warm_eni_target", settings["warm_eni_target"], "leave it out: with prefix_delegation the CNI ignores it")
    for argument in ("warm_eni_target", "warm_prefix_target"):
        if argument in settings and by_address:
            raise ArgumentError(argument, settings.get(argument), f"leave it out: {by_address[0]} takes its place")
    if by_address == ["minimum_ip_target"]:
        remedy = "add warm_ip_target: without it a node gets no address beyond the minimum"
        raise ArgumentError("minimum_ip_target", settings["minimum_ip_target"], remedy)


def _check_escapes(settings: VpcCniSettings) -> None:
    for variable in settings.get("environment", {}):
        if variable in _TYPED_VARIABLES:
            raise ArgumentError("environment", variable, f"use the setting {_TYPED_VARIABLES[variable]}")
    typed = sorted({"env", "eniConfig", "enableNetworkPolicy"} & settings.get("values", {}).keys())
    if typed:
        raise ArgumentError("values", typed, "use environment, custom_networking and network_policy")


def is_ipv6(settings: VpcCniSettings) -> bool:
    """Whether pods get IPv6 addresses."""
    return settings.get("ip_family", IP_FAMILIES[0]) == "ipv6"


def identity(settings: VpcCniSettings) -> str:
    """How the CNI gets its rights."""
    return settings.get("identity", DEFAULT_IDENTITY)


def node_policies(settings: VpcCniSettings | None) -> tuple[str, ...]:
    """AWS managed policies that a node's role needs: without the CNI's where ``settings`` give the CNI a role of its own.

    None is a CNI of which nothing is known, and which may have only the node's rights.
    """
    own_role = settings is not None and identity(settings) != NODE
    return tuple(policy for policy in NODE_POLICIES if not own_role or policy != CNI_POLICY)


def max_pods(instance_types: Sequence[str], settings: VpcCniSettings) -> int:
    """The pods that a node of a group with these types must be told to have at most, under ``settings``; ArgumentError as for ``check``."""
    check(settings)
    return pod_density.max_pods(
        instance_types,
        prefix_delegation=settings.get("prefix_delegation", False),
        custom_networking=bool(settings.get("custom_networking")),
        ipv6=is_ipv6(settings),
    )


def configuration(settings: VpcCniSettings, region: pulumi.Input[str]) -> dict[str, Any]:
    """The settings in the add-on's schema, where numbers and flags are text."""
    values: dict[str, Any] = {
        **settings.get("values", {}),
        "env": _variables(settings),
        "enableNetworkPolicy": _flag(settings.get("network_policy", True)),
    }
    zones = settings.get("custom_networking")
    if zones:
        values["eniConfig"] = {"create": True, "region": region, "subnets": {zone: _eni_config(subnet) for zone, subnet in zones.items()}}
    return {name: value for name, value in values.items() if value != {}}


def _variables(settings: VpcCniSettings) -> dict[str, str]:
    variables = dict(settings.get("environment", {}))
    for argument, variable in _TARGETS.items():
        value = settings.get(argument)
        if value is not None:
            variables[variable] = str(_target(value))
    if settings.get("prefix_delegation") is not None:
        variables["ENABLE_PREFIX_DELEGATION"] = _flag(settings["prefix_delegation"])
        if settings["prefix_delegation"] and not any(argument in settings for argument in _TARGETS):
            variables["WARM_PREFIX_TARGET"] = "1"
    if settings.get("external_snat") is not None:
        variables["AWS_VPC_K8S_CNI_EXTERNALSNAT"] = _flag(settings["external_snat"])
    if settings.get("custom_networking"):
        # ENIConfigs are named after zones, and nodes carry their zone as a label.
        variables |= {"AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true", "ENI_CONFIG_LABEL_DEF": ZONE_LABEL}
    return variables


def _eni_config(subnet: PodSubnet) -> dict[str, Any]:
    groups = list(subnet.get("security_group_ids", []))
    return {"id": subnet["subnet_id"], **({"securityGroups": groups} if groups else {})}


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _target(value: Any) -> int:
    # Pulumi hands over whole floats when the program is in another language.
    return int(value)
