"""A simulated cluster with nodes to drain, and ports that let a test interfere with the writes of a scan."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from lambda_autoscaler.app import Edges, ScanReport, scan
from lambda_autoscaler.core.events import Hook
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.core.model import TO_BE_DELETED_TAINT
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.plan import Notice
from lambda_autoscaler.questions import Question
from lambda_autoscaler.settings import from_flags
from lambda_autoscaler.sim.run import SimTelemetry
from lambda_autoscaler.sim.specification import BudgetSpecification
from lambda_autoscaler.sim.world import World
from tests.sim.small_world import group_name, with_group

INVOCATION = 55.0
SOON = {"scale-down-unneeded-time": "1m", "scale-down-delay-after-add": "0s"}


class Killed(BaseException):
    """The invocation is gone: nothing of it runs any more."""


class Interference:
    """Sees every write of a scan before it is made (``before``) and after (``after``): the name of the call and its subject."""

    def __init__(self) -> None:
        self.writes: list[tuple[str, str]] = []
        self.before: Callable[[str, str], None] = lambda _call, _subject: None
        self.after: Callable[[str, str], None] = lambda _call, _subject: None

    def write(self, call: str, subject: str, action: Callable[[], Any]) -> Any:
        self.before(call, subject)
        self.writes.append((call, subject))
        result = action()
        self.after(call, subject)
        return result


class Kube:
    """The world's Kubernetes, behind the interference."""

    def __init__(self, world: World, seen: Interference) -> None:
        self._kube, self._write = world.kube, seen.write

    def list(self, plural: str, node: str = "") -> Iterator[bytes]:
        return self._kube.list(plural, node)

    def config_map(self, namespace: str, name: str) -> bytes | None:
        return self._kube.config_map(namespace, name)

    def write_config_map(self, namespace: str, name: str, manifest: bytes) -> None:
        self._write("config map", name, lambda: self._kube.write_config_map(namespace, name, manifest))

    def record(self, notices: Sequence[Notice], now: float) -> None:
        self._write("events", "", lambda: self._kube.record(notices, now))

    def patch_node(self, name: str, patch: bytes) -> None:
        self._write("patch", name, lambda: self._kube.patch_node(name, patch))

    def evict(self, namespace: str, pod: str, uid: str, grace_seconds: int) -> None:
        self._write("evict", pod, lambda: self._kube.evict(namespace, pod, uid, grace_seconds))

    def delete_pod(self, namespace: str, pod: str, uid: str, grace_seconds: int) -> None:
        self._write("delete pod", pod, lambda: self._kube.delete_pod(namespace, pod, uid, grace_seconds))

    def delete_node(self, name: str) -> None:
        self._write("delete", name, lambda: self._kube.delete_node(name))


class Aws:
    """The world's AWS, behind the interference."""

    def __init__(self, world: World, seen: Interference) -> None:
        self._aws, self._write = world.aws, seen.write

    def groups(self) -> Iterator[bytes]:
        return self._aws.groups()

    def describe(self, question: Question) -> bytes | None:
        return self._aws.describe(question)

    def set_desired_capacity(self, group: str, desired: int) -> None:
        self._write("desired", group, lambda: self._aws.set_desired_capacity(group, desired))

    def terminate(self, instance: str, *, decrement: bool = True) -> None:
        self._write("terminate", instance, lambda: self._aws.terminate(instance, decrement=decrement))

    def complete_lifecycle(self, hook: Hook, instance: str) -> None:
        self._write("complete", instance, lambda: self._aws.complete_lifecycle(hook, instance))

    def heartbeat(self, hook: Hook, instance: str) -> None:
        self._write("heartbeat", instance, lambda: self._aws.heartbeat(hook, instance))


class Store:
    """The world's memory, behind the interference; each invocation opens it anew."""

    def __init__(self, world: World, seen: Interference) -> None:
        self._memory, self._write = world.another_memory(), seen.write

    def acquire(self, holder: str, now: float, seconds: float) -> bool:
        taken: bool = self._write("lock", "", lambda: self._memory.acquire(holder, now, seconds))
        return taken

    def load(self) -> Memory:
        return self._memory.load()

    def save(self, memory: Memory) -> None:
        self._write("memory", "", lambda: self._memory.save(memory))

    def release(self) -> None:
        self._write("unlock", "", self._memory.release)


class Cluster:
    """Three nodes of one group, a web of three pods of which one is on each, and a budget that keeps two of them up."""

    def __init__(self, flags: dict[str, str] | None = None, *, available: int = 2, minimum: int = 1, replicas: int = 3) -> None:
        made = with_group(minimum=minimum, desired=3)
        budgets = (BudgetSpecification(workload="web", minimum_available=available),)
        web = msgspec.structs.replace(made.deployments[0], replicas=replicas)
        self.world = World(msgspec.structs.replace(made, budgets=budgets, deployments=(web,)))
        self.options: Options = from_flags({"cluster-name": "small", **SOON, **(flags or {})})
        self.seen = Interference()
        self.telemetry = SimTelemetry()
        self.least_available = replicas
        self.reports: list[ScanReport] = []

    @property
    def group(self) -> Any:
        return self.world.fleet.groups[group_name(self.world)]

    def scan(self) -> ScanReport:
        """One invocation, which has 55 seconds."""
        world, ends = self.world, self.world.now + INVOCATION
        edges = Edges(Kube(world, self.seen), Aws(world, self.seen), Store(world, self.seen), self.telemetry, self.advance)
        report = scan(edges, self.options, world.now, f"scan-{world.now}", lambda: ends - world.now)
        self.reports.append(report)
        return report

    def minutes(self, number: int) -> None:
        """A scan a minute; one that is killed leaves its lock behind."""
        for _ in range(number):
            began = self.world.now
            with contextlib.suppress(Killed):
                self.scan()
            self.advance(began + 60 - self.world.now)

    def advance(self, seconds: float) -> None:
        """Let time pass second by second, watching that the web stays available."""
        ends = self.world.now + seconds
        while self.world.now < ends:
            self.world.advance(min(1.0, ends - self.world.now))
            self.least_available = min(self.least_available, sum(pod.is_available for pod in self.web_pods()))

    def web_pods(self) -> list[Any]:
        return [pod for pod in self.world.state.pods if pod.name.startswith("web-")]

    def nodes(self) -> list[dict[str, Any]]:
        return list(self.world.state.nodes.values())

    def tainted(self) -> list[str]:
        return [node["metadata"]["name"] for node in self.nodes() if _is_tainted(node)]

    def marked(self) -> list[str]:
        """Nodes that carry anything that a removal writes on them."""
        return [node["metadata"]["name"] for node in self.nodes() if _is_tainted(node) or _is_annotated(node) or _is_cordoned(node)]

    def evictions(self) -> Counter[str]:
        return Counter(subject for call, subject in self.seen.writes if call == "evict")

    def events(self, reason: str) -> list[str]:
        return [notice.message for notice in self.world.kube.events if notice.reason == reason]

    def removed(self) -> list[str]:
        return [item.node for report in self.reports for item in report.removals.removed]

    def rolled_back(self) -> list[str]:
        return [item.why for report in self.reports for item in report.removals.rolled_back]

    def fail(self, call: str, fault: Exception, times: int = 1) -> None:
        """The next calls of a kind fail."""
        left = [fault] * times

        def before(made: str, _subject: str) -> None:
            if made == call and left:
                raise left.pop()

        self.seen.before = before


def _is_tainted(node: dict[str, Any]) -> bool:
    return any(taint["key"] == TO_BE_DELETED_TAINT for taint in node["spec"].get("taints", ()))


def _is_annotated(node: dict[str, Any]) -> bool:
    return "eks-autoscaling/removal" in node["metadata"].get("annotations", {})


def _is_cordoned(node: dict[str, Any]) -> bool:
    return bool(node["spec"].get("unschedulable"))
