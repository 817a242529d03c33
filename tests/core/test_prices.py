"""What nodes cost, and the score of the price expander."""

import math

import pytest

from lambda_autoscaler.core.amazon import SpotPrice
from lambda_autoscaler.core.model import CloudTemplate, NodeGroup, PodShape, PriceTable, Template
from lambda_autoscaler.core.prices import (
    USD_PER_GIB_HOUR,
    USD_PER_VCPU_HOUR,
    node_price,
    pod_price,
    preferred_cores,
    price_score,
    price_table,
)

TABLE = PriceTable({"m5.xlarge": 0.192}, {("m5.xlarge", "a"): 0.06, ("m5.xlarge", "b"): 0.08, ("m5.xlarge", "z"): 9.0})
POD = PodShape(1, "default", requests=(("cpu", 500), ("memory", 500 * 2**20)))
FOUR_CORES = (("cpu", 4000), ("memory", 16 * 2**30))
STABILIZER = 0.5 * USD_PER_VCPU_HOUR + 500 / 1024 * USD_PER_GIB_HOUR


def priced(capacity_type: str, kind: str = "m5.xlarge", zones: tuple[str, ...] = ("a", "b"), label: str = "") -> float | None:
    group = NodeGroup("g", 0, 1, 0, zones=zones, cloud=CloudTemplate(instance_type=kind), capacity_type=capacity_type)
    labels = {"node.kubernetes.io/instance-type": label} if label else {}
    return node_price(group, Template(labels, (), (), ()), TABLE)


def test_on_demand_groups_cost_the_list_price() -> None:
    assert priced("ON_DEMAND") == 0.192


def test_spot_groups_cost_the_mean_of_their_zones() -> None:
    assert priced("SPOT") == pytest.approx(0.07)
    assert priced("SPOT", zones=("b",)) == 0.08


def test_spot_without_a_known_price_costs_a_share_of_the_list_price() -> None:
    assert priced("SPOT", zones=("c",)) == pytest.approx(0.4 * 0.192)


def test_an_unknown_type_has_no_price() -> None:
    assert priced("ON_DEMAND", "m99.huge") is None
    assert priced("SPOT", "m99.huge") is None


def test_the_type_of_a_real_node_goes_before_the_first_type_of_the_group() -> None:
    assert priced("ON_DEMAND", "m99.huge", label="m5.xlarge") == 0.192
    assert priced("ON_DEMAND", "m5.xlarge", label="m99.huge") is None


def test_the_newest_spot_price_counts_and_one_that_is_no_number_does_not() -> None:
    prices = [SpotPrice("t", "a", "0.5"), SpotPrice("t", "a", "0.7"), SpotPrice("t", "b", "free"), SpotPrice("t", "c", "")]
    assert price_table({}, prices).spot == {("t", "a"): 0.5}


@pytest.mark.parametrize(("nodes", "cores"), [(0, 1), (2, 1), (3, 2), (6, 2), (20, 4), (60, 8), (200, 16), (201, 32)])
def test_larger_clusters_prefer_larger_nodes(nodes: int, cores: int) -> None:
    assert preferred_cores(nodes) == cores


def test_a_pod_costs_what_it_asks_for() -> None:
    assert pod_price(POD) == pytest.approx(STABILIZER)
    assert pod_price(PodShape(2, "default")) == 0


def test_on_the_preferred_node_the_score_is_cost_per_help() -> None:
    score = price_score(FOUR_CORES, 0.192, {POD: 3}, (1, 20))
    assert score == pytest.approx((0.192 + STABILIZER) / (4 * STABILIZER))


def test_an_unlike_node_counts_as_dearer_the_less_so_the_more_there_are() -> None:
    plain = (0.192 + STABILIZER) / (4 * STABILIZER)
    assert price_score(FOUR_CORES, 0.192, {POD: 3}, (1, 200)) == pytest.approx(4 * plain)
    assert price_score(FOUR_CORES, 0.192, {POD: 3}, (1, 2)) == pytest.approx(4 * plain)
    many = price_score(FOUR_CORES, 0.192, {POD: 3}, (16, 200))
    assert many == pytest.approx((3 * (1 - math.tanh(1)) + 1) * plain)


def test_a_node_with_gpus_is_a_last_resort() -> None:
    plain = price_score(FOUR_CORES, 0.192, {POD: 3}, (1, 20))
    assert price_score((*FOUR_CORES, ("nvidia.com/gpu", 1)), 0.192, {POD: 3}, (1, 20)) == pytest.approx(1000 * plain)
