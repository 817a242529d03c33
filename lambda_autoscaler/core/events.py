"""What EC2, Auto Scaling and AWS Health say about instances: the messages of the interruption queue into values.

Messages are EventBridge envelopes, lifecycle notifications that Auto Scaling sends without one, the same inside an SNS notification, and
the function's own reminders to go on. Payloads are read leniently where AWS's own samples disagree (``resources`` is never looked at, times
may be missing), and strictly where acting on them could hurt: an event of another account or region, or an instance id that is none, does
nothing. A new kind of event is one more row of ``READERS``.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, TypeVar

import msgspec

from lambda_autoscaler.core.units import TimestampError, parse_timestamp

SPOT_NOTICE: Final = 120.0
# AWS begins to take the instances of a capacity block back this long before its end.
CAPACITY_BLOCK_MARGIN: Final = 1800.0
REMINDER: Final = ("eks-autoscaling", "Interruption Continues")
_INSTANCE_ID: Final = re.compile(r"i-[0-9a-f]{8,17}")
_RESERVATION_ID: Final = re.compile(r"cr-[0-9a-f]{8,17}")
_HEALTH_TIME: Final = "%a, %d %b %Y %H:%M:%S %Z"


_Read = TypeVar("_Read")


class EventError(ValueError):
    """A message that cannot be understood; the sentence names the field and what was expected."""


class Kind(StrEnum):
    """What happens to an instance, under the names that operators know from the termination handlers."""

    SPOT_INTERRUPTION = "SpotInterruption"
    RESERVATION_INTERRUPTION = "CapacityReservationInterruption"
    CAPACITY_BLOCK = "CapacityBlockExpiration"
    LIFECYCLE = "ASGLifecycle"
    STATE_CHANGE = "StateChange"
    SCHEDULED_CHANGE = "ScheduledEvent"
    REBALANCE = "RebalanceRecommendation"


class Hook(msgspec.Struct, frozen=True):
    """A lifecycle action that Auto Scaling waits for."""

    group: str
    name: str
    token: str


class InstanceEvent(msgspec.Struct, frozen=True):
    """Something that happens to one instance. Times in seconds since the epoch.

    ``deadline`` is when the instance goes at the latest, None when nobody said so. ``detail`` is the action (``terminate``, ``stop``,
    ``hibernate``), the state, or the code of the change. ``cancelled`` takes an earlier event back.
    """

    kind: Kind
    instance: str
    id: str
    at: float
    deadline: float | None = None
    detail: str = ""
    hook: Hook | None = None
    cancelled: bool = False


class ReservationEvent(msgspec.Struct, frozen=True):
    """A capacity block ends at ``deadline`` (seconds since the epoch): all instances of the reservation go."""

    reservation: str
    id: str
    at: float
    deadline: float


class LaunchFailed(msgspec.Struct, frozen=True):
    """Auto Scaling could not launch an instance of the group."""

    group: str
    message: str


class Reminder(msgspec.Struct, frozen=True):
    """The function's own message to itself: go on with a node. ``beat`` is when the last heartbeat was sent (seconds since the epoch).

    ``cluster`` is whose node it is, where the function serves several. ``series`` is when the event was handled with which it began.
    """

    node: str
    instance: str
    beat: float = 0.0
    cluster: str = ""
    series: float = 0.0


class Nothing(msgspec.Struct, frozen=True):
    """A message that asks for nothing, and why."""

    why: str


Event = InstanceEvent | ReservationEvent | LaunchFailed | Reminder | Nothing


class Home(msgspec.Struct, frozen=True):
    """The account and region whose events count."""

    account: str
    region: str


class _Envelope(msgspec.Struct, frozen=True):
    id: str = ""
    source: str = ""
    detail_type: str = msgspec.field(default="", name="detail-type")
    other_detail_type: str = msgspec.field(default="", name="detail_type")
    account: str = ""
    region: str = ""
    time: str = ""
    detail: msgspec.Raw = msgspec.Raw(b"{}")
    message: str = msgspec.field(default="", name="Message")
    transition: str = msgspec.field(default="", name="LifecycleTransition")
    event: str = msgspec.field(default="", name="Event")

    @property
    def kind(self) -> tuple[str, str]:
        """Source and detail-type."""
        return self.source, self.detail_type or self.other_detail_type


class _Ec2Detail(msgspec.Struct, frozen=True):
    instance: str = msgspec.field(default="", name="instance-id")
    action: str = msgspec.field(default="", name="instance-action")
    state: str = ""
    termination_time: str = msgspec.field(default="", name="instance-termination-time")
    reservation: str = msgspec.field(default="", name="capacity-reservation-id")
    end_date: str = msgspec.field(default="", name="end-date")


class _LifecycleDetail(msgspec.Struct, frozen=True, rename="pascal"):
    lifecycle_action_token: str = ""
    auto_scaling_group_name: str = ""
    lifecycle_hook_name: str = ""
    instance: str = msgspec.field(default="", name="EC2InstanceId")
    lifecycle_transition: str = ""
    origin: str = ""
    status_message: str = ""
    request_id: str = ""
    account_id: str = ""
    time: str = ""


class _Entity(msgspec.Struct, frozen=True, rename="camel"):
    entity_value: str = ""


class _HealthDetail(msgspec.Struct, frozen=True, rename="camel"):
    event_arn: str = ""
    service: str = ""
    event_type_code: str = ""
    event_type_category: str = ""
    status_code: str = ""
    start_time: str = ""
    affected_entities: tuple[_Entity, ...] = ()


class _ReminderDetail(msgspec.Struct, frozen=True):
    node: str
    instance: str
    beat: float = 0.0
    cluster: str = ""
    series: float = 0.0


Reader = Callable[[_Envelope, float], tuple[Event, ...]]


def read_events(body: bytes | str, home: Home, now: float) -> tuple[Event, ...]:
    """What a message says; ``now`` stands in for a missing time (seconds since the epoch). Raises EventError for a broken message."""
    envelope = _decoded(body, _Envelope, "message")
    if envelope.message and not envelope.source:
        return read_events(envelope.message, home, now)
    if not envelope.source:
        return _without_envelope(body, envelope, home, now)
    foreign = _foreign(envelope.account, envelope.region, home)
    if foreign:
        return (Nothing(foreign),)
    reader = READERS.get(envelope.kind)
    if reader is None:
        return (Nothing(f"nothing is done about {envelope.kind[1] or 'an event without detail-type'} of {envelope.source}"),)
    return reader(envelope, _time(envelope.time, now))


def reminder_message(home: Home, reminder: Reminder) -> bytes:
    """The function's message to itself."""
    source, kind = REMINDER
    envelope = {"source": source, "detail-type": kind, "account": home.account, "region": home.region, "detail": reminder}
    return msgspec.json.encode(envelope)


def _foreign(account: str, region: str, home: Home) -> str:
    if account and account != home.account:
        return f"it is about account {account}, not {home.account}"
    return f"it is about region {region}, not {home.region}" if region and region != home.region else ""


def _without_envelope(body: bytes | str, envelope: _Envelope, home: Home, now: float) -> tuple[Event, ...]:
    if envelope.event == "autoscaling:TEST_NOTIFICATION":
        return (Nothing("Auto Scaling tests its notifications"),)
    if not envelope.transition:
        raise EventError("the message has neither a source nor a LifecycleTransition: it is no event of AWS")
    detail = _decoded(body, _LifecycleDetail, "lifecycle notification")
    foreign = _foreign(detail.account_id, "", home)
    return (Nothing(foreign),) if foreign else _lifecycle_of(detail, detail.request_id, _time(detail.time, now))


# --- readers of one kind of event each ---


def _spot(envelope: _Envelope, at: float) -> tuple[Event, ...]:
    """{"detail-type": "EC2 Spot Instance Interruption Warning", "detail": {"instance-id": "i-…", "instance-action": "terminate"}}."""
    detail = _ec2(envelope)
    notice = 0.0 if detail.action == "hibernate" else SPOT_NOTICE
    return (InstanceEvent(Kind.SPOT_INTERRUPTION, _instance(detail.instance), envelope.id, at, at + notice, detail.action),)


def _rebalance(envelope: _Envelope, at: float) -> tuple[Event, ...]:
    """{"detail-type": "EC2 Instance Rebalance Recommendation", "detail": {"instance-id": "i-…"}}."""
    return (InstanceEvent(Kind.REBALANCE, _instance(_ec2(envelope).instance), envelope.id, at),)


def _state(envelope: _Envelope, at: float) -> tuple[Event, ...]:
    """{"detail-type": "EC2 Instance State-change Notification", "detail": {"instance-id": "i-…", "state": "stopping"}}."""
    detail = _ec2(envelope)
    if detail.state not in ("stopping", "stopped", "shutting-down", "terminated"):
        return (Nothing(f"instance state {detail.state!r} needs no answer"),)
    return (InstanceEvent(Kind.STATE_CHANGE, _instance(detail.instance), envelope.id, at, at, detail.state),)


def _reservation(envelope: _Envelope, at: float) -> tuple[Event, ...]:
    """{"detail": {"instance-id": "i-…", "instance-action": "terminate", "instance-termination-time": "…"}}."""
    detail = _ec2(envelope)
    deadline = _time(detail.termination_time, at + SPOT_NOTICE)
    return (InstanceEvent(Kind.RESERVATION_INTERRUPTION, _instance(detail.instance), envelope.id, at, deadline, detail.action),)


def _capacity_block(envelope: _Envelope, at: float) -> tuple[Event, ...]:
    """{"detail": {"capacity-reservation-id": "cr-…", "end-date": "…"}}."""
    detail = _ec2(envelope)
    if not _RESERVATION_ID.fullmatch(detail.reservation):
        raise EventError(f"capacity-reservation-id {detail.reservation!r} is no reservation id")
    return (ReservationEvent(detail.reservation, envelope.id, at, _time(detail.end_date, at + 2400) - CAPACITY_BLOCK_MARGIN),)


def _lifecycle(envelope: _Envelope, at: float) -> tuple[Event, ...]:
    """{"detail-type": "EC2 Instance-terminate Lifecycle Action", "detail": {"EC2InstanceId": "i-…", "LifecycleHookName": "…", …}}."""
    return _lifecycle_of(_decoded(envelope.detail, _LifecycleDetail, "detail"), envelope.id, at)


def _lifecycle_of(detail: _LifecycleDetail, event_id: str, at: float) -> tuple[Event, ...]:
    if detail.lifecycle_transition not in ("", "autoscaling:EC2_INSTANCE_TERMINATING"):
        return (Nothing(f"lifecycle transition {detail.lifecycle_transition} needs no answer"),)
    if not detail.auto_scaling_group_name or not detail.lifecycle_hook_name:
        raise EventError("a lifecycle action needs AutoScalingGroupName and LifecycleHookName")
    hook = Hook(detail.auto_scaling_group_name, detail.lifecycle_hook_name, detail.lifecycle_action_token)
    return (InstanceEvent(Kind.LIFECYCLE, _instance(detail.instance), event_id, at, None, detail.origin, hook),)


def _health(envelope: _Envelope, at: float) -> tuple[Event, ...]:
    """One event per affected instance; ``startTime`` is RFC 1123 text. An update of the same change has the same eventArn."""
    detail = _decoded(envelope.detail, _HealthDetail, "detail")
    if detail.service != "EC2" or detail.event_type_category != "scheduledChange":
        return (
            Nothing(f"AWS Health tells of {detail.service or '?'} {detail.event_type_category or '?'}, not of a scheduled change of EC2"),
        )
    start = _health_time(detail.start_time)
    cancelled = detail.status_code in ("closed", "cancelled")
    found = tuple(
        InstanceEvent(
            Kind.SCHEDULED_CHANGE,
            _instance(item.entity_value),
            detail.event_arn or envelope.id,
            at,
            start,
            detail.event_type_code,
            None,
            cancelled,
        )
        for item in detail.affected_entities
        if item.entity_value.startswith("i-")
    )
    return found or (Nothing("the scheduled change names no instance"),)


def _launch_failed(envelope: _Envelope, _at: float) -> tuple[Event, ...]:
    """{"detail-type": "EC2 Instance Launch Unsuccessful", "detail": {"AutoScalingGroupName": "…", "StatusMessage": "…"}}."""
    detail = _decoded(envelope.detail, _LifecycleDetail, "detail")
    if not detail.auto_scaling_group_name:
        raise EventError("a failed launch needs AutoScalingGroupName")
    return (LaunchFailed(detail.auto_scaling_group_name, detail.status_message),)


def _reminder(envelope: _Envelope, _at: float) -> tuple[Event, ...]:
    detail = _decoded(envelope.detail, _ReminderDetail, "detail")
    return (Reminder(detail.node, _instance(detail.instance), detail.beat, detail.cluster, detail.series),)


READERS: Final[Mapping[tuple[str, str], Reader]] = {
    ("aws.ec2", "EC2 Spot Instance Interruption Warning"): _spot,
    ("aws.ec2", "EC2 Instance Rebalance Recommendation"): _rebalance,
    ("aws.ec2", "EC2 Instance State-change Notification"): _state,
    ("aws.ec2", "EC2 Capacity Reservation Instance Interruption Warning"): _reservation,
    ("aws.ec2", "Capacity Block Expiration Warning"): _capacity_block,
    ("aws.ec2", "Capacity Block Reservation Expiration Warning"): _capacity_block,
    ("aws.autoscaling", "EC2 Instance-terminate Lifecycle Action"): _lifecycle,
    ("aws.autoscaling", "EC2 Instance Launch Unsuccessful"): _launch_failed,
    ("aws.health", "AWS Health Event"): _health,
    REMINDER: _reminder,
}


def _decoded(body: bytes | str | msgspec.Raw, kind: type[_Read], what: str) -> _Read:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as fault:
        raise EventError(f"the {what} cannot be read: {fault}") from fault


def _ec2(envelope: _Envelope) -> _Ec2Detail:
    return _decoded(envelope.detail, _Ec2Detail, "detail")


def _instance(name: str) -> str:
    if not _INSTANCE_ID.fullmatch(name):
        raise EventError(f"{name!r} is no instance id (i- and 8 to 17 hexadecimal digits)")
    return name


def _time(text: str, otherwise: float) -> float:
    if not text:
        return otherwise
    try:
        return parse_timestamp(text)
    except TimestampError as fault:
        raise EventError(str(fault)) from fault


def _health_time(text: str) -> float | None:
    if not text:
        return None
    try:
        return datetime.strptime(text, _HEALTH_TIME).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return _time(text, 0.0)
