"""Fixed names of node groups that this program has given out, to refuse one that it gives twice in a cluster.

Pulumi itself refuses two resources of one logical name, but knows nothing of physical names: the second group would only fail at EKS, after
minutes, in the middle of an update.
"""

import weakref
from collections.abc import MutableMapping

import pulumi
from pulumi.runtime.settings import get_root_resource

from eks_autoscaling.misuse import ArgumentError

_Claims = list[tuple[pulumi.Input[str], str]]
# By stack, since one process may run several programs one after the other.
_claims: MutableMapping[pulumi.Resource, _Claims] = weakref.WeakKeyDictionary()


def claim(cluster: pulumi.Input[str], name: str) -> None:
    """Note that a group of ``cluster`` (its name) has this ``name``.

    A cluster's name that is not known yet is recognised as long as it is the same output, as from one ``Cluster``.

    Raises:
        ArgumentError: another group of this cluster in this program has it.

    """
    stack = get_root_resource()
    if stack is None:
        return
    taken = _claims.setdefault(stack, [])
    if any(other == name and _same(cluster, of) for of, other in taken):
        raise ArgumentError("fixed_name", name, "another node group of this cluster has it; names of groups are unique in a cluster")
    taken.append((cluster, name))


def _same(cluster: pulumi.Input[str], other: pulumi.Input[str]) -> bool:
    return cluster is other or (isinstance(cluster, str) and isinstance(other, str) and cluster == other)
