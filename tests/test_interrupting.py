"""The interruption function message by message: each ends in exactly one effect or a recorded no-op."""

import json
from typing import Any

import pytest

from lambda_autoscaler.core.interruption import EXCLUDE_FROM_LOAD_BALANCERS, INTERRUPTION, NODEGROUP_LABEL
from lambda_autoscaler.ports import BadInput, Busy, Conflict, Denied, NotFound, Refused, Throttled, Unavailable, Unreachable
from tests.build import NOW
from tests.ec2_events import (
    INSTANCE,
    OTHER,
    RESERVATION,
    THIRD,
    capacity_block,
    event,
    health,
    lifecycle,
    notification,
    rebalance,
    reservation,
    spot,
    state,
)
from tests.interrupted_cluster import InterruptedCluster

AT_MINIMUM = "Currently, desiredSize equals minSize (1). Terminating instance without replacement will violate group's min size constraint."
WRITES = ("patch", "evict", "delete pod", "delete node", "terminate", "terminate and shrink", "complete", "heartbeat")


def cluster(*pods: str, labels: dict[str, str] | None = None, **flags: str) -> InterruptedCluster:
    """Node n1 with pods."""
    made = InterruptedCluster(**flags)
    made.add_node(labels=labels)
    for pod in pods:
        made.add_pod(pod)
    return made


def draining(message: Any, *pods: str, answer: str = "asked", **fields: Any) -> InterruptedCluster:
    """A node whose event has been handled and answered."""
    made = cluster(*pods, **fields)
    made.take(message)
    made.answer(answer)
    made.calls.clear()
    made.notices.clear()
    return made


# --- marking ---


def test_a_warning_marks_the_node_in_one_write_and_wakes_the_scan_after_its_reminder_is_safe() -> None:
    found = cluster("web-0")
    found.take(spot())
    assert found.calls == [("again", "n1"), ("patch", "n1"), ("wake", "")]
    spec, metadata = found.nodes["n1"]["spec"], found.nodes["n1"]["metadata"]
    assert spec["taints"] == [{"key": INTERRUPTION, "value": "SpotInterruption", "effect": "NoSchedule"}]
    assert (spec["unschedulable"], metadata["labels"][EXCLUDE_FROM_LOAD_BALANCERS]) == (True, "true")
    assert (found.mark()["deadline"], found.reminders[0][1]) == (NOW + 120, 2)
    assert found.reasons() == ["SpotInterruption", "CordonAndDrain"]
    assert found.metrics["interruption_received_total_SpotInterruption"] == 1


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (spot(), "SpotInterruption"),
        (spot(time=""), "SpotInterruption"),
        (reservation(resources=f"arn:aws:ec2:eu-central-1:210987654321:instance/{INSTANCE}"), "CapacityReservationInterruption"),
        (lifecycle(), "ASGLifecycle"),
        (notification(), "ASGLifecycle"),
        (state("stopping"), "StateChange"),
        (state("shutting-down"), "StateChange"),
        (health(INSTANCE), "ScheduledEvent"),
        (rebalance(), "RebalanceRecommendation"),
    ],
)
def test_every_kind_of_event_marks_its_node_and_says_so(message: Any, kind: str) -> None:
    found = cluster("web-0")
    found.take(message)
    assert found.mark()["kind"] == kind
    assert found.reasons() == [kind, "Cordon" if kind == "RebalanceRecommendation" else "CordonAndDrain"]


def test_a_recommendation_only_marks() -> None:
    found = cluster("web-0")
    found.take(rebalance())
    assert found.calls == [("patch", "n1")]
    assert "unschedulable" not in found.nodes["n1"]["spec"]


@pytest.mark.parametrize("name", ["stopped", "terminated"])
def test_the_node_of_an_instance_that_is_gone_is_deleted(name: str) -> None:
    found = cluster("web-0")
    found.take(state(name))
    assert found.done(*WRITES, "wake") == [("delete node", "n1"), ("wake", "")]
    assert (found.reasons(), found.metrics) == (["DeletingNode"], {"interruption_pods_lost_total": 1.0})


def test_the_four_states_of_the_end_are_answered_on_four_nodes() -> None:
    found = InterruptedCluster()
    names = ("terminated", "stopped", "stopping", "shutting-down")
    for number in range(len(names)):
        found.add_node(f"n{number}", f"i-0000000{number}")
    for number, name in enumerate(names):
        found.take(state(name, f"i-0000000{number}"))
    assert set(found.nodes) == {"n2", "n3"}
    assert {found.mark(name)["kind"] for name in found.nodes} == {"StateChange"}


def test_a_scheduled_change_of_three_instances_marks_three_nodes() -> None:
    found = InterruptedCluster()
    for name, instance in (("n1", INSTANCE), ("n2", OTHER), ("n3", THIRD)):
        found.add_node(name, instance)
    found.take(health(INSTANCE, OTHER, THIRD))
    assert [found.mark(name)["kind"] for name in found.nodes] == ["ScheduledEvent"] * 3
    assert len(found.done("wake")) == 1


def test_a_closed_change_gives_the_node_back_to_pods() -> None:
    found = draining(health(INSTANCE))
    found.take(health(INSTANCE, statusCode="closed"))
    spec, metadata = found.nodes["n1"]["spec"], found.nodes["n1"]["metadata"]
    assert (spec["taints"], "unschedulable" in spec, metadata["annotations"]) == ([], False, {})
    assert EXCLUDE_FROM_LOAD_BALANCERS not in metadata["labels"]
    assert found.reasons() == ["Uncordon"]
    found.remind(61)
    assert found.reminders == []


def test_a_label_that_somebody_else_put_on_the_node_stays() -> None:
    found = cluster("web-0", labels={EXCLUDE_FROM_LOAD_BALANCERS: "true"})
    found.take(health(INSTANCE))
    found.take(health(INSTANCE, statusCode="closed"))
    assert found.nodes["n1"]["metadata"]["labels"][EXCLUDE_FROM_LOAD_BALANCERS] == "true"


def test_a_reminder_that_is_there_before_the_mark_comes_again() -> None:
    found = cluster("web-0")
    found.take(spot())
    written = found.nodes["n1"]["metadata"].pop("annotations")
    found.remind(2)
    assert [seconds for _, seconds in found.reminders] == [3]
    found.nodes["n1"]["metadata"]["annotations"] = written
    found.answer("room")
    found.remind(3)
    assert found.done("evict") == [("evict", "web-0")]


def test_a_message_that_is_handled_again_after_conflicts_begins_no_second_series_of_steps() -> None:
    found = cluster("web-0")
    found.failing["patch"] = [Conflict("a"), Conflict("b")]
    with pytest.raises(Conflict):
        found.take(spot())
    found.now += 1
    found.take(spot())
    assert len(found.reminders) == 2
    found.remind(1)
    assert len(found.reminders) == 1


def test_every_lifecycle_action_of_an_instance_is_kept_waiting_and_completed() -> None:
    one, two = lifecycle(), lifecycle(id="other")
    two["detail"]["LifecycleHookName"] = "upload-logs"
    found = cluster("web-0")
    found.take(one)
    found.now += 1
    found.take(two)
    found.pods.clear()
    while found.reminders:
        found.remind(31)
    assert len(found.done("complete")) == 2


@pytest.mark.parametrize("origin", ["AutoScalingGroup", "WarmPool"])
def test_the_lifecycle_action_of_an_instance_without_a_node_need_not_wait(origin: str) -> None:
    found = InterruptedCluster()
    message = lifecycle()
    message["detail"]["Origin"] = origin
    found.take(message)
    assert len(found.done("complete")) == 1
    found.groups_of_cluster = ()
    found.take(lifecycle(id="other"))
    assert (len(found.done("complete")), found.reminders) == (1, [])


def test_a_node_that_scale_down_was_removing_is_not_replaced() -> None:
    found = cluster()
    found.nodes["n1"]["spec"]["taints"] = [{"key": "ToBeDeletedByClusterAutoscaler", "value": str(int(NOW)), "effect": "NoSchedule"}]
    found.take(spot())
    found.answer("room")
    found.remind(2)
    assert found.done("terminate and shrink") == [("terminate and shrink", INSTANCE)]


def test_the_end_of_a_capacity_block_marks_every_node_of_it() -> None:
    found = InterruptedCluster()
    found.add_node("n1", INSTANCE)
    found.add_node("n2", OTHER)
    found.reservations[RESERVATION] = [INSTANCE, OTHER, THIRD]
    found.take(capacity_block(NOW + 2400))
    assert [(found.mark(name)["kind"], found.mark(name)["deadline"]) for name in found.nodes] == [
        ("CapacityBlockExpiration", NOW + 600)
    ] * 2


def test_a_failed_launch_wakes_the_scan() -> None:
    found = cluster()
    found.take(
        event(
            "EC2 Instance Launch Unsuccessful",
            {"AutoScalingGroupName": "workers", "StatusMessage": "no capacity"},
            source="aws.autoscaling",
        )
    )
    assert found.calls == [("wake", "")]
    assert found.lines == [{"kind": "LaunchFailed", "group": "workers", "why": "no capacity"}]


def test_three_events_of_one_batch_are_three_effects_and_one_scan() -> None:
    found = InterruptedCluster()
    for name, instance in (("n1", INSTANCE), ("n2", OTHER), ("n3", THIRD)):
        found.add_node(name, instance)
    for message in (spot(INSTANCE), lifecycle(OTHER), rebalance(THIRD)):
        found.interrupter.take(json.dumps(message))
    found.interrupter.finish()
    found.interrupter.finish()
    assert [found.mark(name)["kind"] for name in found.nodes] == ["SpotInterruption", "ASGLifecycle", "RebalanceRecommendation"]
    assert len(found.done("wake")) == 1


def test_a_hundred_warnings_mark_a_hundred_nodes_with_one_list() -> None:
    found = InterruptedCluster()
    for number in range(100):
        found.add_node(f"n{number}", f"i-{number:017x}")
    for number in range(100):
        found.take(spot(f"i-{number:017x}"))
    assert all(found.mark(name)["kind"] == "SpotInterruption" for name in found.nodes)
    assert found.lists == 1


# --- recorded no-ops ---


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (spot(OTHER), f"instance {OTHER} is no node of this cluster"),
        (spot(account="123456789012"), "it is about account 123456789012, not 210987654321"),
        (state("running"), "instance state 'running' needs no answer"),
        (health(INSTANCE, service="RDS"), "AWS Health tells of RDS scheduledChange, not of a scheduled change of EC2"),
        (health(INSTANCE, statusCode="closed"), "the change was cancelled and the node does not wait for it"),
        (spot(at=NOW - 721), "the warning is 721 s old and the instance is still there"),
        ({"Event": "autoscaling:TEST_NOTIFICATION"}, "Auto Scaling tests its notifications"),
    ],
)
def test_what_needs_no_answer_is_recorded_and_does_nothing(message: Any, why: str) -> None:
    found = cluster("web-0")
    found.take(message)
    assert found.calls == []
    assert [line["why"] for line in found.lines] == [why]
    assert found.metrics == {"interruption_ignored_total": 1.0}


@pytest.mark.parametrize("provider_id", [f"aws:/{INSTANCE}", f"us-east-1a/{INSTANCE}", f"aws:///us-east-1a/{INSTANCE}/more", "kind://n1"])
def test_only_nodes_with_the_provider_id_of_an_instance_are_found(provider_id: str) -> None:
    found = InterruptedCluster()
    found.add_node(provider_id=provider_id)
    found.take(spot())
    assert found.calls == []


def test_an_empty_cluster_is_asked_once_in_a_while_for_instances_of_others() -> None:
    found = InterruptedCluster()
    for _ in range(10):
        found.take(state("stopping", OTHER))
    assert found.lists == 1
    found.now += 15
    found.take(state("stopping", OTHER))
    assert found.lists == 2


def test_a_node_that_has_just_come_is_found() -> None:
    found = InterruptedCluster()
    found.take(spot())
    found.add_node()
    found.now += 2
    found.take(spot())
    assert found.mark()["kind"] == "SpotInterruption"


def test_a_node_whose_name_another_instance_has_now_is_left_alone() -> None:
    found = cluster()
    found.take(rebalance())
    found.add_node("n1", OTHER)
    found.calls.clear()
    found.take(state("terminated"))
    assert (found.calls, list(found.nodes)) == ([], ["n1"])


@pytest.mark.parametrize("body", ["?", "", "{}", "[]"])
def test_a_message_that_cannot_be_read_fails_and_touches_nothing(body: str) -> None:
    found = cluster("web-0")
    with pytest.raises(BadInput, match="a message of the interruption queue cannot be used"):
        found.take(body)
    assert found.calls == []


def test_the_same_warning_again_marks_nothing_and_wakes_the_scan_once_more() -> None:
    found = draining(spot(), "web-0")
    found.take(spot())
    assert found.calls == [("wake", "")]
    assert found.lines[-1]["why"] == "the event has been handled already"


@pytest.mark.parametrize("messages", [(rebalance(), spot()), (spot(), rebalance()), (rebalance(), spot(), rebalance(), spot())])
def test_recommendation_and_warning_are_one_drain_in_any_order(messages: tuple[Any, ...]) -> None:
    found = cluster("web-0")
    for message in messages:
        found.take(message)
    assert (found.mark()["kind"], found.mark()["deadline"]) == ("SpotInterruption", NOW + 120)
    assert len(found.reminders) == 1


def test_a_warning_after_the_node_is_gone_is_a_no_op() -> None:
    found = draining(spot(), "web-0")
    found.take(state("terminated"))
    found.calls.clear()
    found.take(spot())
    assert found.calls == []
    found.remind()
    assert (found.calls, found.reminders) == ([], [])


def test_a_warning_after_the_drain_has_finished_begins_no_second_one() -> None:
    found = draining(spot())
    found.remind(2)
    assert found.done(*WRITES) == [("patch", "n1"), ("terminate and shrink", INSTANCE)]
    found.calls.clear()
    found.take(spot())
    found.take(spot(id="another"))
    assert found.done(*WRITES, "again") == []


# --- whose message it is ---


def reminder_of(cluster: str) -> dict[str, Any]:
    detail = {"node": "n1", "instance": INSTANCE, "beat": 0, "cluster": cluster}
    return event("Interruption Continues", detail, source="eks-autoscaling")


@pytest.mark.parametrize(
    ("message", "owns"),
    [
        (spot(), True),
        (spot(OTHER), False),
        (health(INSTANCE, OTHER), False),
        (capacity_block(NOW + 2400), True),
        (spot(account="123456789012"), True),
        (event("EC2 Instance Launch Unsuccessful", {"AutoScalingGroupName": "workers"}, source="aws.autoscaling"), False),
        (reminder_of("prod"), True),
        (reminder_of("other"), False),
        (reminder_of(""), False),
    ],
)
def test_a_message_is_ones_own_unless_another_cluster_may_have_to_answer_it(message: Any, owns: bool) -> None:
    found = cluster("web-0", cluster_name="prod")
    found.reservations[RESERVATION] = [INSTANCE]
    assert found.interrupter.take(json.dumps(message)) is owns


# --- faults while marking ---


@pytest.mark.parametrize("fault", [Unreachable("no answer"), Throttled("later"), Refused("500")])
def test_a_node_that_cannot_be_read_keeps_the_message(fault: Any) -> None:
    found = cluster("web-0")
    found.failing["list"] = [fault]
    with pytest.raises(type(fault)):
        found.take(spot())
    found.take(spot())
    assert found.mark()["kind"] == "SpotInterruption"


def test_a_reservation_that_cannot_be_described_keeps_the_message() -> None:
    found = cluster()
    found.failing["describe"] = [Throttled("later")]
    with pytest.raises(Throttled):
        found.take(capacity_block(NOW + 2400))


def test_an_invocation_that_dies_between_reminder_and_mark_is_made_good_by_the_next() -> None:
    found = cluster("web-0")
    found.failing["patch"] = [Unreachable("no answer")]
    with pytest.raises(Unreachable):
        found.take(spot())
    assert (found.mark(), len(found.reminders)) == ({}, 1)
    found.remind(2)
    assert found.done(*WRITES) == []
    found.take(spot())
    assert found.mark()["kind"] == "SpotInterruption"


def test_a_node_that_changes_meanwhile_is_marked_for_what_it_is_then() -> None:
    found = cluster("web-0")
    found.failing["patch"] = [Conflict("changed")]
    found.take(spot())
    assert found.mark()["kind"] == "SpotInterruption"
    found.failing["patch"] = [Conflict("changed"), Conflict("changed again")]
    with pytest.raises(Conflict):
        found.take(reservation(ends=NOW + 60))


def test_events_that_cannot_be_recorded_fail_no_message() -> None:
    found = cluster("web-0")
    found.failing["record"] = [Throttled("too many events")]
    found.take(spot())
    assert (found.mark()["kind"], found.warnings) == ("SpotInterruption", ["events were not recorded: too many events"])


# --- draining ---


def test_pods_are_evicted_and_told_of_then_the_instance_goes_with_its_capacity() -> None:
    found = draining(spot(), "web-0", "web-1")
    found.remind(2)
    assert found.done("evict") == [("evict", "web-0"), ("evict", "web-1")]
    assert found.reasons() == ["PodEviction", "PodEviction"]
    found.remind(5)
    assert found.done("terminate and shrink", "terminate") == [("terminate and shrink", INSTANCE)]
    assert (found.reasons()[-1], found.reminders) == ("PostDrain", [])
    assert found.metrics["interruption_pods_moved_total"] == 2


def test_where_there_was_room_the_group_replaces_the_instance() -> None:
    found = draining(spot(), answer="room")
    found.remind(2)
    assert found.done("terminate and shrink", "terminate") == [("terminate", INSTANCE)]


def test_a_group_at_its_minimum_replaces_the_instance() -> None:
    found = draining(spot())
    found.failing["terminate and shrink"] = [Refused(AT_MINIMUM)]
    found.remind(2)
    assert found.done("terminate and shrink", "terminate") == [("terminate", INSTANCE)]


def test_a_group_that_will_not_let_an_instance_go_is_not_asked_to_replace_it() -> None:
    found = draining(spot())
    found.failing["terminate and shrink"] = [Refused("ValidationError: the instance is in Standby")]
    found.remind(2)
    assert found.done("terminate and shrink", "terminate") == []
    assert found.warnings == [f"instance {INSTANCE} of node n1 was not handed back: ValidationError: the instance is in Standby"]


@pytest.mark.parametrize("fault", [NotFound("gone"), Conflict("another uid")])
def test_a_pod_that_is_gone_or_another_one_is_no_fault(fault: Any) -> None:
    found = draining(spot(), "web-0")
    found.failing["evict"] = [fault]
    found.remind(2)
    assert (found.notices, found.warnings, len(found.reminders)) == ([], [], 1)


@pytest.mark.parametrize(
    "fault",
    [Throttled("its budget"), Unavailable("more than one PodDisruptionBudget (HTTP 500)"), Denied("its namespace is being terminated")],
)
def test_a_pod_that_may_not_be_evicted_now_holds_up_no_other_and_is_tried_again(fault: Any) -> None:
    found = draining(spot(), "web-0", "web-1")
    found.failing["evict"] = [fault]
    found.remind(2)
    assert found.done("evict") == [("evict", "web-1")]
    assert found.lines[-1]["refused"] == f"default/web-0: {fault}"
    found.remind(5)
    assert found.done("evict") == [("evict", "web-1"), ("evict", "web-0")]


def test_a_budget_that_allows_nothing_is_passed_in_time_for_a_graceful_end() -> None:
    found = draining(spot(), "web-0")
    found.failing["evict"] = [Throttled("its budget")] * 99
    found.remind(2)
    assert found.done("delete pod") == []
    assert "CordonAndDrainError" not in found.reasons()
    found.remind(83)
    assert found.done("delete pod") == [("delete pod", "web-0")]
    assert found.reasons()[-2:] == ["CordonAndDrainError", "PodEviction"]


@pytest.mark.parametrize("message", [rebalance(), health(INSTANCE), lifecycle()])
def test_where_no_machine_ends_a_budget_is_kept(message: Any) -> None:
    found = draining(message, "web-0", drain_on_rebalance="true")
    found.failing["evict"] = [Throttled("its budget")] * 99
    for _ in range(20):
        found.remind(30)
    assert found.done("delete pod", "terminate", "terminate and shrink", "complete") == []


@pytest.mark.parametrize(
    "fault",
    [
        *(Unreachable("no answer"), Throttled("later"), Conflict("changed"), Unavailable("HTTP 503")),
        *(Refused("no"), Denied("not yet"), NotFound("gone")),
    ],
)
def test_a_step_that_fails_comes_again_in_three_seconds(fault: Any) -> None:
    found = draining(spot(), "web-0")
    found.failing["list"] = [fault]
    found.remind(2)
    assert [seconds for _, seconds in found.reminders] == [3]
    found.remind(3)
    assert found.done("evict") == [("evict", "web-0")]


def test_a_step_that_has_failed_for_ten_minutes_comes_again_once_a_minute() -> None:
    found = draining(lifecycle(), "web-0")
    found.failing["list"] = [Denied("forbidden")]
    found.remind(601)
    assert [seconds for _, seconds in found.reminders] == [60]


def test_a_series_of_steps_does_not_end_by_failing() -> None:
    found = draining(lifecycle(), "web-0")
    found.failing["list"] = [Unavailable("HTTP 503")] * 20
    for _ in range(20):
        found.remind(3)
    assert (found.done(*WRITES), len(found.reminders)) == ([], 1)
    found.remind(3)
    assert found.done("evict") == [("evict", "web-0")]


def test_a_step_that_cannot_be_used_is_left_to_the_queue() -> None:
    found = draining(spot(), "web-0")
    found.failing["list"] = [BadInput("the list cannot be read")]
    with pytest.raises(BadInput):
        found.remind(2)
    assert found.reminders == []


def test_events_that_cannot_be_recorded_begin_no_second_series_of_steps() -> None:
    found = draining(spot(), "web-0", "web-1")
    found.failing["record"] = [Throttled("too many events")] * 9
    found.remind(2)
    assert len(found.reminders) == 1


def test_a_step_delivered_twice_hands_the_instance_back_with_its_capacity_once() -> None:
    found = draining(spot())
    found.reminders.append(found.reminders[0])
    found.remind(2)
    found.remind()
    assert found.done("terminate and shrink", "terminate") == [("terminate and shrink", INSTANCE)]


def test_two_invocations_at_once_hand_the_instance_back_once() -> None:
    found = draining(spot())
    found.failing["patch"] = [Conflict("the other one was faster")]
    found.remind(2)
    assert (found.done("terminate and shrink"), [seconds for _, seconds in found.reminders]) == ([], [3])


@pytest.mark.parametrize("fault", [Unreachable("the answer was lost"), Unavailable("InternalFailure")])
def test_a_lost_answer_to_handing_back_never_costs_capacity_twice(fault: Any) -> None:
    found = draining(spot())
    found.failing["terminate and shrink"] = [fault]
    found.remind(2)
    while found.reminders:
        found.remind(found.reminders[0][1])
    assert found.done("terminate and shrink", "terminate") == [("terminate", INSTANCE)]


@pytest.mark.parametrize("fault", [Throttled("rate exceeded"), Busy("You already have a pending update (ResourceContention)")])
def test_handing_back_that_was_put_off_is_tried_again_in_full(fault: Any) -> None:
    found = draining(spot())
    found.failing["terminate and shrink"] = [fault]
    found.remind(2)
    found.remind(3)
    assert found.done("terminate and shrink", "terminate") == [("terminate and shrink", INSTANCE)]


def test_an_instance_of_a_group_that_is_not_ours_to_shrink_ends_its_drain_with_a_warning() -> None:
    found = draining(spot(), answer="room")
    found.failing["terminate"] = [Denied("the group has no discovery tags")]
    found.remind(2)
    assert found.warnings == [f"instance {INSTANCE} of node n1 was not handed back: the group has no discovery tags"]
    assert (found.reasons(), found.reminders) == (["PostDrain"], [])


def test_pods_left_at_the_end_are_told_of() -> None:
    found = draining(spot(), "web-0", answer="none")
    found.remind(116)
    assert (found.reasons(), found.metrics["interruption_pods_lost_total"]) == (["CordonAndDrainError"], 1.0)


def test_nothing_is_evicted_before_the_scan_has_answered() -> None:
    found = cluster("web-0")
    found.take(spot())
    found.remind(2)
    assert (found.done("evict"), found.reminders[0][1]) == ([], 2)


def test_what_eks_does_not_drain_in_time_is_taken_over() -> None:
    found = cluster("web-0", labels={NODEGROUP_LABEL: "workers"})
    found.take(spot())
    found.answer("asked")
    assert "unschedulable" not in found.nodes["n1"]["spec"]
    found.remind(2)
    assert found.done("evict") == []
    found.remind(18)
    assert (found.nodes["n1"]["spec"]["unschedulable"], found.mark()["taken_over"]) == (True, True)
    found.remind(2)
    assert found.done("evict") == [("evict", "web-0")]


# --- lifecycle actions ---


def test_a_lifecycle_action_is_completed_when_the_node_is_empty() -> None:
    found = draining(lifecycle(), "web-0")
    found.remind(2)
    found.remind(5)
    assert found.done("complete", "terminate", "terminate and shrink") == [("complete", f"workers/drain/{INSTANCE}")]


def test_the_lifecycle_action_of_an_instance_that_was_handed_back_is_completed_and_counts_as_no_second_interruption() -> None:
    found = draining(spot())
    found.remind(2)
    assert found.done("terminate and shrink") == [("terminate and shrink", INSTANCE)]
    found.take(lifecycle(at=NOW + 3))
    found.remind(2)
    assert found.done("complete") == [("complete", f"workers/drain/{INSTANCE}")]
    assert found.metrics["interruption_received_total_SpotInterruption"] == 1


def test_a_completion_that_fails_is_tried_again() -> None:
    found = draining(lifecycle())
    found.failing["complete"] = [Unreachable("no answer")]
    found.remind(2)
    found.failing["complete"] = [Denied("not allowed")]
    found.remind(3)
    assert (found.done("complete"), found.reminders[0][1]) == ([], 3)
    found.remind(3)
    assert found.done("complete") == [("complete", f"workers/drain/{INSTANCE}")]


@pytest.mark.parametrize("fault", [None, Throttled("later"), NotFound("no such action"), Denied("not allowed"), Unreachable("no answer")])
def test_heartbeats_are_sent_every_thirty_seconds_and_their_failure_stops_nothing(fault: Any) -> None:
    found = draining(lifecycle(), "web-0")
    found.failing["evict"] = [Throttled("its budget")] * 99
    if fault is not None:
        found.failing["heartbeat"] = [fault] * 99
    for _ in range(20):
        found.remind(5)
    beats = len(found.done("heartbeat")) if fault is None else 99 - len(found.failing["heartbeat"])
    assert (beats, len(found.reminders)) == (3, 1)


def test_heartbeats_end_with_the_node() -> None:
    found = draining(lifecycle(), "web-0")
    found.failing["evict"] = [Throttled("its budget")] * 99
    found.remind(40)
    found.take(state("terminated"))
    found.calls.clear()
    found.remind(40)
    assert (found.calls, found.reminders) == ([], [])


def test_a_lifecycle_action_is_completed_after_fifteen_minutes_whatever_stays() -> None:
    found = draining(lifecycle(), "web-0")
    found.failing["evict"] = [Throttled("its budget")] * 999
    for _ in range(180):
        found.remind(5)
    assert found.done("complete") == [("complete", f"workers/drain/{INSTANCE}")]
    assert "CordonAndDrainError" in found.reasons()
