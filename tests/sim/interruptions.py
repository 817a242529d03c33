"""A simulated cluster whose spot instances are taken back, watched second by second."""

from typing import Any

import msgspec

from lambda_autoscaler.app import Edges, scan
from lambda_autoscaler.settings import from_flags
from lambda_autoscaler.sim.auto_scaling import SimInstance
from lambda_autoscaler.sim.interruptions import InterruptionPath
from lambda_autoscaler.sim.journal import Entry, Happening
from lambda_autoscaler.sim.run import SimTelemetry
from lambda_autoscaler.sim.specification import BudgetSpecification, WorkloadSpecification
from lambda_autoscaler.sim.world import World
from tests.sim.small_world import group_name, pod_spec, with_group

INVOCATION = 55.0


class Cluster:
    """One spot group of two nodes with three pods each and a budget; room for no pod more unless ``spare`` nodes are there."""

    def __init__(
        self,
        *,
        available: int = 5,
        replicas: int = 6,
        spare: int = 0,
        flags: dict[str, str] | None = None,
        more: tuple[WorkloadSpecification, ...] = (),
        **group: Any,
    ) -> None:
        made = with_group(**{"minimum": 0, "desired": 2 + spare, "maximum": 6, "self_managed": True, **group})
        web = msgspec.structs.replace(made.deployments[0], replicas=replicas, pod=pod_spec("1200m"))
        budgets = (BudgetSpecification(workload="web", minimum_available=available),)
        self.world = World(msgspec.structs.replace(made, deployments=(web, *more), budgets=budgets))
        self.options = from_flags({"cluster-name": "small", **(flags or {})})
        self.telemetry = SimTelemetry()
        self.path = InterruptionPath(self.world, self.options, self.telemetry)
        self.least_available = replicas
        self.start = self.world.now

    @property
    def group(self) -> Any:
        return self.world.fleet.groups[group_name(self.world)]

    def instances(self) -> list[SimInstance]:
        return list(self.group.instances.values())

    def node(self, name: str) -> dict[str, Any]:
        return self.world.state.nodes[name]

    def nodes(self) -> list[str]:
        return list(self.world.state.nodes)

    def minutes(self, number: int) -> None:
        """A scan a minute, and whatever happens in between."""
        for _ in range(number):
            began = self.world.now
            ends = began + INVOCATION
            edges = Edges(self.world.kube, self.world.aws, self.world.another_memory(), self.telemetry, self.seconds)
            scan(edges, self.options, began, f"scan-{began}", lambda ends=ends: ends - self.world.now)  # type: ignore[misc]
            self.seconds(began + 60 - self.world.now)

    def seconds(self, seconds: float) -> None:
        ends = self.world.now + seconds
        while self.world.now < ends:
            self.world.advance(min(1.0, ends - self.world.now))
            self.least_available = min(self.least_available, sum(pod.is_available for pod in self.web_pods()))

    def web_pods(self) -> list[Any]:
        return [pod for pod in self.world.state.pods if pod.name.startswith("web-")]

    def running(self) -> int:
        return sum(pod.is_available for pod in self.web_pods())

    def happened(self, *kinds: Happening) -> list[Entry]:
        return [entry for entry in self.world.journal.of(*kinds) if entry.at > self.start]

    def launched(self) -> int:
        return len(self.happened(Happening.INSTANCE_LAUNCHED))

    def reasons(self) -> set[str]:
        return {notice.reason for notice in self.world.kube.events}
