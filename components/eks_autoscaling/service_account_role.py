"""An IAM role for one Kubernetes service account: its pods get short-lived credentials of their own instead of the node's.

Two ways lead there, behind one interface:

* ``IRSA``: the pod presents a token of its service account to STS, which the cluster's OIDC provider in IAM vouches for.
  The service account carries the role's ARN as an annotation. Nothing runs in the cluster for it.
* ``POD_IDENTITY``: EKS itself knows the association, and an agent on the node hands the credentials out. It needs the
  add-on ``eks-pod-identity-agent`` on the nodes, and no annotation: the SDKs would follow that first, and be refused.
"""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from eks_autoscaling import component_arguments, names, workload_policies
from eks_autoscaling.cluster import ClusterRef
from eks_autoscaling.json_documents import json_text
from eks_autoscaling.misuse import ArgumentError

IDENTITIES = ("IRSA", "POD_IDENTITY")
ROLE_ANNOTATION = "eks.amazonaws.com/role-arn"


class ServiceAccountRoleArgs(TypedDict):
    """Arguments of ``ServiceAccountRole``."""

    cluster: ClusterRef
    """The cluster of the service account: ``cluster.ref()``, or name and ARN of any other. IRSA needs its ``oidc_provider_arn`` too."""
    namespace: str
    """Kubernetes namespace of the service account. It need not exist yet."""
    service_account: str
    """Name of the service account, taken literally. It need not exist yet, and the component does not make it."""
    identity: NotRequired[str]
    """IRSA (default) or POD_IDENTITY. Pods get the other one's credentials only when they are started again."""
    managed_policies: NotRequired[dict[str, pulumi.Input[str]]]
    """What the role may do: a short name of your choice -> ARN of a managed policy. IAM attaches 10 to a role by default."""
    policy_documents: NotRequired[dict[str, pulumi.Input[dict[str, Any]]]]
    """What the role may do besides: a short name of your choice -> policy document. IAM takes 10,240 characters in all."""
    tags: NotRequired[dict[str, pulumi.Input[str]]]
    """Tags on everything the component makes."""


class ServiceAccountRole(pulumi.ComponentResource):
    """An IAM role that pods of one service account, in one namespace of one cluster, take, and nobody else."""

    role_arn: pulumi.Output[str]
    """ARN of the role."""
    role_name: pulumi.Output[str]
    """Name of the role."""
    annotations: pulumi.Output[dict[str, str]]
    """Annotations for the service account: ``eks.amazonaws.com/role-arn`` with IRSA, none with POD_IDENTITY."""

    def __init__(self, name: str, args: ServiceAccountRoleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError for arguments that cannot work."""
        component_arguments.check(args, ServiceAccountRoleArgs)
        super().__init__("eks-autoscaling:index:ServiceAccountRole", name, None, opts)
        _check(args)
        self._name = name
        self._tags = args.get("tags", {})
        self._child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            names.child(name, "role", names.IAM_ROLE_NAME_LIMIT),
            description=f"Pods of the service account {args['namespace']}/{args['service_account']}",
            assume_role_policy=pulumi.Output.json_dumps(_trust(args)),
            tags=self._tags,
            opts=self._child,
        )
        grants = self._grants(args, role)
        if _identity(args) == "POD_IDENTITY":
            self._associate(args, role, grants)
        self.role_arn = role.arn
        self.role_name = role.name
        self.annotations = role.arn.apply(lambda arn: {ROLE_ANNOTATION: arn} if _identity(args) == "IRSA" else {})
        self.register_outputs({output: getattr(self, output) for output in ("role_arn", "role_name", "annotations")})

    def _grants(self, args: ServiceAccountRoleArgs, role: aws.iam.Role) -> list[pulumi.Resource]:
        attached = [
            aws.iam.RolePolicyAttachment(f"{self._name}-{short}", role=role.name, policy_arn=arn, opts=self._child)
            for short, arn in args.get("managed_policies", {}).items()
        ]
        written = [
            aws.iam.RolePolicy(f"{self._name}-{short}", role=role.name, policy=json_text(document), opts=self._child)
            for short, document in args.get("policy_documents", {}).items()
        ]
        return [*attached, *written]

    def _associate(self, args: ServiceAccountRoleArgs, role: aws.iam.Role, grants: list[pulumi.Resource]) -> None:
        aws.eks.PodIdentityAssociation(
            self._name,
            cluster_name=args["cluster"]["name"],
            namespace=args["namespace"],
            service_account=args["service_account"],
            role_arn=role.arn,
            tags=self._tags,
            # The first pod that gets the role finds its permissions in place.
            opts=pulumi.ResourceOptions(parent=self, depends_on=grants),
        )


def _identity(args: ServiceAccountRoleArgs) -> str:
    return args.get("identity", "IRSA")


def _trust(args: ServiceAccountRoleArgs) -> pulumi.Output[dict[str, Any]]:
    namespace, account = args["namespace"], args["service_account"]
    if _identity(args) == "IRSA":
        provider = pulumi.Output.from_input(args["cluster"]["oidc_provider_arn"])
        return provider.apply(lambda arn: workload_policies.irsa_trust(arn, namespace, account))
    return pulumi.Output.from_input(args["cluster"]["arn"]).apply(lambda arn: workload_policies.pod_identity_trust(arn, namespace, account))


def _check(args: ServiceAccountRoleArgs) -> None:
    names.dns_label(args["namespace"], "namespace")
    names.dns_subdomain(args["service_account"], "service_account")
    if _identity(args) not in IDENTITIES:
        raise ArgumentError("identity", _identity(args), f"use one of {', '.join(IDENTITIES)}")
    if _identity(args) == "IRSA" and args["cluster"].get("oidc_provider_arn") is None:
        remedy = "IRSA needs the ARN of its OIDC provider in IAM: add oidc_provider_arn, or choose identity POD_IDENTITY"
        raise ArgumentError("cluster", sorted(args["cluster"]), remedy)
    _check_policies(args.get("managed_policies", {}), args.get("policy_documents", {}))


def _check_policies(managed: Mapping[str, Any], documents: Mapping[str, Any]) -> None:
    """Look at what is known before anything is declared: values from other resources are not."""
    for short, arn in managed.items():
        if isinstance(arn, str) and not arn.startswith("arn:"):
            raise ArgumentError("managed_policies", arn, f"give the whole ARN of policy {short!r}, such as arn:aws:iam::aws:policy/NAME")
    for short, document in documents.items():
        if isinstance(document, dict) and "Statement" not in document:
            raise ArgumentError("policy_documents", document, f"give policy {short!r} as a dict with Version and Statement")
