"""Lets a function into the cluster: its access entry, and its RBAC through pulumi_kubernetes from the manifests that are exported."""

from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from eks_autoscaling import rbac
from eks_autoscaling.cluster import ClusterRef
from eks_autoscaling.functions import Package


def declare_entry(package: Package, part: str, cluster: ClusterRef, role: aws.iam.Role, group: str) -> aws.eks.AccessEntry:
    """The entry that puts ``role`` into the Kubernetes ``group``, under a user name that is the same."""
    return aws.eks.AccessEntry(
        f"{package.name}-{part}",
        cluster_name=cluster["name"],
        principal_arn=role.arn,
        type="STANDARD",
        kubernetes_groups=[group],
        user_name=group,
        tags=dict(package.tags),
        opts=package.child,
    )


def declare(parent: pulumi.Resource, name: str, manifests: list[rbac.Manifest], provider: kubernetes.Provider) -> list[pulumi.Resource]:
    """The RBAC objects of ``manifests`` as children of ``parent``; ``name`` starts their logical names."""
    options = pulumi.ResourceOptions(parent=parent, provider=provider)
    return [_declare(f"{name}-{manifest['kind'].lower()}", manifest, options) for manifest in manifests]


def _declare(name: str, manifest: rbac.Manifest, options: pulumi.ResourceOptions) -> pulumi.Resource:
    metadata = manifest["metadata"]
    if manifest["apiVersion"].startswith("flowcontrol"):
        kind: Any = getattr(kubernetes.flowcontrol.v1, manifest["kind"])
        fair: pulumi.Resource = kind(name, metadata=metadata, spec=manifest["spec"], opts=options)
        return fair
    if "rules" in manifest:
        role = {"ClusterRole": kubernetes.rbac.v1.ClusterRole, "Role": kubernetes.rbac.v1.Role}[manifest["kind"]]
        declared: pulumi.Resource = role(name, metadata=metadata, rules=[_rule(rule) for rule in manifest["rules"]], opts=options)
        return declared
    binding = {
        "ClusterRoleBinding": kubernetes.rbac.v1.ClusterRoleBinding,
        "RoleBinding": kubernetes.rbac.v1.RoleBinding,
    }[manifest["kind"]]
    reference = manifest["roleRef"]
    bound: pulumi.Resource = binding(
        name,
        metadata=metadata,
        role_ref={"api_group": reference["apiGroup"], "kind": reference["kind"], "name": reference["name"]},
        subjects=[{"api_group": subject["apiGroup"], "kind": subject["kind"], "name": subject["name"]} for subject in manifest["subjects"]],
        opts=options,
    )
    return bound


def _rule(rule: dict[str, list[str]]) -> kubernetes.rbac.v1.PolicyRuleArgs:
    return kubernetes.rbac.v1.PolicyRuleArgs(
        api_groups=rule["apiGroups"],
        resources=rule["resources"],
        verbs=rule["verbs"],
        resource_names=rule.get("resourceNames"),
    )
