"""AMI types: which of EKS's images the nodes of a managed group start from, and whether the instance types can run it.

Pure. The image decides the device of the data volume and the form of user data; a wrong one shows only when no node joins.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from eks_autoscaling.catalogue import instance_types as catalogue
from eks_autoscaling.misuse import ArgumentError

_ARCHITECTURES = {"x86_64": "x86_64", "arm64": "ARM_64"}
_AL2023_VARIANTS = {"x86_64": ("STANDARD", "NVIDIA", "NEURON"), "arm64": ("STANDARD", "NVIDIA")}
_BOTTLEROCKET_VARIANTS = ("", "_FIPS", "_NVIDIA", "_NVIDIA_FIPS")
# Software that drives the accelerators of a type, by what the catalogue calls them.
_DRIVERS = {"gpu": "NVIDIA", "inference": "NEURON", "neuron": "NEURON"}


@dataclass(frozen=True)
class AmiType:
    """An AMI type as the EKS API names it."""

    name: str

    @property
    def is_bottlerocket(self) -> bool:
        """Whether user data is TOML, and images and pods live on a second volume."""
        return self.name.startswith("BOTTLEROCKET")

    @property
    def device(self) -> str:
        """Device of the volume that holds images and pods."""
        return "/dev/xvdb" if self.is_bottlerocket else "/dev/xvda"

    @property
    def system_device(self) -> str:
        """Device of the volume that holds the system alone; empty where there is one volume for everything."""
        return "/dev/xvda" if self.is_bottlerocket else ""


def ami_type(given: str | None, instance_types: Sequence[str], architecture: str) -> AmiType:
    """The AMI type of a group; if none is ``given``, Amazon Linux 2023 with the drivers that the types want.

    Raises:
        ArgumentError: an AMI type that is none of Amazon Linux 2023 or Bottlerocket for this architecture, or types whose accelerators
            want different images.

    """
    accelerators = {catalogue()[name].accelerators for name in instance_types}
    if len(accelerators) > 1:
        remedy = "some have accelerators that others lack; give each kind a group of its own"
        raise ArgumentError("instance_types", list(instance_types), remedy)
    if given is None:
        driver = next((_DRIVERS[name] for name in accelerators.pop().split() if name in _DRIVERS), "STANDARD")
        return AmiType(f"AL2023_{_ARCHITECTURES[architecture]}_{driver}")
    known = _known(architecture)
    if given not in known:
        raise ArgumentError("ami_type", given, f"{_reason(given)}the instance types are {architecture}: use one of {', '.join(known)}")
    return AmiType(given)


def _known(architecture: str) -> tuple[str, ...]:
    name = _ARCHITECTURES[architecture]
    amazon_linux = tuple(f"AL2023_{name}_{variant}" for variant in _AL2023_VARIANTS[architecture])
    return (*amazon_linux, *(f"BOTTLEROCKET_{name}{variant}" for variant in _BOTTLEROCKET_VARIANTS))


def _reason(given: str) -> str:
    if given == "CUSTOM":
        return "images of your own take SelfManagedNodeGroup with ami_id; here "
    if given.startswith("AL2_"):
        return "EKS has published no Amazon Linux 2 images since November 2025; "
    return ""
