from pathlib import Path

import msgspec
import pytest

from lambda_autoscaler.ports import BadInput
from lambda_autoscaler.settings import from_flags
from lambda_autoscaler.sim.run import Trace, play
from lambda_autoscaler.sim.scenario import Scenario, read_scenario, tutorial
from lambda_autoscaler.sim.timeline import Timeline
from lambda_autoscaler.sim.world import World


def played(scenario: Scenario) -> tuple[Trace, World]:
    worlds: list[World] = []
    trace = play(scenario, from_flags({"cluster-name": scenario.world.cluster}), worlds.append)
    return trace, worlds[-1]


def test_the_tutorial_scales_the_spot_group_from_2_to_7_with_one_write_and_all_pods_run() -> None:
    trace, world = played(tutorial())
    scaled = [increase for scan in trace.scans for increase in scan.report.outcome.scaled]
    assert [(item.current, item.target, item.maximum) for item in scaled] == [(2, 7, 20)]
    assert "spot-4vcpu-16gb" in scaled[0].group
    assert world.aws.writes == 1
    assert trace.warnings == ()
    assert sum(pod.started is not None for pod in world.state.pods if "nginx" in pod.name) == 20


def test_a_scan_while_the_nodes_boot_does_not_scale_again() -> None:
    trace, _ = played(tutorial())
    booting = trace.scans[2]
    assert any(lane.ready is not None and lane.ready > booting.at for lane in trace.lanes())
    assert booting.report.plan is not None
    assert booting.report.plan.increases == ()


def test_the_tutorial_goes_the_same_way_with_other_seeds() -> None:
    for seed in range(5):
        trace, _ = played(tutorial(seed))
        assert Timeline(trace, "least-waste").lines()[-1].text == "scan: nothing to do"
        assert [item.target for scan in trace.scans for item in scan.report.outcome.scaled] == [7]


def test_the_status_and_the_events_of_a_scan_are_in_the_simulated_cluster() -> None:
    _, world = played(tutorial())
    assert world.kube.config_map("kube-system", "cluster-autoscaler-status") is not None
    assert {"TriggeredScaleUp", "ScaledUpGroup"} <= {notice.reason for notice in world.kube.events}


def test_lanes_tell_the_life_of_every_node() -> None:
    trace, _ = played(tutorial())
    lanes = trace.lanes()
    assert len(lanes) == 9
    new = [lane for lane in lanes if lane.launched is not None]
    assert len(new) == 5
    assert all(lane.launched < lane.registered < lane.ready for lane in new)  # type: ignore[operator]


def test_a_scenario_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "story.yaml"
    path.write_bytes(msgspec.yaml.encode(tutorial()))
    assert read_scenario(path) == tutorial()


@pytest.mark.parametrize(("text", "names"), [("{", "story.yaml"), ("world: 1", "world"), ("wrld: {}", "wrld")])
def test_a_scenario_that_cannot_be_read_names_file_and_field(tmp_path: Path, text: str, names: str) -> None:
    path = tmp_path / "story.yaml"
    path.write_text(text)
    with pytest.raises(BadInput, match=names) as fault:
        read_scenario(path)
    assert "story.yaml" in str(fault.value)
