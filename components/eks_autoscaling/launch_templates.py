"""Launch templates of nodes: what the groups of all kinds have in common.

IMDSv2 is required, the volume is gp3 and encrypted, and instances, volumes and network interfaces carry the tags, which Auto Scaling itself
would put on instances alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

DEFAULT_DISK_GIB = 50
DEFAULT_HOP_LIMIT = 1


@dataclass(frozen=True)
class Machine:
    """What every launch template says: its ``name``, the volume's ``device`` and size (GiB), how far IMDS answers (network hops), tags.

    ``volume_kms_key_arn`` names the key that encrypts the volumes; None is the account's for EBS.
    ``system_device`` is that of an image whose system has a volume of its own, which stays as large as it is.
    """

    name: str
    device: str
    disk_size_gib: int
    imds_hop_limit: int
    tags: Mapping[str, pulumi.Input[str]]
    volume_kms_key_arn: pulumi.Input[str] | None = None
    system_device: str = ""


def launch_template(parent: pulumi.Resource, machine: Machine, **more: Any) -> aws.ec2.LaunchTemplate:
    """A launch template of ``machine``; ``more`` are arguments of ``aws.ec2.LaunchTemplate`` that only some groups need."""
    volume: Any = {
        "volume_type": "gp3",
        "volume_size": int(machine.disk_size_gib),
        "encrypted": "true",
        "delete_on_termination": "true",
    }
    volumes: list[Any] = [{"device_name": machine.device, "ebs": volume}]
    if machine.system_device:
        volumes.append({"device_name": machine.system_device, "ebs": {"encrypted": "true", "delete_on_termination": "true"}})
    if machine.volume_kms_key_arn is not None:
        for each in volumes:
            each["ebs"]["kms_key_id"] = machine.volume_kms_key_arn
    tags = {"Name": machine.name, **machine.tags}
    return aws.ec2.LaunchTemplate(
        machine.name,
        description=f"Nodes of {machine.name}",
        update_default_version=True,
        block_device_mappings=volumes,
        metadata_options={
            "http_endpoint": "enabled",
            "http_tokens": "required",
            "http_put_response_hop_limit": int(machine.imds_hop_limit),
        },
        tag_specifications=[{"resource_type": kind, "tags": tags} for kind in ("instance", "volume", "network-interface")],
        tags=dict(machine.tags),
        opts=pulumi.ResourceOptions(parent=parent),
        **more,
    )
