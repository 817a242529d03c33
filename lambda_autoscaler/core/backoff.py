"""Leaving a group alone after a failure: 5 minutes, doubling to 30, forgotten after 3 hours (behaviour specification, section 7.9)."""

import msgspec

from lambda_autoscaler.core.memory import Backoff, Memory
from lambda_autoscaler.core.options import Options


def is_backed_off(memory: Memory, group: str, now: float) -> bool:
    """Whether the group is being left alone at ``now``."""
    record = memory.backoffs.get(group)
    return record is not None and record.until >= now


def with_failure(memory: Memory, group: str, options: Options, now: float, cause: tuple[str, str]) -> Memory:
    """Memory after a failure of the group; ``cause`` is (code, message). A failure inside a running backoff restarts it, undoubled."""
    record = memory.backoffs.get(group)
    duration = options.initial_node_group_backoff_duration
    if record is not None:
        duration = record.duration
        if record.until < now:
            duration = min(duration * 2, options.max_node_group_backoff_duration)
    code, message = cause
    entry = Backoff(duration=duration, until=now + duration, last_failure=now, code=code, message=message)
    return msgspec.structs.replace(memory, backoffs={**memory.backoffs, group: entry})


def without_stale(memory: Memory, options: Options, now: float) -> Memory:
    """Memory without records whose last failure is longer ago than the reset timeout."""
    limit = options.node_group_backoff_reset_timeout
    fresh = {group: record for group, record in memory.backoffs.items() if record.last_failure + limit >= now}
    return memory if len(fresh) == len(memory.backoffs) else msgspec.structs.replace(memory, backoffs=fresh)
