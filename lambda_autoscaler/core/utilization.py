"""How much of a node its pods ask for (behaviour specification, section 8.3). Requests count, never what is really used."""

from collections.abc import Iterable
from typing import Final

import msgspec

from lambda_autoscaler.core.drain import is_long_terminating
from lambda_autoscaler.core.model import CPU, GPU_LABEL, GPU_RESOURCES, MEMORY, Node, PodSet

_NVIDIA: Final = "nvidia.com/gpu"


class Utilization(msgspec.Struct, frozen=True):
    """Share of a node that is asked for, 0 to 1 and above: of its GPUs on a GPU node, else the larger of CPU and memory."""

    share: float
    resource: str
    cpu: float = 0.0
    memory: float = 0.0


def utilization(node: Node, pods: Iterable[PodSet], now: float, *, ignore_daemonsets: bool, ignore_mirrors: bool) -> Utilization | None:
    """Utilisation of a node with these pods; None when it cannot be computed because the node shows no CPU or no memory."""
    allocatable = dict(node.allocatable)
    counted = list(pods)
    if GPU_LABEL in node.labels or any(allocatable.get(name, 0) > 0 for name in GPU_RESOURCES):
        gpu = next((name for name in GPU_RESOURCES if allocatable.get(name, 0) > 0), _NVIDIA)
        available = allocatable.get(gpu, 0)
        return Utilization(_requested(counted, gpu, now) / available if available else 0.0, gpu)
    shares: dict[str, float] = {}
    for resource in (CPU, MEMORY):
        available = allocatable.get(resource, 0)
        if available <= 0:
            return None
        excluded = _requested([item for item in counted if _is_excluded(item, ignore_daemonsets, ignore_mirrors)], resource, now)
        left = available - excluded
        shares[resource] = (_requested(counted, resource, now) - excluded) / left if left > 0 else 0.0
    largest = CPU if shares[CPU] >= shares[MEMORY] else MEMORY
    return Utilization(shares[largest], largest, shares[CPU], shares[MEMORY])


def _is_excluded(pod_set: PodSet, ignore_daemonsets: bool, ignore_mirrors: bool) -> bool:
    return (ignore_daemonsets and pod_set.shape.is_daemonset) or (ignore_mirrors and pod_set.shape.is_mirror)


def _requested(pods: Iterable[PodSet], resource: str, now: float) -> int:
    total = 0
    for pod_set in pods:
        number = len(pod_set.pods)
        if pod_set.shape.terminating:
            number = sum(not is_long_terminating(pod_set.shape, pod, now) for pod in pod_set.pods)
        total += pod_set.shape.request(resource) * number
    return total
