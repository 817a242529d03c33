"""What holds of scale-down whatever the cluster."""

import random

import msgspec
import pytest

from lambda_autoscaler.core.decide import decide
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.core.model import Cluster, Node, PodRef, PodSet, PodShape
from lambda_autoscaler.core.node_state import NodeFacts, NodeState
from lambda_autoscaler.core.plan import Plan
from lambda_autoscaler.core.removal import Removals, simulate_removal
from lambda_autoscaler.core.simulation import Simulation
from tests.build import NOW, cluster, managed, node, options, rs, shape, waiting

SEEDS = range(60)
AT_ONCE = options(scale_down_unneeded_time=0.0, scale_down_delay_after_add=0.0, max_drain_parallelism=100, max_scale_down_parallelism=100)
SIZES = (100, 250, 500, 750)


def random_cluster(seed: int) -> Cluster:
    """Two groups of nodes of 1,000 millicores, some of them empty, with pods of four sizes."""
    chance = random.Random(seed)
    kinds = [shape(size, size, controller=rs("web"), labels={"app": "web"}) for size in SIZES]
    groups = []
    for name in ("a", "b"):
        members = [_node(f"{name}{number}", kinds, chance) for number in range(chance.randint(2, 12))]
        groups.append(managed(name, *members, minimum=chance.randint(0, 3), maximum=20))
    return cluster(*groups, workloads={("ReplicaSet", "default", "web"): 50})


def _node(name: str, kinds: list[PodShape], chance: random.Random) -> Node:
    free = 1000
    held: list[PodSet] = []
    for number in range(chance.randint(0, 4)):
        kind = chance.choice(kinds)
        cpu = kind.request("cpu")
        if cpu <= free:
            free -= cpu
            held.append(waiting(kind, name=f"{name}-{number}"))
    return node(name, 1000, 1000, holds=held)


def planned(seed: int) -> tuple[Cluster, Plan]:
    seen = random_cluster(seed)
    return seen, decide(seen, Memory(), AT_ONCE, NOW)


def moved_pods(seen: Cluster, plan: Plan) -> list[PodSet]:
    going = {removal.node for removal in plan.removals}
    return [pods for member in seen.nodes if member.name in going for pods in member.pods]


def test_some_random_clusters_have_something_to_drain() -> None:
    assert sum(bool(removal.moves) for seed in SEEDS for removal in planned(seed)[1].removals) > len(SEEDS)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_group_goes_below_its_minimum(seed: int) -> None:
    seen, plan = planned(seed)
    for group in seen.groups:
        gone = sum(removal.group == group.id for removal in plan.removals)
        assert gone == 0 or group.desired - gone >= group.minimum


@pytest.mark.parametrize("seed", SEEDS)
def test_the_pods_of_removed_nodes_all_fit_on_those_that_stay(seed: int) -> None:
    seen, plan = planned(seed)
    going = {removal.node for removal in plan.removals}
    free = [
        1000 - sum(pods.shape.request("cpu") * len(pods.pods) for pods in member.pods) for member in seen.nodes if member.name not in going
    ]
    homeless = sorted((pods.shape.request("cpu") for pods in moved_pods(seen, plan) for _ in pods.pods), reverse=True)
    assert fits(homeless, sorted(free, reverse=True))


def fits(pods: list[int], free: list[int]) -> bool:
    """Whether the pods fit into the free room at all: tried out, largest pods first."""
    if not pods:
        return True
    tried: set[int] = set()
    for at, room in enumerate(free):
        if room >= pods[0] and room not in tried:
            tried.add(room)
            if fits(pods[1:], [*free[:at], room - pods[0], *free[at + 1 :]]):
                return True
    return False


@pytest.mark.parametrize("seed", SEEDS)
def test_removals_one_after_the_other_come_to_what_each_comes_to_on_its_own(seed: int) -> None:
    seen = random_cluster(seed)
    (one, states), (other, twins) = simulated(seen), simulated(seen)
    left = set(twins)
    removals = Removals(one, states, {pods.shape for member in seen.nodes for pods in member.pods})
    for member, state, twin in zip(seen.nodes, states, twins, strict=True):
        moved = [PodSet(shape, pods_on(member, shape, number)) for shape, number in state.load.items()]
        came_to = simulate_removal(other, twin, moved, left)
        assert removals.simulate(state, moved) == came_to
        if not came_to[1]:
            left.remove(twin)


def simulated(seen: Cluster) -> tuple[Simulation, list[NodeState]]:
    simulation = Simulation([pods.shape for member in seen.nodes for pods in member.pods])
    facts = (
        NodeFacts(
            member.labels, member.taints, member.allocatable, tuple((pods.shape, len(pods.pods)) for pods in member.pods), member.name
        )
        for member in seen.nodes
    )
    return simulation, [simulation.add(item) for item in facts]


def pods_on(member: Node, kind: PodShape, number: int) -> tuple[PodRef, ...]:
    return tuple(PodRef(f"{member.name}-{kind.key}-{index}") for index in range(number))


@pytest.mark.parametrize("seed", SEEDS)
def test_what_a_removal_says_it_moves_is_on_the_node(seed: int) -> None:
    seen, plan = planned(seed)
    held = {member.name: {f"{pods.shape.namespace}/{pod.name}" for pods in member.pods for pod in pods.pods} for member in seen.nodes}
    for removal in plan.removals:
        assert set(removal.moves) == held[removal.node]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_cluster_is_decided_alike_every_time(seed: int) -> None:
    seen = random_cluster(seed)
    first, second = (decide(seen, Memory(), AT_ONCE, NOW) for _ in range(2))
    assert first.removals == second.removals
    assert msgspec.structs.asdict(first)["nodes"] == msgspec.structs.asdict(second)["nodes"]
