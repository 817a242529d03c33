"""Memory between scans in the cluster itself: a ConfigMap for the record, a Lease for the lock.

The record is ``memory.json`` of ConfigMap ``eks-autoscaling-state``: readable JSON with a version, beside a line for people. It is written
only when it changed and only over the very object that was read (resourceVersion). Later versions only add fields, so older records load;
a newer or unreadable one is refused and the scan rebuilds. The API server takes objects of at most 1 MiB: a record that would not fit is
written without indentation, then without what is a cache only, then without the remembered templates.

The lock is Lease ``eks-autoscaling``. ``leaseTransitions`` counts the holders: it is the fencing counter. Taking and giving back are
compare-and-set too: of two invocations that find it free exactly one gets it. What a node can show is not kept here but on the node.
"""

import math
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

import msgspec

from lambda_autoscaler.core.kubernetes import ConfigMap
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.core.units import TimestampError, format_timestamp, parse_timestamp
from lambda_autoscaler.edge.kube_http import KubeHttp
from lambda_autoscaler.ports import BadInput, Conflict, NotFound, Refused

CONFIG_MAP: Final = "eks-autoscaling-state"
LEASE: Final = "eks-autoscaling"
RECORD_KEY: Final = "memory.json"
SUMMARY_KEY: Final = "summary"
RECORD_LIMIT_BYTES: Final = 1_000_000


class _LeaseMeta(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    name: str
    namespace: str
    resource_version: str = ""


class _LeaseSpec(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """coordination/v1 LeaseSpec. A lease that was given back has no holder."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int = 0


class _Lease(msgspec.Struct, frozen=True, rename="camel"):
    metadata: _LeaseMeta
    spec: _LeaseSpec = _LeaseSpec()
    api_version: str = "coordination.k8s.io/v1"
    kind: str = "Lease"


class _Version(msgspec.Struct, frozen=True):
    version: int = 1


class ConfigMapMemory:
    """Memory and lock of one cluster (``ports.MemoryStore``)."""

    def __init__(self, http: KubeHttp, namespace: str) -> None:
        self._http = http
        self._namespace = namespace
        self._lease: _Lease | None = None
        self._loaded = ""
        self._resource_version = ""

    @property
    def fence(self) -> int:
        """How many holders the lock has had, this one included; 0 while it is not held."""
        return self._lease.spec.lease_transitions if self._lease is not None else 0

    def acquire(self, holder: str, now: float, seconds: float) -> bool:
        """Take the lock for ``seconds``; False when another holder has it or takes it at this very moment."""
        try:
            lease = self._get_lease()
            if lease is not None and _is_held(lease.spec, holder, now):
                return False
            self._lease = self._put_lease(self._taken(lease, holder, now, seconds), create=lease is None)
        except Conflict:
            return False
        return True

    def release(self) -> None:
        """Give the lock back. Raises Conflict when it expired and somebody else took it, which leaves theirs alone."""
        lease, self._lease = self._lease, None
        if lease is not None:
            free = _LeaseSpec(lease_duration_seconds=1, renew_time=lease.spec.renew_time, lease_transitions=lease.spec.lease_transitions)
            self._put_lease(msgspec.structs.replace(lease, spec=free), create=False)

    def load(self) -> Memory:
        """The memory of the last scan; empty when there is none. Raises BadInput when the record cannot be read."""
        self._loaded, self._resource_version = "", ""
        try:
            config_map = msgspec.json.decode(self._http.request("GET", self._path(CONFIG_MAP)), type=ConfigMap)
        except NotFound:
            return Memory()
        self._resource_version = config_map.metadata.resource_version
        record = (config_map.data or {}).get(RECORD_KEY, "")
        memory = parse_record(record, f"ConfigMap {self._namespace}/{CONFIG_MAP}") if record else Memory()
        self._loaded = record
        return memory

    def save(self, memory: Memory) -> None:
        """Keep memory when it differs from what is kept. Raises Conflict when somebody else wrote since ``load``."""
        record = format_record(memory)
        if record == self._loaded:
            return
        metadata = {"name": CONFIG_MAP, "namespace": self._namespace}
        if self._resource_version:
            metadata["resourceVersion"] = self._resource_version
        data = {SUMMARY_KEY: summary_of(memory, self.fence), RECORD_KEY: record}
        body = msgspec.json.encode({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
        if self._resource_version:
            answer = self._http.request("PUT", self._path(CONFIG_MAP), body=body)
        else:
            answer = self._http.request("POST", self._path(), body=body)
        self._loaded = record
        self._resource_version = msgspec.json.decode(answer, type=ConfigMap).metadata.resource_version

    def _path(self, name: str = "") -> str:
        path = f"/api/v1/namespaces/{quote(self._namespace)}/configmaps"
        return f"{path}/{name}" if name else path

    def _lease_path(self, name: str = "") -> str:
        path = f"/apis/coordination.k8s.io/v1/namespaces/{quote(self._namespace)}/leases"
        return f"{path}/{name}" if name else path

    def _get_lease(self) -> _Lease | None:
        try:
            return msgspec.json.decode(self._http.request("GET", self._lease_path(LEASE)), type=_Lease)
        except NotFound:
            return None

    def _put_lease(self, lease: _Lease, *, create: bool) -> _Lease:
        body = msgspec.json.encode(lease)
        method, path = ("POST", self._lease_path()) if create else ("PUT", self._lease_path(LEASE))
        return msgspec.json.decode(self._http.request(method, path, body=body), type=_Lease)

    def _taken(self, lease: _Lease | None, holder: str, now: float, seconds: float) -> _Lease:
        before = lease.spec if lease is not None else _LeaseSpec()
        time = _micro_time(now)
        renewing = before.holder_identity == holder
        spec = _LeaseSpec(
            holder_identity=holder,
            lease_duration_seconds=max(1, math.ceil(seconds)),
            acquire_time=before.acquire_time if renewing else time,
            renew_time=time,
            lease_transitions=before.lease_transitions + (0 if renewing else 1),
        )
        version = lease.metadata.resource_version if lease is not None else ""
        return _Lease(_LeaseMeta(LEASE, self._namespace, version), spec)


def _is_held(spec: _LeaseSpec, holder: str, now: float) -> bool:
    """Whether somebody else has the lock. A lease without a readable time is held by nobody."""
    if not spec.holder_identity or spec.holder_identity == holder or spec.renew_time is None:
        return False
    try:
        return parse_timestamp(spec.renew_time) + (spec.lease_duration_seconds or 0) >= now
    except TimestampError:
        return False


def _micro_time(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_record(record: str, where: str) -> Memory:
    """Memory from its JSON. Raises BadInput naming ``where`` when it is broken or of a newer version."""
    try:
        version = msgspec.json.decode(record, type=_Version).version
        if version > Memory().version:
            raise BadInput(f"{where}: {RECORD_KEY} is of version {version}, this release reads up to {Memory().version}")
        return msgspec.structs.replace(msgspec.json.decode(record, type=Memory), version=Memory().version)
    except msgspec.DecodeError as fault:
        raise BadInput(f"{where}: {RECORD_KEY} cannot be read: {fault}") from fault


def format_record(memory: Memory) -> str:
    """Memory as JSON that fits a ConfigMap, the version always said. Raises Refused when even the least of it does not fit."""
    without_cache = msgspec.structs.replace(memory, unremovable_until={}, unremovable_for={})
    without_templates = msgspec.structs.replace(without_cache, templates={})
    for content, indent in ((memory, 1), (memory, 0), (without_cache, 0), (without_templates, 0)):
        fields = {"version": memory.version, **msgspec.to_builtins(content)}
        record = msgspec.json.encode(fields)
        if indent:
            record = msgspec.json.format(record, indent=indent)
        if len(record) <= RECORD_LIMIT_BYTES:
            return record.decode()
    raise Refused(f"memory of {len(record)} bytes does not fit the ConfigMap {CONFIG_MAP} ({RECORD_LIMIT_BYTES} bytes)")


def summary_of(memory: Memory, fence: int) -> str:
    """The record in one line for people."""
    coming = ", ".join(f"{group} +{request.increase}" for group, request in sorted(memory.requests.items())) or "none"
    resting = ", ".join(f"{group} until {format_timestamp(backoff.until)}" for group, backoff in sorted(memory.backoffs.items())) or "none"
    return (
        f"nodes asked for: {coming}; groups in backoff: {resting}; unneeded nodes: {len(memory.unneeded_since)}; written by holder {fence}"
    )
