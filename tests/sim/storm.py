"""A storm: many spot instances of a large cluster are warned of at the same instant."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

import msgspec

from lambda_autoscaler.app import Edges, scan
from lambda_autoscaler.core.plan import Notice
from lambda_autoscaler.settings import from_flags
from lambda_autoscaler.sim.interruptions import InterruptionPath
from lambda_autoscaler.sim.journal import Happening
from lambda_autoscaler.sim.run import SimTelemetry
from lambda_autoscaler.sim.specification import BudgetSpecification, GroupSpecification
from lambda_autoscaler.sim.world import World
from tests.sim.small_world import pod_spec, specification


class CountingKube:
    """The world's Kubernetes, with its calls counted."""

    def __init__(self, world: World) -> None:
        self._kube = world.kube
        self.calls: Counter[str] = Counter()

    def list(self, plural: str, node: str = "") -> Iterator[bytes]:
        for page in self._kube.list(plural, node):
            self.calls[f"list {plural}{' of one node' if node else ''}"] += 1
            yield page

    def config_map(self, namespace: str, name: str) -> bytes | None:
        self.calls["config map"] += 1
        return self._kube.config_map(namespace, name)

    def write_config_map(self, namespace: str, name: str, manifest: bytes) -> None:
        self.calls["config map"] += 1
        self._kube.write_config_map(namespace, name, manifest)

    def record(self, notices: Sequence[Notice], now: float) -> None:
        self.calls["event"] += len(notices)
        self._kube.record(notices, now)

    def patch_node(self, name: str, patch: bytes) -> None:
        self.calls["patch node"] += 1
        self._kube.patch_node(name, patch)

    def evict(self, namespace: str, pod: str, uid: str, grace_seconds: int) -> None:
        self.calls["evict"] += 1
        self._kube.evict(namespace, pod, uid, grace_seconds)

    def delete_pod(self, namespace: str, pod: str, uid: str, grace_seconds: int) -> None:
        self.calls["delete pod"] += 1
        self._kube.delete_pod(namespace, pod, uid, grace_seconds)

    def delete_node(self, name: str) -> None:
        self.calls["delete node"] += 1
        self._kube.delete_node(name)


class Storm(msgspec.Struct, frozen=True):
    """How a storm went. Times in seconds after the warnings; ``calls`` are Kubernetes API calls by kind, scans included."""

    warned: int
    pods: int
    slowest_mark: float
    last_empty: float
    given_back: int
    lost: int
    running: int
    dead: int
    desired: int
    messages: int
    invocations: int
    calls: dict[str, int]

    @property
    def calls_per_warning(self) -> float:
        return sum(self.calls.values()) / self.warned


def weathered(nodes: int, warned: int, minutes: int = 5) -> Storm:
    """Live through a storm: so many nodes with three pods each in ten groups, so many of them warned of at once."""
    groups = tuple(
        GroupSpecification(
            name=f"spot-{number}",
            minimum=0,
            maximum=nodes,
            desired=nodes // 10,
            instance_types=("m5.xlarge",),
            capacity_type="SPOT",
            self_managed=True,
        )
        for number in range(10)
    )
    made = specification(groups=groups, budgets=(BudgetSpecification(workload="web", minimum_available=nodes),))
    web = msgspec.structs.replace(made.deployments[0], replicas=3 * nodes, pod=pod_spec("1200m"))
    world = World(msgspec.structs.replace(made, deployments=(web,)))
    kube, telemetry = CountingKube(world), SimTelemetry()
    options = from_flags({"cluster-name": "small", "scale-down-enabled": "false"})
    path = InterruptionPath(world, options, telemetry, kube)
    start = world.now
    doomed = [instance.id for group in world.fleet.groups.values() for instance in list(group.instances.values())[: warned // 10]]
    for instance in doomed:
        path.take_back(instance)
    for _ in range(minutes):
        ends = world.now + 60
        edges = Edges(kube, world.aws, world.another_memory(), telemetry, world.advance)
        scan(edges, options, world.now, f"scan-{world.now}", partial(_seconds_until, world, ends - 5))
        world.advance(ends - world.now)
    ended = [entry.at - start for entry in world.journal.of(Happening.INSTANCE_TERMINATED) if entry.subject in doomed]
    metrics = path.lines.metrics
    return Storm(
        warned=len(doomed),
        pods=3 * len(doomed),
        slowest_mark=metrics["interruption_seconds_to_cordon"],
        last_empty=metrics["interruption_seconds_to_empty"],
        given_back=sum(at < 120 for at in ended),
        lost=int(metrics.get("interruption_pods_lost_total", 0)),
        running=sum(pod.is_available for pod in world.state.pods if pod.name.startswith("web-")),
        dead=len(path.dead),
        desired=sum(group.desired for group in world.fleet.groups.values()),
        messages=path.delivered,
        invocations=path.invocations,
        calls=dict(kube.calls),
    )


def _seconds_until(world: World, instant: float) -> float:
    return instant - world.now
