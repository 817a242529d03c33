"""The step that is due for a node under interruption, from what the node shows."""

from typing import Any

import msgspec
import pytest

from lambda_autoscaler.core.events import Hook, Kind
from lambda_autoscaler.core.interruption import ANSWER, INTERRUPTION, Answer, InterruptionRecord
from lambda_autoscaler.core.interruption_steps import Act, NodeStep, next_step
from lambda_autoscaler.core.kubernetes import Toleration
from lambda_autoscaler.core.model import Node, PodRef, PodSet, PodShape
from tests.build import NOW, daemon_pod, node, rs, shape, waiting

WEB = shape(100, 100, controller=rs("web"))
CRITICAL = shape(100, 100, controller=rs("dns"), priority=2_000_000_000)
SLOW = shape(100, 100, controller=rs("slow"), grace_seconds=120)
STATIC = shape(100, 100, annotations=(("kubernetes.io/config.source", "file"),))
MIRROR = shape(100, 100, annotations=(("kubernetes.io/config.mirror", "true"),))
HOOK = Hook("workers", "drain", "token")
ROOM, ASKED, NONE = Answer("room"), Answer("asked"), Answer("none")
NONE_OF_IT = Answer("none", ("default/pod-0",))


def spot(ago: float = 20.0, **fields: Any) -> InterruptionRecord:
    """The record of a warning that came so many seconds ago."""
    return InterruptionRecord(Kind.SPOT_INTERRUPTION, "e", NOW - ago, NOW - ago, **{"deadline": NOW - ago + 120, **fields})


def under(kind: Kind, ago: float = 20.0, **fields: Any) -> InterruptionRecord:
    return InterruptionRecord(kind, "e", NOW - ago, NOW - ago, **fields)


def doomed(record: InterruptionRecord, *holds: PodSet, answer: Answer | None = ROOM, unschedulable: bool = True) -> Node:
    notes = {INTERRUPTION: msgspec.json.encode(record).decode()}
    if answer is not None:
        notes[ANSWER] = msgspec.json.encode(answer).decode()
    return node(holds=holds, annotations=notes, unschedulable=unschedulable)


def due(record: InterruptionRecord, *holds: PodSet, now: float = NOW, **fields: Any) -> NodeStep:
    return next_step(doomed(record, *holds, **fields), now)


def ending(of: PodShape, ends: float, name: str = "pod") -> PodSet:
    """A pod that ends at an instant."""
    terminating = msgspec.structs.replace(of, terminating=True)
    return PodSet(terminating, (PodRef(f"{name}-0", f"uid-{name}-0", NOW - 3600, deletion=ends),))


def evicted(step: NodeStep) -> dict[str, int]:
    """Evicted pods and the grace they get."""
    return {item.pod: item.grace_seconds for item in step.evictions}


def deleted(step: NodeStep) -> dict[str, int]:
    return {item.pod: item.grace_seconds for item in step.deletions}


# --- who is waited for ---


def test_a_node_without_a_mark_needs_nothing() -> None:
    assert next_step(node(holds=[waiting(WEB)]), NOW) == NodeStep(Act.DONE, "the node is not under interruption")


def test_a_node_at_risk_is_looked_at_once_a_minute() -> None:
    step = due(under(Kind.REBALANCE, drains=False), waiting(WEB))
    assert (step.act, step.pause, step.evictions) == (Act.WAIT, 60.0, ())


@pytest.mark.parametrize(("ago", "act"), [(0, Act.WAIT), (14, Act.WAIT), (15, Act.EVICT)])
def test_capacity_is_asked_for_first_within_fifteen_seconds(ago: float, act: Act) -> None:
    step = due(spot(ago), waiting(WEB), answer=None)
    assert step.act is act
    assert step.pause == (2.0 if act is Act.WAIT else 5.0)


@pytest.mark.parametrize("answer", [ROOM, ASKED])
def test_with_the_answer_pods_are_evicted_at_once(answer: Answer) -> None:
    step = due(spot(1), waiting(WEB, 2), answer=answer)
    assert (step.act, evicted(step), step.left) == (Act.EVICT, {"pod-0": 30, "pod-1": 30}, 2)
    assert step.record is not None
    assert step.record.evicting == NOW


def test_where_little_time_is_left_a_quarter_of_it_is_waited() -> None:
    late = spot(ago=6, deadline=NOW + 14)
    assert due(late, waiting(WEB), answer=None).act is Act.EVICT
    assert due(late, waiting(WEB), answer=None, now=NOW - 2).act is Act.WAIT


def test_where_the_instance_ends_already_nothing_is_waited_for() -> None:
    assert due(under(Kind.STATE_CHANGE, ago=0, deadline=NOW), waiting(WEB), answer=None).act is Act.EVICT


# --- which pods ---


@pytest.mark.parametrize("stays", [daemon_pod(), STATIC, MIRROR])
def test_daemon_set_and_static_pods_end_with_the_node(stays: PodShape) -> None:
    step = due(spot(), waiting(stays, name="stays"), waiting(WEB))
    assert (evicted(step), step.left) == ({"pod-0": 30}, 1)


def test_of_a_daemon_set_s_pod_a_replica_set_s_and_a_bare_one_two_are_moved() -> None:
    step = due(spot(), waiting(daemon_pod(), name="agent"), waiting(WEB, name="web"), waiting(shape(100, 100), name="bare"))
    assert set(evicted(step)) == {"web-0", "bare-0"}


@pytest.mark.parametrize(
    "toleration",
    [
        Toleration(key=INTERRUPTION, operator="Exists"),
        Toleration(key=INTERRUPTION, operator="Equal", value="SpotInterruption", effect="NoSchedule"),
        Toleration(operator="Exists"),
    ],
)
def test_a_pod_that_tolerates_the_mark_chose_to_stay(toleration: Toleration) -> None:
    tolerant = shape(100, 100, tolerations=(toleration,))
    assert due(spot(), waiting(tolerant), answer=ASKED).act is Act.GIVE_BACK


def test_a_pod_that_tolerates_another_kind_of_mark_is_moved() -> None:
    other = shape(100, 100, tolerations=(Toleration(key=INTERRUPTION, operator="Equal", value="CapacityBlockExpiration"),))
    assert due(spot(), waiting(other)).act is Act.EVICT


def test_critical_pods_are_evicted_after_the_others_have_ended() -> None:
    both = (waiting(WEB, name="web"), waiting(CRITICAL, name="dns"))
    assert set(evicted(due(spot(), *both))) == {"web-0"}
    assert set(evicted(due(spot(), ending(WEB, NOW + 20, "web"), both[1]))) == set()
    assert set(evicted(due(spot(), both[1]))) == {"dns-0"}


def test_critical_pods_do_not_wait_longer_than_45_seconds() -> None:
    assert set(evicted(due(spot(ago=45), ending(WEB, NOW + 20, "web"), waiting(CRITICAL, name="dns")))) == {"dns-0"}


def test_a_pod_without_another_place_stays_until_the_time_it_needs_to_end() -> None:
    pods = (waiting(WEB, 2),)
    homeless = Answer("room", homeless=("default/pod-1",))
    step = due(spot(), *pods, answer=homeless)
    assert (evicted(step), step.why) == ({"pod-0": 30}, "2 pods have not ended; default/pod-1 has no other place and stays until the end")
    late = due(spot(ago=85), *pods, answer=homeless)
    assert (evicted(late), deleted(late)) == ({}, {"pod-0": 30, "pod-1": 30})


def test_when_no_pod_has_another_place_the_node_waits() -> None:
    step = due(spot(), waiting(WEB), answer=Answer("none", homeless=("default/pod-0",)))
    assert (step.act, step.pause, step.record) == (Act.WAIT, 5.0, None)


def test_a_homeless_pod_does_not_hold_back_a_critical_one() -> None:
    homeless = Answer("room", homeless=("default/web-0",))
    assert set(evicted(due(spot(), waiting(WEB, name="web"), waiting(CRITICAL, name="dns"), answer=homeless))) == {"dns-0"}


# --- the end of the machine ---


def test_a_pod_is_evicted_until_the_time_it_needs_and_deleted_then() -> None:
    before, then = due(spot(ago=84), waiting(WEB)), due(spot(ago=85), waiting(WEB))
    assert (evicted(before), deleted(before)) == ({"pod-0": 30}, {})
    assert (evicted(then), deleted(then)) == ({}, {"pod-0": 30})


def test_a_pod_that_ends_at_once_is_deleted_before_time_is_over_too() -> None:
    quick = shape(100, 100, grace_seconds=0)
    assert deleted(due(spot(ago=109), waiting(quick), answer=NONE_OF_IT)) == {}
    assert deleted(due(spot(ago=110), waiting(quick), answer=NONE_OF_IT)) == {"pod-0": 1}


@pytest.mark.parametrize(("ago", "pause"), [(79, 5.0), (82, 3.0), (84.5, 0.5), (85, 5.0)])
def test_no_step_oversleeps_the_moment_in_which_a_pod_must_begin_to_end(ago: float, pause: float) -> None:
    assert due(spot(ago=ago), waiting(WEB)).pause == pause


def test_a_pod_that_asks_for_more_time_than_there_is_is_deleted_as_soon_as_the_scan_has_answered() -> None:
    """Deadline in 60 s, grace 120 s: whatever its budget says, it ends before the machine does."""
    step = due(spot(ago=0, deadline=NOW + 60), waiting(SLOW))
    assert (evicted(step), deleted(step)) == ({}, {"pod-0": 55})


def test_a_pod_whose_grace_is_all_the_time_there_is_is_deleted_at_once() -> None:
    step = due(spot(ago=0, deadline=NOW + 300), waiting(shape(100, 100, grace_seconds=300)))
    assert deleted(step) == {"pod-0": 295}


def test_a_pod_that_would_end_after_the_machine_is_told_to_end_sooner() -> None:
    """Ending with a grace of 6,000 s, 210 s before the deadline."""
    slow = shape(100, 100, grace_seconds=6000)
    step = due(spot(ago=90, deadline=NOW + 210), ending(slow, NOW + 5900))
    assert deleted(step) == {"pod-0": 205}
    shortened = due(spot(ago=90, deadline=NOW + 210), ending(slow, NOW + 205))
    assert (shortened.act, shortened.deletions) == (Act.WAIT, ())


def test_a_critical_pod_with_a_long_grace_does_not_wait_for_its_tier() -> None:
    slow = msgspec.structs.replace(CRITICAL, grace_seconds=600)
    step = due(spot(ago=0, deadline=NOW + 300), waiting(slow, name="dns"), ending(WEB, NOW + 30, "web"))
    assert deleted(step) == {"dns-0": 295}


def test_the_grace_of_a_deletion_is_never_zero() -> None:
    step = due(spot(ago=100, deadline=NOW + 5.5), waiting(WEB))
    assert deleted(step) == {"pod-0": 1}


def test_after_the_deadline_nothing_is_evicted_and_the_pods_left_are_told_of() -> None:
    step = due(spot(ago=3720), waiting(SLOW))
    assert step == NodeStep(Act.DONE, "time is over with 1 pods left", left=1)


def test_hibernation_begins_with_the_warning() -> None:
    assert due(spot(ago=0, deadline=NOW), waiting(WEB)).act is Act.DONE


@pytest.mark.parametrize("kind", [Kind.SCHEDULED_CHANGE, Kind.REBALANCE, Kind.LIFECYCLE])
def test_where_no_machine_ends_budgets_are_kept(kind: Kind) -> None:
    hooks = (HOOK,) if kind is Kind.LIFECYCLE else ()
    step = due(under(kind, ago=600, deadline=NOW - 100 if kind is Kind.SCHEDULED_CHANGE else None, hooks=hooks), waiting(SLOW))
    assert (evicted(step), deleted(step)) == ({"pod-0": 120}, {})


@pytest.mark.parametrize(
    ("record", "pause"),
    [
        (spot(), 5.0),
        (under(Kind.CAPACITY_BLOCK, deadline=NOW + 600), 5.0),
        (under(Kind.SCHEDULED_CHANGE, deadline=NOW + 86_400), 30.0),
        (under(Kind.REBALANCE, ago=119), 5.0),
        (under(Kind.REBALANCE, ago=121), 30.0),
        (under(Kind.LIFECYCLE, hooks=(HOOK,)), 5.0),
        (under(Kind.STATE_CHANGE), 5.0),
    ],
)
def test_where_there_is_time_steps_are_further_apart(record: InterruptionRecord, pause: float) -> None:
    assert due(record, waiting(WEB)).pause == pause


# --- handing back ---


def test_an_empty_node_whose_capacity_was_asked_for_is_handed_back_with_its_capacity() -> None:
    step = due(spot(), answer=ASKED)
    assert (step.act, step.decrements, step.left) == (Act.GIVE_BACK, True, 0)
    assert step.record is not None
    assert step.record.given_back == NOW


def test_an_empty_node_whose_pods_had_room_is_replaced_by_its_group() -> None:
    assert (due(spot()).act, due(spot()).decrements) == (Act.GIVE_BACK, False)
    unanswered = due(spot(ago=101), answer=None)
    assert (unanswered.act, unanswered.decrements) == (Act.GIVE_BACK, False)


@pytest.mark.parametrize("ago", [3, 20, 99])
def test_an_empty_node_waits_for_the_answer_of_the_next_scan_too(ago: float) -> None:
    assert due(spot(ago=ago), answer=None).act is Act.WAIT


def test_where_no_machine_ends_the_answer_is_waited_for_until_two_scans_were_due() -> None:
    assert due(under(Kind.SCHEDULED_CHANGE, ago=89), answer=None).act is Act.WAIT
    assert due(under(Kind.SCHEDULED_CHANGE, ago=90), answer=None).act is Act.GIVE_BACK


def test_ending_pods_are_waited_for() -> None:
    step = due(spot(), ending(WEB, NOW + 10), answer=ASKED)
    assert (step.act, step.left, step.why) == (Act.WAIT, 1, "1 pods have not ended")


def test_capacity_that_was_asked_for_in_its_place_is_given_up_even_with_pods_left() -> None:
    step = due(spot(ago=116), ending(WEB, NOW + 3), answer=ASKED)
    assert (step.act, step.decrements, step.left) == (Act.GIVE_BACK, True, 1)


def test_an_instance_is_handed_back_with_its_capacity_once_and_asked_to_go_once_more_when_it_stays() -> None:
    soon = due(spot(ago=60, given_back=NOW - 5), answer=ASKED)
    assert (soon.act, soon.pause) == (Act.WAIT, 15.0)
    later = due(spot(ago=60, given_back=NOW - 20), answer=ASKED)
    assert (later.act, later.decrements, later.record, later.pause) == (Act.GIVE_BACK, False, None, 0.0)


def test_the_lifecycle_action_of_an_instance_that_was_handed_back_is_completed_at_once() -> None:
    step = due(spot(ago=60, given_back=NOW - 1, hooks=(HOOK,)), answer=ASKED)
    assert (step.act, step.why, step.left) == (Act.COMPLETE, "empty", 0)


def test_an_instance_that_is_to_be_rebooted_or_retired_is_replaced_instead() -> None:
    change = under(Kind.SCHEDULED_CHANGE, deadline=NOW + 86_400)
    assert (due(change).act, due(change).decrements) == (Act.GIVE_BACK, False)
    assert (due(change, answer=ASKED).act, due(change, answer=ASKED).decrements) == (Act.GIVE_BACK, True)


def test_a_node_that_ends_anyhow_is_not_handed_back() -> None:
    assert due(under(Kind.STATE_CHANGE), answer=ASKED).act is Act.DONE
    assert due(under(Kind.STATE_CHANGE, ago=60), waiting(WEB)) == NodeStep(Act.DONE, "time is over with 1 pods left", left=1)


# --- lifecycle actions ---


@pytest.mark.parametrize("record", [under(Kind.LIFECYCLE, hooks=(HOOK,)), spot(hooks=(HOOK,))])
def test_the_lifecycle_action_is_completed_when_the_node_is_empty(record: InterruptionRecord) -> None:
    assert (due(record).act, due(record, answer=None).act) == (Act.COMPLETE, Act.COMPLETE)


def test_the_lifecycle_action_is_completed_when_time_is_over() -> None:
    assert due(under(Kind.LIFECYCLE, ago=899, hooks=(HOOK,)), waiting(WEB)).act is Act.EVICT
    step = due(under(Kind.LIFECYCLE, ago=900, hooks=(HOOK,)), waiting(WEB))
    assert (step.act, step.left) == (Act.COMPLETE, 1)
    assert due(spot(ago=115, hooks=(HOOK,)), waiting(WEB)).act is Act.COMPLETE


# --- managed nodes ---


def watched(ago: float, *holds: PodSet, **fields: Any) -> NodeStep:
    return due(spot(ago, managed=True), *holds, **fields)


def test_eks_is_given_twenty_seconds_to_cordon() -> None:
    assert watched(19, waiting(WEB), unschedulable=False) == NodeStep(Act.WAIT, "EKS is to drain it", 5.0)
    step = watched(20, waiting(WEB), unschedulable=False)
    assert (step.act, step.pause, step.evictions) == (Act.WAIT, 2.0, ())
    assert step.record is not None
    assert step.record.taken_over


def test_eks_at_work_is_left_alone_until_45_seconds_before_the_end() -> None:
    assert watched(74, waiting(WEB)) == NodeStep(Act.WAIT, "EKS drains it", 5.0)
    assert watched(74, ending(WEB, NOW + 20), unschedulable=False).why == "EKS drains it"
    step = watched(75, waiting(WEB))
    assert step.record is not None
    assert step.record.taken_over


def test_a_drain_that_was_taken_over_goes_on_as_any_other() -> None:
    step = due(spot(76, managed=True, taken_over=True), waiting(WEB))
    assert evicted(step) == {"pod-0": 30}


def test_an_empty_managed_node_is_left_to_eks_unless_capacity_was_asked_for() -> None:
    assert watched(30).act is Act.DONE
    assert (watched(30, answer=ASKED).act, watched(30, answer=ASKED).decrements) == (Act.GIVE_BACK, True)


def test_a_managed_node_that_was_cordoned_before_is_not_taken_for_one_that_eks_drains() -> None:
    before, since = (spot(ago=30, managed=True, found_cordoned=found) for found in (True, False))
    assert due(before, waiting(WEB), answer=ASKED, unschedulable=True).record is not None
    assert due(since, waiting(WEB), answer=ASKED, unschedulable=True).record is None


def test_where_no_pod_has_a_place_none_is_evicted_however_many_are_named() -> None:
    nowhere = Answer("none", ("default/another",))
    assert evicted(due(spot(ago=5), waiting(WEB), answer=nowhere)) == {}
