"""The state behind the simulated Kubernetes API: nodes, pods and all other objects, with one resource version for all writes.

``changed`` is set by every write that may let a pod run somewhere or make a controller act; the world clears it when it has looked.
"""

from collections.abc import Iterable, Iterator

import msgspec

from lambda_autoscaler.core.units import format_timestamp
from lambda_autoscaler.sim.agenda import Agenda
from lambda_autoscaler.sim.manifests import Manifest, metadata, stable_uid
from lambda_autoscaler.sim.pods import PodKey, Pods, PodTemplate, SimPod

PAGE = 2_000
_ENCODER = msgspec.json.Encoder()


class ClusterState:
    """Everything the API server would store."""

    def __init__(self, agenda: Agenda) -> None:
        self.agenda = agenda
        self.pods = Pods()
        self.nodes: dict[str, Manifest] = {}
        self.objects: dict[str, dict[PodKey, Manifest]] = {}
        self.changed = True
        self._encoded_nodes: dict[str, msgspec.Raw] = {}
        self._version = 0

    def put_node(self, node: Manifest) -> None:
        """Create or replace a node."""
        name = node["metadata"]["name"]
        node["metadata"]["resourceVersion"] = self._next_version()
        self.nodes[name] = node
        self._encoded_nodes.pop(name, None)

    def drop_node(self, name: str) -> None:
        """Forget a node; its pods are the caller's business."""
        self.nodes.pop(name, None)
        self._encoded_nodes.pop(name, None)
        self.changed = True

    def create_pod(self, namespace: str, name: str, template: PodTemplate, node: str = "") -> SimPod:
        """Create a pod, already bound when a node is given."""
        now = self.agenda.now
        uid = stable_uid(namespace, name, format_timestamp(now))
        pod = SimPod(namespace, name, uid, now, template, node=node, bound=now)
        self.pods.add(pod)
        self.touch(pod)
        return pod

    def remove_pod(self, pod: SimPod) -> None:
        """A pod is gone."""
        if self.pods.get(pod.key) is pod:
            self.pods.remove(pod)
            self._next_version()

    def touch(self, pod: SimPod) -> None:
        """A pod was written: its JSON is stale."""
        pod.version = int(self._next_version())
        pod.encoded = None

    def put(self, plural: str, manifest: Manifest) -> None:
        """Create or replace an object of any other kind."""
        meta = manifest["metadata"]
        meta["resourceVersion"] = self._next_version()
        self.objects.setdefault(plural, {})[meta.get("namespace", ""), meta["name"]] = manifest

    def get(self, plural: str, namespace: str, name: str) -> Manifest | None:
        """An object of any other kind."""
        return self.objects.get(plural, {}).get((namespace, name))

    def ensure_namespace(self, name: str) -> None:
        """Create a namespace unless it is there."""
        if self.get("namespaces", "", name) is None:
            labels = {"kubernetes.io/metadata.name": name}
            self.put("namespaces", {"metadata": metadata("", name, self.agenda.now, labels)})

    def pages(self, plural: str, node: str = "") -> Iterator[bytes]:
        """All objects of a kind, or those of one node, as pages of a list, each with the resource version of the first."""
        version = str(self._version)
        items = list(self._encoded(plural, node))
        for start in range(0, len(items) or 1, PAGE):
            body = b",".join(bytes(item) for item in items[start : start + PAGE])
            yield b'{"metadata":{"resourceVersion":"%s"},"items":[%s]}' % (version.encode(), body)

    def _encoded(self, plural: str, node: str) -> Iterable[msgspec.Raw]:
        if plural == "pods":
            return (self._encoded_pod(pod) for pod in (self.pods.on_node(node) if node else self.pods))
        if plural == "nodes":
            return (self._encoded_node(name) for name in self.nodes if not node or name == node)
        return (msgspec.Raw(_ENCODER.encode(manifest)) for manifest in self.objects.get(plural, {}).values())

    def _encoded_pod(self, pod: SimPod) -> msgspec.Raw:
        if pod.encoded is None:
            pod.encoded = msgspec.Raw(_ENCODER.encode(pod.manifest()))
        return pod.encoded

    def _encoded_node(self, name: str) -> msgspec.Raw:
        if name not in self._encoded_nodes:
            self._encoded_nodes[name] = msgspec.Raw(_ENCODER.encode(self.nodes[name]))
        return self._encoded_nodes[name]

    def _next_version(self) -> str:
        self._version += 1
        self.changed = True
        return str(self._version)
