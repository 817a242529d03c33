"""Cluster-wide limits on cores, memory and GPUs: nodes count by what they can hold (behaviour specification, section 7.2)."""

from collections.abc import Iterable, Mapping
from typing import Final

from lambda_autoscaler.core.model import CPU, GPU_LABEL, GPU_RESOURCES, MEMORY, Resources
from lambda_autoscaler.core.options import Options

CLUSTER_WIDE: Final = "cluster-wide"
_GIB: Final = 2**30


class Quota:
    """What may still be added. Amounts are whole cores, bytes, and GPUs by the value of the GPU label; negative when already exceeded."""

    def __init__(self, options: Options, nodes: Iterable[tuple[Mapping[str, str], Resources]]) -> None:
        self.left: dict[str, int] = {CPU: options.cores_total.maximum, MEMORY: options.memory_total.maximum * _GIB}
        self.left.update({total.gpu_type: total.maximum for total in options.gpu_total})
        for labels, capacity in nodes:
            if labels.get("type") != "virtual-kubelet":
                self.take(usage(labels, capacity), 1)

    def allowed(self, one: Mapping[str, int], wanted: int) -> int:
        """How many of ``wanted`` nodes, each using ``one``, stay inside all limits."""
        rooms = [max(0, self.left[name]) // amount for name, amount in one.items() if amount > 0 and name in self.left]
        return min([wanted, *rooms])

    def exceeded(self, one: Mapping[str, int]) -> tuple[str, ...]:
        """Resources for which not even one node is allowed."""
        return tuple(sorted(name for name, amount in one.items() if amount > 0 and self.left.get(name, amount) < amount))

    def take(self, one: Mapping[str, int], nodes: int) -> None:
        """Count ``nodes`` more nodes, each using ``one``."""
        for name, amount in one.items():
            if name in self.left:
                self.left[name] -= amount * nodes


def usage(labels: Mapping[str, str], capacity: Resources) -> dict[str, int]:
    """What one node counts against the limits: cores rounded up, bytes of memory, GPUs under the value of its GPU label."""
    amounts = dict(capacity)
    found = {CPU: -(-amounts.get(CPU, 0) // 1000), MEMORY: amounts.get(MEMORY, 0)}
    gpus = next((amounts[name] for name in GPU_RESOURCES if amounts.get(name)), 0)
    if gpus and GPU_LABEL in labels:
        found[labels[GPU_LABEL]] = gpus
    return found
