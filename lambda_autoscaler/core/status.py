"""The status ConfigMap's text: health, scale-up and scale-down of the cluster and of each group.

Fields and words are the Cluster Autoscaler's (behaviour specification, section 10.1), so that dashboards built on it read on. The text is
YAML through ``msgspec.yaml``: typed both ways, no writer of our own, and nothing but msgspec imported. Counts are of the nodes of node
groups. The previous text is needed for ``lastTransitionTime``, which moves only when a status changes; an unreadable one counts as none.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from lambda_autoscaler.core.memory import Backoff
from lambda_autoscaler.core.plan import GroupStatus, Plan
from lambda_autoscaler.core.units import format_timestamp

MESSAGE_LIMIT: Final = 500
TRUNCATED: Final = "<truncated>"


class _Part(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    pass


class _Unready(_Part, frozen=True, kw_only=True):
    total: int
    resource_unready: int


class _Registered(_Part, frozen=True, kw_only=True):
    total: int
    ready: int
    not_started: int
    being_deleted: int = 0
    unready: _Unready


class _NodeCounts(_Part, frozen=True, kw_only=True):
    registered: _Registered
    long_unregistered: int
    unregistered: int


class _BackoffInfo(_Part, frozen=True, kw_only=True):
    error_code: str
    error_message: str


class _Health(_Part, frozen=True, kw_only=True):
    status: str
    node_counts: _NodeCounts
    cloud_provider_target: int | None = None
    min_size: int | None = None
    max_size: int | None = None
    last_probe_time: str
    last_transition_time: str


class _ScaleUp(_Part, frozen=True, kw_only=True):
    status: str
    backoff_info: _BackoffInfo | None = None
    last_probe_time: str
    last_transition_time: str


class _ScaleDown(_Part, frozen=True, kw_only=True):
    status: str
    candidates: int = 0
    last_probe_time: str
    last_transition_time: str


class _ClusterWide(_Part, frozen=True, kw_only=True):
    health: _Health
    scale_up: _ScaleUp
    scale_down: _ScaleDown


class _NodeGroup(_Part, frozen=True, kw_only=True):
    name: str
    health: _Health
    scale_up: _ScaleUp
    scale_down: _ScaleDown


class _Status(_Part, frozen=True, kw_only=True):
    time: str
    autoscaler_status: str
    message: str = ""
    cluster_wide: _ClusterWide
    node_groups: list[_NodeGroup] = []


class _Clock:
    """Probe and transition times: a status that was the same before keeps its transition."""

    def __init__(self, now: float, before: _ClusterWide | _NodeGroup | None) -> None:
        self.probe = format_timestamp(now)
        self._before = before

    def transition(self, part: str, status: str) -> str:
        """When the part (``health``, ``scale_up`` or ``scale_down``) last changed, given its present status."""
        before: _Health | _ScaleUp | _ScaleDown | None = getattr(self._before, part, None)
        return before.last_transition_time if before is not None and before.status == status else self.probe


def status_text(plan: Plan, now: float, previous: str = "") -> str:
    """The ``status`` value of the ConfigMap; ``now`` in seconds since the epoch, ``previous`` the value of the scan before."""
    before = _parsed(previous)
    known: Mapping[str, _NodeGroup] = {group.name: group for group in before.node_groups} if before else {}
    status = _Status(
        time=format_go_time(now),
        autoscaler_status="Running",
        message=" ".join(plan.faults),
        cluster_wide=_cluster_wide(plan, _Clock(now, before.cluster_wide if before else None)),
        node_groups=[_node_group(group, _Clock(now, known.get(group.group))) for group in plan.groups],
    )
    return msgspec.yaml.encode(status).decode()


def format_go_time(now: float) -> str:
    """An instant as Go prints it: ``2026-11-22 13:46:47.5 +0000 UTC``."""
    moment = datetime.fromtimestamp(now, UTC)
    fraction = f".{moment.microsecond:06d}".rstrip("0").rstrip(".")
    return f"{moment:%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"


def _parsed(text: str) -> _Status | None:
    try:
        return msgspec.yaml.decode(text, type=_Status) if text else None
    except msgspec.DecodeError:
        return None


def _cluster_wide(plan: Plan, clock: _Clock) -> _ClusterWide:
    health = "Healthy" if plan.healthy else "Unhealthy"
    growing = "InProgress" if any(group.scale_up == "InProgress" for group in plan.groups) else "NoActivity"
    return _ClusterWide(
        health=_Health(
            status=health,
            node_counts=_counts(plan.groups),
            last_probe_time=clock.probe,
            last_transition_time=clock.transition("health", health),
        ),
        scale_up=_ScaleUp(status=growing, last_probe_time=clock.probe, last_transition_time=clock.transition("scale_up", growing)),
        scale_down=_scale_down(sum(group.candidates for group in plan.groups), clock),
    )


def _node_group(group: GroupStatus, clock: _Clock) -> _NodeGroup:
    status = "Healthy" if group.healthy else "Unhealthy"
    health = _Health(
        status=status,
        node_counts=_counts((group,)),
        cloud_provider_target=group.target,
        min_size=group.minimum,
        max_size=group.maximum,
        last_probe_time=clock.probe,
        last_transition_time=clock.transition("health", status),
    )
    info = _backoff_info(group.backoff) if group.scale_up == "Backoff" else None
    scale_up = _ScaleUp(
        status=group.scale_up,
        backoff_info=info,
        last_probe_time=clock.probe,
        last_transition_time=clock.transition("scale_up", group.scale_up),
    )
    return _NodeGroup(name=group.group, health=health, scale_up=scale_up, scale_down=_scale_down(group.candidates, clock))


def _scale_down(candidates: int, clock: _Clock) -> _ScaleDown:
    status = "CandidatesPresent" if candidates else "NoCandidates"
    return _ScaleDown(
        status=status,
        candidates=candidates,
        last_probe_time=clock.probe,
        last_transition_time=clock.transition("scale_down", status),
    )


def _backoff_info(backoff: Backoff | None) -> _BackoffInfo | None:
    if backoff is None:
        return None
    message = backoff.message
    if len(message) > MESSAGE_LIMIT:
        message = message[: MESSAGE_LIMIT - len(TRUNCATED)] + TRUNCATED
    return _BackoffInfo(error_code=backoff.code, error_message=message)


def _counts(groups: Iterable[GroupStatus]) -> _NodeCounts:
    groups = tuple(groups)

    def total(field: str) -> int:
        return sum(getattr(group, field) for group in groups)

    return _NodeCounts(
        registered=_Registered(
            total=total("registered"),
            ready=total("ready"),
            not_started=total("not_started"),
            being_deleted=total("being_deleted"),
            unready=_Unready(total=total("unready"), resource_unready=total("resource_unready")),
        ),
        long_unregistered=total("long_unregistered"),
        unregistered=total("unregistered"),
    )
