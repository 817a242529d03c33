"""Similar node groups, and splitting an increase between them (behaviour specification, section 6)."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from lambda_autoscaler.core.model import CPU, MEMORY, PODS, Template
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.plan import Increase

IGNORED_LABELS: Final = frozenset(
    {
        "kubernetes.io/hostname",
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
        "topology.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "beta.kubernetes.io/fluentd-ds-ready",
        "kops.k8s.io/instancegroup",
        "alpha.eksctl.io/instance-id",
        "alpha.eksctl.io/nodegroup-name",
        "eks.amazonaws.com/nodegroup",
        "k8s.amazonaws.com/eniConfig",
        "lifecycle",
        "topology.ebs.csi.aws.com/zone",
        "topology.k8s.aws/zone-id",
    }
)


def are_similar(one: Template, other: Template, options: Options) -> bool:
    """Whether nodes of two groups can stand in for each other. Taints are not compared, instance types are (as a label)."""
    if options.balancing_label:
        return all(key in one.labels and one.labels.get(key) == other.labels.get(key) for key in options.balancing_label)
    return (
        _same_capacity(dict(one.capacity), dict(other.capacity), options)
        and _close(dict(one.allocatable), dict(other.allocatable), options.max_allocatable_difference_ratio)
        and _close(_free(one), _free(other), options.max_free_difference_ratio)
        and _compared_labels(one, options) == _compared_labels(other, options)
    )


def _same_capacity(one: Mapping[str, int], other: Mapping[str, int], options: Options) -> bool:
    if one.keys() != other.keys():
        return False
    ratios = {name: options.memory_difference_ratio if name == MEMORY else 0.0 for name in one}
    return all(_within(one[name], other[name], ratio) for name, ratio in ratios.items())


def _close(one: Mapping[str, int], other: Mapping[str, int], ratio: float) -> bool:
    return one.keys() == other.keys() and all(_within(one[name], other[name], ratio) for name in one)


def _within(one: int, other: int, ratio: float) -> bool:
    larger, smaller = max(one, other), min(one, other)
    return larger - smaller <= larger * ratio


def _free(template: Template) -> dict[str, int]:
    requested: dict[str, int] = {PODS: 0}
    for shape, count in template.pods:
        requested[PODS] += count
        for name, amount in shape.requests:
            requested[name] = requested.get(name, 0) + amount * count
    compared = {CPU, MEMORY, PODS, "ephemeral-storage", *requested}
    return {name: amount - requested.get(name, 0) for name, amount in template.allocatable if name in compared}


def _compared_labels(template: Template, options: Options) -> dict[str, str]:
    ignored = IGNORED_LABELS.union(options.balancing_ignore_label)
    return {key: value for key, value in template.labels.items() if key not in ignored}


def balance(groups: Sequence[Increase], nodes: int) -> list[Increase]:
    """Split ``nodes`` between groups (``target`` equal to ``current``), always to the smallest that is not full; main group first.

    What exceeds their room is cut off. Only groups that grow are returned.
    """
    open_groups = [group for group in groups if group.current != group.maximum]
    left = min(nodes, sum(max(0, group.maximum - group.current) for group in open_groups))
    sizes = [group.current for group in sorted(open_groups, key=lambda group: group.current)]
    ordered = sorted(open_groups, key=lambda group: group.current)
    while left > 0:
        growing = [at for at, group in enumerate(ordered) if sizes[at] < group.maximum]
        level = min(sizes[at] for at in growing)
        lowest = [at for at in growing if sizes[at] == level]
        ceilings = [ordered[at].maximum for at in lowest] + [sizes[at] for at in growing if sizes[at] > level]
        step = min(left // len(lowest), min(ceilings) - level)
        chosen = lowest if step else lowest[:left]
        for at in chosen:
            sizes[at] += max(step, 1)
        left -= len(chosen) * max(step, 1)
    return [msgspec.structs.replace(group, target=size) for group, size in zip(ordered, sizes, strict=True) if size != group.current]
