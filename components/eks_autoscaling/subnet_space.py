"""Whether the subnets of a node group have room for its nodes and their pods.

Pure. A subnet without a free address leaves instances that cannot start, or pods in ContainerCreating on nodes that look healthy. What is
compared is the size of the subnets: how many addresses are free at the moment depends on the nodes that run, and a group that runs at its
maximum must not be refused. That other groups, load balancers or the control plane use the same subnets is not counted.
"""

import ipaddress
from collections.abc import Sequence

from eks_autoscaling.catalogue import InstanceType, instance_types
from eks_autoscaling.misuse import ArgumentError
from eks_autoscaling.pod_density import ADDRESSES_PER_PREFIX, PODS_ON_THE_HOST

# The first four addresses and the last one of a subnet are AWS's own.
RESERVED_ADDRESSES = 5


def addresses_per_node(types: Sequence[str], max_pods: int, *, prefix_delegation: bool, pods_elsewhere: bool) -> int:
    """IPv4 addresses that a node full of pods takes from its subnet: the most that one of the ``types`` takes.

    The VPC CNI takes whole network interfaces, or with ``prefix_delegation`` whole prefixes. ``pods_elsewhere``: pods have their addresses
    from other subnets (custom networking) or of another kind (IPv6).
    """
    if pods_elsewhere:
        return 1
    return max(_addresses(instance_types()[name], max(1, max_pods - PODS_ON_THE_HOST), prefix_delegation) for name in types)


def _addresses(kind: InstanceType, pods: int, prefix_delegation: bool) -> int:
    slots = max(1, kind.ips_per_eni - 1)
    if not prefix_delegation:
        return min(kind.enis, _ceiling(pods, slots)) * kind.ips_per_eni
    prefixes = _ceiling(pods, ADDRESSES_PER_PREFIX)
    return prefixes * ADDRESSES_PER_PREFIX + _ceiling(prefixes, slots)


def _ceiling(amount: int, each: int) -> int:
    return -(-amount // each)


def check(blocks: Sequence[str], max_size: int, per_node: int) -> None:
    """Refuse (ArgumentError) subnets with these IPv4 CIDR ``blocks`` that cannot hold ``max_size`` nodes of ``per_node`` addresses each."""
    if not all(blocks):
        return
    room = sum(max(0, ipaddress.IPv4Network(block).num_addresses - RESERVED_ADDRESSES) for block in blocks)
    wanted = max_size * per_node
    if wanted > room:
        raise ArgumentError(
            "subnet_ids",
            list(blocks),
            f"they have {room} addresses, and {max_size} nodes full of pods take {wanted} ({per_node} each); add or enlarge subnets, lower"
            " max_size or max_pods, or say with addresses_per_node what a node takes under your CNI settings",
        )
