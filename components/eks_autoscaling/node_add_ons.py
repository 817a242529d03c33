"""What runs on every node and must be there before the first one: Pod Identity Agent, VPC CNI and kube-proxy.

Node groups depend on the component (``pulumi.ResourceOptions(depends_on=[node_add_ons])``). ``AddOns`` is what comes after them. Nodes of
EKS Auto Mode need none of the three.
"""

from typing import Any, NotRequired, TypedDict

import pulumi

from eks_autoscaling import component_arguments
from eks_autoscaling.add_on import DEFAULT, AddOn, AddOnArgs, check_names
from eks_autoscaling.auto_mode import warn_of_built_in
from eks_autoscaling.cluster import ClusterRef
from eks_autoscaling.vpc_cni import ADD_ON as VPC_CNI
from eks_autoscaling.vpc_cni import VpcCni
from eks_autoscaling.vpc_cni_settings import VpcCniSettings

POD_IDENTITY_AGENT = "eks-pod-identity-agent"
KUBE_PROXY = "kube-proxy"


class NodeAddOnsArgs(TypedDict):
    """Arguments of ``NodeAddOns``."""

    cluster: ClusterRef
    """The cluster: ``cluster.ref()``, or name and ARN of any other EKS cluster."""
    vpc_cni: NotRequired[VpcCniSettings]
    """How pods get addresses; single IPv4 addresses of the nodes' subnets if absent."""
    versions: NotRequired[dict[str, str]]
    """Versions by name of the add-on (vpc-cni, kube-proxy, eks-pod-identity-agent), as with ``AddOn``; ``default`` where absent."""
    configurations: NotRequired[dict[str, dict[str, Any]]]
    """Settings by name of the add-on (kube-proxy, eks-pod-identity-agent), in the add-on's own schema."""
    tags: NotRequired[dict[str, pulumi.Input[str]]]
    """Tags on everything the component makes."""


class NodeAddOns(pulumi.ComponentResource):
    """The add-ons vpc-cni, kube-proxy and eks-pod-identity-agent."""

    vpc_cni_configuration: pulumi.Output[str]
    """The settings as the add-on vpc-cni gets them (JSON)."""
    versions: pulumi.Output[dict[str, str]]
    """Versions by name of the add-on."""

    def __init__(self, name: str, args: NodeAddOnsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError for settings that contradict each other and for names of other add-ons."""
        component_arguments.check(args, NodeAddOnsArgs)
        super().__init__("eks-autoscaling:index:NodeAddOns", name, None, opts)
        check_names("versions", args.get("versions", {}), (VPC_CNI, KUBE_PROXY, POD_IDENTITY_AGENT))
        check_names("configurations", args.get("configurations", {}), (KUBE_PROXY, POD_IDENTITY_AGENT))
        if args["cluster"].get("auto_mode", False):
            warn_of_built_in(self, name, (VPC_CNI, KUBE_PROXY, POD_IDENTITY_AGENT))
        agent, proxy = self._add_on(name, args, POD_IDENTITY_AGENT, preserve=False), self._add_on(name, args, KUBE_PROXY, preserve=True)
        cni = VpcCni(
            f"{name}-{VPC_CNI}",
            {
                "cluster": args["cluster"],
                "settings": args.get("vpc_cni", {}),
                "version": args.get("versions", {}).get(VPC_CNI, DEFAULT),
                "tags": args.get("tags", {}),
            },
            # The agent hands the CNI its credentials.
            pulumi.ResourceOptions(parent=self, depends_on=[agent]),
        )
        self.vpc_cni_configuration = cni.configuration
        self.versions = pulumi.Output.all(**{VPC_CNI: cni.version, KUBE_PROXY: proxy.version, POD_IDENTITY_AGENT: agent.version})
        self.register_outputs({"vpc_cni_configuration": self.vpc_cni_configuration, "versions": self.versions})

    def _add_on(self, name: str, args: NodeAddOnsArgs, add_on: str, *, preserve: bool) -> AddOn:
        wanted: AddOnArgs = {
            "cluster": args["cluster"],
            "add_on": add_on,
            "version": args.get("versions", {}).get(add_on, DEFAULT),
            "configuration": args.get("configurations", {}).get(add_on, {}),
            "preserve": preserve,
            "tags": args.get("tags", {}),
        }
        return AddOn(f"{name}-{add_on}", wanted, pulumi.ResourceOptions(parent=self))
