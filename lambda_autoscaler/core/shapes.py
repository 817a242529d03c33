"""Pods into pod shapes: every distinct shape is built once, whatever the number of its pods.

A pod is first looked up by the bytes of the fields that matter (cheap: one encoding); only a miss is parsed. Distinct fields may still give
the same shape, for instance two pods of a StatefulSet whose claims demand the same zone: they share one object.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from lambda_autoscaler.core import kubernetes
from lambda_autoscaler.core.labels import node_terms_of, requirements_of, selects, sorted_labels
from lambda_autoscaler.core.model import (
    AffinityTerm,
    Controller,
    HostPort,
    Labels,
    NodeTerms,
    PodRef,
    PodSelector,
    PodShape,
    Requirement,
    SpreadConstraint,
    VolumeNeed,
)
from lambda_autoscaler.core.requests import pod_requests
from lambda_autoscaler.core.units import parse_timestamp
from lambda_autoscaler.core.volumes import Volumes, volume_need

_ANNOTATIONS: Final = kubernetes.PodAnnotations.__struct_encode_fields__
_ENCODER: Final = msgspec.json.Encoder()


class ShapeTable:
    """The pod shapes of one cluster. ``namespaces`` are labels by namespace, for namespace selectors."""

    def __init__(self, namespaces: Mapping[str, Mapping[str, str]], volumes: Volumes) -> None:
        self._namespaces = namespaces
        self._volumes = volumes
        self._by_bytes: dict[bytes, PodShape] = {}
        self._by_content: dict[tuple[Any, ...], PodShape] = {}

    def shape_of(self, pod: kubernetes.Pod) -> PodShape:
        """The shape of a pod. Raises QuantityError when one of its requests is no quantity."""
        claims = _claim_names(pod)
        key = _bytes_of(pod, claims)
        shape = self._by_bytes.get(key)
        if shape is None:
            shape = self._intern(self._fields(pod, claims))
            self._by_bytes[key] = shape
        return shape

    def _intern(self, fields: dict[str, Any]) -> PodShape:
        content = tuple(fields.values())
        shape = self._by_content.get(content)
        if shape is None:
            shape = PodShape(key=len(self._by_content), **fields)
            self._by_content[content] = shape
        return shape

    def _fields(self, pod: kubernetes.Pod, claims: list[str]) -> dict[str, Any]:
        meta, spec = pod.metadata, pod.spec
        affinity = spec.affinity or kubernetes.Affinity()
        return {
            "namespace": meta.namespace,
            "labels": sorted_labels(meta.labels),
            "requests": pod_requests(spec),
            "node_selector": sorted_labels(spec.node_selector),
            "node_terms": _required_node_terms(affinity),
            "tolerations": tuple(spec.tolerations or ()),
            "host_ports": _host_ports(spec),
            "spread": _spread(pod),
            "affinity": self._terms(pod, affinity.pod_affinity),
            "anti_affinity": self._terms(pod, affinity.pod_anti_affinity),
            "volumes": volume_need(meta.namespace, claims, self._volumes) if claims else VolumeNeed(),
            "priority": spec.priority,
            "scheduler": spec.scheduler_name,
            "controller": controller_of(meta),
            "annotations": _annotations(meta),
            "local_volumes": _local_volumes(spec),
            "grace_seconds": 30 if spec.termination_grace_period_seconds is None else spec.termination_grace_period_seconds,
            "restart_policy": spec.restart_policy,
            "phase": pod.status.phase,
            "terminating": meta.deletion_timestamp is not None,
        }

    def _terms(self, pod: kubernetes.Pod, affinity: kubernetes.PodAffinity | None) -> tuple[AffinityTerm, ...]:
        required = affinity.required_during_scheduling_ignored_during_execution if affinity else None
        return tuple(self._term(pod, term) for term in required or ())

    def _term(self, pod: kubernetes.Pod, term: kubernetes.PodAffinityTerm) -> AffinityTerm:
        requirements = requirements_of(term.label_selector)
        if requirements is not None:
            requirements += _matching(pod, term.match_label_keys, "In") + _matching(pod, term.mismatch_label_keys, "NotIn")
        return AffinityTerm(term.topology_key, PodSelector(self._namespaces_of(pod, term), requirements))

    def _namespaces_of(self, pod: kubernetes.Pod, term: kubernetes.PodAffinityTerm) -> frozenset[str] | None:
        selector = requirements_of(term.namespace_selector)
        if selector is None:
            return frozenset(term.namespaces or (pod.metadata.namespace,))
        if not selector:
            return None
        chosen = PodSelector(None, selector)
        return frozenset(term.namespaces or ()) | {name for name, labels in self._namespaces.items() if selects(chosen, "", labels)}


def controller_of(meta: kubernetes.PodMeta) -> Controller | None:
    """The owner reference marked as controller, None for a stand-alone object."""
    for owner in meta.owner_references or ():
        if owner.controller:
            return Controller(owner.kind, owner.name, owner.uid, owner.api_version)
    return None


def pod_ref(pod: kubernetes.Pod) -> PodRef:
    """The part of a pod that is its own."""
    meta = pod.metadata
    return PodRef(
        name=meta.name,
        uid=meta.uid,
        created=parse_timestamp(meta.creation_timestamp) if meta.creation_timestamp else 0.0,
        deletion=parse_timestamp(meta.deletion_timestamp) if meta.deletion_timestamp else None,
        started=parse_timestamp(pod.status.start_time) if pod.status.start_time else None,
    )


def _bytes_of(pod: kubernetes.Pod, claims: list[str]) -> bytes:
    meta, spec = pod.metadata, pod.spec
    volumes = _local_volumes(spec) if spec.volumes else ()
    annotations = _annotations(meta) if meta.annotations else ()
    return _ENCODER.encode(
        (
            (meta.namespace, meta.labels, meta.owner_references, annotations, meta.deletion_timestamp is not None),
            (spec.containers, spec.init_containers, spec.resources, spec.overhead, spec.node_selector, spec.affinity, spec.tolerations),
            (spec.topology_spread_constraints, spec.scheduler_name, spec.priority, spec.host_network, spec.restart_policy),
            (spec.termination_grace_period_seconds, pod.status.phase, claims, volumes),
        )
    )


def _claim_names(pod: kubernetes.Pod) -> list[str]:
    names: list[str] = []
    for volume in pod.spec.volumes or ():
        if volume.persistent_volume_claim is not None:
            names.append(volume.persistent_volume_claim.claim_name)
        elif volume.ephemeral is not None:
            names.append(f"{pod.metadata.name}-{volume.name}")
    return names


def _local_volumes(spec: kubernetes.PodSpec) -> tuple[str, ...]:
    """Names of volumes that would be lost with the node: hostPath, and emptyDir that is not in memory (section 8.5, rule 11)."""
    return tuple(
        volume.name
        for volume in spec.volumes or ()
        if volume.host_path is not None or (volume.empty_dir is not None and volume.empty_dir.medium != "Memory")
    )


def _annotations(meta: kubernetes.PodMeta) -> Labels:
    if meta.annotations is None:
        return ()
    values = zip(_ANNOTATIONS, msgspec.structs.astuple(meta.annotations), strict=True)
    return tuple(sorted((key, value) for key, value in values if value is not None))


def _required_node_terms(affinity: kubernetes.Affinity) -> NodeTerms | None:
    node_affinity = affinity.node_affinity
    return node_terms_of(node_affinity.required_during_scheduling_ignored_during_execution) if node_affinity else None


def _host_ports(spec: kubernetes.PodSpec) -> tuple[HostPort, ...]:
    sidecars = [container for container in spec.init_containers or () if container.restart_policy == "Always"]
    ports = {
        HostPort(port.host_port, port.protocol or "TCP", port.host_ip or "0.0.0.0")  # noqa: S104 - the API's wildcard
        for container in (*spec.containers, *sidecars)
        for port in container.ports or ()
        if port.host_port > 0
    }
    return tuple(sorted(ports, key=lambda port: (port.port, port.protocol, port.ip)))


def _spread(pod: kubernetes.Pod) -> tuple[SpreadConstraint, ...]:
    found = []
    for item in pod.spec.topology_spread_constraints or ():
        if item.when_unsatisfiable != "DoNotSchedule":
            continue
        requirements = requirements_of(item.label_selector)
        if requirements is not None:
            requirements += _matching(pod, item.match_label_keys, "In")
        found.append(
            SpreadConstraint(
                topology_key=item.topology_key,
                max_skew=item.max_skew,
                min_domains=item.min_domains or 1,
                selector=PodSelector(frozenset((pod.metadata.namespace,)), requirements),
                honor_affinity=item.node_affinity_policy != "Ignore",
                honor_taints=item.node_taints_policy == "Honor",
            )
        )
    return tuple(found)


def _matching(pod: kubernetes.Pod, keys: list[str] | None, operator: str) -> tuple[Requirement, ...]:
    labels = pod.metadata.labels or {}
    return tuple(Requirement(key, operator, (labels[key],)) for key in keys or () if key in labels)
