"""Events of AWS's own services on the account's default bus: moto matches the rules and carries them to their queues.

Whether a queue takes what a rule sends is asked of its policy first, which moto does not do.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.cluster.group_capacity import Clock

_PER_CALL = 10


@dataclass(frozen=True)
class AccountEvent:
    """One event: ``at`` in seconds since the epoch."""

    source: str
    kind: str
    detail: dict[str, Any]
    at: float


Listener = Callable[[AccountEvent], None]


class AccountEvents:
    """The default bus; ``moto`` gives clients that reach moto unguarded, ``may_send(rule_arn, queue_arn)`` raises when a queue refuses."""

    def __init__(self, moto: Callable[[str], Any], may_send: Callable[[str, str], None], clock: Clock) -> None:
        self._moto = moto
        self._may_send = may_send
        self.clock = clock
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Drop what was put, and who listens."""
        self.put_so_far: list[AccountEvent] = []
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Let an AWS service that has rules of its own, such as EKS, hear every event."""
        self._listeners.append(listener)

    def put(self, source: str, kind: str, *details: dict[str, Any], ago_seconds: float = 0.0) -> None:
        """Put one event of a kind for each of ``details``; they happened so many seconds ago. AwsError when a queue refuses a rule."""
        self._check_targets()
        moment = self.clock().timestamp() - ago_seconds
        events = [AccountEvent(source, kind, detail, moment) for detail in details]
        entries = [
            {"Source": source, "DetailType": kind, "Detail": json.dumps(event.detail), "Time": event.at, "Resources": []}
            for event in events
        ]
        with self._lock:  # moto's rules are not made for two threads
            for start in range(0, len(entries), _PER_CALL):
                self._moto("events").put_events(Entries=entries[start : start + _PER_CALL])
            self.put_so_far += events
        for event in events:
            for listener in self._listeners:
                listener(event)

    def _check_targets(self) -> None:
        events = self._moto("events")
        for rule in events.list_rules()["Rules"]:
            for target in events.list_targets_by_rule(Rule=rule["Name"])["Targets"]:
                self._may_send(rule["Arn"], target["Arn"])
