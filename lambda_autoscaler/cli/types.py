"""``types``: from a requirement to the list of instance types to pin in a program.

The catalogue and the choice belong to the infrastructure library; the command only asks it. With zones, EC2 is asked which types it offers
in all of them; without, nothing is asked of anybody.
"""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from eks_autoscaling.catalogue import TYPES_PER_GROUP, VARIABLE, CatalogueError, InstanceType, dated, instance_types, written
from eks_autoscaling.instance_selection import Requirement, RequirementError, Selection, select
from lambda_autoscaler.cli.screen import Column, Screen
from lambda_autoscaler.core.explain import counted
from lambda_autoscaler.ports import BadInput

_COLUMNS = (
    Column("TYPE"),
    Column("VCPU", right=True),
    Column("GIB", right=True),
    Column("ARCHITECTURE"),
    Column("HYPERVISOR"),
    Column("ADDRESSES", right=True),
)
_DEVICES = Column("ACCELERATORS")


def selected(wanted: dict[str, Any], limit: int, offered: Iterable[str] | None) -> Selection:
    """The types for a requirement. Raises BadInput when it cannot be met, or a catalogue of one's own cannot be read."""
    try:
        return select(Requirement(**wanted), None if offered is None else frozenset(offered), limit)
    except (RequirementError, CatalogueError) as fault:
        raise BadInput(str(fault)) from fault


def show(screen: Screen, found: Selection, output: str) -> None:
    """Print the types as a table, as a Python list, or as JSON."""
    match output:
        case "json":
            document = {"catalogue": dated(), "instance_types": list(found.types), "left_out": found.left_out}
            screen.document(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
        case "python":
            screen.document(python_list(found.types))
        case _:
            chosen = [instance_types()[name] for name in found.types]
            more_columns = (_DEVICES,) if any(item.accelerators for item in chosen) else ()
            screen.table((*_COLUMNS, *more_columns), [_row(item)[: len(_COLUMNS) + len(more_columns)] for item in chosen], "type")
            why = (
                "a managed node group takes no more"
                if len(found.types) == TYPES_PER_GROUP
                else f"--limit {len(found.types)} leaves them out"
            )
            more = f"; {found.left_out} more match, and {why}" if found.left_out else ""
            screen.line(f"{counted(len(found.types), 'type')}, best first{more}. To paste: --output python", style="dim")


def write(screen: Screen, file: Path, described: Iterable[Mapping[str, Any]], region: str) -> None:
    """Write a catalogue of today. Raises BadInput when the file cannot be written."""
    today = datetime.datetime.now(datetime.UTC).date()  # noqa: TID251 - the file is dated
    try:
        file.write_text(written(described, f"ec2:DescribeInstanceTypes, {region}, {today}"))
    except OSError as fault:
        raise BadInput(f"{file} cannot be written: {fault.strerror}") from fault
    screen.line(f"Written to {file}. Programs use it with:", mark="✓")
    screen.copyable(f"  export {VARIABLE}={file.resolve()}")


def python_list(types: Sequence[str]) -> str:
    """The argument as a program writes it."""
    return f'"instance_types": [{", ".join(f"{name!r}" for name in types)}],'.replace("'", '"')


def _row(known: InstanceType) -> tuple[str, ...]:
    addresses = str(known.enis * (known.ips_per_eni - 1))
    memory = f"{known.memory_mib / 1024:g}"
    return (known.type, str(known.vcpus), memory, known.architecture, known.hypervisor or "none", addresses, str(known.devices))
