"""``explain``: why one pod, node or node group is treated as it is."""

from collections.abc import Sequence

import msgspec

from lambda_autoscaler.cli.screen import Column, Screen
from lambda_autoscaler.core.answers import Answer, Scene, explain_group, explain_node, explain_pod
from lambda_autoscaler.core.explain import counted, short_name
from lambda_autoscaler.ports import BadInput

_POD_PARTS = 2
_MANY = 5


class Question(msgspec.Struct, frozen=True):
    """What is asked about: ``kind`` is pod, node or group; ``namespace`` is empty but for pods."""

    kind: str
    name: str
    namespace: str = ""


def question(text: str) -> Question:
    """Read ``pod/NAMESPACE/NAME``, ``node/NAME`` or ``group/NAME``; a pod without namespace is one of ``default``. Raises BadInput."""
    kind, _, rest = text.partition("/")
    parts = rest.split("/")
    if kind == "pod" and len(parts) <= _POD_PARTS and all(parts):
        return Question("pod", parts[-1], parts[0] if len(parts) == _POD_PARTS else "default")
    if kind in ("node", "group") and len(parts) == 1 and rest:
        return Question(kind, rest)
    raise BadInput(f"{text!r} is not pod/NAMESPACE/NAME, node/NAME or group/NAME")


def show(screen: Screen, scene: Scene, asked: Question) -> None:
    """Print the answer. Raises BadInput when the cluster has no such object."""
    found = _answer(scene, asked)
    if found is None:
        about = f"{asked.namespace}/{asked.name}" if asked.namespace else asked.name
        raise BadInput(f"there is no {asked.kind} {about} in the cluster{_known(scene, asked)}")
    screen.line(found.title, style="bold")
    columns = (Column(), Column(), Column(folds=True))
    screen.table(columns, [(reason.mark, reason.subject, reason.text) for reason in found.reasons], "reason")


def _answer(scene: Scene, asked: Question) -> Answer | None:
    match asked.kind:
        case "pod":
            return explain_pod(scene, asked.namespace, asked.name)
        case "node":
            return explain_node(scene, _whole_name(scene, asked.name))
        case _:
            return explain_group(scene, asked.name)


def _whole_name(scene: Scene, start: str) -> str:
    """The node that is named, or the only one whose name starts so: with whole parts, if there is one. Raises BadInput for several."""
    names = [node.name for node in scene.cluster.nodes]
    meant = [name for name in names if name.startswith(f"{start}.")] or [name for name in names if name.startswith(start)]
    if start in names or not meant:
        return start
    if len(meant) > 1:
        raise BadInput(f"{counted(len(meant), 'node')} start with {start}: {_some(meant)}")
    return meant[0]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MANY} more" if len(names) > _MANY else ""
    return f"{', '.join(names[:_MANY])}{more}"


def _known(scene: Scene, asked: Question) -> str:
    """Some names that are there, for those who mistyped."""
    match asked.kind:
        case "pod":
            names = [pod.name for item in scene.plan.pods if item.shape.namespace == asked.namespace for pod in item.pods]
            what = f"waiting in namespace {asked.namespace}"
        case "node":
            names, what = [node.name for node in scene.cluster.nodes], "there are"
        case _:
            names, what = [short_name(status.group) for status in scene.plan.groups], "there are"
    if not names:
        return ""
    return f" ({what}: {_some(names)})"
