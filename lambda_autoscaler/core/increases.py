"""Increases of node groups: joined when one group grows twice in a scan, and remembered as requests."""

from collections.abc import Iterable

import msgspec

from lambda_autoscaler.core.memory import Memory, ScaleUpRequest
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.plan import Increase


def joined(increases: Iterable[Increase]) -> tuple[Increase, ...]:
    """One increase per group, in order of first appearance: from where its first one starts to where its last one ends."""
    found: dict[str, Increase] = {}
    for item in increases:
        before = found.get(item.group)
        found[item.group] = item if before is None else msgspec.structs.replace(before, target=item.target)
    return tuple(found.values())


def with_requests(memory: Memory, increases: Iterable[Increase], options: Options, now: float) -> Memory:
    """Memory after the increases: each group's request grows, and its time starts anew (section 7.6)."""
    requests, sizes, grown = dict(memory.requests), dict(memory.size_set), dict(memory.group_scale_up)
    last = memory.last_scale_up
    for item in increases:
        before = requests[item.group].increase if item.group in requests else 0
        requests[item.group] = ScaleUpRequest(before + item.target - item.current, now, now + options.max_node_provision_time)
        sizes[item.group] = grown[item.group] = now
        last = now
    return msgspec.structs.replace(memory, requests=requests, size_set=sizes, group_scale_up=grown, last_scale_up=last)
