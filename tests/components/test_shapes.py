"""Instance types of one group must be alike."""

import pytest

from eks_autoscaling import shapes
from eks_autoscaling.misuse import ArgumentError
from eks_autoscaling.shapes import Shape

TUTORIAL_TYPES = ["m5.xlarge", "m4.xlarge", "m5a.xlarge", "m5d.xlarge", "m5n.xlarge", "m5ad.xlarge", "m5dn.xlarge"]


def test_the_tutorials_seven_types_have_four_vcpus_and_sixteen_gib() -> None:
    assert shapes.common_shape(TUTORIAL_TYPES) == Shape(4, 16384, "x86_64")


def test_types_of_another_size_are_named_with_what_they_have() -> None:
    with pytest.raises(ArgumentError) as refused:
        shapes.common_shape(["m5.xlarge", "m5a.xlarge", "m5.2xlarge", "r5.xlarge"])
    assert refused.value.argument == "instance_types"
    assert refused.value.value == ["m5.2xlarge", "r5.xlarge"]
    assert "the other types have 4 vCPU, 16 GiB, x86_64" in str(refused.value)
    assert "m5.2xlarge has 8 vCPU, 32 GiB, x86_64; r5.xlarge has 4 vCPU, 32 GiB, x86_64" in str(refused.value)


@pytest.mark.parametrize(
    ("types", "told"),
    [
        (["g5.24xlarge", "g4dn.metal"], "g4dn.metal has 96 vCPU, 384 GiB, x86_64, 8 gpu of 16 GiB"),
        (["g6.xlarge", "g6f.xlarge"], "g6f.xlarge has 4 vCPU, 16 GiB, x86_64, a share of one gpu of 2.79395 GiB"),
        (["m5.xlarge", "g5.xlarge"], "g5.xlarge has 4 vCPU, 16 GiB, x86_64, 1 gpu of 22.3516 GiB"),
        (["g4dn.xlarge", "g5.xlarge"], "the other types have 4 vCPU, 16 GiB, x86_64, 1 gpu of 16 GiB"),
        (["m5.xlarge", "inf2.xlarge"], "inf2.xlarge has 4 vCPU, 16 GiB, x86_64, 1 neuron of 32 GiB"),
    ],
)
def test_other_accelerators_are_another_shape(types: list[str], told: str) -> None:
    with pytest.raises(ArgumentError) as refused:
        shapes.common_shape(types)
    assert told in str(refused.value)


def test_accelerators_of_two_makes_with_the_same_number_and_memory_are_one_shape() -> None:
    assert str(shapes.common_shape(["g5.24xlarge", "g6.24xlarge"])) == "96 vCPU, 384 GiB, x86_64, 4 gpu of 22.3516 GiB"


def test_another_architecture_is_another_shape() -> None:
    with pytest.raises(ArgumentError, match=r"m6g\.xlarge has 4 vCPU, 16 GiB, arm64"):
        shapes.common_shape(["m5.xlarge", "m5a.xlarge", "m6g.xlarge"])


def test_of_two_different_types_the_first_is_the_one_that_counts() -> None:
    with pytest.raises(ArgumentError) as refused:
        shapes.common_shape(["m5.large", "m5.xlarge"])
    assert refused.value.value == ["m5.xlarge"]


def test_an_unknown_type_is_refused_by_name() -> None:
    with pytest.raises(ArgumentError, match=r"'m5\.xlrage': no such type in the catalogue"):
        shapes.common_shape(["m5.xlrage"])


@pytest.mark.parametrize("types", [[], ["m5.xlarge"] * 21])
def test_a_group_has_one_to_twenty_types(types: list[str]) -> None:
    with pytest.raises(ArgumentError, match="name 1 to 20 instance types"):
        shapes.common_shape(types)


def test_a_type_named_twice_is_refused() -> None:
    with pytest.raises(ArgumentError, match="name each instance type once"):
        shapes.common_shape(["m5.xlarge", "m5.xlarge"])
