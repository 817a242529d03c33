"""What happened in the simulated world, in order: the material of timelines and pictures."""

from collections.abc import Iterator
from enum import StrEnum

import msgspec


class Happening(StrEnum):
    """The kinds of entries. Each is about one object: a pod, an instance with its node, a group or a workload."""

    WORKLOAD_SCALED = "workload scaled"
    POD_UNSCHEDULABLE = "pod unschedulable"
    POD_RUNNING = "pod running"
    POD_EVICTED = "pod evicted"
    CAPACITY_SET = "capacity set"
    LAUNCH_FAILED = "launch failed"
    INSTANCE_LAUNCHED = "instance launched"
    NODE_REGISTERED = "node registered"
    NODE_READY = "node ready"
    INSTANCE_TERMINATED = "instance terminated"
    NODE_GONE = "node gone"


class Entry(msgspec.Struct, frozen=True):
    """One thing that happened ``at`` an instant, in seconds since the epoch.

    ``subject`` is namespace/name of a pod or workload, the name of a node or group, or an instance id.
    """

    at: float
    kind: Happening
    subject: str
    group: str = ""
    detail: str = ""


class Journal:
    """Append-only list of entries."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def note(self, entry: Entry) -> None:
        """Add an entry."""
        self._entries.append(entry)

    def since(self, position: int) -> list[Entry]:
        """Entries from a position (an earlier ``len``) on."""
        return self._entries[position:]

    def of(self, *kinds: Happening) -> list[Entry]:
        """Entries of the given kinds."""
        return [entry for entry in self._entries if entry.kind in kinds]
