"""The pods of the simulated cluster, indexed the ways the controllers, the scheduler and the API need them.

A pod is a small record that shares its spec with all pods of the same template; its JSON is made when the API is asked and kept until the
pod changes, so that a hundred thousand pods can be listed scan after scan.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from lambda_autoscaler.core.units import format_timestamp
from lambda_autoscaler.sim.manifests import Manifest, condition

PodKey = tuple[str, str]


class PodTemplate(msgspec.Struct, frozen=True, eq=False):
    """What the pods of one controller share: the template of its manifest and the reference to it (None for a bare pod)."""

    manifest: Manifest
    owner: Manifest | None = None
    daemon: bool = False


class SimPod(msgspec.Struct, eq=False):
    """One pod. ``refusal`` is the scheduler's message while no node will do; times are seconds since the epoch."""

    namespace: str
    name: str
    uid: str
    created: float
    template: PodTemplate
    version: int = 0
    node: str = ""
    bound: float = 0.0
    started: float | None = None
    refusal: str = ""
    refused: float = 0.0
    deletion: float | None = None
    encoded: msgspec.Raw | None = None

    @property
    def key(self) -> PodKey:
        """Namespace and name."""
        return self.namespace, self.name

    @property
    def labels(self) -> dict[str, str]:
        """Labels of the template."""
        labels: dict[str, str] = self.template.manifest["metadata"].get("labels", {})
        return labels

    @property
    def is_available(self) -> bool:
        """Running and not on its way out, as a disruption budget counts it."""
        return self.started is not None and self.deletion is None

    def manifest(self) -> Manifest:
        """The pod as the API prints it."""
        meta: Manifest = {
            **self.template.manifest["metadata"],
            "name": self.name,
            "namespace": self.namespace,
            "uid": self.uid,
            "resourceVersion": str(self.version),
            "creationTimestamp": format_timestamp(self.created),
        }
        if self.template.owner is not None:
            meta["ownerReferences"] = [self.template.owner]
        if self.deletion is not None:
            meta["deletionTimestamp"] = format_timestamp(self.deletion)
        spec = self.template.manifest["spec"]
        return {"metadata": meta, "spec": {**spec, "nodeName": self.node} if self.node else spec, "status": self._status()}

    def _status(self) -> dict[str, Any]:
        if self.node:
            conditions = [condition("PodScheduled", True, self.bound)]
        elif self.refusal:
            unscheduled = condition("PodScheduled", False, self.refused, "Unschedulable")
            conditions = [{**unscheduled, "message": self.refusal}]
        else:
            conditions = []
        if self.started is None:
            return {"phase": "Pending", "conditions": conditions}
        conditions.append(condition("Ready", True, self.started))
        return {"phase": "Running", "conditions": conditions, "startTime": format_timestamp(self.bound)}


class Pods:
    """All pods: by key, by node, and those without a node in the order of their creation."""

    def __init__(self) -> None:
        self._by_key: dict[PodKey, SimPod] = {}
        self._by_node: dict[str, dict[PodKey, SimPod]] = {}
        self.waiting: dict[PodKey, SimPod] = {}

    def __iter__(self) -> Iterator[SimPod]:
        return iter(self._by_key.values())

    def __len__(self) -> int:
        return len(self._by_key)

    def __contains__(self, key: PodKey) -> bool:
        return key in self._by_key

    def get(self, key: PodKey) -> SimPod | None:
        """The pod of that name, if it is there."""
        return self._by_key.get(key)

    def on_node(self, node: str) -> list[SimPod]:
        """Pods bound to a node."""
        return list(self._by_node.get(node, {}).values())

    def add(self, pod: SimPod) -> None:
        """Add a pod, bound or not."""
        self._by_key[pod.key] = pod
        if pod.node:
            self._by_node.setdefault(pod.node, {})[pod.key] = pod
        else:
            self.waiting[pod.key] = pod

    def bind(self, pod: SimPod, node: str, now: float) -> None:
        """Put a waiting pod on a node."""
        del self.waiting[pod.key]
        pod.node, pod.bound, pod.refusal = node, now, ""
        self._by_node.setdefault(node, {})[pod.key] = pod

    def remove(self, pod: SimPod) -> None:
        """Forget a pod."""
        del self._by_key[pod.key]
        self.waiting.pop(pod.key, None)
        self._by_node.get(pod.node, {}).pop(pod.key, None)
