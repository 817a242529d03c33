"""Placing pods on whichever node takes them, each node in its turn.

The peer looks for a node from behind the last one that took a pod, so equal pods spread over equal nodes. Where nothing but resources
decides, that walk has a closed form: every node takes the same number, up to its room, and the rest goes to the nodes whose turn it is.
"""

from collections.abc import Callable, Iterable

from lambda_autoscaler.core.needs import Needs
from lambda_autoscaler.core.simulation import NodeState, Simulation

Placed = list[tuple[NodeState, int]]


def candidates(simulation: Simulation, needs: Needs) -> list[NodeState]:
    """Uncordoned nodes whose class and free resources could take one pod, longest not used first."""
    found: list[NodeState] = []
    (_, pods), *others = needs.amounts
    first, second = (others + [(0, pods)] * 2)[:2]
    for node_class, states in simulation.by_class.items():
        if node_class.unschedulable or not states:
            continue
        if not needs.per_node and simulation.class_refuses(needs, states[0]):
            continue
        (one, least), (two, little) = first, second
        found.extend(state for state in states if state.free[one] >= least and state.free[two] >= little)
    if needs.names is not None:
        found = [state for state in found if state.place.name in needs.names]
    found.sort(key=lambda state: state.turn)
    return found


def place_anywhere(simulation: Simulation, needs: Needs, number: int, states: Iterable[NodeState] | None = None) -> Placed:
    """Place up to ``number`` pods on the given node states (all, when none are given); where they went, pods per state in total."""
    ordered = candidates(simulation, needs) if states is None else sorted(states, key=lambda state: state.turn)
    if needs.plain:
        return _place_evenly(simulation, needs, number, ordered)
    return place_one_by_one(simulation, needs, number, ordered)


def _place_evenly(simulation: Simulation, needs: Needs, number: int, ordered: list[NodeState]) -> Placed:
    rooms = [(state, room) for state in ordered if (room := simulation.room(needs, state))]
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


def place_one_by_one(
    simulation: Simulation, needs: Needs, number: int, ordered: list[NodeState], accept: Callable[[NodeState], bool] | None = None
) -> Placed:
    """Place pods singly where one pod changes what the next may do; stops at the first that finds no node."""
    queue = [state for state in ordered if accept is None or accept(state)]
    placed: Placed = []
    for _ in range(number):
        position = next((at for at, state in enumerate(queue) if simulation.misfit(needs, state) is None), None)
        if position is None:
            break
        state = queue[position]
        chosen = simulation.split(state, 1)
        if chosen is state:
            del queue[position]
        queue.append(chosen)
        simulation.place(needs, chosen)
        simulation.take_turn(chosen)
        placed.append((chosen, 1))
    return placed
