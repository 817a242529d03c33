"""Does this pod run on this kind of node? The predicates that need only the pod and the node's class.

The order is the scheduler's, so that the first refusal is the one it would name. What depends on the pods already there (resources, host
ports, topology) is in ``simulation.py`` and ``topology.py``.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from lambda_autoscaler.core.labels import terms_hold
from lambda_autoscaler.core.model import HOSTNAME_LABEL, NodeClass, NodeTerms, PodShape
from lambda_autoscaler.core.plan import Misfit, Rule
from lambda_autoscaler.core.taints import untolerated
from lambda_autoscaler.core.volumes import NO_VOLUME

_OTHER_VOLUME: Final = "node(s) didn't match PersistentVolume's node affinity"
_UNSCHEDULABLE_TAINT: Final = "node.kubernetes.io/unschedulable"


class Place(msgspec.Struct, frozen=True):
    """A node as the predicates see it: its class, its name, and its hostname label (None when it has none)."""

    node_class: NodeClass
    name: str = ""
    hostname: str | None = None

    @property
    def labels(self) -> Mapping[str, str]:
        """The class's labels, with the node's own hostname."""
        if self.hostname is None:
            return self.node_class.labels
        return {**self.node_class.labels, HOSTNAME_LABEL: self.hostname}


Predicate = Callable[[PodShape, Place], Misfit | None]


def _volumes_usable(shape: PodShape, _place: Place) -> Misfit | None:
    return Misfit(Rule.VOLUME, shape.volumes.fault) if shape.volumes.fault else None


def _schedulable(shape: PodShape, place: Place) -> Misfit | None:
    if not place.node_class.unschedulable:
        return None
    tolerated = any(
        toleration.operator == "Exists" and toleration.key in ("", _UNSCHEDULABLE_TAINT) and toleration.effect in ("", "NoSchedule")
        for toleration in shape.tolerations
    )
    return None if tolerated else Misfit(Rule.UNSCHEDULABLE)


def _taints_tolerated(shape: PodShape, place: Place) -> Misfit | None:
    taint = untolerated(place.node_class.taints, shape.tolerations)
    return None if taint is None else Misfit(Rule.TAINT, f"{taint.key}={taint.value}:{taint.effect}")


def _affinity_holds(shape: PodShape, place: Place) -> Misfit | None:
    return None if matches_node_rules(shape, place) else Misfit(Rule.NODE_AFFINITY)


def _volumes_reachable(shape: PodShape, place: Place) -> Misfit | None:
    for terms in shape.volumes.terms:
        if not terms_hold(terms, place.labels, place.name):
            return Misfit(Rule.VOLUME, NO_VOLUME if terms in shape.volumes.unbound else _OTHER_VOLUME)
    return None


PREDICATES: Final[tuple[Predicate, ...]] = (_volumes_usable, _schedulable, _taints_tolerated, _affinity_holds)
VOLUME_PREDICATES: Final[tuple[Predicate, ...]] = (_volumes_reachable,)


def matches_node_rules(shape: PodShape, place: Place) -> bool:
    """Node selector and required node affinity, both."""
    labels = place.labels
    if any(labels.get(key) != value for key, value in shape.node_selector):
        return False
    return shape.node_terms is None or terms_hold(shape.node_terms, labels, place.name)


def first_misfit(predicates: tuple[Predicate, ...], shape: PodShape, place: Place) -> Misfit | None:
    """What the first predicate to refuse says, None when all agree."""
    return next((misfit for predicate in predicates if (misfit := predicate(shape, place)) is not None), None)


def looks_at_single_nodes(shape: PodShape) -> bool:
    """Whether the pod's rules tell nodes apart by name or hostname, so that a node's class does not decide."""
    if any(key == HOSTNAME_LABEL for key, _ in shape.node_selector):
        return True
    return any(_mentions_one_node(terms) for terms in (shape.node_terms or (), *shape.volumes.terms))


def _mentions_one_node(terms: NodeTerms) -> bool:
    return any(term.names or any(item.key == HOSTNAME_LABEL for item in term.labels) for term in terms)


def mentioned_nodes(shape: PodShape) -> set[str]:
    """Names and hostnames that the pod's own node rules mention, to ask for or to avoid."""
    found = {value for key, value in shape.node_selector if key == HOSTNAME_LABEL}
    for term in shape.node_terms or ():
        found.update(*(item.values for item in term.names), *(item.values for item in term.labels if item.key == HOSTNAME_LABEL))
    return found


def named_nodes(shape: PodShape) -> frozenset[str] | None:
    """Names of the only nodes that can do, when every term of the pod's node affinity names them; None when it is open."""
    names: set[str] = set()
    for term in shape.node_terms or ():
        listed = [item.values for item in term.names if item.operator == "In"]
        if not listed:
            return None
        names.update(*listed)
    return frozenset(names) if shape.node_terms else None


def selected_labels(shape: PodShape) -> set[str]:
    """Label keys of nodes whose value the pod's rules ask for."""
    keys = {key for key, _ in shape.node_selector}
    for terms in (shape.node_terms or (), *shape.volumes.terms):
        keys.update(item.key for term in terms for item in term.labels)
    return keys


def mentioned_labels(shape: PodShape) -> set[str]:
    """Label keys of nodes that the pod's rules look at, for their value or as topology, the hostname aside."""
    keys = selected_labels(shape)
    keys.update(item.topology_key for item in shape.spread)
    keys.update(item.topology_key for item in (*shape.affinity, *shape.anti_affinity))
    keys.discard(HOSTNAME_LABEL)
    return keys
