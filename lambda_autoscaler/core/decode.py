"""API answers, as bytes, into wire types.

One object that cannot be decoded never loses the page: it is left out and named in a sentence, and the scan goes on with the healthy rest.
"""

import types
from typing import Any, Final

import msgspec

from lambda_autoscaler.core import kubernetes, storage

KINDS: Final[dict[str, type[kubernetes.Wire]]] = {
    "nodes": kubernetes.Node,
    "pods": kubernetes.Pod,
    "daemonsets": kubernetes.Workload,
    "replicasets": kubernetes.Workload,
    "statefulsets": kubernetes.Workload,
    "jobs": kubernetes.Workload,
    "replicationcontrollers": kubernetes.Workload,
    "poddisruptionbudgets": kubernetes.PodDisruptionBudget,
    "persistentvolumes": storage.PersistentVolume,
    "persistentvolumeclaims": storage.PersistentVolumeClaim,
    "storageclasses": storage.StorageClass,
    "csinodes": storage.CsiNode,
    "namespaces": kubernetes.Namespace,
    "configmaps": kubernetes.ConfigMap,
}


class _Items(msgspec.Struct, frozen=True):
    items: list[msgspec.Raw]


class _Page(msgspec.Struct, frozen=True):
    metadata: kubernetes.ListMeta = kubernetes.ListMeta()


class _Named(msgspec.Struct, frozen=True):
    metadata: kubernetes.ObjectMeta = kubernetes.ObjectMeta()


def _page_type(plural: str) -> Any:
    items = types.GenericAlias(list, (KINDS[plural],))
    return msgspec.defstruct(f"{plural}_page", [("items", items)], frozen=True)


_PAGE_DECODERS: Final = {plural: msgspec.json.Decoder(_page_type(plural)) for plural in KINDS}
_PAGE: Final = msgspec.json.Decoder(_Page)


def decode_objects(plural: str, page: bytes) -> tuple[list[Any], list[str]]:
    """Objects of one page of a Kubernetes list, and a sentence for each that could not be decoded.

    Raises msgspec.DecodeError when the page is no JSON list of objects at all.
    """
    try:
        return list(_PAGE_DECODERS[plural].decode(page).items), []
    except msgspec.ValidationError:
        return _decode_one_by_one(plural, page)


def _decode_one_by_one(plural: str, page: bytes) -> tuple[list[Any], list[str]]:
    good: list[Any] = []
    faults: list[str] = []
    for raw in msgspec.json.decode(page, type=_Items).items:
        try:
            good.append(msgspec.json.decode(raw, type=KINDS[plural]))
        except msgspec.ValidationError as fault:
            faults.append(f"{plural} {_name_of(raw)} cannot be read: {fault}")
    return good, faults


def _name_of(raw: msgspec.Raw) -> str:
    try:
        meta = msgspec.json.decode(raw, type=_Named).metadata
    except msgspec.ValidationError:
        return "(without a usable name)"
    return f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name


def continue_token(page: bytes) -> str:
    """Token of the page that follows, empty when this is the last one."""
    return _PAGE.decode(page).metadata.continue_token
