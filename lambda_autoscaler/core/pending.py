"""Which waiting pods may ask for nodes (behaviour specification, section 2.2 to 2.4, and step 22 of section 1.2)."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Final

import msgspec

from lambda_autoscaler.core.model import GPU_RESOURCES, PodRef, PodSet, PodShape
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.placement import place_anywhere
from lambda_autoscaler.core.simulation import Simulation
from lambda_autoscaler.core.units import DurationError, parse_duration

DELAY_ANNOTATION: Final = "cluster-autoscaler.kubernetes.io/pod-scale-up-delay"
NEW_POD_GRACE: Final = 2.0
NEW_GPU_POD_GRACE: Final = 30.0
TURNS: Final = 8


def is_expendable(shape: PodShape, options: Options) -> bool:
    """Whether pods of this shape are worth no node: their priority is below the cutoff. They do not count where they run either."""
    return shape.priority is not None and shape.priority < options.expendable_pods_priority_cutoff


class FreeCapacity(msgspec.Struct, frozen=True):
    """Waiting pods after the look at free capacity: those that have a place, those that have none, and the places by node name."""

    placed: tuple[PodSet, ...]
    left: tuple[PodSet, ...]
    by_node: Mapping[str, tuple[PodSet, ...]]


def place_on_free_capacity(simulation: Simulation, waiting: Sequence[PodSet], first: Set[PodShape] = frozenset()) -> FreeCapacity:
    """Place what fits on nodes that exist or are coming, higher priorities first, then shapes that are to be ``first``. Placements stay.

    The peer takes pods of equal priority in random order. Shapes of equal priority take turns here, each in proportion to its pods: what
    fits then is what fits most often there.
    """
    fitting = {item.shape: 0 for item in waiting}
    pods = {item.shape: item.pods for item in waiting}
    by_node: dict[str, tuple[PodSet, ...]] = {}
    refused: set[PodShape] = set()
    for shape, portion in _in_turn(waiting, first):
        if shape in refused:
            continue
        before = fitting[shape]
        for state, number in place_anywhere(simulation, simulation.needs(shape), portion):
            done = fitting[shape]
            part = PodSet(shape, pods[shape][done : done + number])
            by_node[state.place.name] = (*by_node.get(state.place.name, ()), part)
            fitting[shape] = done + number
        if fitting[shape] - before < portion:
            refused.add(shape)
    placed = [part for item in waiting for part in _part(item, item.pods[: fitting[item.shape]])]
    left = [part for item in waiting for part in _part(item, item.pods[fitting[item.shape] :])]
    return FreeCapacity(tuple(placed), tuple(left), by_node)


def _in_turn(waiting: Sequence[PodSet], first: Set[PodShape]) -> list[tuple[PodShape, int]]:
    """Shapes in portions of their pods, the highest priority first, those of equal rank by turns; a shape on its own has one turn."""
    ranks = {item.shape: (-(item.shape.priority or 0), item.shape not in first) for item in waiting}
    rivals = Counter(ranks.values())
    portions: list[tuple[tuple[int, bool], float, PodShape, int]] = []
    for item in waiting:
        rank, total = ranks[item.shape], len(item.pods)
        turns = min(total, TURNS) if rivals[rank] > 1 else 1
        for turn in range(turns):
            number = total * (turn + 1) // turns - total * turn // turns
            portions.append((rank, (turn + 0.5) / turns, item.shape, number))
    portions.sort(key=lambda portion: portion[:2])
    return [(shape, number) for _, _, shape, number in portions]


def _part(pod_set: PodSet, pods: tuple[PodRef, ...]) -> list[PodSet]:
    return [PodSet(pod_set.shape, pods)] if pods else []


def old_enough(waiting: Iterable[PodSet], options: Options, now: float) -> tuple[list[PodSet], list[str]]:
    """Pods that waited longer than their scale-up delay, and a sentence for each shape whose delay annotation is not used."""
    kept: list[PodSet] = []
    faults: list[str] = []
    for pod_set in waiting:
        delay, fault = _delay(pod_set, options)
        kept.extend(_part(pod_set, tuple(pod for pod in pod_set.pods if now - pod.created > delay)))
        if fault:
            faults.append(fault)
    return kept, faults


def _delay(pod_set: PodSet, options: Options) -> tuple[float, str]:
    text = pod_set.shape.annotation(DELAY_ANNOTATION)
    flag = options.new_pod_scale_up_delay
    if text is None:
        return flag, ""
    name = f"{pod_set.shape.namespace}/{pod_set.pods[0].name}"
    try:
        delay = parse_duration(text)
    except DurationError as fault:
        return flag, f"pod {name}: annotation {DELAY_ANNOTATION} is not used: {fault}"
    if delay < flag:
        return flag, f"pod {name}: annotation {DELAY_ANNOTATION} ({text}) is shorter than new-pod-scale-up-delay and is not used"
    return delay, ""


def are_all_new(waiting: Iterable[PodSet], now: float) -> bool:
    """Whether the pods are so new that the scheduler may still be placing them: then neither direction is decided."""
    created = [(pod.created, _wants_gpu(pod_set.shape)) for pod_set in waiting for pod in pod_set.pods]
    gpu = [at for at, wants in created if wants]
    if gpu and min(gpu) + NEW_GPU_POD_GRACE > now:
        return True
    return min(at for at, _ in created) + NEW_POD_GRACE > now


def _wants_gpu(shape: PodShape) -> bool:
    return any(shape.request(name) > 0 for name in GPU_RESOURCES)
