"""The cluster: an EKS control plane with what AWS recommends switched on from the first day.

Secrets are encrypted with a key of its own, every control plane log goes to a log group with retention, access is
granted by access entries alone, and the API endpoint is private unless address ranges are named. The log group is made
before the cluster: EKS would otherwise make one that keeps logs for ever.
"""

import json
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from eks_autoscaling import access_entries, auto_mode, component_arguments, names, policies, roles
from eks_autoscaling import cluster_arguments as arguments
from eks_autoscaling.cluster_arguments import ClusterArgs
from eks_autoscaling.kubeconfig import kubeconfig


class ClusterRef(TypedDict):
    """What the other components need to know of a cluster, whoever declared it (``Cluster.ref()`` gives ours)."""

    name: pulumi.Input[str]
    """Name of the EKS cluster."""
    arn: pulumi.Input[str]
    """ARN of the EKS cluster; region and account are read from it."""
    version: NotRequired[pulumi.Input[str]]
    """Kubernetes version, for which add-ons are chosen; looked up if absent."""
    oidc_provider_arn: NotRequired[pulumi.Input[str]]
    """ARN of the IAM provider for the cluster's service account tokens; only ``ServiceAccountRole`` with IRSA needs it."""
    auto_mode: NotRequired[bool]
    """Whether EKS Auto Mode is on, whose nodes bring most add-ons along; False if absent."""


class Cluster(pulumi.ComponentResource):
    """An EKS cluster with encrypted secrets, logs with retention, access entries and an OIDC provider."""

    name: pulumi.Output[str]
    """Name of the cluster in EKS."""
    arn: pulumi.Output[str]
    """ARN of the cluster."""
    version: pulumi.Output[str]
    """Kubernetes version of the control plane, such as 1.34."""
    endpoint: pulumi.Output[str]
    """URL of the Kubernetes API."""
    certificate_authority: pulumi.Output[str]
    """Base64 of the PEM certificate that signs the API's certificate."""
    security_group_id: pulumi.Output[str]
    """The cluster security group, which EKS also puts on managed nodes."""
    vpc_id: pulumi.Output[str]
    """VPC of the subnets."""
    service_cidr: pulumi.Output[str]
    """Range of the services' addresses, IPv4 or IPv6."""
    role_arn: pulumi.Output[str]
    """The control plane's IAM role."""
    oidc_provider_arn: pulumi.Output[str]
    """IAM provider for roles of service accounts."""
    oidc_issuer: pulumi.Output[str]
    """Issuer of service account tokens, without https://, as trust conditions spell it."""
    auto_mode_node_role_arn: pulumi.Output[str] | None = None
    """IAM role of the nodes of EKS Auto Mode, for NodeClasses of your own; None without ``auto_mode``."""
    kubeconfig: pulumi.Output[str]
    """kubeconfig (JSON) that authenticates through ``aws eks get-token``; holds no secret. Known once the admins have access, which takes
    some seconds to hold everywhere: let a Kubernetes provider also wait for a node group."""

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError for arguments that EKS would refuse or that would lock everyone out."""
        component_arguments.check(args, ClusterArgs)
        super().__init__("eks-autoscaling:index:Cluster", name, None, opts)
        arguments.check(name, args)
        self._name = name
        self._cluster_name = names.cluster_name(args.get("cluster_name", name))
        self._tags = args.get("tags", {})
        self._child = pulumi.ResourceOptions(parent=self)
        self._auto_mode = args.get("auto_mode")
        cluster = self._control_plane(args)
        admins = {short: access_entries.admin(principal) for short, principal in args["admins"].items()}
        nodes = auto_mode.own_entry(self._auto_mode, self.auto_mode_node_role_arn)
        entries = {**admins, **nodes, **args.get("access_entries", {})}
        associations = access_entries.declare(self, name, cluster.name, entries, self._tags)
        provider = aws.iam.OpenIdConnectProvider(
            f"{name}-oidc",
            url=cluster.identities[0].oidcs[0].issuer,
            client_id_lists=["sts.amazonaws.com"],
            tags=self._tags,
            opts=self._child,
        )
        # Whoever uses the kubeconfig gets in only after the admins' entries are there, and may use it until they are taken away.
        admitted = pulumi.Output.all(cluster.name, *(association.principal_arn for association in associations)).apply(
            lambda found: found[0]
        )
        self.kubeconfig = kubeconfig(
            cluster.arn, admitted, cluster.endpoint, cluster.certificate_authority.data, args.get("kubeconfig_credentials", {})
        )
        self._set_outputs(cluster, provider)

    def ref(self) -> ClusterRef:
        """The identifiers that the other components take."""
        found: ClusterRef = {"name": self.name, "arn": self.arn, "version": self.version, "oidc_provider_arn": self.oidc_provider_arn}
        if auto_mode.is_on(self._auto_mode):
            found["auto_mode"] = True
        return found

    def _control_plane(self, args: ClusterArgs) -> aws.eks.Cluster:
        name = self._name
        logs = aws.cloudwatch.LogGroup(
            f"{name}-logs",
            name=f"/aws/eks/{self._cluster_name}/cluster",
            retention_in_days=int(args.get("log_retention_days", 90)),
            tags=self._tags,
            opts=self._child,
        )
        key_arn = args.get("kms_key_arn")
        if key_arn is None and args.get("customer_managed_key", True):
            key_arn = self._key().arn
        role, grants = self._role(key_arn)
        node_role_arn, node_grants = self._auto_mode_nodes()
        return aws.eks.Cluster(
            name,
            name=self._cluster_name,
            role_arn=role.arn,
            version=args.get("version"),
            access_config={"authentication_mode": "API", "bootstrap_cluster_creator_admin_permissions": False},
            enabled_cluster_log_types=list(args.get("log_types", arguments.LOG_TYPES)),
            encryption_config=None if key_arn is None else {"resources": ["secrets"], "provider": {"key_arn": key_arn}},
            upgrade_policy={"support_type": args.get("support_type", "STANDARD")},
            deletion_protection=args.get("deletion_protection", False),
            vpc_config=arguments.vpc_config(args),
            tags=self._tags,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[logs, *grants, *node_grants],
                # Of use to a new cluster alone, and yet the provider would make another cluster for it.
                ignore_changes=["bootstrapSelfManagedAddons"],
            ),
            **arguments.optional_config(args, node_role_arn),
        )

    def _auto_mode_nodes(self) -> tuple[pulumi.Input[str] | None, list[pulumi.Resource]]:
        if self._auto_mode is None:
            return None, []
        role_arn, grants = auto_mode.node_role(self, self._name, self._auto_mode, self._tags)
        self.auto_mode_node_role_arn = pulumi.Output.from_input(role_arn)
        return role_arn, grants

    def _key(self) -> aws.kms.Key:
        return aws.kms.Key(
            f"{self._name}-secrets",
            description=f"Secrets of the EKS cluster {self._cluster_name}",
            enable_key_rotation=True,
            deletion_window_in_days=30,
            tags=self._tags,
            opts=self._child,
        )

    def _role(self, key_arn: pulumi.Input[str] | None) -> tuple[aws.iam.Role, list[pulumi.Resource]]:
        role, grants = roles.with_managed_policies(
            self,
            names.child(self._name, "cluster", names.IAM_ROLE_NAME_LIMIT),
            auto_mode.cluster_trust(self._auto_mode),
            auto_mode.cluster_policies(self._auto_mode),
            self._tags,
        )
        if key_arn is None:
            return role, list(grants)
        encryption = aws.iam.RolePolicy(
            f"{self._name}-cluster-encryption",
            role=role.name,
            policy=pulumi.Output.from_input(key_arn).apply(lambda arn: json.dumps(policies.envelope_encryption(arn))),
            opts=self._child,
        )
        return role, [*grants, encryption]

    def _set_outputs(self, cluster: aws.eks.Cluster, provider: aws.iam.OpenIdConnectProvider) -> None:
        self.name = cluster.name
        self.arn = cluster.arn
        self.version = cluster.version
        self.endpoint = cluster.endpoint
        self.certificate_authority = cluster.certificate_authority.data
        self.security_group_id = cluster.vpc_config.cluster_security_group_id
        self.vpc_id = cluster.vpc_config.vpc_id.apply(str)
        self.service_cidr = cluster.kubernetes_network_config.apply(_service_cidr)
        self.role_arn = cluster.role_arn
        self.oidc_provider_arn = provider.arn
        self.oidc_issuer = cluster.identities[0].oidcs[0].issuer.apply(lambda url: url.removeprefix("https://"))
        outputs = (
            *("name", "arn", "version", "endpoint", "certificate_authority", "security_group_id", "vpc_id", "service_cidr"),
            *("role_arn", "oidc_provider_arn", "oidc_issuer", "auto_mode_node_role_arn", "kubeconfig"),
        )
        self.register_outputs({output: getattr(self, output) for output in outputs})


def _service_cidr(network: aws.eks.outputs.ClusterKubernetesNetworkConfig) -> str:
    return str(network.service_ipv6_cidr if network.ip_family == "ipv6" else network.service_ipv4_cidr)
