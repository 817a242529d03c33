"""Settings of the control plane's own programs that EKS lets its users change, under the names of their flags.

Pure. EKS takes them from Kubernetes 1.31 on. Rules: https://docs.aws.amazon.com/eks/latest/userguide/control-plane-configuration.html
"""

import re
from typing import Any, NotRequired, TypedDict

from eks_autoscaling.misuse import ArgumentError

OLDEST_VERSION = "1.31"
SCORING_STRATEGIES = ("LeastAllocated", "MostAllocated")
MOST_TERMINATED_PODS = 1_000_000
MOST_WEIGHT = 100
_DURATION = re.compile(r"[1-9][0-9]*[smh]")
_PORTS = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")
_LAST_PORT = 65535


class ControlPlaneSettings(TypedDict):
    """What the API server, the scheduler and the controller manager do otherwise than by default."""

    event_ttl: NotRequired[str]
    """How long the API server keeps events, in one unit, such as 30m or 3h; EKS's own default if absent."""
    service_node_port_range: NotRequired[str]
    """Ports of NodePort services, such as 30000-32767. Security groups of the nodes must let them in."""
    scoring_strategy: NotRequired[str]
    """Which of the nodes that have room the scheduler prefers: LeastAllocated (the default of Kubernetes) spreads pods, MostAllocated fills
    nodes up, so that others become empty and the autoscaler can remove them."""
    scoring_weights: NotRequired[dict[str, int]]
    """With ``scoring_strategy``: how much each resource counts, such as {"cpu": 1, "memory": 1}; 1 to 100."""
    terminated_pod_gc_threshold: NotRequired[int]
    """How many pods that ended may be left before they are removed, 1 to 1000000."""
    horizontal_pod_autoscaler_sync_period: NotRequired[str]
    """How often HorizontalPodAutoscalers look at their metrics, in one unit, such as 15s."""


def check(settings: ControlPlaneSettings) -> None:
    """Refuse (ArgumentError) what EKS would refuse."""
    for argument in ("event_ttl", "horizontal_pod_autoscaler_sync_period"):
        value = settings.get(argument)
        if value is not None and not _DURATION.fullmatch(str(value)):
            raise ArgumentError(f"control_plane.{argument}", value, "write a number and one unit of s, m or h, such as 30m")
    _ports(settings)
    _check_scoring(settings)
    threshold = settings.get("terminated_pod_gc_threshold")
    if threshold is not None and not 1 <= int(threshold) <= MOST_TERMINATED_PODS:
        raise ArgumentError("control_plane.terminated_pod_gc_threshold", threshold, f"use 1 to {MOST_TERMINATED_PODS}")


def _ports(settings: ControlPlaneSettings) -> dict[str, int] | None:
    given = settings.get("service_node_port_range")
    if given is None:
        return None
    found = _PORTS.fullmatch(given)
    least, most = (int(port) for port in found.groups()) if found else (0, 0)
    if not 1 <= least <= most <= _LAST_PORT:
        raise ArgumentError("control_plane.service_node_port_range", given, "write the first and the last port, such as 30000-32767")
    return {"min_port": least, "max_port": most}


def _check_scoring(settings: ControlPlaneSettings) -> None:
    strategy, weights = settings.get("scoring_strategy"), settings.get("scoring_weights")
    if strategy is not None and strategy not in SCORING_STRATEGIES:
        raise ArgumentError("control_plane.scoring_strategy", strategy, f"use one of {', '.join(SCORING_STRATEGIES)}")
    if weights is not None and strategy is None:
        raise ArgumentError("control_plane.scoring_weights", dict(weights), "add scoring_strategy, to which they belong")
    wrong = {name: weight for name, weight in (weights or {}).items() if not 1 <= int(weight) <= MOST_WEIGHT}
    if wrong:
        raise ArgumentError("control_plane.scoring_weights", wrong, f"use 1 to {MOST_WEIGHT}")


def config(settings: ControlPlaneSettings) -> dict[str, Any]:
    """Arguments of ``aws.eks.Cluster``; only what is set, so that EKS decides about the rest."""
    period, threshold = settings.get("horizontal_pod_autoscaler_sync_period"), settings.get("terminated_pod_gc_threshold")
    parts = {
        "kube_api_server_config": _present({"event_ttl": settings.get("event_ttl"), "service_node_port_range": _ports(settings)}),
        "kube_scheduler_config": _scheduler(settings),
        "kube_controller_manager_config": _present(
            {
                "horizontal_pod_autoscaler_controller_config": period and {"horizontal_pod_autoscaler_sync_period": period},
                "pod_gc_controller_config": threshold and {"terminated_pod_gc_threshold": int(threshold)},
            }
        ),
    }
    return _present(parts)


def _scheduler(settings: ControlPlaneSettings) -> dict[str, Any]:
    strategy = settings.get("scoring_strategy")
    if strategy is None:
        return {}
    weights = settings.get("scoring_weights", {})
    # Sorted, so that another order in the program is no change.
    resources = [{"name": name, "weight": int(weight)} for name, weight in sorted(weights.items())]
    return {"node_resources_fit": {"scoring_strategy": _present({"type": strategy, "resources": resources})}}


def _present(parts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parts.items() if value}
