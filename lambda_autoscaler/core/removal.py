"""Would the pods of a node find a place elsewhere? Removals, simulated one after the other (behaviour specification, section 8.4)."""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence
from operator import attrgetter

from lambda_autoscaler.core.kubernetes import Taint
from lambda_autoscaler.core.model import HOSTNAME_LABEL, TO_BE_DELETED_TAINT, NodeClass, PodSet, PodShape
from lambda_autoscaler.core.needs import Needs, least_amounts
from lambda_autoscaler.core.node_state import NodeFacts, NodeState
from lambda_autoscaler.core.placement import place_anywhere
from lambda_autoscaler.core.simulation import Simulation

Arrivals = list[tuple[str, PodSet]]


def simulate_removal(
    simulation: Simulation, state: NodeState, moved: Sequence[PodSet], destinations: Collection[NodeState]
) -> tuple[Arrivals, str]:
    """One removal on its own, see ``Removals.simulate``; ``destinations`` are the nodes that may take the pods."""
    return Removals(simulation, destinations, [item.shape for item in moved]).simulate(state, moved)


class Removals:
    """Removals one after the other; each takes free capacity away from the next.

    ``destinations`` are the nodes that may take pods, ``shapes`` those of all pods that may have to move. Only open destinations are looked
    at, those with room for the smallest such pod. They are kept in their turns from one removal to the next: nobody else may place pods
    meanwhile. ``looks`` counts the destinations that were looked at: what all of it cost.
    """

    def __init__(self, simulation: Simulation, destinations: Collection[NodeState], shapes: Iterable[PodShape]) -> None:
        self.looks = 0
        self._simulation = simulation
        self._floor = least_amounts([simulation.needs(shape) for shape in shapes])
        self._unused: dict[NodeClass, OrderedDict[NodeState, None]] = {}
        used: list[NodeState] = []
        for node_class, states in simulation.by_class.items():
            closed = node_class.unschedulable
            open_states = [state for state in states if not closed and state in destinations and self._is_open(state)]
            self._unused[node_class] = OrderedDict.fromkeys(state for state in open_states if not state.turn)
            used.extend(state for state in open_states if state.turn)
        self._used = OrderedDict.fromkeys(sorted(used, key=attrgetter("turn")))

    def simulate(self, state: NodeState, moved: Sequence[PodSet]) -> tuple[Arrivals, str]:
        """Take the node away and place its pods on the destinations, higher priorities first.

        Returns where the pods went (node name, pods) and an empty text, and the removal stands; or the first pod without a place, as
        namespace/name, and the simulation is as before. While pods look for a place the node still stands there empty and tainted, since
        the scheduler goes on counting it as a topology domain until it is gone.
        """
        taken: dict[NodeState, None] = {}
        arrivals: Arrivals = []
        with self._simulation.attempt() as attempt:
            self._simulation.remove(state)
            ghost = self._simulation.add(_ghost(state))
            for pod_set in sorted(moved, key=lambda item: -(item.shape.priority or 0)):
                placed = 0
                for other, number in self._place(pod_set, state):
                    arrivals.append((other.place.name, PodSet(pod_set.shape, pod_set.pods[placed : placed + number])))
                    placed += number
                    taken[other] = None
                if placed < len(pod_set.pods):
                    self._put_back(state)
                    return [], f"{pod_set.shape.namespace}/{pod_set.pods[placed].name}"
            self._simulation.remove(ghost)
            attempt.keep()
        for gone in (state, *(other for other in taken if not self._is_open(other))):
            self._close(gone)
        return arrivals, ""

    def _place(self, pod_set: PodSet, leaving: NodeState) -> list[tuple[NodeState, int]]:
        needs = self._simulation.needs(pod_set.shape)
        placed = place_anywhere(self._simulation, needs, len(pod_set.pods), self._in_turn(needs, leaving))
        for state, _ in placed:
            if state not in self._used:
                del self._unused[state.node_class][state]
                self._used[state] = None
            self._used.move_to_end(state)
        return placed

    def _in_turn(self, needs: Needs, leaving: NodeState) -> Iterator[NodeState]:
        """The open nodes as the simulation's turns have it: those never used class by class, then the others."""
        for states in self._unused.values():
            first = next(iter(states), None)
            if first is not None and (needs.per_node or not self._simulation.class_refuses(needs, first)):
                yield from self._asked_for(needs, states, leaving)
        yield from self._asked_for(needs, self._used, leaving)

    def _asked_for(self, needs: Needs, states: Iterable[NodeState], leaving: NodeState) -> Iterator[NodeState]:
        for state in states:
            self.looks += 1
            if state is not leaving and (needs.names is None or state.place.name in needs.names):
                yield state

    def _is_open(self, state: NodeState) -> bool:
        return all(state.free[index] >= amount for index, amount in self._floor)

    def _close(self, state: NodeState) -> None:
        self._used.pop(state, None)
        self._unused[state.node_class].pop(state, None)

    def _put_back(self, state: NodeState) -> None:
        """A node that stays after all is the last of its class, as in the simulation."""
        states = self._unused[state.node_class]
        if state in states:
            states.move_to_end(state)


def _ghost(state: NodeState) -> NodeFacts:
    labels = dict(state.node_class.labels)
    if state.place.hostname is not None:
        labels[HOSTNAME_LABEL] = state.place.hostname
    taint = Taint(key=TO_BE_DELETED_TAINT, effect="NoSchedule")
    return NodeFacts(labels, (*state.node_class.taints, taint), (), (), state.place.name)
