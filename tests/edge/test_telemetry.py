"""Log lines and metrics of a scan."""

import json
from io import StringIO
from typing import Any

import pytest
from aws_lambda_powertools import Logger

from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.plan import GroupStatus, Increase, Plan, ScaleUpResult
from lambda_autoscaler.edge.telemetry import PowertoolsTelemetry, final_plan

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
