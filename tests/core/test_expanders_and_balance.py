"""Which option is best, which groups are alike, and how an increase is split."""

from collections.abc import Mapping

import pytest

from lambda_autoscaler.core.balance import are_similar, balance
from lambda_autoscaler.core.expand import ExpanderInput, Option, choose
from lambda_autoscaler.core.model import GPU_LABEL, Priorities, Template
from lambda_autoscaler.core.options import GpuTotal, Range
from lambda_autoscaler.core.plan import Increase
from lambda_autoscaler.core.priorities import read_priorities
from lambda_autoscaler.core.quota import Quota, usage
from tests.build import MIB, options, resources, shape, template

POD = shape(500, 1000 * MIB)
FIRST = "5: ['.*t2\\.micro.*']\n10: ['.*t2\\.large.*', '.*t3\\.large.*']\n50: ['.*m4\\.4xlarge.*']\n"


def option(name: str, cpu: int = 8000, memory: int = 16_000, nodes: int = 1, pods: int = 1) -> Option:
    return Option(name, nodes, {POD: pods}, template(cpu, memory * MIB))


def best(*choices: Option, expander: str = "least-waste", seed: int = 0, priorities: Priorities | None = None) -> tuple[str, list[str]]:
    given = ExpanderInput(options(expander=tuple(expander.split(",")), random_seed=seed), priorities or Priorities())
    chosen, notices = choose(choices, given)
    return chosen.group, [notice.reason for notice in notices]


def test_least_waste_prefers_the_node_that_is_used_best() -> None:
    balanced, highmem, lowcpu = option("balanced"), option("highmem", 8000, 32_000), option("lowcpu", 4000, 16_000)
    assert best(balanced, highmem)[0] == "balanced"
    assert best(balanced, highmem, lowcpu)[0] == "lowcpu"


def test_a_node_without_memory_wastes_none() -> None:
    assert best(option("a", 500, 0), option("b", 8000, 16_000))[0] == "a"


def test_most_pods_and_least_nodes_count() -> None:
    few, many = option("few", pods=2), option("many", pods=9, nodes=3)
    assert best(few, many, expander="most-pods")[0] == "many"
    assert best(few, many, expander="least-nodes")[0] == "few"


def test_a_chain_stops_when_one_is_left_and_the_seed_decides_among_equals() -> None:
    twin, other, poor = option("a"), option("b"), option("c", pods=0)
    chosen = {best(twin, other, poor, expander="most-pods,random", seed=seed)[0] for seed in range(4)}
    assert chosen == {"a", "b"}
    assert best(twin, poor, expander="most-pods,priority", priorities=read_priorities({})) == ("a", [])


@pytest.mark.parametrize(
    ("config", "types", "answer"),
    [
        (FIRST, ["t2.large", "m4.4xlarge"], {"m4.4xlarge"}),
        (FIRST, ["t2.large", "t3.large", "t2.micro"], {"t2.large", "t3.large"}),
        ("5: ['.*']\n10: ['.t2\\.large.*']\n", ["t2.large", "t2.micro"], {"t2.large"}),
        ("-1: ['t2']\n", ["t2.large", "m4.4xlarge"], {"t2.large"}),
        ("-2: ['t2']\n", ["t2.large", "m4.4xlarge"], {"t2.large", "m4.4xlarge"}),
    ],
)
def test_the_highest_matching_priority_wins(config: str, types: list[str], answer: set[str]) -> None:
    given = read_priorities({"priorities": config})
    names = [option(f"my-asg.{kind}") for kind in types]
    chosen = {best(*names, expander="priority", seed=seed, priorities=given)[0] for seed in range(6)}
    assert chosen == {f"my-asg.{kind}" for kind in answer}


def test_groups_without_a_priority_are_named_and_not_used() -> None:
    given = read_priorities({"priorities": "10: ['t2.large']"})
    names = [option(f"my-asg.{kind}") for kind in ("t2.large", "t3.large", "m4.4xlarge")]
    assert best(*names, expander="priority", priorities=given) == ("my-asg.t2.large", ["PriorityConfigMapNotMatchedGroup"] * 2)


def test_when_no_group_has_a_priority_all_pass_and_it_is_said() -> None:
    given = read_priorities({"priorities": "10: ['none']"})
    assert best(option("a"), option("b"), expander="priority", priorities=given)[1][-1] == "PriorityConfigMapNoGroupMatched"


@pytest.mark.parametrize("data", [{}, {"priorities": ""}, {"priorities": "a: [b"}, {"priorities": "1: ['(']"}, {"priorities": "x: ['a']"}])
def test_an_unusable_priority_table_lets_all_pass_and_is_reported(data: dict[str, str]) -> None:
    given = read_priorities(data)
    assert given.fault.endswith("Ignoring update.")
    assert best(option("a"), option("b"), expander="priority", priorities=given) == ("a", ["PriorityConfigMapInvalid"])


def test_without_a_priority_table_all_pass_silently() -> None:
    assert best(option("a"), option("b"), expander="priority", priorities=read_priorities(None)) == ("a", [])


# --- similar groups ---

BASE = template(1000, 2000)


def held(cpu: int, memory: int) -> list[tuple[object, int]]:
    return [(shape(cpu, memory), 1)]


@pytest.mark.parametrize(
    ("one", "other", "similar"),
    [
        (BASE, template(1001, 2000), False),
        (BASE, template(1000, 2000, allocatable=resources(999, 2000, pods=100)), True),
        (BASE, template(1000, 2000, allocatable=resources(500, 2000, pods=100)), False),
        (BASE, template(capacity=(("cpu", 1000), ("memory", 2000), ("nvidia.com/gpu", 1), ("pods", 100))), False),
        (BASE, template(1000, 2000, holds=held(500, 1000)), False),
        (template(1000, 2000, holds=held(500, 1000)), template(1000, 2000, holds=held(500, 1000)), True),
        (template(1000, 2000, holds=held(501, 1001)), template(1000, 2000, holds=held(500, 1000)), True),
        (template(1, 16116152 * 1024), template(1, 15944120 * 1024), True),
        (template(1, 16116152 * 1024), template(1, 16438475 * 1024), False),
        (template(1, 259970052 * 1024), template(1, 257217528 * 1024), True),
        (template(1, 259970052 * 1024), template(1, 265169453 * 1024), False),
        (template(1, 1000), template(1, 986), True),
        (template(1, 1000), template(1, 984), False),
        (BASE, template(1000, 2000, labels={"arch": "arm64"}), False),
    ],
)
def test_similar_groups_have_nearly_the_same_nodes(one: Template, other: Template, similar: bool) -> None:
    assert are_similar(one, other, options()) is similar
    assert are_similar(other, one, options()) is similar


@pytest.mark.parametrize(
    "label",
    [
        *("alpha.eksctl.io/instance-id", "alpha.eksctl.io/nodegroup-name", "eks.amazonaws.com/nodegroup", "k8s.amazonaws.com/eniConfig"),
        *("lifecycle", "topology.ebs.csi.aws.com/zone", "topology.k8s.aws/zone-id", "topology.kubernetes.io/zone", "mine"),
    ],
)
def test_labels_that_must_differ_between_groups_are_ignored(label: str) -> None:
    one, other = template(labels={label: "a"}), template(labels={label: "b"})
    assert are_similar(one, other, options(balancing_ignore_label=("mine",)))
    assert are_similar(one, template(), options(balancing_ignore_label=("mine",)))


@pytest.mark.parametrize(
    ("one", "other", "similar"),
    [
        ({"type": "m5", "arch": "amd64"}, {"type": "m5", "arch": "amd64", "more": "x"}, True),
        ({"type": "m5", "arch": "amd64"}, {"type": "m5", "arch": "i386"}, False),
        ({}, {}, False),
        ({"type": "m5", "arch": "amd64"}, {"type": "m5"}, False),
        ({"type": "", "arch": ""}, {"type": "", "arch": ""}, True),
    ],
)
def test_with_balancing_labels_nothing_else_is_compared(one: Mapping[str, str], other: Mapping[str, str], similar: bool) -> None:
    given = options(balancing_label=("type", "arch"))
    assert are_similar(template(1, labels=one), template(2, labels=other), given) is similar


# --- balancing ---


def sizes(*groups: tuple[int, int], nodes: int) -> list[int]:
    """Sizes after ``nodes`` more over groups given as (maximum, size)."""
    given = [Increase(f"ng{at}", size, size, maximum) for at, (maximum, size) in enumerate(groups, 1)]
    after = {item.group: item.target for item in balance(given, nodes)}
    return [after.get(item.group, item.current) for item in given]


@pytest.mark.parametrize(
    ("groups", "nodes", "after"),
    [
        ([(1, 1)], 1, [1]),
        ([(1, 1), (3, 1)], 1, [1, 2]),
        ([(1, 1), (3, 1)], 5, [1, 3]),
        ([(3, 1), (10, 3)], 4, [3, 5]),
        ([(3, 1), (10, 3), (7, 5)], 9, [3, 8, 7]),
        ([(3, 1), (10, 3), (7, 5)], 900, [3, 10, 7]),
        ([(3, 1), (3, 6)], 1, [2, 6]),
        ([(10, 1), (10, 3), (10, 5), (10, 5)], 1, [2, 3, 5, 5]),
        ([(10, 1), (10, 3), (10, 5), (10, 5)], 2, [3, 3, 5, 5]),
        ([(10, 1), (10, 3), (10, 5), (10, 5)], 4, [4, 4, 5, 5]),
        ([(10, 1), (10, 3), (10, 5), (10, 5)], 5, [5, 4, 5, 5]),
        ([(10, 1), (10, 3), (10, 5), (10, 5)], 10, [6, 6, 6, 6]),
    ],
)
def test_nodes_go_to_the_smallest_group_that_is_not_full(groups: list[tuple[int, int]], nodes: int, after: list[int]) -> None:
    assert sizes(*groups, nodes=nodes) == after


# --- limits of the cluster ---


def test_nodes_count_against_cores_memory_and_gpus() -> None:
    labels = {GPU_LABEL: "t4"}
    capacity = (("cpu", 1500), ("memory", 100), ("nvidia.com/gpu", 4))
    assert usage(labels, capacity) == {"cpu": 2, "memory": 100, "t4": 4}
    assert usage({}, capacity) == {"cpu": 2, "memory": 100}


def test_no_more_nodes_than_every_limit_allows() -> None:
    given = options(cores_total=Range(0, 9), gpu_total=(GpuTotal("t4", 0, 4),))
    quota = Quota(given, [({}, resources(2000)), ({"type": "virtual-kubelet"}, resources(90_000))])
    assert quota.allowed({"cpu": 2}, 5) == 3
    assert quota.allowed({"cpu": 2, "t4": 4}, 5) == 1
    assert quota.allowed({"a100": 4}, 5) == 5
    quota.take({"cpu": 2, "t4": 4, "a100": 1}, 1)
    assert quota.exceeded({"cpu": 2, "t4": 4}) == ("t4",)
    assert quota.exceeded({"cpu": 8, "t4": 1}) == ("cpu", "t4")


def test_a_limit_already_passed_allows_nothing() -> None:
    quota = Quota(options(cores_total=Range(0, 1)), [({}, resources(4000))])
    assert quota.allowed({"cpu": 1}, 3) == 0
