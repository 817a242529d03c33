"""Metrics as CloudWatch knows them: those that a function's log lines carry, and those that alarms and a dashboard name.

Log lines are in the embedded metric format (CloudWatch user guide, "Specification: Embedded metric format"): a metric belongs to each set
of dimensions, whose values stand beside it.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

# What Lambda and SQS write about every function that is invoked and every queue that is used.
_OF_FUNCTIONS = ("Invocations", "Errors", "Duration", "Throttles")
_OF_QUEUES = ("ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage")


@dataclass(frozen=True)
class Metric:
    """A metric; CloudWatch takes any other name, value or number of dimensions for another one."""

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]


def written(lines: Iterable[str]) -> set[Metric]:
    """The metrics that log lines carry, if they carry values."""
    return {metric for line in lines if line.startswith("{") for metric in _written_by(json.loads(line))}


def _written_by(line: dict[str, Any]) -> Iterator[Metric]:
    for directive in line.get("_aws", {}).get("CloudWatchMetrics", ()):
        for keys in directive["Dimensions"]:
            dimensions = frozenset((key, str(line[key])) for key in keys)
            yield from (Metric(directive["Namespace"], one["Name"], dimensions) for one in directive["Metrics"] if line[one["Name"]])


def of_aws(cloudwatch_names: dict[str, list[str]]) -> set[Metric]:
    """What AWS itself writes about functions and queues, by ``FunctionName`` and ``QueueName``."""
    functions = {
        Metric("AWS/Lambda", name, frozenset({("FunctionName", function)}))
        for function in cloudwatch_names["FunctionName"]
        for name in _OF_FUNCTIONS
    }
    queues = {Metric("AWS/SQS", name, frozenset({("QueueName", queue)})) for queue in cloudwatch_names["QueueName"] for name in _OF_QUEUES}
    return functions | queues


def named_by_alarms(cloudwatch: Any) -> set[Metric]:
    """The metrics of all alarms of an account; ``cloudwatch`` is a client."""
    alarms = [alarm for page in cloudwatch.get_paginator("describe_alarms").paginate() for alarm in page["MetricAlarms"]]
    return {
        Metric(alarm["Namespace"], alarm["MetricName"], frozenset((one["Name"], one["Value"]) for one in alarm["Dimensions"]))
        for alarm in alarms
    }


def named_by_dashboard(cloudwatch: Any, name: str) -> set[Metric]:
    """The metrics of a dashboard's panels; ``cloudwatch`` is a client."""
    body = json.loads(cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"])
    return {_of_panel(metric) for widget in body["widgets"] for metric in widget["properties"]["metrics"]}


def _of_panel(metric: list[Any]) -> Metric:
    """``[namespace, name, dimension, value, ..., how it is drawn]``."""
    namespace, name, *pairs = (part for part in metric if isinstance(part, str))
    return Metric(namespace, name, frozenset(zip(pairs[::2], pairs[1::2], strict=True)))
