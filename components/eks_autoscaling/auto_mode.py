"""EKS Auto Mode: EKS itself runs nodes, load balancers, volumes, pod networking and DNS.

Its three parts go together: the API refuses a cluster that has only one or two of them. Nodes of Auto Mode are EKS's to size; the
autoscaler leaves them alone and sees to the node groups beside them.

Rules: https://docs.aws.amazon.com/eks/latest/userguide/automode.html
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi

from eks_autoscaling import access_entries, names, policies, roles
from eks_autoscaling.misuse import ArgumentError

NODE_POOLS = ("general-purpose", "system")
NODE_POLICY = "AmazonEKSAutoNodePolicy"
OLDEST_VERSION = "1.29"
# What Auto Mode's nodes bring along, and pods of these add-ons would double.
BUILT_IN_ADD_ONS = ("vpc-cni", "kube-proxy", "eks-pod-identity-agent", "coredns", "aws-ebs-csi-driver")
_ROLE_PART = "auto-node"


class AutoMode(TypedDict):
    """Nodes, load balancers and volumes by EKS Auto Mode."""

    enabled: NotRequired[bool]
    """True if absent. False switches off what was on, which ends its nodes; to leave ``auto_mode`` out changes nothing."""
    node_pools: NotRequired[Sequence[str]]
    """Node pools that EKS makes: general-purpose and system, both if absent. With none, NodePools and NodeClasses of your own make nodes;
    their role is the output ``auto_mode_node_role_arn``, which the component lets into the cluster."""
    node_role_arn: NotRequired[pulumi.Input[str]]
    """IAM role of the nodes; the component makes one if absent. EKS takes no other one while Auto Mode is on."""


def check(name: str, auto_mode: AutoMode | None, entries: Collection[str]) -> None:
    """Refuse (ArgumentError) what the API would refuse; ``entries`` are the names that other access entries have."""
    if auto_mode is None:
        return
    if _ROLE_PART in entries and not node_pools(auto_mode):
        raise ArgumentError("access_entries", _ROLE_PART, "choose another name: the entry of the nodes of Auto Mode has it")
    unknown = sorted(set(node_pools(auto_mode)) - set(NODE_POOLS))
    if unknown:
        raise ArgumentError("auto_mode.node_pools", unknown, f"EKS makes {' and '.join(NODE_POOLS)}; apply a NodePool for any other")
    if auto_mode.get("node_role_arn") is None:
        names.child(name, _ROLE_PART, names.IAM_ROLE_NAME_LIMIT)


def is_on(auto_mode: AutoMode | None) -> bool:
    """Whether the cluster has Auto Mode."""
    return auto_mode is not None and auto_mode.get("enabled", True)


def node_pools(auto_mode: AutoMode) -> list[str]:
    """The node pools that EKS makes."""
    return list(auto_mode.get("node_pools", NODE_POOLS))


def cluster_policies(auto_mode: AutoMode | None) -> tuple[str, ...]:
    """AWS managed policies of the cluster's role. They stay while EKS takes down what Auto Mode made."""
    return policies.CLUSTER_POLICIES if auto_mode is None else (*policies.CLUSTER_POLICIES, *policies.AUTO_MODE_CLUSTER_POLICIES)


def cluster_trust(auto_mode: AutoMode | None) -> policies.Document:
    """Who takes the cluster's role: EKS, which with Auto Mode also tags its sessions."""
    trust = policies.service_trust("eks.amazonaws.com")
    if auto_mode is not None:
        trust["Statement"][0]["Action"] = ["sts:AssumeRole", "sts:TagSession"]
    return trust


def config(auto_mode: AutoMode | None, node_role_arn: pulumi.Input[str] | None) -> dict[str, Any]:
    """Arguments of ``aws.eks.Cluster``, but for load balancing, which is part of the network. EKS takes a role with node pools only."""
    if auto_mode is None:
        return {}
    on = is_on(auto_mode)
    pools = node_pools(auto_mode) if on else []
    compute: dict[str, Any] = {"enabled": on}
    if pools:
        compute |= {"node_pools": pools, "node_role_arn": node_role_arn}
    # EKS refuses Auto Mode to a new cluster with add-ons of its own.
    add_ons = {"bootstrap_self_managed_addons": False} if on else {}
    return {"compute_config": compute, "storage_config": {"block_storage": {"enabled": on}}, **add_ons}


def load_balancing(auto_mode: AutoMode | None) -> dict[str, Any]:
    """The part of Auto Mode that stands in the cluster's network configuration."""
    return {} if auto_mode is None else {"elastic_load_balancing": {"enabled": is_on(auto_mode)}}


def node_role(
    parent: pulumi.Resource, name: str, auto_mode: AutoMode, tags: Mapping[str, pulumi.Input[str]]
) -> tuple[pulumi.Input[str], list[pulumi.Resource]]:
    """ARN of the nodes' role, and what the cluster must wait for."""
    given = auto_mode.get("node_role_arn")
    if given is not None:
        return given, []
    role, grants = roles.with_managed_policies(
        parent,
        names.child(name, _ROLE_PART, names.IAM_ROLE_NAME_LIMIT),
        policies.service_trust("ec2.amazonaws.com"),
        policies.AUTO_MODE_NODE_POLICIES,
        tags,
    )
    return role.arn, list(grants)


def own_entry(auto_mode: AutoMode | None, node_role_arn: pulumi.Input[str] | None) -> dict[str, access_entries.AccessEntry]:
    """What lets nodes of your own NodePools in. For node pools of its own EKS makes this entry, and refuses a second one."""
    if auto_mode is None or node_role_arn is None or not is_on(auto_mode) or node_pools(auto_mode):
        return {}
    return {_ROLE_PART: {"principal_arn": node_role_arn, "type": "EC2", "policies": [{"policy": NODE_POLICY}]}}


def warn_of_built_in(parent: pulumi.Resource, name: str, add_ons: Sequence[str]) -> None:
    """Say which of these ``add_ons`` of a cluster with Auto Mode only node groups beside it need."""
    found = [add_on for add_on in add_ons if add_on in BUILT_IN_ADD_ONS]
    if found:
        pulumi.log.warn(
            f"{name}: nodes of EKS Auto Mode bring along what {', '.join(found)} do. Only node groups beside them need these add-ons; leave"
            " them out where there are none.",
            resource=parent,
        )
