"""Alarms and a dashboard for one autoscaler, from metrics that it or AWS itself writes.

The tables are pure: what each alarm and panel looks at, by the names of docs/metrics.md and of AWS's own metrics. Metrics that are only
written while there is something to count treat missing data as good; the absence of a scan is the one alarm for which it is the fault.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pulumi
import pulumi_aws as aws

from eks_autoscaling.functions import Package

NAMESPACE = "EksAutoscaling"
SERVICE = "eks-autoscaling"
PREFIX = "cluster_autoscaler_"
MINUTE = 60
_WIDTH, _HEIGHT, _COLUMNS = 8, 6, 3


@dataclass(frozen=True)
class Metric:
    """A metric: its name, where it comes from, and how its values of a period (seconds) become one."""

    name: str
    source: str = NAMESPACE
    statistic: str = "Maximum"
    period: int = MINUTE


@dataclass(frozen=True)
class Alarm:
    """When to call somebody: the metric is beyond a threshold in so many of so many periods."""

    key: str
    metric: Metric
    threshold: float
    text: str
    breaching_periods: int = 1
    periods: int = 1
    comparison: str = "GreaterThanThreshold"
    missing: str = "notBreaching"


def own(name: str, statistic: str = "Maximum", period: int = MINUTE) -> Metric:
    """A metric of the autoscaler, by its name without prefix."""
    return Metric(PREFIX + name, NAMESPACE, statistic, period)


FUNCTION, INTERRUPTION_FUNCTION, QUEUE, DEAD_LETTERS = "scan function", "interruption function", "queue", "dead letters"

SCAN_ALARMS = (
    Alarm(
        "silent",
        own("function_duration_seconds_main", "SampleCount"),
        1,
        "No scan has finished for three minutes: nothing is scaled. Look at the function's log.",
        3,
        3,
        "LessThanThreshold",
        "breaching",
    ),
    Alarm("scan-errors", Metric("Errors", FUNCTION, "Sum"), 0, "Scans fail. The log line says what is missing and what to do.", 3, 5),
    Alarm("slow-scan", Metric("Duration", FUNCTION), 50_000, "Scans take nearly the whole minute. Give the function more memory.", 3, 5),
    Alarm(
        "unhealthy",
        own("cluster_safe_to_autoscale", "Minimum"),
        1,
        "Too many nodes are not ready: the autoscaler waits until they are.",
        5,
        5,
        "LessThanThreshold",
    ),
    Alarm(
        "waiting-pods",
        own("unschedulable_pods_count", "Minimum"),
        0,
        "Pods have waited for a node for a quarter of an hour: lambda-autoscaler plan says why.",
        15,
        15,
    ),
    Alarm(
        "failed-scale-ups",
        own("failed_scale_ups_total", "Sum", 5 * MINUTE),
        0,
        "AWS could not launch what was asked for, three times in a quarter of an hour. Add instance types or zones.",
        3,
        3,
    ),
    Alarm(
        "lost-instances",
        own("nodes_count_longUnregistered"),
        0,
        "Instances run that never became nodes: look at their user data, role and network.",
        15,
        15,
    ),
)
INTERRUPTION_ALARMS = (
    Alarm(
        "interruption-errors", Metric("Errors", INTERRUPTION_FUNCTION, "Sum"), 0, "Events of EC2 are not answered. Look at the log.", 2, 3
    ),
    Alarm("dead-letters", Metric("ApproximateNumberOfMessagesVisible", DEAD_LETTERS), 0, "Events failed three times and were given up."),
    Alarm(
        "late-events",
        Metric("ApproximateAgeOfOldestMessage", QUEUE),
        60,
        "Events wait for a minute, of the two that a spot instance has.",
        2,
        3,
    ),
    Alarm(
        "lost-pods",
        own("interruption_pods_lost_total", "Sum", 5 * MINUTE),
        0,
        "Pods ended with their machine: a budget or missing capacity kept them there.",
    ),
)


@dataclass(frozen=True)
class Panel:
    """One graph of the dashboard."""

    title: str
    metrics: Sequence[Metric]


SCAN_PANELS = (
    Panel("Scans", (Metric("Invocations", FUNCTION, "Sum"), Metric("Errors", FUNCTION, "Sum"))),
    Panel("Duration of a scan (ms)", (Metric("Duration", FUNCTION),)),
    Panel("Cluster healthy", (own("cluster_safe_to_autoscale", "Minimum"),)),
    Panel("Pods without a node", (own("unschedulable_pods_count"),)),
    Panel("Nodes asked for", (own("scaled_up_nodes_total", "Sum"), own("failed_scale_ups_total", "Sum"))),
    Panel("Nodes", tuple(own(f"nodes_count_{state}") for state in ("ready", "unready", "notStarted", "unregistered", "longUnregistered"))),
    Panel("Nodes not needed, being removed", (own("unneeded_nodes_count"), own("pending_node_deletions"))),
    Panel(
        "Nodes removed",
        tuple(own(f"scaled_down_nodes_total_{reason}", "Sum") for reason in ("empty", "underutilized", "consolidated")),
    ),
    Panel("Pods evicted", (own("evicted_pods_total_succeeded", "Sum"), own("evicted_pods_total_failed", "Sum"))),
    Panel("Cores", (own("cluster_cpu_current_cores"),)),
)
INTERRUPTION_PANELS = (
    Panel("Answers to events", (Metric("Invocations", INTERRUPTION_FUNCTION, "Sum"), Metric("Errors", INTERRUPTION_FUNCTION, "Sum"))),
    Panel(
        "Nodes interrupted",
        tuple(own(f"interruption_received_total_{kind}", "Sum") for kind in ("SpotInterruption", "RebalanceRecommendation", "StateChange")),
    ),
    Panel("Seconds to cordon, to empty", (own("interruption_seconds_to_cordon"), own("interruption_seconds_to_empty"))),
    Panel("Pods moved, lost", (own("interruption_pods_moved_total", "Sum"), own("interruption_pods_lost_total", "Sum"))),
    Panel(
        "Events waiting", (Metric("ApproximateNumberOfMessagesVisible", QUEUE), Metric("ApproximateNumberOfMessagesVisible", DEAD_LETTERS))
    ),
)


@dataclass(frozen=True)
class Watched:
    """Names of what is watched, as CloudWatch's dimensions want them; without interruptions the last three are None."""

    cluster: Any
    function: Any
    interruption_function: Any = None
    queue: Any = None
    dead_letters: Any = None

    def dimensions(self, metric: Metric) -> dict[str, Any]:
        """Dimensions of a metric."""
        match metric.source:
            case "scan function":
                return {"FunctionName": self.function}
            case "interruption function":
                return {"FunctionName": self.interruption_function}
            case "queue":
                return {"QueueName": self.queue}
            case "dead letters":
                return {"QueueName": self.dead_letters}
            case _:
                return {"service": SERVICE, "cluster": self.cluster}

    @property
    def with_interruptions(self) -> bool:
        """Whether there is an interruption path to watch."""
        return self.queue is not None


def namespace(metric: Metric) -> str:
    """CloudWatch namespace of a metric."""
    return {FUNCTION: "AWS/Lambda", INTERRUPTION_FUNCTION: "AWS/Lambda", QUEUE: "AWS/SQS", DEAD_LETTERS: "AWS/SQS"}.get(
        metric.source, NAMESPACE
    )


def alarms(watched: Watched) -> tuple[Alarm, ...]:
    """The alarms of an autoscaler."""
    return SCAN_ALARMS + (INTERRUPTION_ALARMS if watched.with_interruptions else ())


def dashboard_body(watched: Watched, region: str) -> dict[str, Any]:
    """The dashboard as CloudWatch takes it, three panels a row; ``watched`` holds plain names."""
    panels = SCAN_PANELS + (INTERRUPTION_PANELS if watched.with_interruptions else ())
    return {"widgets": [_widget(panel, place, watched, region) for place, panel in enumerate(panels)]}


def _widget(panel: Panel, place: int, watched: Watched, region: str) -> dict[str, Any]:
    metrics = []
    for metric in panel.metrics:
        named = [part for pair in watched.dimensions(metric).items() for part in pair]
        label = metric.name.removeprefix(PREFIX)
        metrics.append([namespace(metric), metric.name, *named, {"stat": metric.statistic, "label": label}])
    properties = {"title": panel.title, "region": region, "period": MINUTE, "view": "timeSeries", "metrics": metrics}
    row, column = divmod(place, _COLUMNS)
    return {"type": "metric", "x": column * _WIDTH, "y": row * _HEIGHT, "width": _WIDTH, "height": _HEIGHT, "properties": properties}


@dataclass(frozen=True)
class Notify:
    """Whom alarms notify when they go off and when they are over: ARNs of SNS topics; nobody while not ``enabled``."""

    topics: Sequence[pulumi.Input[str]]
    enabled: bool = True


def declare_alarms(package: Package, watched: Watched, notify: Notify) -> list[aws.cloudwatch.MetricAlarm]:
    """The alarms of an autoscaler."""
    return [_alarm(package, alarm, watched, notify) for alarm in alarms(watched)]


def declare_member_alarms(package: Package, key: str, cluster: pulumi.Input[str], notify: Notify) -> list[aws.cloudwatch.MetricAlarm]:
    """Alarms on what is measured for one more cluster of a fleet, whose functions are watched already."""
    own_metrics = [alarm for alarm in (*SCAN_ALARMS, *INTERRUPTION_ALARMS) if alarm.metric.source == NAMESPACE]
    member = replace(package, name=f"{package.name}-{key}")
    return [_alarm(member, alarm, Watched(cluster, ""), notify) for alarm in own_metrics]


def _alarm(package: Package, alarm: Alarm, watched: Watched, notify: Notify) -> aws.cloudwatch.MetricAlarm:
    metric = alarm.metric
    return aws.cloudwatch.MetricAlarm(
        f"{package.name}-{alarm.key}",
        alarm_description=alarm.text,
        namespace=namespace(metric),
        metric_name=metric.name,
        dimensions=watched.dimensions(metric),
        statistic=metric.statistic,
        period=metric.period,
        threshold=alarm.threshold,
        comparison_operator=alarm.comparison,
        evaluation_periods=alarm.periods,
        datapoints_to_alarm=alarm.breaching_periods,
        treat_missing_data=alarm.missing,
        actions_enabled=notify.enabled,
        alarm_actions=list(notify.topics),
        ok_actions=list(notify.topics),
        tags=package.tags,
        opts=pulumi.ResourceOptions(parent=package.parent),
    )


def declare_dashboard(package: Package, watched: Watched, region: pulumi.Input[str]) -> aws.cloudwatch.Dashboard:
    """The dashboard, named after autoscaler, cluster and region: dashboards of an account are not those of a region."""
    names = pulumi.Output.all(watched.cluster, watched.function, watched.interruption_function, watched.queue, watched.dead_letters, region)
    body = names.apply(lambda found: json.dumps(dashboard_body(replace(watched, **dict(zip(_FIELDS, found[:5], strict=True))), found[5])))
    return aws.cloudwatch.Dashboard(
        f"{package.name}-dashboard",
        dashboard_name=pulumi.Output.concat(package.name, "-", watched.cluster, "-", region),
        dashboard_body=body,
        opts=pulumi.ResourceOptions(parent=package.parent),
    )


_FIELDS = ("cluster", "function", "interruption_function", "queue", "dead_letters")
