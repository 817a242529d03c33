"""May a pod be evicted so that its node can go? Each rule, and their order."""

from typing import Any

import msgspec
import pytest

from lambda_autoscaler.core.drain import DRAIN_RULES, BudgetTracker, DrainContext, PodsToMove, pods_to_move
from lambda_autoscaler.core.model import Controller, DisruptionBudget, PodShape
from tests.build import LONG_AGO, NOW, daemon_pod, options, rs, selector, shape, waiting

SAFE = "cluster-autoscaler.kubernetes.io/safe-to-evict"
VOLUMES = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"
KNOWN = {
    ("ReplicaSet", "default", "web"): 5,
    ("ReplicaSet", "kube-system", "dns"): 2,
    ("StatefulSet", "default", "db"): 1,
    ("Job", "default", "sums"): 1,
    ("ReplicationController", "default", "old"): 1,
    ("DaemonSet", "kube-system", "agent"): 1,
}


def web(**fields: Any) -> PodShape:
    return shape(controller=rs("web"), labels={"app": "web"}, **fields)


def dns(**fields: Any) -> PodShape:
    return shape(namespace="kube-system", controller=rs("dns"), labels={"app": "dns"}, **fields)


def noted(key: str, value: str) -> tuple[tuple[str, str], ...]:
    return ((key, value),)


def budget(allowed: int, app: str = "web", namespace: str = "default") -> DisruptionBudget:
    return DisruptionBudget(namespace, app, selector((namespace,), app=app), allowed)


def sort(of: PodShape, *, created: float = LONG_AGO, budgets: tuple[DisruptionBudget, ...] = (), **flags: Any) -> PodsToMove:
    return pods_to_move([waiting(of, created=created)], DrainContext(options(**flags), NOW, BudgetTracker(budgets), KNOWN))


def blocked_by(of: PodShape, **fields: Any) -> str:
    blocking = sort(of, **fields).blocking
    return "" if blocking is None else blocking.rule


def is_moved(of: PodShape, **fields: Any) -> bool:
    found = sort(of, **fields)
    return found.blocking is None and bool(found.moved)


def test_the_rules_are_asked_in_the_order_of_the_cluster_autoscaler() -> None:
    assert [rule.__name__.strip("_") for rule in DRAIN_RULES] == [
        *("mirror", "long_terminating", "replica_count", "daemon_set", "safe_to_evict", "terminal"),
        *("on_completion", "replicated", "system", "not_safe_to_evict", "local_storage", "disruption_budget"),
    ]


def test_a_pod_of_a_replica_set_is_moved() -> None:
    assert is_moved(web())


def test_a_mirror_pod_goes_with_its_node() -> None:
    assert sort(shape(annotations=noted("kubernetes.io/config.mirror", "x"))) == PodsToMove()


def test_a_pod_that_should_be_long_gone_holds_nothing_up() -> None:
    pods = waiting(shape(terminating=True))
    gone = msgspec.structs.replace(pods, pods=(msgspec.structs.replace(pods.pods[0], deletion=NOW - 61),))
    ending = msgspec.structs.replace(pods, pods=(msgspec.structs.replace(pods.pods[0], deletion=NOW - 59),))
    context = DrainContext(options(), NOW, BudgetTracker(()), KNOWN)
    assert pods_to_move([gone], context) == PodsToMove()
    assert pods_to_move([ending], context).blocking is not None


@pytest.mark.parametrize("kind", ["ReplicaSet", "StatefulSet", "Job", "ReplicationController", "DaemonSet"])
def test_a_pod_whose_controller_is_gone_keeps_its_node(kind: str) -> None:
    assert blocked_by(shape(controller=Controller(kind, "gone", "u"))) == "ControllerNotFound"


def test_a_controller_with_too_few_replicas_keeps_its_pods_where_they_are() -> None:
    assert blocked_by(web(), min_replica_count=6) == "MinReplicasReached"
    assert is_moved(web(), min_replica_count=5)
    assert is_moved(shape(controller=Controller("StatefulSet", "db", "u", "apps/v1")), min_replica_count=5)


@pytest.mark.parametrize("of", [daemon_pod(), shape(annotations=noted("cluster-autoscaler.kubernetes.io/daemonset-pod", "true"))])
def test_daemon_set_pods_are_neither_moved_nor_in_the_way(of: PodShape) -> None:
    found = sort(of)
    assert (found.moved, found.blocking, len(found.daemon_sets)) == ((), None, 1)


@pytest.mark.parametrize("of", [shape(), dns(), web(local_volumes=("cache",)), web()])
def test_a_pod_that_is_safe_to_evict_is_moved_whatever_else_holds(of: PodShape) -> None:
    safe = msgspec.structs.replace(of, annotations=noted(SAFE, "true"))
    assert is_moved(safe, budgets=(budget(0),), created=NOW - 60)


@pytest.mark.parametrize(("phase", "policy"), [("Failed", "Always"), ("Succeeded", "Never"), ("Succeeded", "OnFailure")])
def test_a_pod_that_has_ended_is_moved(phase: str, policy: str) -> None:
    assert is_moved(shape(phase=phase, restart_policy=policy))


def test_a_pod_that_is_to_run_to_its_end_is_waited_for() -> None:
    found = sort(shape(annotations=noted(SAFE, "on-completion")))
    assert (found.moved, found.blocking, len(found.awaited)) == ((), None, 1)


def test_a_pod_that_nobody_would_recreate_keeps_its_node() -> None:
    own = shape(controller=Controller("Rollout", "canary", "u"))
    assert blocked_by(shape()) == blocked_by(own) == "NotReplicated"
    assert is_moved(own, skip_nodes_with_custom_controller_pods=False)
    assert blocked_by(shape(), skip_nodes_with_custom_controller_pods=False) == "NotReplicated"


def test_a_system_pod_keeps_its_node_for_an_hour_unless_a_budget_guards_it() -> None:
    assert blocked_by(dns(), created=NOW - 59 * 60) == "UnmovableKubeSystemPod"
    assert blocked_by(dns(), created=0.0) == "UnmovableKubeSystemPod"
    assert is_moved(dns(), created=NOW - 61 * 60)
    guarded = (budget(1, "dns", "kube-system"),)
    assert is_moved(dns(), created=NOW - 60, budgets=guarded)
    assert is_moved(dns(), created=NOW - 60, skip_nodes_with_system_pods=False)


@pytest.mark.parametrize("other", [budget(1, "dns"), budget(1, "metrics", "kube-system")])
def test_the_budget_of_another_namespace_or_of_other_pods_does_not_guard_a_system_pod(other: DisruptionBudget) -> None:
    assert blocked_by(dns(), created=NOW - 60, budgets=(other,)) == "UnmovableKubeSystemPod"


def test_an_old_system_pod_is_moved_even_if_it_says_it_must_not() -> None:
    assert is_moved(dns(annotations=noted(SAFE, "false"), local_volumes=("cache",)), created=NOW - 61 * 60)


def test_a_pod_that_is_not_safe_to_evict_keeps_its_node() -> None:
    assert blocked_by(web(annotations=noted(SAFE, "false"))) == "NotSafeToEvictAnnotation"


def test_a_pod_with_local_storage_keeps_its_node_unless_every_volume_is_named_as_safe() -> None:
    assert blocked_by(web(local_volumes=("cache", "scratch"))) == "LocalStorageRequested"
    assert blocked_by(web(local_volumes=("cache", "scratch"), annotations=noted(VOLUMES, "cache"))) == "LocalStorageRequested"
    assert blocked_by(web(local_volumes=("scratch",), annotations=noted(VOLUMES, "cache, scratch"))) == "LocalStorageRequested"
    assert is_moved(web(local_volumes=("cache", "scratch"), annotations=noted(VOLUMES, "cache,scratch")))
    assert is_moved(web(local_volumes=("cache",)), skip_nodes_with_local_storage=False)


def test_a_budget_that_allows_no_disruption_keeps_the_node() -> None:
    assert blocked_by(web(), budgets=(budget(1), budget(0))) == "NotEnoughPdb"
    assert is_moved(web(), budgets=(budget(1),))


def test_removals_share_what_a_budget_allows() -> None:
    tracker = BudgetTracker((budget(2),))
    context = DrainContext(options(), NOW, tracker, KNOWN)
    pods = [waiting(web(), 2)]
    assert tracker.allows_all_at_once(pods)
    assert not tracker.allows_all_at_once([waiting(web(), 3)])
    tracker.use(pods)
    blocking = pods_to_move(pods, context).blocking
    assert blocking is not None
    assert (blocking.pod, blocking.rule) == ("default/pod-0", "NotEnoughPdb")
