"""The Kubernetes port of the simulated world: lists as JSON, the writes the autoscaler makes, and their refusals.

Events are merged as client-go's correlator does in its simplest case: the same event on the same object counts up.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from lambda_autoscaler.core.decode import KINDS
from lambda_autoscaler.core.plan import Notice
from lambda_autoscaler.ports import BadInput, Conflict, NotFound, Refused, Throttled
from lambda_autoscaler.sim.budgets import budgets_of
from lambda_autoscaler.sim.cluster import ClusterState
from lambda_autoscaler.sim.journal import Entry, Happening, Journal
from lambda_autoscaler.sim.manifests import Manifest
from lambda_autoscaler.sim.pods import SimPod

STOP_SECONDS = 2.0


class SimKube:
    """Implements ``ports.Kube``. ``events`` counts notices as they were recorded."""

    def __init__(self, state: ClusterState, journal: Journal) -> None:
        self._state, self._journal = state, journal
        self.events: dict[Notice, int] = {}

    def list(self, plural: str, node: str = "") -> Iterator[bytes]:
        """Pages of all objects of a kind, or those of one node. Raises NotFound for a kind that the API does not serve."""
        if plural not in KINDS:
            raise NotFound(f"the server could not find the requested resource {plural}")
        return self._state.pages(plural, node)

    def config_map(self, namespace: str, name: str) -> bytes | None:
        """A ConfigMap as JSON."""
        manifest = self._state.get("configmaps", namespace, name)
        return None if manifest is None else msgspec.json.encode(manifest)

    def write_config_map(self, namespace: str, name: str, manifest: bytes) -> None:
        """Create or replace; raises Conflict when the manifest's resourceVersion is not the stored one, BadInput when it is no object."""
        written = _object(manifest, "ConfigMap")
        meta = {**written.get("metadata", {}), "namespace": namespace, "name": name}
        _compare(meta.get("resourceVersion", ""), self._state.get("configmaps", namespace, name), f"configmaps {name!r}")
        self._state.put("configmaps", {**written, "metadata": meta})

    def record(self, notices: Sequence[Notice], now: float) -> None:
        """Count events up."""
        for notice in notices:
            self.events[notice] = self.events.get(notice, 0) + 1

    def patch_node(self, name: str, patch: bytes) -> None:
        """JSON merge patch. Raises NotFound, or Conflict when the patch names another resourceVersion."""
        node = self._state.nodes.get(name)
        if node is None:
            raise NotFound(f"nodes {name!r} not found")
        change = _object(patch, "node patch")
        _compare(change.get("metadata", {}).get("resourceVersion", ""), node, f"nodes {name!r}")
        self._state.put_node(_merged(node, change))

    def evict(self, namespace: str, pod: str, uid: str, grace_seconds: int) -> None:
        """Start to end a pod. Raises NotFound when it is gone, Throttled when a budget forbids it, Refused when two budgets guard it."""
        found = self._state.pods.get((namespace, pod))
        if found is None or (uid and found.uid != uid):
            raise NotFound(f"pods {pod!r} not found")
        if found.deletion is not None:
            return
        self._spend_budget(found)
        agenda = self._state.agenda
        found.deletion = agenda.now + grace_seconds
        self._state.touch(found)
        self._journal.note(Entry(agenda.now, Happening.POD_EVICTED, f"{namespace}/{pod}", detail=found.node))
        agenda.after(min(float(grace_seconds), STOP_SECONDS), lambda: self._state.remove_pod(found))

    def delete_pod(self, namespace: str, pod: str, uid: str, grace_seconds: int) -> None:
        """Start to end a pod whatever its budgets say, or end it sooner. Raises NotFound when it is gone."""
        found = self._state.pods.get((namespace, pod))
        if found is None or (uid and found.uid != uid):
            raise NotFound(f"pods {pod!r} not found")
        ends = self._state.agenda.now + grace_seconds
        if found.deletion is None or ends < found.deletion:
            found.deletion = ends
            self._state.touch(found)
            self._journal.note(Entry(self._state.agenda.now, Happening.POD_EVICTED, f"{namespace}/{pod}", detail=found.node))
            self._state.agenda.after(min(float(grace_seconds), STOP_SECONDS), lambda: self._state.remove_pod(found))

    def delete_node(self, name: str) -> None:
        """Delete a Node object; the pods bound to it go with it, as the pod garbage collector sees to. Raises NotFound."""
        if name not in self._state.nodes:
            raise NotFound(f"nodes {name!r} not found")
        for pod in self._state.pods.on_node(name):
            self._state.remove_pod(pod)
        self._state.drop_node(name)

    def _spend_budget(self, pod: SimPod) -> None:
        budgets = budgets_of(pod, self._state)
        if len(budgets) > 1:
            raise Refused("This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.")
        for budget in budgets:
            if budget["status"]["disruptionsAllowed"] <= 0:
                raise Throttled(
                    f"Cannot evict pod as it would violate the pod's disruption budget. The disruption budget {budget['metadata']['name']} "
                    "allows no disruption now"
                )
            status = {**budget["status"], "disruptionsAllowed": budget["status"]["disruptionsAllowed"] - 1}
            self._state.put("poddisruptionbudgets", {**budget, "status": status})


def _object(body: bytes, what: str) -> Manifest:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError as fault:
        raise BadInput(f"{what} is not a JSON object: {fault}") from fault


def _compare(version: str, stored: Manifest | None, what: str) -> None:
    if version and (stored is None or stored["metadata"]["resourceVersion"] != version):
        raise Conflict(
            f"Operation cannot be fulfilled on {what}: the object has been modified; please apply your changes to the latest version"
        )


def _merged(target: Manifest, patch: Manifest) -> Manifest:
    """RFC 7386: null removes, objects merge, anything else replaces."""
    result = {key: value for key, value in target.items() if key not in patch or patch[key] is not None}
    for key, value in patch.items():
        if isinstance(value, dict):
            inner = result.get(key)
            result[key] = _merged(inner if isinstance(inner, dict) else {}, value)
        elif value is not None:
            result[key] = value
    return result
