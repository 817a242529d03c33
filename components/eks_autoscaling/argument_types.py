"""Whether arguments are what their TypedDict says: names that it knows, none missing that it requires, values of the right kind.

Pure. Python looks at no annotation when a program runs: a misspelt argument would be ignored, a text taken for a list of letters, and the
text "false" for true. Values of programs in other languages arrive with the names of Python, and with every number as a float.

What comes from another resource (an ``Output``, or an awaitable) is only known later: it passes where a type says ``pulumi.Input``, and is
not looked into.
"""

import types
from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints, is_typeddict

import pulumi

from eks_autoscaling.misuse import MISSING, ArgumentError, is_known_later

Rule = Callable[[str, Any], None]
"""Refuses (ArgumentError) a value of the right kind under the name of its argument."""


def check(args: object, shape: Any, rules: Mapping[str, Rule]) -> None:
    """Refuse (ArgumentError) ``args`` that ``shape``, a TypedDict, does not allow, and then what the ``rules`` refuse.

    ``rules`` are by name of an argument, in ``shape`` and in every TypedDict within it.
    """
    _Walk(rules).require("args", args, shape)


def _is_whole(value: object) -> bool:
    return _is_number(value) and float(value).is_integer()  # type: ignore[arg-type]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_PLAIN: dict[object, tuple[str, Callable[[object], bool]]] = {
    str: ("a text", lambda value: isinstance(value, str)),
    bool: ("True or False, without quotes", lambda value: isinstance(value, bool)),
    int: ("a whole number, without quotes", _is_whole),
    float: ("a number, without quotes", _is_number),
    type(None): ("None", lambda value: value is None),
}
_LISTS: Collection[object] = (list, Sequence)
_DICTIONARIES: Collection[object] = (dict, Mapping)
_UNIONS: Collection[object] = (Union, types.UnionType)


class _Walk:
    """Goes through a value and its type side by side; stops at the first fault."""

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self._rules = rules
        self._may_be_left_out: set[str] = set()

    def require(self, where: str, value: object, kind: Any) -> None:
        """Refuse a ``value`` that is not of this ``kind``; ``where`` is what the error calls it."""
        origin = get_origin(kind)
        if is_typeddict(kind):
            self._require_typed(where, value, kind)
        elif origin in _UNIONS:
            self._require_one_of(where, value, get_args(kind))
        elif origin in _LISTS:
            self._require_list(where, value, kind)
        elif origin in _DICTIONARIES:
            self._require_dictionary(where, value, kind)
        elif not _is_of(value, kind):
            self._refuse(where, value, kind)

    def _require_typed(self, where: str, value: object, shape: Any) -> None:
        if not isinstance(value, Mapping):
            self._refuse(where, value, shape)
        known, prefix = hints(shape), "" if where == "args" else f"{where}."
        for name in value:
            if name not in known:
                raise ArgumentError(f"{prefix}{name}", value[name], f"no such argument; {_nearest(str(name), known)}")
        for name in sorted(shape.__required_keys__ - value.keys(), key=list(known).index):
            raise ArgumentError(f"{prefix}{name}", MISSING, f"it is required: write {_form(known[name])}")
        self._may_be_left_out |= {f"{prefix}{name}" for name in shape.__optional_keys__}
        for name, item in value.items():
            self.require(f"{prefix}{name}", item, known[name])
            if name in self._rules:
                self._rules[name](f"{prefix}{name}", item)

    def _require_one_of(self, where: str, value: object, kinds: Sequence[Any]) -> None:
        faults = []
        for kind in kinds:
            try:
                return self.require(where, value, kind)
            except ArgumentError as fault:
                faults.append(fault)
        # What the value is itself stands before what it may become: Input[str] is a text first.
        raise faults[0]

    def _require_list(self, where: str, value: object, kind: Any) -> None:
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            self._refuse(where, value, kind)
        for index, item in enumerate(value):
            self.require(f"{where}[{index}]", item, get_args(kind)[0])

    def _require_dictionary(self, where: str, value: object, kind: Any) -> None:
        if not isinstance(value, Mapping):
            self._refuse(where, value, kind)
        for name, item in value.items():
            if not isinstance(name, str):
                raise ArgumentError(where, name, f'keys are texts: write "{name}"')
            self.require(f"{where}[{name!r}]", item, get_args(kind)[1])

    def _refuse(self, where: str, value: object, kind: Any) -> NoReturn:
        remedy = f"write {_form(kind)}"
        if is_known_later(value):
            remedy += " that the program knows: the preview checks it, when outputs of other resources are not known yet"
        elif isinstance(value, str) and get_origin(kind) in _LISTS:
            remedy += f", such as [{value!r}]"
        elif kind is str and _is_number(value):
            remedy += f', such as "{value}"'
        elif value is None and where in self._may_be_left_out:
            remedy += ", or leave it out"
        raise ArgumentError(where, value, remedy)


@cache
def hints(shape: Any) -> dict[str, Any]:
    """Names and types of a TypedDict, without what says that a name may be absent."""
    # Pulumi's Input names these two in quotes.
    return get_type_hints(shape, localns={"Output": pulumi.Output, "T": Any})


def _is_of(value: object, kind: Any) -> bool:
    if kind is Any:
        return True
    if kind in _PLAIN:
        return _PLAIN[kind][1](value)
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    return isinstance(value, get_origin(kind) or kind)


def _form(kind: Any) -> str:
    """What a value of this kind is, in words."""
    origin = get_origin(kind)
    if origin in _UNIONS:
        return _form(get_args(kind)[0])
    if is_typeddict(kind):
        required = [name for name in hints(kind) if name in kind.__required_keys__]
        return f"a dictionary with {' and '.join(required)}" if required else "a dictionary"
    if origin in _LISTS:
        return "a list"
    if origin in _DICTIONARIES:
        return "a dictionary"
    if origin is Literal:
        return f"one of {', '.join(get_args(kind))}"
    return _PLAIN[kind][0] if kind in _PLAIN else f"a {kind.__module__.partition('.')[0]}.{kind.__name__}"


def _nearest(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, known, n=1, cutoff=0.7)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
