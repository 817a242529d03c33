"""What can be configured: ``pulumi config set KEY VALUE``; lists and maps with ``pulumi config set --path``."""

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True)
class Configuration:
    """The configuration of the tutorial; every value has a default."""

    cluster_name: str
    """``clusterName``: name of the cluster; eks-spot-managed-node-groups."""
    kubernetes_version: str | None
    """``kubernetesVersion``: such as 1.34; the newest that EKS offers by default."""
    subnet_ids: list[str]
    """``subnetIds``: subnets with a way to the internet, in two zones or more; a small VPC is made if empty."""
    admins: dict[str, pulumi.Input[str]]
    """``admins``: short name -> ARN of an IAM role or user; whoever runs ``pulumi up``."""
    public_access_cidrs: list[str]
    """``publicAccessCidrs``: who may reach the Kubernetes API (callers still authenticate through IAM). The default,
    everyone, is for a tutorial: the function runs outside the VPC and has no fixed address."""
    settings: dict[str, Any]
    """``settings``: Cluster Autoscaler flags without the dashes in front; none."""
    reserve_concurrency: bool
    """``reserveConcurrency``: keep concurrent invocations of the account for the functions; true. Accounts that may have only ten in all
    need false."""
    function_zip: str | None
    """``functionZip``: path of the function's zip, if a pipeline has built it before; built on the spot."""

    @property
    def code(self) -> pulumi.Archive | None:
        """The function's zip; None lets the component build it."""
        return pulumi.FileArchive(self.function_zip) if self.function_zip else None

    @classmethod
    def read(cls) -> "Configuration":
        """The stack's configuration."""
        config = pulumi.Config()
        return cls(
            cluster_name=config.get("clusterName") or "eks-spot-managed-node-groups",
            kubernetes_version=config.get("kubernetesVersion"),
            subnet_ids=config.get_object("subnetIds") or [],
            admins=config.get_object("admins") or {"deployer": _deployer()},
            public_access_cidrs=config.get_object("publicAccessCidrs") or ["0.0.0.0/0"],
            settings=config.get_object("settings") or {},
            reserve_concurrency=config.get_bool("reserveConcurrency", True) is not False,
            function_zip=config.get("functionZip"),
        )


def _deployer() -> str:
    # An access entry takes the role, not the session in which the role is used.
    return aws.iam.get_session_context(arn=aws.get_caller_identity().arn).issuer_arn
