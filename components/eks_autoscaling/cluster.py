"""The cluster: an EKS control plane with what AWS recommends switched on from the first day.

Secrets are encrypted with a key of its own, every control plane log goes to a log group with retention, access is
granted by access entries alone, and the API endpoint is private unless address ranges are named. The log group is made
before the cluster: EKS would otherwise make one that keeps logs for ever.
"""

import json
from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from eks_autoscaling import names, policies, roles
from eks_autoscaling.misuse import ArgumentError

LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")
SUPPORT_TYPES = ("STANDARD", "EXTENDED")
IAM_ROLE_NAME_LIMIT = 64


class ClusterRef(TypedDict):
    """What the other components need to know of a cluster, whoever declared it (``Cluster.ref()`` gives ours)."""

    name: pulumi.Input[str]
    """Name of the EKS cluster."""
    arn: pulumi.Input[str]
    """ARN of the EKS cluster; region and account are read from it."""


class ClusterArgs(TypedDict):
    """Arguments of ``Cluster``."""

    subnet_ids: Sequence[pulumi.Input[str]]
    """Subnets for the control plane's network interfaces, in at least two zones."""
    admins: dict[str, pulumi.Input[str]]
    """Who administers the cluster: a short name of your choice -> ARN of an IAM role or user. At least one, since nobody else gets in."""
    cluster_name: NotRequired[str]
    """Name of the cluster in EKS; the component's name if absent. Another name is another cluster."""
    version: NotRequired[pulumi.Input[str] | None]
    """Kubernetes version, such as "1.34"; the newest that EKS offers by default if absent."""
    public_access_cidrs: NotRequired[Sequence[pulumi.Input[str]]]
    """Address ranges that may reach a public API endpoint. Without any the endpoint is private to the VPC."""
    log_types: NotRequired[Sequence[str]]
    """Control plane logs to keep; all five if absent."""
    log_retention_days: NotRequired[int]
    """Days for which control plane logs are kept; 90 if absent."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """Key that encrypts Kubernetes secrets; the component makes one with rotation if absent. Cannot be removed later."""
    support_type: NotRequired[str]
    """STANDARD (default): upgraded when standard support ends. EXTENDED: stays on the version, for an extra charge per hour."""
    deletion_protection: NotRequired[bool]
    """Refuse to delete the cluster until this is switched off; False if absent."""
    tags: NotRequired[dict[str, pulumi.Input[str]]]
    """Tags on everything the component makes."""


class Cluster(pulumi.ComponentResource):
    """An EKS cluster with encrypted secrets, logs with retention, access entries and an OIDC provider."""

    name: pulumi.Output[str]
    """Name of the cluster in EKS."""
    arn: pulumi.Output[str]
    """ARN of the cluster."""
    endpoint: pulumi.Output[str]
    """URL of the Kubernetes API."""
    certificate_authority: pulumi.Output[str]
    """Base64 of the PEM certificate that signs the API's certificate."""
    security_group_id: pulumi.Output[str]
    """The cluster security group, which EKS also puts on managed nodes."""
    role_arn: pulumi.Output[str]
    """The control plane's IAM role."""
    oidc_provider_arn: pulumi.Output[str]
    """IAM provider for roles of service accounts."""
    oidc_issuer: pulumi.Output[str]
    """Issuer of service account tokens, without https://, as trust conditions spell it."""
    kubeconfig: pulumi.Output[str]
    """kubeconfig (JSON) that authenticates through ``aws eks get-token``; holds no secret."""

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError for arguments that EKS would refuse or that would lock everyone out."""
        super().__init__("eks-autoscaling:index:Cluster", name, None, opts)
        _check(args)
        self._name = name
        self._cluster_name = names.cluster_name(args.get("cluster_name", name))
        self._tags = args.get("tags", {})
        self._child = pulumi.ResourceOptions(parent=self)
        cluster = self._control_plane(args)
        self._grant_admins(cluster, args["admins"])
        provider = aws.iam.OpenIdConnectProvider(
            f"{name}-oidc",
            url=cluster.identities[0].oidcs[0].issuer,
            client_id_lists=["sts.amazonaws.com"],
            tags=self._tags,
            opts=self._child,
        )
        self._set_outputs(cluster, provider)

    def ref(self) -> ClusterRef:
        """The identifiers that node groups and the autoscaler take."""
        return {"name": self.name, "arn": self.arn}

    def _control_plane(self, args: ClusterArgs) -> aws.eks.Cluster:
        name = self._name
        logs = aws.cloudwatch.LogGroup(
            f"{name}-logs",
            name=f"/aws/eks/{self._cluster_name}/cluster",
            retention_in_days=int(args.get("log_retention_days", 90)),
            tags=self._tags,
            opts=self._child,
        )
        key_arn = args.get("kms_key_arn") or self._key().arn
        role, grants = self._role(key_arn)
        return aws.eks.Cluster(
            name,
            name=self._cluster_name,
            role_arn=role.arn,
            version=args.get("version"),
            access_config={"authentication_mode": "API", "bootstrap_cluster_creator_admin_permissions": False},
            enabled_cluster_log_types=list(args.get("log_types", LOG_TYPES)),
            encryption_config={"resources": ["secrets"], "provider": {"key_arn": key_arn}},
            upgrade_policy={"support_type": args.get("support_type", "STANDARD")},
            deletion_protection=args.get("deletion_protection", False),
            vpc_config=_network(args),
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[logs, *grants]),
        )

    def _key(self) -> aws.kms.Key:
        return aws.kms.Key(
            f"{self._name}-secrets",
            description=f"Secrets of the EKS cluster {self._cluster_name}",
            enable_key_rotation=True,
            deletion_window_in_days=30,
            tags=self._tags,
            opts=self._child,
        )

    def _role(self, key_arn: pulumi.Input[str]) -> tuple[aws.iam.Role, list[pulumi.Resource]]:
        role, grants = roles.with_managed_policies(
            self,
            names.child(self._name, "cluster", IAM_ROLE_NAME_LIMIT),
            policies.service_trust("eks.amazonaws.com"),
            policies.CLUSTER_POLICIES,
            self._tags,
        )
        encryption = aws.iam.RolePolicy(
            f"{self._name}-cluster-encryption",
            role=role.name,
            policy=pulumi.Output.from_input(key_arn).apply(lambda arn: json.dumps(policies.envelope_encryption(arn))),
            opts=self._child,
        )
        return role, [*grants, encryption]

    def _grant_admins(self, cluster: aws.eks.Cluster, admins: dict[str, pulumi.Input[str]]) -> None:
        partition = aws.get_partition_output(opts=pulumi.InvokeOptions(parent=self)).partition
        policy = pulumi.Output.concat("arn:", partition, ":eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy")
        for short, principal in admins.items():
            entry = aws.eks.AccessEntry(
                f"{self._name}-{short}",
                cluster_name=cluster.name,
                principal_arn=principal,
                tags=self._tags,
                opts=self._child,
            )
            aws.eks.AccessPolicyAssociation(
                f"{self._name}-{short}",
                cluster_name=cluster.name,
                principal_arn=entry.principal_arn,
                policy_arn=policy,
                access_scope={"type": "cluster"},
                opts=self._child,
            )

    def _set_outputs(self, cluster: aws.eks.Cluster, provider: aws.iam.OpenIdConnectProvider) -> None:
        self.name = cluster.name
        self.arn = cluster.arn
        self.endpoint = cluster.endpoint
        self.certificate_authority = cluster.certificate_authority.data
        self.security_group_id = cluster.vpc_config.cluster_security_group_id
        self.role_arn = cluster.role_arn
        self.oidc_provider_arn = provider.arn
        self.oidc_issuer = cluster.identities[0].oidcs[0].issuer.apply(lambda url: url.removeprefix("https://"))
        self.kubeconfig = pulumi.Output.json_dumps(_kubeconfig(self.arn, self.name, self.endpoint, self.certificate_authority))
        outputs = (
            *("name", "arn", "endpoint", "certificate_authority", "security_group_id"),
            *("role_arn", "oidc_provider_arn", "oidc_issuer", "kubeconfig"),
        )
        self.register_outputs({output: getattr(self, output) for output in outputs})


def _check(args: ClusterArgs) -> None:
    subnets = list(args.get("subnet_ids", []))
    if len(subnets) < 2:
        raise ArgumentError("subnet_ids", subnets, "name at least two subnets, in different zones")
    if not args.get("admins"):
        raise ArgumentError("admins", args.get("admins"), "name at least one IAM role or user; nobody else could ever enter the cluster")
    unknown = [kind for kind in args.get("log_types", ()) if kind not in LOG_TYPES]
    if unknown:
        raise ArgumentError("log_types", unknown, f"EKS writes {', '.join(LOG_TYPES)}")
    if args.get("support_type", "STANDARD") not in SUPPORT_TYPES:
        raise ArgumentError("support_type", args.get("support_type"), f"write one of {', '.join(SUPPORT_TYPES)}")


def _network(args: ClusterArgs) -> Any:
    cidrs = list(args.get("public_access_cidrs", []))
    network: dict[str, Any] = {
        "subnet_ids": list(args["subnet_ids"]),
        "endpoint_private_access": True,
        "endpoint_public_access": bool(cidrs),
    }
    return network | ({"public_access_cidrs": cidrs} if cidrs else {})


def _kubeconfig(
    arn: pulumi.Output[str], name: pulumi.Output[str], endpoint: pulumi.Output[str], authority: pulumi.Output[str]
) -> dict[str, Any]:
    region = arn.apply(lambda value: policies.ClusterArn(value).region)
    command = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": "aws",
        "args": ["--region", region, "eks", "get-token", "--cluster-name", name, "--output", "json"],
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": endpoint, "certificate-authority-data": authority}}],
        "users": [{"name": name, "user": {"exec": command}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
