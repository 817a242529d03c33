"""What an event makes of a node, and how that stands on the node."""

import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_autoscaler.core.events import Hook, InstanceEvent, Kind
from lambda_autoscaler.core.interruption import (
    ANSWER,
    EKS_HOOK,
    EXCLUDE_FROM_LOAD_BALANCERS,
    INTERRUPTION,
    NODEGROUP_LABEL,
    Answer,
    InterruptionRecord,
    Response,
    answer_of,
    is_at_risk,
    is_doomed,
    mark_patch,
    marked,
    record_of,
    respond,
    unmark_patch,
)
from lambda_autoscaler.core.marks import RECORD_ANNOTATION, roll_back_patch
from lambda_autoscaler.core.model import TO_BE_DELETED_TAINT, Node
from lambda_autoscaler.core.plan import RemovalRecord
from tests.build import NOW, node, options, ready, taint, unready

HOOK = Hook("workers", "drain", "token")
DAY = 86_400.0


def happening(kind: Kind, *, event: str = "", at: float = NOW, **fields: Any) -> InstanceEvent:
    """An event about the instance of ``node()``, with the deadline that events of its kind have."""
    usual: dict[Kind, dict[str, Any]] = {
        Kind.SPOT_INTERRUPTION: {"deadline": at + 120, "detail": "terminate"},
        Kind.RESERVATION_INTERRUPTION: {"deadline": at + 100, "detail": "terminate"},
        Kind.CAPACITY_BLOCK: {"deadline": at + 600},
        Kind.LIFECYCLE: {"hook": HOOK, "detail": "AutoScalingGroup"},
        Kind.STATE_CHANGE: {"deadline": at, "detail": "stopping"},
        Kind.SCHEDULED_CHANGE: {"deadline": NOW + DAY, "detail": "AWS_EC2_INSTANCE_REBOOT_MAINTENANCE_SCHEDULED"},
        Kind.REBALANCE: {},
    }
    return InstanceEvent(kind, "i-n1", event or kind.value, at, **(usual[kind] | fields))


SPOT = happening(Kind.SPOT_INTERRUPTION)
REBALANCE = happening(Kind.REBALANCE)
CHANGE = happening(Kind.SCHEDULED_CHANGE)


def answered(event: InstanceEvent, before: Node, now: float = NOW, **flags: Any) -> Response:
    return respond(event, before, options(**flags), now)


def after(*events: InstanceEvent, start: Node | None = None, now: float = NOW) -> Node:
    """The node once the events have been handled one after the other, a second apart."""
    found = start or node()
    for number, event in enumerate(events):
        response = answered(event, found, now + number)
        if response.unmarks:
            found = patched(found, unmark_patch(found))
        if response.record is not None:
            found = patched(found, mark_patch(found, response.record))
    return found


def record(found: Node) -> InterruptionRecord:
    noted = record_of(found)
    assert noted is not None
    return noted


def patched(before: Node, patch: bytes) -> Node:
    """The node as the API server has it after a merge patch."""
    change = json.loads(patch)
    metadata, spec = change["metadata"], change.get("spec", {})
    taints = (
        tuple(taint(item["key"], item["effect"], item.get("value", "")) for item in spec["taints"]) if "taints" in spec else before.taints
    )
    return msgspec.structs.replace(
        before,
        annotations=_merged(before.annotations, metadata.get("annotations", {})),
        labels=_merged(before.labels, metadata.get("labels", {})),
        taints=taints,
        unschedulable=bool(spec["unschedulable"]) if "unschedulable" in spec else before.unschedulable,
    )


def _merged(before: Any, change: dict[str, Any]) -> dict[str, str]:
    return {key: value for key, value in {**before, **change}.items() if value is not None}


# --- what an event makes of a node ---


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.REBALANCE])
def test_an_instance_that_goes_dooms_its_node_and_wakes_the_scan(kind: Kind) -> None:
    response = answered(happening(kind), node())
    assert response.record is not None
    assert (response.record.kind, response.record.drains) == (kind, True)
    assert (response.goes_on, response.wakes) == (True, True)


def test_a_recommendation_puts_a_node_at_risk_and_wakes_nobody() -> None:
    response = answered(REBALANCE, node())
    assert response.record is not None
    assert (response.record.drains, response.goes_on, response.wakes) == (False, False, False)


def test_a_recommendation_is_followed_up_where_draining_is_opted_in() -> None:
    response = answered(REBALANCE, node(), drain_on_rebalance=True)
    assert response.record is not None
    assert (response.record.drains, response.goes_on, response.wakes) == (False, True, True)


def test_a_recommendation_after_draining_was_opted_in_has_an_older_mark_followed_up() -> None:
    known = after(REBALANCE)
    again = answered(happening(Kind.REBALANCE, event="second"), known, drain_on_rebalance=True)
    assert again.record is not None
    assert (again.record.drains, again.record.watched, again.goes_on, again.wakes) == (False, True, True, True)


@pytest.mark.parametrize("name", ["stopped", "terminated"])
def test_the_node_of_an_instance_that_is_gone_is_deleted(name: str) -> None:
    response = answered(happening(Kind.STATE_CHANGE, detail=name), node(conditions=unready()))
    assert (response.deletes, response.wakes, response.record) == (True, True, None)


@pytest.mark.parametrize("name", ["stopping", "stopped"])
def test_late_news_of_a_stop_leave_a_node_alone_that_is_back(name: str) -> None:
    response = answered(happening(Kind.STATE_CHANGE, detail=name, at=NOW - 300), node(conditions=ready(NOW - 30)))
    assert response == Response(why="the instance was started again since, its node is ready")


def test_a_terminated_instance_never_comes_back() -> None:
    response = answered(happening(Kind.STATE_CHANGE, detail="terminated", at=NOW - 300), node(conditions=ready(NOW - 30)))
    assert response.deletes


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ({"karpenter.sh/nodepool": "default"}, "Karpenter owns node n1"),
        ({"eks.amazonaws.com/compute-type": "auto"}, "EKS Auto Mode owns node n1"),
    ],
)
def test_nodes_that_others_run_are_left_to_them(labels: dict[str, str], why: str) -> None:
    assert answered(SPOT, node(labels=labels)) == Response(why=why)


def test_eks_completes_its_own_lifecycle_hook() -> None:
    theirs = happening(Kind.LIFECYCLE, hook=Hook("eks-workers", EKS_HOOK, "t"))
    managed = node(labels={NODEGROUP_LABEL: "workers"})
    assert answered(theirs, managed) == Response(why="EKS drains the node and completes its own lifecycle action")
    assert answered(theirs, node()).record is not None
    assert answered(happening(Kind.LIFECYCLE), managed).record is not None


# --- lateness and clocks ---


def test_a_warning_long_after_its_end_does_nothing_since_the_instance_outlived_it() -> None:
    late = NOW + 120 + 601
    assert answered(SPOT, node(), now=late) == Response(why="the warning is 721 s old and the instance is still there")
    assert answered(SPOT, node(), now=late - 1).record is not None


@pytest.mark.parametrize("seconds", [5, 81, 119])
def test_a_late_warning_keeps_the_deadline_that_it_had(seconds: float) -> None:
    response = answered(SPOT, node(), now=NOW + seconds)
    assert response.record is not None
    assert (response.record.noticed, response.record.seen, response.record.deadline) == (NOW, NOW + seconds, NOW + 120)


def test_a_warning_from_a_clock_that_is_ahead_happens_now() -> None:
    response = answered(SPOT, node(), now=NOW - 45)
    assert response.record is not None
    assert (response.record.noticed, response.record.seen, response.record.deadline) == (NOW - 45, NOW - 45, NOW + 75)


def test_the_start_of_a_maintenance_is_an_instant_whatever_clock_sent_it() -> None:
    response = answered(CHANGE, node(), now=NOW - 45)
    assert response.record is not None
    assert response.record.deadline == NOW + DAY


# --- several events ---


@pytest.mark.parametrize("kind", list(Kind))
def test_the_same_event_again_changes_nothing_and_has_the_scan_look_once_more_at_doomed_nodes(kind: Kind) -> None:
    event = happening(kind)
    response = answered(event, after(event), now=NOW + 30)
    assert response == Response(wakes=kind is not Kind.REBALANCE, why="the event has been handled already")


def test_another_warning_of_the_same_kind_is_a_recorded_no_op() -> None:
    again = happening(Kind.SPOT_INTERRUPTION, event="another", at=NOW + 10)
    assert answered(again, after(SPOT), now=NOW + 10) == Response(why="the node is under SpotInterruption already")


def test_a_recommendation_after_the_warning_changes_nothing() -> None:
    assert answered(REBALANCE, after(SPOT)) == Response(why="the node is under SpotInterruption already")


def test_a_warning_after_the_recommendation_begins_the_drain() -> None:
    response = answered(SPOT, after(REBALANCE), now=NOW + 50)
    assert response.record is not None
    assert (response.record.kind, response.record.drains, response.record.seen) == (Kind.SPOT_INTERRUPTION, True, NOW + 50)
    assert (response.goes_on, response.wakes) == (True, True)


def test_an_earlier_end_counts_whichever_event_named_it() -> None:
    sooner = happening(Kind.RESERVATION_INTERRUPTION, deadline=NOW + 60)
    assert record(after(SPOT, sooner)).deadline == record(after(sooner, SPOT)).deadline == NOW + 60


def test_a_maintenance_that_began_long_ago_does_not_end_the_time_that_a_warning_leaves() -> None:
    begun = happening(Kind.SCHEDULED_CHANGE, deadline=NOW - DAY)
    assert record(after(begun, SPOT)).deadline == record(after(SPOT, begun)).deadline == NOW + 120


def test_an_update_of_a_scheduled_change_brings_it_forward() -> None:
    update = happening(Kind.SCHEDULED_CHANGE, deadline=NOW + 3600)
    assert record(after(CHANGE, update)).deadline == NOW + 3600
    assert record(after(update, CHANGE)).deadline == NOW + 3600


def test_a_lifecycle_action_on_a_node_that_drains_for_long_has_all_its_time() -> None:
    response = answered(happening(Kind.LIFECYCLE, at=NOW + DAY), after(CHANGE), now=NOW + DAY)
    assert response.record is not None
    assert (response.record.seen, response.record.hooks, response.goes_on) == (NOW + DAY, (HOOK,), True)


def test_a_warning_keeps_the_hook_that_waits() -> None:
    assert record(after(happening(Kind.LIFECYCLE), SPOT)).hooks == record(after(SPOT, happening(Kind.LIFECYCLE))).hooks == (HOOK,)


def test_of_two_hooks_both_wait_to_be_completed() -> None:
    first, second = (happening(Kind.LIFECYCLE, event=name, hook=Hook("workers", name, "t")) for name in ("a", "b"))
    assert record(after(first, second)).hooks == record(after(second, first)).hooks == tuple(Hook("workers", name, "t") for name in "ab")


def test_events_without_an_id_of_different_kinds_are_different() -> None:
    first, second = (msgspec.structs.replace(event, id="") for event in (REBALANCE, SPOT))
    assert is_doomed(after(first, second))


def test_a_cancelled_change_takes_its_own_mark_off() -> None:
    cancelled = happening(Kind.SCHEDULED_CHANGE, cancelled=True)
    response = answered(cancelled, after(CHANGE))
    assert (response.unmarks, response.wakes) == (True, True)
    left = after(CHANGE, cancelled)
    assert (record_of(left), left.unschedulable, left.taints) == (None, False, ())
    assert left.labels == node().labels


@pytest.mark.parametrize("before", [(), (SPOT,), (CHANGE, SPOT), (happening(Kind.SCHEDULED_CHANGE, event="other change"),)])
def test_a_cancelled_change_takes_no_other_mark_off(before: tuple[InstanceEvent, ...]) -> None:
    response = answered(happening(Kind.SCHEDULED_CHANGE, cancelled=True), after(*before))
    assert response == Response(why="the change was cancelled and the node does not wait for it")


_events = st.lists(
    st.builds(
        lambda kind, number, early: happening(
            kind,
            event=f"{kind}-{number}",
            at=NOW - 10 * number,
            **({"hook": Hook("workers", f"hook-{number}", "t")} if kind is Kind.LIFECYCLE else {}),
            **({"deadline": NOW + early} if kind is Kind.SCHEDULED_CHANGE else {}),
        ),
        st.sampled_from(list(Kind)),
        st.integers(0, 2),
        st.sampled_from([-DAY, 60.0, DAY]),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(_events, st.data())
def test_any_order_and_repetition_of_events_ends_in_the_same_record(events: list[InstanceEvent], data: st.DataObject) -> None:
    once = record(after(*events))
    again = data.draw(st.lists(st.sampled_from(events), max_size=4).flatmap(lambda more: st.permutations([*events, *more])))
    for order in (again, events[::-1]):
        other = record(after(*order))
        assert (other.drains, other.kind, other.deadline, other.hooks) == (once.drains, once.kind, once.deadline, once.hooks)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(_events)
def test_a_record_only_becomes_stricter(events: list[InstanceEvent]) -> None:
    order = list(Kind)
    records = [record(after(*events[: number + 1])) for number in range(len(events))]
    for earlier, later in pairwise(records):
        assert later.drains >= earlier.drains
        assert order.index(later.kind) <= order.index(earlier.kind) or not earlier.drains
        if earlier.is_taken_back and earlier.deadline is not None:
            assert later.deadline is not None
            assert later.deadline <= earlier.deadline


# --- marks ---


def test_a_doomed_node_is_tainted_cordoned_and_leaves_load_balancers_in_one_write() -> None:
    found = after(SPOT)
    assert found.taints == (taint(INTERRUPTION, value="SpotInterruption"),)
    assert (found.unschedulable, found.labels[EXCLUDE_FROM_LOAD_BALANCERS]) == (True, "true")
    assert record(found).cordoned
    assert (is_doomed(found), is_at_risk(found)) == (True, False)


def test_a_node_at_risk_is_tainted_and_keeps_its_connections() -> None:
    found = after(REBALANCE)
    assert found.taints == (taint(INTERRUPTION, value="RebalanceRecommendation"),)
    assert (found.unschedulable, EXCLUDE_FROM_LOAD_BALANCERS in found.labels) == (False, False)
    assert (is_doomed(found), is_at_risk(found)) == (False, True)


def test_a_managed_spot_node_is_cordoned_by_eks() -> None:
    found = after(SPOT, start=node(labels={NODEGROUP_LABEL: "workers"}))
    assert (record(found).waits_for_eks, found.unschedulable) == (True, False)


@pytest.mark.parametrize(
    "kind", [Kind.CAPACITY_BLOCK, Kind.RESERVATION_INTERRUPTION, Kind.SCHEDULED_CHANGE, Kind.STATE_CHANGE, Kind.LIFECYCLE]
)
def test_eks_drains_managed_nodes_for_spot_only(kind: Kind) -> None:
    found = after(happening(kind), start=node(labels={NODEGROUP_LABEL: "workers"}))
    assert (record(found).waits_for_eks, found.unschedulable) == (False, True)


def test_other_taints_stay_and_a_mark_that_is_there_is_replaced() -> None:
    team = taint("team", value="blue")
    found = after(REBALANCE, SPOT, start=node(taints=(team,)))
    assert found.taints == (team, taint(INTERRUPTION, value="SpotInterruption"))
    assert after(CHANGE, happening(Kind.SCHEDULED_CHANGE, cancelled=True), start=node(taints=(team,))).taints == (team,)


def test_a_patch_is_a_compare_and_set() -> None:
    response = answered(SPOT, node())
    assert response.record is not None
    assert json.loads(mark_patch(node(resource_version="7"), response.record))["metadata"]["resourceVersion"] == "7"


def test_who_cordoned_a_node_before_keeps_it_cordoned() -> None:
    cancelled = happening(Kind.SCHEDULED_CHANGE, cancelled=True)
    assert after(CHANGE, cancelled, start=node(unschedulable=True)).unschedulable
    assert not after(CHANGE, cancelled).unschedulable


def test_the_decision_sees_a_mark_as_the_api_server_will_have_it() -> None:
    response = answered(SPOT, node())
    assert response.record is not None
    imagined, real = marked(node(), response.record), after(SPOT)
    assert (imagined.taints, imagined.unschedulable) == (real.taints, real.unschedulable)


def test_an_answer_to_an_earlier_mark_does_not_count_for_a_new_one() -> None:
    old = node(annotations={ANSWER: msgspec.json.encode(Answer("asked")).decode()})
    assert answer_of(old) == Answer("asked")
    assert answer_of(after(SPOT, start=old)) is None
    kept = after(REBALANCE, start=node())
    kept = msgspec.structs.replace(kept, annotations={**kept.annotations, ANSWER: old.annotations[ANSWER]})
    assert answer_of(after(SPOT, start=kept)) == Answer("asked")


@pytest.mark.parametrize("text", ["?", "[]", '{"kind": "Storm"}', '{"kind": "SpotInterruption"}', ""])
def test_what_somebody_else_wrote_into_the_annotation_is_no_record(text: str) -> None:
    strange = node(annotations={INTERRUPTION: text, ANSWER: text})
    assert (record_of(strange), answer_of(strange), is_doomed(strange), is_at_risk(strange)) == (None, None, False, False)
    assert is_doomed(after(SPOT, start=strange))


def _in_removal() -> Node:
    """A node whose removal the scan has begun: tainted, and cordoned by it."""
    note = {RECORD_ANNOTATION: msgspec.json.encode(RemovalRecord(cordoned=True)).decode()}
    return node(taints=(taint(TO_BE_DELETED_TAINT, value=str(int(NOW))),), annotations=note, unschedulable=True)


def test_a_removal_that_is_taken_back_keeps_a_doomed_node_cordoned() -> None:
    doomed = after(SPOT, start=_in_removal())
    left = patched(doomed, roll_back_patch(doomed, options()))
    assert (left.unschedulable, is_doomed(left)) == (True, True)
    assert [item.key for item in left.taints] == [INTERRUPTION]
    at_risk = after(REBALANCE, start=_in_removal())
    assert not patched(at_risk, roll_back_patch(at_risk, options())).unschedulable


def test_the_cordon_of_a_removal_goes_with_the_mark_once_the_removal_is_taken_back() -> None:
    doomed = after(CHANGE, start=_in_removal())
    left = patched(doomed, roll_back_patch(doomed, options()))
    assert not after(happening(Kind.SCHEDULED_CHANGE, cancelled=True), start=left).unschedulable
