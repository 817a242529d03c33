"""The tutorial end to end: on a real control plane, with the packaged function, on what the stack declares."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from lightkube.resources.core_v1 import ConfigMap, Event

from lambda_autoscaler.core.pending import NEW_POD_GRACE
from tests.cluster.binaries import Binaries
from tests.cluster.command_line import plan_live, plan_offline, snapshot
from tests.cluster.function import Invocation
from tests.cluster.tutorial_cluster import TutorialCluster
from tests.cluster.workloads import create_spot_demo, scale, wait_for_ready_nodes, wait_for_running, wait_for_unschedulable

pytestmark = pytest.mark.control_plane


@pytest.fixture(scope="module")
def tutorial(binaries: Binaries) -> Iterator[TutorialCluster]:
    with TutorialCluster(binaries) as running:
        yield running


@pytest.fixture(scope="module")
def waiting(tutorial: TutorialCluster) -> None:
    """The moment at which 14 pods wait for a node."""
    create_spot_demo(tutorial.admin, replicas=2)
    wait_for_running(tutorial.admin, 2)
    scale(tutorial.admin, 20)
    wait_for_unschedulable(tutorial.admin, 14)
    time.sleep(NEW_POD_GRACE + 1)  # pods younger than that are left to the scheduler


@pytest.fixture(scope="module")
def plans(tutorial: TutorialCluster, waiting: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the command plans at that moment, live and from a snapshot."""
    folder = tmp_path_factory.mktemp("snapshots") / "tutorial"
    snapshot(tutorial, folder)
    return plan_live(tutorial), plan_offline(folder)


@pytest.fixture(scope="module")
def first_scan(tutorial: TutorialCluster, plans: tuple[dict[str, Any], dict[str, Any]]) -> Invocation:
    """The function's scan at that moment."""
    tutorial.joiner.delay_joins(5.0)
    return tutorial.scan()


def messages(invocation: Invocation) -> list[str]:
    """Messages of the function's structured log lines."""
    found = []
    for line in invocation.logs:
        if line.startswith("{"):
            found.append(str(json.loads(line).get("message", "")))
    return found


def test_planning_live_and_from_a_snapshot_gives_the_function_s_answer_and_changes_nothing(
    tutorial: TutorialCluster, plans: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    live, offline = plans
    expected = [{"group": tutorial.deployment.outputs["spot_auto_scaling_group"], "from": 2, "to": 7, "max": 20}]
    assert live["scale_up"] == offline["scale_up"] == expected
    assert not [call for call in tutorial.world.writes("user/administrator") if call.operation == "SetDesiredCapacity"]


def test_fourteen_pending_pods_scale_the_spot_group_from_2_to_7(tutorial: TutorialCluster, first_scan: Invocation) -> None:
    group = tutorial.deployment.outputs["spot_auto_scaling_group"]
    assert first_scan.error is None
    assert f"Final scale-up plan: [{{{group} 2->7 (max: 20)}}]" in messages(first_scan)
    assert tutorial.spot_group()["DesiredCapacity"] == 7
    assert tutorial.function_writes() == ["SetDesiredCapacity"]


def test_a_scan_while_the_nodes_are_booting_does_not_scale_again(tutorial: TutorialCluster, first_scan: Invocation) -> None:
    second = tutorial.scan()
    assert second.error is None
    assert tutorial.spot_group()["DesiredCapacity"] == 7
    assert tutorial.function_writes() == ["SetDesiredCapacity"]


def test_all_twenty_pods_run_once_the_five_nodes_have_joined(tutorial: TutorialCluster, first_scan: Invocation) -> None:
    wait_for_ready_nodes(tutorial.admin, 9, seconds=60)
    wait_for_running(tutorial.admin, 20, seconds=60)


def test_pods_say_that_they_triggered_the_scale_up(tutorial: TutorialCluster, first_scan: Invocation) -> None:
    events = [event for event in tutorial.admin.list(Event, namespace="default") if event.reason == "TriggeredScaleUp"]
    group = tutorial.deployment.outputs["spot_auto_scaling_group"]
    assert {event.message for event in events} == {f"pod triggered scale-up: [{{{group} 2->7 (max: 20)}}]"}
    assert len({event.involvedObject.name for event in events}) == 14


def test_the_status_config_map_tells_of_the_group(tutorial: TutorialCluster, first_scan: Invocation) -> None:
    status = tutorial.admin.get(ConfigMap, "cluster-autoscaler-status", namespace="kube-system")
    assert status.data is not None
    assert "autoscalerStatus: Running" in status.data["status"]
    assert tutorial.deployment.outputs["spot_auto_scaling_group"] in status.data["status"]


def test_a_scan_that_finds_nothing_to_do_writes_nothing_to_aws(tutorial: TutorialCluster, first_scan: Invocation) -> None:
    wait_for_running(tutorial.admin, 20, seconds=60)
    tutorial.world.forget_calls()
    third = tutorial.scan()
    assert third.error is None
    assert tutorial.function_writes() == []
