"""How many new nodes a set of pods needs, with the cases of the peer's own estimator."""

from collections.abc import Sequence

import pytest

from lambda_autoscaler.core.estimate import Estimate, WaitingPods, estimate, node_limit, order_by_size
from lambda_autoscaler.core.model import HostPort, PodShape
from lambda_autoscaler.core.node_state import NodeFacts
from lambda_autoscaler.core.placement import place_anywhere
from lambda_autoscaler.core.simulation import Simulation
from tests.build import MIB, facts, rs, shape, spread, term

ZONE = "topology.kubernetes.io/zone"


def estimatee(cpu: int, memory: int, **fields: object) -> PodShape:
    return shape(cpu, memory, labels={"app": "web"}, controller=rs(f"rs-{cpu}"), **fields)


def packed(template: NodeFacts, groups: Sequence[WaitingPods], limit: int = 0, *, old: NodeFacts | None = None) -> Estimate:
    simulation = Simulation([group.shape for group in groups])
    simulation.add(old or facts(100, 100 * MIB, pods=10, name="oldnode", zone="zone-jupiter"))
    return estimate(simulation, template, groups, limit)


def mars(cpu: int, memory: int) -> NodeFacts:
    return facts(cpu, memory * MIB, pods=10, name="new", zone="zone-mars")


@pytest.mark.parametrize(
    ("template", "groups", "limit", "nodes", "pods"),
    [
        (mars(1000, 2000), [WaitingPods(estimatee(350, 1000), 10)], 0, 5, 10),
        (mars(10_000, 20_000), [WaitingPods(estimatee(10, 100), 20)], 0, 2, 20),
        (mars(1000, 5000), [WaitingPods(estimatee(200, 1000, host_ports=(HostPort(5555),)), 8)], 0, 8, 8),
        (mars(1000, 5000), [WaitingPods(estimatee(500, 1000), 20)], 5, 5, 10),
        (mars(1000, 5000), [WaitingPods(estimatee(50, 1000), 10), WaitingPods(estimatee(500, 1000), 10)], 5, 5, 10),
        (mars(1000, 5000), [WaitingPods(estimatee(200, 200, spread=(spread(max_skew=2),)), 8)], 0, 4, 8),
        (mars(1000, 5000), [WaitingPods(estimatee(20, 100, spread=(spread(ZONE, max_skew=2),)), 8)], 0, 1, 2),
        (mars(1000, 5000), [WaitingPods(estimatee(20, 100, spread=(spread(min_domains=3),)), 12)], 0, 3, 12),
    ],
    ids=["by cpu", "by pod count", "host port", "limit", "large first", "hostname spread", "zone spread", "minimum of domains"],
)
def test_binpacking(template: NodeFacts, groups: list[WaitingPods], limit: int, nodes: int, pods: int) -> None:
    found = packed(template, groups, limit)
    assert (found.nodes, found.pods) == (nodes, pods)


def test_when_the_limit_cuts_off_it_is_the_large_pods_that_are_helped() -> None:
    small, large = estimatee(50, 1000), estimatee(500, 1000)
    found = packed(mars(1000, 5000), [WaitingPods(small, 10), WaitingPods(large, 10)], 5)
    assert dict(found.placed) == {large: 10}


def test_fifty_thousand_pods_are_packed_as_the_peer_packs_them() -> None:
    groups = [WaitingPods(shape(50, 100), 50_000), WaitingPods(shape(95, 190), 1000)]
    found = packed(facts(1000, 5000 * MIB, pods=100, name="new"), groups, 3000)
    assert (found.nodes, found.pods) == (2595, 51_000)


def test_pods_that_keep_off_each_other_get_a_node_each() -> None:
    apart = estimatee(100, 100, anti_affinity=(term(app="web"),))
    assert packed(mars(1000, 5000), [WaitingPods(apart, 6)]).nodes == 6
    assert packed(mars(1000, 5000), [WaitingPods(apart, 6, alone=True)]).nodes == 6
    assert packed(mars(1000, 5000), [WaitingPods(apart, 6)], 4).pods == 4


def test_pods_that_keep_off_each_other_by_zone_stop_after_one_node_of_the_zone() -> None:
    apart = estimatee(100, 100, anti_affinity=(term(ZONE, app="web"),))
    found = packed(mars(1000, 5000), [WaitingPods(apart, 6)])
    assert (found.nodes, found.pods) == (1, 1)


def test_an_empty_node_that_helped_nobody_stops_further_growth_until_it_is_used() -> None:
    never, neither, small = estimatee(3000, 1), estimatee(2000, 1), estimatee(100, 100)
    found = packed(mars(1000, 5000), [WaitingPods(never, 3), WaitingPods(neither, 3), WaitingPods(small, 12)], 2)
    assert (found.nodes, found.pods) == (2, 12)


def test_ownerless_pods_may_go_back_to_older_nodes_when_the_spread_evens_out() -> None:
    alone = shape(100, 100, labels={"app": "web"}, spread=(spread(max_skew=1),))
    found = packed(mars(1000, 5000), [WaitingPods(alone, 7, alone=True)])
    assert found.pods == 7


def test_the_pods_of_the_template_leave_less_room_on_every_new_node() -> None:
    agent = shape(300, 0)
    template = facts(1000, 5000 * MIB, name="new", holds=[(agent, 1)])
    simulation = Simulation([agent, web := shape(350, 100)])
    assert estimate(simulation, template, [WaitingPods(web, 4)], 0).nodes == 2


def test_an_estimate_leaves_the_cluster_as_it_was() -> None:
    web = estimatee(20, 100, spread=(spread(min_domains=3),))
    simulation = Simulation([web])
    old = simulation.add(facts(100, 100 * MIB, name="old"))
    estimate(simulation, mars(1000, 5000), [WaitingPods(web, 12)], 0)
    assert simulation.states == [old]
    assert (old.count, old.load, simulation.size()) == (1, {}, 1)


def test_the_largest_pods_come_first_whatever_the_order_of_arrival() -> None:
    one, two, three = shape(1, 1), shape(2, 1), shape(2, 100)
    allocatable = {"cpu": 4, "memory": 600 * MIB}
    for order in ([one, two, three], [three, one, two], [two, three, one]):
        found = order_by_size([WaitingPods(item, 1) for item in order], allocatable)
        assert [group.shape for group in found] == [three, two, one]


def test_a_resource_the_node_lacks_does_not_count_for_the_order() -> None:
    first, second = WaitingPods(shape(1, 900), 1), WaitingPods(shape(2, 1), 1)
    assert order_by_size([first, second], {"cpu": 4}) == [second, first]


@pytest.mark.parametrize(
    ("limits", "answer"),
    [((-10, 10, 0), -1), ((-10, 0, 0), -1), ((0, 0, 0), 0), ((0, 10, 0), 10), ((5, 10, 0), 5), ((1000, 67, 5), 5), ((1000, -1, 5), -1)],
)
def test_the_smallest_limit_counts_and_zero_is_none(limits: tuple[int, int, int], answer: int) -> None:
    assert node_limit(*limits) == answer


def test_bulk_placement_spreads_equal_pods_over_equal_nodes() -> None:
    web = shape(100, 100)
    simulation = Simulation([web])
    simulation.add(facts(1000, 1000), 3)
    simulation.add(facts(150, 1000))
    placed = place_anywhere(simulation, simulation.needs(web), 9)
    assert sum(number for _, number in placed) == 9
    loads = sorted(number for state in simulation.states for number in [state.load.get(web, 0)] * state.count)
    assert loads == [1, 2, 3, 3]
