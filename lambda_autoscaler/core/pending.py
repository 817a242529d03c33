"""Which waiting pods may ask for nodes (behaviour specification, section 2.2 to 2.4, and step 22 of section 1.2)."""

from collections.abc import Iterable, Mapping, Sequence
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


def is_expendable(shape: PodShape, options: Options) -> bool:
    """Whether pods of this shape are worth no node: their priority is below the cutoff. They do not count where they run either."""
    return shape.priority is not None and shape.priority < options.expendable_pods_priority_cutoff


class FreeCapacity(msgspec.Struct, frozen=True):
    """Waiting pods after the look at free capacity: those that have a place, those that have none, and the places by node name."""

    placed: tuple[PodSet, ...]
    left: tuple[PodSet, ...]
    by_node: Mapping[str, tuple[PodSet, ...]]


def place_on_free_capacity(simulation: Simulation, waiting: Sequence[PodSet]) -> FreeCapacity:
    """Place what fits on nodes that exist or are coming, higher priorities first. Placements stay."""
    placed: list[PodSet] = []
    left: list[PodSet] = []
    by_node: dict[str, tuple[PodSet, ...]] = {}
    for pod_set in sorted(waiting, key=lambda item: -(item.shape.priority or 0)):
        fitting = 0
        for state, number in place_anywhere(simulation, simulation.needs(pod_set.shape), len(pod_set.pods)):
            part = PodSet(pod_set.shape, pod_set.pods[fitting : fitting + number])
            by_node[state.place.name] = (*by_node.get(state.place.name, ()), part)
            fitting += number
        placed.extend(_part(pod_set, pod_set.pods[:fitting]))
        left.extend(_part(pod_set, pod_set.pods[fitting:]))
    return FreeCapacity(tuple(placed), tuple(left), by_node)


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
