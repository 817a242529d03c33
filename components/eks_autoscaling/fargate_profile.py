"""Fargate profiles: pods that get a machine of their own from AWS, and need no node of any group.

CoreDNS on Fargate lets every node group go to zero. A profile cannot be changed: whatever changes replaces it. Its name is made by Pulumi,
so that the new one stands before EKS ends the old one with all its pods. The autoscaler counts Fargate's nodes to no group.
"""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from eks_autoscaling import component_arguments, names, policies, roles
from eks_autoscaling.cluster import ClusterRef
from eks_autoscaling.misuse import ArgumentError

SELECTORS_PER_PROFILE = 5
LABELS_PER_SELECTOR = 5
RESERVED_PREFIX = "eks-"


class FargateSelector(TypedDict):
    """Which pods a profile takes: those of a namespace that have all the labels."""

    namespace: str
    """Namespace of the pods; * and ? stand for any characters and any one."""
    labels: NotRequired[dict[str, str]]
    """Labels that a pod must have, at most five; with none every pod of the namespace is taken. * and ? may stand in them too."""


class FargateProfileArgs(TypedDict):
    """Arguments of ``FargateProfile``."""

    cluster: ClusterRef
    """The cluster whose pods run on Fargate: ``cluster.ref()``, or name and ARN of any other EKS cluster."""
    subnet_ids: Sequence[pulumi.Input[str]]
    """Private subnets for the pods, with a NAT gateway or VPC endpoints: Fargate gives no public addresses."""
    selectors: Sequence[FargateSelector]
    """Pods that match one of these, 1 to 5, run on Fargate."""
    pod_execution_role_arn: NotRequired[pulumi.Input[str]]
    """IAM role with which Fargate pulls images and joins the cluster, not that of the pods; the component makes one if absent."""
    tags: NotRequired[dict[str, pulumi.Input[str]]]
    """Tags on the profile and its role."""


class FargateProfile(pulumi.ComponentResource):
    """A Fargate profile and the role that it runs pods with."""

    profile_name: pulumi.Output[str]
    """Name of the profile in EKS."""
    arn: pulumi.Output[str]
    """ARN of the profile."""
    pod_execution_role_arn: pulumi.Output[str]
    """The role with which Fargate pulls images and joins the cluster."""

    def __init__(self, name: str, args: FargateProfileArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError for arguments that cannot work."""
        component_arguments.check(args, FargateProfileArgs)
        super().__init__("eks-autoscaling:index:FargateProfile", name, None, opts)
        _check(name, args)
        self._name = name
        self._tags = args.get("tags", {})
        role_arn, grants = self._role(args)
        profile = aws.eks.FargateProfile(
            name,
            cluster_name=args["cluster"]["name"],
            pod_execution_role_arn=role_arn,
            selectors=[_selector(selector) for selector in args["selectors"]],
            subnet_ids=self._subnets(args),
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=grants),
        )
        self.profile_name = profile.fargate_profile_name
        self.arn = profile.arn
        self.pod_execution_role_arn = profile.pod_execution_role_arn
        outputs = ("profile_name", "arn", "pod_execution_role_arn")
        self.register_outputs({output: getattr(self, output) for output in outputs})

    def _role(self, args: FargateProfileArgs) -> tuple[pulumi.Input[str], list[aws.iam.RolePolicyAttachment]]:
        given = args.get("pod_execution_role_arn")
        if given is not None:
            return given, []
        role, grants = roles.with_managed_policies(
            self,
            names.child(self._name, "pods", names.IAM_ROLE_NAME_LIMIT),
            pulumi.Output.from_input(args["cluster"]["arn"]).apply(policies.fargate_trust),
            policies.FARGATE_POLICIES,
            self._tags,
        )
        return role.arn, grants

    def _subnets(self, args: FargateProfileArgs) -> pulumi.Output[list[str]]:
        """Ids of the subnets, which fail if one of these turns out to be public."""
        ask = pulumi.InvokeOutputOptions(parent=self)
        found = [aws.ec2.get_subnet_output(id=subnet, opts=ask) for subnet in args["subnet_ids"]]
        # What is looked up does not remember on which resources its arguments depend, hence the ids themselves.
        return pulumi.Output.all(pulumi.Output.all(*args["subnet_ids"]), *found).apply(lambda known: _private(known[0], known[1:]))


def _private(ids: list[str], subnets: list[aws.ec2.GetSubnetResult]) -> list[str]:
    public = [subnet.id for subnet in subnets if subnet.map_public_ip_on_launch]
    if public:
        raise ArgumentError("subnet_ids", public, "they give public addresses, and Fargate takes private subnets only")
    return ids


def _selector(selector: FargateSelector) -> Any:
    return {"namespace": selector["namespace"], "labels": dict(selector.get("labels", {}))}


def _check(name: str, args: FargateProfileArgs) -> None:
    if not list(args.get("subnet_ids", [])):
        raise ArgumentError("subnet_ids", [], "name at least one private subnet for the pods")
    selectors = list(args.get("selectors", []))
    if not 1 <= len(selectors) <= SELECTORS_PER_PROFILE:
        raise ArgumentError("selectors", selectors, f"name 1 to {SELECTORS_PER_PROFILE} selectors; others need a profile of their own")
    for selector in selectors:
        _check_selector(selector)
    if name.startswith(RESERVED_PREFIX):
        raise ArgumentError("name", name, f"EKS reserves names that begin with {RESERVED_PREFIX}")
    names.child(name, "pods", names.IAM_ROLE_NAME_LIMIT)


def _check_selector(selector: FargateSelector) -> None:
    if not selector.get("namespace"):
        raise ArgumentError("selectors", dict(selector), "name a namespace; * stands for all of them")
    if selector["namespace"] == "*" and not selector.get("labels"):
        raise ArgumentError("selectors", dict(selector), "this takes every pod of the cluster from its nodes; add labels, or a namespace")
    if len(selector.get("labels", {})) > LABELS_PER_SELECTOR:
        raise ArgumentError("selectors", dict(selector), f"a selector takes {LABELS_PER_SELECTOR} labels")
