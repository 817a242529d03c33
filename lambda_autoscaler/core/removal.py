"""Would the pods of a node find a place elsewhere? One removal, simulated (behaviour specification, section 8.4)."""

from collections.abc import Collection, Sequence

from lambda_autoscaler.core.kubernetes import Taint
from lambda_autoscaler.core.model import HOSTNAME_LABEL, TO_BE_DELETED_TAINT, PodSet
from lambda_autoscaler.core.node_state import NodeFacts, NodeState
from lambda_autoscaler.core.placement import candidates, place_anywhere
from lambda_autoscaler.core.simulation import Simulation

Arrivals = list[tuple[str, PodSet]]


def simulate_removal(
    simulation: Simulation, state: NodeState, moved: Sequence[PodSet], destinations: Collection[NodeState]
) -> tuple[Arrivals, str]:
    """Take the node away and place its pods on the destinations, higher priorities first.

    Returns where the pods went (node name, pods) and an empty text, and the removal stands; or the first pod without a place, as
    namespace/name, and the simulation is as before. While pods look for a place the node still stands there empty and tainted, since the
    scheduler goes on counting it as a topology domain until it is gone.
    """
    arrivals: Arrivals = []
    with simulation.attempt() as attempt:
        simulation.remove(state)
        ghost = simulation.add(_ghost(state))
        for pod_set in sorted(moved, key=lambda item: -(item.shape.priority or 0)):
            needs = simulation.needs(pod_set.shape)
            open_nodes = [other for other in candidates(simulation, needs) if other in destinations and other is not state]
            placed = 0
            for other, number in place_anywhere(simulation, needs, len(pod_set.pods), open_nodes):
                arrivals.append((other.place.name, PodSet(pod_set.shape, pod_set.pods[placed : placed + number])))
                placed += number
            if placed < len(pod_set.pods):
                return [], f"{pod_set.shape.namespace}/{pod_set.pods[placed].name}"
        simulation.remove(ghost)
        attempt.keep()
    return arrivals, ""


def _ghost(state: NodeState) -> NodeFacts:
    labels = dict(state.node_class.labels)
    if state.place.hostname is not None:
        labels[HOSTNAME_LABEL] = state.place.hostname
    taint = Taint(key=TO_BE_DELETED_TAINT, effect="NoSchedule")
    return NodeFacts(labels, (*state.node_class.taints, taint), (), (), state.place.name)
