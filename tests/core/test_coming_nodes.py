"""Requests that come true, that time out, and that explain what a group lacks; nodes that start."""

from typing import Any

import msgspec
import pytest

from lambda_autoscaler.core.backoff import is_backed_off, with_failure
from lambda_autoscaler.core.decide import decide
from lambda_autoscaler.core.health import Health, assess
from lambda_autoscaler.core.memory import Memory, ScaleUpRequest
from lambda_autoscaler.core.model import Cluster, Instance, Node, NodeGroup
from lambda_autoscaler.core.plan import Unremovable
from tests.build import NOW, cluster, managed, node, options, unready

TIMED_OUT = ("Warning", "ScaleUpTimedOut", "Nodes added to group ng1 failed to register within 3m0s")


def requested(increase: int, age: float, provision: float = 900.0, *groups: str) -> Memory:
    request = ScaleUpRequest(increase, NOW - age, NOW - age + provision)
    return Memory(requests=dict.fromkeys(groups or ("ng1",), request))


def members(number: int) -> list[Node]:
    return [node(f"n{at}") for at in range(number)]


def placeholders(first: int, end: int) -> tuple[str, ...]:
    return tuple(f"i-placeholder-ng1-{at}" for at in range(first, end))


def judged(present: int, desired: int, memory: Memory, **flags: Any) -> Health:
    return assess(cluster(managed("ng1", *members(present), desired=desired)), memory, options(**flags), NOW)


# --- a request that times out ---


@pytest.mark.parametrize("present", [1, 3], ids=["none of four nodes came", "two of four nodes came"])
@pytest.mark.parametrize("seen", [180.0, 60.0], ids=["seen missing from the start", "seen missing later"])
def test_a_request_that_times_out_is_told_once_whenever_the_missing_nodes_were_first_seen(present: int, seen: float) -> None:
    missing = dict.fromkeys(placeholders(present, 5), NOW - seen)
    memory = msgspec.structs.replace(requested(4, 180, 120), unregistered_since=missing)
    found = judged(present, 5, memory, max_node_provision_time=120.0)
    told = [(item.type, item.reason, item.message) for item in found.notices if item.reason == "ScaleUpTimedOut"]
    assert told == [TIMED_OUT]
    assert found.memory.requests == {}
    assert is_backed_off(found.memory, "ng1", NOW)
    assert found.memory.backoffs["ng1"].message == "Scale-up timed out for node group ng1 after 3m0s"
    again = assess(cluster(managed("ng1", *members(present), desired=5)), found.memory, options(max_node_provision_time=120.0), NOW + 60)
    assert "ScaleUpTimedOut" not in [item.reason for item in again.notices]


def test_capacity_that_did_not_come_in_time_is_given_up_as_placeholders_and_not_by_lowering_the_target() -> None:
    memory = msgspec.structs.replace(requested(4, 180, 120), unregistered_since=dict.fromkeys(placeholders(3, 5), NOW - 180))
    found = judged(3, 5, memory, max_node_provision_time=120.0)
    assert found.delete_instances == (("ng1", placeholders(3, 5)),)
    assert found.resize == ()


def test_an_instance_overdue_since_before_the_request_does_not_make_it_time_out() -> None:
    owner, nodes = managed("ng1", *members(4), desired=4, minimum=4)
    memory = msgspec.structs.replace(requested(1, 180, 120), unregistered_since={"i-n3": NOW - 3600})
    found = assess(cluster((owner, nodes[:3])), memory, options(max_node_provision_time=120.0), NOW)
    assert found.memory.requests == {}
    assert found.notices == ()


# --- what a request explains ---


@pytest.mark.parametrize(
    ("desired", "increase", "overdue", "least"),
    [(10, 0, 0, 10), (10, 3, 0, 7), (10, 0, 2, 8), (20, 5, 4, 11)],
    ids=["nothing missing is explained", "by a request", "by instances that are overdue", "by both"],
)
def test_a_group_is_healthy_down_to_what_requests_and_overdue_instances_explain(
    desired: int, increase: int, overdue: int, least: int
) -> None:
    def healthy(present: int) -> bool:
        late = dict.fromkeys(placeholders(desired - overdue, desired), NOW - 3600)
        memory = msgspec.structs.replace(requested(increase, 60) if increase else Memory(), unregistered_since=late)
        memory = with_failure(memory, "ng1", options(), NOW, ("timeout", "too late"))
        strict = {"ok_total_unready_count": 0, "max_total_unready_percentage": 0.0}
        return judged(present, desired, memory, **strict).groups["ng1"].healthy

    assert healthy(least)
    assert not healthy(least - 1)


# --- nodes that start ---


def starting(name: str, age: float) -> tuple[NodeGroup, list[Node]]:
    """A group of four ready nodes and two that were made ``age`` seconds ago and are not ready yet."""
    fresh = [node(f"{name}-new{at}", created=NOW - age, conditions=unready(NOW - age)) for at in range(2)]
    return managed(name, *(node(f"{name}-{at}") for at in range(4)), *fresh)


def two_groups(age: float) -> tuple[Cluster, Memory]:
    return cluster(starting("ng1", age), starting("ng2", age)), requested(2, age, 900.0, "ng1", "ng2")


@pytest.mark.parametrize(("age", "coming", "candidates"), [(899.0, 2, 8), (901.0, 0, 12)])
def test_nodes_that_start_are_stood_for_by_coming_ones_and_are_candidates_afterwards(age: float, coming: int, candidates: int) -> None:
    seen, memory = two_groups(age)
    assert [item.upcoming for item in assess(seen, memory, options(), NOW).groups.values()] == [coming, coming]
    plan = decide(seen, memory, options(), NOW)
    considered = [item.node for item in plan.nodes if item.reason is not Unremovable.STARTING]
    assert len(plan.nodes) == 12
    assert len(considered) == candidates


# --- instances on their way out ---


@pytest.mark.parametrize("lifecycle", ["Terminating:Wait", "Terminating", "Terminated"])
def test_an_instance_that_terminates_already_is_not_given_up_again(lifecycle: str) -> None:
    owner, nodes = managed("ng1", *members(2))
    lost = Instance("i-lost", "us-east-1a", lifecycle)
    late = Instance("i-late", "us-east-1a")
    owner = msgspec.structs.replace(owner, desired=4, instances=(*owner.instances, lost, late))
    memory = Memory(unregistered_since={"i-lost": NOW - 3600, "i-late": NOW - 3600})
    found = assess(cluster((owner, nodes)), memory, options(), NOW)
    assert found.delete_instances == (("ng1", ("i-late",)),)
    assert [item.message for item in found.notices] == ["Removed unregistered node i-late"]
