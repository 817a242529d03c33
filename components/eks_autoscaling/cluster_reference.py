"""What a reference to a cluster cannot be, alone and beside others. Values that other resources bring are not known yet, and pass.

Pure.
"""

from collections.abc import Mapping
from typing import Any

from eks_autoscaling import kubernetes_version
from eks_autoscaling.misuse import ArgumentError
from eks_autoscaling.policies import ClusterArn


def check(argument: str, cluster: Mapping[str, Any]) -> None:
    """Refuse (ArgumentError) a reference whose name and ARN are of two clusters, or whose parts are none."""
    name, arn = cluster["name"], cluster["arn"]
    if isinstance(arn, str):
        named = ClusterArn(arn, f"{argument}.arn").cluster
        if isinstance(name, str) and name != named:
            raise ArgumentError(f"{argument}.arn", arn, f"it is the ARN of the cluster {named!r}, and the name is {name!r}")
    if "version" in cluster:
        kubernetes_version.check(f"{argument}.version", cluster["version"])


def check_fleet(first: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse (ArgumentError) clusters that occur twice, or are in another account or region than the ``first``."""
    seen = {"cluster": first}
    for argument, cluster in others.items():
        _check_place(argument, cluster["arn"], first["arn"])
        for known, earlier in seen.items():
            if _is_same(cluster["name"], earlier["name"]) or _is_same(cluster["arn"], earlier["arn"]):
                raise ArgumentError(argument, cluster["name"], f"leave it out: it is the cluster of {known}")
        seen[argument] = cluster


def _check_place(argument: str, arn: object, first: object) -> None:
    if not isinstance(arn, str) or not isinstance(first, str):
        return
    here, there = ClusterArn(first), ClusterArn(arn)
    for part, one, other in (("account", here.account, there.account), ("region", here.region, there.region)):
        if one != other:
            raise ArgumentError(f"{argument}.arn", arn, f"declare another autoscaler: this one is in the {part} {one}")


def _is_same(one: object, other: object) -> bool:
    # Outputs are not compared but for being one and the same, as they are when ``cluster.ref()`` is given twice.
    return one is other or (isinstance(one, str) and one == other)
