"""What a node of an EC2 instance type offers to pods, computed as an EKS node computes it at boot.

Reserved CPU, reserved memory and the number of pods follow the EKS AMIs:
https://github.com/awslabs/amazon-eks-ami and
https://docs.aws.amazon.com/eks/latest/userguide/choosing-instance-type.html
"""

from dataclasses import dataclass
from typing import Any

_MIB = 1024 * 1024
_EVICTION_MEMORY_MIB = 100
_KUBELET_MEMORY_MIB, _KUBELET_MEMORY_PER_POD_MIB = 255, 11
# What the kernel keeps of an instance's memory: 366 MiB of the 16 GiB of an m5.xlarge.
_KERNEL_SHARE = 366 / 16384
_ADDRESSES_PER_PREFIX = 16
_MAX_PODS_SMALL, _MAX_PODS_LARGE, _LARGE_VCPUS = 110, 250, 30
# An 80 GiB gp3 root volume, and what kubelet leaves of it to pods; in bytes.
_DISK_CAPACITY, _DISK_ALLOCATABLE = "83873772Ki", "76224326324"
_ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}


@dataclass(frozen=True)
class NodeShape:
    """Capacity and allocatable as Kubernetes quantities, keyed by resource name, and the architecture label."""

    capacity: dict[str, str]
    allocatable: dict[str, str]
    architecture: str


def node_shape(instance_type: dict[str, Any], max_pods: int | None = None) -> NodeShape:
    """The shape of a node of ``instance_type``, one element of EC2's DescribeInstanceTypes; ``max_pods`` if its user data says so."""
    vcpus = int(instance_type["VCpuInfo"]["DefaultVCpus"])
    memory_mib = int(instance_type["MemoryInfo"]["SizeInMiB"])
    pods = addressable_pods(instance_type) if max_pods is None else max_pods
    reserved_mib = _KUBELET_MEMORY_MIB + _KUBELET_MEMORY_PER_POD_MIB * pods + _EVICTION_MEMORY_MIB
    allocatable_mib = memory_mib - round(memory_mib * _KERNEL_SHARE) - reserved_mib
    extended = _gpus(instance_type)
    machine = instance_type["ProcessorInfo"]["SupportedArchitectures"]
    return NodeShape(
        capacity={
            "cpu": str(vcpus),
            "memory": f"{memory_mib}Mi",
            "ephemeral-storage": _DISK_CAPACITY,
            "pods": str(pods),
            **extended,
        },
        allocatable={
            "cpu": f"{vcpus * 1000 - _reserved_millicores(vcpus)}m",
            "memory": f"{allocatable_mib}Mi",
            "ephemeral-storage": _DISK_ALLOCATABLE,
            "pods": str(pods),
            **extended,
        },
        architecture=next(_ARCHITECTURES[name] for name in machine if name in _ARCHITECTURES),
    )


def addressable_pods(instance_type: dict[str, Any], *, prefixes: bool = False, custom_networking: bool = False) -> int:
    """Pods for which a node has IPv4 addresses, and with which Kubernetes copes.

    One address of each network interface is the interface's own; aws-node and kube-proxy need none. With ``prefixes`` each other one
    stands for sixteen on Nitro machines, with ``custom_networking`` the first interface is the node's alone.
    """
    network, vcpus = instance_type["NetworkInfo"], int(instance_type["VCpuInfo"]["DefaultVCpus"])
    each = _ADDRESSES_PER_PREFIX if prefixes and instance_type.get("Hypervisor") != "xen" else 1
    interfaces = int(network["MaximumNetworkInterfaces"]) - custom_networking
    addresses = interfaces * (int(network["Ipv4AddressesPerInterface"]) - 1) * each + 2
    return min(addresses, _MAX_PODS_LARGE if vcpus > _LARGE_VCPUS else _MAX_PODS_SMALL)


def _reserved_millicores(vcpus: int) -> int:
    """6 % of the first core, 1 % of the second, 0.5 % of the next two, 0.25 % of every further one."""
    tenths = sum((600, 100, 50, 50)[core] if core < 4 else 25 for core in range(vcpus))
    return tenths // 10


def _gpus(instance_type: dict[str, Any]) -> dict[str, str]:
    count = sum(int(gpu["Count"]) for gpu in instance_type.get("GpuInfo", {}).get("Gpus", ()))
    return {"nvidia.com/gpu": str(count)} if count else {}
