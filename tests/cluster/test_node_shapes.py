"""Nodes offer what EKS nodes of the same type offer."""

import pytest

from tests.cluster.node_shapes import NodeShape, node_shape


def shape(vcpus: int, memory_gib: int, interfaces: int, addresses: int) -> NodeShape:
    return node_shape(
        {
            "VCpuInfo": {"DefaultVCpus": vcpus},
            "MemoryInfo": {"SizeInMiB": memory_gib * 1024},
            "NetworkInfo": {"MaximumNetworkInterfaces": interfaces, "Ipv4AddressesPerInterface": addresses},
            "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
        }
    )


@pytest.mark.parametrize(
    ("offered", "cpu", "pods"),
    [
        pytest.param(shape(2, 8, 3, 10), "1930m", "29", id="m5.large"),
        pytest.param(shape(4, 16, 4, 15), "3920m", "58", id="m5.xlarge"),
        pytest.param(shape(8, 32, 4, 15), "7910m", "58", id="m5.2xlarge"),
        pytest.param(shape(16, 64, 8, 30), "15890m", "110", id="m5.4xlarge"),
        pytest.param(shape(72, 144, 15, 50), "71750m", "250", id="c5.18xlarge"),
    ],
)
def test_allocatable_cpu_and_pods_are_those_of_eks(offered: NodeShape, cpu: str, pods: str) -> None:
    assert (offered.allocatable["cpu"], offered.allocatable["pods"]) == (cpu, pods)


def test_gpus_are_offered_whole() -> None:
    described = {
        "VCpuInfo": {"DefaultVCpus": 4},
        "MemoryInfo": {"SizeInMiB": 16384},
        "NetworkInfo": {"MaximumNetworkInterfaces": 3, "Ipv4AddressesPerInterface": 10},
        "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
        "GpuInfo": {"Gpus": [{"Name": "T4", "Manufacturer": "NVIDIA", "Count": 1}]},
    }
    offered = node_shape(described)
    assert offered.capacity["nvidia.com/gpu"] == offered.allocatable["nvidia.com/gpu"] == "1"
