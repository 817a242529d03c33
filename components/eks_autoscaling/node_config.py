"""User data of nodes: nodeadm's NodeConfig in a MIME part, as Amazon Linux 2023 wants it, or Bottlerocket's settings in TOML.

Nodes that no managed node group starts need all of it. To those of a managed one EKS adds how to join; ours says what else they shall do.

Pure. Nobody checks this text before an instance boots, and a kubelet that refuses a flag ends with a node that never joins. Hence the
check here. Sources: the NodeConfig API (node.eks.aws/v1alpha1) of https://awslabs.github.io/amazon-eks-ami/nodeadm/, and kubelet's rules
for --node-labels.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eks_autoscaling.misuse import ArgumentError
from eks_autoscaling.names import NodeTaint

BOUNDARY = "//"
MEDIA_TYPE = "application/node.eks.aws"

# A kubelet may give itself labels of Kubernetes' own namespaces only below these.
_KUBELET_NAMESPACES = ("kubelet.kubernetes.io", "node.kubernetes.io")
_KUBERNETES_NAMESPACES = ("kubernetes.io", "k8s.io")


@dataclass(frozen=True)
class Endpoint:
    """What a node must know of its cluster: name, API ``url``, base64 of the certificate ``authority``, and the ``services``' CIDR."""

    cluster: str
    url: str
    authority: str
    services: str


def user_data(endpoint: Endpoint, labels: Mapping[str, str], taints: Sequence[NodeTaint]) -> str:
    """Base64 of the user data with which an instance joins the cluster, as a launch template takes it."""
    return _part(_spec(endpoint, labels, taints))


def max_pods_user_data(pods: int, *, bottlerocket: bool) -> str:
    """Base64 of the user data by which a node of a managed node group takes this many pods, whatever EKS works out for it.

    EKS writes a number of its own into the kubelet's configuration, and which of the two NodeConfigs comes last is not documented. A flag
    of the kubelet goes before its configuration in any case. nodeadm reserves memory by the configured number, so it is there too.
    """
    if bottlerocket:
        return _encoded(f"[settings.kubernetes]\nmax-pods = {pods}\n")
    return _part({"kubelet": {"config": {"maxPods": pods}, "flags": [f"--max-pods={pods}"]}})


def _part(spec: dict[str, object]) -> str:
    lines = (
        "MIME-Version: 1.0",
        f'Content-Type: multipart/mixed; boundary="{BOUNDARY}"',
        "",
        f"--{BOUNDARY}",
        f"Content-Type: {MEDIA_TYPE}",
        "",
        # JSON is YAML too, and has one way of quoting.
        json.dumps({"apiVersion": "node.eks.aws/v1alpha1", "kind": "NodeConfig", "spec": spec}, indent=2),
        f"--{BOUNDARY}--",
        "",
    )
    return _encoded("\n".join(lines))


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _spec(endpoint: Endpoint, labels: Mapping[str, str], taints: Sequence[NodeTaint]) -> dict[str, object]:
    cluster = {
        "name": endpoint.cluster,
        "apiServerEndpoint": endpoint.url,
        "certificateAuthority": endpoint.authority,
        "cidr": endpoint.services,
    }
    flags = _flags(labels, taints)
    kubelet = {"kubelet": {"flags": flags}} if flags else {}
    return {"cluster": cluster, **kubelet}


def _flags(labels: Mapping[str, str], taints: Sequence[NodeTaint]) -> list[str]:
    flags = []
    if labels:
        flags.append("--node-labels=" + ",".join(f"{key}={value}" for key, value in labels.items()))
    if taints:
        flags.append("--register-with-taints=" + ",".join(f"{taint.key}={taint.value}:{taint.effect}" for taint in taints))
    return flags


def check(labels: Mapping[str, str]) -> None:
    """Refuse (ArgumentError) labels with which a kubelet would not start, although Kubernetes has such."""
    for key in labels:
        namespace = key.rpartition("/")[0]
        if _within(namespace, _KUBERNETES_NAMESPACES) and not _within(namespace, _KUBELET_NAMESPACES):
            allowed = " or ".join(_KUBELET_NAMESPACES)
            raise ArgumentError("labels", key, f"a kubelet with this label does not start; use a prefix of your own, or {allowed}")


def _within(namespace: str, domains: Sequence[str]) -> bool:
    return any(namespace == domain or namespace.endswith(f".{domain}") for domain in domains)
