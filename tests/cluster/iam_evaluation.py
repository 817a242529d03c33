"""Evaluates IAM policies as AWS does for one account: an explicit deny wins, then an allow, else the answer is no.

Pure. It knows what the policies of this project use and refuses to guess about the rest (``UnsupportedPolicy``): a
policy element that is silently ignored would make a test pass that AWS would fail.
Rules: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import enum
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_STATEMENT_KEYS = {"Sid", "Effect", "Action", "Resource", "Condition", "Principal"}


class UnsupportedPolicy(Exception):
    """A policy uses an element that this evaluator does not know."""


class Decision(enum.Enum):
    """What the policies say; the values are AWS's words for the reason of a refusal."""

    ALLOWED = "allowed"
    NOT_ALLOWED = "because no identity-based policy allows the {action} action"
    DENIED = "with an explicit deny in an identity-based policy"


@dataclass(frozen=True)
class Access:
    """One thing somebody wants to do: ``action`` (``eks:DescribeCluster``) on ``resource`` (an ARN, or ``*``).

    ``context`` holds the condition keys that the request brings along, such as ``aws:ResourceTag/team``.
    """

    action: str
    resource: str
    context: Mapping[str, str]


def decide(
    policies: Iterable[Mapping[str, Any]],
    access: Access,
    resource_policies: Iterable[Mapping[str, Any]] = (),
    caller: tuple[str, str] | None = None,
) -> Decision:
    """Evaluate identity policies and the policies of the resource (documents) against ``access``.

    Policies of the resource count where they name the ``caller`` (``("Service", "events.amazonaws.com")``, ``("AWS", arn)``).
    Within one account an allow of either kind is enough, and a deny of either kind wins.
    """
    attached = (statement for policy in policies for statement in _list(policy["Statement"]))
    of_resource = (
        statement for policy in resource_policies for statement in _list(policy["Statement"]) if caller and _names(statement, caller)
    )
    effects = {statement["Effect"] for statement in (*attached, *of_resource) if _applies(statement, access)}
    if "Deny" in effects:
        return Decision.DENIED
    return Decision.ALLOWED if "Allow" in effects else Decision.NOT_ALLOWED


def trusts(trust: Mapping[str, Any], principal: tuple[str, str], context: Mapping[str, str], action: str = "sts:AssumeRole") -> bool:
    """Whether a role's trust policy lets ``principal`` (``("Service", "lambda.amazonaws.com")``) assume it, by ``action``."""
    access = Access(action, "*", context)
    effects = {
        statement["Effect"]
        for statement in _list(trust["Statement"])
        if _names(statement, principal) and _applies({**statement, "Resource": "*"}, access)
    }
    return effects == {"Allow"}


def _names(statement: Mapping[str, Any], principal: tuple[str, str]) -> bool:
    kind, name = principal
    named = statement["Principal"]
    return named == "*" or name in _list(named.get(kind, []))


def _applies(statement: Mapping[str, Any], access: Access) -> bool:
    unknown = set(statement) - _STATEMENT_KEYS
    if unknown:
        raise UnsupportedPolicy(f"statement elements {sorted(unknown)}")
    return (
        any(_like(pattern.lower(), access.action.lower()) for pattern in _list(statement["Action"]))
        and any(_like(pattern, access.resource) for pattern in _list(statement["Resource"]))
        and _conditions_hold(statement.get("Condition", {}), access.context)
    )


def _conditions_hold(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    # Condition keys are case-insensitive up to the slash; tag keys after it are not (for the services used here).
    keyed = {_condition_key(key): value for key, value in context.items()}
    return all(
        _operator(operator)(keyed.get(_condition_key(key)), [str(item) for item in _list(wanted)])
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    )


def _condition_key(key: str) -> str:
    prefix, slash, tag = key.partition("/")
    return prefix.lower() + slash + tag


def _operator(name: str) -> Callable[[str | None, list[str]], bool]:
    try:
        return _OPERATORS[name]
    except KeyError:
        raise UnsupportedPolicy(f"condition operator {name}") from None


_OPERATORS: dict[str, Callable[[str | None, list[str]], bool]] = {
    "StringEquals": lambda value, wanted: value in wanted,
    "StringNotEquals": lambda value, wanted: value not in wanted,
    "StringLike": lambda value, wanted: value is not None and any(_like(item, value) for item in wanted),
    "ArnEquals": lambda value, wanted: value is not None and any(_like(item, value) for item in wanted),
    "ArnLike": lambda value, wanted: value is not None and any(_like(item, value) for item in wanted),
    "Bool": lambda value, wanted: value is not None and value.lower() in [item.lower() for item in wanted],
    "Null": lambda value, wanted: str(value is None).lower() in [item.lower() for item in wanted],
}


def _like(pattern: str, value: str) -> bool:
    if "${" in pattern:
        raise UnsupportedPolicy(f"policy variable in {pattern!r}")
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, value, re.DOTALL) is not None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
