"""Does a pod run on a node: one rule after the other, in the scheduler's order."""

import pytest

from lambda_autoscaler.core.kubernetes import Toleration
from lambda_autoscaler.core.model import AffinityTerm, HostPort, NodeTerm, PodShape, Requirement, VolumeNeed
from lambda_autoscaler.core.node_state import NodeFacts
from lambda_autoscaler.core.placement import place_anywhere
from lambda_autoscaler.core.plan import Misfit, Rule
from lambda_autoscaler.core.simulation import Simulation
from tests.build import facts, selector, shape, spread, taint, term

ZONE = "topology.kubernetes.io/zone"
NODE = facts(name="n1", zone="a", labels={"disk": "ssd"}, more={"nvidia.com/gpu": 1, "ephemeral-storage": 100})


def verdict(pod: PodShape, *nodes: NodeFacts, others: tuple[PodShape, ...] = ()) -> Misfit | None:
    """Why the pod does not run on the last of the nodes."""
    placed = [item for node in nodes for item, _ in node.pods]
    simulation = Simulation([pod, *placed, *others])
    states = [simulation.add(node) for node in nodes]
    return simulation.misfit(simulation.needs(pod), states[-1])


@pytest.mark.parametrize(
    ("pod", "rule", "named"),
    [
        (shape(1001, 0), Rule.RESOURCE, "cpu"),
        (shape(2000, 2000), Rule.RESOURCE, "cpu,memory"),
        (shape(1, 1, more={"nvidia.com/gpu": 2}), Rule.RESOURCE, "nvidia.com/gpu"),
        (shape(1, 1, more={"hugepages-2Mi": 1}), Rule.RESOURCE, "hugepages-2Mi"),
        (shape(1, 1, more={"ephemeral-storage": 101}), Rule.RESOURCE, "ephemeral-storage"),
        (shape(node_selector=(("disk", "hdd"),)), Rule.NODE_AFFINITY, ""),
        (shape(node_terms=(NodeTerm((Requirement("disk", "In", ("hdd",)),)),)), Rule.NODE_AFFINITY, ""),
        (shape(node_terms=(NodeTerm(names=(Requirement("metadata.name", "In", ("n2",)),)),)), Rule.NODE_AFFINITY, ""),
        (shape(node_selector=(("kubernetes.io/hostname", "n2"),)), Rule.NODE_AFFINITY, ""),
        (shape(volumes=VolumeNeed(fault="lost")), Rule.VOLUME, "lost"),
        (
            shape(volumes=VolumeNeed(terms=((NodeTerm((Requirement(ZONE, "In", ("b",)),)),),))),
            Rule.VOLUME,
            "node(s) didn't match PersistentVolume's node affinity",
        ),
        (shape(spread=(spread("rack"),)), Rule.SPREAD_LABEL, "rack"),
        (shape(affinity=(term(ZONE, app="db"),)), Rule.AFFINITY, ZONE),
        (shape(labels={"app": "web"}, affinity=(term("rack", app="web"),)), Rule.AFFINITY, "rack"),
    ],
)
def test_a_refusal_names_the_rule_and_the_object(pod: PodShape, rule: Rule, named: str) -> None:
    assert verdict(pod, NODE) == Misfit(rule, named)


@pytest.mark.parametrize(
    "pod",
    [
        shape(1000, 1000, more={"nvidia.com/gpu": 1, "ephemeral-storage": 100}),
        shape(node_selector=(("disk", "ssd"),)),
        shape(node_selector=(("kubernetes.io/hostname", "n1"),)),
        shape(node_terms=(NodeTerm(names=(Requirement("metadata.name", "In", ("n1",)),)),)),
        shape(volumes=VolumeNeed(terms=((NodeTerm((Requirement(ZONE, "In", ("a",)),)),),))),
        shape(labels={"app": "web"}, affinity=(term(ZONE, app="web"),)),
        shape(labels={"app": "web"}, spread=(spread(),)),
    ],
)
def test_a_pod_whose_rules_all_hold_runs(pod: PodShape) -> None:
    assert verdict(pod, NODE) is None


def test_the_number_of_pods_is_a_resource() -> None:
    assert verdict(shape(), facts(pods=1, holds=[(shape(), 1)])) == Misfit(Rule.RESOURCE, "pods")


def test_a_cordoned_node_takes_only_pods_that_tolerate_it_and_is_never_searched() -> None:
    cordoned = facts(unschedulable=True)
    tolerant = shape(tolerations=(Toleration(operator="Exists"),))
    assert verdict(shape(), cordoned) == Misfit(Rule.UNSCHEDULABLE)
    assert verdict(tolerant, cordoned) is None
    simulation = Simulation([tolerant])
    simulation.add(cordoned)
    assert place_anywhere(simulation, simulation.needs(tolerant), 1) == []


def test_a_taint_that_is_not_tolerated_is_named() -> None:
    tainted = facts(taints=[taint("dedicated", value="gpu")])
    assert verdict(shape(), tainted) == Misfit(Rule.TAINT, "dedicated=gpu:NoSchedule")
    assert verdict(shape(tolerations=(Toleration(key="dedicated", operator="Exists"),)), tainted) is None


@pytest.mark.parametrize(
    ("port", "free"),
    [
        (HostPort(80), False),
        (HostPort(80, "TCP", "10.0.0.1"), False),
        (HostPort(80, "TCP", "10.0.0.2"), True),
        (HostPort(80, "UDP", "10.0.0.1"), True),
        (HostPort(81), True),
    ],
)
def test_host_ports_collide_by_number_protocol_and_address(port: HostPort, free: bool) -> None:
    taken = facts(holds=[(shape(host_ports=(HostPort(80, "TCP", "10.0.0.1"),)), 1)])
    assert (verdict(shape(host_ports=(port,)), taken) is None) is free


def test_a_removed_pod_frees_its_host_port() -> None:
    one, other = shape(host_ports=(HostPort(80),)), shape(host_ports=(HostPort(81),))
    simulation = Simulation([one, other])
    state = simulation.add(facts(holds=[(one, 1), (other, 1)]))
    simulation.place(simulation.needs(one), state, -1)
    assert simulation.misfit(simulation.needs(one), state) is None
    assert simulation.misfit(simulation.needs(other), state) == Misfit(Rule.HOST_PORT, "81")


def test_a_claim_for_one_pod_only_is_refused_to_the_second() -> None:
    exclusive = shape(volumes=VolumeNeed(exclusive=("default/data",)))
    user = facts(name="n1", holds=[(exclusive, 1)])
    refused = verdict(exclusive, user, facts(name="n2"))
    assert refused is not None
    assert refused.rule is Rule.VOLUME
    assert "ReadWriteOncePod" in refused.object


def test_a_node_attaches_only_so_many_volumes_of_a_driver() -> None:
    disk = shape(volumes=VolumeNeed(attachments=(("ebs", 1),)))
    assert verdict(disk, facts(attach_limits={"ebs": 1}, holds=[(disk, 1)])) == Misfit(Rule.VOLUME_LIMIT)
    assert verdict(disk, facts(holds=[(disk, 30)])) is None


def test_pods_keep_off_the_pods_they_name_and_off_those_that_name_them() -> None:
    web, shy = shape(labels={"app": "web"}), shape(labels={"app": "shy"}, anti_affinity=(term(ZONE, app="web"),))
    elsewhere = facts(name="n2", zone="a")
    assert verdict(shy, facts(name="n1", zone="a", holds=[(web, 1)]), elsewhere) == Misfit(Rule.ANTI_AFFINITY, ZONE)
    assert verdict(web, facts(name="n1", zone="a", holds=[(shy, 1)]), elsewhere) == Misfit(Rule.EXISTING_ANTI_AFFINITY, ZONE)
    assert verdict(web, facts(name="n1", zone="a", holds=[(shy, 1)]), facts(name="n2", zone="b")) is None


def test_affinity_looks_at_the_namespaces_of_its_term() -> None:
    db = shape(labels={"app": "db"}, namespace="data")
    everywhere, here = (AffinityTerm(ZONE, selector(namespaces, app="db")) for namespaces in (None, ("default",)))
    host = facts(name="n1", zone="a", holds=[(db, 1)])
    assert verdict(shape(affinity=(everywhere,)), host) is None
    assert verdict(shape(affinity=(here,)), host) == Misfit(Rule.AFFINITY, ZONE)


def test_all_affinity_terms_must_meet_the_same_pods() -> None:
    both = shape(affinity=(term(ZONE, app="db"), term("kubernetes.io/hostname", app="db")))
    db = shape(labels={"app": "db"})
    assert verdict(both, facts(name="n1", zone="a", holds=[(db, 1)]), facts(name="n2", zone="a")) == Misfit(Rule.AFFINITY, ZONE)
    assert verdict(both, facts(name="n1", zone="a", holds=[(db, 1)])) is None


def test_the_second_pod_of_a_group_goes_where_the_first_is() -> None:
    web = shape(labels={"app": "web"}, affinity=(term(ZONE, app="web"),))
    first = facts(name="n1", zone="a", holds=[(web, 1)])
    assert verdict(web, first, facts(name="n2", zone="b")) == Misfit(Rule.AFFINITY, ZONE)
    assert verdict(web, first, facts(name="n2", zone="a")) is None


def web(*constraints: object, **fields: object) -> PodShape:
    return shape(labels={"app": "web"}, spread=constraints, **fields)


def test_spread_counts_pods_per_domain_against_the_emptiest() -> None:
    pod = web(spread(ZONE, max_skew=1))
    full, empty = facts(name="n1", zone="a", holds=[(pod, 1)]), facts(name="n2", zone="b")
    assert verdict(pod, empty, full) == Misfit(Rule.SPREAD, ZONE)
    assert verdict(pod, full, empty) is None


def test_with_fewer_domains_than_asked_for_the_emptiest_counts_as_empty() -> None:
    pod = web(spread(ZONE, max_skew=1, min_domains=2))
    assert verdict(pod, facts(name="n1", zone="a", holds=[(pod, 1)])) == Misfit(Rule.SPREAD, ZONE)
    open_ended = web(spread(ZONE, max_skew=1))
    assert verdict(open_ended, facts(name="n1", zone="a", holds=[(open_ended, 1)])) is None


def test_nodes_the_pod_may_not_use_are_no_domains_unless_the_policy_says_so() -> None:
    empty = facts(name="n2", zone="b")
    honouring = web(spread(ZONE), node_selector=(("pool", "x"),))
    ignoring = web(spread(ZONE, honor_affinity=False), node_selector=(("pool", "x"),))
    for pod, answer in ((honouring, None), (ignoring, Misfit(Rule.SPREAD, ZONE))):
        assert verdict(pod, empty, facts(name="n1", zone="a", labels={"pool": "x"}, holds=[(pod, 1)])) == answer


def test_tainted_nodes_are_domains_unless_the_policy_says_otherwise() -> None:
    tainted = facts(name="n2", zone="b", taints=[taint("dedicated")])
    for pod, answer in ((web(spread(ZONE)), Misfit(Rule.SPREAD, ZONE)), (web(spread(ZONE, honor_taints=True)), None)):
        assert verdict(pod, tainted, facts(name="n1", zone="a", holds=[(pod, 1)])) == answer


def test_terminating_pods_do_not_count_for_a_spread() -> None:
    leaving, pod = shape(labels={"app": "web"}, terminating=True), web(spread(ZONE))
    assert verdict(pod, facts(name="n2", zone="b"), facts(name="n1", zone="a", holds=[(leaving, 3)])) is None


def test_a_pod_that_its_own_spread_does_not_select_adds_nothing_to_the_skew() -> None:
    counted, other = shape(labels={"app": "web"}), shape(labels={"app": "x"}, spread=(spread(ZONE),))
    host = facts(name="n1", zone="a", holds=[(counted, 1)])
    assert verdict(other, facts(name="n2", zone="b"), host) is None


def test_a_spread_over_hostnames_and_zones_must_hold_for_both() -> None:
    pod = web(spread(ZONE, max_skew=5), spread(max_skew=1))
    busy, idle = facts(name="n1", zone="a", holds=[(pod, 1)]), facts(name="n2", zone="a")
    assert verdict(pod, idle, busy) == Misfit(Rule.SPREAD, "kubernetes.io/hostname")
    assert verdict(pod, busy, idle) is None


def test_removing_a_node_takes_its_domain_and_pods_away() -> None:
    pod = web(spread(ZONE))
    simulation = Simulation([pod])
    busy = simulation.add(facts(name="n1", zone="a", holds=[(pod, 1)]))
    idle = simulation.add(facts(name="n2", zone="b"))
    assert simulation.misfit(simulation.needs(pod), busy) == Misfit(Rule.SPREAD, ZONE)
    simulation.remove(idle)
    assert simulation.misfit(simulation.needs(pod), busy) is None
    assert simulation.size() == 1


def test_a_pod_that_names_its_node_goes_there_and_nowhere_else() -> None:
    named = shape(node_terms=(NodeTerm(names=(Requirement("metadata.name", "In", ("n2",)),)),))
    either = shape(node_terms=(*(named.node_terms or ()), NodeTerm((Requirement("disk", "Exists"),))))
    simulation = Simulation([named, either])
    for name in ("n1", "n2", "n3"):
        simulation.add(facts(name=name, labels={"disk": "ssd"} if name == "n3" else {}))
    for pod, names in ((named, ["n2"]), (either, ["n2", "n3"])):
        with simulation.attempt():
            placed = place_anywhere(simulation, simulation.needs(pod), 9)
            assert sorted({state.place.name for state, _ in placed}) == names


def test_what_an_attempt_keeps_stays_and_an_outer_attempt_still_undoes_it() -> None:
    pod = shape(100, 100)
    simulation = Simulation([pod])
    state = simulation.add(facts())
    with simulation.attempt():
        with simulation.attempt() as inner:
            simulation.place(simulation.needs(pod), state)
            inner.keep()
        assert state.load == {pod: 1}
    assert state.load == {}
