"""What can be configured: ``pulumi config set KEY VALUE``; lists and maps with ``pulumi config set --path``."""

from dataclasses import dataclass

import pulumi


@dataclass(frozen=True)
class Configuration:
    """The configuration of the production stack; values without a default must be set."""

    cluster_name: str
    """``clusterName``: name of the cluster; production."""
    kubernetes_version: str | None
    """``kubernetesVersion``: such as 1.34; the newest that EKS offers by default."""
    vpc_id: str
    """``vpcId``: the VPC."""
    subnet_ids: dict[str, str]
    """``subnetIds``: availability zone -> a private subnet there with a way to AWS's APIs; three zones."""
    admins: dict[str, pulumi.Input[str]]
    """``admins``: short name -> ARN of an IAM role; whoever deploys must be one of them, to declare what is in the cluster."""
    alarm_topic_arns: list[str]
    """``alarmTopicArns``: SNS topics that wake somebody; none."""
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
            cluster_name=config.get("clusterName") or "production",
            kubernetes_version=config.get("kubernetesVersion"),
            vpc_id=config.require("vpcId"),
            subnet_ids=config.require_object("subnetIds"),
            admins=config.require_object("admins"),
            alarm_topic_arns=config.get_object("alarmTopicArns") or [],
            function_zip=config.get("functionZip"),
        )
