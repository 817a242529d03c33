"""A few hours of random days; ``python -m tests.benchmarks.random_days`` lives through 200 whole ones."""

import pytest

from tests.sim.random_days import lived

HOURS = 5.0


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_nodes_come_and_go_and_seldom_come_back_for_the_same_demand(seed: int) -> None:
    day = lived(seed, HOURS)
    assert day.removed > 0
    assert day.regrets <= 1
    assert not day.below_minimum
    assert day.left_behind == 0
