"""A plan is feasible: once its nodes are there, the real scheduler binds every pod that the plan says it helps.

Pending pods come in families of equal pods, each with node groups of its own: the scheduler places pods one by one and never moves them, so
that families of different size on the same nodes might leave holes that no plan can foresee. The nodes are made as each group's template.
"""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from lambda_autoscaler.core.amazon import AutoScalingGroup, Instance
from lambda_autoscaler.core.decide import decide
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.core.observe import build_cluster
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.plan import Plan
from tests.cluster.binaries import Binaries
from tests.cluster.control_plane import ControlPlane, Parts
from tests.cluster.random_cluster import HOSTNAME, ZONE, ZONES
from tests.cluster.scheduling import Api, Manifest
from tests.cluster.waiting import wait_for

pytestmark = pytest.mark.control_plane

OPTIONS = Options(cluster_name="feasible", salvo_scale_up=True, scale_down_enabled=False)
SEEDS = (1, 2, 3, 4)
ROUNDS = 6
MAX_SIZE = 8
STABLE_SECONDS = 300.0
KINDS = ("plain", "over zones", "over hostnames", "apart", "together in a zone", "host port")


@dataclass
class Group:
    """A node group of one zone; ``kind`` names the family of pods that may use it. Its first node is full."""

    kind: str
    zone: str
    cores: int
    tainted: bool
    nodes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.kind.replace(' ', '-')}-{self.zone[-1]}"

    def add(self) -> Manifest:
        """One more node of the group."""
        name = f"{self.name}-{len(self.nodes)}"
        self.nodes.append(name)
        amounts = {"cpu": str(self.cores), "memory": "16Gi", "pods": "20"}
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": _ago(STABLE_SECONDS)}
        labels = {HOSTNAME: name, ZONE: self.zone, "family": self.kind.replace(" ", "-")}
        taints = [{"key": "family", "value": "any", "effect": "NoSchedule"}] if self.tainted else []
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": labels},
            "spec": {"providerID": f"aws:///{self.zone}/i-{name}", "taints": taints},
            "status": {"capacity": amounts, "allocatable": amounts, "conditions": [ready]},
        }

    def described(self) -> AutoScalingGroup:
        """The group as AWS describes it."""
        instances = [Instance(f"i-{name}", self.zone, "InService") for name in self.nodes]
        return AutoScalingGroup(self.name, 0, MAX_SIZE, len(self.nodes), availability_zones=[self.zone], instances=instances)


def _ago(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(_now() - seconds))


def _now() -> float:
    return time.time()  # noqa: TID251 - the API server's clock is this machine's


def groups(choose: random.Random) -> list[Group]:
    """A group in each zone for each family, of one size per family."""
    found = []
    for kind in KINDS:
        cores, tainted = choose.choice((2, 4, 8)), choose.random() < 0.4
        found += [Group(kind, zone, cores, tainted) for zone in ZONES]
    return found


def filler(group: Group) -> Manifest:
    """A pod that leaves nothing of the group's first node."""
    name = group.nodes[0]
    container = {"name": "main", "image": "app", "resources": {"requests": {"cpu": str(group.cores)}}}
    metadata = {"name": f"filler-{name}", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"nodeName": name, "containers": [container]}}


def family(kind: str, choose: random.Random) -> list[Manifest]:
    """Equal pods of one controller, with the constraint that the kind is named after."""
    app = kind.replace(" ", "-")
    selector = {"matchLabels": {"app": app}}
    spec: dict[str, Any] = {
        "nodeSelector": {"family": app},
        "tolerations": [{"key": "family", "operator": "Exists"}],
        "containers": [{"name": "main", "image": "app", "resources": {"requests": {"cpu": choose.choice(("300m", "700m", "1"))}}}],
    }
    if kind.startswith("over"):
        key = ZONE if kind == "over zones" else HOSTNAME
        constraint = {"maxSkew": choose.randint(1, 2), "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector}
        spec["topologySpreadConstraints"] = [constraint]
    if kind in ("apart", "together in a zone"):
        rule, key = ("podAntiAffinity", HOSTNAME) if kind == "apart" else ("podAffinity", ZONE)
        term = {"labelSelector": selector, "topologyKey": key}
        spec["affinity"] = {rule: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    if kind == "host port":
        spec["containers"][0]["ports"] = [{"containerPort": 80, "hostPort": 8080}]
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": app, "uid": f"uid-{app}", "controller": True}
    metadata = {"namespace": "default", "labels": {"app": app}, "ownerReferences": [owner]}
    return [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {**metadata, "name": f"{app}-{number}"}, "spec": spec}
        for number in range(choose.randint(2, 9))
    ]


class Story:
    """One cluster that grows by its plans until they have nothing more to add."""

    def __init__(self, api: Api, seed: int) -> None:
        choose = random.Random(seed)
        self._api = api
        self.groups = groups(choose)
        self._nodes = [group.add() for group in self.groups]
        self._pods = [filler(group) for group in self.groups]
        for manifest in (*self._nodes, *self._pods):
            api.create(manifest)
        self.pending = [pod for kind in KINDS for pod in family(kind, choose)]
        for pod in self.pending:
            api.create(pod)
        for pod in self.pending:
            assert api.verdict(pod).node == "", "nothing is free in the beginning"

    def plan(self) -> Plan:
        observed = self._api.observe([], [group.described() for group in self.groups])
        assert observed.faults == []
        return decide(build_cluster(observed, OPTIONS), Memory(), OPTIONS, _now() + 60.0)

    def carry_out(self, plan: Plan) -> None:
        by_name = {group.name: group for group in self.groups}
        for increase in plan.increases:
            assert increase.target <= MAX_SIZE
            for _ in range(increase.target - increase.current):
                self._nodes.append(by_name[increase.group].add())
                self._api.create(self._nodes[-1])

    def unbound(self) -> set[str]:
        return {pod["metadata"]["name"] for pod in self.pending if not self._api.read(pod)["spec"].get("nodeName")}

    def end(self) -> None:
        for manifest in (*self.pending, *self._pods, *self._nodes):
            self._api.delete(manifest)


@pytest.fixture(scope="module")
def api(binaries: Binaries) -> Iterator[Api]:
    with ControlPlane(binaries, parts=Parts(controllers=False, kubelets=False)) as running:
        yield Api(running)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_scheduler_binds_every_pod_that_a_plan_helps(api: Api, seed: int) -> None:
    story = Story(api, seed)
    everybody: set[str] = set()
    for _ in range(ROUNDS):
        plan = story.plan()
        if not plan.increases:
            break
        helped = {pod.name for item in plan.pods if item.outcome == "triggered" for pod in item.pods}
        assert sum(increase.target - increase.current for increase in plan.increases) <= len(helped)
        story.carry_out(plan)
        everybody |= helped
        wait_for("the helped pods to be bound", lambda helped=helped: helped & story.unbound(), lambda left: not left, 30.0)  # type: ignore[misc]
    else:
        pytest.fail(f"{ROUNDS} plans, and there is still something to add")
    story.end()
    assert len(everybody) > len(story.pending) / 2, "the plans were of use"
