"""Label and node selectors: the requirement algebra of ``k8s.io/apimachinery/pkg/labels`` and ``component-helpers/nodeaffinity``."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from lambda_autoscaler.core import kubernetes
from lambda_autoscaler.core.model import Labels, NodeTerm, NodeTerms, PodSelector, Requirement

_INTEGER: Final = re.compile(r"[+-]?\d+", re.ASCII)


def sorted_labels(labels: Mapping[str, str] | None) -> Labels:
    """Labels as a sorted tuple of pairs, comparable and hashable."""
    return tuple(sorted(labels.items())) if labels else ()


def holds(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    """Whether labels satisfy one requirement. Gt and Lt compare integers; a value that is none never satisfies them."""
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value is not None and value in requirement.values
        case "NotIn":
            return value is None or value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            return _compares(requirement, value)
    return False


def _compares(requirement: Requirement, value: str | None) -> bool:
    bound = requirement.values[0] if requirement.values else ""
    if value is None or not (_INTEGER.fullmatch(value) and _INTEGER.fullmatch(bound)):
        return False
    left, right = int(value), int(bound)
    return left > right if requirement.operator == "Gt" else left < right


def all_hold(requirements: Iterable[Requirement], labels: Mapping[str, str]) -> bool:
    """Whether labels satisfy every requirement."""
    return all(holds(requirement, labels) for requirement in requirements)


def terms_hold(terms: NodeTerms, labels: Mapping[str, str], name: str) -> bool:
    """Whether a node with these labels and this name satisfies one of the terms; an empty term satisfies nothing."""
    return any(
        (term.labels or term.names) and all_hold(term.labels, labels) and all_hold(term.names, {"metadata.name": name}) for term in terms
    )


def selects(selector: PodSelector, namespace: str, labels: Mapping[str, str]) -> bool:
    """Whether a pod selector counts a pod of this namespace with these labels."""
    if selector.requirements is None or (selector.namespaces is not None and namespace not in selector.namespaces):
        return False
    return all_hold(selector.requirements, labels)


def requirements_of(selector: kubernetes.LabelSelector | None) -> tuple[Requirement, ...] | None:
    """Requirements of a label selector: None (selects nothing) when absent, empty (selects everything) when empty."""
    if selector is None:
        return None
    pairs = [Requirement(key, "In", (value,)) for key, value in sorted((selector.match_labels or {}).items())]
    return tuple(pairs + _expressions(selector.match_expressions))


def _expressions(expressions: Sequence[kubernetes.SelectorRequirement] | None) -> list[Requirement]:
    return [Requirement(item.key, item.operator, tuple(item.values or ())) for item in expressions or ()]


def node_terms_of(selector: kubernetes.NodeSelector | None) -> NodeTerms | None:
    """Terms of a node selector; None when there is no selector (every node will do)."""
    if selector is None:
        return None
    return tuple(
        NodeTerm(tuple(_expressions(term.match_expressions)), tuple(_expressions(term.match_fields)))
        for term in selector.node_selector_terms
    )
