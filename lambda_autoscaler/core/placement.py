"""Placing pods on whichever node takes them, each node in its turn.

The peer looks for a node from behind the last one that took a pod, so equal pods spread over equal nodes. Where nothing but resources
decides, that walk has a closed form: every node takes the same number, up to its room, and the rest goes to the nodes whose turn it is.
"""

from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Final

from lambda_autoscaler.core.model import HOSTNAME_LABEL, NodeClass, PodShape
from lambda_autoscaler.core.needs import Needs
from lambda_autoscaler.core.node_state import NodeState
from lambda_autoscaler.core.plan import Rule
from lambda_autoscaler.core.simulation import Simulation
from lambda_autoscaler.core.topology import Tally

# Refusals that all nodes of a class share, unless they speak of the hostname.
_DOMAIN_RULES: Final = frozenset({Rule.SPREAD, Rule.SPREAD_LABEL, Rule.ANTI_AFFINITY, Rule.EXISTING_ANTI_AFFINITY})
_TURN: Final = attrgetter("turn")
Placed = list[tuple[NodeState, int]]


def candidates(simulation: Simulation, needs: Needs) -> list[NodeState]:
    """Uncordoned nodes whose class and free resources could take one pod, longest not used first."""
    found: list[NodeState] = []
    for node_class, states in simulation.by_class.items():
        if node_class.unschedulable or not states:
            continue
        if needs.per_node or not simulation.class_refuses(needs, states[0]):
            found.extend(roomy(needs, states))
    if needs.names is not None:
        found = [state for state in found if state.place.name in needs.names]
    found.sort(key=_TURN)
    return found


def roomy(needs: Needs, states: Iterable[NodeState]) -> Iterator[NodeState]:
    """States that a first look does not rule out: enough of the first two resources asked for, and no pod that must not share the node."""
    (_, pods), *others = needs.amounts
    (one, least), (two, little) = (others + [(0, pods)] * 2)[:2]
    found: Iterator[NodeState] = (state for state in states if state.free[one] >= least and state.free[two] >= little)
    for tally in needs.keep_off:
        found = _without(found, tally)
    return found


def _without(states: Iterator[NodeState], tally: Tally) -> Iterator[NodeState]:
    return (state for state in states if not state.levels.get(tally))


def _for_one(needs: Needs, states: Iterable[NodeState]) -> Iterator[NodeState]:
    """The same for a single pod, before which nothing changes: none whose port its like holds or with more of it than a spread takes."""
    found = roomy(needs, states)
    if needs.ports:
        found = _without_shape(found, needs.shape)
    for check in needs.spread:
        if check.hostname:
            found = _below(found, check.tally, check.max_skew - check.own + check.tally.minimum(check.min_domains))
    return found


def _without_shape(states: Iterator[NodeState], shape: PodShape) -> Iterator[NodeState]:
    return (state for state in states if shape not in state.load)


def _below(states: Iterator[NodeState], tally: Tally, most: int) -> Iterator[NodeState]:
    return (state for state in states if state.levels.get(tally, 0) <= most)


def place_anywhere(simulation: Simulation, needs: Needs, number: int, states: Iterable[NodeState] | None = None) -> Placed:
    """Place up to ``number`` pods on the given node states, in their order; where they went, pods per state in total.

    Without states it is all nodes, longest not used first.
    """
    ordered = candidates(simulation, needs) if states is None else roomy(needs, states)
    if needs.plain:
        return _place_evenly(simulation, needs, number, ordered)
    return place_one_by_one(simulation, needs, number, ordered)


def _place_evenly(simulation: Simulation, needs: Needs, number: int, ordered: Iterable[NodeState]) -> Placed:
    rooms = _rooms(simulation, needs, number, ordered)
    level = _common_level(rooms, number)
    placed: Placed = []
    left = number
    for state, room in rooms:
        share = min(room, level)
        left -= share * state.count
        if share:
            simulation.place(needs, state, share)
            simulation.take_turn(state)
            placed.append((state, share * state.count))
    for state, room in rooms:
        if left <= 0:
            break
        if room > level:
            part = simulation.split(state, min(state.count, left))
            simulation.place(needs, part)
            simulation.take_turn(part)
            placed.append((part, part.count))
            left -= part.count
    return placed


def _rooms(simulation: Simulation, needs: Needs, number: int, ordered: Iterable[NodeState]) -> list[tuple[NodeState, int]]:
    """States with the pods that each of their nodes can take; no more of them than can get a pod."""
    rooms: list[tuple[NodeState, int]] = []
    nodes = 0
    for state in ordered:
        room = simulation.room(needs, state)
        if room:
            rooms.append((state, room))
            nodes += state.count
            if nodes >= number:
                break
    return rooms


def _common_level(rooms: list[tuple[NodeState, int]], number: int) -> int:
    """The largest number of pods that every node with room for it can take without exceeding ``number`` in total."""
    left, level, nodes = number, 0, sum(state.count for state, _ in rooms)
    for room in sorted({room for _, room in rooms}):
        step = min(room - level, left // nodes if nodes else 0)
        level += step
        left -= step * nodes
        if level < room:
            break
        nodes -= sum(state.count for state, limit in rooms if limit == room)
    return level


def place_one_by_one(simulation: Simulation, needs: Needs, number: int, ordered: Iterable[NodeState]) -> Placed:
    """Place pods singly where one pod changes what the next may do; stops at the first that finds no node."""
    if number == 1:
        found = _first_fitting(simulation, needs, _for_one(needs, ordered))
        return [_place_one(simulation, needs, found[1])] if found else []
    queue = list(roomy(needs, ordered))
    placed: Placed = []
    while len(placed) < number and (found := _first_fitting(simulation, needs, queue)):
        position, state = found
        chosen, _ = _place_one(simulation, needs, state)
        if chosen is state:
            del queue[position]
        if not needs.improves:
            del queue[:position]
        queue.append(chosen)
        placed.append((chosen, 1))
    return placed


def _place_one(simulation: Simulation, needs: Needs, state: NodeState) -> tuple[NodeState, int]:
    chosen = simulation.split(state, 1)
    simulation.place(needs, chosen)
    simulation.take_turn(chosen)
    return chosen, 1


def _first_fitting(simulation: Simulation, needs: Needs, queue: Iterable[NodeState]) -> tuple[int, NodeState] | None:
    refused: set[NodeClass] = set()
    for position, state in enumerate(queue):
        if state.node_class in refused:
            continue
        misfit = simulation.misfit(needs, state)
        if misfit is None:
            return position, state
        if misfit.rule in _DOMAIN_RULES and misfit.object != HOSTNAME_LABEL:
            refused.add(state.node_class)
    return None
