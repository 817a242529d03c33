"""Counting pods per topology domain, for spread constraints and for pod affinity and anti-affinity in both directions.

Follows the scheduler's PodTopologySpread and InterPodAffinity plugins. A tally counts the pods that one rule looks at, per value of its
topology key. The hostname is not kept as a domain: nodes in the same state have the same count, so the count sits on the node state (see
``simulation.py``) and the tally only knows how many nodes there are at each level.
"""

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import msgspec

from lambda_autoscaler.core.fit import Place, matches_node_rules
from lambda_autoscaler.core.labels import selects
from lambda_autoscaler.core.model import HOSTNAME_LABEL, AffinityTerm, Labels, NodeClass, PodSelector, PodShape, SpreadConstraint
from lambda_autoscaler.core.taints import untolerated

_Value = TypeVar("_Value", str, int)


class TallyKey(msgspec.Struct, frozen=True):
    """What makes two rules look at the same numbers.

    ``kind`` is ``spread`` (pods a constraint counts on the nodes it looks at), ``match`` (pods that all of ``selectors`` select) or
    ``owner`` (pods that carry the anti-affinity term). For spread, keys and rules say which nodes count.
    """

    kind: str
    topology_key: str
    selectors: tuple[PodSelector, ...]
    required_keys: tuple[str, ...] = ()
    node_rules: tuple[object, ...] = ()


class Census:
    """How many nodes of each class there are; ``version`` grows with every change."""

    __slots__ = ("nodes", "version")

    def __init__(self) -> None:
        self.nodes: dict[NodeClass, int] = {}
        self.version = 0

    def change(self, node_class: NodeClass, count: int) -> bool:
        """Count nodes of a class in (or out, when negative); says whether the class has just appeared or gone."""
        before = self.nodes.get(node_class, 0)
        self.nodes[node_class] = before + count
        self.version += 1
        return not before or not before + count


class Tally:
    """Pods per domain of one rule; mutable, and never seen outside a simulation.

    ``levels`` are the numbers of nodes by the pods on them, for a rule over hostnames; nodes without such a pod are not in it.
    """

    __slots__ = (
        "_applies",
        "_census",
        "_counted",
        "_seen",
        "counts_nodes",
        "domains",
        "hostname",
        "key",
        "levels",
        "nodes",
        "sees",
        "total",
    )

    def __init__(self, key: TallyKey, sees: Callable[[NodeClass], bool] | None, census: Census) -> None:
        self._census = census
        self._seen = (-1, 0)
        self.key = key
        self.hostname = key.topology_key == HOSTNAME_LABEL
        self.sees = sees
        self.counts_nodes = key.kind == "spread"
        self.domains: Counter[str] = Counter()
        self.nodes: Counter[str] = Counter()
        self.levels: Counter[int] = Counter()
        self.total = 0
        self._applies: dict[NodeClass, bool] = {}
        self._counted: dict[tuple[str, Labels], bool] = {}

    def minimum(self, min_domains: int) -> int:
        """Fewest pods in any domain; 0 while there are fewer domains than asked for."""
        domains = self._nodes_seen() if self.hostname else len(self.nodes)
        if domains < min_domains or not domains:
            return 0
        if self.hostname:
            return 0 if domains > sum(self.levels.values()) else min(self.levels)
        return min(self.domains.get(value, 0) for value in self.nodes)

    def _nodes_seen(self) -> int:
        version, number = self._seen
        if version != self._census.version:
            number = sum(count for node_class, count in self._census.nodes.items() if count and self.applies(node_class))
            self._seen = (self._census.version, number)
        return number

    def add_class(self, node_class: NodeClass, count: int) -> None:
        """Take a class of nodes into account that has appeared (1) or gone (-1), for a rule over another key than the hostname."""
        if self.applies(node_class):
            _shift(self.nodes, node_class.labels[self.key.topology_key], count)

    def applies(self, node_class: NodeClass) -> bool:
        """Whether pods on nodes of this class count."""
        found = self._applies.get(node_class)
        if found is None:
            found = has_key(node_class, self.key.topology_key)
            found = found and (self.sees is None or self.sees(node_class))
            self._applies[node_class] = found
        return found

    def add_pods(self, node_class: NodeClass, level: int, per_node: int, nodes: int) -> None:
        """``per_node`` more pods (may be negative) on each of ``nodes`` nodes that had ``level`` of them."""
        if not self.applies(node_class):
            return
        self.total += per_node * nodes
        if not self.hostname:
            _shift(self.domains, node_class.labels[self.key.topology_key], per_node * nodes)
        elif self.counts_nodes:
            if level:
                _shift(self.levels, level, -nodes)
            if level + per_node:
                _shift(self.levels, level + per_node, nodes)

    def counts(self, shape: PodShape) -> bool:
        """Whether a pod of this shape is one of those the rule looks at."""
        if self.key.kind == "owner":
            return any(owner_key(term) == self.key for term in shape.anti_affinity)
        if self.key.kind == "spread" and shape.terminating:
            return False
        told_by = (shape.namespace, shape.labels)
        found = self._counted.get(told_by)
        if found is None:
            labels = dict(shape.labels)
            found = all(selects(selector, shape.namespace, labels) for selector in self.key.selectors)
            self._counted[told_by] = found
        return found


def has_key(node_class: NodeClass, key: str) -> bool:
    """Whether nodes of this class carry a label; the hostname counts although each has its own."""
    return node_class.hostname is not None if key == HOSTNAME_LABEL else key in node_class.labels


def _shift(counter: Counter[_Value], value: _Value, by: int) -> None:
    left = counter[value] + by
    if left:
        counter[value] = left
    else:
        counter.pop(value, None)


def spread_key(shape: PodShape, constraint: SpreadConstraint) -> TallyKey:
    """Tally of a spread constraint: the nodes it looks at are those the pod's own rules allow, and that carry all its topology keys."""
    rules: tuple[object, ...] = (
        (shape.node_selector, shape.node_terms) if constraint.honor_affinity else None,
        shape.tolerations if constraint.honor_taints else None,
    )
    keys = tuple(sorted({item.topology_key for item in shape.spread}))
    return TallyKey("spread", constraint.topology_key, (constraint.selector,), keys, rules)


def sees_nodes_of(shape: PodShape, constraint: SpreadConstraint) -> Callable[[NodeClass], bool]:
    """Which node classes a spread constraint looks at."""
    keys = tuple({item.topology_key for item in shape.spread})

    def sees(node_class: NodeClass) -> bool:
        if not all(has_key(node_class, key) for key in keys):
            return False
        if constraint.honor_affinity and not matches_node_rules(shape, Place(node_class, node_class.name, node_class.hostname)):
            return False
        return not (constraint.honor_taints and untolerated(node_class.taints, shape.tolerations))

    return sees


def match_key(terms: tuple[AffinityTerm, ...], topology_key: str) -> TallyKey:
    """Tally of pods that all of the terms select, over one topology key."""
    return TallyKey("match", topology_key, tuple(term.selector for term in terms))


def owner_key(term: AffinityTerm) -> TallyKey:
    """Tally of pods that carry an anti-affinity term themselves."""
    return TallyKey("owner", term.topology_key, (term.selector,))


def selects_shape(terms: tuple[AffinityTerm, ...], shape: PodShape) -> bool:
    """Whether all terms select a pod of this shape."""
    labels = dict(shape.labels)
    return all(selects(term.selector, shape.namespace, labels) for term in terms)
