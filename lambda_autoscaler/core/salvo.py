"""Scale-up in one round, or in several until nothing is left to help (``--salvo-scale-up``; behaviour specification, section 13).

Several rounds are also made where pods of doomed nodes wait: another scan may come when half of their notice is over.
Before the next round the new nodes join the simulation with the pods they were added for. When those pods do not all fit, because a limit
cut the increase, the rounds end. Every round helps at least one pod, so that they end by themselves.
"""

from collections.abc import Sequence

import msgspec

from lambda_autoscaler.core.estimate import template_facts
from lambda_autoscaler.core.model import NodeGroup, PodSet
from lambda_autoscaler.core.placement import place_anywhere
from lambda_autoscaler.core.plan import Increase
from lambda_autoscaler.core.scale_up import ScaleUpDecision, ScaleUpInput, scale_up
from lambda_autoscaler.core.simulation import Simulation


class Round(msgspec.Struct, frozen=True):
    """One scale-up decision and the pods it was made for."""

    waiting: tuple[PodSet, ...]
    decision: ScaleUpDecision


def rounds(simulation: Simulation, given: ScaleUpInput, *, several: bool) -> list[Round]:
    """The rounds of a scan, one or ``several``. Nodes and pods of all but the last stay in the simulation."""
    found: list[Round] = []
    while True:
        decision = scale_up(simulation, given)
        found.append(Round(given.waiting, decision))
        if not (several and decision.increases):
            return found
        left = left_over(given.waiting, decision)
        if not left or not _settle(simulation, decision, given):
            return found
        given = msgspec.structs.replace(given, waiting=left, groups=_grown(given, decision.increases))


def left_over(waiting: Sequence[PodSet], decision: ScaleUpDecision) -> tuple[PodSet, ...]:
    """The pods that the decision's option does not take."""
    taken = decision.chosen.placed if decision.chosen is not None and decision.increases else {}
    rest = (PodSet(item.shape, item.pods[taken.get(item.shape, 0) :]) for item in waiting)
    return tuple(item for item in rest if item.pods)


def _settle(simulation: Simulation, decision: ScaleUpDecision, given: ScaleUpInput) -> bool:
    """Add the new nodes and their pods to the simulation; says whether all of these pods fit."""
    assert decision.chosen is not None
    states = [
        simulation.add(template_facts(given.templates[item.group], item.group), item.target - item.current) for item in decision.increases
    ]
    for shape, count in decision.chosen.placed.items():
        placed = place_anywhere(simulation, simulation.needs(shape), count, states)
        if sum(number for _, number in placed) < count:
            return False
        states.extend(state for state, _ in placed if state not in states)
    return True


def _grown(given: ScaleUpInput, increases: Sequence[Increase]) -> tuple[NodeGroup, ...]:
    targets = {item.group: item.target for item in increases}
    return tuple(msgspec.structs.replace(group, desired=targets.get(group.id, group.desired)) for group in given.groups)
