"""From a requirement to a list of instance types to pin in a program.

Pure, and without Pulumi: the command asks it where no component is. A managed node group takes at most 20 types, and more match nearly
every requirement, so that a choice must be made and must stay the same: types are ranked, general families without extras first and the
newest generation first, and the list is cut. It is meant to be pasted into the program. A list that is resolved anew on every deployment
would replace production groups when AWS adds a type.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from eks_autoscaling.catalogue import ARCHITECTURES, TYPES_PER_GROUP, InstanceType, instance_types

_FAMILY = re.compile(r"(?P<series>[a-z]+?)(?P<generation>\d+)(?P<extras>[a-z]*)(?P<flex>-flex)?")
# Letters that name the processor, not an extra: AMD, Intel, Graviton.
_PROCESSORS = frozenset("aig")
_GENERAL = ("c", "m", "r")


class RequirementError(ValueError):
    """A requirement that no instance type meets, or that no node group could have; the text says why, and what would do."""


@dataclass(frozen=True)
class Requirement:
    """What the nodes of one group must be: ``vcpus`` and ``memory_gib`` exactly.

    ``accelerators`` are ``gpu``, ``inference``, ``neuron``, ``fpga`` or ``media``, all of them wanted and no others. ``allow`` and ``deny``
    are patterns such as ``m5*``; without ``allow`` every type may be taken. ``nitro`` leaves older hypervisors out, whose nodes cannot have
    address prefixes.
    """

    vcpus: int
    memory_gib: float
    architecture: str = "x86_64"
    accelerators: Sequence[str] = ()
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
        RequirementError: an unknown architecture, a limit that no group takes, or no type at all.

    """
    if requirement.architecture not in ARCHITECTURES:
        raise RequirementError(f"there is no architecture {requirement.architecture!r}: use {' or '.join(ARCHITECTURES)}")
    if not 1 <= limit <= TYPES_PER_GROUP:
        raise RequirementError(f"{limit} types: a managed node group takes 1 to {TYPES_PER_GROUP} types")
    catalogue = (instance_types() if known is None else known).values()
    found = sorted((item for item in catalogue if _meets(item, requirement) and (offered is None or item.type in offered)), key=rank)
    if not found:
        wanted = f"{requirement.vcpus} vCPU, {requirement.memory_gib:g} GiB, {requirement.architecture}"
        raise RequirementError(f"no instance type has {wanted}{_nearest(requirement, catalogue)}")
    return Selection(tuple(item.type for item in found[:limit]), max(0, len(found) - limit))


def _meets(item: InstanceType, requirement: Requirement) -> bool:
    return (
        item.vcpus == requirement.vcpus
        and item.memory_mib == requirement.memory_gib * 1024
        and item.architecture == requirement.architecture
        and set(item.accelerators.split()) == set(requirement.accelerators)
        and item.spot
        and (requirement.burstable or not item.burstable)
        and (requirement.bare_metal or not item.is_bare_metal)
        and (not requirement.nitro or item.hypervisor in ("nitro", ""))
        and _is_allowed(item.type, requirement)
    )


def _is_allowed(name: str, requirement: Requirement) -> bool:
    allowed = not requirement.allow or any(fnmatchcase(name, pattern) for pattern in requirement.allow)
    return allowed and not any(fnmatchcase(name, pattern) for pattern in requirement.deny)


def rank(item: InstanceType) -> tuple[int, int, int, str]:
    """Sort key: general, compute and memory families first, then few extras (disks, network), then new generations, then the name."""
    family = _FAMILY.fullmatch(item.family)
    if family is None:
        return (1, 9, 0, item.type)
    extras = len(set(family["extras"]) - _PROCESSORS) + bool(family["flex"])
    return (0 if family["series"] in _GENERAL else 1, extras, -int(family["generation"]), item.type)


def _nearest(requirement: Requirement, catalogue: Iterable[InstanceType]) -> str:
    """Amounts of memory that types with as many vCPUs have, to help who mistyped."""
    sizes = sorted({item.memory_mib / 1024 for item in catalogue if item.vcpus == requirement.vcpus and not item.accelerators})
    return f"; with {requirement.vcpus} vCPU there are {', '.join(f'{size:g}' for size in sizes)} GiB" if sizes else ""
