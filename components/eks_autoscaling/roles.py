"""Declares an IAM role together with the AWS managed policies that it needs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws


def with_managed_policies(
    parent: pulumi.Resource,
    name: str,
    trust: dict[str, Any] | pulumi.Output[dict[str, Any]],
    policy_names: Sequence[str],
    tags: Mapping[str, pulumi.Input[str]],
) -> tuple[aws.iam.Role, list[aws.iam.RolePolicyAttachment]]:
    """A role that ``trust`` lets in, and the attachments on which its users must depend.

    ``policy_names`` are names of AWS managed policies without path, such as ``AmazonEKSClusterPolicy``.
    """
    options = pulumi.ResourceOptions(parent=parent)
    document = json.dumps(trust) if isinstance(trust, dict) else trust.apply(json.dumps)
    role = aws.iam.Role(name, assume_role_policy=document, tags=dict(tags), opts=options)
    partition = aws.get_partition_output(opts=pulumi.InvokeOptions(parent=parent)).partition
    attachments = [
        aws.iam.RolePolicyAttachment(
            f"{name}-{policy}",
            role=role.name,
            policy_arn=pulumi.Output.concat("arn:", partition, ":iam::aws:policy/", policy),
            opts=options,
        )
        for policy in policy_names
    ]
    return role, attachments
