"""Access entries: which IAM principals enter the cluster, and what they may do there.

EKS authorizes by access policies, Kubernetes by RBAC for the groups of an entry; an entry may use both. Roles of managed node groups and
Fargate profiles get their entries from EKS, and self-managed node groups declare their own: none of them belongs here.

Rules: https://docs.aws.amazon.com/eks/latest/userguide/creating-access-entries.html
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from eks_autoscaling.misuse import ArgumentError

STANDARD = "STANDARD"
ADMIN_POLICY = "AmazonEKSClusterAdminPolicy"
TYPES = (STANDARD, "EC2_LINUX", "EC2_WINDOWS", "EC2", "FARGATE_LINUX", "HYBRID_LINUX", "HYPERPOD_LINUX")
# Nodes of EKS Auto Mode join by an entry of type EC2 with a policy; the other types of nodes come with what they may do.
TYPES_WITH_POLICIES = (STANDARD, "EC2")
RESERVED_PREFIXES = ("system:", "eks:", "aws:", "amazon:", "iam:")

_POLICY = re.compile(r"AmazonEKS[A-Za-z]*Policy")
_PRINCIPAL = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:(role/.+|user/.+|root)")


class AccessPolicy(TypedDict):
    """One of EKS's access policies, and where it holds."""

    policy: str
    """Name of the policy, such as AmazonEKSViewPolicy. AmazonEKSViewPolicy and AmazonEKSEditPolicy do not show nodes."""
    namespaces: NotRequired[Sequence[str]]
    """Namespaces to which the policy is limited; the whole cluster if absent."""


class AccessEntry(TypedDict):
    """An IAM principal that may enter the cluster."""

    principal_arn: pulumi.Input[str]
    """ARN of an IAM role or user. A principal has one entry. A role that is deleted and made anew under the same ARN is another principal:
    replace its entry too."""
    type: NotRequired[str]
    """STANDARD (default) for people and programs. EC2_LINUX, EC2_WINDOWS, EC2, FARGATE_LINUX, HYBRID_LINUX or HYPERPOD_LINUX for the role
    of nodes that join by themselves. Another type is another entry."""
    kubernetes_groups: NotRequired[Sequence[str]]
    """With STANDARD only: groups to which role bindings grant what the principal may do. Nobody checks that bindings name them."""
    user_name: NotRequired[str]
    """With STANDARD only: the user's name in Kubernetes. EKS makes one of the ARN and the session if absent, which tells people apart."""
    policies: NotRequired[Sequence[AccessPolicy]]
    """With STANDARD and EC2 only: what EKS lets the principal do, beside what role bindings grant."""


def check(admins: Mapping[str, pulumi.Input[str]], entries: Mapping[str, AccessEntry]) -> None:
    """Refuse (ArgumentError) entries that EKS would refuse."""
    both = sorted(admins.keys() & entries.keys())
    if both:
        raise ArgumentError("access_entries", both, "these names are taken by admins, choose others")
    _check_principals([*admins.values(), *(entry["principal_arn"] for entry in entries.values())])
    for short, principal in admins.items():
        _check_principal(f"admins[{short!r}]", principal)
    for short, entry in entries.items():
        _check_principal(f"access_entries[{short!r}].principal_arn", entry["principal_arn"])
        _check_type(short, entry)
        _check_names(f"access_entries[{short!r}]", entry)
        for policy in entry.get("policies", []):
            _check_policy(f"access_entries[{short!r}].policies", policy)


def _check_principals(principals: Sequence[pulumi.Input[str]]) -> None:
    # What is only known later EKS itself compares.
    counts = Counter(principal for principal in principals if isinstance(principal, str))
    twice = [principal for principal, count in counts.items() if count > 1]
    if twice:
        raise ArgumentError("access_entries", twice, "a principal has one entry: give it all its groups and policies there")


def _check_principal(argument: str, principal: pulumi.Input[str]) -> None:
    if not isinstance(principal, str) or _PRINCIPAL.fullmatch(principal):
        return
    if ":assumed-role/" in principal:
        raise ArgumentError(argument, principal, "write the ARN of the role itself, arn:aws:iam::ACCOUNT:role/NAME: a session ends")
    if ":group/" in principal:
        raise ArgumentError(argument, principal, "EKS lets no IAM groups in: name a role that the members of the group may take")
    raise ArgumentError(argument, principal, "write the ARN of an IAM role or user, such as arn:aws:iam::123456789012:role/team")


def _check_type(short: str, entry: AccessEntry) -> None:
    kind = entry.get("type", STANDARD)
    if kind not in TYPES:
        raise ArgumentError(f"access_entries[{short!r}].type", kind, f"write one of {', '.join(TYPES)}")
    allowed = {"kubernetes_groups": (STANDARD,), "user_name": (STANDARD,), "policies": TYPES_WITH_POLICIES}
    for argument, kinds in allowed.items():
        if entry.get(argument) and kind not in kinds:
            raise ArgumentError(f"access_entries[{short!r}].{argument}", entry.get(argument), f"leave it out: type {kind} does not take it")


def _check_names(where: str, entry: AccessEntry) -> None:
    named = [("kubernetes_groups", group) for group in entry.get("kubernetes_groups", [])]
    if "user_name" in entry:
        named.append(("user_name", entry["user_name"]))
    for argument, name in named:
        if not name or name.startswith(RESERVED_PREFIXES):
            raise ArgumentError(f"{where}.{argument}", name, f"EKS reserves the prefixes {', '.join(RESERVED_PREFIXES)}; use another name")


def _check_policy(where: str, policy: AccessPolicy) -> None:
    if not _POLICY.fullmatch(policy["policy"]):
        raise ArgumentError(where, policy["policy"], "write the name of an access policy without ARN, such as AmazonEKSViewPolicy")
    if "namespaces" in policy and not list(policy["namespaces"]):
        raise ArgumentError(f"{where}.namespaces", [], "name a namespace, or leave it out for the whole cluster")


def declare(
    parent: pulumi.Resource,
    name: str,
    cluster: pulumi.Input[str],
    entries: Mapping[str, AccessEntry],
    tags: Mapping[str, pulumi.Input[str]],
) -> list[aws.eks.AccessPolicyAssociation]:
    """The ``entries`` of ``cluster`` as children of ``parent``; ``name`` starts their logical names. Returns what associates policies."""
    associated: list[aws.eks.AccessPolicyAssociation] = []
    options = pulumi.ResourceOptions(parent=parent)
    partition = aws.get_partition_output(opts=pulumi.InvokeOptions(parent=parent)).partition
    for short, entry in entries.items():
        declared = aws.eks.AccessEntry(
            f"{name}-{short}",
            cluster_name=cluster,
            principal_arn=entry["principal_arn"],
            type=entry.get("type", STANDARD),
            kubernetes_groups=list(entry.get("kubernetes_groups", [])) or None,
            user_name=entry.get("user_name"),
            tags=dict(tags),
            opts=options,
        )
        for policy in entry.get("policies", []):
            association = aws.eks.AccessPolicyAssociation(
                f"{name}-{short}-{policy['policy']}",
                cluster_name=cluster,
                principal_arn=declared.principal_arn,
                policy_arn=pulumi.Output.concat("arn:", partition, ":eks::aws:cluster-access-policy/", policy["policy"]),
                access_scope=_scope(policy),
                opts=options,
            )
            associated.append(association)
    return associated


def _scope(policy: AccessPolicy) -> Any:
    namespaces = list(policy.get("namespaces", []))
    return {"type": "namespace", "namespaces": namespaces} if namespaces else {"type": "cluster"}


def admin(principal: pulumi.Input[str]) -> AccessEntry:
    """The entry of an administrator of the whole cluster."""
    return {"principal_arn": principal, "policies": [{"policy": ADMIN_POLICY}]}
