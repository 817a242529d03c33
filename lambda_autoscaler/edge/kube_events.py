"""Events on Kubernetes objects, as ``kubectl describe`` and ``kubectl get events`` show them.

An Event's name is derived from what it says about which object, so that a fresh container finds the event of an earlier one: creating it
again is a conflict, and the repeat becomes a higher ``count`` of the same event, as client-go's recorder does. In a warm container a repeat
within five minutes is only counted here and written with the next one after that, unless every repeat is asked for
(``--record-duplicated-events``): thousands of pods that wait would otherwise cost thousands of writes a minute.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from urllib.parse import quote

import msgspec

from lambda_autoscaler.core.plan import Notice
from lambda_autoscaler.core.units import format_timestamp
from lambda_autoscaler.edge.kube_http import MERGE_PATCH, KubeHttp
from lambda_autoscaler.ports import Conflict, NotFound

COMPONENT: Final = "cluster-autoscaler"
AGGREGATION_SECONDS: Final = 300.0
_FORGET_SECONDS: Final = 3600.0
_WRITERS: Final = 8


class _Series(msgspec.Struct):
    """One event seen by this container: how often, and when it was last written (seconds since the epoch)."""

    count: int
    written: float


class _Counted(msgspec.Struct, frozen=True):
    count: int = 1


class EventRecorder:
    """Writes events, counting repeats."""

    def __init__(self, http: KubeHttp, *, every_repeat: bool = False) -> None:
        self._http = http
        self._every_repeat = every_repeat
        self._series: dict[str, _Series] = {}

    def record(self, notices: Sequence[Notice], now: float) -> None:
        """Write the events that are due, a few at a time; all writers have ended on return. Raises the first failure, after trying all."""
        self._series = {name: series for name, series in self._series.items() if now - series.written < _FORGET_SECONDS}
        due = {name: notice for name, notice in ((_event_name(notice), notice) for notice in notices) if self._is_due(name, now)}
        if not due:
            return
        with ThreadPoolExecutor(max_workers=min(_WRITERS, len(due))) as pool:
            pending = [pool.submit(self._write, name, notice, now) for name, notice in due.items()]
        failures = [failure for failure in (write.exception() for write in pending) if failure is not None]
        if failures:
            raise failures[0]

    def _is_due(self, name: str, now: float) -> bool:
        series = self._series.get(name)
        if series is None or self._every_repeat or now - series.written >= AGGREGATION_SECONDS:
            return True
        series.count += 1
        return False

    def _write(self, name: str, notice: Notice, now: float) -> None:
        series = self._series.get(name)
        count = self._again(name, notice, series.count + 1, now) if series else self._first(name, notice, now)
        self._series[name] = _Series(count, now)

    def _first(self, name: str, notice: Notice, now: float) -> int:
        path = _events_path(notice)
        try:
            self._http.request("POST", path, body=msgspec.json.encode(_event(name, notice, now)))
        except Conflict:
            stamp = msgspec.json.encode({"lastTimestamp": format_timestamp(now)})
            answer = self._http.request("PATCH", f"{path}/{quote(name)}", body=stamp, kind=MERGE_PATCH)
            return self._again(name, notice, msgspec.json.decode(answer, type=_Counted).count + 1, now)
        return 1

    def _again(self, name: str, notice: Notice, count: int, now: float) -> int:
        patch = msgspec.json.encode({"count": count, "lastTimestamp": format_timestamp(now)})
        try:
            self._http.request("PATCH", f"{_events_path(notice)}/{quote(name)}", body=patch, kind=MERGE_PATCH)
        except NotFound:
            return self._first(name, notice, now)
        return count


def _namespace(notice: Notice) -> str:
    return notice.namespace or "default"


def _events_path(notice: Notice) -> str:
    return f"/api/v1/namespaces/{quote(_namespace(notice))}/events"


def _event_name(notice: Notice) -> str:
    said = "\n".join((notice.kind, _namespace(notice), notice.name, notice.uid, notice.type, notice.reason, notice.message))
    return f"{notice.name[:230]}.{hashlib.sha256(said.encode()).hexdigest()[:16]}"


def _event(name: str, notice: Notice, now: float) -> dict[str, object]:
    time = format_timestamp(now)
    namespace = {"namespace": notice.namespace} if notice.namespace else {}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": _namespace(notice)},
        "involvedObject": {"apiVersion": "v1", "kind": notice.kind, "name": notice.name, **namespace, "uid": notice.uid},
        "type": notice.type,
        "reason": notice.reason,
        "message": notice.message,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }
