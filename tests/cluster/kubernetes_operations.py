"""All that each function asks of a Kubernetes API server, each thing by the product's own clients.

Nodes and pods that are named here do not exist, and need not: the API server asks RBAC before it looks for them. ConfigMaps, the Lease and
events are made, so that what is done to a new one and to one that is there both occur.
"""

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eks_autoscaling import rbac
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.core.plan import Notice
from lambda_autoscaler.edge.kube import LIST_PATHS, KubeClient
from lambda_autoscaler.edge.kube_http import KubeHttp
from lambda_autoscaler.edge.memory import ConfigMapMemory
from lambda_autoscaler.ports import Denied, NotFound

NOW = 1_795_355_207.0
_NOBODY = "nobody"
_UID = "00000000-0000-0000-0000-000000000000"
_events = itertools.count()


@dataclass(frozen=True)
class Operation:
    """One call of a client: the ``method`` of the port, what it is about (a kind, for lists), and the call."""

    method: str
    about: str
    call: Callable[[], object]


def scan_operations(http: KubeHttp, namespace: str = rbac.NAMESPACE, status: str = rbac.STATUS_CONFIG_MAP) -> list[Operation]:
    """What the scan does, in an order in which its objects are new at first."""
    kube, memory = KubeClient(http, record_duplicates=True), ConfigMapMemory(http, namespace)
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": status, "namespace": namespace}}
    text = json.dumps(manifest).encode()
    return [
        Operation("acquire", "lock", lambda: memory.acquire("one", NOW, 30)),
        *(_list(kube, plural) for plural in LIST_PATHS),
        Operation("load", "memory", memory.load),
        Operation("config_map", "priorities", lambda: kube.config_map(namespace, rbac.PRIORITY_CONFIG_MAP)),
        *_on_nodes_and_pods(kube),
        Operation("config_map", "status", lambda: kube.config_map(namespace, status)),
        Operation("write_config_map", "status that is new", lambda: kube.write_config_map(namespace, status, text)),
        Operation("write_config_map", "status", lambda: kube.write_config_map(namespace, status, text)),
        Operation("save", "memory that is new", lambda: memory.save(Memory(last_scale_up=1.0))),
        Operation("save", "memory", lambda: memory.save(Memory(last_scale_up=2.0))),
        Operation("release", "lock", memory.release),
    ]


def interruption_operations(http: KubeHttp) -> list[Operation]:
    """What the interruption function does."""
    kube = KubeClient(http, record_duplicates=True)
    return [
        _list(kube, "nodes"),
        Operation("list", "pods", lambda: list(kube.list("pods", _NOBODY))),
        *_on_nodes_and_pods(kube),
        Operation("delete_pod", "pods", lambda: kube.delete_pod("default", _NOBODY, _UID, 0)),
        Operation("delete_node", "nodes", lambda: kube.delete_node(_NOBODY)),
    ]


def _list(kube: KubeClient, plural: str) -> Operation:
    return Operation("list", plural, lambda: list(kube.list(plural)))


def _on_nodes_and_pods(kube: KubeClient) -> list[Operation]:
    notice = Notice("Node", "", _NOBODY, "Normal", "ScaleDown", f"said for the {next(_events)}th time")
    return [
        Operation("patch_node", "nodes", lambda: kube.patch_node(_NOBODY, b'{"spec": {"unschedulable": true}}')),
        Operation("evict", "pods", lambda: kube.evict("default", _NOBODY, _UID, 0)),
        Operation("record", "event that is new", lambda: kube.record([notice], NOW)),
        Operation("record", "event", lambda: kube.record([notice], NOW + 1)),
    ]


def forget(admin: KubeHttp, namespace: str = rbac.NAMESPACE, status: str = rbac.STATUS_CONFIG_MAP) -> None:
    """Remove what the scan keeps in the cluster, so that it is new again."""
    core, leases = f"/api/v1/namespaces/{namespace}/configmaps", f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    for path in (f"{core}/{status}", f"{core}/{rbac.STATE_CONFIG_MAP}", f"{leases}/{rbac.LEASE}"):
        try:
            admin.request("DELETE", path)
        except NotFound:
            continue


def refusals(operations: Sequence[Operation]) -> list[str]:
    """What the API server says about each of the operations that it denies."""
    found = []
    for operation in operations:
        try:
            operation.call()
        except Denied as refused:
            found.append(str(refused))
        except NotFound:
            continue
    return found
