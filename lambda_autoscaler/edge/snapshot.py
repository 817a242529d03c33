"""A snapshot folder behind the ports: the raw API answers of one moment, to plan from offline with the code that plans live.

The folder holds ``kubernetes/PLURAL.json`` (what ``kubectl get PLURAL -A -o json`` prints), ``aws/auto-scaling-groups.json``,
``aws/nodegroups/NAME.json``, ``aws/instance-types.json``, ``aws/launch-template-versions.json``, ``aws/launch-configurations.json``,
``aws/scaling-activities/GROUP.json`` and ``aws/spot-price-history.json`` (what the AWS command line prints), ``aws/resolved-types.json``
(per group without a named type the first one that meets its requirements), ``options.json`` (``cluster-name``, ``now`` and flags by their
upstream names, as texts) and ``memory.json``. Nodes, pods, groups and options must be there; any other file that is absent means none. A
folder may hold all groups of an account: discovery chooses here as AWS does there.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import msgspec

from lambda_autoscaler import questions
from lambda_autoscaler.core.events import Hook
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.plan import Notice
from lambda_autoscaler.core.units import TimestampError, parse_timestamp
from lambda_autoscaler.edge.memory import RECORD_KEY, parse_record
from lambda_autoscaler.ports import BadInput, Refused
from lambda_autoscaler.settings import from_flags

OPTIONS_FILE: Final = "options.json"
GROUPS_FILE: Final = "aws/auto-scaling-groups.json"
TYPES_FILE: Final = "aws/instance-types.json"
TEMPLATES_FILE: Final = "aws/launch-template-versions.json"
CONFIGURATIONS_FILE: Final = "aws/launch-configurations.json"
RESOLVED_FILE: Final = "aws/resolved-types.json"
SPOT_PRICES_FILE: Final = "aws/spot-price-history.json"
REQUIRED_KINDS: Final = ("nodes", "pods")
_Shape = TypeVar("_Shape")


class _Items(msgspec.Struct, frozen=True):
    items: list[dict[str, Any]]


class _Groups(msgspec.Struct, frozen=True, rename="pascal"):
    auto_scaling_groups: list[dict[str, Any]]


class _Types(msgspec.Struct, frozen=True, rename="pascal"):
    instance_types: list[dict[str, Any]] = []


class _Templates(msgspec.Struct, frozen=True, rename="pascal"):
    launch_template_versions: list[dict[str, Any]] = []


class _Configurations(msgspec.Struct, frozen=True, rename="pascal"):
    launch_configurations: list[dict[str, Any]] = []


class _SpotPrices(msgspec.Struct, frozen=True, rename="pascal"):
    spot_price_history: list[dict[str, Any]] = []


class _Nodegroup(msgspec.Struct, frozen=True):
    nodegroup: dict[str, Any]


class _Activities(msgspec.Struct, frozen=True, rename="pascal"):
    activities: list[dict[str, Any]] = []


_SHAPES: Final[dict[str, Any]] = {
    TYPES_FILE: _Types,
    TEMPLATES_FILE: _Templates,
    CONFIGURATIONS_FILE: _Configurations,
    SPOT_PRICES_FILE: _SpotPrices,
    RESOLVED_FILE: dict[str, str],
}
_FOLDERS: Final[dict[str, Any]] = {"aws/nodegroups": _Nodegroup, "aws/scaling-activities": _Activities}


class Snapshot(msgspec.Struct, frozen=True):
    """All of a folder: ports to read from, what was remembered, the options, and the instant it was taken (seconds since the epoch)."""

    kube: "SnapshotKube"
    aws: "SnapshotAws"
    memory: Memory
    options: Options
    now: float


def open_snapshot(folder: Path) -> Snapshot:
    """The folder as a whole. Raises BadInput naming the file, and the field in it, that is missing or cannot be used."""
    options, now = read_options(folder)
    kube = SnapshotKube(folder)
    _check(folder)
    record = _text(folder, RECORD_KEY, required=False)
    memory = parse_record(record, str(folder)) if record is not None else Memory()
    return Snapshot(kube, SnapshotAws(folder, options), memory, options, now)


def _check(folder: Path) -> None:
    """Every file of the folder, before the first is used: a scan goes on without what it cannot read, a snapshot must be whole."""
    for plural in REQUIRED_KINDS:
        _read(folder, f"kubernetes/{plural}.json", _Items)
    _read(folder, GROUPS_FILE, _Groups)
    for path in sorted(folder.glob("kubernetes/*.json")):
        _read(folder, f"kubernetes/{path.name}", _Items)
    for name, shape in _SHAPES.items():
        _read(folder, name, shape, required=False)
    for part, shape in _FOLDERS.items():
        for path in sorted((folder / part).glob("*.json")):
            _read(folder, f"{part}/{path.name}", shape)


def read_flags(folder: Path) -> dict[str, str]:
    """``options.json`` as it stands, ``now`` included. Raises BadInput."""
    flags = _read(folder, OPTIONS_FILE, dict[str, str])
    assert flags is not None
    return flags


def read_options(folder: Path) -> tuple[Options, float]:
    """Options and instant of ``options.json``. Raises BadInput listing all faults of the options."""
    flags = read_flags(folder)
    where = folder / OPTIONS_FILE
    try:
        now = parse_timestamp(flags.pop("now", ""))
    except TimestampError as fault:
        raise BadInput(f"{where}: now: {fault}") from fault
    try:
        return from_flags(flags), now
    except BadInput as fault:
        raise BadInput(f"{where}: {fault}") from fault


def _text(folder: Path, name: str, *, required: bool) -> str | None:
    path = folder / name
    try:
        return path.read_text()
    except FileNotFoundError:
        if required:
            raise BadInput(f"{path} is missing: is {folder} a snapshot folder?") from None
        return None
    except (OSError, UnicodeDecodeError) as fault:
        raise BadInput(f"{path} cannot be read: {fault}") from fault


def _read(folder: Path, name: str, shape: type[_Shape], *, required: bool = True) -> _Shape | None:
    text = _text(folder, name, required=required)
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=shape)
    except msgspec.DecodeError as fault:
        raise BadInput(f"{folder / name}: {fault}") from fault


def _file_name(name: str, folder: str) -> str:
    if "/" in name or name in ("", ".", ".."):
        raise BadInput(f"{name!r} cannot be the name of a file in {folder}")
    return f"{folder}/{name}.json"


def _is_of(item: dict[str, Any], plural: str, node: str) -> bool:
    """Whether an object is the node of that name, or a pod on it."""
    of = (item.get("spec") or {}).get("nodeName") if plural == "pods" else (item.get("metadata") or {}).get("name")
    return plural not in ("pods", "nodes") or of == node


class _ReadOnly:
    """The writing half of the ports: a snapshot cannot be acted on."""

    def _refuse(self, *_: object) -> NoReturn:
        raise Refused("a snapshot is only read: nothing can be changed in it")


class SnapshotKube(_ReadOnly):
    """``ports.Kube`` on a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, plural: str) -> str:
        """File of a kind, relative to the folder."""
        return f"kubernetes/{plural}.json"

    def list(self, plural: str, node: str = "") -> Iterator[bytes]:
        """The file of a kind, as one page; or what it says of one node."""
        found = _read(self._folder, self.path(plural), _Items, required=plural in REQUIRED_KINDS)
        if found is not None:
            kept = [item for item in found.items if _is_of(item, plural, node)] if node else found.items
            yield msgspec.json.encode(_Items(kept))

    def config_map(self, namespace: str, name: str) -> bytes | None:
        """The ConfigMap of that name in ``configmaps.json``."""
        found = _read(self._folder, self.path("configmaps"), _Items, required=False)
        for item in found.items if found is not None else ():
            meta = item.get("metadata") or {}
            if (meta.get("namespace"), meta.get("name")) == (namespace, name):
                return msgspec.json.encode(item)
        return None

    def write_config_map(self, namespace: str, name: str, manifest: bytes) -> None:
        """Refused."""
        self._refuse(namespace, name, manifest)

    def record(self, notices: Sequence[Notice], now: float) -> None:
        """Refused."""
        self._refuse(notices, now)

    def patch_node(self, name: str, patch: bytes) -> None:
        """Refused."""
        self._refuse(name, patch)

    def evict(self, namespace: str, pod: str, uid: str, grace_seconds: int) -> None:
        """Refused."""
        self._refuse(namespace, pod, uid, grace_seconds)

    def delete_pod(self, namespace: str, pod: str, uid: str, grace_seconds: int) -> None:
        """Refused."""
        self._refuse(namespace, pod, uid, grace_seconds)

    def delete_node(self, name: str) -> None:
        """Refused."""
        self._refuse(name)


class SnapshotAws(_ReadOnly):
    """``ports.Aws`` on a folder; ``options`` are those of the folder when not given."""

    def __init__(self, folder: Path, options: Options | None = None) -> None:
        self._folder = folder
        self._options = options or read_options(folder)[0]

    def groups(self) -> Iterator[bytes]:
        """The groups that discovery or explicit names select, as one page."""
        found = _read(self._folder, GROUPS_FILE, _Groups)
        assert found is not None
        yield msgspec.json.encode(_Groups([group for group in found.auto_scaling_groups if self._is_selected(group)]))

    def _is_selected(self, group: dict[str, Any]) -> bool:
        tags = {tag.get("Key"): tag.get("Value", "") for tag in group.get("Tags") or ()}
        wanted = self._options.discovery()
        discovered = bool(wanted) and all(tag.key in tags and tag.value in ("", tags[tag.key]) for tag in wanted)
        return discovered or group.get("AutoScalingGroupName") in {spec.name for spec in self._options.nodes}

    def describe(self, question: questions.Question) -> bytes | None:
        """The answer as it stands in its file; None when there is none, except for lists, which are then empty."""
        match question:
            case questions.Nodegroup(name):
                text = _text(self._folder, _file_name(name, "aws/nodegroups"), required=False)
                return None if text is None else text.encode()
            case questions.InstanceTypes(names):
                found = _read(self._folder, TYPES_FILE, _Types, required=False) or _Types()
                return msgspec.json.encode(_Types([info for info in found.instance_types if info.get("InstanceType") in names]))
            case questions.LaunchTemplate(template, version):
                return self._launch_template(template, version)
            case questions.LaunchConfiguration(name):
                known = _read(self._folder, CONFIGURATIONS_FILE, _Configurations, required=False) or _Configurations()
                chosen = [item for item in known.launch_configurations if item.get("LaunchConfigurationName") == name]
                return msgspec.json.encode(_Configurations(chosen)) if chosen else None
            case questions.Activities(group):
                text = _text(self._folder, _file_name(group, "aws/scaling-activities"), required=False)
                return b'{"Activities":[]}' if text is None else text.encode()
            case questions.MatchingTypes(group=group):
                resolved = _read(self._folder, RESOLVED_FILE, dict[str, str], required=False) or {}
                return msgspec.json.encode({"InstanceTypes": [{"InstanceType": resolved[group]}]}) if group in resolved else None
            case questions.SpotPrices(types):
                prices = _read(self._folder, SPOT_PRICES_FILE, _SpotPrices, required=False) or _SpotPrices()
                return msgspec.json.encode(_SpotPrices([item for item in prices.spot_price_history if item.get("InstanceType") in types]))
            case questions.ReservationInstances():
                return None

    def _launch_template(self, template: str, version: str) -> bytes | None:
        """One version of a template; ``$Default`` and ``$Latest`` as EC2 resolves them."""
        found = _read(self._folder, TEMPLATES_FILE, _Templates, required=False) or _Templates()
        versions = [
            item for item in found.launch_template_versions if template in (item.get("LaunchTemplateId"), item.get("LaunchTemplateName"))
        ]
        if version == "$Latest":
            chosen = sorted(versions, key=lambda item: int(item.get("VersionNumber", 1)))[-1:]
        elif version == "$Default":
            chosen = [item for item in versions if item.get("DefaultVersion")]
        else:
            chosen = [item for item in versions if str(item.get("VersionNumber", 1)) == version]
        return msgspec.json.encode(_Templates(chosen)) if chosen else None

    def set_desired_capacity(self, group: str, desired: int) -> None:
        """Refused."""
        self._refuse(group, desired)

    def terminate(self, instance: str, *, decrement: bool = True) -> None:
        """Refused."""
        self._refuse(instance, decrement)

    def complete_lifecycle(self, hook: Hook, instance: str) -> None:
        """Refused."""
        self._refuse(hook, instance)

    def heartbeat(self, hook: Hook, instance: str) -> None:
        """Refused."""
        self._refuse(hook, instance)
