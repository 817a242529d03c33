"""How many pods a node can have: one address of the VPC for each, and no more than Kubernetes copes with.

Pure. A pod that finds no address stays in ContainerCreating, and a kubelet that is told too little leaves a machine half empty. EKS works
the number out for managed groups with its own images, from the settings that the VPC CNI has when the group is made. The images' own
calculation knows neither prefixes nor custom networking, so with an image or user data of one's own the number must be passed on.

Sources: https://docs.aws.amazon.com/eks/latest/userguide/choosing-instance-type.html#determine-max-pods and the lists of
https://github.com/awslabs/amazon-eks-ami/blob/main/templates/shared/runtime/eni-max-pods.txt
"""

from collections.abc import Sequence

from eks_autoscaling import shapes
from eks_autoscaling.catalogue import InstanceType, instance_types
from eks_autoscaling.misuse import ArgumentError

# A prefix is a /28.
ADDRESSES_PER_PREFIX = 16
# The VPC CNI and kube-proxy use the node's own address.
PODS_ON_THE_HOST = 2
SMALL_NODE_LIMIT, LARGE_NODE_LIMIT = 110, 250
LARGE_NODE_VCPUS = 30


def max_pods(types: Sequence[str], *, prefix_delegation: bool = False, custom_networking: bool = False, ipv6: bool = False) -> int:
    """The pods of a node of a group with these instance types: the fewest that one of them can have.

    Raises:
        ArgumentError: types that cannot be in one group, or that have no interface or prefix for pods under these settings.

    """
    shape = shapes.common_shape(types)
    limit = LARGE_NODE_LIMIT if shape.vcpus > LARGE_NODE_VCPUS else SMALL_NODE_LIMIT
    known = [instance_types()[name] for name in types]
    if ipv6:
        _require_prefixes(known)
        # One IPv6 prefix has more addresses than a node has pods.
        return limit
    return min(limit, *(addresses(kind, prefix_delegation=prefix_delegation, custom_networking=custom_networking) for kind in known))


def addresses(kind: InstanceType, *, prefix_delegation: bool, custom_networking: bool) -> int:
    """Pods for which one node has IPv4 addresses, without regard to any other limit.

    With custom networking the first interface is the node's alone. Only Nitro machines, bare metal ones among them, take prefixes; others
    go on with single addresses. ArgumentError when no interface is left for pods.
    """
    interfaces = kind.enis - custom_networking
    if interfaces < 1:
        raise ArgumentError("instance_types", kind.type, "it has one network interface, of which custom networking leaves none to pods")
    each = ADDRESSES_PER_PREFIX if prefix_delegation and takes_prefixes(kind) else 1
    # Each interface keeps one address for itself.
    return interfaces * (kind.ips_per_eni - 1) * each + PODS_ON_THE_HOST


def takes_prefixes(kind: InstanceType) -> bool:
    """Whether EC2 assigns address prefixes to its network interfaces."""
    return kind.hypervisor != "xen"


def _require_prefixes(known: Sequence[InstanceType]) -> None:
    without = [kind.type for kind in known if not takes_prefixes(kind)]
    if without:
        raise ArgumentError("instance_types", without, "pods with IPv6 addresses need Nitro machines, leave these out")
