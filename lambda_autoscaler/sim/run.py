"""Playing a story: the simulated clock advances from one scan or step to the next, and every scan is the product's own ``app.scan``."""

from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from lambda_autoscaler.app import Edges, ScanReport, scan
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.plan import Plan
from lambda_autoscaler.sim.journal import Entry, Happening
from lambda_autoscaler.sim.scenario import Scenario
from lambda_autoscaler.sim.world import World

INVOCATION_SECONDS = 55.0


class SimTelemetry:
    """Implements ``ports.Telemetry``; ``warnings`` keeps what went wrong."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def planned(self, plan: Plan) -> None:
        """The plan is in the scan's report."""

    def warn(self, sentence: str) -> None:
        """Keep a sentence."""
        self.warnings.append(sentence)

    def scanned(self, plan: Plan, summary: Mapping[str, object]) -> None:
        """The plan is in the scan's report."""


class ScanEntry(msgspec.Struct, frozen=True):
    """One scan of a story; ``at`` in seconds since the epoch."""

    at: float
    report: ScanReport


class NodeLane(msgspec.Struct, frozen=True):
    """The life of one node: instants in seconds since the epoch, None for what has not happened."""

    node: str
    group: str
    launched: float | None = None
    registered: float | None = None
    ready: float | None = None
    leaving: float | None = None
    gone: float | None = None


class Trace(msgspec.Struct, frozen=True):
    """A story as it went, from ``start`` to ``end`` (seconds since the epoch)."""

    start: float
    end: float
    entries: tuple[Entry, ...]
    scans: tuple[ScanEntry, ...]
    warnings: tuple[str, ...] = ()

    def lanes(self) -> list[NodeLane]:
        """Every node that ever was, in the order of appearance."""
        found: dict[str, NodeLane] = {}
        for entry in self.entries:
            field = _LANE_FIELDS.get(entry.kind)
            if field is not None:
                node = entry.detail if entry.kind in _ABOUT_INSTANCES else entry.subject
                lane = found.get(node) or NodeLane(node, entry.group)
                found[node] = msgspec.structs.replace(lane, **{field: entry.at})
        return list(found.values())

    def first_scale_up(self) -> ScanEntry | None:
        """The first scan that grew a group."""
        return next((item for item in self.scans if item.report.outcome.scaled), None)


_ABOUT_INSTANCES = frozenset({Happening.INSTANCE_LAUNCHED, Happening.INSTANCE_TERMINATED})
_LANE_FIELDS = {
    Happening.INSTANCE_LAUNCHED: "launched",
    Happening.NODE_REGISTERED: "registered",
    Happening.NODE_READY: "ready",
    Happening.INSTANCE_TERMINATED: "leaving",
    Happening.NODE_GONE: "gone",
}


def play(scenario: Scenario, options: Options, before_scan: Callable[[World], None] = lambda _world: None) -> Trace:
    """Play a story to its end. ``before_scan`` may look at the world just before each scan.

    Raises BadInput when a step names a Deployment that is not there, and whatever makes a scan impossible.
    """
    world, telemetry = World(scenario.world), SimTelemetry()
    start = world.now
    edges = Edges(world.kube, world.aws, world.memory, telemetry, world.advance)
    options = msgspec.structs.replace(options, scan_interval=min(options.scan_interval, scenario.scan_interval))
    scans: list[ScanEntry] = []
    for step in scenario.steps:
        world.agenda.after(step.at, partial(world.scale, step.namespace, step.deployment, step.replicas))
    for offset in _scan_times(scenario):
        world.advance(start + offset - world.now)
        before_scan(world)
        ends = world.now + INVOCATION_SECONDS
        scans.append(ScanEntry(world.now, scan(edges, options, world.now, f"scan-{len(scans)}", partial(_seconds_until, ends, world))))
    world.advance(max(0.0, start + scenario.duration - world.now))
    return Trace(start, world.now, tuple(world.journal), tuple(scans), tuple(telemetry.warnings))


def _seconds_until(instant: float, world: World) -> float:
    return instant - world.now


def _scan_times(scenario: Scenario) -> list[float]:
    """When the scans begin, in seconds after the start. What somebody does at the same instant comes first."""
    return [number * scenario.scan_interval for number in range(int(scenario.duration // scenario.scan_interval) + 1)]
