"""Groups below their minimum, brought to it as the last step of a scan."""

import pytest

from lambda_autoscaler.core.memory import Backoff, Memory
from lambda_autoscaler.core.plan import Plan
from tests.small_cluster import NOW, SmallCluster, group, waiting


def enforced(cluster: SmallCluster, **flags: str) -> Plan:
    return cluster.plan(enforce_node_group_min_size="true", **flags)


def sizes(plan: Plan) -> dict[str, tuple[int, int]]:
    return {item.group: (item.current, item.target) for item in plan.increases}


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ({}, {"a": (0, 4), "b": (0, 3)}),
        ({"cores_total": "0:10"}, {"a": (0, 4), "b": (0, 1)}),
        ({"max_nodes_total": "3"}, {"a": (0, 3), "b": (0, 3)}),
    ],
)
def test_every_group_below_its_minimum_grows_as_far_as_limits_allow(flags: dict[str, str], found: dict[str, tuple[int, int]]) -> None:
    plan = enforced(SmallCluster(group("a"), group("b"), group("c", sizes=(0, 0, 5))), nodes="4:9:a;3:9:b;0:5:c", **flags)
    assert sizes(plan) == found
    assert {name: request.increase for name, request in plan.memory.requests.items()} == {name: to for name, (_, to) in found.items()}
    assert plan.memory.last_scale_up == NOW
    assert any(notice.reason == "MaxNodesTotalReached" for notice in plan.notices) is ("max_nodes_total" in flags)


def test_what_the_scan_already_grew_counts() -> None:
    plan = enforced(SmallCluster(group("a"), pods=waiting(2)), nodes="3:9:a")
    assert sizes(plan) == {"a": (0, 3)}
    assert plan.memory.requests["a"].increase == 3
    assert sizes(enforced(SmallCluster(group("a"), pods=waiting(5)), nodes="3:9:a")) == {"a": (0, 5)}


def test_a_group_that_backs_off_or_has_no_template_is_left_alone() -> None:
    cluster = SmallCluster(group("a"), group("b", "m99.huge"), group("c"))
    cluster.memory = Memory(backoffs={"a": Backoff(300.0, NOW + 60, NOW - 60)})
    assert sizes(enforced(cluster, nodes="2:9:a;2:9:b;2:9:c")) == {"c": (0, 2)}


def test_a_group_at_its_minimum_stays() -> None:
    cluster = SmallCluster(group("a", sizes=(2, 2, 5)))
    cluster.add_node("n1", "a")
    cluster.add_node("n2", "a")
    assert enforced(cluster).increases == ()
