"""Texts of the Cluster Autoscaler's flags into values: Go's booleans and durations, ranges, lists, and the compound ones.

A flag that upstream takes several times is one text here, its values separated by ``;``. Every parser raises ValueError with a message that
shows the right form.
"""

from collections.abc import Callable
from typing import Any, Final

from lambda_autoscaler.core.expand import EXPANDER_NAMES, RANDOM
from lambda_autoscaler.core.options import DrainPriority, GpuTotal, GroupSpec, Range, TagFilter
from lambda_autoscaler.core.units import parse_duration

SHORTEST_INTERVAL: Final = 5.0
_TRUE: Final = ("1", "t", "T", "TRUE", "true", "True")
_FALSE: Final = ("0", "f", "F", "FALSE", "false", "False")


def boolean(text: str) -> bool:
    """A Go boolean."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def integer(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number") from None


def count(text: str) -> int:
    """A whole number that is not negative."""
    number = integer(text)
    if number < 0:
        raise ValueError(f"{text!r} is negative")
    return number


def duration(text: str) -> float:
    """A Go duration in seconds, not negative."""
    seconds = parse_duration(text)
    if seconds < 0:
        raise ValueError(f"{text!r} is negative")
    return float(seconds)


def interval(text: str) -> float:
    """A Go duration in seconds, not shorter than scans can follow each other."""
    seconds = duration(text)
    if seconds < SHORTEST_INTERVAL:
        raise ValueError(f"{text!r} is shorter than {SHORTEST_INTERVAL:g}s")
    return seconds


def ratio(text: str) -> float:
    """A number from 0 to 1."""
    return _number(text, 1.0)


def percentage(text: str) -> float:
    """A number from 0 to 100."""
    return _number(text, 100.0)


def _number(text: str, most: float) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
    if not 0 <= number <= most:
        raise ValueError(f"{text!r} is not between 0 and {most:g}")
    return number


def text(value: str) -> str:
    """Any text that is not empty."""
    if not value:
        raise ValueError("it is empty")
    return value


def repeated(value: str) -> tuple[str, ...]:
    """Values of a flag that may be given several times."""
    return tuple(part.strip() for part in value.split(";") if part.strip())


def comma_list(value: str) -> tuple[str, ...]:
    """Values of a flag that upstream also splits at commas."""
    return repeated(value.replace(",", ";"))


def expanders(value: str) -> tuple[str, ...]:
    """A chain of expanders."""
    names = comma_list(value)
    for name in names:
        if name == "grpc":
            raise ValueError("the grpc expander is not supported: it needs a server of yours")
        if name not in EXPANDER_NAMES:
            raise ValueError(f"{name!r} is no expander (there are: {', '.join(sorted(EXPANDER_NAMES))})")
    if len(set(names)) != len(names) or not names:
        raise ValueError(f"{value!r} must name each expander once")
    if RANDOM in names[:-1]:
        raise ValueError(f"nothing can follow random in {value!r}: it leaves one group")
    return names


def range_of(value: str) -> Range:
    """``min:max``."""
    parts = value.split(":")
    if len(parts) != 2:
        raise ValueError(f"{value!r} is not min:max (example: 0:1000)")
    return Range(*_bounds(parts[0], parts[1], value))


def _bounds(low: str, high: str, value: str) -> tuple[int, int]:
    if not (low.isdigit() and high.isdigit()):
        raise ValueError(f"minimum and maximum of {value!r} must be whole numbers, not negative")
    if int(high) < int(low):
        raise ValueError(f"in {value!r} the maximum is below the minimum")
    return int(low), int(high)


def group_specs(value: str) -> tuple[GroupSpec, ...]:
    """``min:max:asg-name``, several separated by ``;``."""
    return tuple(_group_spec(part) for part in repeated(value))


def _group_spec(value: str) -> GroupSpec:
    low, high, name = (*value.split(":", 2), "", "")[:3]
    if not name:
        raise ValueError(f"{value!r} is not min:max:name-of-the-auto-scaling-group (example: 1:10:workers)")
    return GroupSpec(*_bounds(low, high, value), name)


def gpu_totals(value: str) -> tuple[GpuTotal, ...]:
    """``type:min:max``, several separated by ``;``."""
    found = []
    for part in repeated(value):
        gpu_type, low, high = (*part.split(":", 2), "", "")[:3]
        if not gpu_type or not high:
            raise ValueError(f"{part!r} is not type:min:max (example: nvidia-tesla-t4:0:16)")
        found.append(GpuTotal(gpu_type, *_bounds(low, high, part)))
    return tuple(found)


def drain_priorities(value: str) -> tuple[DrainPriority, ...]:
    """``priority:seconds``, several separated by commas, ordered by priority."""
    found = {}
    for part in comma_list(value):
        priority, _, seconds = part.partition(":")
        if not seconds.isdigit() or not priority.lstrip("-").isdigit():
            raise ValueError(f"{part!r} is not priority:seconds (example: 1000:60)")
        if int(priority) in found:
            raise ValueError(f"priority {priority} is given twice")
        found[int(priority)] = int(seconds)
    return tuple(DrainPriority(priority, seconds) for priority, seconds in sorted(found.items()))


def discovery_tags(value: str) -> tuple[TagFilter, ...]:
    """``asg:tag=key[=value],key[=value]``; the tags of several specifications are one set, all of them demanded, as upstream does."""
    found: dict[str, str] = {}
    for part in repeated(value):
        kind, _, tags = part.partition(":tag=")
        if kind != "asg" or not tags:
            raise ValueError(f"{part!r} is not asg:tag=key[=value][,key[=value]...]")
        for tag in tags.split(","):
            key, _, wanted = tag.strip().partition("=")
            if not key:
                raise ValueError(f"{part!r} has a tag without a key")
            found[key] = wanted
    return tuple(TagFilter(key, wanted) for key, wanted in found.items())


_BY_TYPE: Final[dict[object, Callable[[str], Any]]] = {bool: boolean, int: count, float: duration, str: text, Range: range_of}
_BY_NAME: Final[dict[str, Callable[[str], Any]]] = {
    "nodes": group_specs,
    "node_group_auto_discovery": discovery_tags,
    "gpu_total": gpu_totals,
    "drain_priority_config": drain_priorities,
    "expander": expanders,
    "scan_interval": interval,
    "bypassed_scheduler_names": comma_list,
    "allowed_scheduler_names": comma_list,
    "expendable_pods_priority_cutoff": integer,
    "random_seed": integer,
    "max_total_unready_percentage": percentage,
    "memory_difference_ratio": ratio,
    "max_free_difference_ratio": ratio,
    "max_allocatable_difference_ratio": ratio,
    "scale_down_utilization_threshold": ratio,
    "scale_down_gpu_utilization_threshold": ratio,
    "consolidation_saving_threshold": ratio,
    "rebalance_drain_share": ratio,
}


def parser_of(field: str, kind: object) -> Callable[[str], Any]:
    """Parser of an option: by its name, else by its type. Floats without a parser of their own are durations, tuples are lists."""
    return _BY_NAME.get(field) or _BY_TYPE.get(kind, repeated)
