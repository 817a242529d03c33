"""What can be configured: ``pulumi config set KEY VALUE``; lists and maps with ``pulumi config set --path``."""

from dataclasses import dataclass
from typing import Any

import pulumi

from eks_autoscaling import FunctionNetwork


@dataclass(frozen=True)
class Configuration:
    """What exists: the cluster, and its groups that nobody has tagged for an autoscaler."""

    cluster_name: str
    """``clusterName``: name of the cluster. Its authentication mode must be API or API_AND_CONFIG_MAP."""
    cluster_arn: str
    """``clusterArn``: ARN of the cluster."""
    untagged_groups: list[str]
    """``untaggedGroups``: names of Auto Scaling groups to tag for discovery. EKS has tagged those of managed node groups already."""
    network: FunctionNetwork
    """``vpcId``, ``subnetIds`` (two private ones or more, with a way to AWS's APIs) and ``clusterSecurityGroupId``: where the functions
    stand, so that they reach a private API endpoint."""
    settings: dict[str, Any]
    """``settings``: Cluster Autoscaler flags without the dashes in front; none."""
    function_zip: str | None
    """``functionZip``: path of the function's zip, if a pipeline has built it before; built on the spot."""

    @property
    def code(self) -> pulumi.Archive | None:
        """The function's zip; None lets the component build it."""
        return pulumi.FileArchive(self.function_zip) if self.function_zip else None

    @classmethod
    def read(cls) -> "Configuration":
        """The stack's configuration. Raises pulumi.ConfigMissingError."""
        config = pulumi.Config()
        return cls(
            cluster_name=config.require("clusterName"),
            cluster_arn=config.require("clusterArn"),
            untagged_groups=config.get_object("untaggedGroups") or [],
            network={
                "vpc_id": config.require("vpcId"),
                "subnet_ids": config.require_object("subnetIds"),
                "cluster_security_group_id": config.require("clusterSecurityGroupId"),
            },
            settings=config.get_object("settings") or {},
            function_zip=config.get("functionZip"),
        )
