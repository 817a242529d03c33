"""Log lines and metrics of a scan, through Powertools' Logger (JSON lines) and Metrics (CloudWatch embedded metric format).

Metrics carry the Cluster Autoscaler's names (behaviour specification, section 10.3) and only the dimensions ``service`` and ``cluster``:
CloudWatch bills each combination of name and dimensions, $0.30 a month (us-east-1) as long as it gets values. Labels that upstream puts on
a metric become part of its name where they are few (``nodes_count_ready``). What never changes or did not happen is not sent. Metrics per
node group are opt-in with ``--emit-per-nodegroup-metrics``: five for each group.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.plan import GroupStatus, Plan, Rule, Unremovable
from lambda_autoscaler.core.removal_words import beginning, replacement_text
from lambda_autoscaler.core.scale_up import MAX_SHAPES_PER_CONTROLLER

PREFIX: Final = "cluster_autoscaler_"
DEFAULT_NAMESPACE: Final = "EksAutoscaling"
GIB: Final = 2.0**30
NODE_STATES: Final = {
    "ready": "ready",
    "unready": "unready",
    "notStarted": "not_started",
    "unregistered": "unregistered",
    "longUnregistered": "long_unregistered",
}
LIMIT_REASONS: Final = {"cpu": "CpuResourceLimit", "memory": "MemoryResourceLimit"}


COUNTERS: Final = frozenset(
    {
        "scaled_up_nodes_total",
        "failed_scale_ups_total",
        "old_unregistered_nodes_removed_count",
        "overflowing_controllers_count",
        "scale_down_in_cooldown",
        "pending_node_deletions",
        "evicted_pods_total_succeeded",
        "evicted_pods_total_failed",
        "errors_total",
    }
)
"""What is only worth a metric while there is something to count."""


class PowertoolsTelemetry:
    """What operators see of the scans of one cluster (``ports.Telemetry``).

    The service is the logger's; it and the log level come from Powertools' own environment variables, such as POWERTOOLS_SERVICE_NAME.
    """

    def __init__(self, logger: Logger, options: Options, namespace: str = DEFAULT_NAMESPACE) -> None:
        self._logger = logger
        self._options = options
        self._namespace = namespace

    def planned(self, plan: Plan) -> None:
        """The lines that operators of the Cluster Autoscaler look for."""
        if plan.increases:
            self._logger.info(final_plan(plan))
        if plan.replacement is not None:
            self._logger.info(replacement_text(plan.replacement, plan.memory.last_scan))
        for removal in plan.removals:
            self._logger.info(beginning(removal))

    def warn(self, sentence: str) -> None:
        """A warning line."""
        self._logger.warning(sentence)

    def scanned(self, plan: Plan, summary: Mapping[str, object]) -> None:
        """One line with the summary's fields, and the metrics."""
        self._logger.info("scan finished", extra={"scan": dict(summary)})
        self._emit({"cluster": self._options.cluster_name}, cluster_metrics(plan, summary, self._options))
        if self._options.emit_per_nodegroup_metrics:
            for group in plan.groups:
                self._emit({"cluster": self._options.cluster_name, "node_group": group.group}, group_metrics(group))

    def handled(self, message: Mapping[str, object], metrics: Mapping[str, float]) -> None:
        """One line about a message of the interruption queue, and its metrics (``ports.InterruptionTelemetry``)."""
        self._logger.info("interruption handled", extra={"interruption": dict(message)})
        if metrics:
            self._emit({"cluster": self._options.cluster_name}, metrics)

    def _emit(self, dimensions: Mapping[str, str], values: Mapping[str, float]) -> None:
        metrics = EphemeralMetrics(namespace=self._namespace, service=self._logger.service)
        for dimension, member in dimensions.items():
            metrics.add_dimension(name=dimension, value=member)
        for name, value in values.items():
            metrics.add_metric(name=PREFIX + name, unit=unit_of(name), value=value)
        metrics.flush_metrics()


def unit_of(metric: str) -> MetricUnit:
    """CloudWatch's unit of a metric, as its name says it."""
    if "_bytes" in metric:
        return MetricUnit.Bytes
    return MetricUnit.Seconds if "_seconds" in metric or metric.startswith("last_activity") else MetricUnit.Count


def final_plan(plan: Plan) -> str:
    """``Final scale-up plan: [{GROUP 2->7 (max: 20)}]``."""
    parts = (f"{{{item.group} {item.current}->{item.target} (max: {item.maximum})}}" for item in plan.increases)
    return f"Final scale-up plan: [{' '.join(parts)}]"


def cluster_metrics(plan: Plan, summary: Mapping[str, object], options: Options) -> dict[str, float]:
    """Values by upstream's name without prefix.

    Limits that are not set, reasons that did not occur and counters that counted nothing are left out: CloudWatch bills each metric for
    every hour in which it is written.
    """
    failures = summary.get("failures")
    found = {
        "cluster_safe_to_autoscale": float(plan.healthy),
        "unschedulable_pods_count": float(plan.totals.unschedulable_pods),
        **_unprocessed(plan, options),
        "node_groups_count": float(len(plan.groups)),
        **{f"nodes_count_{state}": _total(plan, field) for state, field in NODE_STATES.items()},
        "cluster_cpu_current_cores": float(plan.totals.cores),
        "cluster_memory_current_bytes": float(plan.totals.memory),
        **_limits(options),
        "scaled_up_nodes_total": float(_scaled_up(summary)),
        "failed_scale_ups_total": _number(summary.get("failed_scale_ups")) + _count(plan, "ScaleUpTimedOut", "ScaleUpFailed"),
        "old_unregistered_nodes_removed_count": _count(plan, "DeleteUnregistered"),
        "overflowing_controllers_count": float(_overflowing_controllers(plan)),
        **{f"skipped_scale_events_count_up_{reason}": number for reason, number in _skipped(plan).items()},
        "unneeded_nodes_count": float(sum(node.unneeded_since is not None for node in plan.nodes)),
        **_unremovable(plan),
        **_removals(summary),
        "errors_total": float(len(failures)) if isinstance(failures, list) else 0.0,
        "function_duration_seconds_main": _number(summary.get("seconds")),
        **_activities(plan),
    }
    return {name: value for name, value in found.items() if value or name not in COUNTERS}


def _unprocessed(plan: Plan, options: Options) -> dict[str, float]:
    """Pods that their scheduler has not looked at; they are only counted where such pods count as waiting."""
    wanted = bool(options.bypassed_scheduler_names)
    return {"unschedulable_pods_count_scheduler_unprocessed": float(plan.totals.unprocessed_pods)} if wanted else {}


def _limits(options: Options) -> dict[str, float]:
    """Limits that were set: metrics that never change cost as much as others."""
    usual = Options(cluster_name="-")
    found = {"max_nodes_count": float(options.max_nodes_total)} if options.max_nodes_total else {}
    if options.cores_total != usual.cores_total:
        found |= {
            "cpu_limits_cores_minimum": float(options.cores_total.minimum),
            "cpu_limits_cores_maximum": float(options.cores_total.maximum),
        }
    if options.memory_total != usual.memory_total:
        found |= {
            "memory_limits_bytes_minimum": options.memory_total.minimum * GIB,
            "memory_limits_bytes_maximum": options.memory_total.maximum * GIB,
        }
    return found


def _count(plan: Plan, *reasons: str) -> float:
    return float(sum(notice.reason in reasons for notice in plan.notices))


def _overflowing_controllers(plan: Plan) -> int:
    """Controllers whose waiting pods are of so many shapes that the later ones are looked at one by one."""
    waiting = ((item.shape.controller.uid, item.shape) for item in plan.pods if item.shape.controller and item.outcome != "schedulable")
    shapes = Counter(uid for uid, _ in dict.fromkeys(waiting))
    return sum(number > MAX_SHAPES_PER_CONTROLLER for number in shapes.values())


def _skipped(plan: Plan) -> dict[str, float]:
    """Groups that may not grow because of a limit on the cluster, by upstream's word for the resource."""
    quotas = [misfit.object.partition("resources: ")[2].split(", ") for _, misfit in plan.skipped_groups if misfit.rule is Rule.QUOTA]
    words = Counter(LIMIT_REASONS.get(resource, "GpuResourceLimit") for resources in quotas for resource in resources)
    return {word: float(number) for word, number in words.items()}


def _unremovable(plan: Plan) -> dict[str, float]:
    """Nodes that stay, by the reason; whether it is the cooldown that keeps unneeded ones."""
    reasons = Counter(node.reason for node in plan.nodes if node.reason is not None and node.unneeded_since is None)
    cooling = any(node.reason is Unremovable.IN_COOLDOWN for node in plan.nodes)
    return {
        "scale_down_in_cooldown": float(cooling),
        **{f"unremovable_nodes_count_{reason}": float(number) for reason, number in reasons.items()},
    }


def _removals(summary: Mapping[str, object]) -> dict[str, float]:
    """What became of removals; upstream's labels are part of the names."""
    removed, active = summary.get("removed"), summary.get("removals_in_progress")
    reasons = Counter(item["reason"] for item in removed) if isinstance(removed, list) else Counter[str]()
    return {
        **{f"scaled_down_nodes_total_{reason}": float(number) for reason, number in reasons.items()},
        "pending_node_deletions": float(len(active)) if isinstance(active, list) else 0.0,
        "evicted_pods_total_succeeded": _number(summary.get("evicted_pods")),
        "evicted_pods_total_failed": _number(summary.get("refused_evictions")),
    }


def _activities(plan: Plan) -> dict[str, float]:
    """When the scan ran and when it last grew or shrank a group, in seconds since the epoch."""
    memory = plan.memory
    times = {"main": memory.last_scan, "scaleUp": memory.last_scale_up, "scaleDown": memory.last_scale_down_delete}
    return {f"last_activity_{name}": at for name, at in times.items() if at}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _scaled_up(summary: Mapping[str, object]) -> int:
    made = summary.get("scale_up")
    return sum(item["to"] - item["from"] for item in made) if isinstance(made, list) else 0


def _total(plan: Plan, field: str) -> float:
    return float(sum(getattr(group, field) for group in plan.groups))


def group_metrics(group: GroupStatus) -> dict[str, float]:
    """Values of one node group by upstream's name without prefix."""
    return {
        "node_group_min_count": float(group.minimum),
        "node_group_max_count": float(group.maximum),
        "node_group_target_count": float(group.target),
        "node_group_healthiness": float(group.healthy),
        "node_group_backoff_status": float(group.scale_up == "Backoff"),
    }
