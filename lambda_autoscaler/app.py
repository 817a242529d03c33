"""One scan: observe, decide, act, remember.

Why it cannot scale twice. A scan may die at any instruction: Lambda ends it at its deadline. Four things hold then:

1. One scan at a time acts. The lock lasts longer than the invocation can, so that a holder that died cannot act after another took over.
2. The intent is remembered first: memory with the requests of this plan is saved before AWS is asked for anything. It is a
   compare-and-set, so a scan that lost its lock to a slow clock fails here, before it acts. Without a saved intent nothing is done.
3. Desired capacity is set to an absolute value, and only while the group is still described, under the lock, as it was decided about.
   Setting it again changes nothing.
4. After a crash between intent and action the request has no capacity behind it: the next scan sees that nothing is coming, drops it
   and decides afresh. After a crash behind the action the request is there, and what it asked for counts as coming. Even with the
   record lost, desired capacity above the registered nodes counts as coming.

What went wrong becomes backoff in memory, then the status ConfigMap, then events: the order of what the next scan needs most. Only then
does the scan stay for the removals of nodes that are in progress (``removing.py``), for as long as its invocation has time to spare.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from lambda_autoscaler.acting import Actor, Outcome, has_actions, remembered, sizes_groups, truthful
from lambda_autoscaler.core.decide import decide
from lambda_autoscaler.core.kubernetes import ConfigMap
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.core.observe import build_cluster
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.plan import Notice, Plan, ScaleUpResult
from lambda_autoscaler.core.status import format_go_time, status_text
from lambda_autoscaler.marking import Marker, has_marks
from lambda_autoscaler.node_access import NodeAccess
from lambda_autoscaler.ports import AutoscalerError, Aws, BadInput, Kube, MemoryStore, Telemetry
from lambda_autoscaler.reading import observe
from lambda_autoscaler.removal_log import RemovalOutcome, remembered_removals
from lambda_autoscaler.removing import Remover
from lambda_autoscaler.tainting import Clock

__all__ = ["Edges", "ScanReport", "observe", "plan", "scan"]

LOCK_MARGIN_SECONDS: Final = 5.0
MAX_EVENTS: Final = 500
LAST_UPDATED: Final = "cluster-autoscaler.kubernetes.io/last-updated"


class Edges(msgspec.Struct, frozen=True):
    """The outside of a scan. ``wait`` lets seconds pass while removals of nodes go on."""

    kube: Kube
    aws: Aws
    memory: MemoryStore
    telemetry: Telemetry
    wait: Callable[[float], None]


class ScanReport(msgspec.Struct, frozen=True):
    """What a scan came to. ``locked_out`` when another scan held the lock: nothing was read or written. ``failures`` are sentences.

    ``seconds`` is how long it took, waits for removals in progress not counted. ``again`` asks for another scan at once.
    """

    locked_out: bool = False
    plan: Plan | None = None
    outcome: Outcome = Outcome()
    removals: RemovalOutcome = RemovalOutcome()
    failures: tuple[str, ...] = ()
    seconds: float = 0.0
    again: bool = False

    @property
    def has_answered(self) -> bool:
        """Whether all was done about what there was to see when the scan began, so that nobody need look again for it."""
        undone = self.failures or self.outcome.refused or self.outcome.withheld
        return self.plan is not None and self.plan.result is not ScaleUpResult.IN_COOLDOWN and not undone

    def summary(self) -> dict[str, object]:
        """The report as a small JSON object."""
        if self.plan is None:
            return {"result": "LockedOut" if self.locked_out else "Failed", "failures": list(self.failures)}
        scaled = [{"group": item.group, "from": item.current, "to": item.target, "max": item.maximum} for item in self.outcome.scaled]
        return {
            "result": self.plan.result.value,
            "scale_up": scaled,
            **self.removals.summary(),
            "pending_pods": sum(len(item.pods) for item in self.plan.pods if item.outcome != "schedulable"),
            "healthy": self.plan.healthy,
            "faults": list(self.plan.faults),
            "failures": list(self.failures),
            "failed_scale_ups": len(self.outcome.refused),
            "seconds": round(self.seconds, 3),
        }


def plan(kube: Kube, aws: Aws, memory: Memory, options: Options, now: float) -> Plan:
    """Decide without doing anything: only reads. Raises the errors of ``observe``."""
    return decide(build_cluster(observe(kube, aws, options), options), memory, options, now)


def scan(edges: Edges, options: Options, now: float, holder: str, seconds_left: Callable[[], float]) -> ScanReport:
    """Observe, decide, act and remember, as the only scan of the cluster.

    ``now`` is in seconds since the epoch, ``holder`` names this invocation in the lock, ``seconds_left`` tells what is left of it.
    Failures of single actions are in the report; what makes a scan impossible is raised, before anything was done.
    """
    if not edges.memory.acquire(holder, now, seconds_left() + LOCK_MARGIN_SECONDS):
        edges.telemetry.warn("another scan holds the lock: this one leaves without doing anything")
        return ScanReport(locked_out=True)
    try:
        report = _Scan(edges, options, now, seconds_left).run()
    finally:
        try:
            edges.memory.release()
        except AutoscalerError as fault:
            edges.telemetry.warn(f"the lock was not given back, it will expire: {fault}")
    return report


class _Scan:
    """One scan under the lock."""

    def __init__(self, edges: Edges, options: Options, now: float, seconds_left: Callable[[], float]) -> None:
        self._edges = edges
        self._options = options
        self._now = now
        self._clock = Clock(now, seconds_left(), seconds_left, edges.wait)
        self._failures: list[str] = []

    def run(self) -> ScanReport:
        """The four steps, then what people see of them."""
        before = self._load()
        cluster = build_cluster(observe(self._edges.kube, self._edges.aws, self._options), self._options)
        decided = decide(cluster, before, self._options, self._now)
        for fault in decided.faults:
            self._edges.telemetry.warn(fault)
        remover = Remover(self._edges.kube, self._edges.aws, self._options, self._clock, cluster)
        outcome = self._act(decided, remover) if has_actions(decided) or has_marks(decided) else Outcome()
        memory = remembered(before, decided, outcome, self._options, self._now)
        self._save(remembered_removals(memory, before, decided, remover.log.outcome(), self._now))
        if self._options.write_status_configmap:
            self._try("the status ConfigMap was not written", lambda: self._write_status(decided))
        self._record((*outcome.notices, *truthful(decided.notices, outcome), *remover.log.take_notices()))
        seconds = self._clock.now() - self._now
        if remover.in_progress:
            remover.go_on()
            self._save(remembered_removals(memory, before, decided, remover.log.outcome(), self._now))
            self._record(remover.log.take_notices())
        removals = remover.log.outcome(remover.in_progress)
        failures = (*outcome.failures, *removals.failures, *self._failures)
        report = ScanReport(plan=decided, outcome=outcome, removals=removals, failures=failures, seconds=seconds, again=remover.gave_way)
        return self._told(report, decided)

    def _told(self, report: ScanReport, decided: Plan) -> ScanReport:
        for failure in report.failures:
            self._edges.telemetry.warn(failure)
        self._edges.telemetry.scanned(decided, report.summary())
        return report

    def _load(self) -> Memory:
        """Memory, or a cautious beginning: with the record unreadable, nothing is taken for idle before its time runs anew."""
        try:
            return self._edges.memory.load()
        except BadInput as fault:
            self._edges.telemetry.warn(f"{fault}; memory is rebuilt: all waiting times start now")
            return Memory(last_scale_up=self._now)

    def _act(self, decided: Plan, remover: Remover) -> Outcome:
        self._edges.memory.save(decided.memory)
        self._edges.telemetry.planned(decided)
        actor = Actor(self._edges.aws, self._options, self._clock.seconds_left)
        outcome = actor.carry_out(decided) if sizes_groups(decided) else Outcome()
        self._mark(decided, outcome)
        remover.begin(decided)
        return outcome

    def _mark(self, decided: Plan, outcome: Outcome) -> None:
        """Answer the interruption function before anything that takes long."""
        nodes = NodeAccess(self._edges.kube, self._options)
        marker = Marker(self._edges.kube, nodes, lambda: self._clock.seconds_left() > LOCK_MARGIN_SECONDS)
        marker.write(decided, everything_asked=not (outcome.refused or outcome.withheld))
        self._failures.extend(marker.failures)

    def _save(self, memory: Memory) -> None:
        self._try("memory was not saved", lambda: self._edges.memory.save(memory))

    def _try(self, what: str, step: Callable[[], None]) -> None:
        try:
            step()
        except AutoscalerError as fault:
            self._failures.append(f"{what}: {fault}")

    def _write_status(self, decided: Plan) -> None:
        namespace, name = self._options.namespace, self._options.status_config_map_name
        text = status_text(decided, self._now, _status_in(self._edges.kube.config_map(namespace, name)))
        manifest = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": namespace, "annotations": {LAST_UPDATED: format_go_time(self._now)}},
            "data": {"status": text},
        }
        self._edges.kube.write_config_map(namespace, name, msgspec.json.encode(manifest))

    def _record(self, notices: Sequence[Notice]) -> None:
        if len(notices) > MAX_EVENTS:
            self._failures.append(f"{len(notices) - MAX_EVENTS} of {len(notices)} events were left out of this scan")
        if notices:
            self._try("events were not recorded", lambda: self._edges.kube.record(notices[:MAX_EVENTS], self._clock.now()))


def _status_in(config_map: bytes | None) -> str:
    if config_map is None:
        return ""
    try:
        return (msgspec.json.decode(config_map, type=ConfigMap).data or {}).get("status", "")
    except msgspec.DecodeError:
        return ""
