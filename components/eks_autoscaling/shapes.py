"""Shapes: how many vCPUs, how much memory and which accelerators an instance type has, and whether the types of a group agree.

Pure, apart from reading the catalogue that ships with the package (``catalogue.py``).
An autoscaler plans with one node per group. A group whose types differ would be planned with the wrong size: pods stay
pending when the smaller one comes, money is lost when the larger one does. The Cluster Autoscaler's documentation asks
for equal vCPUs and memory for this reason; here it is enforced, of accelerators too: pods ask for a number of them.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from eks_autoscaling.catalogue import TYPES_PER_GROUP, Accelerators, dated
from eks_autoscaling.catalogue import instance_types as catalogue
from eks_autoscaling.misuse import ArgumentError

_NONE = Accelerators()


@dataclass(frozen=True)
class Shape:
    """What an instance type offers: ``vcpus`` (whole), ``memory_mib`` (MiB) and ``architecture`` (x86_64 or arm64).

    ``accelerators`` are as in the catalogue: their kinds, how many, the memory of each in MiB.
    """

    vcpus: int
    memory_mib: int
    architecture: str
    accelerators: Accelerators = _NONE

    def __str__(self) -> str:
        extra = f", {self.accelerators}" if self.accelerators.kinds else ""
        return f"{self.vcpus} vCPU, {self.memory_mib / 1024:g} GiB, {self.architecture}{extra}"


def common_shape(instance_types: Sequence[str]) -> Shape:
    """The shape that all of ``instance_types`` share.

    Raises:
        ArgumentError: none or too many types, one twice, one that the catalogue lacks, or types that differ; the
            message names the odd ones.

    """
    _check_list(instance_types)
    shapes = {name: _shape(name) for name in instance_types}
    counts = Counter(shapes.values())
    most = max(counts.values())
    # With a tie the first type in the list decides, as it is the one that the group is planned with.
    usual = next(shape for shape in shapes.values() if counts[shape] == most)
    odd = {name: shape for name, shape in shapes.items() if shape != usual}
    if odd:
        listed = "; ".join(f"{name} has {shape}" for name, shape in odd.items())
        raise ArgumentError("instance_types", list(odd), f"the other types have {usual}, but {listed}; give each shape a group of its own")
    return usual


def _check_list(instance_types: Sequence[str]) -> None:
    if not 1 <= len(instance_types) <= TYPES_PER_GROUP:
        raise ArgumentError("instance_types", list(instance_types), f"name 1 to {TYPES_PER_GROUP} instance types")
    twice = [name for name, times in Counter(instance_types).items() if times > 1]
    if twice:
        raise ArgumentError("instance_types", twice, "name each instance type once")


def _shape(instance_type: str) -> Shape:
    known = catalogue().get(instance_type)
    if known is None:
        raise ArgumentError(
            "instance_types",
            instance_type,
            f"no such type in the catalogue ({dated()}); check the spelling, or write a newer one with lambda-autoscaler catalogue",
        )
    return Shape(known.vcpus, known.memory_mib, known.architecture, known.devices)
