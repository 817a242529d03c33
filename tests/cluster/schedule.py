"""Invokes a function exactly as its declared EventBridge schedule says.

What is declared is read back through the APIs of EventBridge Scheduler and Lambda at each tick. The rules:

* Scheduler (user guide, "Context attributes", "Retry policy"): substitutes its keywords in the input, assumes the
  schedule's role, calls Lambda's Invoke with the type Event, and drops an event older than the schedule's maximum age.
  Its own retries answer a refused call, such as a throttled API, which cannot happen here.
* Lambda: see ``asynchronous``.
"""

import json
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.cluster.asynchronous import AsynchronousInvoker, EventDropped
from tests.cluster.function import Function, FunctionConfiguration, Invocation

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_scheduler import EventBridgeSchedulerClient
    from mypy_boto3_scheduler.type_defs import GetScheduleOutputTypeDef

SECONDS = {"minute": 60.0, "hour": 3600.0, "day": 86400.0}


class ScheduleError(Exception):
    """The schedule would not reach the function on AWS; the text says why."""


def declared_configuration(functions: "LambdaClient", name: str) -> FunctionConfiguration:
    """Return what was declared about a function, as its runner wants it."""
    answer = functions.get_function(FunctionName=name)
    declared = answer["Configuration"]
    return FunctionConfiguration(
        name=declared["FunctionName"],
        handler=declared["Handler"],
        arn=declared["FunctionArn"],
        role_arn=declared["Role"],
        timeout_seconds=float(declared["Timeout"]),
        memory_mib=declared["MemorySize"],
        variables=declared.get("Environment", {}).get("Variables", {}),
        reserved_concurrency=answer.get("Concurrency", {}).get("ReservedConcurrentExecutions"),
    )


def schedules_of(scheduler: "EventBridgeSchedulerClient", function_arn: str, group: str = "default") -> list[str]:
    """Names of the schedules whose target is the function."""
    pages = scheduler.get_paginator("list_schedules").paginate(GroupName=group)
    return [schedule["Name"] for page in pages for schedule in page["Schedules"] if schedule["Target"]["Arn"] == function_arn]


@dataclass
class ScheduledInvoker:
    """One schedule and the running function that it should reach.

    ``may_invoke(role_arn, function_arn)`` raises when Scheduler may not assume the role, or the role may not invoke the
    function. ``sleep`` takes seconds and passes the time between attempts.
    """

    scheduler: "EventBridgeSchedulerClient"
    functions: "LambdaClient"
    function: Function
    name: str
    may_invoke: Callable[[str, str], None]
    group: str = "default"
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        """Invocations that come from elsewhere go the same way, through ``asynchronous``."""
        self.asynchronous = AsynchronousInvoker(self.functions, self.function, self.sleep)

    @property
    def history(self) -> list[Invocation]:
        """Every invocation."""
        return self.asynchronous.history

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
        return self.asynchronous.invoke(self._event(schedule, now))

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
