import msgspec
import pytest

from lambda_autoscaler import questions
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.ports import BadInput, Conflict, NotFound, Refused, Throttled
from lambda_autoscaler.sim.journal import Happening
from lambda_autoscaler.sim.scenario import tutorial
from lambda_autoscaler.sim.specification import BudgetSpecification, Pace
from lambda_autoscaler.sim.world import World
from tests.sim.small_world import group_name, nodes, pod_spec, pods, running, specification, with_group


def evict(world: World, index: int = 0) -> None:
    pod = pods(world)[index]
    world.kube.evict("default", pod.metadata.name, pod.metadata.uid, 30)


def described(world: World) -> dict[str, object]:
    page = next(iter(world.aws.groups()))
    group: dict[str, object] = msgspec.json.decode(page)["AutoScalingGroups"][0]
    return group


def test_what_is_there_at_the_start_is_settled() -> None:
    world = World(specification())
    assert running(world) == 2
    assert nodes(world) == ["ip-10-0-0-1.ec2.internal"]


def test_pods_that_fit_nowhere_are_marked_unschedulable_with_the_schedulers_sentence() -> None:
    world = World(specification())
    world.scale("default", "web", 5)
    world.advance(1)
    refused = [pod for pod in pods(world) if not pod.spec.node_name]
    conditions = [condition for pod in refused for condition in pod.status.conditions or ()]
    assert [(item.type, item.status, item.reason) for item in conditions] == [("PodScheduled", "False", "Unschedulable")] * 2
    messages = {pod.refusal for pod in world.state.pods.waiting.values()}
    assert messages == {"0/1 nodes are available: 1 Insufficient cpu."}


def test_desired_capacity_becomes_a_ready_node_after_launch_registration_and_boot() -> None:
    world = World(specification())
    world.aws.set_desired_capacity(group_name(world), 2)
    world.advance(9)
    assert len(described(world)["Instances"]) == 1  # type: ignore[arg-type]
    world.advance(1)
    assert [item["LifecycleState"] for item in described(world)["Instances"]] == ["InService", "Pending"]  # type: ignore[attr-defined]
    world.advance(19)
    assert len(nodes(world)) == 1
    world.advance(1)
    assert len(nodes(world)) == 2
    assert [entry.kind for entry in world.journal if entry.at >= world.specification.start] == [
        Happening.CAPACITY_SET,
        Happening.INSTANCE_LAUNCHED,
        Happening.NODE_REGISTERED,
    ]


def test_a_node_takes_no_ordinary_pod_before_it_is_ready() -> None:
    world = World(specification())
    world.scale("default", "web", 4)
    world.aws.set_desired_capacity(group_name(world), 2)
    world.advance(34)
    assert running(world) == 3
    world.advance(1 + 3)
    assert running(world) == 4


def test_every_node_gets_the_pods_of_the_daemonsets_that_suit_it() -> None:
    world = World(specification())
    world.aws.set_desired_capacity(group_name(world), 3)
    world.advance(60)
    assert sorted(pod.spec.node_name for pod in pods(world, "aws-node")) == sorted(nodes(world))


def test_a_daemonset_keeps_off_nodes_whose_taint_it_does_not_tolerate() -> None:
    tainted = with_group(taints=({"key": "team", "value": "ml", "effect": "NoSchedule"},))
    plain = msgspec.structs.replace(tainted.daemon_sets[0], pod=pod_spec("50m"))
    assert pods(World(msgspec.structs.replace(tainted, daemon_sets=(plain,))), "aws-node") == []


def test_a_launch_without_capacity_fails_leaves_an_activity_and_is_retried() -> None:
    world = World(with_group(launchable=1))
    group = group_name(world)
    world.aws.set_desired_capacity(group, 3)
    world.advance(15)
    activities = msgspec.json.decode(world.aws.describe(questions.Activities(group)) or b"")["Activities"]
    assert [item["StatusCode"] for item in activities] == ["Failed", "Successful"]
    assert activities[0]["StatusMessage"].startswith("InsufficientInstanceCapacity")
    world.fleet.groups[group].launchable = 1
    world.advance(60)
    assert len(described(world)["Instances"]) == 3  # type: ignore[arg-type]


def test_a_group_refuses_sizes_outside_its_limits_and_stays_as_it_is() -> None:
    world = World(specification())
    with pytest.raises(Refused, match="above max value 10"):
        world.aws.set_desired_capacity(group_name(world), 11)
    with pytest.raises(Refused, match="not found"):
        world.aws.set_desired_capacity("another", 1)
    world.advance(60)
    assert (described(world)["DesiredCapacity"], world.aws.writes) == (1, 0)


def test_lowering_desired_capacity_calls_launches_off() -> None:
    world = World(specification())
    world.aws.set_desired_capacity(group_name(world), 3)
    world.advance(5)
    world.aws.set_desired_capacity(group_name(world), 1)
    world.advance(60)
    assert len(described(world)["Instances"]) == 1  # type: ignore[arg-type]


def test_a_terminated_instance_takes_its_node_and_its_pods_are_made_again() -> None:
    world = World(with_group(desired=2))
    instance = next(iter(world.fleet.groups[group_name(world)].instances.values()))
    world.aws.terminate(instance.id)
    world.advance(40)
    assert instance.node not in nodes(world)
    assert running(world) == 2
    assert described(world)["DesiredCapacity"] == 1
    with pytest.raises(Refused, match="desiredSize equals minSize"):
        world.aws.terminate(next(iter(world.fleet.groups[group_name(world)].instances)))


def test_an_instance_that_ec2_takes_away_is_replaced() -> None:
    world = World(specification())
    instance = next(iter(world.fleet.groups[group_name(world)].instances))
    world.fleet.kill(instance)
    world.advance(60)
    assert len(nodes(world)) == 1
    assert described(world)["DesiredCapacity"] == 1
    assert running(world) == 2


def test_an_evicted_pod_ends_and_is_made_again() -> None:
    world = World(specification())
    before = {pod.metadata.name for pod in pods(world)}
    evict(world)
    assert [pod.metadata.deletion_timestamp is not None for pod in pods(world)] == [True, False]
    world.advance(10)
    assert running(world) == 2
    assert len(before & {pod.metadata.name for pod in pods(world)}) == 1


def test_evictions_respect_the_disruption_budget_and_go_on_when_pods_are_back() -> None:
    world = World(specification(budgets=(BudgetSpecification(workload="web", minimum_available=1),)))
    evict(world)
    with pytest.raises(Throttled, match="disruption budget web"):
        evict(world, 1)
    world.advance(10)
    evict(world)


def test_an_eviction_of_a_pod_that_is_gone_or_was_replaced_is_not_found() -> None:
    world = World(specification())
    with pytest.raises(NotFound):
        world.kube.evict("default", "nobody", "", 30)
    with pytest.raises(NotFound):
        world.kube.evict("default", pods(world)[0].metadata.name, "another uid", 30)


def test_a_cordoned_node_takes_no_pods() -> None:
    world = World(specification())
    world.kube.patch_node(nodes(world)[0], b'{"spec":{"unschedulable":true}}')
    world.scale("default", "web", 3)
    world.advance(10)
    assert running(world) == 2


def test_a_patch_on_an_older_version_of_a_node_is_a_conflict() -> None:
    world = World(specification())
    version = world.state.nodes[nodes(world)[0]]["metadata"]["resourceVersion"]
    patch = msgspec.json.encode({"metadata": {"resourceVersion": version}, "spec": {"unschedulable": True}})
    world.kube.patch_node(nodes(world)[0], patch)
    with pytest.raises(Conflict):
        world.kube.patch_node(nodes(world)[0], patch)


def test_config_maps_are_written_with_compare_and_set() -> None:
    world = World(specification())
    assert world.kube.config_map("kube-system", "status") is None
    world.kube.write_config_map("kube-system", "status", b'{"data":{"a":"1"}}')
    stored = world.kube.config_map("kube-system", "status")
    assert stored is not None
    world.kube.write_config_map("kube-system", "status", stored)
    with pytest.raises(Conflict):
        world.kube.write_config_map("kube-system", "status", stored)


def test_scaling_an_unknown_deployment_names_those_that_are_there() -> None:
    with pytest.raises(BadInput, match="default/web"):
        World(specification()).scale("default", "wbe", 1)


def test_scaling_down_ends_waiting_pods_first() -> None:
    world = World(specification())
    world.scale("default", "web", 6)
    world.advance(5)
    world.scale("default", "web", 3)
    world.advance(1)
    assert (len(pods(world)), running(world)) == (3, 3)


def test_one_holder_has_the_lock_and_the_last_to_load_may_save() -> None:
    world = World(specification())
    first, second = world.memory, world.another_memory()
    assert first.acquire("a", 0, 60)
    assert not second.acquire("b", 59, 60)
    assert second.acquire("b", 60, 60)
    first.load(), second.load()
    second.save(Memory(last_scan=1))
    with pytest.raises(Conflict):
        first.save(Memory(last_scan=2))
    first.release()
    assert not world.another_memory().acquire("c", 61, 60)


def history(world: World) -> list[object]:
    world.scale("default", "nginx-spot-demo", 20)
    world.aws.set_desired_capacity(next(name for name in world.fleet.groups if "spot" in name), 7)
    world.advance(600)
    return [*world.journal, *(page for plural in ("nodes", "pods") for page in world.kube.list(plural))]


def test_two_worlds_that_are_treated_alike_end_alike() -> None:
    assert history(World(tutorial().world)) == history(World(tutorial().world))
    assert history(World(tutorial(seed=1).world)) != history(World(tutorial(seed=2).world))


def test_topology_rules_decide_where_pods_go() -> None:
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}}
    apart = pod_spec("100m", affinity={"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}})
    made = with_group(desired=2)
    deployment = msgspec.structs.replace(made.deployments[0], pod=apart, replicas=3)
    world = World(msgspec.structs.replace(made, deployments=(deployment,)))
    assert running(world) == 2
    assert {pod.spec.node_name for pod in pods(world) if pod.spec.node_name} == set(nodes(world))
    assert {pod.refusal for pod in world.state.pods.waiting.values()} == {
        "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules."
    }


def test_a_scheduler_that_takes_its_time_binds_later() -> None:
    world = World(specification(pace=msgspec.structs.replace(Pace(jitter=0), scheduling=5)))
    world.scale("default", "web", 3)
    world.advance(4)
    assert running(world) == 2
    world.advance(4)
    assert running(world) == 3
