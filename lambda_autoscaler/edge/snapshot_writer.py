"""Taking a snapshot: what a scan reads is kept as it passes and written as a folder that plans the same offline.

Only what the autoscaler itself understands is written: every object goes through its wire type, so environment variables, arguments,
commands, user data, managed fields and whatever else an API answer holds never reach the disk. Of annotations those that steer the
autoscaler stay, of ConfigMaps those it read. Fields at their default are left out. An object that cannot be understood is left out too.

The folder appears as a whole or not at all, and never over something else: a folder that is not empty is replaced only when asked for, and
only if it is a snapshot.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from lambda_autoscaler import questions
from lambda_autoscaler.core import amazon
from lambda_autoscaler.core.decode import decode_objects
from lambda_autoscaler.core.events import Hook
from lambda_autoscaler.core.interruption import ANSWER, INTERRUPTION
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.core.plan import Notice
from lambda_autoscaler.core.units import format_timestamp
from lambda_autoscaler.edge.memory import RECORD_KEY, format_record
from lambda_autoscaler.edge.snapshot import (
    CONFIGURATIONS_FILE,
    GROUPS_FILE,
    OPTIONS_FILE,
    RESOLVED_FILE,
    SPOT_PRICES_FILE,
    TEMPLATES_FILE,
    TYPES_FILE,
)
from lambda_autoscaler.ports import Aws, BadInput, Kube

KEPT_ANNOTATIONS: Final = {
    INTERRUPTION,
    ANSWER,
    "cluster-autoscaler.kubernetes.io/scale-down-disabled",
    "k8s.io/cluster-autoscaler-enabled",
    "storageclass.kubernetes.io/is-default-class",
}
KEPT_ANNOTATION_PREFIX: Final = "delay-deletion.cluster-autoscaler.kubernetes.io/"

_FILES: Final[Mapping[type, tuple[str, type[msgspec.Struct]]]] = {
    questions.InstanceTypes: (TYPES_FILE, amazon.InstanceTypes),
    questions.LaunchTemplate: (TEMPLATES_FILE, amazon.LaunchTemplateVersions),
    questions.LaunchConfiguration: (CONFIGURATIONS_FILE, amazon.LaunchConfigurations),
    questions.SpotPrices: (SPOT_PRICES_FILE, amazon.SpotPrices),
}


class Moment(msgspec.Struct, frozen=True):
    """What a snapshot says besides the API answers: flags by upstream name, instant (seconds since the epoch), memory."""

    flags: Mapping[str, str]
    now: float
    memory: Memory = Memory()


class SnapshotWriter:
    """Wraps two ports. Observe through ``kube`` and ``aws``, then ``write``."""

    def __init__(self, kube: Kube, aws: Aws) -> None:
        self._files: dict[str, Any] = {}
        self.kube = _RecordingKube(kube, self._files)
        self.aws = _RecordingAws(aws, self._files)

    def write(self, folder: Path, moment: Moment, *, force: bool = False) -> None:
        """Write the folder. Raises BadInput when something is there already, or it cannot be written."""
        _check_target(folder, force=force)
        self._files[OPTIONS_FILE] = {**moment.flags, "now": format_timestamp(moment.now)}
        self._files[RECORD_KEY] = msgspec.json.decode(format_record(moment.memory))
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as space:
                self._write_files(Path(space) / "new")
                if folder.exists():
                    folder.rename(Path(space) / "old")
                (Path(space) / "new").rename(folder)
        except OSError as fault:
            raise BadInput(f"the snapshot cannot be written to {folder}: {fault}") from fault

    def _write_files(self, folder: Path) -> None:
        for name, content in self._files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")


def _check_target(folder: Path, *, force: bool) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise BadInput(f"{folder} is a file: name a folder that is not there yet")
    if any(folder.iterdir()):
        if not force:
            raise BadInput(f"{folder} is not empty: name another folder, or ask to replace it")
        if not (folder / OPTIONS_FILE).is_file():
            raise BadInput(f"{folder} is not a snapshot and is not replaced: name another folder")


class _RecordingKube:
    def __init__(self, kube: Kube, files: dict[str, Any]) -> None:
        self._kube = kube
        self._files = files

    def list(self, plural: str, node: str = "") -> Iterator[bytes]:
        if node:
            yield from self._kube.list(plural, node)
            return
        kept: list[Any] = []
        for page in self._kube.list(plural):
            objects, _ = decode_objects(plural, page)
            kept.extend(_plain(item) for item in objects)
            yield page
        self._files[f"kubernetes/{plural}.json"] = {"kind": "List", "apiVersion": "v1", "items": kept}

    def config_map(self, namespace: str, name: str) -> bytes | None:
        found = self._kube.config_map(namespace, name)
        if found is not None:
            objects, _ = decode_objects("configmaps", b'{"items":[' + found + b"]}")
            kept = self._files.setdefault("kubernetes/configmaps.json", {"kind": "List", "apiVersion": "v1", "items": []})
            kept["items"].extend(_plain(item) for item in objects)
        return found

    def write_config_map(self, namespace: str, name: str, manifest: bytes) -> None:
        self._kube.write_config_map(namespace, name, manifest)

    def record(self, notices: Sequence[Notice], now: float) -> None:
        self._kube.record(notices, now)

    def patch_node(self, name: str, patch: bytes) -> None:
        self._kube.patch_node(name, patch)

    def evict(self, namespace: str, pod: str, uid: str, grace_seconds: int) -> None:
        self._kube.evict(namespace, pod, uid, grace_seconds)

    def delete_pod(self, namespace: str, pod: str, uid: str, grace_seconds: int) -> None:
        self._kube.delete_pod(namespace, pod, uid, grace_seconds)

    def delete_node(self, name: str) -> None:
        self._kube.delete_node(name)


class _RecordingAws:
    def __init__(self, aws: Aws, files: dict[str, Any]) -> None:
        self._aws = aws
        self._files = files

    def _keep(self, name: str, answer: bytes, shape: type[msgspec.Struct]) -> None:
        """Keep an answer; lists of several answers of one kind are joined."""
        plain = _plain(msgspec.json.decode(answer, type=shape))
        known = self._files.setdefault(name, {})
        for field, value in plain.items():
            known[field] = [*known.get(field, []), *value] if isinstance(value, list) else value

    def groups(self) -> Iterator[bytes]:
        self._files[GROUPS_FILE] = {"AutoScalingGroups": []}
        for page in self._aws.groups():
            self._keep(GROUPS_FILE, page, amazon.AutoScalingGroups)
            yield page

    def describe(self, question: questions.Question) -> bytes | None:
        answer = self._aws.describe(question)
        if answer is None:
            return None
        if isinstance(question, questions.MatchingTypes):
            for info in msgspec.json.decode(answer, type=amazon.InstanceTypes).instance_types[:1]:
                self._files.setdefault(RESOLVED_FILE, {})[question.group] = info.instance_type
        else:
            self._keep(*_place(question, answer))
        return answer

    def set_desired_capacity(self, group: str, desired: int) -> None:
        self._aws.set_desired_capacity(group, desired)

    def terminate(self, instance: str, *, decrement: bool = True) -> None:
        self._aws.terminate(instance, decrement=decrement)

    def complete_lifecycle(self, hook: Hook, instance: str) -> None:
        self._aws.complete_lifecycle(hook, instance)

    def heartbeat(self, hook: Hook, instance: str) -> None:
        self._aws.heartbeat(hook, instance)


def _place(question: questions.Question, answer: bytes) -> tuple[str, bytes, type[msgspec.Struct]]:
    """File of an answer, and what is kept of it."""
    match question:
        case questions.Nodegroup(name):
            return f"aws/nodegroups/{name}.json", answer, amazon.NodegroupAnswer
        case questions.Activities(group):
            return f"aws/scaling-activities/{group}.json", answer, amazon.Activities
        case _:
            name, shape = _FILES[type(question)]
            return name, answer, shape


def _plain(value: Any) -> Any:
    """A wire object as it would stand in an API answer, without fields at their default and without other annotations."""
    if isinstance(value, msgspec.Struct):
        found = {}
        for field in msgspec.structs.fields(value):
            content = getattr(value, field.name)
            if content is None or (not field.required and content == field.default):
                continue
            of_others = field.name == "annotations" and isinstance(content, Mapping)
            found[field.encode_name] = _kept_annotations(content) if of_others else _plain(content)
        return found
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _kept_annotations(annotations: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in annotations.items() if key in KEPT_ANNOTATIONS or key.startswith(KEPT_ANNOTATION_PREFIX)}
