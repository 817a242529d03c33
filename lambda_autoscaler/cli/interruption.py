"""``interruption``: what one EC2 event would do to a cluster, if it came at the instant that is looked at."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from lambda_autoscaler.cli.plan import Decision
from lambda_autoscaler.cli.screen import Column, Screen
from lambda_autoscaler.core.answers import DOWN, NO, NOTE, UP, YES, Reason
from lambda_autoscaler.core.decide import decide
from lambda_autoscaler.core.events import Event, EventError, Home, InstanceEvent, Kind, LaunchFailed, Nothing, read_events
from lambda_autoscaler.core.explain import counted, increase_text, plain_reason, short_name
from lambda_autoscaler.core.interruption import INTERRUPTION, InterruptionRecord, marked, respond
from lambda_autoscaler.core.interruption_steps import pods_to_move
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.core.model import Cluster
from lambda_autoscaler.core.plan import Plan
from lambda_autoscaler.ports import BadInput

_STANDARD_INPUT = Path("-")


class Effect(msgspec.Struct, frozen=True):
    """What one event does: a heading and its reasons, and the same for programs."""

    title: str
    reasons: tuple[Reason, ...]
    document: dict[str, Any]


class _Origin(msgspec.Struct, frozen=True):
    account: str = ""
    region: str = ""


def effects(path: Path, decided: Decision, memory: Memory) -> list[Effect]:
    """What the events of a file, or with ``-`` of standard input, would do. Raises BadInput when it cannot be read as an event."""
    try:
        body = sys.stdin.buffer.read() if path == _STANDARD_INPUT else path.read_bytes()
        origin = msgspec.json.decode(body, type=_Origin)
        events = read_events(body, Home(origin.account, origin.region), decided.scene.now)
    except OSError as fault:
        raise BadInput(f"{path} cannot be read: {fault.strerror}") from fault
    except (EventError, msgspec.DecodeError) as fault:
        raise BadInput(f"{path} is no event that AWS sends: {fault}") from fault
    return [_effect(event, decided, memory) for event in events]


def show(screen: Screen, found: Sequence[Effect], output: str) -> None:
    """Print effects in the form asked for."""
    if output == "json":
        screen.document(msgspec.json.format(msgspec.json.encode([effect.document for effect in found]), indent=2).decode())
        return
    for effect in found:
        screen.line(effect.title, style="bold")
        columns = (Column(), Column(), Column(folds=True))
        screen.table(columns, [(reason.mark, reason.subject, reason.text) for reason in effect.reasons], "reason")


def _effect(event: Event, decided: Decision, memory: Memory) -> Effect:
    match event:
        case InstanceEvent():
            return _on_instance(_as_of(event, decided.scene.now), decided, memory)
        case LaunchFailed(group, message):
            return _short(f"launch failed in {group}", f"a scan looks at once, and the group backs off: {message}", {"group": group})
        case Nothing(why):
            return _short("nothing is done", why, {})
        case _:
            return _short("nothing can be said offline", "the instances of a reservation are only known to EC2", {})


def _short(title: str, text: str, document: dict[str, Any]) -> Effect:
    return Effect(title, (Reason(NOTE, "", text),), {**document, "why": text})


def _as_of(event: InstanceEvent, now: float) -> InstanceEvent:
    """The event as if it came now, with the time it leaves."""
    left = None if event.deadline is None else max(0.0, event.deadline - event.at)
    deadline = None if left is None else now + left
    return msgspec.structs.replace(event, at=now, deadline=deadline)


def _on_instance(event: InstanceEvent, decided: Decision, memory: Memory) -> Effect:
    cluster, now = decided.scene.cluster, decided.scene.now
    node = next((item for item in cluster.nodes if item.provider_id.endswith(f"/{event.instance}")), None)
    left = "" if event.deadline is None or event.kind is Kind.STATE_CHANGE else f" · {event.deadline - now:.0f} s left"
    title = f"{event.kind} of {event.instance}{left}"
    document: dict[str, Any] = {"kind": event.kind.value, "instance": event.instance, "deadline": event.deadline}
    if node is None:
        return Effect(title, (Reason(NOTE, "ignored", "no node of this cluster runs on the instance"),), {**document, "node": None})
    response = respond(event, node, decided.options, now)
    title = f"{title} · node {node.name} · group {short_name(node.group)}"
    document["node"] = node.name
    if response.deletes:
        return Effect(
            title, (Reason(DOWN, "node", "its object is deleted; its pods are made anew at once"),), {**document, "deletes": True}
        )
    if response.record is None:
        return Effect(title, (Reason(NOTE, "ignored", response.why),), {**document, "why": response.why})
    after = msgspec.structs.replace(cluster, nodes=tuple(marked(item, response.record) if item is node else item for item in cluster.nodes))
    plan = decide(after, memory, decided.options, now)
    return Effect(title, tuple(_reasons(after, node.name, response.record, plan)), document | _outcome(plan, node.name, response.record))


def _reasons(cluster: Cluster, name: str, record: InterruptionRecord, plan: Plan) -> list[Reason]:
    node = next(item for item in cluster.nodes if item.name == name)
    found = [Reason(DOWN, "mark", f"{INTERRUPTION}={record.kind}:NoSchedule{', cordoned' if node.unschedulable else ''}")]
    if not record.drains:
        return [*found, Reason(YES, "pods", "stay; no new ones come, and the node is the first to be removed")]
    pods = pods_to_move(node)
    found.append(Reason(DOWN, "pods", f"{counted(len(pods), 'pod')} to move; {_who_drains(record)}"))
    answer = plan.answers.get(name)
    if answer is None or not pods:
        return found
    if answer.verdict == "asked":
        found += [Reason(UP, "capacity", f"asked for before the first eviction: {increase_text(item)}") for item in plan.increases]
        found.append(Reason(DOWN, "instance", "handed back when it is empty: the group does not replace it a second time"))
    elif answer.verdict == "room":
        found.append(
            Reason(YES, "capacity", "there is room on other nodes, or nodes are coming; the group replaces the instance by itself")
        )
    return found + _homeless(answer.homeless, plan)


def _who_drains(record: InterruptionRecord) -> str:
    if record.waits_for_eks:
        return "EKS evicts them, and ours takes over if it does not"
    return "evicted within their disruption budgets" + (", deleted in time to end gracefully" if record.is_taken_back else "")


def _homeless(names: Sequence[str], plan: Plan) -> list[Reason]:
    found: list[Reason] = []
    for name in names:
        item = next(item for item in plan.pods if any(f"{item.shape.namespace}/{pod.name}" == name for pod in item.pods))
        found.append(Reason(NO, name, "has no other place: it stays until the end, and is the first in line for new capacity"))
        found += [Reason(NOTE, "", f"{short_name(group)}: {plain_reason(misfit)}") for group, misfit in item.reasons]
    return found


def _outcome(plan: Plan, name: str, record: InterruptionRecord) -> dict[str, Any]:
    answer = plan.answers.get(name)
    return {
        "record": msgspec.to_builtins(record),
        "capacity": None if answer is None else answer.verdict,
        "homeless": [] if answer is None else list(answer.homeless),
        "scale_up": [{"group": item.group, "from": item.current, "to": item.target, "max": item.maximum} for item in plan.increases],
    }
