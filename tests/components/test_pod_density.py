"""How many pods a node can have. Expected numbers are those of the EKS documentation and of the images' own list."""

import pytest

from eks_autoscaling.catalogue import instance_types
from eks_autoscaling.misuse import ArgumentError
from eks_autoscaling.pod_density import addresses, max_pods


# From https://github.com/awslabs/amazon-eks-ami, templates/shared/runtime/eni-max-pods.txt; p5 and c6in have several network cards.
@pytest.mark.parametrize(
    ("instance_type", "pods"),
    [
        ("t3.medium", 17),
        ("m4.large", 20),
        ("m5.large", 29),
        ("m5.xlarge", 58),
        ("c5.4xlarge", 234),
        ("m5.24xlarge", 737),
        ("m5.metal", 737),
        ("c8a.xlarge", 78),
        ("inf1.24xlarge", 321),
        ("c6in.32xlarge", 394),
        ("p5.48xlarge", 100),
        ("g5.48xlarge", 345),
    ],
)
def test_addresses_are_those_of_the_images_list(instance_type: str, pods: int) -> None:
    assert addresses(instance_types()[instance_type], prefix_delegation=False, custom_networking=False) == pods


def test_a_node_has_at_most_110_pods_and_a_large_one_250() -> None:
    assert max_pods(["c5.4xlarge"]) == 110
    assert max_pods(["m5.24xlarge"]) == 250
    assert max_pods(["m5.8xlarge"]) == 234


def test_the_documented_example_has_29_pods_110_with_prefixes_and_20_with_custom_networking() -> None:
    assert max_pods(["m5.large"]) == 29
    assert max_pods(["m5.large"], prefix_delegation=True) == 110
    assert max_pods(["m5.large"], custom_networking=True) == 20
    assert max_pods(["m5.large"], prefix_delegation=True, custom_networking=True) == 110


def test_prefixes_hold_sixteen_addresses_where_that_is_below_the_limit() -> None:
    assert max_pods(["t3.nano"]) == 4
    assert max_pods(["t3.nano"], prefix_delegation=True) == 34


def test_the_type_with_the_fewest_pods_counts_for_the_whole_group() -> None:
    assert max_pods(["m5.xlarge", "m4.xlarge"]) == 58
    assert max_pods(["m5.xlarge", "m8i.xlarge"]) == 58
    assert max_pods(["m8i.xlarge"]) == 110


def test_a_machine_before_nitro_has_no_prefixes() -> None:
    assert max_pods(["m5.xlarge", "m4.xlarge"], prefix_delegation=True) == 58
    assert max_pods(["m5.xlarge"], prefix_delegation=True) == 110


def test_bare_metal_takes_prefixes() -> None:
    assert addresses(instance_types()["a1.metal"], prefix_delegation=True, custom_networking=False) == 8 * 29 * 16 + 2


def test_ipv6_leaves_only_the_limit_of_kubernetes() -> None:
    assert max_pods(["t3.nano"], ipv6=True) == 110
    assert max_pods(["m5.24xlarge"], ipv6=True) == 250


def test_ipv6_refuses_machines_before_nitro() -> None:
    with pytest.raises(ArgumentError, match=r"instance_types is \['m4.xlarge'\]: pods with IPv6 addresses need Nitro machines"):
        max_pods(["m5.xlarge", "m4.xlarge"], ipv6=True)


def test_custom_networking_refuses_a_type_with_one_interface() -> None:
    with pytest.raises(ArgumentError, match=r"instance_types is 'hpc6id\.32xlarge': it has one network interface"):
        max_pods(["hpc6id.32xlarge"], custom_networking=True)


def test_types_that_cannot_be_in_one_group_are_refused() -> None:
    with pytest.raises(ArgumentError, match="give each shape a group of its own"):
        max_pods(["m5.large", "m5.xlarge"])
