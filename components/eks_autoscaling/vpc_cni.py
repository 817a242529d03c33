"""The VPC CNI as an EKS add-on, with rights of its own.

Declare it before node groups (``depends_on``): EKS works out how many pods the nodes of a managed group can have when it makes the group,
from the settings that the CNI has then, and nodes join with the CNI that they find.
"""

from typing import NotRequired, TypedDict

import pulumi

from eks_autoscaling import component_arguments, policies, vpc_cni_settings, workload_policies
from eks_autoscaling.add_on import DEFAULT, AddOn, AddOnArgs
from eks_autoscaling.cluster import ClusterRef
from eks_autoscaling.json_documents import json_text
from eks_autoscaling.service_account_role import ServiceAccountRole, ServiceAccountRoleArgs
from eks_autoscaling.vpc_cni_settings import VpcCniSettings

ADD_ON = "vpc-cni"
NAMESPACE, SERVICE_ACCOUNT = "kube-system", "aws-node"


class VpcCniArgs(TypedDict):
    """Arguments of ``VpcCni``."""

    cluster: ClusterRef
    """The cluster: ``cluster.ref()``, or name and ARN of any other EKS cluster."""
    settings: NotRequired[VpcCniSettings]
    """How pods get addresses; single IPv4 addresses of the nodes' subnets if absent."""
    version: NotRequired[str]
    """A pinned version, ``default`` (if absent) or ``latest``, as with ``AddOn``."""
    tags: NotRequired[dict[str, pulumi.Input[str]]]
    """Tags on everything the component makes."""


class VpcCni(pulumi.ComponentResource):
    """The add-on vpc-cni, and the role of its pods."""

    version: pulumi.Output[str]
    """Version of the add-on."""
    configuration: pulumi.Output[str]
    """The settings as the add-on gets them (JSON)."""

    def __init__(self, name: str, args: VpcCniArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError for settings that contradict each other."""
        component_arguments.check(args, VpcCniArgs)
        super().__init__("eks-autoscaling:index:VpcCni", name, None, opts)
        settings = args.get("settings", {})
        vpc_cni_settings.check(settings)
        region = pulumi.Output.from_input(args["cluster"]["arn"]).apply(lambda arn: policies.ClusterArn(arn).region)
        configuration = vpc_cni_settings.configuration(settings, region)
        wanted: AddOnArgs = {
            "cluster": args["cluster"],
            "add_on": ADD_ON,
            "version": args.get("version", DEFAULT),
            "configuration": configuration,
            # Else pods would lose their network before the nodes go.
            "preserve": True,
            "tags": args.get("tags", {}),
        }
        role = self._role(name, args, settings)
        if role is not None and vpc_cni_settings.identity(settings) == "IRSA":
            wanted["service_account_role_arn"] = role.role_arn
        add_on = AddOn(name, wanted, pulumi.ResourceOptions(parent=self, depends_on=[role] if role is not None else []))
        self.version = add_on.version
        self.configuration = json_text(configuration)
        self.register_outputs({"version": self.version, "configuration": self.configuration})

    def _role(self, name: str, args: VpcCniArgs, settings: VpcCniSettings) -> ServiceAccountRole | None:
        identity = vpc_cni_settings.identity(settings)
        if identity == vpc_cni_settings.NODE:
            return None
        wanted: ServiceAccountRoleArgs = {
            "cluster": args["cluster"],
            "namespace": NAMESPACE,
            "service_account": SERVICE_ACCOUNT,
            "identity": identity,
            "tags": args.get("tags", {}),
        }
        arn = pulumi.Output.from_input(args["cluster"]["arn"])
        if vpc_cni_settings.is_ipv6(settings):
            wanted["policy_documents"] = {"ipv6": arn.apply(workload_policies.vpc_cni_ipv6)}
        else:
            wanted["managed_policies"] = {"ipv4": arn.apply(workload_policies.vpc_cni)}
        return ServiceAccountRole(name, wanted, pulumi.ResourceOptions(parent=self))
