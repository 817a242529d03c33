"""The catalogue of instance types that ships with the package: what EC2 says of each, at the date in its first line.

Node groups are checked against it and lists of types chosen from it without asking AWS, so that the same program always declares the same
groups. ``lambda-autoscaler catalogue FILE`` writes a newer one from ec2:DescribeInstanceTypes, which programs use when the variable
``EKS_AUTOSCALING_INSTANCE_TYPES`` names it. Pure but for reading the file.
"""

import csv
import functools
import importlib.resources
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

FILE = "instance_types.csv"
VARIABLE = "EKS_AUTOSCALING_INSTANCE_TYPES"
ARCHITECTURES = ("x86_64", "arm64")
# The EKS API takes no more in one managed node group.
TYPES_PER_GROUP = 20
# A type without GpuInfo may still carry something else that software must know how to use. Beside each name: where EC2 lists the devices.
_ACCELERATORS = {
    "GpuInfo": ("gpu", "Gpus"),
    "InferenceAcceleratorInfo": ("inference", "Accelerators"),
    "NeuronInfo": ("neuron", "NeuronDevices"),
    "FpgaInfo": ("fpga", "Fpgas"),
    "MediaAcceleratorInfo": ("media", "Accelerators"),
}
_NUMBERS = ("vcpus", "memory_mib", "enis", "ips_per_eni", "accelerator_count", "accelerator_memory_mib")


class CatalogueError(ValueError):
    """A catalogue of one's own that cannot be read; the text names the file and what to do."""


@dataclass(frozen=True)
class Accelerators:
    """What an instance type has of them: ``kinds`` and ``count`` as in the catalogue, and the memory of each in MiB."""

    kinds: str = ""
    count: int = 0
    memory_mib: int = 0

    def __str__(self) -> str:
        name = self.kinds.rpartition(" ")[2]  # inference and neuron are the same devices
        number = f"{self.count} {name}" if self.count else f"a share of one {name}"
        return f"{number} of {self.memory_mib / 1024:g} GiB"


@dataclass(frozen=True)
class InstanceType:
    """One instance type.

    ``enis`` and ``ips_per_eni`` are those of its default network card, which decide how many pods get an address. ``accelerators`` are
    kinds, separated by blanks; two kinds of one type (inference and neuron) are the same devices. ``accelerator_count`` is EC2's number of
    devices, 0 where the type has only a share of one, ``accelerator_memory_mib`` the memory of each in MiB.
    """

    type: str
    vcpus: int
    memory_mib: int
    architecture: str
    hypervisor: str
    enis: int
    ips_per_eni: int
    burstable: bool
    spot: bool
    accelerators: str
    accelerator_count: int
    accelerator_memory_mib: int

    @property
    def family(self) -> str:
        """``m5`` of ``m5.xlarge``."""
        return self.type.partition(".")[0]

    @property
    def devices(self) -> Accelerators:
        """Its accelerators as one value, to compare with another type's."""
        return Accelerators(self.accelerators, self.accelerator_count, self.accelerator_memory_mib)

    @property
    def is_bare_metal(self) -> bool:
        """Whether it has no hypervisor."""
        return self.hypervisor == ""


@functools.cache
def instance_types() -> Mapping[str, InstanceType]:
    """Every instance type known to this release, by name. Raises CatalogueError for a catalogue of one's own that cannot be read."""
    rows = csv.DictReader(line for line in _text().splitlines() if not line.startswith("#"))
    remedy = f"{VARIABLE}: {os.environ.get(VARIABLE)} is no catalogue of this release: write it anew with lambda-autoscaler catalogue"
    try:
        known = {row["type"]: _from_row(row) for row in rows}
    except (KeyError, TypeError, ValueError, csv.Error) as fault:
        raise CatalogueError(remedy) from fault
    if not known:
        raise CatalogueError(remedy)
    return known


def dated() -> str:
    """Where the catalogue comes from, and of which day. Raises CatalogueError as ``instance_types`` does."""
    return _text().partition("\n")[0].removeprefix("# ")


def _text() -> str:
    chosen = os.environ.get(VARIABLE)
    if chosen:
        try:
            return Path(chosen).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as fault:
            raise CatalogueError(f"{VARIABLE}: {chosen} cannot be read: {fault}") from fault
    return importlib.resources.files("eks_autoscaling").joinpath(FILE).read_text("utf-8")


def _from_row(row: Mapping[str, str]) -> InstanceType:
    numbers = {name: int(row[name]) for name in _NUMBERS}
    flags = {name: row[name] == "yes" for name in ("burstable", "spot")}
    texts = {name: row[name] for name in ("type", "architecture", "hypervisor", "accelerators")}
    return InstanceType(**texts, **numbers, **flags)  # type: ignore[arg-type]


def written(described: Iterable[Mapping[str, Any]], origin: str) -> str:
    """The catalogue of what EC2 describes (``InstanceTypes`` of its answer); ``origin`` says from where and when."""
    known = sorted((item for info in described if (item := _described(info)) is not None), key=lambda item: item.type)
    names = [field.name for field in fields(InstanceType)]
    lines = [f"# {origin}; only x86_64 and arm64 Linux types", ",".join(names)]
    return "\n".join([*lines, *(",".join(_cell(getattr(item, name)) for name in names) for item in known)]) + "\n"


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _described(info: Mapping[str, Any]) -> InstanceType | None:
    architecture = next((name for name in info["ProcessorInfo"]["SupportedArchitectures"] if name in ARCHITECTURES), None)
    if architecture is None:
        return None
    network = info["NetworkInfo"]
    cards = network.get("NetworkCards") or [{}]
    card = cards[network.get("DefaultNetworkCardIndex", 0)]
    kinds = [key for key in _ACCELERATORS if key in info]
    devices = info[kinds[0]][_ACCELERATORS[kinds[0]][1]] if kinds else []
    return InstanceType(
        type=info["InstanceType"],
        vcpus=info["VCpuInfo"]["DefaultVCpus"],
        memory_mib=info["MemoryInfo"]["SizeInMiB"],
        architecture=architecture,
        hypervisor="" if info.get("BareMetal") else info.get("Hypervisor", ""),
        enis=card.get("MaximumNetworkInterfaces", network["MaximumNetworkInterfaces"]),
        ips_per_eni=network["Ipv4AddressesPerInterface"],
        burstable=bool(info.get("BurstablePerformanceSupported")),
        spot="spot" in info.get("SupportedUsageClasses", ()),
        accelerators=" ".join(_ACCELERATORS[key][0] for key in kinds),
        accelerator_count=sum(device.get("Count", 0) for device in devices),
        accelerator_memory_mib=max((device.get("MemoryInfo", {}).get("SizeInMiB", 0) for device in devices), default=0),
    )
