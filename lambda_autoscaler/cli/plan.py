"""``plan``: one decision, shown as a table, JSON or YAML."""

import time

import msgspec

from lambda_autoscaler.app import observe
from lambda_autoscaler.cli.screen import Column, Screen
from lambda_autoscaler.cli.source import Source
from lambda_autoscaler.core.answers import Scene
from lambda_autoscaler.core.decide import decide
from lambda_autoscaler.core.explain import GroupRow, counted, group_rows, plan_json, pod_lines, scale_up_line, short_name
from lambda_autoscaler.core.observe import build_cluster
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.plan import Plan
from lambda_autoscaler.core.removal_words import node_lines, replacement_text

ABSENT = "-"
_COLUMNS = (
    Column(),
    Column("NODE GROUP"),
    Column("NOW", right=True),
    Column("PLAN", right=True),
    Column("MAX", right=True),
    Column("PODS", right=True),
    Column("WASTE", right=True),
    Column("WHY", folds=True),
)


class Decision(msgspec.Struct, frozen=True):
    """A plan with the cluster it is for; ``seconds`` is what deciding took, reading not counted."""

    scene: Scene
    options: Options
    seconds: float


def decision(source: Source) -> Decision:
    """Observe and decide. Raises the errors of the ports."""
    observed = observe(source.kube, source.aws, source.options)
    started = time.perf_counter()
    cluster = build_cluster(observed, source.options)
    plan = decide(cluster, source.memory, source.options, source.now)
    return Decision(Scene(cluster, plan, source.now), source.options, time.perf_counter() - started)


def has_work(plan: Plan) -> bool:
    """Whether carrying the plan out would change anything."""
    return bool(plan.increases or plan.removals or plan.drains or plan.resize or plan.delete_instances)


def show(screen: Screen, decided: Decision, output: str) -> None:
    """Print the plan in the form asked for."""
    document = {"cluster": decided.options.cluster_name, **plan_json(decided.scene.plan)}
    match output:
        case "json":
            screen.document(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
        case "yaml":
            screen.document(msgspec.yaml.encode(document).decode().rstrip())
        case _:
            _show_table(screen, decided)


def _show_table(screen: Screen, decided: Decision) -> None:
    cluster, plan = decided.scene.cluster, decided.scene.plan
    pending = sum(len(item.pods) for item in plan.pods)
    facts = [f"cluster {decided.options.cluster_name}", counted(len(cluster.nodes), "node"), counted(pending, "waiting pod")]
    screen.line(" · ".join(facts), style="bold")
    screen.line(f"decided in {decided.seconds * 1000:.0f} ms; nothing was changed", style="dim")
    screen.line()
    screen.table(_COLUMNS, [_cells(row) for row in group_rows(plan, ",".join(decided.options.expander))], "node group")
    _show_sentences(screen, plan)
    if not plan.healthy:
        screen.line("the cluster is not healthy enough to act on: too many nodes are not ready", mark="✗")
    if plan.increases:
        screen.copyable(scale_up_line(plan.increases), style="bold")
    elif not has_work(plan):
        screen.line("Nothing to do.")
    if plan.replacement is not None:
        screen.line(replacement_text(plan.replacement, decided.scene.now), mark="▼")
    _show_nodes(screen, node_lines(plan, decided.scene.now))
    for fault in plan.faults:
        screen.line(fault, mark="✗")


def _show_sentences(screen: Screen, plan: Plan) -> None:
    screen.line()
    lines = pod_lines(plan)
    for line in screen.cut(lines):
        screen.line(line)
    screen.announce_cut(lines, "line about pods")
    for removal in screen.cut(plan.removals):
        moves = f", {counted(len(removal.moves), 'pod')} to move" if removal.moves else ""
        screen.line(f"{removal.node} of {short_name(removal.group)}: {removal.reason}{moves}", mark="▼")
    screen.announce_cut(plan.removals, "removal")
    for group, names in plan.delete_instances:
        screen.line(f"{counted(len(names), 'instance')} of {short_name(group)} never became a node: {', '.join(names)}", mark="▼")
    for group, desired in plan.resize:
        screen.line(f"{short_name(group)}: desired capacity is set right, to {desired}", mark="▼")


def _show_nodes(screen: Screen, lines: list[str]) -> None:
    if lines:
        screen.line()
    for line in screen.cut(lines):
        screen.line(line, style="dim")
    screen.announce_cut(lines, "line about nodes")


def _cells(row: GroupRow) -> tuple[str, ...]:
    mark = "▲" if row.target > row.current else "▼" if row.target < row.current else ""
    target = f"→ {row.target}" if mark else str(row.target)
    pods = ABSENT if row.pods is None else f"{row.pods:,}"
    waste = ABSENT if row.waste is None else f"{row.waste:.0%}"
    return mark, short_name(row.group), str(row.current), target, str(row.maximum), pods, waste, row.why
