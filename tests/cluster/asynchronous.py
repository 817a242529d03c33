"""Asynchronous invocation as Lambda does it (developer guide, "Asynchronous invocation").

An event is queued; a throttled event goes back to the queue for 1 s, doubling up to 5 min; a failed one is tried again after 1 min, then
after 2 min. How often and how long is the function's event invoke configuration, which by default means twice and 6 hours.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.cluster.function import Function, Invocation, Throttled

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

ERROR_WAITS = (60.0, 120.0)
LONGEST_THROTTLE_WAIT = 300.0


class EventDropped(Exception):
    """The event grew too old, so AWS would have dropped it without an invocation."""


@dataclass(frozen=True)
class AsynchronousPolicy:
    """Lambda's event invoke configuration; the values are AWS's defaults."""

    retries: int = 2
    maximum_age_seconds: float = 21600.0


@dataclass
class AsynchronousInvoker:
    """Invokes one running function asynchronously, by the policy that is declared for it at that moment.

    ``sleep`` takes seconds and passes the time between attempts. ``history`` keeps every invocation.
    """

    functions: "LambdaClient"
    function: Function
    sleep: Callable[[float], None] = time.sleep
    history: list[Invocation] = field(default_factory=list)

    def invoke(self, event: dict[str, Any]) -> Invocation:
        """Invoke until it succeeds, the retries are used up, or the event is too old; return the last attempt's invocation.

        Raises EventDropped when the event was throttled until it was too old.
        """
        policy, age, failures, throttle_wait = self._policy(), 0.0, 0, 1.0
        while True:
            try:
                invocation = self.function.invoke(event)
            except Throttled as throttled:
                wait, throttle_wait = throttle_wait, min(2 * throttle_wait, LONGEST_THROTTLE_WAIT)
                if age + wait > policy.maximum_age_seconds:
                    raise EventDropped(f"throttled until {policy.maximum_age_seconds:.0f} s old") from throttled
            else:
                self.history.append(invocation)
                if invocation.error is None or failures >= policy.retries:
                    return invocation
                wait, failures = ERROR_WAITS[failures], failures + 1
                if age + wait > policy.maximum_age_seconds:
                    return invocation
            age += wait
            self.sleep(wait)

    def _policy(self) -> AsynchronousPolicy:
        """Return the function's declared policy for asynchronous events, or AWS's defaults."""
        name = self.function.configuration.name
        try:
            declared = self.functions.get_function_event_invoke_config(FunctionName=name)
        except self.functions.exceptions.ResourceNotFoundException:
            return AsynchronousPolicy()
        return AsynchronousPolicy(
            declared.get("MaximumRetryAttempts", AsynchronousPolicy.retries),
            declared.get("MaximumEventAgeInSeconds", AsynchronousPolicy.maximum_age_seconds),
        )
