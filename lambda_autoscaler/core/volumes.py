"""What a pod's claims demand of a node.

Follows the scheduler's VolumeBinding, VolumeZone, VolumeRestrictions and NodeVolumeLimits plugins: a bound volume brings its node affinity
and zone labels, an unbound claim of a ``WaitForFirstConsumer`` class brings the class's allowed topologies or the volumes that could serve
it, and anything that no node can cure is a fault, in the scheduler's words.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from lambda_autoscaler.core.labels import node_terms_of
from lambda_autoscaler.core.model import NodeTerm, NodeTerms, Requirement, VolumeNeed
from lambda_autoscaler.core.storage import PersistentVolume, PersistentVolumeClaim, StorageClass
from lambda_autoscaler.core.units import QuantityError, parse_amount

ZONE_LABELS: Final = (
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
)
UNBOUND_IMMEDIATE: Final = "pod has unbound immediate PersistentVolumeClaims"
NO_VOLUME: Final = "node(s) didn't find available persistent volumes to bind"
NO_PROVISIONER: Final = "kubernetes.io/no-provisioner"
_DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"


class Volumes(msgspec.Struct, frozen=True):
    """The storage objects of a cluster, by name (claims by namespace and name)."""

    claims: Mapping[tuple[str, str], PersistentVolumeClaim] = {}
    volumes: Mapping[str, PersistentVolume] = {}
    classes: Mapping[str, StorageClass] = {}


class _ClaimNeed(msgspec.Struct, frozen=True):
    terms: tuple[NodeTerms, ...] = ()
    fault: str = ""
    driver: str = ""


def volume_need(namespace: str, claim_names: Sequence[str], volumes: Volumes) -> VolumeNeed:
    """What the named claims of a pod demand together; the first fault wins."""
    terms: list[NodeTerms] = []
    unbound: list[NodeTerms] = []
    exclusive: list[str] = []
    drivers: Counter[str] = Counter()
    for name in claim_names:
        claim = volumes.claims.get((namespace, name))
        if claim is None:
            return VolumeNeed(fault=f'persistentvolumeclaim "{name}" not found')
        need = _claim_need(claim, volumes)
        if need.fault:
            return VolumeNeed(fault=need.fault)
        terms.extend(need.terms)
        if not claim.spec.volume_name:
            unbound.extend(need.terms)
        if "ReadWriteOncePod" in (claim.spec.access_modes or ()):
            exclusive.append(f"{namespace}/{name}")
        if need.driver:
            drivers[need.driver] += 1
    return VolumeNeed(tuple(terms), tuple(unbound), exclusive=tuple(exclusive), attachments=tuple(sorted(drivers.items())))


def _claim_need(claim: PersistentVolumeClaim, volumes: Volumes) -> _ClaimNeed:
    if claim.metadata.deletion_timestamp is not None:
        return _ClaimNeed(fault=f'persistentvolumeclaim "{claim.metadata.name}" is being deleted')
    if claim.spec.volume_name:
        volume = volumes.volumes.get(claim.spec.volume_name)
        if volume is None:
            return _ClaimNeed(fault=f'persistentvolume "{claim.spec.volume_name}" not found')
        return _bound_need(volume)
    storage_class = volumes.classes.get(claim.spec.storage_class_name or "") or _default_class(claim, volumes)
    if storage_class is None or storage_class.volume_binding_mode != "WaitForFirstConsumer":
        return _ClaimNeed(fault=UNBOUND_IMMEDIATE)
    return _waiting_need(claim, storage_class, volumes)


def _default_class(claim: PersistentVolumeClaim, volumes: Volumes) -> StorageClass | None:
    if claim.spec.storage_class_name is not None:
        return None
    marked = (item for item in volumes.classes.values() if (item.metadata.annotations or {}).get(_DEFAULT_CLASS) == "true")
    return next(marked, None)


def _bound_need(volume: PersistentVolume) -> _ClaimNeed:
    terms: list[NodeTerms] = []
    affinity = volume.spec.node_affinity
    if affinity is not None and affinity.required is not None:
        terms.append(node_terms_of(affinity.required) or ())
    labels = volume.metadata.labels or {}
    for key in ZONE_LABELS:
        if key in labels:
            terms.append((NodeTerm(labels=(Requirement(key, "In", tuple(labels[key].split("__"))),)),))
    return _ClaimNeed(terms=tuple(terms), driver=volume.spec.csi.driver if volume.spec.csi else "")


def _waiting_need(claim: PersistentVolumeClaim, storage_class: StorageClass, volumes: Volumes) -> _ClaimNeed:
    available = _servable_terms(claim, storage_class, volumes)
    if storage_class.provisioner == NO_PROVISIONER:
        if not available:
            return _ClaimNeed(fault=NO_VOLUME)
        return _ClaimNeed(terms=(available,))
    allowed = _topology_terms(storage_class)
    terms = (available + allowed,) if allowed else ()
    return _ClaimNeed(terms=terms, driver=storage_class.provisioner)


def _topology_terms(storage_class: StorageClass) -> NodeTerms:
    return tuple(
        NodeTerm(labels=tuple(Requirement(item.key, "In", tuple(item.values)) for item in term.match_label_expressions or ()))
        for term in storage_class.allowed_topologies or ()
        if term.match_label_expressions
    )


def _servable_terms(claim: PersistentVolumeClaim, storage_class: StorageClass, volumes: Volumes) -> NodeTerms:
    """Where the free volumes that could serve the claim can be reached from."""
    found: list[NodeTerm] = []
    for name in sorted(volumes.volumes):
        volume = volumes.volumes[name]
        if volume.spec.storage_class_name == storage_class.metadata.name and _can_serve(volume, claim):
            affinity = volume.spec.node_affinity
            anywhere = NodeTerm(labels=(Requirement("kubernetes.io/hostname", "Exists"),))
            found.extend((node_terms_of(affinity.required) if affinity else None) or (anywhere,))
    return tuple(found)


def _can_serve(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    reference = volume.spec.claim_ref
    ours = reference is not None and (reference.namespace, reference.name) == (claim.metadata.namespace, claim.metadata.name)
    if reference is not None and not ours:
        return False
    if volume.status.phase not in ("Available", "") and not ours:
        return False
    if not set(claim.spec.access_modes or ()) <= set(volume.spec.access_modes or ()):
        return False
    asked = ((claim.spec.resources.requests if claim.spec.resources else None) or {}).get("storage", "0")
    try:
        return parse_amount(str((volume.spec.capacity or {}).get("storage", "0"))) >= parse_amount(str(asked))
    except QuantityError:
        return False
