"""The usual add-ons whose pods need a node: DNS by default, storage, metrics, monitoring, threat detection and costs by choice.

Declare them after the node groups (``pulumi.ResourceOptions(depends_on=[group])``): EKS calls an add-on active only when its pods run, and
Pulumi would wait in vain. ``NodeAddOns`` is what comes before the groups.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import pulumi

from eks_autoscaling import component_arguments, workload_policies
from eks_autoscaling.add_on import DEFAULT, AddOn, AddOnArgs, check_names
from eks_autoscaling.auto_mode import warn_of_built_in
from eks_autoscaling.cluster import ClusterRef
from eks_autoscaling.misuse import ArgumentError
from eks_autoscaling.service_account_role import IDENTITIES, ServiceAccountRole

DEFAULT_IDENTITY = "POD_IDENTITY"


@dataclass(frozen=True)
class Rights:
    """The role of an add-on's service account: a ``short`` name, and from the cluster's ARN the ARN of the managed policy that it needs."""

    short: str
    namespace: str
    service_account: str
    policy: Callable[[str], str]


@dataclass(frozen=True)
class Usual:
    """An add-on that an argument of the same meaning switches on."""

    add_on: str
    rights: Rights | None = None
    by_default: bool = False
    preserve: bool = False


USUAL = {
    # Without DNS nothing finds anything: it outlives the program.
    "coredns": Usual("coredns", by_default=True, preserve=True),
    "ebs_csi_driver": Usual("aws-ebs-csi-driver", Rights("ebs-csi", "kube-system", "ebs-csi-controller-sa", workload_policies.ebs_csi)),
    "metrics_server": Usual("metrics-server"),
    "cloudwatch_observability": Usual(
        "amazon-cloudwatch-observability", Rights("cloudwatch", "amazon-cloudwatch", "cloudwatch-agent", workload_policies.cloudwatch_agent)
    ),
    "guardduty_agent": Usual("aws-guardduty-agent"),
    "kubecost": Usual("kubecost_kubecost"),
}


class AddOnsArgs(TypedDict):
    """Arguments of ``AddOns``."""

    cluster: ClusterRef
    """The cluster: ``cluster.ref()``, or name and ARN of any other EKS cluster."""
    coredns: NotRequired[bool]
    """DNS for pods and services (coredns); True if absent, False where EKS Auto Mode has its own. Stays in the cluster when the program
    goes."""
    ebs_csi_driver: NotRequired[bool]
    """EBS volumes for pods (aws-ebs-csi-driver), with a role; False if absent."""
    metrics_server: NotRequired[bool]
    """CPU and memory in use, as ``kubectl top`` and the HorizontalPodAutoscaler want them (metrics-server); False if absent."""
    cloudwatch_observability: NotRequired[bool]
    """Container Insights, logs and traces in CloudWatch (amazon-cloudwatch-observability), with a role; False if absent. CloudWatch
    charges by observation and by GB."""
    guardduty_agent: NotRequired[bool]
    """GuardDuty's Runtime Monitoring (aws-guardduty-agent); False if absent. Needs Runtime Monitoring in the account and GuardDuty's VPC
    endpoint. Leave it out where GuardDuty manages the agent itself."""
    kubecost: NotRequired[bool]
    """Costs by namespace and workload (kubecost_kubecost); False if absent. Needs a subscription in AWS Marketplace, and volumes."""
    versions: NotRequired[dict[str, str]]
    """Versions by name of the add-on, as with ``AddOn``; ``default`` where absent."""
    configurations: NotRequired[dict[str, dict[str, Any]]]
    """Settings by name of the add-on, in the add-on's own schema, such as {"coredns": {"replicaCount": 3}}."""
    identity: NotRequired[str]
    """How add-ons get their roles: POD_IDENTITY (default; needs the add-on eks-pod-identity-agent) or IRSA."""
    tags: NotRequired[dict[str, pulumi.Input[str]]]
    """Tags on everything the component makes."""


class AddOns(pulumi.ComponentResource):
    """The usual add-ons of a cluster that has nodes."""

    versions: pulumi.Output[dict[str, str]]
    """Versions by name of the add-on."""

    def __init__(self, name: str, args: AddOnsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError for an unknown identity, and for versions or settings of an add-on that is not switched on."""
        component_arguments.check(args, AddOnsArgs)
        super().__init__("eks-autoscaling:index:AddOns", name, None, opts)
        if args.get("identity", DEFAULT_IDENTITY) not in IDENTITIES:
            raise ArgumentError("identity", args.get("identity"), f"use one of {', '.join(IDENTITIES)}")
        auto = args["cluster"].get("auto_mode", False)
        wanted = [usual for argument, usual in USUAL.items() if args.get(argument, usual.by_default and not auto)]
        known = tuple(usual.add_on for usual in wanted)
        if auto:
            warn_of_built_in(self, name, known)
        check_names("versions", args.get("versions", {}), known)
        check_names("configurations", args.get("configurations", {}), known)
        declared = {usual.add_on: self._declare(name, args, usual) for usual in wanted}
        self.versions = pulumi.Output.all(**{add_on: made.version for add_on, made in declared.items()})
        self.register_outputs({"versions": self.versions})

    def _declare(self, name: str, args: AddOnsArgs, usual: Usual) -> AddOn:
        wanted: AddOnArgs = {
            "cluster": args["cluster"],
            "add_on": usual.add_on,
            "version": args.get("versions", {}).get(usual.add_on, DEFAULT),
            "configuration": args.get("configurations", {}).get(usual.add_on, {}),
            "preserve": usual.preserve,
            "tags": args.get("tags", {}),
        }
        needs: list[pulumi.Resource] = []
        if usual.rights is not None:
            role = self._role(f"{name}-{usual.rights.short}", args, usual.rights)
            needs.append(role)
            if args.get("identity", DEFAULT_IDENTITY) == "IRSA":
                wanted["service_account_role_arn"] = role.role_arn
        return AddOn(f"{name}-{usual.add_on}", wanted, pulumi.ResourceOptions(parent=self, depends_on=needs))

    def _role(self, name: str, args: AddOnsArgs, rights: Rights) -> ServiceAccountRole:
        return ServiceAccountRole(
            name,
            {
                "cluster": args["cluster"],
                "namespace": rights.namespace,
                "service_account": rights.service_account,
                "identity": args.get("identity", DEFAULT_IDENTITY),
                "managed_policies": {"policy": pulumi.Output.from_input(args["cluster"]["arn"]).apply(rights.policy)},
                "tags": args.get("tags", {}),
            },
            pulumi.ResourceOptions(parent=self),
        )
