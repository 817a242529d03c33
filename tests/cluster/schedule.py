"""Invokes a function exactly as its declared EventBridge schedule says.

What is declared is read back through the APIs of EventBridge Scheduler and Lambda at each tick. The rules:

* Scheduler (user guide, "Context attributes", "Retry policy"): substitutes its keywords in the input, assumes the
  schedule's role, calls Lambda's Invoke with the type Event, and drops an event older than the schedule's maximum age.
  Its own retries answer a refused call, such as a throttled API, which cannot happen here.
* Lambda (developer guide, "Asynchronous invocation"): queues the event; a throttled event goes back to the queue for 1 s,
  doubling up to 5 min; a failed one is tried again after 1 min, then after 2 min. How often and how long is the
  function's event invoke configuration, which by default means twice and 6 hours.
"""

import json
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.cluster.function import Function, FunctionConfiguration, Invocation, Throttled

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_scheduler import EventBridgeSchedulerClient
    from mypy_boto3_scheduler.type_defs import GetScheduleOutputTypeDef

SECONDS = {"minute": 60.0, "hour": 3600.0, "day": 86400.0}
ERROR_WAITS = (60.0, 120.0)
LONGEST_THROTTLE_WAIT = 300.0


class ScheduleError(Exception):
    """The schedule would not reach the function on AWS; the text says why."""


class EventDropped(Exception):
    """The event grew too old, so AWS would have dropped it without an invocation."""


@dataclass(frozen=True)
class AsynchronousPolicy:
    """Lambda's event invoke configuration; the values are AWS's defaults."""

    retries: int = 2
    maximum_age_seconds: float = 21600.0


def declared_configuration(functions: "LambdaClient", name: str) -> FunctionConfiguration:
    """Return what was declared about a function, as its runner wants it."""
    answer = functions.get_function(FunctionName=name)
    declared = answer["Configuration"]
    return FunctionConfiguration(
        name=declared["FunctionName"],
        handler=declared["Handler"],
        arn=declared["FunctionArn"],
        timeout_seconds=float(declared["Timeout"]),
        memory_mib=declared["MemorySize"],
        variables=declared.get("Environment", {}).get("Variables", {}),
        reserved_concurrency=answer.get("Concurrency", {}).get("ReservedConcurrentExecutions"),
    )


@dataclass
class ScheduledInvoker:
    """One schedule and the running function that it should reach.

    ``may_invoke(role_arn, function_arn)`` raises when Scheduler may not assume the role, or the role may not invoke the
    function. ``sleep`` takes seconds and passes the time between attempts. ``history`` keeps every invocation.
    """

    scheduler: "EventBridgeSchedulerClient"
    functions: "LambdaClient"
    function: Function
    name: str
    may_invoke: Callable[[str, str], None]
    group: str = "default"
    sleep: Callable[[float], None] = time.sleep
    history: list[Invocation] = field(default_factory=list)

    def every_seconds(self) -> float:
        """Return the declared rate; raise ScheduleError for anything but ``rate(…)``."""
        expression = self._schedule()["ScheduleExpression"]
        rate = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression)
        if rate is None:
            raise ScheduleError(f"schedule {self.name}: {expression} is no rate of minutes, hours or days")
        return int(rate[1]) * SECONDS[rate[2]]

    def tick(self, now: datetime, late_seconds: float = 0.0) -> Invocation:
        """Do what AWS does at the scheduled time ``now`` and return the last attempt's invocation.

        ``late_seconds`` is how late the delivery is. Raises ScheduleError when the function cannot be reached,
        EventDropped when the event grew too old, and whatever ``may_invoke`` raises.
        """
        schedule = self._schedule()
        target = schedule["Target"]
        if schedule["State"] != "ENABLED":
            raise ScheduleError(f"schedule {self.name} is {schedule['State']}")
        if target["Arn"] != self.function.configuration.arn:
            raise ScheduleError(f"schedule {self.name} invokes {target['Arn']}, not {self.function.configuration.arn}")
        self.may_invoke(target["RoleArn"], target["Arn"])
        oldest = target.get("RetryPolicy", {}).get("MaximumEventAgeInSeconds", 86400)
        if late_seconds > oldest:
            raise EventDropped(f"{late_seconds:.0f} s late, and the schedule {self.name} allows {oldest} s")
        return self._invoke_asynchronously(self._event(schedule, now))

    def _schedule(self) -> "GetScheduleOutputTypeDef":
        return self.scheduler.get_schedule(Name=self.name, GroupName=self.group)

    def _event(self, schedule: "GetScheduleOutputTypeDef", now: datetime) -> dict[str, Any]:
        """Return the declared input with Scheduler's keywords filled in."""
        text = schedule["Target"].get("Input")
        if text is None:
            raise ScheduleError(f"schedule {self.name} declares no input")
        keywords = {
            "schedule-arn": schedule["Arn"],
            "scheduled-time": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "execution-id": uuid.uuid4().hex,
            "attempt-number": "1",
        }
        for keyword, value in keywords.items():
            text = text.replace(f"<aws.scheduler.{keyword}>", value)
        event: dict[str, Any] = json.loads(text)
        return event

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

    def _invoke_asynchronously(self, event: dict[str, Any]) -> Invocation:
        """Invoke until it succeeds, the retries are used up, or the event is too old."""
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
