"""The one error of a wrong argument: it names the argument, its value and what to write instead.

It is raised while a program is being previewed, before anything is declared. Pulumi shows an
``InputPropertyError`` at the line of the resource, without a stack trace.
"""

from collections.abc import Awaitable

import pulumi


class _Missing:
    """The value of an argument that is not there."""

    def __repr__(self) -> str:
        return "missing"


MISSING = _Missing()


class ArgumentError(pulumi.InputPropertyError, ValueError):
    """An argument that cannot work, or that is none; ``argument``, ``value`` and ``remedy`` say which, what and how to fix it."""

    def __init__(self, argument: str, value: object, remedy: str) -> None:
        self.argument = argument
        self.value = value
        self.remedy = remedy
        super().__init__(argument, f"{argument} is {_shown(value)}: {remedy}")

    def __str__(self) -> str:
        return self.reason


def require_within(argument: str, value: object, most: int) -> None:
    """Refuse a ``value`` that is no number from 1 to ``most``."""
    if not isinstance(value, int | float) or not 1 <= int(value) <= int(most):
        raise ArgumentError(argument, value, f"use 1 to {int(most)}")


def is_known_later(value: object) -> bool:
    """Whether a value comes from another resource, which may not be there yet."""
    return isinstance(value, pulumi.Output | Awaitable)


def _shown(value: object) -> str:
    if is_known_later(value):
        return "an output of another resource"
    return f"the resource {type(value).__name__}" if isinstance(value, pulumi.Resource) else repr(value)
