"""AMI types: which image follows from the instance types, and which ones they cannot run."""

import pytest

from eks_autoscaling.ami_types import ami_type
from eks_autoscaling.misuse import ArgumentError


@pytest.mark.parametrize(
    ("instance_type", "architecture", "name"),
    [
        ("m5.xlarge", "x86_64", "AL2023_x86_64_STANDARD"),
        ("m6g.xlarge", "arm64", "AL2023_ARM_64_STANDARD"),
        ("g4dn.xlarge", "x86_64", "AL2023_x86_64_NVIDIA"),
        ("g5g.xlarge", "arm64", "AL2023_ARM_64_NVIDIA"),
        ("inf2.xlarge", "x86_64", "AL2023_x86_64_NEURON"),
    ],
)
def test_without_a_choice_it_is_amazon_linux_with_the_drivers_that_the_types_want(instance_type: str, architecture: str, name: str) -> None:
    assert ami_type(None, [instance_type], architecture).name == name


@pytest.mark.parametrize(
    ("given", "architecture"),
    [
        ("AL2023_x86_64_STANDARD", "x86_64"),
        ("AL2023_ARM_64_STANDARD", "arm64"),
        ("BOTTLEROCKET_x86_64", "x86_64"),
        ("BOTTLEROCKET_ARM_64_FIPS", "arm64"),
    ],
)
def test_a_choice_for_the_right_architecture_holds(given: str, architecture: str) -> None:
    instance_type = {"x86_64": "m5.xlarge", "arm64": "m6g.xlarge"}[architecture]
    assert ami_type(given, [instance_type], architecture).name == given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("AL2023_ARM_64_STANDARD", "the instance types are x86_64: use one of AL2023_x86_64_STANDARD, "),
        ("BOTTLEROCKET_ARM_64", "the instance types are x86_64"),
        ("AL2_x86_64", "EKS has published no Amazon Linux 2 images since November 2025; the instance types"),
        ("CUSTOM", "images of your own take SelfManagedNodeGroup with ami_id"),
        ("WINDOWS_CORE_2022_x86_64", "use one of"),
    ],
)
def test_any_other_is_refused(given: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        ami_type(given, ["m5.xlarge"], "x86_64")


def test_types_with_and_without_accelerators_are_refused_in_one_group() -> None:
    with pytest.raises(ArgumentError, match="some have accelerators that others lack"):
        ami_type(None, ["m5.xlarge", "g4dn.xlarge"], "x86_64")


def test_bottlerocket_keeps_images_and_pods_on_its_second_volume() -> None:
    assert ami_type("BOTTLEROCKET_x86_64", ["m5.xlarge"], "x86_64").device == "/dev/xvdb"
    assert ami_type(None, ["m5.xlarge"], "x86_64").device == "/dev/xvda"
