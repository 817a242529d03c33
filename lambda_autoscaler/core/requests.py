"""What a pod asks of a node: the scheduler's sum over containers (``k8s.io/component-helpers/resource.PodRequests``).

The larger of what runs together (containers and sidecars) and of what each init container needs beside the sidecars started before it;
pod-level requests replace the sum for the resources they name; the runtime class's overhead is added. Limits never count.
"""

from collections.abc import Mapping

from lambda_autoscaler.core.kubernetes import Container, PodSpec, ResourceRequirements
from lambda_autoscaler.core.model import Resources
from lambda_autoscaler.core.units import parse_resource

Amounts = dict[str, int]


def amounts(texts: Mapping[str, str | int] | None) -> Amounts:
    """Quantity texts as integers (millicores, bytes, units). Raises QuantityError."""
    return {name: parse_resource(name, str(text)) for name, text in texts.items()} if texts else {}


def sorted_resources(values: Mapping[str, int]) -> Resources:
    """Amounts as a sorted tuple of pairs without zeros, comparable and hashable."""
    return tuple(sorted((name, amount) for name, amount in values.items() if amount))


def pod_requests(spec: PodSpec) -> Resources:
    """Requests of a pod as the scheduler counts them. Raises QuantityError for a text that is no quantity."""
    running: Amounts = {}
    for container in spec.containers:
        _add(running, _requested(container.resources))
    starting: Amounts = {}
    sidecars: Amounts = {}
    for container in spec.init_containers or ():
        own = _requested(container.resources)
        if _is_sidecar(container):
            _add(running, own)
            _add(sidecars, own)
            _raise_to(starting, sidecars)
        else:
            _add(own, sidecars)
            _raise_to(starting, own)
    _raise_to(running, starting)
    for name, amount in _requested(spec.resources).items():
        if name in ("cpu", "memory") or name.startswith("hugepages-"):
            running[name] = amount
    _add(running, amounts(spec.overhead))
    return sorted_resources(running)


def _is_sidecar(container: Container) -> bool:
    return container.restart_policy == "Always"


def _requested(resources: ResourceRequirements | None) -> Amounts:
    return amounts(resources.requests) if resources else {}


def _add(total: Amounts, more: Amounts) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def _raise_to(total: Amounts, least: Amounts) -> None:
    for name, amount in least.items():
        total[name] = max(total.get(name, 0), amount)
