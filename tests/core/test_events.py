"""What the messages of the interruption queue say, in the forms that AWS documents, and what is made of broken ones."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_autoscaler.core.events import (
    Event,
    EventError,
    Hook,
    InstanceEvent,
    Kind,
    LaunchFailed,
    Nothing,
    Reminder,
    ReservationEvent,
    read_events,
    reminder_message,
)
from lambda_autoscaler.core.units import format_timestamp, parse_timestamp
from tests.build import NOW
from tests.ec2_events import (
    CHANGE,
    HOME,
    INSTANCE,
    LAUNCH_FAILED,
    LAUNCHING,
    OTHER,
    RESERVATION,
    THIRD,
    capacity_block,
    event,
    from_topic,
    health,
    lifecycle,
    lifecycle_detail,
    notification,
    rebalance,
    reservation,
    spot,
    state,
)

ID = "6a7e8feb-b491-4cf7-a9f1-bf3703467718"
HOOK = Hook("workers", "drain", "87654321-4321-4321-4321-210987654321")
RETIREMENT = parse_timestamp("2027-01-22T08:00:00Z")
SAID = parse_timestamp("2027-01-15T08:00:00.872Z")


def read(message: Any, now: float = NOW) -> tuple[Event, ...]:
    return read_events(json.dumps(message), HOME, now)


def retirement(instance: str, **fields: Any) -> InstanceEvent:
    return InstanceEvent(Kind.SCHEDULED_CHANGE, instance, CHANGE, NOW, RETIREMENT, "AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED", **fields)


def lifecycle_event(event_id: str = ID, at: float = NOW, origin: str = "AutoScalingGroup") -> InstanceEvent:
    return InstanceEvent(Kind.LIFECYCLE, INSTANCE, event_id, at, None, origin, HOOK)


DOCUMENTED: dict[str, tuple[Any, tuple[Event, ...]]] = {
    "spot terminate": (spot(), (InstanceEvent(Kind.SPOT_INTERRUPTION, INSTANCE, ID, NOW, NOW + 120, "terminate"),)),
    "spot stop": (spot(action="stop"), (InstanceEvent(Kind.SPOT_INTERRUPTION, INSTANCE, ID, NOW, NOW + 120, "stop"),)),
    "spot hibernate begins at once": (
        spot(action="hibernate"),
        (InstanceEvent(Kind.SPOT_INTERRUPTION, INSTANCE, ID, NOW, NOW, "hibernate"),),
    ),
    "rebalance": (rebalance(), (InstanceEvent(Kind.REBALANCE, INSTANCE, ID, NOW),)),
    **{
        f"state {name}": (state(name), (InstanceEvent(Kind.STATE_CHANGE, INSTANCE, ID, NOW, NOW, name),))
        for name in ("stopping", "stopped", "shutting-down", "terminated")
    },
    "terminate lifecycle action": (lifecycle(), (lifecycle_event(),)),
    "terminate lifecycle action from a warm pool": (
        event("EC2 Instance-terminate Lifecycle Action", lifecycle_detail(Origin="WarmPool"), source="aws.autoscaling"),
        (lifecycle_event(origin="WarmPool"),),
    ),
    "lifecycle notification without an envelope": (notification(), (lifecycle_event("request-1", SAID),)),
    "lifecycle notification through a topic": (from_topic(notification()), (lifecycle_event("request-1", SAID),)),
    "event through a topic": (from_topic(spot()), (InstanceEvent(Kind.SPOT_INTERRUPTION, INSTANCE, ID, NOW, NOW + 120, "terminate"),)),
    "capacity reservation interruption": (
        reservation(ends=NOW + 100, resources=f"arn:aws:ec2:eu-central-1:210987654321:instance/{INSTANCE}"),
        (InstanceEvent(Kind.RESERVATION_INTERRUPTION, INSTANCE, ID, NOW, NOW + 100, "terminate"),),
    ),
    "capacity block expiration": (capacity_block(NOW + 2400), (ReservationEvent(RESERVATION, ID, NOW, NOW + 600),)),
    "capacity block expiration under its other name": (
        capacity_block(NOW + 2400, **{"detail-type": "Capacity Block Reservation Expiration Warning"}),
        (ReservationEvent(RESERVATION, ID, NOW, NOW + 600),),
    ),
    "capacity block expiration as in the user guide's sample": (
        {
            "customer_event_id": f"{RESERVATION}-approaching-expiry",
            "detail_type": "Capacity Block Expiration Warning",
            "source": "aws.ec2",
            "account": HOME.account,
            "time": format_timestamp(NOW),
            "resources": [f"arn:aws:ec2:eu-central-1:210987654321:capacity-reservation/{RESERVATION}"],
            "detail": {"capacity-reservation-id": RESERVATION, "end-date": format_timestamp(NOW + 2400)},
        },
        (ReservationEvent(RESERVATION, "", NOW, NOW + 600),),
    ),
    "scheduled change of three instances": (
        health(INSTANCE, OTHER, THIRD),
        (retirement(INSTANCE), retirement(OTHER), retirement(THIRD)),
    ),
    "closed scheduled change": (health(INSTANCE, statusCode="closed"), (retirement(INSTANCE, cancelled=True),)),
    "launch unsuccessful": (
        event(
            LAUNCH_FAILED,
            {
                "StatusCode": "Failed",
                "AutoScalingGroupName": "workers",
                "ActivityId": "87654321-4321-4321-4321-210987654321",
                "Details": {"Availability Zone": "eu-central-1b"},
                "EC2InstanceId": INSTANCE,
                "StatusMessage": "Could not launch Spot Instances. InsufficientInstanceCapacity.",
                "Cause": "description-text",
            },
            source="aws.autoscaling",
        ),
        (LaunchFailed("workers", "Could not launch Spot Instances. InsufficientInstanceCapacity."),),
    ),
}


@pytest.mark.parametrize(("message", "said"), DOCUMENTED.values(), ids=DOCUMENTED)
def test_events_in_the_form_of_aws_s_documentation_are_understood(message: Any, said: tuple[Event, ...]) -> None:
    assert read(message) == said


NEEDS_NOTHING: dict[str, tuple[Any, str]] = {
    "state pending": (state("pending"), "instance state 'pending' needs no answer"),
    "state running": (state("running"), "instance state 'running' needs no answer"),
    "part of a state's name": (state("stop"), "instance state 'stop' needs no answer"),
    "launch lifecycle action": (
        event(LAUNCHING, lifecycle_detail(LifecycleTransition="autoscaling:EC2_INSTANCE_LAUNCHING"), source="aws.autoscaling"),
        "nothing is done about EC2 Instance-launch Lifecycle Action of aws.autoscaling",
    ),
    "launch lifecycle notification": (
        notification(LifecycleTransition="autoscaling:EC2_INSTANCE_LAUNCHING"),
        "lifecycle transition autoscaling:EC2_INSTANCE_LAUNCHING needs no answer",
    ),
    "test notification": (
        {"Service": "AWS Auto Scaling", "Event": "autoscaling:TEST_NOTIFICATION", "AccountId": HOME.account},
        "Auto Scaling tests its notifications",
    ),
    "test notification through a topic": (from_topic({"Event": "autoscaling:TEST_NOTIFICATION"}), "Auto Scaling tests its notifications"),
    "health of another service": (
        health(INSTANCE, service="RDS"),
        "AWS Health tells of RDS scheduledChange, not of a scheduled change of EC2",
    ),
    "health issue": (health(INSTANCE, eventTypeCategory="issue"), "AWS Health tells of EC2 issue, not of a scheduled change of EC2"),
    "health of a dedicated host": (health("h-0a1b2c3d4e5f60718"), "the scheduled change names no instance"),
    "foreign service": (
        event("Object Created", {"bucket": {"name": "b"}}, source="aws.s3"),
        "nothing is done about Object Created of aws.s3",
    ),
    "another event of EC2": (
        event("EC2 Spot Instance Request Fulfillment", {"instance-id": INSTANCE}),
        "nothing is done about EC2 Spot Instance Request Fulfillment of aws.ec2",
    ),
    "no detail-type": (
        {name: value for name, value in spot().items() if name != "detail-type"},
        "nothing is done about an event without detail-type of aws.ec2",
    ),
    "another account": (spot(account="123456789012"), "it is about account 123456789012, not 210987654321"),
    "another region": (spot(region="us-east-1"), "it is about region us-east-1, not eu-central-1"),
    "notification of another account": (notification(AccountId="123456789012"), "it is about account 123456789012, not 210987654321"),
}


@pytest.mark.parametrize(("message", "why"), NEEDS_NOTHING.values(), ids=NEEDS_NOTHING)
def test_what_needs_no_answer_says_why(message: Any, why: str) -> None:
    assert read(message) == (Nothing(why),)


BROKEN: dict[str, tuple[str, str]] = {
    "empty body": ("", "the message cannot be read"),
    "no JSON": ("?", "the message cannot be read"),
    "a list": ("[]", "the message cannot be read"),
    "an empty object": ("{}", "neither a source nor a LifecycleTransition"),
    "detail is text": (json.dumps(spot() | {"detail": "?"}), "the detail cannot be read"),
    "detail is null": (json.dumps(spot() | {"detail": None}), "the detail cannot be read"),
    "lifecycle detail is text": (json.dumps(lifecycle() | {"detail": "?"}), "the detail cannot be read"),
    "no detail": (json.dumps({name: value for name, value in spot().items() if name != "detail"}), "'' is no instance id"),
    "account is a number": (json.dumps(spot(account=210987654321)), r"the message cannot be read: .*\$\.account"),
    "no instance id": (json.dumps(event("EC2 Spot Instance Interruption Warning", {"instance-action": "terminate"})), "no instance id"),
    "instance id is a number": (json.dumps(event("EC2 Instance Rebalance Recommendation", {"instance-id": 7})), r"\$\.`?instance-id"),
    "malformed instance id": (json.dumps(spot("i-XYZ")), r"'i-XYZ' is no instance id \(i- and 8 to 17 hexadecimal digits\)"),
    "an instance id with more behind it": (json.dumps(spot(f"{INSTANCE}/../x")), "is no instance id"),
    "malformed reservation id": (
        json.dumps(event("Capacity Block Expiration Warning", {"capacity-reservation-id": "[ODCR ID]"})),
        r"capacity-reservation-id '\[ODCR ID\]' is no reservation id",
    ),
    "unparsable time": (json.dumps(spot(time="yyyy-mm-ddThh:mm:ssZ")), "is not an RFC 3339 time"),
    "unparsable start of a change": (json.dumps(health(INSTANCE, startTime="soon")), "'soon' is not an RFC 3339 time"),
    "one instance of several malformed": (json.dumps(health(INSTANCE, "i-?")), "'i-[?]' is no instance id"),
    "a lifecycle action without its group": (
        json.dumps(event("EC2 Instance-terminate Lifecycle Action", lifecycle_detail(AutoScalingGroupName=""), source="aws.autoscaling")),
        "needs AutoScalingGroupName and LifecycleHookName",
    ),
    "a lifecycle notification without its hook": (json.dumps(notification(LifecycleHookName="")), "needs AutoScalingGroupName and"),
    "a failed launch without its group": (json.dumps(event(LAUNCH_FAILED, {}, source="aws.autoscaling")), "needs AutoScalingGroupName"),
    "no JSON in a topic's message": (json.dumps(from_topic({}) | {"Message": "?"}), "the message cannot be read"),
    "half a character": ('{"source": "\ud800"}', "the message cannot be read"),
    "lists without end": ("[" * 100_000, "the message cannot be read"),
}


@pytest.mark.parametrize(("body", "fault"), BROKEN.values(), ids=BROKEN)
def test_a_broken_message_is_refused_with_the_field_and_what_was_expected(body: str, fault: str) -> None:
    with pytest.raises(EventError, match=fault):
        read_events(body, HOME, NOW)


def test_a_missing_time_is_now() -> None:
    (found,) = read(spot(time=None), now=NOW + 7)
    assert isinstance(found, InstanceEvent)
    assert (found.at, found.deadline) == (NOW + 7, NOW + 127)
    assert read(spot(time=""), now=NOW + 7) == (found,)


def test_an_id_that_is_no_uuid_is_taken_as_it_is() -> None:
    (found,) = read(spot(id="7fb65329-1628-4cf3-a740-95fg457h1402"))
    assert isinstance(found, InstanceEvent)
    assert found.id == "7fb65329-1628-4cf3-a740-95fg457h1402"


def test_an_update_of_a_scheduled_change_has_the_identity_of_the_change() -> None:
    (first,), (update,) = read(health(INSTANCE)), read(health(INSTANCE) | {"id": "another"})
    assert isinstance(first, InstanceEvent)
    assert isinstance(update, InstanceEvent)
    assert first.id == update.id == CHANGE


def test_a_reservation_that_names_no_end_goes_in_two_minutes() -> None:
    (found,) = read(event("EC2 Capacity Reservation Instance Interruption Warning", {"instance-id": INSTANCE}))
    assert isinstance(found, InstanceEvent)
    assert found.deadline == NOW + 120


def test_a_reminder_says_the_same_after_its_way_through_the_queue() -> None:
    reminder = Reminder("ip-10-0-0-1.ec2.internal", INSTANCE, NOW - 30)
    assert read_events(reminder_message(HOME, reminder), HOME, NOW) == (reminder,)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just(INSTANCE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.sampled_from([message for message, _ in DOCUMENTED.values()]), st.data())
def test_whatever_stands_in_a_field_the_message_is_read_or_refused(message: dict[str, Any], data: st.DataObject) -> None:
    detail = dict(message["detail"]) if isinstance(message.get("detail"), dict) else {}
    spoiled = dict(message)
    for fields in (spoiled, detail):
        if fields:
            name: str = data.draw(st.sampled_from(sorted(fields)))
            fields[name] = data.draw(_values)
    keeps_detail: bool = data.draw(st.booleans())
    if detail and not keeps_detail:
        spoiled["detail"] = detail
    try:
        found = read(spoiled)
    except EventError:
        return
    assert found
    assert all(item.instance.startswith("i-") for item in found if isinstance(item, InstanceEvent))


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60))
def test_any_bytes_are_read_or_refused(body: bytes | str) -> None:
    try:
        assert read_events(body, HOME, NOW)
    except EventError:
        return
