"""Consolidation in the simulated world, in simulated time: cheaper nodes come first, then the dear ones are drained."""

from pathlib import Path

import msgspec
import pytest

from lambda_autoscaler.core.removal_words import replacement_text
from lambda_autoscaler.settings import from_flags
from lambda_autoscaler.sim.journal import Happening
from lambda_autoscaler.sim.run import Trace, play
from lambda_autoscaler.sim.scenario import Scenario, tutorial
from lambda_autoscaler.sim.specification import (
    BudgetSpecification,
    GroupSpecification,
    InstanceShape,
    Pace,
    Specification,
    WorkloadSpecification,
)
from lambda_autoscaler.sim.world import World

PAGE = Path(__file__).parents[2] / "docs" / "consolidation.md"
REPLICAS = 6
LARGE = InstanceShape(
    vcpus=16,
    memory_mib=65_536,
    capacity={"cpu": "16", "memory": "64Gi", "pods": "234", "ephemeral-storage": "80Gi"},
    allocatable={"cpu": "15890m", "memory": "60Gi", "pods": "234", "ephemeral-storage": "70Gi"},
)


def story(launchable: int | None = None) -> Scenario:
    """Six pods on one large node that are too many for scale-down's threshold; four small nodes could hold them for a quarter less."""
    told = tutorial().world
    pod = {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1500m", "memory": "1Gi"}}}]}
    world = Specification(
        cluster="dear",
        groups=(
            GroupSpecification(name="large", minimum=0, maximum=3, desired=1, instance_types=("m5.4xlarge",)),
            GroupSpecification(name="small", minimum=0, maximum=9, desired=0, instance_types=("m5.xlarge",), launchable=launchable),
        ),
        instances={**told.instances, "m5.4xlarge": LARGE},
        daemon_sets=told.daemon_sets,
        deployments=(WorkloadSpecification(name="web", replicas=REPLICAS, pod=pod),),
        budgets=(BudgetSpecification(workload="web", minimum_available=REPLICAS - 1),),
        pace=Pace(),
    )
    return Scenario(world=world, steps=(), duration=3600)


def lived(scenario: Scenario, **flags: str) -> tuple[Trace, World, int]:
    """The trace, the world at the end, and the fewest available pods that any scan found from the third minute on."""
    worlds: list[World] = []
    available: list[int] = []

    def look(world: World) -> None:
        worlds[:] = [world]
        available.append(sum(pod.is_available for pod in world.state.pods if pod.name.startswith("web")))

    named = {name.replace("_", "-"): value for name, value in {"cluster_name": "dear", **flags}.items()}
    trace = play(scenario, from_flags(named), look)
    return trace, worlds[0], min(available[3:])


def desired(world: World) -> dict[str, int]:
    return {name.split("-")[1]: group.desired for name, group in world.fleet.groups.items()}


def test_pods_move_to_cheaper_nodes_that_came_first_and_their_budget_holds() -> None:
    trace, world, least = lived(story(), consolidation_enabled="true")
    assert desired(world) == {"large": 0, "small": 3}
    assert least >= REPLICAS - 1
    large = next(lane for lane in trace.lanes() if "large" in lane.group)
    ready = [lane.ready for lane in trace.lanes() if "small" in lane.group]
    assert large.leaving is not None
    assert all(at is not None and at < large.leaving for at in ready)
    assert [warning for warning in trace.warnings if "disruption budget" not in warning] == []
    assert world.memory.load().consolidation is None


def test_the_page_shows_what_a_plan_says_of_it() -> None:
    trace, _, _ = lived(msgspec.structs.replace(story(), duration=240.0), consolidation_enabled="true")
    at, plan = trace.scans[-1].at, trace.scans[-1].report.plan
    assert plan is not None
    assert plan.replacement is not None
    assert replacement_text(plan.replacement, at) in PAGE.read_text()


def test_without_it_the_dear_node_stays() -> None:
    _, world, _ = lived(story())
    assert desired(world) == {"large": 1, "small": 0}


def test_when_the_cheaper_nodes_do_not_come_nothing_is_removed_and_nothing_is_left_over() -> None:
    trace, world, least = lived(story(launchable=1), consolidation_enabled="true")
    assert desired(world)["large"] == 1
    assert least == REPLICAS
    assert not any(entry.kind is Happening.INSTANCE_TERMINATED and "large" in entry.group for entry in trace.entries)


@pytest.mark.parametrize("flags", [{"consolidation_saving_threshold": "0.9"}, {"scale_down_enabled": "false"}])
def test_it_rests_when_the_saving_is_too_small_or_scale_down_is_off(flags: dict[str, str]) -> None:
    _, world, _ = lived(msgspec.structs.replace(story(), duration=1500.0), consolidation_enabled="true", **flags)
    assert desired(world) == {"large": 1, "small": 0}
