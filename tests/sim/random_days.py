"""Random days of a simulated cluster: workloads come and go, and what the autoscaler makes of it."""

import random

import msgspec

from lambda_autoscaler.settings import from_flags
from lambda_autoscaler.sim.journal import Entry, Happening
from lambda_autoscaler.sim.run import Trace, play
from lambda_autoscaler.sim.scenario import SPOT_TYPES, Scaling, Scenario, tutorial
from lambda_autoscaler.sim.specification import BudgetSpecification, GroupSpecification, Specification, WorkloadSpecification
from lambda_autoscaler.sim.world import World

DAY = 86_400.0
_SIZES = ("250m", "500m", "1000m", "1500m")
_MOST = 14


class Day(msgspec.Struct, frozen=True):
    """How a day went. ``regrets`` are instances that were launched again after a removal although nobody asked for more in between."""

    seed: int
    removed: int
    launched: int
    regrets: int
    below_minimum: bool
    left_behind: int


def lived(seed: int, hours: float = 24.0) -> Day:
    """Live through the day of a seed."""
    worlds: list[World] = []
    low: list[bool] = []

    def look(world: World) -> None:
        worlds[:] = [world]
        low.extend(group.desired < group.specification.minimum for group in world.fleet.groups.values())

    trace = play(_story(seed, hours), from_flags({"cluster-name": "days", "max-drain-parallelism": "2"}), look)
    nodes = worlds[0].state.nodes.values()
    return Day(
        seed=seed,
        removed=sum(len(scan.report.removals.removed) for scan in trace.scans),
        launched=sum(entry.kind is Happening.INSTANCE_LAUNCHED for entry in trace.entries),
        regrets=_regrets(trace),
        below_minimum=any(low),
        left_behind=sum("eks-autoscaling/removal" in node["metadata"].get("annotations", {}) for node in nodes) - _in_progress(trace),
    )


def _story(seed: int, hours: float) -> Scenario:
    chance = random.Random(seed)
    names = [f"app-{number}" for number in range(chance.randint(2, 5))]
    apps = tuple(_deployment(name, chance) for name in names)
    budgets = tuple(BudgetSpecification(workload=name, minimum_available=1) for name in names)
    groups = (
        GroupSpecification(name="steady", minimum=1, maximum=8, desired=2, instance_types=("m5.xlarge",)),
        GroupSpecification(name="spot", minimum=0, maximum=12, desired=1, instance_types=SPOT_TYPES, capacity_type="SPOT"),
    )
    told = tutorial(seed).world
    world = Specification(
        cluster="days", groups=groups, instances=told.instances, daemon_sets=told.daemon_sets, deployments=apps, budgets=budgets, seed=seed
    )
    changes = sorted(chance.uniform(60, hours * 3600 - 3600) for _ in range(int(hours * 2)))
    steps = tuple(Scaling(at=round(at), deployment=chance.choice(names), replicas=chance.randint(1, _MOST)) for at in changes)
    return Scenario(world=world, steps=steps, duration=hours * 3600)


def _deployment(name: str, chance: random.Random) -> WorkloadSpecification:
    pod = {"containers": [{"name": "c", "resources": {"requests": {"cpu": chance.choice(_SIZES), "memory": "256Mi"}}}]}
    return WorkloadSpecification(name=name, replicas=chance.randint(1, 4), pod=pod)


def _regrets(trace: Trace) -> int:
    """Launches after a removal with no change of any workload in between."""
    regrets, since_change = 0, False
    for entry in trace.entries:
        if entry.at < trace.start:
            continue
        if entry.kind is Happening.WORKLOAD_SCALED:
            since_change = False
        elif entry.kind is Happening.INSTANCE_TERMINATED:
            since_change = True
        elif entry.kind is Happening.CAPACITY_SET and since_change:
            regrets += _grows(entry)
    return regrets


def _grows(entry: Entry) -> bool:
    before, after = entry.detail.split("->")
    return int(after) > int(before)


def _in_progress(trace: Trace) -> int:
    return len(trace.scans[-1].report.removals.in_progress)
