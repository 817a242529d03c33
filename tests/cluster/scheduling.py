"""What the real kube-scheduler makes of a pod, and what our core makes of the same pod on the same cluster."""

import json
import re
import ssl
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lambda_autoscaler.core.amazon import AutoScalingGroup
from lambda_autoscaler.core.decode import decode_objects
from lambda_autoscaler.core.explain import upstream_reasons
from lambda_autoscaler.core.model import Cluster, PodShape
from lambda_autoscaler.core.node_state import NodeFacts
from lambda_autoscaler.core.observe import build_cluster
from lambda_autoscaler.core.observed import Observed
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.plan import Misfit
from lambda_autoscaler.core.simulation import Simulation
from lambda_autoscaler.core.template import cluster_shapes
from lambda_autoscaler.edge.kube import KubeClient
from lambda_autoscaler.edge.kube_http import MERGE_PATCH, Connection, KubeHttp
from lambda_autoscaler.ports import NotFound
from lambda_autoscaler.reading import OPTIONAL_KINDS, REQUIRED_KINDS
from tests.cluster.control_plane import ControlPlane
from tests.cluster.random_cluster import UNBOUND, unbound_claim
from tests.cluster.waiting import wait_for

Manifest = dict[str, Any]
OPTIONS = Options(cluster_name="judged")
_VERDICT_SECONDS = 15.0
_BINDER_SECONDS = 1.2
_CHOSEN_NODE = "volume.kubernetes.io/selected-node"
_PATHS = {
    "Namespace": "/api/v1/namespaces",
    "Node": "/api/v1/nodes",
    "PersistentVolume": "/api/v1/persistentvolumes",
    "PersistentVolumeClaim": "/api/v1/namespaces/{namespace}/persistentvolumeclaims",
    "Pod": "/api/v1/namespaces/{namespace}/pods",
    "RuntimeClass": "/apis/node.k8s.io/v1/runtimeclasses",
    "StorageClass": "/apis/storage.k8s.io/v1/storageclasses",
    "CSINode": "/apis/storage.k8s.io/v1/csinodes",
}
_AT_ONCE = b'{"gracePeriodSeconds": 0}'


@dataclass(frozen=True)
class Verdict:
    """The scheduler's answer about one pod: ``node`` it was bound to, or "" and the ``message`` why to none; the pod as it was."""

    pod: Manifest
    node: str
    message: str


class Api:
    """The judged cluster's API, as its administrator."""

    def __init__(self, control_plane: ControlPlane) -> None:
        trusted = ssl.create_default_context(cadata=control_plane.ca_pem.decode())
        self.http = KubeHttp(Connection(control_plane.endpoint, lambda _: control_plane.admin_token, trusted))
        self._kube = KubeClient(self.http)

    def create(self, manifest: Manifest) -> Manifest:
        """Create an object and return it as the API server completed it."""
        created: Manifest = json.loads(self.http.request("POST", _path(manifest), body=json.dumps(manifest).encode()))
        return created

    def read(self, manifest: Manifest) -> Manifest:
        """An object as it is now. Raises NotFound."""
        found: Manifest = json.loads(self.http.request("GET", f"{_path(manifest)}/{manifest['metadata']['name']}"))
        return found

    def delete(self, manifest: Manifest) -> None:
        """Delete an object at once, if it is there."""
        try:
            self.http.request("DELETE", f"{_path(manifest)}/{manifest['metadata']['name']}", body=_AT_ONCE)
        except NotFound:
            return

    def finish(self, pod: Manifest) -> None:
        """Let a pod have succeeded."""
        done = {**self.read(pod), "status": {"phase": "Succeeded"}}
        self.http.request("PUT", f"{_path(pod)}/{pod['metadata']['name']}/status", body=json.dumps(done).encode())

    def verdict(self, pod: Manifest) -> Verdict:
        """Wait until the scheduler has found a node for the pod or said why not."""
        claim = self._unbound_claim(pod)

        def look() -> Verdict:
            seen = self.read(pod)
            chosen = self.read(claim)["metadata"].get("annotations", {}).get(_CHOSEN_NODE, "") if claim else ""
            return Verdict(seen, seen["spec"].get("nodeName", chosen), _refusal(seen))

        what = f"a verdict on {pod['metadata']['name']}"
        return wait_for(what, look, lambda seen: bool(seen.node or seen.message), _VERDICT_SECONDS, pause=0.005)

    def judge(self, pod: Manifest) -> Verdict:
        """Create the pod, hear the verdict, and leave the cluster as it was."""
        claim = self._unbound_claim(pod)
        self.create(pod)
        verdict = self.verdict(pod)
        self.delete(pod)
        if claim is not None and verdict.node:
            # The scheduler waits for the volume, and notices after a second that nobody does any more.
            time.sleep(_BINDER_SECONDS)
            forget = json.dumps({"metadata": {"annotations": {_CHOSEN_NODE: None}}}).encode()
            self.http.request("PATCH", f"{_path(claim)}/{claim['metadata']['name']}", body=forget, kind=MERGE_PATCH)
        return verdict

    @staticmethod
    def _unbound_claim(pod: Manifest) -> Manifest | None:
        volumes = (volume["persistentVolumeClaim"]["claimName"] for volume in pod["spec"].get("volumes", ()))
        return next((unbound_claim(name) for name in volumes if name in UNBOUND), None)

    def observe(self, more_pods: list[Manifest], groups: Sequence[AutoScalingGroup] = ()) -> Observed:
        """The cluster as a scan reads it, with ``more_pods`` among its pods, and with these node groups."""
        found: dict[str, Any] = {}
        faults: list[str] = []
        for plural in (*REQUIRED_KINDS, *OPTIONAL_KINDS):
            pages = list(self._kube.list(plural))
            if plural == "pods":
                pages.append(json.dumps({"items": more_pods}).encode())
            decoded = [decode_objects(plural, page) for page in pages]
            found[plural] = [item for objects, _ in decoded for item in objects]
            faults += [fault for _, broken in decoded for fault in broken]
        return Observed(**found, groups=list(groups), faults=faults)


def _path(manifest: Manifest) -> str:
    return _PATHS[manifest["kind"]].format(namespace=manifest["metadata"].get("namespace", ""))


def _refusal(pod: Manifest) -> str:
    conditions = pod.get("status", {}).get("conditions", ())
    return next((one.get("message", "") for one in conditions if one["type"] == "PodScheduled" and one["status"] == "False"), "")


def waiting(pod: Manifest) -> Manifest:
    """A judged pod as a scan finds it while it waits for a node."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    spec = {key: value for key, value in pod["spec"].items() if key != "nodeName"}
    return {**pod, "spec": spec, "status": {"phase": "Pending", "conditions": [condition]}}


class Core:
    """Our core's view of the cluster: pods are judged one by one against it, and nothing is placed."""

    def __init__(self, observed: Observed) -> None:
        self.cluster = build_cluster(observed, OPTIONS)
        self._simulation = Simulation(cluster_shapes(self.cluster, {}))
        self._states = {node.name: self._simulation.add(_facts(self.cluster, node.name)) for node in self.cluster.nodes}
        self._shapes = {ref.name: item.shape for item in self.cluster.pending for ref in item.pods}

    def shape(self, name: str) -> PodShape:
        """The shape of a waiting pod. Raises KeyError when the core does not know the pod as waiting."""
        return self._shapes[name]

    def misfits(self, name: str) -> dict[str, Misfit | None]:
        """By node: why the pod does not run there, None where it does."""
        needs = self._simulation.needs(self.shape(name))
        return {node: self._simulation.misfit(needs, state) for node, state in self._states.items()}


def _facts(cluster: Cluster, name: str) -> NodeFacts:
    node = next(node for node in cluster.nodes if node.name == name)
    pods = tuple((item.shape, len(item.pods)) for item in node.pods)
    return NodeFacts(node.labels, node.taints, node.allocatable, pods, name, node.unschedulable, cluster.attach_limits.get(name, {}))


def our_reasons(misfits: dict[str, Misfit | None]) -> Counter[str]:
    """How many nodes refuse for which reason, in the scheduler's words."""
    return Counter(reason for misfit in misfits.values() if misfit is not None for reason in upstream_reasons(misfit))


def scheduler_reasons(message: str, nodes: int) -> Counter[str]:
    """The same from the scheduler's message. A reason without a number holds for all nodes; it names the taint, which ours leaves out."""
    text = message.partition(": ")[2]
    if not text[:1].isdigit():
        return Counter({text.partition(". ")[0]: nodes})
    found: Counter[str] = Counter()
    for part in re.split(r", (?=\d+ )", text.partition(". ")[0].removesuffix(".")):
        number, _, reason = part.partition(" ")
        found[re.sub(r"untolerated taint \{.*\}", "untolerated taint(s)", reason)] += int(number)
    return found
