"""Warm pools of managed node groups: instances that have started once and wait beside the group, stopped or running.

Pure. Auto Scaling takes new nodes from the pool while it has some. The autoscaler sees the group alone, and counts no instance of the pool.

Rules: https://docs.aws.amazon.com/eks/latest/userguide/warm-pools-managed-node-groups.html
"""

from typing import Any, NotRequired, TypedDict

from eks_autoscaling.ami_types import AmiType
from eks_autoscaling.misuse import ArgumentError

STATES = ("STOPPED", "RUNNING", "HIBERNATED")


class WarmPool(TypedDict):
    """Instances that wait, prepared, for the group to grow."""

    min_size: NotRequired[int]
    """Fewest instances in the pool, 0 or more; 0 if absent."""
    max_prepared_size: NotRequired[int]
    """Most instances in pool and group together, 1 or more. Absent: ``max_size`` of the group, so that whatever it may grow by waits."""
    state: NotRequired[str]
    """STOPPED (default) costs the volumes, RUNNING the instances too and is the fastest, HIBERNATED keeps memory on the volume, with types
    that can."""
    reuse_on_scale_in: NotRequired[bool]
    """Send instances back to the pool when the group shrinks; False if absent."""


def check(pool: WarmPool | None, capacity_type: str, image: AmiType) -> None:
    """Refuse (ArgumentError) what EKS or Auto Scaling would refuse."""
    if pool is None:
        return
    if capacity_type == "SPOT":
        raise ArgumentError("warm_pool", dict(pool), "leave it out, or use OnDemandNodeGroup: Auto Scaling keeps no spot instances warm")
    least, most, state = pool.get("min_size", 0), pool.get("max_prepared_size"), pool.get("state", STATES[0])
    if int(least) < 0:
        raise ArgumentError("warm_pool.min_size", least, "use 0 or more")
    if most is not None and int(most) < max(1, int(least)):
        raise ArgumentError("warm_pool.max_prepared_size", most, f"use {max(1, int(least))} or more")
    if state not in STATES:
        raise ArgumentError("warm_pool.state", state, f"use one of {', '.join(STATES)}")
    if image.is_bottlerocket and state == "HIBERNATED":
        raise ArgumentError("warm_pool.state", state, "use STOPPED or RUNNING: Bottlerocket cannot hibernate")
    if image.is_bottlerocket and pool.get("reuse_on_scale_in", False):
        raise ArgumentError("warm_pool.reuse_on_scale_in", True, "leave it out: nodes of Bottlerocket cannot be used again")


def config(pool: WarmPool | None) -> dict[str, Any] | None:
    """The pool in the EKS API's form; None where there is none."""
    if pool is None:
        return None
    found: dict[str, Any] = {
        "min_size": int(pool.get("min_size", 0)),
        "pool_state": pool.get("state", STATES[0]),
        "reuse_on_scale_in": pool.get("reuse_on_scale_in", False),
    }
    most = pool.get("max_prepared_size")
    return found if most is None else {**found, "max_group_prepared_capacity": int(most)}
