"""What a pod shape asks and changes when it is placed: its rules, compiled once per simulation against the tallies they look at."""

from collections.abc import Callable, Sequence

from lambda_autoscaler.core.fit import looks_at_single_nodes, mentioned_labels, mentioned_nodes, named_nodes, selected_labels
from lambda_autoscaler.core.model import HOSTNAME_LABEL, PODS, PodShape
from lambda_autoscaler.core.topology import Tally, TallyKey, match_key, owner_key, sees_nodes_of, selects_shape, spread_key

ATTACHMENT_PREFIX = "attachable:"
Amounts = tuple[tuple[int, int], ...]
TallySource = Callable[[TallyKey, "Callable[..., bool] | None"], Tally]


class SpreadCheck:
    """One spread constraint of a shape, with its tally; ``own`` is 1 when the pod counts itself."""

    __slots__ = ("hostname", "key", "max_skew", "min_domains", "own", "tally")

    def __init__(self, shape: PodShape, index: int, tally: Tally) -> None:
        constraint = shape.spread[index]
        self.tally = tally
        self.key = constraint.topology_key
        self.hostname = tally.hostname
        self.max_skew = constraint.max_skew
        self.min_domains = constraint.min_domains
        self.own = 1 if tally.counts(shape) else 0


class Needs:
    """A shape ready to be placed.

    ``amounts`` are (resource index, amount) pairs, pods included; ``adds`` are the tallies that a pod of the shape counts in. ``improves``
    says whether placing one pod can make another node fit that did not: it evens out a spread, or is what an affinity looks for.
    ``keep_off`` are the tallies of pods that must not be on the same node.
    """

    __slots__ = (
        "adds",
        "affinity",
        "amounts",
        "anti",
        "exclusive",
        "guards",
        "improves",
        "keep_off",
        "names",
        "own_affinity",
        "per_node",
        "plain",
        "ports",
        "rules",
        "shape",
        "spread",
    )

    def __init__(self, shape: PodShape, amounts: Amounts, rules: int) -> None:
        self.shape = shape
        self.amounts = amounts
        self.rules = rules
        self.per_node = looks_at_single_nodes(shape)
        self.names = named_nodes(shape) if self.per_node else None
        self.ports = shape.host_ports
        self.exclusive = shape.volumes.exclusive
        self.adds: list[Tally] = []
        self.spread: list[SpreadCheck] = []
        self.affinity: list[Tally] = []
        self.own_affinity = False
        self.anti: list[Tally] = []
        self.guards: list[Tally] = []
        self.keep_off: list[Tally] = []
        self.plain = True
        self.improves = bool(shape.spread or shape.affinity)

    def ask(self, tally: TallySource) -> None:
        """Look up the tallies of the shape's own rules."""
        shape = self.shape
        for index, constraint in enumerate(shape.spread):
            self.spread.append(SpreadCheck(shape, index, tally(spread_key(shape, constraint), sees_nodes_of(shape, constraint))))
        keys = dict.fromkeys(term.topology_key for term in shape.affinity)
        self.affinity = [tally(match_key(shape.affinity, key), None) for key in keys]
        self.own_affinity = bool(shape.affinity) and selects_shape(shape.affinity, shape)
        self.anti = [tally(match_key((term,), term.topology_key), None) for term in shape.anti_affinity]
        for term in shape.anti_affinity:
            tally(owner_key(term), None)

    def settle(self) -> None:
        """Decide whether pods of the shape can be placed in bulk: nothing but resources stands between them."""
        self.keep_off = [tally for tally in (*self.anti, *self.guards) if tally.hostname]
        self.plain = not (self.spread or self.affinity or self.anti or self.guards or self.ports or self.exclusive)


def least_amounts(all_needs: Sequence[Needs]) -> Amounts:
    """The least that any of the pods asks for, of each resource that all of them ask for."""
    least: dict[int, int] = dict(all_needs[0].amounts) if all_needs else {}
    for needs in all_needs:
        asked = dict(needs.amounts)
        least = {index: min(amount, asked[index]) for index, amount in least.items() if index in asked}
    return tuple(least.items())


def resource_names(shapes: "list[PodShape]") -> tuple[str, ...]:
    """All resources that any of the shapes asks for; pods come first, then CPU and memory."""
    names = {name for shape in shapes for name, _ in shape.requests}
    names |= {ATTACHMENT_PREFIX + driver for shape in shapes for driver, _ in shape.volumes.attachments}
    first = (PODS, "cpu", "memory")
    return (*first, *sorted(names - set(first)))


def selected_node_labels(shapes: "list[PodShape]") -> frozenset[str]:
    """Node labels whose value any of the shapes asks for."""
    return frozenset(key for shape in shapes for key in selected_labels(shape))


def node_rule_labels(shapes: "list[PodShape]") -> frozenset[str]:
    """Node labels that any of the shapes looks at, the hostname aside."""
    return frozenset(key for shape in shapes for key in mentioned_labels(shape)) - {HOSTNAME_LABEL}


def single_nodes(shapes: "list[PodShape]") -> frozenset[str]:
    """Names and hostnames of the nodes that must be told apart: a spread counts only over nodes that the pod's own rules allow."""
    return frozenset(name for shape in shapes if shape.spread for name in mentioned_nodes(shape))
