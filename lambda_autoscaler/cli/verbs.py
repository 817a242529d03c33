"""The verbs and their flags. What a verb shows is in the module of its name."""

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console

from lambda_autoscaler.cli import demo, explain, interruption, plan
from lambda_autoscaler.cli.screen import Screen, program_name
from lambda_autoscaler.cli.source import Source, record, snapshot
from lambda_autoscaler.ports import AutoscalerError, BadInput

FAILED = 2
SOMETHING_TO_DO = 3
INTERRUPTED = 130
SLOWEST, FASTEST = 0.01, 1e6
ACCELERATORS = ("gpu", "inference", "neuron", "fpga", "media")
_Command = Callable[..., Any]


def run(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    try:
        code = command.main(list(arguments), prog_name="lambda-autoscaler", standalone_mode=False)
    except click.ClickException as fault:
        return _failed(fault.format_message())
    except AutoscalerError as fault:
        return _failed(str(fault))
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def _failed(message: str) -> int:
    sys.stderr.write(f"lambda-autoscaler: {' '.join(message.split())}\n")
    return FAILED


class Look(msgspec.Struct, frozen=True):
    """How output is to look."""

    no_color: bool = False
    everything: bool = False

    def screen(self) -> Screen:
        """Standard output in that look. NO_COLOR is rich's own business."""
        return Screen(Console(no_color=self.no_color or None, highlight=False, soft_wrap=False), self.everything)


def _look_flags(function: _Command) -> _Command:
    function = click.option("--all", "everything", is_flag=True, help="Show all rows, however many.")(function)
    return click.option("--no-color", is_flag=True, help="No colours; the variable NO_COLOR does the same.")(function)


def _live_flags(function: _Command) -> _Command:
    function = click.option("--cluster-name", default="", help="EKS cluster; the one of the kubeconfig's context when left out.")(function)
    function = click.option("--region", default="", help="AWS region; the profile's when left out.")(function)
    function = click.option("--profile", default="", help="AWS profile; the default credentials when left out.")(function)
    return click.option("--context", default="", help="Context of the kubeconfig; the current one when left out.")(function)


def _force_flag(function: _Command) -> _Command:
    return click.option("--force", "replace", is_flag=True, help="Replace an older snapshot in that folder.")(function)


def _setting_flags(function: _Command) -> _Command:
    text = "A Cluster Autoscaler flag by its upstream name, such as expander=priority. May be repeated."
    return click.option("--set", "settings", multiple=True, metavar="FLAG=VALUE", callback=_pairs, help=text)(function)


def _pairs(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    unusable = [value for value in values if "=" not in value]
    if unusable:
        raise click.BadParameter(f"{unusable[0]!r} is not FLAG=VALUE (example: --set scale-down-unneeded-time=5m)")
    return dict(value.split("=", 1) for value in values)


def _speed(_context: click.Context, _parameter: click.Parameter, value: float | None) -> float | None:
    # Not FloatRange, which takes nan; the bounds are those of a sleep that somebody would wait for.
    if value is not None and value != 0 and not SLOWEST <= value <= FASTEST:
        raise click.BadParameter(f"{value:g} is neither 0 nor {SLOWEST:g} to {FASTEST:g}")
    return value


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=False, invoke_without_command=True)
@click.version_option(package_name="eks-autoscaling", prog_name="lambda-autoscaler")
@click.pass_context
def command(context: click.Context) -> None:
    """Node capacity for Amazon EKS: plan, explain and record what the autoscaler would do. No verb changes a cluster."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@command.command("demo", short_help="Play the tutorial in an embedded simulated cluster.")
@click.option("--scenario", "story", type=click.Path(path_type=Path), help="A JSON or YAML file with another story than the tutorial.")
@click.option("--snapshot", "folder", type=click.Path(path_type=Path), help="Write the cluster as it is just before the scan that scales.")
@click.option("--speed", type=float, default=None, callback=_speed, help="Simulated seconds a second; 0 plays at once. [60 on a terminal]")
@_force_flag
@_setting_flags
@_look_flags
def demo_verb(**flags: Any) -> None:
    """Play the tutorial (2 to 20 replicas on Spot) in an embedded simulated cluster. Needs no account."""
    demo.play_tutorial(_look(flags).screen(), demo.Wishes(**{name: flags[name] for name in demo.Wishes.__struct_fields__}))


@command.command("plan", short_help="Decide once and show it; nothing is changed.")
@click.argument("folder", metavar="[SNAPSHOT_DIR]", required=False, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True)
@click.option("--exit-code", is_flag=True, help=f"Exit {SOMETHING_TO_DO} when there is something to do, 0 when there is not.")
@_setting_flags
@_live_flags
@_look_flags
def plan_verb(folder: Path | None, output: str, exit_code: bool, **flags: Any) -> int:
    """Decide once and show it; nothing is changed. From a snapshot folder, or from the live cluster when none is given."""
    with _busy():
        decided = plan.decision(_source(folder, flags))
    plan.show(_look(flags).screen(), decided, output)
    return SOMETHING_TO_DO if exit_code and plan.has_work(decided.scene.plan) else 0


@command.command("snapshot", short_help="Record the live cluster, to plan from it offline.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@_force_flag
@_setting_flags
@_live_flags
@_look_flags
def snapshot_verb(folder: Path, **flags: Any) -> None:
    """Write what a scan reads of the live cluster into a folder, to plan from it offline or to attach it to an issue."""
    with _busy():
        record(_source(None, flags), folder, replace=flags["replace"])
    screen = _look(flags).screen()
    screen.line(f"Written to {folder}. To plan from it:", mark="✓")
    screen.copyable(f"  {program_name()} plan {folder}")


@command.command("explain", short_help="Why a pod, a node or a group is treated as it is.")
@click.argument("object_name", metavar="pod/NAMESPACE/NAME|node/NAME|group/NAME")
@click.option("--snapshot", "folder", type=click.Path(path_type=Path), help="Snapshot folder; the live cluster when left out.")
@_setting_flags
@_live_flags
@_look_flags
def explain_verb(object_name: str, folder: Path | None, **flags: Any) -> None:
    """Why a pod, a node or a node group is treated as it is. The start of a node's name will do where no other starts so."""
    question = explain.question(object_name)
    with _busy():
        scene = plan.decision(_source(folder, flags)).scene
    explain.show(_look(flags).screen(), scene, question)


@command.command("interruption", short_help="What an EC2 event would do to the cluster.")
@click.argument("event_file", metavar="EVENT.json|-", type=click.Path(path_type=Path))
@click.option("--snapshot", "folder", type=click.Path(path_type=Path), help="Snapshot folder; the live cluster when left out.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@_setting_flags
@_live_flags
@_look_flags
def interruption_verb(event_file: Path, folder: Path | None, output: str, **flags: Any) -> None:
    """What an event of EC2, Auto Scaling or AWS Health would do if it came now: mark, capacity, pods. Nothing is changed.

    With - for the file the event is read from standard input.
    """
    with _busy():
        source = _source(folder, flags)
        found = interruption.effects(event_file, plan.decision(source), source.memory)
    interruption.show(_look(flags).screen(), found, output)


@command.command("types", short_help="Instance types of one shape, to pin in a program.")
@click.option("--vcpus", type=int, required=True, help="vCPUs of a node.")
@click.option("--memory", "memory_gib", type=float, required=True, help="Memory of a node in GiB.")
@click.option("--architecture", type=click.Choice(["x86_64", "arm64"]), default="x86_64", show_default=True)
@click.option("--accelerator", "accelerators", multiple=True, type=click.Choice(ACCELERATORS), help="All of these kinds, and no other.")
@click.option("--accelerator-count", type=int, default=None, help="Accelerators of a node, where types differ in that.")
@click.option("--accelerator-memory", "accelerator_memory_gib", type=float, default=None, help="Memory of each in GiB, likewise.")
@click.option("--burstable", is_flag=True, help="Take types of the t families too.")
@click.option("--bare-metal", is_flag=True, help="Take types without a hypervisor too.")
@click.option("--nitro", is_flag=True, help="Only types that can have address prefixes.")
@click.option("--allow", multiple=True, metavar="PATTERN", help="Only types like m5*. May be repeated.")
@click.option("--deny", multiple=True, metavar="PATTERN", help="No types like m4*. May be repeated.")
@click.option("--zone", "zones", multiple=True, help="Only what EC2 offers in this availability zone; asks AWS. May be repeated.")
@click.option("--limit", type=int, default=20, show_default=True, help="A managed node group takes 20 at most.")
@click.option("--region", default="", help="AWS region of the zones; taken from their names when left out.")
@click.option("--profile", default="", help="AWS profile to ask with; the default credentials when left out.")
@click.option("-o", "--output", type=click.Choice(["table", "python", "json"]), default="table", show_default=True)
@_look_flags
def types_verb(zones: tuple[str, ...], limit: int, output: str, **flags: Any) -> None:
    """Instance types with these vCPUs and memory, best first: a list to pin in a program, the same today and tomorrow.

    Left out unless asked for: types with accelerators, burstable ones, bare metal. Always left out: what EC2 does not sell as Spot.
    Without --zone AWS is not asked, and the list may hold types that a region lacks.
    """
    from lambda_autoscaler.cli import types  # noqa: PLC0415 - beside the catalogue comes Pulumi where it is installed, which takes long

    offered = None
    idle = [f"--{name}" for name in ("region", "profile") if flags[name] and not zones]
    if idle:
        raise BadInput(f"{' and '.join(idle)}: AWS is asked about zones only, add --zone")
    if zones:
        from lambda_autoscaler.cli.live import offered_types  # noqa: PLC0415 - botocore takes long to import

        offered = offered_types(zones, flags["profile"], flags["region"])
    look = {name: flags.pop(name) for name in ("no_color", "everything")}
    wanted = {name: value for name, value in flags.items() if name not in ("profile", "region")}
    types.show(_look(look).screen(), types.selected(wanted, limit, offered), output)


@command.command("catalogue", short_help="Write the catalogue of instance types anew, from EC2.")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--region", default="", help="AWS region; the profile's when left out.")
@click.option("--profile", default="", help="AWS profile; the default credentials when left out.")
@_look_flags
def catalogue_verb(file: Path, region: str, profile: str, **flags: Any) -> None:
    """Write what EC2 says of its instance types into a file, with today's date, for components that do not know a type yet."""
    from lambda_autoscaler.cli import types  # noqa: PLC0415 - as above
    from lambda_autoscaler.cli.live import described_types  # noqa: PLC0415 - botocore takes long to import

    with _busy():
        described, where = described_types(profile, region)
    types.write(_look(flags).screen(), file, described, where)


def _source(folder: Path | None, flags: dict[str, Any]) -> Source:
    target = {name: flags[name] for name in ("context", "profile", "region", "cluster_name")}
    if folder is None:
        from lambda_autoscaler.cli.live import LiveTarget, live  # noqa: PLC0415 - botocore takes long to import, and a snapshot needs none

        return live(LiveTarget(**target), flags["settings"])
    named = [f"--{name.replace('_', '-')}" for name, value in target.items() if value]
    if named:
        raise BadInput(f"{', '.join(named)} and the snapshot {folder} exclude each other: a snapshot is read offline")
    return snapshot(folder, flags["settings"])


def _busy() -> AbstractContextManager[object]:
    """A sign of life on standard error while a large cluster is read, for those who watch."""
    console = Console(stderr=True)
    return console.status("reading the cluster") if console.is_terminal else nullcontext()


def _look(flags: dict[str, Any]) -> Look:
    return Look(flags["no_color"], flags["everything"])
