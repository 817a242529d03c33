"""How a scan takes nodes under interruption into account.

Their pods count as waiting, before all others of their priority; they take nothing and are no candidates of scale-down. Each doomed node
gets an answer: whether capacity was asked for in its place. A node at risk begins to drain when that is wanted (``--drain-on-rebalance``),
a bounded share of its group at a time; a mark that came to nothing is taken off after a while. Pools whose spot instances are being taken
are remembered for some minutes, so that the next choice of a group avoids them.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

import msgspec

from lambda_autoscaler.core.events import Kind
from lambda_autoscaler.core.interruption import (
    INTERRUPTION,
    RESTART_SECONDS,
    STALE_SECONDS,
    Answer,
    InterruptionRecord,
    answer_of,
    is_doomed,
    marked,
    record_of,
)
from lambda_autoscaler.core.interruption_steps import pods_to_move
from lambda_autoscaler.core.marks import is_being_deleted
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.core.model import ZONE_LABEL, Cluster, Node, PodSet, PodShape
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.plan import Increase, Plan
from lambda_autoscaler.core.pools import RISK_SECONDS, pool
from lambda_autoscaler.core.prices import INSTANCE_TYPE_LABEL
from lambda_autoscaler.core.readiness import Readiness, readiness

# More pods than a node of EC2 takes; an annotation must end somewhere.
MOST_NAMES = 1000
ON_ITS_WAY_SECONDS = 300.0


class Marks(msgspec.Struct, frozen=True):
    """What a scan changes about marks, by node: those that begin to drain as they will be, those that are taken off as they are."""

    begun: Mapping[str, InterruptionRecord] = {}
    cleared: Mapping[str, InterruptionRecord] = {}


def with_marks(cluster: Cluster, options: Options, now: float) -> tuple[Cluster, Marks]:
    """The cluster with the marks as they will be after this scan, and what changes about them."""
    records = {node.name: record for node in cluster.nodes if (record := record_of(node)) is not None}
    if not records:
        return cluster, Marks()
    states = {node.name: readiness(node, options) for node in cluster.nodes if node.name in records}
    cleared = {name: record for name, record in records.items() if _came_to_nothing(record, states[name], options, now)}
    begun = _begun(cluster, {name: record for name, record in records.items() if name not in cleared}, options, now)
    return msgspec.structs.replace(cluster, nodes=tuple(_marked(node, begun, cleared) for node in cluster.nodes)), Marks(begun, cleared)


def _came_to_nothing(record: InterruptionRecord, state: Readiness, options: Options, now: float) -> bool:
    if record.kind is Kind.STATE_CHANGE and state.ready and state.changed > record.noticed + RESTART_SECONDS:
        return True  # it was stopped and started again
    if record.is_taken_back and record.deadline is not None:
        return record.deadline + STALE_SECONDS < now
    return max(record.seen, record.deadline or 0.0) + options.interruption_risk_ttl < now


def _begun(cluster: Cluster, records: Mapping[str, InterruptionRecord], options: Options, now: float) -> dict[str, InterruptionRecord]:
    if not options.drain_on_rebalance:
        return {}
    sizes = Counter(node.group for node in cluster.nodes if node.group)
    draining = Counter(node.group for node in cluster.nodes if node.name in records and records[node.name].drains)
    found: dict[str, InterruptionRecord] = {}
    for node in cluster.nodes:
        record = records.get(node.name)
        if record is None or record.drains or not record.watched or not node.group:
            continue
        if draining[node.group] < max(1, int(sizes[node.group] * options.rebalance_drain_share)):
            draining[node.group] += 1
            found[node.name] = msgspec.structs.replace(record, drains=True, seen=now)
    return found


def _marked(node: Node, begun: Mapping[str, InterruptionRecord], cleared: Iterable[str]) -> Node:
    if node.name in begun:
        return marked(node, begun[node.name])
    if node.name in cleared:
        kept = {key: value for key, value in node.annotations.items() if key != INTERRUPTION}
        return msgspec.structs.replace(node, annotations=kept, taints=tuple(taint for taint in node.taints if taint.key != INTERRUPTION))
    return node


def pods_of_doomed_nodes(cluster: Cluster) -> list[PodSet]:
    """Pods that will want another place because their instance goes; those that end already have a successor that waits.

    However new they are, the scheduler has placed them already: no delay of new pods holds them back, so they have no age.
    """
    doomed = (node for node in cluster.nodes if is_doomed(node) and not is_being_deleted(node))
    moving = ((shape, ref) for node in doomed for shape, ref in pods_to_move(node) if ref.deletion is None)
    return [PodSet(shape, (msgspec.structs.replace(ref, created=0.0),)) for shape, ref in moving]


def answers(cluster: Cluster, plan: Plan, memory: Memory) -> dict[str, Answer]:
    """By node, the answer to each doomed node that has none yet, or whose pods fare better now.

    ``memory`` is that of earlier scans: capacity that one of them asked for and did not live to tell of is asked for all the same.
    """
    doomed = [node for node in cluster.nodes if is_doomed(node)]
    if not doomed:
        return {}
    desired = {group.id: group.desired for group in cluster.groups}
    untold = {name for name, wanted in memory.replacements.items() if all(desired.get(group, 0) >= size for group, size in wanted.items())}
    told = {node.name: record for node in doomed if (record := record_of(node)) and _is_told_of_capacity(node)}
    since = plan.memory.last_scan - ON_ITS_WAY_SECONDS
    asking = _Asking(plan, untold | told.keys(), on_its_way=bool(untold) or any(record.seen > since for record in told.values()))
    found = {node.name: (node, asking.answer(node)) for node in doomed}
    return {name: answer for name, (node, answer) in found.items() if answer != answer_of(node)}


def _is_told_of_capacity(node: Node) -> bool:
    answer = answer_of(node)
    return answer is not None and answer.verdict == "asked"


def with_replacements(memory: Memory, cluster: Cluster, replies: Mapping[str, Answer], increases: Iterable[Increase]) -> Memory:
    """Memory of what is asked for in place of which doomed node, for as long as the node does not say so itself."""
    unanswered = {node.name for node in cluster.nodes if is_doomed(node) and answer_of(node) is None}
    kept = {name: wanted for name, wanted in memory.replacements.items() if name in unanswered}
    sizes = {increase.group: increase.target for increase in increases}
    begun = {name: sizes for name, answer in replies.items() if sizes and answer.verdict == "asked" and name in unanswered - kept.keys()}
    return msgspec.structs.replace(memory, replacements={**kept, **begun})


class _Asking:
    """What a plan asks for, and for whom.

    ``replaced`` are nodes in whose place earlier scans asked for capacity, some of which may be ``on_its_way``.

    Pods of one controller are interchangeable: when one of a doomed node takes the place that was meant for another, and that other asks
    for capacity, it is asked for in place of either. So it is when the node's own group grows, be it for the successors of pods that have
    left the node already. Otherwise the group would replace the instance beside what was asked for.

    Room that is there while capacity comes for another node is not trusted either: between an eviction and the pod that follows it,
    capacity on its way seems to be free. What is missing in the end the pods that wait ask for; what is too much nobody gives back.
    """

    def __init__(self, plan: Plan, replaced: Collection[str], *, on_its_way: bool) -> None:
        self._replaced, self._on_its_way = replaced, on_its_way
        self._outcomes = {pod.uid: item.outcome for item in plan.pods for pod in item.pods}
        triggered = [item.shape for item in plan.pods if item.outcome == "triggered"]
        self._shapes = set(triggered)
        self._controllers = {shape.controller.uid for shape in triggered if shape.controller is not None}
        self._groups = {item.group for item in plan.increases}

    def answer(self, node: Node) -> Answer:
        """The answer to a doomed node."""
        fates = [(shape, ref, self._outcomes.get(ref.uid, "")) for shape, ref in pods_to_move(node) if ref.deletion is None]
        homeless = tuple(f"{shape.namespace}/{ref.name}" for shape, ref, outcome in fates if outcome in ("unhelped", "waiting"))
        if node.name in self._replaced:
            return Answer("asked", homeless[:MOST_NAMES])
        if homeless and len(homeless) == len(fates):
            return Answer("none", homeless[:MOST_NAMES])
        asked = self._on_its_way or node.group in self._groups or any(self._is_asked_for(shape) for shape, _, _ in fates)
        return Answer("asked" if asked else "room", homeless[:MOST_NAMES])

    def _is_asked_for(self, shape: PodShape) -> bool:
        return shape in self._shapes or (shape.controller is not None and shape.controller.uid in self._controllers)


def with_risky_pools(memory: Memory, cluster: Cluster, now: float) -> Memory:
    """Memory with the pools whose spot instances are being taken, each for some minutes after the notice."""
    known = {name: until for name, until in memory.risky_pools.items() if until > now}
    for node in cluster.nodes:
        record = record_of(node)
        if record is not None and record.kind is Kind.SPOT_INTERRUPTION and record.noticed + RISK_SECONDS > now:
            name = pool(node.labels.get(INSTANCE_TYPE_LABEL, ""), node.labels.get(ZONE_LABEL, ""))
            known[name] = max(known.get(name, 0.0), record.noticed + RISK_SECONDS)
    return memory if known == memory.risky_pools else msgspec.structs.replace(memory, risky_pools=known)
