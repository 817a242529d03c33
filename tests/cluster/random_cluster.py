"""A cluster of every kind of node for the scheduler to judge pods against, and what runs on it.

Nodes differ in zone, size, labels, taints, what else they offer, and whether they are cordoned; some lack labels that others have. The
pods on them take ports, repel or attract others, are terminating or have ended, and use volumes.
"""

import random
from typing import Any

Manifest = dict[str, Any]

NAMESPACES = {"team-a": {"team": "a", "env": "prod"}, "team-b": {"team": "b", "env": "dev"}}
APPS = ("web", "db", "cache")
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
ZONE = "topology.kubernetes.io/zone"
HOSTNAME = "kubernetes.io/hostname"
CSI_DRIVER = "ebs.csi.aws.com"
RUNTIME_CLASS = "sandboxed"
UNBOUND = {"unbound": "waiting", "unbound-in-two-zones": "two-zones"}
"""Claims that wait for their first consumer, and their storage classes."""
NODES = 16
_TAINTS: dict[int, list[dict[str, str]]] = {
    3: [{"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}],
    4: [{"key": "dedicated", "value": "batch", "effect": "NoExecute"}],
    5: [{"key": "spot", "effect": "NoSchedule"}, {"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}],
    6: [{"key": "slow", "value": "true", "effect": "PreferNoSchedule"}],
    # What the node lifecycle controller adds to a cordoned node.
    7: [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}],
}
_CORDONED = (7, 8)
_WITHOUT_ZONE, _WITHOUT_HOSTNAME, _OTHER_HOSTNAME = 13, 14, 15


def node_name(index: int) -> str:
    """Name of the node with this index."""
    return f"node-{index:02d}"


def nodes() -> list[Manifest]:
    """The nodes, each the same on every run."""
    return [_node(index) for index in range(NODES)]


def _node(index: int) -> Manifest:
    amounts = {
        "cpu": ("2", "4", "8")[index % 3],
        "memory": ("4Gi", "16Gi")[index % 2],
        "ephemeral-storage": ("20Gi", "100Gi")[index // 3 % 2],
        "pods": "4" if index == 9 else "20",
    }
    if index % 5 == 1:
        amounts["example.com/widget"] = "2"
    if index % 5 == 2:
        amounts["hugepages-2Mi"] = "64Mi"
    labels = {
        "kubernetes.io/arch": "arm64" if index % 4 == 3 else "amd64",
        "disk": ("ssd", "hdd")[index % 2],
        "generation": str(index % 7),
        HOSTNAME: "another-name" if index == _OTHER_HOSTNAME else node_name(index),
        ZONE: ZONES[index % 3],
    }
    if index % 3:
        labels["rack"] = f"r{index % 4}"
    for left_out, key in ((_WITHOUT_ZONE, ZONE), (_WITHOUT_HOSTNAME, HOSTNAME)):
        if index == left_out:
            del labels[key]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node_name(index), "labels": labels},
        "spec": {"taints": _TAINTS.get(index, []), "unschedulable": index in _CORDONED},
        "status": {"capacity": amounts, "allocatable": amounts, "conditions": [{"type": "Ready", "status": "True"}]},
    }


def surroundings() -> list[Manifest]:
    """Namespaces, the runtime class with an overhead, and storage: classes, limits, volumes with their claims."""
    return [
        *({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}} for name, labels in NAMESPACES.items()),
        {
            "apiVersion": "node.k8s.io/v1",
            "kind": "RuntimeClass",
            "metadata": {"name": RUNTIME_CLASS},
            "handler": "kata",
            "overhead": {"podFixed": {"cpu": "250m", "memory": "512Mi"}},
        },
        *_storage_classes(),
        *(_csi_node(index) for index in range(NODES) if index % 4),
        *(volume for index in range(NODES) for volume in _volume(f"data-{index}", ZONES[index % 3], "ReadWriteOnce")),
        *_volume("single", ZONES[0], "ReadWriteOncePod"),
        *(unbound_claim(name) for name in UNBOUND),
        _claim("immediate", {"storageClassName": "immediate"}),
        _claim("lost", {"storageClassName": "immediate", "volumeName": "no-such-volume"}),
    ]


def _storage_classes() -> list[Manifest]:
    allowed = [{"matchLabelExpressions": [{"key": ZONE, "values": list(ZONES[:2])}]}]
    waiting: Manifest = {"volumeBindingMode": "WaitForFirstConsumer", "provisioner": CSI_DRIVER}
    classes = {
        "immediate": {"provisioner": CSI_DRIVER},
        "waiting": waiting,
        "two-zones": {**waiting, "allowedTopologies": allowed},
    }
    return [
        {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}, **fields}
        for name, fields in classes.items()
    ]


def _csi_node(index: int) -> Manifest:
    driver = {"name": CSI_DRIVER, "nodeID": f"i-{index}", "topologyKeys": [ZONE], "allocatable": {"count": 1 + index % 2}}
    metadata = {"name": node_name(index)}
    return {"apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": metadata, "spec": {"drivers": [driver]}}


def _volume(name: str, zone: str, mode: str) -> list[Manifest]:
    """A volume of one zone, bound to the claim of the same name in the default namespace."""
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": ZONE, "operator": "In", "values": [zone]}]}]}}
    volume: Manifest = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": [mode],
            "storageClassName": "waiting",
            "nodeAffinity": affinity,
            "csi": {"driver": CSI_DRIVER, "volumeHandle": f"vol-{name}"},
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "default", "name": name},
        },
    }
    return [volume, _claim(name, {"storageClassName": "waiting", "volumeName": name, "accessModes": [mode]})]


def unbound_claim(name: str) -> Manifest:
    """One of the ``UNBOUND`` claims, as it is before the scheduler chooses a node for it."""
    return _claim(name, {"storageClassName": UNBOUND[name]})


def _claim(name: str, spec: Manifest) -> Manifest:
    whole = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    # The volume binder believes a claim only with this mark of the controller, which does not run here.
    annotations = {"pv.kubernetes.io/bind-completed": "yes"} if "volumeName" in spec else {}
    metadata = {"name": name, "namespace": "default", "annotations": annotations}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": whole}


def running_pods(seed: int) -> list[Manifest]:
    """Pods that are on the nodes already, two to four on most."""
    choose = random.Random(seed)
    found = []
    for index in range(NODES):
        found += [_running(choose, index, number) for number in range(choose.randint(1, 4))]
    return found


def _running(choose: random.Random, index: int, number: int) -> Manifest:
    namespace, app = choose.choice(("default", *NAMESPACES)), choose.choice(APPS)
    requests = {"cpu": choose.choice(("100m", "500m", "1")), "memory": choose.choice(("128Mi", "1Gi"))}
    container: Manifest = {"name": "main", "image": "app", "resources": {"requests": requests}}
    if choose.random() < 0.3:
        container["ports"] = [{"containerPort": 80, "hostPort": choose.choice((8080, 9090)), "hostIP": choose.choice(("", "10.0.0.1"))}]
    spec: Manifest = {"nodeName": node_name(index), "containers": [container]}
    if choose.random() < 0.15:
        spec["affinity"] = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [_repelled(choose)]}}
    if number == 0 and index % 3 == 0 and index < 12:
        namespace = "default"
        claim = "single" if index == 0 else f"data-{index}"
        spec["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    metadata: Manifest = {"name": f"running-{index}-{number}", "namespace": namespace, "labels": {"app": app, "hash": choose.choice("xy")}}
    if number == 3:
        metadata["finalizers"] = ["example.com/kept"]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _repelled(choose: random.Random) -> Manifest:
    return {
        "labelSelector": {"matchLabels": {"app": choose.choice(APPS), "hash": choose.choice("xy")}},
        "topologyKey": choose.choice((HOSTNAME, ZONE)),
        "namespaceSelector": choose.choice(({}, {"matchLabels": {"env": "prod"}})),
    }
