"""What pods ask for, and which pods are the same."""

from typing import Any

import pytest

from lambda_autoscaler.core.model import HostPort, PodShape, Requirement
from lambda_autoscaler.core.shapes import ShapeTable
from lambda_autoscaler.core.volumes import Volumes
from tests.core import wire


def shapes_of(*pods: dict[str, Any], namespaces: dict[str, dict[str, str]] | None = None) -> list[PodShape]:
    table = ShapeTable(namespaces or {}, Volumes())
    return [table.shape_of(pod) for pod in wire.decoded("pods", *pods)]


def container(cpu: str = "", restart: str = "", **requests: str) -> dict[str, Any]:
    asked = ({"cpu": cpu} if cpu else {}) | requests
    return {"resources": {"requests": asked}} | ({"restartPolicy": restart} if restart else {})


@pytest.mark.parametrize(
    ("spec", "millicores"),
    [
        ({"containers": [container("100m"), container("200m")]}, 300),
        ({"containers": [container("100m")], "initContainers": [container("500m")]}, 500),
        ({"containers": [container("100m")], "initContainers": [container("50m", "Always"), container("500m")]}, 550),
        ({"containers": [container("100m")], "initContainers": [container("500m"), container("50m", "Always")]}, 500),
        ({"containers": [container("500m")], "initContainers": [container("50m", "Always")]}, 550),
        ({"containers": [container("100m")], "overhead": {"cpu": "30m"}}, 130),
        ({"containers": [container("100m")], "resources": {"requests": {"cpu": "1"}}}, 1000),
        ({"containers": [container("100m")], "resources": {"requests": {"cpu": "1"}}, "overhead": {"cpu": "5m"}}, 1005),
        ({"containers": [{"resources": {"limits": {"cpu": "2"}}}]}, 0),
        ({"containers": [{}]}, 0),
    ],
)
def test_requests_are_summed_as_the_scheduler_sums_them(spec: dict[str, Any], millicores: int) -> None:
    (found,) = shapes_of(wire.pod(spec=spec))
    assert found.request("cpu") == millicores


def test_pod_level_requests_replace_hugepages_but_not_other_resources() -> None:
    whole = {"requests": {"hugepages-2Mi": "4Mi", "example.com/fpga": "5"}}
    (found,) = shapes_of(wire.pod(spec={"containers": [container(**{"example.com/fpga": "1"})], "resources": whole}))
    assert found.requests == (("example.com/fpga", 1), ("hugepages-2Mi", 4 * 2**20))


def test_replicas_are_one_shape_although_their_token_volumes_differ() -> None:
    def replica(number: int) -> dict[str, Any]:
        volume = {"name": f"kube-api-access-{number}", "projected": {"sources": []}}
        return wire.pod(
            f"web-{number}", ownerReferences=wire.owned("ReplicaSet", "web"), spec={"volumes": [volume], "hostname": f"h{number}"}
        )

    first, second = shapes_of(replica(1), replica(2))
    assert first is second


@pytest.mark.parametrize(
    "other",
    [
        wire.pod(cpu="200m"),
        wire.pod(labels={"app": "db"}),
        wire.pod(namespace="other"),
        wire.pod(ownerReferences=wire.owned("ReplicaSet", "web")),
        wire.pod(annotations={"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}),
        wire.pod(spec={"priority": 5}),
        wire.pod(spec={"tolerations": [{"operator": "Exists"}]}),
        wire.pod(spec={"nodeSelector": {"a": "b"}}),
        wire.pod(spec={"volumes": [{"name": "scratch", "emptyDir": {}}]}),
        wire.pod(spec={"terminationGracePeriodSeconds": 5}),
        wire.pod(status={"phase": "Running"}),
        wire.pod(deletionTimestamp="2026-11-22T13:00:00Z"),
    ],
)
def test_pods_that_differ_in_what_matters_are_different_shapes(other: dict[str, Any]) -> None:
    first, second = shapes_of(wire.pod(), other)
    assert first is not second


def test_unknown_annotations_and_memory_volumes_do_not_matter() -> None:
    other = wire.pod("q", annotations={"example.com/note": "x"}, spec={"volumes": [{"name": "m", "emptyDir": {"medium": "Memory"}}]})
    first, second = shapes_of(wire.pod(), other)
    assert first is second


def test_local_volumes_are_host_paths_and_scratch_space() -> None:
    volumes = [{"name": "logs", "hostPath": {"path": "/var"}}, {"name": "scratch", "emptyDir": {}}, {"name": "config", "configMap": {}}]
    (found,) = shapes_of(wire.pod(spec={"volumes": volumes}))
    assert found.local_volumes == ("logs", "scratch")


def test_host_ports_come_from_containers_and_sidecars() -> None:
    spec = {
        "containers": [{"ports": [{"hostPort": 80, "hostIP": "10.0.0.1"}, {"containerPort": 8080}]}],
        "initContainers": [{"restartPolicy": "Always", "ports": [{"hostPort": 53, "protocol": "UDP"}]}, {"ports": [{"hostPort": 1}]}],
    }
    (found,) = shapes_of(wire.pod(spec=spec))
    assert found.host_ports == (HostPort(53, "UDP"), HostPort(80, "TCP", "10.0.0.1"))


def test_match_label_keys_add_the_pods_own_values() -> None:
    affinity = {
        "topologyKey": "zone",
        "labelSelector": {"matchLabels": {"app": "web"}},
        "matchLabelKeys": ["rev", "absent"],
        "mismatchLabelKeys": ["tenant"],
    }
    constraint = {
        "topologyKey": "zone",
        "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {},
        "matchLabelKeys": ["rev"],
        "nodeTaintsPolicy": "Honor",
    }
    spec = {
        "affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [affinity]}},
        "topologySpreadConstraints": [constraint, {**constraint, "whenUnsatisfiable": "ScheduleAnyway"}],
    }
    (found,) = shapes_of(wire.pod(labels={"rev": "7", "tenant": "a"}, spec=spec))
    own = Requirement("rev", "In", ("7",))
    assert found.affinity[0].selector.requirements == (Requirement("app", "In", ("web",)), own, Requirement("tenant", "NotIn", ("a",)))
    assert [item.selector.requirements for item in found.spread] == [(own,)]
    assert found.spread[0].honor_taints
    assert found.spread[0].honor_affinity


@pytest.mark.parametrize(
    ("term", "namespaces"),
    [
        ({}, frozenset({"default"})),
        ({"namespaces": ["a", "b"]}, frozenset({"a", "b"})),
        ({"namespaceSelector": {}}, None),
        ({"namespaceSelector": {"matchLabels": {"team": "x"}}, "namespaces": ["b"]}, frozenset({"b", "team-x"})),
    ],
)
def test_which_namespaces_an_affinity_term_looks_at(term: dict[str, Any], namespaces: frozenset[str] | None) -> None:
    required = [{"topologyKey": "zone", "labelSelector": {}, **term}]
    spec = {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}
    (found,) = shapes_of(wire.pod(spec=spec), namespaces={"team-x": {"team": "x"}, "team-y": {"team": "y"}})
    assert found.anti_affinity[0].selector.namespaces == namespaces


def test_a_pod_knows_what_kind_of_pod_it_is() -> None:
    marks = {
        "kubernetes.io/config.mirror": "x",
        "kubernetes.io/config.source": "file",
        "cluster-autoscaler.kubernetes.io/daemonset-pod": "true",
    }
    marked, plain, from_api = shapes_of(
        wire.pod(annotations=marks), wire.pod(), wire.pod(annotations={"kubernetes.io/config.source": "api"})
    )
    assert (marked.is_mirror, marked.is_static, marked.is_daemonset) == (True, True, True)
    assert (plain.is_mirror, plain.is_static, plain.is_daemonset) == (False, False, False)
    assert not from_api.is_static
