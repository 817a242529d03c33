"""Offering the messages of one invocation to the clusters that a function serves.

No event says whose node an instance is, so a message is offered to one cluster after the other until one owns it. Every cluster is asked
once before any is asked again. One that cost seconds without answering is not asked twice about a message, so that the others are not kept
waiting. A message that nobody owns fails when a cluster could not be asked: the queue brings it again.
"""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from lambda_autoscaler.ports import AutoscalerError, Busy, Conflict, Throttled, Unavailable, Unreachable

ATTEMPTS: Final = 3
RETRY_SECONDS: Final = 1.0
# A refused or broken connection shows at once; what takes longer will probably take as long again.
QUICK_SECONDS: Final = 1.0
# Asking again in a moment may help. The queue would bring the message back only after a minute, which is half of a spot warning's time.
PASSING: Final = (Unreachable, Throttled, Unavailable, Busy, Conflict)


class Taker(Protocol):
    """A cluster that messages are offered to."""

    def take(self, body: str) -> bool:
        """Handle a message; False when another cluster may have to answer it, or a part of it, too. Raises the errors of the ports."""


class Offering:
    """Offers messages, each begun only with ``message_seconds`` left of the invocation.

    ``absent`` are clusters that could not be set up, and why. ``unreachable`` tells afterwards which did not answer.
    """

    def __init__(
        self,
        clusters: Mapping[str, Taker],
        absent: Mapping[str, AutoscalerError],
        seconds_left: Callable[[], float],
        wait: Callable[[float], None],
        message_seconds: float,
    ) -> None:
        self._clusters, self._absent = clusters, absent
        self._seconds_left, self._wait, self._message_seconds = seconds_left, wait, message_seconds
        self.unreachable: dict[str, Unreachable] = {}

    def offer(self, body: str) -> None:
        """Have a message handled. Raises what hindered a cluster when no other owns the message."""
        faults: dict[str, AutoscalerError] = {}
        waiting = list(self._clusters)
        for attempts_left in reversed(range(ATTEMPTS)):
            for name in waiting:
                if self._ask(name, body, faults):
                    return
            waiting = [name for name in waiting if self._may_answer(name, faults.get(name))]
            if not (attempts_left and waiting and self._seconds_left() >= self._message_seconds):
                break
            self._wait(RETRY_SECONDS)
        self.unreachable |= {name: fault for name, fault in faults.items() if isinstance(fault, Unreachable)}
        for fault in (*faults.values(), *self._absent.values()):
            raise fault

    def _ask(self, name: str, body: str, faults: dict[str, AutoscalerError]) -> bool:
        """Whether the cluster owns the message; a fault that hindered it is kept in ``faults``."""
        faults.pop(name, None)
        began = self._seconds_left()
        if began < self._message_seconds:
            faults[name] = AutoscalerError("a message waits for the next invocation: this one has no time left for it")
            return False
        try:
            owns = self._clusters[name].take(body)
        except AutoscalerError as fault:
            faults[name] = fault
            if isinstance(fault, Unreachable) and began - self._seconds_left() >= QUICK_SECONDS:
                self.unreachable[name] = fault
            return False
        self.unreachable.pop(name, None)
        return owns

    def _may_answer(self, name: str, fault: AutoscalerError | None) -> bool:
        """Whether a cluster is asked again. One that is alone keeps nobody waiting."""
        return isinstance(fault, PASSING) and (name not in self.unreachable or len(self._clusters) == 1)
