"""Whether subnets have room for a group. A node full of pods takes what the VPC CNI takes: whole interfaces, or whole prefixes."""

import pytest

from eks_autoscaling import subnet_space
from eks_autoscaling.misuse import ArgumentError


def needed(types: list[str], max_pods: int, *, prefix_delegation: bool = False, pods_elsewhere: bool = False) -> int:
    return subnet_space.addresses_per_node(types, max_pods, prefix_delegation=prefix_delegation, pods_elsewhere=pods_elsewhere)


@pytest.mark.parametrize(
    ("max_pods", "addresses"),
    # m5.xlarge has 4 interfaces with 15 addresses, one of which is the interface's own.
    [(58, 60), (44, 45), (45, 60), (16, 15), (2, 15)],
)
def test_single_addresses_come_with_whole_interfaces(max_pods: int, addresses: int) -> None:
    assert needed(["m5.xlarge"], max_pods) == addresses


def test_prefixes_come_whole() -> None:
    # 108 pods beside the two on the host: 7 prefixes of 16 on one interface.
    assert needed(["m5.xlarge"], 110, prefix_delegation=True) == 7 * 16 + 1


def test_the_type_that_takes_most_counts() -> None:
    # 42 pods beside the two on the host: 3 of 14 on an m5, 2 of 29 on an m8i, whose interfaces have 30 addresses.
    assert (needed(["m5.xlarge"], 44), needed(["m8i.xlarge"], 44)) == (45, 60)
    assert needed(["m5.xlarge", "m8i.xlarge"], 44) == needed(["m8i.xlarge", "m5.xlarge"], 44) == 60


def test_a_node_whose_pods_have_addresses_elsewhere_takes_one() -> None:
    assert needed(["m5.xlarge"], 110, pods_elsewhere=True) == 1


def test_five_addresses_of_each_subnet_are_aws_s_own() -> None:
    subnet_space.check(["10.0.0.0/28", "10.0.1.0/28"], max_size=22, per_node=1)
    with pytest.raises(ArgumentError, match=r"they have 22 addresses, and 23 nodes full of pods take 23 \(1 each\)"):
        subnet_space.check(["10.0.0.0/28", "10.0.1.0/28"], max_size=23, per_node=1)


def test_a_subnet_without_ipv4_is_not_judged() -> None:
    subnet_space.check(["10.0.0.0/28", ""], max_size=1000, per_node=60)
