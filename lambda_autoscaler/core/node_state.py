"""Nodes as a simulation holds them: what it is told of a node, and nodes in the same state with their number."""

from collections.abc import Mapping

import msgspec

from lambda_autoscaler.core.fit import Place
from lambda_autoscaler.core.kubernetes import Taint
from lambda_autoscaler.core.model import HostPort, PodShape, Resources
from lambda_autoscaler.core.topology import Tally


class NodeFacts(msgspec.Struct, frozen=True):
    """A node to simulate with: labels (with the hostname, if it has one), taints, allocatable amounts and what is on it."""

    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    allocatable: Resources
    pods: tuple[tuple[PodShape, int], ...] = ()
    name: str = ""
    unschedulable: bool = False
    attach_limits: Mapping[str, int] = {}


class NodeState:
    """``count`` nodes in the same state.

    ``free`` is per resource index, ``load`` pods per shape, ``levels`` pods per hostname tally. ``pool`` marks nodes that belong together,
    such as the new ones of an estimation.
    """

    __slots__ = ("count", "free", "levels", "load", "node_class", "place", "pool", "ports", "turn")

    def __init__(self, place: Place, free: list[int], count: int) -> None:
        self.place = place
        self.node_class = place.node_class
        self.free = free
        self.count = count
        self.load: dict[PodShape, int] = {}
        self.levels: dict[Tally, int] = {}
        self.ports: tuple[HostPort, ...] = ()
        self.turn = 0
        self.pool: object = None

    def condition(self) -> tuple[object, ...]:
        """What two states must share to be one."""
        return (self.place, tuple(self.free), frozenset(self.load.items()), self.ports)
