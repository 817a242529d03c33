"""The Kubernetes API behind ``ports.Kube``.

Lists are consistent reads in pages of 200: API Priority and Fairness prices a page by its estimated size, and 200 pods of about 5 kB stay
at ten seats. A page whose snapshot expired between two requests (410) is asked for again once with the token the server hands out, which
goes on after the same key in a newer snapshot; starting over would show the objects of the earlier pages twice.
"""

from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import quote

import msgspec

from lambda_autoscaler.core.decode import continue_token
from lambda_autoscaler.core.plan import Notice
from lambda_autoscaler.edge.kube_events import EventRecorder
from lambda_autoscaler.edge.kube_http import MERGE_PATCH, Gone, KubeHttp
from lambda_autoscaler.ports import BadInput, NotFound, Refused

PAGE_LIMIT: Final = 200
RUNNING_PODS: Final = "status.phase!=Succeeded,status.phase!=Failed"
LIST_PATHS: Final[dict[str, str]] = {
    "nodes": "/api/v1/nodes",
    "pods": "/api/v1/pods",
    "namespaces": "/api/v1/namespaces",
    "persistentvolumes": "/api/v1/persistentvolumes",
    "persistentvolumeclaims": "/api/v1/persistentvolumeclaims",
    "replicationcontrollers": "/api/v1/replicationcontrollers",
    "daemonsets": "/apis/apps/v1/daemonsets",
    "replicasets": "/apis/apps/v1/replicasets",
    "statefulsets": "/apis/apps/v1/statefulsets",
    "jobs": "/apis/batch/v1/jobs",
    "poddisruptionbudgets": "/apis/policy/v1/poddisruptionbudgets",
    "storageclasses": "/apis/storage.k8s.io/v1/storageclasses",
    "csinodes": "/apis/storage.k8s.io/v1/csinodes",
}


class _Named(msgspec.Struct, frozen=True):
    name: str = ""
    namespace: str = ""
    resource_version: str = msgspec.field(default="", name="resourceVersion")


class _Manifest(msgspec.Struct, frozen=True):
    metadata: _Named = _Named()


class KubeClient:
    """One cluster's API (``ports.Kube``)."""

    def __init__(self, http: KubeHttp, *, record_duplicates: bool = False) -> None:
        self._http = http
        self._events = EventRecorder(http, every_repeat=record_duplicates)

    def list(self, plural: str, node: str = "") -> Iterator[bytes]:
        """Pages of all objects of a kind, or those of one node. Raises BadInput for a kind that the autoscaler does not read."""
        path = LIST_PATHS.get(plural)
        if path is None:
            raise BadInput(f"{plural!r} is no kind that the autoscaler reads ({', '.join(sorted(LIST_PATHS))})")
        query = {"limit": str(PAGE_LIMIT)}
        selector = _field_selector(plural, node)
        if selector:
            query["fieldSelector"] = selector
        while True:
            page = self._page(path, query)
            yield page
            token = continue_token(page)
            if not token:
                return
            query["continue"] = token

    def _page(self, path: str, query: dict[str, str]) -> bytes:
        try:
            return self._http.request("GET", path, query)
        except Gone as gone:
            if not gone.token:
                raise Refused(f"{gone}. The list took too long to read; the next scan starts it afresh.") from gone
            query["continue"] = gone.token
            return self._http.request("GET", path, query)

    def config_map(self, namespace: str, name: str) -> bytes | None:
        """A ConfigMap, None when there is none."""
        try:
            return self._http.request("GET", _config_map_path(namespace, name))
        except NotFound:
            return None

    def write_config_map(self, namespace: str, name: str, manifest: bytes) -> None:
        """Replace a ConfigMap, or create it when the manifest carries no resourceVersion and there is none."""
        try:
            self._http.request("PUT", _config_map_path(namespace, name), body=manifest)
        except NotFound:
            if msgspec.json.decode(manifest, type=_Manifest).metadata.resource_version:
                raise
            self._http.request("POST", _config_map_path(namespace), body=manifest)

    def record(self, notices: Sequence[Notice], now: float) -> None:
        """Record events; a repeat within five minutes counts the earlier one up."""
        self._events.record(notices, now)

    def patch_node(self, name: str, patch: bytes) -> None:
        """Merge-patch a node."""
        self._http.request("PATCH", f"/api/v1/nodes/{quote(name)}", body=patch, kind=MERGE_PATCH)

    def evict(self, namespace: str, pod: str, uid: str, grace_seconds: int) -> None:
        """Evict one very pod: a new pod of the same name is left alone (NotFound or Conflict, as the API server words it)."""
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": namespace},
            "deleteOptions": {"gracePeriodSeconds": grace_seconds, "preconditions": {"uid": uid}},
        }
        path = f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}/eviction"
        self._http.request("POST", path, body=msgspec.json.encode(eviction))

    def delete_pod(self, namespace: str, pod: str, uid: str, grace_seconds: int) -> None:
        """Delete one very pod; on a pod that ends already a shorter time counts."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": grace_seconds, "preconditions": {"uid": uid}}
        path = f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}"
        self._http.request("DELETE", path, body=msgspec.json.encode(options))

    def delete_node(self, name: str) -> None:
        """Delete a Node object."""
        self._http.request("DELETE", f"/api/v1/nodes/{quote(name)}")


def _field_selector(plural: str, node: str) -> str:
    """What the server is to leave out; it keeps an index of pods by node."""
    if plural == "pods":
        return f"{RUNNING_PODS},spec.nodeName={node}" if node else RUNNING_PODS
    return f"metadata.name={node}" if node and plural == "nodes" else ""


def _config_map_path(namespace: str, name: str = "") -> str:
    path = f"/api/v1/namespaces/{quote(namespace)}/configmaps"
    return f"{path}/{quote(name)}" if name else path
