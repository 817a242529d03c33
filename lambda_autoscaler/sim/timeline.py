"""A trace as the lines of a timeline: what happened between two scans is gathered by kind, so that twenty pods are one line."""

from collections import Counter
from collections.abc import Iterable

import msgspec

from lambda_autoscaler.core.explain import counted, group_rows, increase_text, scale_up_line, short_name
from lambda_autoscaler.core.plan import Plan
from lambda_autoscaler.sim.journal import Entry, Happening
from lambda_autoscaler.sim.run import ScanEntry, Trace

UP, DOWN, FAILED, QUIET = "▲", "▼", "✗", " "


class Line(msgspec.Struct, frozen=True):
    """One line: ``at`` seconds after the start, a mark, what happened, and the detail behind it; ``more`` are lines below it."""

    at: float
    mark: str
    text: str
    detail: str = ""
    more: tuple[str, ...] = ()


class Timeline:
    """Turns a trace into lines, keeping count of running pods per workload on the way."""

    def __init__(self, trace: Trace, expander: str) -> None:
        self._trace, self._expander = trace, expander
        self.running: Counter[str] = Counter()
        self.wanted: Counter[str] = Counter()
        self.last_running: dict[str, float] = {}
        for entry in trace.entries:
            if entry.at < trace.start and entry.kind is Happening.POD_RUNNING:
                self.running[_workload(entry)] += 1
                self.wanted[_workload(entry)] += 1

    def lines(self) -> list[Line]:
        """The whole story."""
        trace = self._trace
        entries = [entry for entry in trace.entries if entry.at >= trace.start]
        lines: list[Line] = []
        position = 0
        for scan in trace.scans:
            until = position
            while until < len(entries) and entries[until].at <= scan.at and entries[until].kind is not Happening.CAPACITY_SET:
                until += 1
            lines += self._gathered(entries[position:until])
            lines.append(self._scan_line(scan))
            position = until
            while position < len(entries) and entries[position].kind is Happening.CAPACITY_SET:
                position += 1
        return lines + self._gathered(entries[position:])

    def _gathered(self, entries: Iterable[Entry]) -> list[Line]:
        heaps: dict[tuple[Happening, str], list[Entry]] = {}
        for entry in entries:
            heaps.setdefault((entry.kind, _workload(entry) if entry.kind in _ABOUT_PODS else entry.group), []).append(entry)
        ordered = sorted(heaps.items(), key=lambda item: item[1][-1].at)
        return [self._line(kind, about, heap) for (kind, about), heap in ordered]

    def _line(self, kind: Happening, about: str, heap: list[Entry]) -> Line:
        at = heap[-1].at - self._trace.start
        number, detail, group = len(heap), heap[-1].detail, short_name(about)
        match kind:
            case Happening.WORKLOAD_SCALED:
                subject = heap[-1].subject
                self.wanted[subject] = int(detail.split("->")[1])
                name = subject.split("/")[1]
                return Line(at, QUIET, f"kubectl scale deployment/{name} --replicas={self.wanted[subject]}")
            case Happening.POD_UNSCHEDULABLE:
                return Line(at, QUIET, f"{counted(number, 'pod')} unschedulable", detail.rstrip("."))
            case Happening.POD_RUNNING:
                self.running[about] += number
                self.last_running[about] = heap[-1].at
                return Line(at, QUIET, f"{counted(number, 'more pod')} running", f"{self.running[about]} of {self.wanted[about]} running")
            case Happening.POD_EVICTED:
                return Line(at, DOWN, f"{counted(number, 'pod')} evicted", about)
            case Happening.LAUNCH_FAILED:
                return Line(at, FAILED, f"{counted(number, 'launch')[:-1]}es failed in {group}", detail)
            case Happening.INSTANCE_TERMINATED | Happening.NODE_GONE:
                return Line(at, DOWN, f"{counted(number, kind.value.split()[0])} {kind.value.split()[1]}", group)
            case _:
                noun, verb = kind.value.split()
                return Line(at, QUIET, f"{counted(number, noun)} {verb}", group)

    def _scan_line(self, scan: ScanEntry) -> Line:
        at = scan.at - self._trace.start
        plan = scan.report.plan
        if plan is None:
            return Line(at, FAILED, "scan: another scan holds the lock")
        if not plan.increases and not plan.removals:
            return Line(at, QUIET, "scan: nothing to do", _waiting(plan), tuple(scan.report.failures))
        grown = " ".join(increase_text(msgspec.structs.replace(item, group=short_name(item.group))) for item in plan.increases)
        removed = counted(len(plan.removals), "node") if plan.removals else ""
        growing = {item.group for item in plan.increases}
        refusals = [
            f"{short_name(row.group)}: {row.why}" for row in group_rows(plan, self._expander) if row.why and row.group not in growing
        ]
        more = ([scale_up_line(plan.increases)] if plan.increases else []) + refusals + list(scan.report.failures)
        return Line(at, UP if grown else DOWN, f"scan: {grown or removed}", _purpose(plan), tuple(more))


_ABOUT_PODS = frozenset({Happening.POD_RUNNING, Happening.POD_UNSCHEDULABLE, Happening.POD_EVICTED, Happening.WORKLOAD_SCALED})


def _purpose(plan: Plan) -> str:
    helped = sum(len(item.pods) for item in plan.pods if item.outcome == "triggered")
    nodes = sum(item.target - item.current for item in plan.increases)
    return f"{counted(nodes, 'node')} for {counted(helped, 'pod')}" if helped else ""


def _waiting(plan: Plan) -> str:
    pods = sum(len(item.pods) for item in plan.pods)
    coming = sum(max(0, group.target - group.ready) for group in plan.groups)
    if not pods:
        return f"{counted(coming, 'node')} on the way" if coming else ""
    return f"{counted(pods, 'pod')} wait for {counted(coming, 'node')} on the way" if coming else f"{counted(pods, 'pod')} waiting"


def _workload(entry: Entry) -> str:
    """Deployment of a pod's name: two suffixes (ReplicaSet hash and pod) are cut off; workload entries name it already."""
    return entry.subject if entry.kind is Happening.WORKLOAD_SCALED else entry.subject.rsplit("-", 2)[0]
