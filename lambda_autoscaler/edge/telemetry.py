"""Log lines and metrics of a scan, through Powertools' Logger (JSON lines) and Metrics (CloudWatch embedded metric format).

Metrics carry the Cluster Autoscaler's names (behaviour specification, section 10.3) and only the dimensions ``service`` and ``cluster``:
CloudWatch bills each combination of name and dimensions. Labels that upstream puts on a metric become part of its name where they are few
(``nodes_count_ready``). Metrics per node group are opt-in with ``--emit-per-nodegroup-metrics``.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.plan import GroupStatus, Plan

PREFIX: Final = "cluster_autoscaler_"
DEFAULT_NAMESPACE: Final = "EksAutoscaling"


class PowertoolsTelemetry:
    """What operators see of the scans of one cluster (``ports.Telemetry``).

    The service is the logger's; it and the log level come from Powertools' own environment variables, such as POWERTOOLS_SERVICE_NAME.
    """

    def __init__(self, logger: Logger, options: Options, namespace: str = DEFAULT_NAMESPACE) -> None:
        self._logger = logger
        self._options = options
        self._namespace = namespace

    def planned(self, plan: Plan) -> None:
        """The line that operators of the Cluster Autoscaler look for."""
        if plan.increases:
            self._logger.info(final_plan(plan))

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

    def _emit(self, dimensions: Mapping[str, str], values: Mapping[str, float]) -> None:
        metrics = EphemeralMetrics(namespace=self._namespace, service=self._logger.service)
        for dimension, member in dimensions.items():
            metrics.add_dimension(name=dimension, value=member)
        for name, value in values.items():
            metrics.add_metric(name=PREFIX + name, unit=MetricUnit.Count, value=value)
        metrics.flush_metrics()


def final_plan(plan: Plan) -> str:
    """``Final scale-up plan: [{GROUP 2->7 (max: 20)}]``."""
    parts = (f"{{{item.group} {item.current}->{item.target} (max: {item.maximum})}}" for item in plan.increases)
    return f"Final scale-up plan: [{' '.join(parts)}]"


def cluster_metrics(plan: Plan, summary: Mapping[str, object], options: Options) -> dict[str, float]:
    """Values by upstream's name without prefix."""
    outcomes = Counter(dict.fromkeys(("schedulable", "triggered", "waiting", "unhelped"), 0))
    for item in plan.pods:
        outcomes[item.outcome] += len(item.pods)
    failures = summary.get("failures")
    return {
        "cluster_safe_to_autoscale": float(plan.healthy),
        "unschedulable_pods_count": float(outcomes.total() - outcomes["schedulable"]),
        "node_groups_count": float(len(plan.groups)),
        "nodes_count_ready": _total(plan, "ready"),
        "nodes_count_unready": _total(plan, "unready"),
        "nodes_count_notStarted": _total(plan, "not_started"),
        "nodes_count_unregistered": _total(plan, "unregistered"),
        "nodes_count_longUnregistered": _total(plan, "long_unregistered"),
        "max_nodes_count": float(options.max_nodes_total),
        "scaled_up_nodes_total": float(_scaled_up(summary)),
        "unneeded_nodes_count": _total(plan, "candidates"),
        "errors_total": float(len(failures)) if isinstance(failures, list) else 0.0,
    }


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
