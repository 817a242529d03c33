"""From a requirement to a list of instance types to pin in a program.

Pure, and without Pulumi: the command asks it where no component is. A managed node group takes at most 20 types, and more match nearly
every requirement, so that a choice must be made and must stay the same: types are ranked, general families without extras first and the
newest generation first, and the list is cut. It is meant to be pasted into the program. A list that is resolved anew on every deployment
would replace production groups when AWS adds a type.
"""

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from eks_autoscaling.catalogue import ARCHITECTURES, TYPES_PER_GROUP, Accelerators, InstanceType, dated, instance_types

_FAMILY = re.compile(r"(?P<series>[a-z]+?)(?P<generation>\d+)(?P<extras>[a-z]*)(?P<flex>-flex)?")
# Letters that name the processor, not an extra: AMD, Intel, Graviton.
_PROCESSORS = frozenset("aig")
_GENERAL = ("c", "m", "r")
# Sizes are copied from rounded lists: EC2's own "1.7 GiB" is 1740 MiB. Sizes that differ at all differ by more than a hundredth.
_ROUNDING = 0.002
_NAMED = 5


class RequirementError(ValueError):
    """A requirement that no instance type meets, or that no node group could have; the text says why, and what would do."""


@dataclass(frozen=True)
class Requirement:
    """What the nodes of one group must be: ``vcpus`` exactly, ``memory_gib`` but for rounding.

    ``accelerators`` are ``gpu``, ``inference``, ``neuron``, ``fpga`` or ``media``, all of them wanted and no others; ``accelerator_count``
    and ``accelerator_memory_gib`` (of each) choose among types that differ in them. ``allow`` and ``deny`` are patterns such as ``m5*``;
    without ``allow`` every type may be taken. ``nitro`` leaves older hypervisors out, whose nodes cannot have address prefixes.
    """

    vcpus: int
    memory_gib: float
    architecture: str = "x86_64"
    accelerators: Sequence[str] = ()
    accelerator_count: int | None = None
    accelerator_memory_gib: float | None = None
    burstable: bool = False
    bare_metal: bool = False
    nitro: bool = False
    allow: Sequence[str] = ()
    deny: Sequence[str] = ()


@dataclass(frozen=True)
class Selection:
    """Types to pin, best first, and how many more match."""

    types: tuple[str, ...]
    left_out: int


def select(
    requirement: Requirement,
    offered: Collection[str] | None = None,
    limit: int = TYPES_PER_GROUP,
    known: Mapping[str, InstanceType] | None = None,
) -> Selection:
    """The best types for a requirement. ``offered`` are those that EC2 offers in all zones of the group, None to take all.

    Raises:
        RequirementError: an unknown architecture, a limit that no group takes, no type at all, or types whose accelerators differ.

    """
    if requirement.architecture not in ARCHITECTURES:
        raise RequirementError(f"there is no architecture {requirement.architecture!r}: use {' or '.join(ARCHITECTURES)}")
    if not 1 <= limit <= TYPES_PER_GROUP:
        raise RequirementError(f"{limit} types: a managed node group takes 1 to {TYPES_PER_GROUP} types")
    left: Sequence[InstanceType] = tuple((instance_types() if known is None else known).values())
    for condition in _conditions(requirement, offered):
        kept = [item for item in left if condition.holds(item)]
        if not kept:
            raise RequirementError(condition.refusal(left))
        left = kept
    _check_alike(left)
    found = sorted(left, key=rank)
    return Selection(tuple(item.type for item in found[:limit]), max(0, len(found) - limit))


@dataclass(frozen=True)
class _Condition:
    """One thing that a type must be. ``refusal`` says of the types that met all before it why none of them is left."""

    holds: Callable[[InstanceType], bool]
    refusal: Callable[[Sequence[InstanceType]], str]


def _conditions(requirement: Requirement, offered: Collection[str] | None) -> list[_Condition]:
    """All conditions, names first: whoever names types is told what those types lack."""
    return [*_of_names(requirement), *_of_size(requirement), *_of_kind(requirement, offered)]


def _of_names(wanted: Requirement) -> list[_Condition]:
    allowed, denied = " ".join(wanted.allow), " ".join(wanted.deny)
    return [
        _Condition(
            lambda item: not wanted.allow or _matches(item.type, wanted.allow),
            lambda _: f"no instance type matches {allowed} (--allow); the catalogue is {dated()}",
        ),
        _Condition(lambda item: not _matches(item.type, wanted.deny), lambda left: f"{_names(left)}: all denied by {denied} (--deny)"),
        _Condition(
            lambda item: item.architecture == wanted.architecture,
            lambda left: f"{_names(left)}: none is {wanted.architecture} (--architecture)",
        ),
        _Condition(lambda item: set(item.accelerators.split()) == set(wanted.accelerators), lambda left: _other_kinds(wanted, left)),
    ]


def _of_size(wanted: Requirement) -> list[_Condition]:
    gib, count, each = wanted.memory_gib, wanted.accelerator_count, wanted.accelerator_memory_gib
    return [
        _Condition(
            lambda item: item.vcpus == wanted.vcpus,
            lambda left: f"no such instance type has {wanted.vcpus} vCPU; there are {_amounts(item.vcpus for item in left)} vCPU",
        ),
        _Condition(
            lambda item: is_about(item.memory_mib, gib),
            lambda left: f"no such instance type has {gib:g} GiB; with {wanted.vcpus} vCPU there are {_gib(left)} GiB",
        ),
        _Condition(
            lambda item: count in (None, item.accelerator_count) and (each is None or is_about(item.accelerator_memory_mib, each)),
            lambda left: f"no such instance type has these accelerators; there are {_devices(left)}",
        ),
    ]


def _of_kind(wanted: Requirement, offered: Collection[str] | None) -> list[_Condition]:
    return [
        _Condition(lambda item: item.spot, lambda left: f"{_names(left)}: EC2 does not sell them as Spot"),
        _Condition(
            lambda item: wanted.burstable or not item.burstable, lambda left: f"{_names(left)}: burstable; --burstable takes them too"
        ),
        _Condition(
            lambda item: wanted.bare_metal or not item.is_bare_metal,
            lambda left: f"{_names(left)}: bare metal; --bare-metal takes them too",
        ),
        _Condition(
            lambda item: not wanted.nitro or item.hypervisor in ("nitro", ""), lambda left: f"{_names(left)}: none runs on Nitro (--nitro)"
        ),
        _Condition(
            lambda item: offered is None or item.type in offered,
            lambda left: f"{_names(left)}: EC2 offers none of them in all of the zones",
        ),
    ]


def _check_alike(left: Sequence[InstanceType]) -> None:
    """A pod asks for a number of accelerators, so that the nodes of a group must have as many of the same size."""
    if len({item.devices for item in left}) > 1:
        raise RequirementError(
            f"these types differ in their accelerators, and those of a group must not: {_devices(left)}; "
            "say which with --accelerator-count or --accelerator-memory"
        )


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def is_about(mib: int, gib: float) -> bool:
    """Whether so many MiB are what somebody means who says so many GiB."""
    return math.isclose(mib, gib * 1024, rel_tol=_ROUNDING)


def _names(left: Sequence[InstanceType]) -> str:
    names = [item.type for item in sorted(left, key=rank)]
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _amounts(numbers: Iterable[float]) -> str:
    return ", ".join(f"{number:g}" for number in sorted(set(numbers)))


def _gib(left: Sequence[InstanceType]) -> str:
    return _amounts(item.memory_mib / 1024 for item in left)


def _devices(left: Sequence[InstanceType]) -> str:
    by_devices: dict[Accelerators, list[InstanceType]] = {}
    for item in sorted(left, key=rank):
        by_devices.setdefault(item.devices, []).append(item)
    return "; ".join(f"{devices} ({_names(items)})" for devices, items in by_devices.items())


def _other_kinds(wanted: Requirement, left: Sequence[InstanceType]) -> str:
    kinds = sorted({item.accelerators or "none" for item in left})
    if not wanted.accelerators:
        return f"{_names(left)}: with accelerators, which --accelerator asks for ({', '.join(kinds)})"
    return f"{_names(left)}: none has the accelerators {' '.join(wanted.accelerators)} and no other; there are: {', '.join(kinds)}"


def rank(item: InstanceType) -> tuple[int, int, int, str]:
    """Sort key: general, compute and memory families first, then few extras (disks, network), then new generations, then the name."""
    family = _FAMILY.fullmatch(item.family)
    if family is None:
        return (1, 9, 0, item.type)
    extras = len(set(family["extras"]) - _PROCESSORS) + bool(family["flex"])
    return (0 if family["series"] in _GENERAL else 1, extras, -int(family["generation"]), item.type)
