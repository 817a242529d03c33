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
# A type without GpuInfo may still carry something else that software must know how to use.
_ACCELERATORS = {
    "GpuInfo": "gpu",
    "InferenceAcceleratorInfo": "inference",
    "NeuronInfo": "neuron",
    "FpgaInfo": "fpga",
    "MediaAcceleratorInfo": "media",
}


@dataclass(frozen=True)
class InstanceType:
    """One instance type. ``enis`` and ``ips_per_eni`` are those of its default network card, which decide how many pods get an address."""

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

    @property
    def family(self) -> str:
        """``m5`` of ``m5.xlarge``."""
        return self.type.partition(".")[0]

    @property
    def is_bare_metal(self) -> bool:
        """Whether it has no hypervisor."""
        return self.hypervisor == ""


@functools.cache
def instance_types() -> Mapping[str, InstanceType]:
    """Every instance type known to this release, by name."""
    rows = csv.DictReader(line for line in _text().splitlines() if not line.startswith("#"))
    return {row["type"]: _from_row(row) for row in rows}


def dated() -> str:
    """Where the catalogue comes from, and of which day."""
    return _text().splitlines()[0].removeprefix("# ")


def _text() -> str:
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen).read_text("utf-8")
    return importlib.resources.files("eks_autoscaling").joinpath(FILE).read_text("utf-8")


def _from_row(row: Mapping[str, str]) -> InstanceType:
    numbers = {name: int(row[name]) for name in ("vcpus", "memory_mib", "enis", "ips_per_eni")}
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
        accelerators=" ".join(name for key, name in _ACCELERATORS.items() if key in info),
    )
