"""Ways in which a scale-up goes, through ``plan`` and through the packaged function, on one real control plane for all of them.

Each scenario has node groups and pods of its own (``programs/many_groups.py``), so that none sees what another left behind.
"""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from lightkube.codecs import from_dict
from lightkube.resources.coordination_v1 import Lease
from lightkube.resources.core_v1 import ConfigMap, Event
from lightkube.resources.rbac_authorization_v1 import ClusterRole, Role

from tests.cluster.binaries import Binaries
from tests.cluster.command_line import plan_live
from tests.cluster.declared_cluster import CLUSTER, DeclaredCluster
from tests.cluster.function import Function, Invocation
from tests.cluster.processes import free_ports
from tests.cluster.schedule import ScheduledInvoker
from tests.cluster.teams import create_team, wait_for_running_pods
from tests.cluster.token_webhook import utc_now
from tests.cluster.waiting import wait_for

pytestmark = pytest.mark.control_plane

PROGRAM = Path(__file__).parent / "programs" / "many_groups.py"
SETTINGS = {
    "expander": "priority",
    "balance-similar-node-groups": True,
    # The peer reads the tag eks:nodegroup-name as a label, so that managed groups without nodes are never alike.
    "balancing-ignore-label": ["nodegroup-name"],
    "scale-down-enabled": False,
}
PRIORITIES = "50:\n  - .*spot.*\n10:\n  - .*on-demand.*\n"
NO_CAPACITY = "InsufficientInstanceCapacity - We currently do not have sufficient m5.xlarge capacity in us-east-1a."
BOOT_SECONDS = 12.0
WEBHOOK_CACHE_SECONDS = 1.2
RBAC_SECONDS = 0.3


@pytest.fixture(scope="module")
def cluster(binaries: Binaries) -> Iterator[DeclaredCluster]:
    with DeclaredCluster(binaries, PROGRAM, first_nodes=1, settings=SETTINGS) as running:
        running.admin.create(_config_map("cluster-autoscaler-priority-expander", {"priorities": PRIORITIES}))
        yield running


@pytest.fixture(autouse=True)
def _only_calls_of_this_test(cluster: DeclaredCluster) -> None:
    cluster.world.forget_calls()


def _config_map(name: str, data: dict[str, str]) -> Any:
    metadata = {"name": name, "namespace": "kube-system"}
    return from_dict({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def planned(cluster: DeclaredCluster) -> dict[str, int]:
    """Targets by group name as the program gave it, which the command plans."""
    return _targets(cluster, plan_live(cluster)["scale_up"])


def scanned(cluster: DeclaredCluster) -> dict[str, int]:
    """The same of what the function did."""
    done = cluster.scan()
    assert done.error is None, done.error
    return _targets(cluster, done.result["scale_up"])


def _targets(cluster: DeclaredCluster, increases: list[dict[str, Any]]) -> dict[str, int]:
    names = {group: name for name, group in cluster.deployment.outputs.items()}
    return {names[item["group"]]: item["to"] for item in increases}


def desired(cluster: DeclaredCluster, name: str) -> int:
    size: int = cluster.group(cluster.deployment.outputs[name])["DesiredCapacity"]
    return size


def log_messages(invocation: Invocation) -> str:
    return "\n".join(str(json.loads(line).get("message", "")) for line in invocation.logs if line.startswith("{"))


def test_a_labelled_and_tainted_group_grows_from_zero(cluster: DeclaredCluster) -> None:
    create_team(cluster.admin, "batch", pods=2)
    assert planned(cluster) == scanned(cluster) == {"batch-spot": 2}
    wait_for_running_pods(cluster.admin, "batch", 2)


def test_spot_is_preferred_and_on_demand_takes_over_when_it_is_at_its_maximum(cluster: DeclaredCluster) -> None:
    create_team(cluster.admin, "web", pods=2)
    assert planned(cluster) == scanned(cluster) == {"web-spot": 1}
    wait_for_running_pods(cluster.admin, "web", 1)
    assert planned(cluster) == scanned(cluster) == {"web-on-demand": 1}
    wait_for_running_pods(cluster.admin, "web", 2)


def test_similar_groups_of_three_zones_share_the_new_nodes(cluster: DeclaredCluster) -> None:
    create_team(cluster.admin, "api", pods=6)
    assert planned(cluster) == scanned(cluster) == {"api-spot-a": 2, "api-spot-b": 2, "api-spot-c": 2}
    wait_for_running_pods(cluster.admin, "api", 6)


def test_a_group_without_capacity_backs_off_and_the_next_one_grows(cluster: DeclaredCluster) -> None:
    spot = cluster.deployment.outputs["data-spot"]
    cluster.world.fail_launches(spot, NO_CAPACITY)
    create_team(cluster.admin, "data", pods=1)
    assert planned(cluster) == scanned(cluster) == {"data-spot": 1}
    assert desired(cluster, "data-spot") == 1
    assert planned(cluster) == scanned(cluster) == {"data-on-demand": 1}
    assert desired(cluster, "data-spot") == 0, "the capacity that does not come is given up"
    wait_for_running_pods(cluster.admin, "data", 1)
    failures = [event for event in cluster.admin.list(Event, namespace="kube-system") if event.reason == "ScaleUpFailed"]
    assert [event for event in failures if spot in (event.message or "") and "InsufficientInstanceCapacity" in (event.message or "")]
    status = cluster.admin.get(ConfigMap, "cluster-autoscaler-status", namespace="kube-system")
    assert status.data is not None
    of_spot = status.data["status"].partition(f"name: {spot}")[2].partition("name: eks-")[0]
    assert "status: Backoff" in of_spot


def test_of_two_invocations_at_once_one_scales(cluster: DeclaredCluster) -> None:
    create_team(cluster.admin, "twin", pods=1)
    with Function(cluster.archive, cluster.function.configuration, cluster.function.credentials, cluster.world.url) as second:
        invoker = cluster.invoker
        other = ScheduledInvoker(invoker.scheduler, invoker.functions, second, invoker.name, invoker.may_invoke)
        with ThreadPoolExecutor(2) as threads:
            both = [threads.submit(one.tick, utc_now()) for one in (invoker, other)]
            done = [one.result() for one in both]
    assert [one.error for one in done] == [None, None]
    assert sorted(bool(one.result.get("scale_up")) for one in done) == [False, True]
    assert cluster.function_writes() == ["SetDesiredCapacity"]
    wait_for_running_pods(cluster.admin, "twin", 1)


def test_an_invocation_that_finds_the_lock_taken_leaves_without_a_write(cluster: DeclaredCluster) -> None:
    lease = cluster.admin.get(Lease, "eks-autoscaling", namespace="kube-system")
    held = {"holderIdentity": "another", "leaseDurationSeconds": 60, "renewTime": _micro_time()}
    cluster.admin.patch(Lease, "eks-autoscaling", {"spec": held}, namespace="kube-system")
    before = _versions(cluster)
    done = cluster.scan()
    assert done.error is None
    assert done.result["result"] == "LockedOut"
    assert "another scan holds the lock" in log_messages(done)
    assert _versions(cluster) == before
    assert cluster.function_writes() == []
    assert lease.metadata is not None
    cluster.admin.patch(Lease, "eks-autoscaling", {"spec": {"holderIdentity": ""}}, namespace="kube-system")


def _micro_time() -> str:
    return utc_now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _versions(cluster: DeclaredCluster) -> list[str]:
    """Versions of all that a scan writes in Kubernetes."""
    maps = [item.metadata for item in cluster.admin.list(ConfigMap, namespace="kube-system")]
    lease = cluster.admin.get(Lease, "eks-autoscaling", namespace="kube-system").metadata
    return [f"{meta.name} {meta.resourceVersion}" for meta in (*maps, lease) if meta is not None]


def test_memory_that_is_lost_or_corrupt_while_nodes_boot_makes_no_second_scale_up(cluster: DeclaredCluster) -> None:
    cluster.joiner.delay_joins(BOOT_SECONDS)
    create_team(cluster.admin, "memory", pods=1)
    assert scanned(cluster) == {"memory-spot": 1}
    cluster.admin.delete(ConfigMap, "eks-autoscaling-state", namespace="kube-system")
    assert planned(cluster) == scanned(cluster) == {}
    broken = {"data": {"memory.json": "{broken"}}
    cluster.admin.patch(ConfigMap, "eks-autoscaling-state", broken, namespace="kube-system")
    corrupt = cluster.scan()
    assert corrupt.error is None
    assert corrupt.result["scale_up"] == []
    assert "ConfigMap kube-system/eks-autoscaling-state: memory.json cannot be read" in log_messages(corrupt)
    assert desired(cluster, "memory-spot") == 1
    assert cluster.function_writes() == ["SetDesiredCapacity"]
    wait_for_running_pods(cluster.admin, "memory", 1)


def refused(cluster: DeclaredCluster) -> str:
    """The error of a scan that must fail, having changed nothing."""
    done = cluster.scan()
    assert done.error is not None
    assert cluster.function_writes() == []
    message = str(done.error["errorMessage"])
    assert message in log_messages(done), "the log has it in one line"
    return message


def test_without_its_access_entry_the_function_says_that_it_is_unknown(cluster: DeclaredCluster) -> None:
    eks, role = cluster.world.client("eks"), cluster.deployment.outputs["function_role_arn"]
    entry = eks.describe_access_entry(clusterName=CLUSTER, principalArn=role)["accessEntry"]
    eks.delete_access_entry(clusterName=CLUSTER, principalArn=role)
    time.sleep(WEBHOOK_CACHE_SECONDS)
    try:
        message = refused(cluster)
    finally:
        eks.create_access_entry(
            clusterName=CLUSTER, principalArn=role, kubernetesGroups=entry["kubernetesGroups"], username=entry["username"]
        )
    assert "HTTP 401" in message
    assert "access entry" in message
    time.sleep(WEBHOOK_CACHE_SECONDS)
    assert scanned(cluster) == {}


@pytest.fixture
def without(cluster: DeclaredCluster) -> Iterator[Callable[[type[ClusterRole] | type[Role], str], None]]:
    """Takes the rules for a resource out of one of the roles; afterwards the roles are as declared."""
    declared: dict[Any, list[dict[str, Any]]] = {
        ClusterRole: _rules(cluster.admin.get(ClusterRole, "eks-autoscaling")),
        Role: _rules(cluster.admin.get(Role, "eks-autoscaling", namespace="kube-system")),
    }

    def drop(kind: type[ClusterRole] | type[Role], resource: str) -> None:
        _set_rules(cluster, kind, [rule for rule in declared[kind] if resource not in rule["resources"]])

    yield drop
    for kind, rules in declared.items():
        _set_rules(cluster, kind, rules)
    wait_for("the roles as declared", cluster.scan, lambda done: done.error is None, 10.0)


def _rules(role: ClusterRole | Role) -> list[dict[str, Any]]:
    return [rule.to_dict() for rule in role.rules or ()]


def _set_rules(cluster: DeclaredCluster, kind: Any, rules: list[dict[str, Any]]) -> None:
    if kind is Role:
        cluster.admin.patch(Role, "eks-autoscaling", {"rules": rules}, namespace="kube-system")
    else:
        cluster.admin.patch(ClusterRole, "eks-autoscaling", {"rules": rules})
    time.sleep(RBAC_SECONDS)


@pytest.mark.parametrize(
    ("kind", "resource", "verb"),
    [(ClusterRole, "nodes", "list"), (Role, "leases", "get"), (Role, "configmaps", "get")],
    ids=["nodes", "leases", "configmaps"],
)
def test_a_scan_fails_naming_the_permission_that_it_cannot_do_without(
    cluster: DeclaredCluster, without: Callable[[Any, str], None], kind: Any, resource: str, verb: str
) -> None:
    without(kind, resource)
    message = refused(cluster)
    assert "HTTP 403" in message
    assert f'cannot {verb} resource "{resource}"' in message


@pytest.mark.parametrize("resource", ["storageclasses", "replicationcontrollers", "daemonsets", "jobs", "poddisruptionbudgets"])
def test_a_scan_goes_on_without_other_permissions_and_names_them(
    cluster: DeclaredCluster, without: Callable[[Any, str], None], resource: str
) -> None:
    without(ClusterRole, resource)
    done = cluster.scan()
    assert done.error is None
    assert f'cannot list resource "{resource}"' in log_messages(done)


def test_an_endpoint_that_does_not_answer_is_named(cluster: DeclaredCluster) -> None:
    control_plane = cluster.control_plane
    nobody = f"https://127.0.0.1:{free_ports(1)[0]}"
    cluster.world.set_cluster_endpoint(CLUSTER, nobody, control_plane.ca_pem)
    cluster.function.recycle()
    try:
        assert f"Kubernetes API at {nobody} does not answer" in refused(cluster)
    finally:
        cluster.world.set_cluster_endpoint(CLUSTER, control_plane.endpoint, control_plane.ca_pem)
    assert scanned(cluster) == {}, "the next scan asks for the endpoint again"
