"""What can be configured: ``pulumi config set KEY VALUE``; lists with ``pulumi config set --path``."""

from dataclasses import dataclass

import pulumi


@dataclass(frozen=True)
class Configuration:
    """The configuration of the stack; values without a default must be set."""

    vpc_id: str
    """``vpcId``: the VPC."""
    subnet_ids: list[str]
    """``subnetIds``: private subnets with a way to the internet, in two zones or more."""
    bucket_arn: str
    """``bucketArn``: the S3 bucket that the application reads."""
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
            vpc_id=config.require("vpcId"),
            subnet_ids=config.require_object("subnetIds"),
            bucket_arn=config.require("bucketArn"),
            function_zip=config.get("functionZip"),
        )
