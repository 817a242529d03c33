"""What must hold of every decision, on small random clusters."""

import msgspec
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from lambda_autoscaler.core.decide import decide
from lambda_autoscaler.core.estimate import WaitingPods, estimate
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.core.model import HOSTNAME_LABEL, ZONE_LABEL, Cluster, HostPort, PodSet, PodShape
from lambda_autoscaler.core.node_state import NodeState
from lambda_autoscaler.core.placement import place_anywhere, place_one_by_one
from lambda_autoscaler.core.simulation import Simulation
from lambda_autoscaler.core.units import format_resource, parse_resource
from tests.build import NOW, cloud, cluster, facts, managed, node, options, rs, shape, spread, term, waiting

APPS = ("web", "db")
KEYS = (HOSTNAME_LABEL, ZONE_LABEL)
few = settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])

amounts = st.integers(0, 12).map(lambda tenth: tenth * 50)
plain_shapes = st.builds(lambda cpu, memory: shape(cpu, memory, controller=rs("plain")), amounts, amounts)


@st.composite
def shapes(draw: st.DrawFn) -> PodShape:
    app = draw(st.sampled_from(APPS))
    key, other = draw(st.sampled_from(KEYS)), draw(st.sampled_from(APPS))
    rule = draw(st.sampled_from(["none", "spread", "affinity", "anti", "port"]))
    return shape(
        draw(amounts),
        draw(amounts),
        labels={"app": app},
        controller=draw(st.sampled_from([None, rs(app)])),
        spread=(spread(key, draw(st.integers(1, 2)), draw(st.integers(1, 3)), app=other),) if rule == "spread" else (),
        affinity=(term(key, app=other),) if rule == "affinity" else (),
        anti_affinity=(term(key, app=other),) if rule == "anti" else (),
        host_ports=(HostPort(80),) if rule == "port" else (),
    )


@st.composite
def simulations(draw: st.DrawFn, of: st.SearchStrategy[PodShape]) -> tuple[Simulation, list[PodShape]]:
    known = draw(st.lists(of, min_size=1, max_size=4))
    simulation = Simulation(known)
    for number in range(draw(st.integers(1, 4))):
        held = [(draw(st.sampled_from(known)), draw(st.integers(1, 2)))] if draw(st.booleans()) else []
        zone = draw(st.sampled_from("ab"))
        simulation.add(facts(1000, 1000, name=f"n{number}", zone=zone, holds=held), draw(st.integers(1, 3)))
    return simulation, known


@st.composite
def clusters(draw: st.DrawFn) -> Cluster:
    groups = []
    for number in range(draw(st.integers(1, 3))):
        zone = draw(st.sampled_from("ab"))
        held = [waiting(draw(shapes()), name=f"held-{number}")] if draw(st.booleans()) else []
        members = [node(f"n{number}", 1000, 1000, zone=zone, holds=held)] if draw(st.booleans()) else []
        maximum = draw(st.integers(1, 6))
        groups.append(managed(f"ng{number}", *members, maximum=maximum, cloud=cloud(1000, 1000, labels={ZONE_LABEL: zone})))
    pending = [waiting(item, draw(st.integers(1, 8)), name=f"p{at}") for at, item in enumerate(draw(st.lists(shapes(), max_size=4)))]
    return cluster(*groups, pending=pending)


def contents(simulation: Simulation, known: list[PodShape]) -> object:
    """All that can be told about a simulation from outside, and the numbers behind it."""
    nodes = sorted(
        (
            state.place.name,
            state.count,
            tuple(state.free),
            sorted((item.key, number) for item, number in state.load.items()),
            repr(state.ports),
        )
        for state in simulation.states
    )
    verdicts = sorted(
        (state.place.name, item.key, repr(simulation.misfit(simulation.needs(item), state)))
        for state in simulation.states
        for item in known
    )
    return nodes, verdicts, simulation.size()


@few
@given(simulations(shapes()), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(1, 3)), max_size=6))
def test_what_is_tried_is_undone(given_simulation: tuple[Simulation, list[PodShape]], steps: list[tuple[int, int, int]]) -> None:
    simulation, known = given_simulation
    before = contents(simulation, known)
    with simulation.attempt():
        for kind, which, number in steps:
            item = known[which % len(known)]
            needs = simulation.needs(item)
            if kind == 0:
                simulation.add(facts(500, 500, name=f"new-{which}", zone="c"), number)
            elif kind == 1 and simulation.states:
                simulation.remove(simulation.states[which % len(simulation.states)])
            elif kind == 2:
                estimate(simulation, facts(1000, 1000, name="e", zone="a"), [WaitingPods(item, number)], 3)
            else:
                place_anywhere(simulation, needs, number)
    assert contents(simulation, known) == before


def _loads(simulation: Simulation, item: PodShape) -> int:
    return sum(state.load.get(item, 0) * state.count for state in simulation.states)


def _ordered(simulation: Simulation) -> list[NodeState]:
    return sorted(simulation.states, key=lambda state: state.turn)


@few
@given(simulations(plain_shapes), st.integers(1, 30), st.integers(0, 3))
def test_placing_in_bulk_is_placing_one_by_one(given_simulation: tuple[Simulation, list[PodShape]], number: int, which: int) -> None:
    simulation, known = given_simulation
    item = known[which % len(known)]
    needs = simulation.needs(item)
    results = []
    for place in (place_anywhere, place_one_by_one):
        with simulation.attempt():
            placed = place(simulation, needs, number, _ordered(simulation))
            free = sorted(tuple(state.free) for state in simulation.states for _ in range(state.count))
            results.append((sum(count for _, count in placed), _loads(simulation, item), free))
    assert results[0][:2] == results[1][:2]


@few
@given(simulations(shapes()), st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(1, 5))
def test_an_estimate_keeps_its_limit_and_helps_more_pods_than_it_adds_nodes(
    given_simulation: tuple[Simulation, list[PodShape]], counts: list[int], limit: int
) -> None:
    simulation, known = given_simulation
    groups = [WaitingPods(item, count, item.controller is None) for item, count in zip(known, counts, strict=False)]
    old = simulation.size()
    found = estimate(simulation, facts(1000, 1000, name="new", zone="a"), groups, limit)
    assert found.nodes <= limit + old
    assert found.nodes <= found.pods
    assert all(found.placed.get(group.shape, 0) <= sum(g.count for g in groups if g.shape is group.shape) for group in groups)


@few
@given(clusters(), st.sampled_from(["least-waste", "most-pods", "least-nodes", "random"]), st.booleans(), st.integers(0, 6))
def test_no_plan_goes_above_a_maximum_or_adds_more_nodes_than_it_helps_pods(
    given_cluster: Cluster, expander: str, balanced: bool, most: int
) -> None:
    given_options = options(expander=(expander,), balance_similar_node_groups=balanced, max_nodes_total=most)
    plan = decide(given_cluster, Memory(), given_options, NOW)
    assert all(item.current < item.target <= item.maximum for item in plan.increases)
    added = sum(item.target - item.current for item in plan.increases)
    assert added <= sum(len(item.pods) for item in plan.pods if item.outcome == "triggered")
    if most:
        assert len(given_cluster.nodes) + added <= max(most, len(given_cluster.nodes))


@few
@given(clusters())
def test_every_waiting_pod_has_exactly_one_outcome(given_cluster: Cluster) -> None:
    plan = decide(given_cluster, Memory(), options(), NOW)
    told = sorted(pod.uid for item in plan.pods for pod in item.pods)
    assert told == sorted(pod.uid for item in given_cluster.pending for pod in item.pods)


@few
@given(clusters(), st.integers(0, 5))
def test_the_same_cluster_gives_the_same_plan_byte_for_byte(given_cluster: Cluster, seed: int) -> None:
    given_options = options(random_seed=seed, expander=("random",))
    first, second = (decide(given_cluster, Memory(), given_options, NOW) for _ in range(2))
    assert msgspec.json.encode(first) == msgspec.json.encode(second)


@few
@given(clusters(), st.randoms(use_true_random=False))
def test_permuting_equal_pods_changes_nothing_but_their_names(given_cluster: Cluster, chance: object) -> None:
    assume(given_cluster.pending)
    permuted = [PodSet(item.shape, tuple(chance.sample(item.pods, len(item.pods)))) for item in given_cluster.pending]  # type: ignore[attr-defined]
    plan, other = (
        decide(msgspec.structs.replace(given_cluster, pending=tuple(p)), Memory(), options(), NOW)
        for p in (given_cluster.pending, permuted)
    )
    assert plan.increases == other.increases
    assert [(item.shape.key, item.outcome, len(item.pods)) for item in plan.pods] == [
        (item.shape.key, item.outcome, len(item.pods)) for item in other.pods
    ]


@few
@given(st.sampled_from(["cpu", "memory", "pods", "example.com/fpga"]), st.integers(0, 2**62))
def test_an_amount_survives_printing_and_parsing(name: str, amount: int) -> None:
    assert parse_resource(name, format_resource(name, amount)) == amount
