"""How many new nodes of one group a set of waiting pods needs: the peer's binpacking, shape by shape.

Mirrors ``estimator/binpacking_estimator.go`` and its orderer and limiter (behaviour specification, sections 3.3 to 3.5). Equal pods
whose only concern is resources are packed by division; the others one by one. New nodes in the same state are one state with a count.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from lambda_autoscaler.core.model import CPU, HOSTNAME_LABEL, MEMORY, PodShape, Template
from lambda_autoscaler.core.needs import Amounts, Needs, least_amounts
from lambda_autoscaler.core.node_state import NodeFacts, NodeState
from lambda_autoscaler.core.placement import Placed, candidates, place_anywhere, place_one_by_one
from lambda_autoscaler.core.plan import Rule
from lambda_autoscaler.core.simulation import Simulation

NO_LIMIT: Final = 0


class WaitingPods(msgspec.Struct, frozen=True):
    """Equal pods that wait. ``alone`` when each is a group of its own (no controller): it may go to any new node, not only the last."""

    shape: PodShape
    count: int
    alone: bool = False


class Estimate(msgspec.Struct, frozen=True):
    """New nodes that receive pods, and how many pods of each shape they take."""

    nodes: int
    placed: Mapping[PodShape, int]

    @property
    def pods(self) -> int:
        """Number of pods placed."""
        return sum(self.placed.values())


def node_limit(static: int, room_in_groups: int, room_in_cluster: int) -> int:
    """Nodes an estimation may add, from three thresholds: a negative one allows none (-1), 0 is no limit, else the smallest counts."""
    limits = (static, room_in_groups, room_in_cluster)
    if any(limit < 0 for limit in limits):
        return -1
    return min((limit for limit in limits if limit), default=NO_LIMIT)


def order_by_size(groups: Sequence[WaitingPods], allocatable: Mapping[str, int]) -> list[WaitingPods]:
    """Groups by their share of a node, CPU and memory added up, the largest first; equal ones keep their order."""

    def score(group: WaitingPods) -> float:
        requests = dict(group.shape.requests)
        return sum(requests.get(name, 0) / allocatable[name] for name in (CPU, MEMORY) if allocatable.get(name))

    return sorted(groups, key=score, reverse=True)


def template_facts(template: Template, group: str) -> NodeFacts:
    """A new node of the group, as the simulation takes it."""
    labels = {**template.labels, HOSTNAME_LABEL: f"template-node-for-{group}"}
    return NodeFacts(labels, template.taints, template.allocatable, template.pods, unschedulable=template.unschedulable)


def estimate(simulation: Simulation, facts: NodeFacts, groups: Sequence[WaitingPods], limit: int) -> Estimate:
    """Pack the waiting pods onto at most ``limit`` new nodes made from ``facts`` (0: any number). The simulation is left as it was."""
    with simulation.attempt():
        packing = _Packing(simulation, facts, limit)
        packing.floor = least_amounts([simulation.needs(group.shape) for group in groups])
        for group in order_by_size(groups, dict(facts.allocatable)):
            packing.add(group)
        return Estimate(packing.nodes_with_pods(), packing.placed)


class _Packing:
    """The new nodes of one estimation.

    ``last`` is the newest node. It is a state of its own until the next one is added, since the next pod is tried on it first. ``open`` are
    the nodes on which the smallest pod still fits, longest not used first.
    """

    def __init__(self, simulation: Simulation, facts: NodeFacts, limit: int) -> None:
        self.simulation = simulation
        self.facts = facts
        self.placed: dict[PodShape, int] = {}
        self.floor: Amounts = ()
        self._open: dict[NodeState, None] = {}
        self._left = 1 << 60 if limit == NO_LIMIT else max(limit, 0)
        self._more = True
        self._states: dict[NodeState, None] = {}
        self._by_condition: dict[tuple[object, ...], NodeState] = {}
        self._last: NodeState | None = None
        self._old: set[NodeState] = set()

    def nodes_with_pods(self) -> int:
        """New nodes that received a pod, and old ones that did in the search for a better spread."""
        return sum(state.count for state in self._states if state.turn) + len(self._old)

    def add(self, group: WaitingPods) -> None:
        """Place what can be placed of one group."""
        needs = self.simulation.needs(group.shape)
        if needs.plain:
            left = group.count - self._fill(needs, group.count)
            if left and self._more:
                self._grow(needs, left)
        elif group.alone and needs.improves:
            left = group.count
            while left and (placed := self._place_on_old(needs, left) or self._place_on_newest(needs)):
                left -= placed
        else:
            left = group.count - self._place_on_old(needs, group.count)
            while left and self._place_on_newest(needs):
                left -= 1

    # --- plain shapes ---

    def _fill(self, needs: Needs, number: int) -> int:
        return self._record(needs, place_anywhere(self.simulation, needs, number, self._open))

    def _grow(self, needs: Needs, number: int) -> None:
        if self._last_is_empty() or not self._permitted():
            return
        newest = self._new_node()
        room = self.simulation.room(needs, newest)
        if not room:
            return
        wanted = -(-number // room)
        nodes = min(wanted, self._left + 1)
        self._more = nodes == wanted
        if nodes > 1:
            self._left -= nodes - 1
            others = self._add_state(nodes - 1)
            self._put(needs, others, room)
        self._put(needs, newest, min(room, number - (nodes - 1) * room))

    # --- shapes that look at other pods ---

    def _place_on_old(self, needs: Needs, number: int) -> int:
        return self._record(needs, place_one_by_one(self.simulation, needs, number, self._open))

    def _place_on_newest(self, needs: Needs) -> bool:
        """One pod on the newest node, or on one more. Like the peer, older nodes are not tried again."""
        if not self._more:
            return False
        if self._last is not None:
            misfit = self.simulation.misfit(needs, self._last)
            if misfit is None:
                self._put(needs, self._last, 1)
                return True
            if misfit.rule is Rule.SPREAD and any(check.hostname for check in needs.spread) and self._place_elsewhere(needs):
                return True
        if self._last_is_empty() or not self._permitted():
            return False
        newest = self._new_node()
        if self.simulation.misfit(needs, newest) is not None:
            self._open = {newest: None, **self._open}
            return False
        self._put(needs, newest, 1)
        return True

    def _place_elsewhere(self, needs: Needs) -> bool:
        """On any node but the newest, old ones included: a pod spread over hostnames may still fit there."""
        ordered = [state for state in candidates(self.simulation, needs) if state is not self._last]
        return bool(self._record(needs, place_one_by_one(self.simulation, needs, 1, ordered)))

    # --- new nodes ---

    def _last_is_empty(self) -> bool:
        return self._last is not None and not self._last.turn

    def _permitted(self) -> bool:
        self._more = self._more and self._left > 0
        return self._more

    def _new_node(self) -> NodeState:
        """One more node, the newest; the one before joins the nodes that are in the same condition."""
        self._left -= 1
        if self._last is not None:
            self._join(self._last)
        self._last = self._add_state(1)
        return self._last

    def _join(self, state: NodeState) -> None:
        condition = state.condition()
        twin = self._by_condition.get(condition)
        if twin is None or twin is state or twin not in self._states or twin.condition() != condition:
            self._by_condition[condition] = state
            return
        self.simulation.merge(state, twin)
        del self._states[state]
        self._open.pop(state, None)

    def _add_state(self, count: int) -> NodeState:
        state = self.simulation.add(self.facts, count)
        state.pool = self
        self._states[state] = self._open[state] = None
        return state

    def _put(self, needs: Needs, state: NodeState, per_node: int) -> None:
        self.simulation.place(needs, state, per_node)
        self.simulation.take_turn(state)
        self._record(needs, [(state, per_node * state.count)])

    def _record(self, needs: Needs, placed: Placed) -> int:
        number = 0
        for state, count in placed:
            number += count
            if state.pool is self:
                self._states.setdefault(state)
                self._reopen(state)
            else:
                self._old.add(state)
        if number:
            self.placed[needs.shape] = self.placed.get(needs.shape, 0) + number
        return number

    def _reopen(self, state: NodeState) -> None:
        """Put a state that has just received pods behind the others, unless it is full."""
        self._open.pop(state, None)
        if all(state.free[index] >= amount for index, amount in self.floor):
            self._open[state] = None
