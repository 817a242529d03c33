"""What a verb reads its cluster from: ports, memory, options and an instant. Here from a snapshot folder; ``live.py`` has the other."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from lambda_autoscaler.app import observe
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.edge.snapshot import SnapshotAws, open_snapshot, read_flags
from lambda_autoscaler.edge.snapshot_writer import Moment, SnapshotWriter
from lambda_autoscaler.ports import Aws, BadInput, Kube
from lambda_autoscaler.settings import from_flags


class Source(msgspec.Struct, frozen=True):
    """A cluster to read: its ports, the memory of its last scan, the options and the flags they came from, the instant to decide for."""

    kube: Kube
    aws: Aws
    memory: Memory
    options: Options
    now: float
    flags: Mapping[str, str]


def snapshot(folder: Path, settings: Mapping[str, str]) -> Source:
    """A snapshot folder at the instant it was taken; settings take the place of its own. Raises BadInput naming the file and the field."""
    found = open_snapshot(folder)
    flags = {name: value for name, value in read_flags(folder).items() if name != "now"} | dict(settings)
    options = from_flags(flags)
    return Source(found.kube, SnapshotAws(folder, options), found.memory, options, found.now, flags)


def record(source: Source, folder: Path, *, replace: bool) -> None:
    """Read what a scan would read and write it into a folder; an older snapshot there gives way if ``replace``. Raises BadInput."""
    if not replace and folder.is_dir() and any(folder.iterdir()):
        raise BadInput(f"{folder} is not empty: name another folder, or add --force to replace the snapshot in it")
    writer = SnapshotWriter(source.kube, source.aws)
    observe(writer.kube, writer.aws, source.options)
    writer.write(folder, Moment(source.flags, source.now, source.memory), force=replace)
