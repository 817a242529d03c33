"""Seeded pods with every kind of constraint the scheduler knows: what they ask for, where they must not be, whom they want beside them."""

import random
from collections.abc import Callable
from typing import Any

from tests.cluster.random_cluster import APPS, HOSTNAME, NAMESPACES, NODES, RUNTIME_CLASS, UNBOUND, ZONE, ZONES, node_name

Manifest = dict[str, Any]
SHARE_OF_SPREAD_WITH_NAMES = 0.1


def random_pod(seed: int) -> Manifest:
    """A pod with some of the constraints; the same for the same seed."""
    choose = random.Random(seed)
    namespace = choose.choice(("default", "default", *NAMESPACES))
    labels = {"app": choose.choice(APPS), "hash": choose.choice("xy")}
    resources = {"requests": {"cpu": choose.choice(("50m", "600m", "1700m")), "memory": choose.choice(("64Mi", "1500Mi"))}}
    spec: Manifest = {"containers": [{"name": "main", "image": "app", "resources": resources}], "terminationGracePeriodSeconds": 0}
    chosen = choose.sample(_CONSTRAINTS, choose.choice((1, 1, 2, 2, 3)))
    for constrain in sorted(chosen, key=_CONSTRAINTS.index):
        constrain(choose, spec)
    if choose.random() < SHARE_OF_SPREAD_WITH_NAMES:
        _spread(choose, spec)
        _named_nodes(choose, spec)
    if "volumes" in spec:
        namespace = "default"
    metadata = {"name": f"pod-{seed}", "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _main(spec: Manifest) -> Manifest:
    container: Manifest = spec["containers"][0]
    return container


def _big(choose: random.Random, spec: Manifest) -> None:
    _main(spec)["resources"] = {"requests": {"cpu": choose.choice(("3", "6500m")), "memory": choose.choice(("3Gi", "15Gi"))}}


def _several_containers(choose: random.Random, spec: Manifest) -> None:
    spec["containers"].append({"name": "second", "image": "app", "resources": {"requests": {"cpu": choose.choice(("300m", "2"))}}})


def _init_containers(choose: random.Random, spec: Manifest) -> None:
    amounts = ("200m", "1500m", "3500m", "7")
    spec["initContainers"] = [
        {
            "name": f"init-{number}",
            "image": "app",
            "resources": {"requests": {"cpu": choose.choice(amounts), "memory": "100Mi"}},
            **({"restartPolicy": "Always"} if choose.random() < 0.5 else {}),
        }
        for number in range(choose.randint(1, 3))
    ]


def _pod_level_resources(choose: random.Random, spec: Manifest) -> None:
    requests = {"cpu": choose.choice(("1700m", "7", "12")), "memory": choose.choice(("3Gi", "20Gi"))}
    spec["resources"] = {"requests": requests}
    # The API server takes no pod that asks for less than its containers together.
    spec.pop("initContainers", None)
    del spec["containers"][1:]
    _main(spec)["resources"]["requests"] |= {"cpu": "100m", "memory": "100Mi"}


def _overhead(_: random.Random, spec: Manifest) -> None:
    spec["runtimeClassName"] = RUNTIME_CLASS


def _other_resources(choose: random.Random, spec: Manifest) -> None:
    name, amount = choose.choice(
        (
            ("example.com/widget", "1"),
            ("example.com/widget", "3"),
            ("example.com/unknown", "1"),
            ("hugepages-2Mi", "32Mi"),
            ("hugepages-2Mi", "128Mi"),
            ("ephemeral-storage", "30Gi"),
        )
    )
    resources = _main(spec)["resources"]
    resources["requests"][name] = amount
    resources["limits"] = {name: amount}


def _host_port(choose: random.Random, spec: Manifest) -> None:
    port = {
        "containerPort": 80,
        "hostPort": choose.choice((8080, 9090)),
        "protocol": choose.choice(("TCP", "TCP", "UDP")),
        "hostIP": choose.choice(("", "10.0.0.1", "10.0.0.2")),
    }
    _main(spec)["ports"] = [port]


def _node_selector(choose: random.Random, spec: Manifest) -> None:
    labels = ({"disk": "ssd"}, {"kubernetes.io/arch": "arm64"}, {"rack": "r1"}, {ZONE: ZONES[0]}, {HOSTNAME: node_name(1)}, {"gone": "x"})
    spec["nodeSelector"] = dict(choose.choice(labels))


def _requirement(choose: random.Random) -> Manifest:
    return choose.choice(
        (
            {"key": "disk", "operator": "In", "values": ["ssd", "nvme"]},
            {"key": "rack", "operator": "NotIn", "values": ["r1", "r2"]},
            {"key": "rack", "operator": "Exists"},
            {"key": "rack", "operator": "DoesNotExist"},
            {"key": "generation", "operator": "Gt", "values": ["3"]},
            {"key": "generation", "operator": "Lt", "values": ["2"]},
            {"key": "disk", "operator": "Gt", "values": ["3"]},
            {"key": ZONE, "operator": "In", "values": [choose.choice(ZONES)]},
        )
    )


def _node_affinity(choose: random.Random, spec: Manifest) -> None:
    terms: list[Manifest] = []
    for _ in range(choose.randint(1, 2)):
        term: Manifest = {"matchExpressions": [_requirement(choose) for _ in range(choose.randint(1, 2))]}
        if choose.random() < 0.3:
            names = {"key": "metadata.name", "operator": choose.choice(("In", "NotIn")), "values": [node_name(choose.randrange(NODES))]}
            term["matchFields"] = [names]
            if choose.random() < 0.5:
                del term["matchExpressions"]
        terms.append(term)
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    spec.setdefault("affinity", {})["nodeAffinity"] = required


def _named_nodes(choose: random.Random, spec: Manifest) -> None:
    names = [node_name(index) for index in choose.sample(range(NODES), 6)]
    term = choose.choice(
        (
            {"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": names[:1]}]},
            {"matchExpressions": [{"key": HOSTNAME, "operator": choose.choice(("In", "NotIn")), "values": names}]},
        )
    )
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    spec.setdefault("affinity", {})["nodeAffinity"] = required


def _tolerations(choose: random.Random, spec: Manifest) -> None:
    known = (
        {"key": "dedicated", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"},
        {"key": "dedicated", "operator": "Exists"},
        {"key": "dedicated", "value": "batch"},
        {"key": "spot", "operator": "Exists", "effect": "NoSchedule"},
        {"operator": "Exists"},
        {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"},
    )
    spec["tolerations"] = [dict(item) for item in choose.sample(known, choose.randint(1, 2))]
    # Only where nothing else will do does a toleration decide.
    spec["nodeSelector"] = {HOSTNAME: node_name(choose.choice((3, 4, 5, 6, 7, 8)))} if choose.random() < 0.5 else {}


def _pod_term(choose: random.Random) -> Manifest:
    term: Manifest = {
        "labelSelector": choose.choice(
            (
                {"matchLabels": {"app": choose.choice(APPS)}},
                {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": [choose.choice(APPS)]}]},
                {},
            )
        ),
        "topologyKey": choose.choice((HOSTNAME, ZONE, ZONE, "rack")),
    }
    where = choose.randrange(4)
    if where == 1:
        term["namespaces"] = [choose.choice(("team-a", "team-b"))]
    elif where == 2:
        term["namespaceSelector"] = choose.choice(({}, {"matchLabels": {"env": "prod"}}, {"matchLabels": {"env": "none"}}))
    if choose.random() < 0.25:
        term[choose.choice(("matchLabelKeys", "mismatchLabelKeys"))] = ["hash"]
    return term


def _pod_affinity(choose: random.Random, spec: Manifest) -> None:
    terms = [_pod_term(choose) for _ in range(choose.choice((1, 1, 2)))]
    spec.setdefault("affinity", {})["podAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": terms}


def _pod_anti_affinity(choose: random.Random, spec: Manifest) -> None:
    terms = [_pod_term(choose) for _ in range(choose.choice((1, 1, 2)))]
    spec.setdefault("affinity", {})["podAntiAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": terms}


def _spread(choose: random.Random, spec: Manifest) -> None:
    keys = choose.sample((ZONE, HOSTNAME, "rack"), choose.choice((1, 1, 2)))
    spec["topologySpreadConstraints"] = [_constraint(choose, key) for key in keys]


def _constraint(choose: random.Random, key: str) -> Manifest:
    constraint: Manifest = {
        "maxSkew": choose.randint(1, 2),
        "topologyKey": key,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": choose.choice(APPS)}},
    }
    if choose.random() < 0.3:
        constraint["minDomains"] = choose.choice((2, 4, 30))
    if choose.random() < 0.3:
        constraint["matchLabelKeys"] = ["hash"]
    if choose.random() < 0.4:
        constraint["nodeAffinityPolicy"] = choose.choice(("Honor", "Ignore"))
        constraint["nodeTaintsPolicy"] = choose.choice(("Honor", "Ignore"))
    return constraint


def _volume(choose: random.Random, spec: Manifest) -> None:
    claim = choose.choice((*(f"data-{index}" for index in range(NODES) if index % 3), "single", "immediate", "missing", "lost", *UNBOUND))
    spec["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]


_CONSTRAINTS: tuple[Callable[[random.Random, Manifest], None], ...] = (
    _big,
    _several_containers,
    _init_containers,
    _other_resources,
    _pod_level_resources,
    _overhead,
    _host_port,
    _node_selector,
    _node_affinity,
    _tolerations,
    _pod_affinity,
    _pod_anti_affinity,
    _spread,
    _volume,
)
