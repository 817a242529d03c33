"""Names and tags: what children are called, what AWS accepts, and how an Auto Scaling group tells of its nodes.

Pure. The tag keys are those of the Cluster Autoscaler's AWS provider, because users, dashboards and other tools read
them too: two discovery tags mark the groups that an autoscaler of this cluster may resize, and node-template tags
describe the node that a group without nodes would give.

Limits (characters) are those of the AWS APIs: Auto Scaling takes 50 tags per group with keys up to 128 and values up
to 256; EKS itself puts five tags on the group of a managed node group. The forms of labels are those of Kubernetes
(https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eks_autoscaling.misuse import ArgumentError

TAG_PREFIX = "k8s.io/cluster-autoscaler/"
ENABLED_TAG = f"{TAG_PREFIX}enabled"
TEMPLATE_PREFIX = f"{TAG_PREFIX}node-template/"

IAM_ROLE_NAME_LIMIT = 64
TAGS_PER_GROUP = TAGS_PER_RESOURCE = 50
TAGS_OF_EKS = 5
TAG_KEY_LIMIT = 128
TAG_VALUE_LIMIT = 256
# Pulumi appends a hyphen and seven hexadecimal digits to the names it makes.
AUTONAME_SUFFIX = 8

RESERVED_LABEL_PREFIXES = ("eks.amazonaws.com/", "kubernetes.io/", "k8s.io/")
CAPACITY_TYPE_LABEL = "eks.amazonaws.com/capacityType"
# Pods ask for a zone by the first; volumes of the EBS CSI driver are bound by the second.
ZONE_LABELS = ("topology.kubernetes.io/zone", "topology.ebs.csi.aws.com/zone")

_CLUSTER_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,99}")
_NODE_GROUP_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,62}")
_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LABEL_NAME = re.compile(r"[0-9A-Za-z]([0-9A-Za-z._-]{0,61}[0-9A-Za-z])?")
_DNS_SUBDOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")

# Kubernetes writes effects in one way, the EKS API in another; tags use the Kubernetes form.
EKS_EFFECTS = {"NoSchedule": "NO_SCHEDULE", "NoExecute": "NO_EXECUTE", "PreferNoSchedule": "PREFER_NO_SCHEDULE"}


@dataclass(frozen=True)
class NodeTaint:
    """A taint that every node of a group carries; ``effect`` in the Kubernetes form (``NoSchedule``)."""

    key: str
    value: str
    effect: str


def child(parent: str, part: str, limit: int) -> str:
    """The logical name of a child, checked against ``limit``, the AWS length of the physical name made from it.

    Raises:
        ArgumentError: the name that the user gave the component is too long.

    """
    longest = limit - AUTONAME_SUFFIX - len(part) - 1
    if len(parent) > longest:
        raise ArgumentError("name", parent, f"use at most {longest} characters, AWS allows {limit} for {part!r} and its suffix")
    return f"{parent}-{part}"


def cluster_name(name: str) -> str:
    """``name`` if EKS takes it for a cluster (1 to 100 letters, digits, ``-`` and ``_``), else ArgumentError."""
    if not _CLUSTER_NAME.fullmatch(name):
        raise ArgumentError("cluster_name", name, "use 1 to 100 letters, digits, hyphens and underscores, starting with a letter or digit")
    return name


def node_group_name(name: str, argument: str, suffix: int = 0) -> str:
    """``name`` if EKS takes it for a node group with ``suffix`` more characters (63 in all), else ArgumentError."""
    if not _NODE_GROUP_NAME.fullmatch(name) or len(name) + suffix > 63:
        raise ArgumentError(
            argument, name, f"use 1 to {63 - suffix} letters, digits, hyphens and underscores, starting with a letter or digit"
        )
    return name


def dns_label(name: str, argument: str) -> str:
    """``name`` if Kubernetes takes it for a namespace (a label of RFC 1123), else ArgumentError."""
    if not _DNS_LABEL.fullmatch(name):
        raise ArgumentError(argument, name, "use 1 to 63 lower-case letters, digits and hyphens, neither starting nor ending with a hyphen")
    return name


def dns_subdomain(name: str, argument: str) -> str:
    """``name`` if Kubernetes takes it for most objects, service accounts among them (a subdomain of RFC 1123), else ArgumentError."""
    if not _DNS_SUBDOMAIN.fullmatch(name):
        raise ArgumentError(
            argument, name, "use 1 to 253 lower-case letters, digits, hyphens and dots, with a letter or digit at either end"
        )
    return name


def discovery_tags(cluster: str) -> dict[str, str]:
    """The two tags by which an autoscaler of ``cluster`` finds its groups, and by which IAM lets it resize them."""
    return {ENABLED_TAG: "true", f"{TAG_PREFIX}{cluster}": "owned"}


def node_template_tags(
    labels: Mapping[str, str], taints: Sequence[NodeTaint], resources: Mapping[str, str], others: int = TAGS_OF_EKS
) -> dict[str, str]:
    """Tags that tell what a node of an empty group would be: labels, taints (``value:NoSchedule``) and resources.

    ``others`` is how many other tags stand on the group; on that of a managed node group it is those of EKS.

    Raises:
        ArgumentError: a key or value exceeds what Auto Scaling takes, or there are more than fit on one group.

    """
    tags = {f"{TEMPLATE_PREFIX}label/{key}": value for key, value in labels.items()}
    tags |= {f"{TEMPLATE_PREFIX}taint/{taint.key}": f"{taint.value}:{taint.effect}" for taint in taints}
    tags |= {f"{TEMPLATE_PREFIX}resources/{name}": quantity for name, quantity in resources.items()}
    for key, value in tags.items():
        _check_tag(key, value)
    room = TAGS_PER_GROUP - others
    if len(tags) > room:
        raise ArgumentError(
            "labels",
            len(tags),
            f"labels, taints and resources take one tag each and {room} fit on an Auto Scaling group beside its {others} other tags",
        )
    return tags


def _check_tag(key: str, value: str) -> None:
    if len(key) > TAG_KEY_LIMIT:
        raise ArgumentError("labels", key, f"a tag key holds {TAG_KEY_LIMIT} characters, shorten the label or taint key")
    if len(value) > TAG_VALUE_LIMIT:
        raise ArgumentError("labels", value, f"a tag value holds {TAG_VALUE_LIMIT} characters, shorten the value of {key}")


def check_tags(argument: str, tags: Mapping[str, object]) -> None:
    """Refuse (ArgumentError) tags that AWS would refuse. Values of other resources are not known yet, and pass."""
    if len(tags) > TAGS_PER_RESOURCE:
        raise ArgumentError(argument, len(tags), f"AWS takes {TAGS_PER_RESOURCE} tags at most; leave some out")
    for key, value in tags.items():
        if key.lower().startswith("aws:"):
            raise ArgumentError(argument, key, "AWS reserves the prefix aws:; use another one")
        if not 1 <= len(key) <= TAG_KEY_LIMIT:
            raise ArgumentError(argument, key, f"the key of a tag has 1 to {TAG_KEY_LIMIT} characters")
        if isinstance(value, str) and len(value) > TAG_VALUE_LIMIT:
            raise ArgumentError(f"{argument}[{key!r}]", value, f"the value of a tag has at most {TAG_VALUE_LIMIT} characters")


def check_label_forms(argument: str, labels: Mapping[str, str]) -> None:
    """Refuse (ArgumentError) keys and values that Kubernetes takes neither for labels nor for taints."""
    for key, value in labels.items():
        prefix, slash, name = key.rpartition("/")
        if not _LABEL_NAME.fullmatch(name) or (slash and not _DNS_SUBDOMAIN.fullmatch(prefix)):
            raise ArgumentError(
                argument, key, "a key is up to 63 letters, digits, '-', '_' and '.', if you like after a domain and a slash"
            )
        if value and not _LABEL_NAME.fullmatch(value):
            raise ArgumentError(argument, value, f"the value of {key!r} may have up to 63 letters, digits, '-', '_' and '.'")


def check_labels(labels: Mapping[str, str]) -> None:
    """Refuse (ArgumentError) labels of nodes that Kubernetes would refuse, or whose keys the EKS API keeps for itself."""
    check_label_forms("labels", labels)
    for key in labels:
        if key.startswith(RESERVED_LABEL_PREFIXES):
            raise ArgumentError("labels", key, f"EKS reserves the prefixes {', '.join(RESERVED_LABEL_PREFIXES)}; use a prefix of your own")


def node_taint(key: str, value: str, effect: str) -> NodeTaint:
    """A checked taint; ArgumentError when Kubernetes would refuse key or value, and when ``effect`` is none of the three that it knows."""
    check_label_forms("taints", {key: value})
    if effect not in EKS_EFFECTS:
        raise ArgumentError("taints", effect, f"the effect of taint {key!r} must be one of {', '.join(EKS_EFFECTS)}")
    return NodeTaint(key, value, effect)
