"""``demo``: the tutorial, played against the embedded simulated cluster and told as a timeline."""

import time
from pathlib import Path

import msgspec

from lambda_autoscaler.cli.screen import Column, Screen, program_name
from lambda_autoscaler.cli.source import Source, record
from lambda_autoscaler.core.explain import counted, short_name
from lambda_autoscaler.core.units import format_duration
from lambda_autoscaler.settings import from_flags
from lambda_autoscaler.sim.run import NodeLane, Trace, play
from lambda_autoscaler.sim.scenario import Scenario, read_scenario, tutorial
from lambda_autoscaler.sim.specification import GroupSpecification
from lambda_autoscaler.sim.timeline import Line, Timeline
from lambda_autoscaler.sim.world import World

TERMINAL_SPEED = 60.0
LEAST_CELLS, MOST_CELLS, BESIDE_LANES = 12, 60, 52


class Wishes(msgspec.Struct, frozen=True):
    """What the user asked for.

    Settings by flag, a file with another story, a folder for the snapshot (``replace`` an older one there), simulated seconds a second.
    """

    settings: dict[str, str]
    story: Path | None = None
    folder: Path | None = None
    replace: bool = False
    speed: float | None = None


def play_tutorial(screen: Screen, wishes: Wishes) -> None:
    """Play it, write the snapshot if a folder is named, and show it. Raises BadInput for settings or a folder that cannot be used."""
    scenario = tutorial() if wishes.story is None else read_scenario(wishes.story)
    folder = wishes.folder
    flags = {"cluster-name": scenario.world.cluster, **scenario.options, **wishes.settings}
    options = from_flags(flags)
    moment = _pressing_moment(scenario)

    def before_scan(world: World) -> None:
        if folder is not None and world.now == moment:
            source = Source(world.kube, world.aws, world.another_memory().load(), options, world.now, flags)
            record(source, folder, replace=wishes.replace)

    trace = play(scenario, options, before_scan)
    timeline = Timeline(trace, ",".join(options.expander))
    lines = timeline.lines()
    _introduce(screen, scenario)
    _tell(screen, lines, (TERMINAL_SPEED if screen.is_terminal else 0.0) if wishes.speed is None else wishes.speed)
    _show_lanes(screen, trace)
    _conclude(screen, scenario, trace, timeline)
    _look_further(screen, folder, _still_group(scenario, trace))


def _pressing_moment(scenario: Scenario) -> float:
    """Instant of the first scan after the last step: the cluster that the autoscaler is asked about."""
    last = max((step.at for step in scenario.steps), default=0.0)
    return scenario.world.start + -(-last // scenario.scan_interval) * scenario.scan_interval


def _introduce(screen: Screen, scenario: Scenario) -> None:
    screen.line("This is an embedded simulated cluster; nothing real is touched.", style="bold")
    screen.line("Its autoscaler is the Lambda's own code. On a real control plane, from a clone:")
    screen.copyable("  python3 tasks.py demo --real-control-plane")
    screen.line()
    screen.line(f"cluster {scenario.world.cluster} in {scenario.world.region}")
    rows = [("", group.name, _size(group), _types(group)) for group in scenario.world.groups]
    for workload in scenario.world.deployments:
        requests = workload.pod["containers"][0]["resources"]["requests"]
        wants = ", ".join(f"{key.rpartition('/')[2]}={value}" for key, value in workload.pod.get("nodeSelector", {}).items())
        asks = f"each asks {requests['cpu']} cpu, {requests['memory']} memory" + (f" on {wants}" if wants else "")
        rows.append(("", workload.name, counted(workload.replicas, "replica"), asks))
    screen.table((Column(), Column(), Column(), Column(folds=True)), rows)
    screen.line()


def _size(group: GroupSpecification) -> str:
    return f"{counted(group.desired, 'node')} ({group.minimum} to {group.maximum})"


def _types(group: GroupSpecification) -> str:
    others = len(group.instance_types) - 1
    kind = "Spot" if group.capacity_type == "SPOT" else "On-Demand"
    return f"{kind}, {group.instance_types[0]}{f' or {others} like it' if others else ''}"


def _tell(screen: Screen, lines: list[Line], speed: float) -> None:
    """Print the timeline, with the pauses of the story when somebody watches."""
    told = 0.0
    for line in lines:
        if speed > 0:
            time.sleep(max(0.0, line.at - told) / speed)
        told = line.at
        screen.moment(clock(line.at), line.mark, line.text, line.detail)
        for text in line.more:
            screen.copyable(f"         {text}", style="dim")
    screen.line()


def clock(seconds: float) -> str:
    """``mm:ss`` since the start of the story."""
    return f"{int(seconds) // 60:02}:{int(seconds) % 60:02}"


def _show_lanes(screen: Screen, trace: Trace) -> None:
    cells = max(LEAST_CELLS, min(MOST_CELLS, screen.width - BESIDE_LANES))
    ruler = f"{clock(0)}{clock(trace.end - trace.start):>{cells - 5}}"
    rows = [
        (short_name(lane.group), lane.node.partition(".")[0], _lane(lane, trace, cells), _ready_text(lane, trace)) for lane in trace.lanes()
    ]
    screen.line("Nodes over time:  ░ asked for  ▒ booting  █ ready")
    screen.table((Column("NODE GROUP"), Column("NODE"), Column(ruler, style="green"), Column()), rows, "node")
    screen.line()


def _lane(lane: NodeLane, trace: Trace, cells: int) -> str:
    """A node's life in cells, each a slice of the story."""
    asked = [scan.at for scan in trace.scans for item in scan.report.outcome.scaled if item.group == lane.group]
    since = max((at for at in asked if lane.launched is not None and at <= lane.launched), default=lane.launched)
    slice_seconds = (trace.end - trace.start) / cells
    return "".join(_cell(lane, since, trace.start + slice_seconds * (cell + 1)) for cell in range(cells))


def _cell(lane: NodeLane, asked: float | None, at: float) -> str:
    if lane.gone is not None and at >= lane.gone:
        return " "
    if lane.ready is not None and at >= lane.ready:
        return "█"
    if lane.launched is not None and at >= lane.launched:
        return "▒"
    return "░" if asked is not None and at >= asked else " "


def _ready_text(lane: NodeLane, trace: Trace) -> str:
    if lane.ready is None:
        return "not ready"
    return "" if lane.ready < trace.start else f"ready at {clock(lane.ready - trace.start)}"


def _conclude(screen: Screen, scenario: Scenario, trace: Trace, timeline: Timeline) -> None:
    for warning in trace.warnings:
        screen.line(warning, mark="✗")
    scaled = trace.first_scale_up()
    for workload in scenario.world.deployments:
        name = f"{workload.namespace}/{workload.name}"
        running, wanted = timeline.running[name], timeline.wanted[name]
        took = ""
        if scaled is not None and running == wanted:
            took = f", {format_duration(timeline.last_running[name] - scaled.at)} after the scan that asked for their nodes"
        screen.line(f"{running} of {wanted} running{took}", mark="✓" if running == wanted else "✗", style="bold")
    writes = [item for scan in trace.scans for item in scan.report.outcome.scaled]
    for increase in writes:
        screen.line(f"one write to AWS: desired capacity of {short_name(increase.group)} {increase.current}->{increase.target}", mark="✓")
    quiet = sum(not scan.report.outcome.scaled for scan in trace.scans)
    screen.line(f"{counted(quiet, 'scan')} changed nothing, as there was nothing to change", mark="✓")
    screen.line()


def _still_group(scenario: Scenario, trace: Trace) -> str:
    """A node group worth asking about: one that did not grow, if there is one."""
    grown = {short_name(item.group) for scan in trace.scans for item in scan.report.outcome.scaled}
    names = [group.name for group in scenario.world.groups]
    return next((name for name in names if name not in grown), names[0])


def _look_further(screen: Screen, folder: Path | None, group: str) -> None:
    if folder is not None:
        screen.line(f"The cluster, as it was before it was scaled, is in {folder}.", mark="✓")
        screen.line()
    program, where = program_name(), folder or Path("tutorial")
    hints = [] if folder is not None else [("keep the cluster as it was before it was scaled", f"demo --snapshot {where}")]
    hints += [
        ("the same decision again, offline", f"plan {where}"),
        (f"what becomes of {group}, and why", f"explain group/{group} --snapshot {where}"),
        ("your own cluster, by kubeconfig and AWS profile; it is only read", "plan"),
    ]
    screen.line("Look further", style="bold")
    for meaning, verb in hints:
        screen.line(f"  # {meaning}", style="dim")
        screen.copyable(f"  {program} {verb}")
