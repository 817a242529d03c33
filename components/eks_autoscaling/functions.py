"""Declares the Lambda functions of an autoscaler: one zip and one set of variables, and for each function a log group and a role.

The log groups are named, and made, by the component, so that they have a retention and each role can be limited to its own.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from eks_autoscaling import names, policies

RUNTIME = "python3.13"
FUNCTION_NAME_LIMIT = 64


@dataclass(frozen=True)
class FunctionPlace:
    """Subnets and security groups of functions that stand in a VPC, and what must be there before they work."""

    subnet_ids: list[pulumi.Input[str]]
    security_group_ids: list[pulumi.Input[str]]
    needs: list[pulumi.Resource]


@dataclass(frozen=True)
class Package:
    """What the functions of one autoscaler share: its component and name, the zip, variables, retention of logs in days, tags, network."""

    parent: pulumi.Resource
    name: str
    code: pulumi.Archive
    variables: Mapping[str, Any]
    log_retention_days: int
    tags: Mapping[str, pulumi.Input[str]]
    place: FunctionPlace | None = None

    @property
    def child(self) -> pulumi.ResourceOptions:
        """Options of a resource that belongs to the component."""
        return pulumi.ResourceOptions(parent=self.parent)

    def logs(self, name: str, prefix: str) -> aws.cloudwatch.LogGroup:
        """A log group with the logical ``name``; Pulumi completes ``prefix`` to its name."""
        return aws.cloudwatch.LogGroup(
            name, name_prefix=f"/aws/lambda/{prefix}-", retention_in_days=self.log_retention_days, tags=dict(self.tags), opts=self.child
        )

    def role(self, part: str, document: pulumi.Output[policies.Document]) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        """A role that Lambda takes, and what it may do. ArgumentError when the autoscaler's name leaves no room for ``part``."""
        role = aws.iam.Role(
            names.child(self.name, part, names.IAM_ROLE_NAME_LIMIT),
            assume_role_policy=json.dumps(policies.service_trust("lambda.amazonaws.com")),
            tags=dict(self.tags),
            opts=self.child,
        )
        permissions = aws.iam.RolePolicy(f"{self.name}-{part}", role=role.name, policy=document.apply(json.dumps), opts=self.child)
        return role, permissions

    def _network(self, part: str, role: aws.iam.Role) -> tuple[dict[str, Any], list[pulumi.Resource]]:
        """The function's network, and what must be there before: Lambda makes its interfaces with the function's role."""
        if self.place is None:
            return {}, []
        policy = json.dumps(policies.network_interfaces())
        interfaces = aws.iam.RolePolicy(f"{self.name}-{part}-network", role=role.name, policy=policy, opts=self.child)
        config = {"subnet_ids": self.place.subnet_ids, "security_group_ids": self.place.security_group_ids}
        return {"vpc_config": config}, [interfaces, *self.place.needs]

    def function(
        self, part: str, logs: aws.cloudwatch.LogGroup, may: tuple[aws.iam.Role, aws.iam.RolePolicy], settings: Mapping[str, Any]
    ) -> "Function":
        """A function of the zip with the role and permissions of ``may``.

        ``settings`` holds what is its own, under the names of ``aws.lambda_.Function``; ``variables`` are added to the shared ones.
        """
        role, permissions = may
        network, needs = self._network(part, role)
        own = {key: value for key, value in settings.items() if key != "variables"} | network
        function = aws.lambda_.Function(
            names.child(self.name, part, FUNCTION_NAME_LIMIT),
            role=role.arn,
            code=self.code,
            runtime=RUNTIME,
            architectures=["arm64"],
            environment={"variables": {**self.variables, **settings.get("variables", {})}},
            # The functions write JSON themselves. With Lambda's own format Lambda would drop lines by a level of its own.
            logging_config={"log_format": "Text", "log_group": logs.name},
            tags=dict(self.tags),
            opts=pulumi.ResourceOptions(parent=self.parent, depends_on=[logs, permissions, *needs]),
            **own,
        )
        return Function(function, role, permissions, logs)


@dataclass(frozen=True)
class Function:
    """A declared function with what it runs under and writes to."""

    function: aws.lambda_.Function
    role: aws.iam.Role
    permissions: aws.iam.RolePolicy
    logs: aws.cloudwatch.LogGroup
