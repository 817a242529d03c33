"""As much TypeScript as the documented programs use: constants, and ``new package.Class("name", { ... })``."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_TOKEN = re.compile(r"""\s*("[^"]*"|[{}\[\],:]|[^{}\[\],:"\s()]+(?:\("[^"]*"\))?)""")
_CONSTANT = re.compile(r"^const (\w+) = (?=\{)", re.MULTILINE)
_NEW = re.compile(r'^(?:const (\w+) = )?new (\w+)\.(\w+)\("(\w+)", (?=\{)', re.MULTILINE)


@dataclass(frozen=True)
class Expression:
    """What is neither a literal nor an object nor a list, such as ``shop.name``."""

    text: str


@dataclass(frozen=True)
class Made:
    """A resource that a program makes: the constant that holds it, if any, its package's alias, class, name and arguments."""

    variable: str | None
    package: str
    type: str
    name: str
    arguments: dict[str, Any]


def resources(program: str) -> Iterator[Made]:
    """The resources of a program, in order; constants that hold objects are put in their places."""
    constants = {found[1]: _literal(program[found.end() :]) for found in _CONSTANT.finditer(program)}
    for found in _NEW.finditer(program):
        arguments = _literal(program[found.end() :])
        given = {name: constants.get(value.text, value) if isinstance(value, Expression) else value for name, value in arguments.items()}
        yield Made(found[1], found[2], found[3], found[4], given)


def _literal(text: str) -> Any:
    return _value(token[1] for token in _TOKEN.finditer(text))


def _value(tokens: Iterator[str]) -> Any:
    token = next(tokens)
    if token == "{":
        return dict(_entries(tokens))
    if token == "[":
        return list(_items(tokens))
    if token.startswith('"'):
        return token.strip('"')
    return int(token) if token.isdecimal() else {"true": True, "false": False}.get(token, Expression(token))


def _entries(tokens: Iterator[str]) -> Iterator[tuple[str, Any]]:
    for token in tokens:
        if token == "}":
            return
        if token != ",":
            assert next(tokens) == ":", f"{token} has no value"
            yield token.strip('"'), _value(tokens)


def _items(tokens: Iterator[str]) -> Iterator[Any]:
    for token in tokens:
        if token == "]":
            return
        if token != ",":
            yield _value(_before(token, tokens))


def _before(token: str, tokens: Iterator[str]) -> Iterator[str]:
    yield token
    yield from tokens
