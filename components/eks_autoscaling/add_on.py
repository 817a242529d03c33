"""An EKS add-on: software in the cluster that EKS installs, checks and updates.

EKS's own default is to give up when it finds the software installed already, as it is in every cluster that was made with the usual network
add-ons. Here the add-on takes over (OVERWRITE), on creation and on updates, so that what the program says is what runs.
"""

import re
from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from eks_autoscaling import component_arguments
from eks_autoscaling.cluster import ClusterRef
from eks_autoscaling.json_documents import json_text
from eks_autoscaling.misuse import ArgumentError

DEFAULT, LATEST = "default", "latest"
ON_CREATE = ("OVERWRITE", "NONE")
ON_UPDATE = ("OVERWRITE", "PRESERVE", "NONE")
_VERSION = re.compile(r"v\d+\.\d+\.\d+[A-Za-z0-9.+-]*")


class AddOnArgs(TypedDict):
    """Arguments of ``AddOn``."""

    cluster: ClusterRef
    """The cluster: ``cluster.ref()``, or name and ARN of any other EKS cluster."""
    add_on: str
    """Name of the add-on in EKS, such as vpc-cni. Another name is another add-on."""
    version: NotRequired[str]
    """A pinned version, such as v1.21.1-eksbuild.1. Or what EKS offers for the cluster's Kubernetes version on each update of the program:
    ``default`` (if absent), which EKS recommends, or ``latest``. Both change when EKS changes its mind; the preview shows it."""
    configuration: NotRequired[dict[str, Any]]
    """Settings in the add-on's own schema (``aws eks describe-addon-configuration`` shows it); the add-on's own if absent."""
    resolve_conflicts_on_create: NotRequired[str]
    """OVERWRITE (default) takes over what is installed already. NONE fails instead."""
    resolve_conflicts_on_update: NotRequired[str]
    """What becomes of fields that somebody changed in the cluster: OVERWRITE (default) sets them back, PRESERVE keeps them, NONE fails."""
    preserve: NotRequired[bool]
    """Leave the software in the cluster when the add-on goes; False if absent."""
    pod_identity_roles: NotRequired[dict[str, pulumi.Input[str]]]
    """Roles for the add-on's pods through EKS Pod Identity: name of a service account -> ARN of the role. Needs the add-on
    eks-pod-identity-agent. EKS makes and removes the associations with the add-on."""
    service_account_role_arn: NotRequired[pulumi.Input[str]]
    """Role for the add-on's pods through the cluster's OIDC provider (IRSA), instead of ``pod_identity_roles``. Without either, pods that
    reach the metadata service have the node's role."""
    tags: NotRequired[dict[str, pulumi.Input[str]]]
    """Tags on the add-on."""


class AddOn(pulumi.ComponentResource):
    """An EKS add-on with a known version, settings and rights."""

    arn: pulumi.Output[str]
    """ARN of the add-on."""
    version: pulumi.Output[str]
    """Version of the add-on."""

    def __init__(self, name: str, args: AddOnArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError for arguments that cannot work."""
        component_arguments.check(args, AddOnArgs)
        super().__init__("eks-autoscaling:index:AddOn", name, None, opts)
        _check(args)
        roles = args.get("pod_identity_roles", {})
        add_on = aws.eks.Addon(
            name,
            cluster_name=args["cluster"]["name"],
            addon_name=args["add_on"],
            addon_version=self._wanted_version(args),
            # Sorted, so that another order in the program is no change.
            configuration_values=json_text(args["configuration"]) if args.get("configuration") else None,
            resolve_conflicts_on_create=args.get("resolve_conflicts_on_create", ON_CREATE[0]),
            resolve_conflicts_on_update=args.get("resolve_conflicts_on_update", ON_UPDATE[0]),
            preserve=args.get("preserve", False),
            pod_identity_associations=[{"service_account": account, "role_arn": arn} for account, arn in roles.items()] or None,
            service_account_role_arn=args.get("service_account_role_arn"),
            tags=args.get("tags", {}),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.arn = add_on.arn
        self.version = add_on.addon_version
        self.register_outputs({"arn": self.arn, "version": self.version})

    def _wanted_version(self, args: AddOnArgs) -> pulumi.Input[str]:
        version = args.get("version", DEFAULT)
        if version not in (DEFAULT, LATEST):
            return version
        ask = pulumi.InvokeOptions(parent=self)
        kubernetes = args["cluster"].get("version")
        if kubernetes is None:
            kubernetes = aws.eks.get_cluster_output(name=args["cluster"]["name"], opts=ask).version
        offered = aws.eks.get_addon_version_output(
            addon_name=args["add_on"], kubernetes_version=kubernetes, most_recent=version == LATEST, opts=ask
        )
        return offered.version


def _check(args: AddOnArgs) -> None:
    version = args.get("version", DEFAULT)
    if version not in (DEFAULT, LATEST) and not _VERSION.fullmatch(version):
        raise ArgumentError("version", version, "pin a version such as v1.21.1-eksbuild.1, or write default or latest")
    choices = {"resolve_conflicts_on_create": ON_CREATE, "resolve_conflicts_on_update": ON_UPDATE}
    for argument, values in choices.items():
        if args.get(argument, values[0]) not in values:
            raise ArgumentError(argument, args.get(argument), f"write one of {', '.join(values)}")
    if args.get("pod_identity_roles") and args.get("service_account_role_arn") is not None:
        raise ArgumentError(
            "service_account_role_arn", args.get("service_account_role_arn"), "leave it out, or leave out pod_identity_roles"
        )


def check_names(argument: str, given: Mapping[str, object], known: tuple[str, ...]) -> None:
    """Refuse (ArgumentError) names that are not among the ``known`` add-ons."""
    unknown = sorted(given.keys() - set(known))
    if unknown:
        raise ArgumentError(argument, unknown, f"the component has the add-ons {', '.join(known)}; declare others with AddOn")
