"""Node repair of managed node groups: how far EKS may go, and what it does about which fault.

Pure. Rules: https://docs.aws.amazon.com/eks/latest/userguide/node-repair.html
"""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

from eks_autoscaling.misuse import ArgumentError, require_within

ACTIONS = ("Replace", "Reboot", "NoAction")
_PAIRS = (("max_unhealthy_count", "max_unhealthy_percentage"), ("max_parallel_count", "max_parallel_percentage"))
_FIELDS = {
    "max_unhealthy_count": "max_unhealthy_node_threshold_count",
    "max_unhealthy_percentage": "max_unhealthy_node_threshold_percentage",
    "max_parallel_count": "max_parallel_nodes_repaired_count",
    "max_parallel_percentage": "max_parallel_nodes_repaired_percentage",
}


class NodeRepairLimits(TypedDict):
    """How far EKS may go in replacing unhealthy nodes; of each pair, count and percentage, one at most."""

    max_unhealthy_count: NotRequired[int]
    """With more unhealthy nodes than this, 1 or more, nothing is repaired: the fault is likely to be elsewhere."""
    max_unhealthy_percentage: NotRequired[int]
    """The same as a share of the group's nodes, 1 to 100."""
    max_parallel_count: NotRequired[int]
    """How many nodes are repaired at a time, 1 or more."""
    max_parallel_percentage: NotRequired[int]
    """The same as a share of the unhealthy nodes, 1 to 100."""


class NodeRepairOverride(TypedDict):
    """What EKS does about one fault, instead of its own choice."""

    condition: str
    """Condition of the node as the add-on eks-node-monitoring-agent reports it, such as AcceleratedHardwareReady."""
    reason: str
    """Reason that stands with the condition, such as NvidiaXID64Error."""
    wait_minutes: int
    """Minutes, 1 or more, that the fault must last."""
    action: str
    """Replace, Reboot or NoAction."""


def check(on: bool, limits: NodeRepairLimits | None, overrides: Sequence[NodeRepairOverride] | None, max_size: int) -> None:
    """Refuse (ArgumentError) what EKS would refuse; ``on`` tells whether nodes are repaired at all."""
    if limits is not None:
        if not on:
            raise ArgumentError("node_repair_limits", dict(limits), "add node_repair, or leave this out: nothing is repaired without it")
        _check_limits(limits, max_size)
    if overrides and not on:
        raise ArgumentError("node_repair_overrides", list(overrides), "add node_repair, or leave this out: nothing is repaired without it")
    for override in overrides or ():
        if override["action"] not in ACTIONS:
            raise ArgumentError("node_repair_overrides", override["action"], f"as action use one of {', '.join(ACTIONS)}")
        if int(override["wait_minutes"]) < 1:
            raise ArgumentError("node_repair_overrides", override["wait_minutes"], "as wait_minutes use 1 or more")


def _check_limits(limits: NodeRepairLimits, max_size: int) -> None:
    for count, percentage in _PAIRS:
        if limits.get(count) is not None and limits.get(percentage) is not None:
            raise ArgumentError(count, limits.get(count), f"leave it out, or leave out {percentage}: EKS takes one of them")
        for argument, most in ((count, max_size), (percentage, 100)):
            if limits.get(argument) is not None:
                require_within(argument, limits.get(argument), most)


def config(on: bool, limits: NodeRepairLimits | None, overrides: Sequence[NodeRepairOverride] | None) -> dict[str, Any] | None:
    """Node repair in the EKS API's form; None where it is off."""
    if not on:
        return None
    found: dict[str, Any] = {
        "enabled": True,
        **{_FIELDS[name]: int(str(value).removesuffix(".0")) for name, value in (limits or {}).items()},
    }
    return found | ({"node_repair_config_overrides": [_override(override) for override in overrides]} if overrides else {})


def _override(override: NodeRepairOverride) -> dict[str, Any]:
    return {
        "node_monitoring_condition": override["condition"],
        "node_unhealthy_reason": override["reason"],
        "min_repair_wait_time_mins": int(override["wait_minutes"]),
        "repair_action": override["action"],
    }
