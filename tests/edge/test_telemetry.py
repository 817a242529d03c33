"""Log lines and metrics of a scan."""

import json
from io import StringIO
from typing import Any

import pytest
from aws_lambda_powertools import Logger

from lambda_autoscaler.core.health import status_notice
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.core.model import Controller, PodRef, PodShape
from lambda_autoscaler.core.options import Options, Range
from lambda_autoscaler.core.plan import (
    ClusterTotals,
    GroupStatus,
    Increase,
    Misfit,
    NodeOutcome,
    PendingPods,
    Plan,
    Rule,
    ScaleUpResult,
    Unremovable,
)
from lambda_autoscaler.edge.telemetry import PowertoolsTelemetry, cluster_metrics, final_plan, unit_of

SPOT = GroupStatus("spot", True, 2, 1, 0, 0, 3, 0, 0, 7, 2, 20, "InProgress")
PLAN = Plan(ScaleUpResult.SUCCESSFUL, increases=(Increase("spot", 2, 7, 20), Increase("b", 0, 1, 5)), groups=(SPOT,))
SUMMARY = {"result": "ScaleUpSuccessful", "scale_up": [{"group": "spot", "from": 2, "to": 7, "max": 20}], "failures": ["one"]}


def blobs(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def telemetry(lines: StringIO, *, per_group: bool = False) -> PowertoolsTelemetry:
    options = Options(cluster_name="demo", emit_per_nodegroup_metrics=per_group)
    return PowertoolsTelemetry(Logger(service=f"autoscaler-{id(lines)}", stream=lines), options, "Space")


def test_the_final_plan_reads_as_operators_know_it() -> None:
    assert final_plan(PLAN) == "Final scale-up plan: [{spot 2->7 (max: 20)} {b 0->1 (max: 5)}]"


def test_the_final_plan_is_logged_only_when_something_grows() -> None:
    lines = StringIO()
    telemetry(lines).planned(Plan(ScaleUpResult.NOT_NEEDED))
    assert lines.getvalue() == ""
    telemetry(lines).planned(PLAN)
    assert json.loads(lines.getvalue())["message"].startswith("Final scale-up plan: [{spot 2->7 (max: 20)}")


def test_a_scan_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines = StringIO()
    telemetry(lines).scanned(PLAN, SUMMARY)
    (line,) = lines.getvalue().splitlines()
    assert json.loads(line)["scan"] == SUMMARY


def test_metrics_carry_upstreams_names_and_two_dimensions(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry(StringIO()).scanned(PLAN, SUMMARY)
    (blob,) = blobs(capsys)
    (directive,) = blob["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Space"
    assert [sorted(names) for names in directive["Dimensions"]] == [["cluster", "service"]]
    assert blob["cluster"] == "demo"
    assert blob["cluster_autoscaler_scaled_up_nodes_total"] == [5.0]
    assert blob["cluster_autoscaler_nodes_count_ready"] == [2.0]
    assert blob["cluster_autoscaler_errors_total"] == [1.0]
    assert "cluster_autoscaler_unschedulable_pods_count" in blob


def test_metrics_per_group_are_opt_in(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry(StringIO(), per_group=True).scanned(PLAN, SUMMARY)
    _, group = blobs(capsys)
    assert group["node_group"] == "spot"
    assert group["cluster_autoscaler_node_group_target_count"] == [7.0]


OPTIONS = Options(cluster_name="demo")


def values(plan: Plan, options: Options = OPTIONS, **summary: object) -> dict[str, float]:
    return cluster_metrics(plan, summary, options)


def quiet(**fields: Any) -> Plan:
    return Plan(ScaleUpResult.NOT_NEEDED, **fields)


def test_the_cluster_is_counted_as_the_scan_found_it() -> None:
    found = values(quiet(totals=ClusterTotals(3, 12, 48 * 2**30, 7, 2), groups=(SPOT,)))
    assert found["cluster_cpu_current_cores"] == 12
    assert found["cluster_memory_current_bytes"] == 48 * 2**30
    assert found["unschedulable_pods_count"] == 7
    assert found["node_groups_count"] == 1
    assert found["cluster_safe_to_autoscale"] == 1
    assert (found["nodes_count_ready"], found["nodes_count_unready"]) == (2, 1)
    assert values(quiet(healthy=False))["cluster_safe_to_autoscale"] == 0


def test_pods_that_no_scheduler_looked_at_are_counted_where_they_count() -> None:
    name = "unschedulable_pods_count_scheduler_unprocessed"
    plan = quiet(totals=ClusterTotals(unprocessed_pods=2))
    assert name not in values(plan)
    assert values(plan, Options(cluster_name="demo", bypassed_scheduler_names=("mine",)))[name] == 2


def test_limits_are_sent_only_where_they_are_set() -> None:
    assert not [name for name in values(quiet()) if "limit" in name or name == "max_nodes_count"]
    found = values(quiet(), Options(cluster_name="demo", max_nodes_total=9, cores_total=Range(2, 64), memory_total=Range(0, 10)))
    assert found["max_nodes_count"] == 9
    assert (found["cpu_limits_cores_minimum"], found["cpu_limits_cores_maximum"]) == (2, 64)
    assert found["memory_limits_bytes_maximum"] == 10 * 2**30


def test_failed_scale_ups_are_refusals_timeouts_and_launch_errors() -> None:
    reasons = ("ScaleUpTimedOut", "ScaleUpFailed", "MaxNodesTotalReached")
    notices = tuple(status_notice(OPTIONS, "Warning", reason, "") for reason in reasons)
    assert values(quiet(notices=notices), failed_scale_ups=1)["failed_scale_ups_total"] == 3
    assert "failed_scale_ups_total" not in values(quiet())


def test_removed_instances_that_never_registered_are_counted() -> None:
    notices = (status_notice(OPTIONS, "Normal", "DeleteUnregistered", "Removed unregistered node i-1"),)
    assert values(quiet(notices=notices))["old_unregistered_nodes_removed_count"] == 1


def test_groups_held_back_by_a_limit_are_counted_by_resource() -> None:
    skipped = (
        ("a", Misfit(Rule.QUOTA, '"cluster-wide", resources: cpu, memory')),
        ("b", Misfit(Rule.QUOTA, '"cluster-wide", resources: cpu')),
        ("c", Misfit(Rule.QUOTA, '"cluster-wide", resources: nvidia-l4')),
        ("d", Misfit(Rule.MAX_SIZE)),
    )
    found = values(quiet(skipped_groups=skipped))
    assert {name.rpartition("_")[2]: value for name, value in found.items() if name.startswith("skipped_")} == {
        "CpuResourceLimit": 2,
        "MemoryResourceLimit": 1,
        "GpuResourceLimit": 1,
    }


@pytest.mark.parametrize(("shapes", "overflowing"), [(10, None), (11, 1)])
def test_a_controller_with_more_than_ten_shapes_overflows(shapes: int, overflowing: float | None) -> None:
    owner = Controller("Job", "many", "uid-1")
    pods = tuple(PendingPods(PodShape(key, "default", controller=owner), (PodRef("p"),), "unhelped") for key in range(shapes))
    assert values(quiet(pods=pods)).get("overflowing_controllers_count") == overflowing


def test_nodes_that_stay_are_counted_by_reason() -> None:
    nodes = (
        NodeOutcome("a", "g", Unremovable.NOT_UNDERUTILIZED),
        NodeOutcome("b", "g", Unremovable.NOT_UNDERUTILIZED),
        NodeOutcome("c", "g", Unremovable.IN_COOLDOWN, unneeded_since=1.0),
    )
    found = values(quiet(nodes=nodes))
    assert found["unremovable_nodes_count_NotUnderutilized"] == 2
    assert found["unneeded_nodes_count"] == 1
    assert found["scale_down_in_cooldown"] == 1


def test_durations_and_times_have_their_unit() -> None:
    found = values(quiet(memory=Memory(last_scan=100.0, last_scale_up=40.0)), seconds=1.25)
    assert found["function_duration_seconds_main"] == 1.25
    assert (found["last_activity_main"], found["last_activity_scaleUp"]) == (100.0, 40.0)
    assert "last_activity_scaleDown" not in found
    units = {unit_of(name).value for name in ("function_duration_seconds_main", "last_activity_main")}
    assert (units, unit_of("memory_limits_bytes_maximum").value, unit_of("nodes_count_ready").value) == ({"Seconds"}, "Bytes", "Count")
