"""The page of the components, written from their classes: arguments and outputs with types and docstrings.

Types are shown as the classes spell them. A class is read as source, since docstrings below a field exist nowhere else.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args, is_typeddict

import pulumi

import eks_autoscaling


@dataclass(frozen=True)
class Field:
    """A field of an arguments class, or an output of a component."""

    name: str
    type: str
    required: bool
    meaning: str


def components() -> list[str]:
    """Names of the exported components."""
    return [name for name in eks_autoscaling.__all__ if issubclass(getattr(eks_autoscaling, name), pulumi.ComponentResource)]


def arguments_class(component: str) -> Any:
    """The class of a component's arguments."""
    return inspect.get_annotations(getattr(eks_autoscaling, component).__init__)["args"]


def nested_types() -> list[Any]:
    """Classes of objects within arguments, sorted by name."""
    found = {cls.__name__: cls for component in components() for cls in _within(arguments_class(component))}
    return [found[name] for name in sorted(found)]


def _within(cls: Any) -> Iterator[Any]:
    for annotation in inspect.get_annotations(cls).values():
        for part in _parts(annotation):
            if is_typeddict(part):
                yield part
                yield from _within(part)


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for argument in get_args(annotation):
        yield from _parts(argument)


def fields(cls: Any) -> list[Field]:
    """The annotated fields of a class with their docstrings, empty where there is none."""
    (parsed,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(parsed, ast.ClassDef)
    found = []
    for statement, following in zip(parsed.body, [*parsed.body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            spelled = ast.unparse(statement.annotation)
            found.append(Field(statement.target.id, _readable(spelled), not spelled.startswith("NotRequired["), _docstring(following)))
    return found


def undocumented() -> list[str]:
    """What is exported, or is a field of it, and has no docstring."""
    classes = [*(getattr(eks_autoscaling, name) for name in components()), *map(arguments_class, components()), *nested_types()]
    silent = [cls.__name__ for cls in classes if not cls.__doc__]
    return silent + [f"{cls.__name__}.{field.name}" for cls in classes for field in fields(cls) if not field.meaning]


def page() -> str:
    """The generated part of the page."""
    return "\n".join([*_components(), *_types()]) + "\n"


def _components() -> Iterator[str]:
    shown: dict[Any, str] = {}
    for component in components():
        cls, arguments = getattr(eks_autoscaling, component), arguments_class(component)
        yield from (f"## {component}", "", _prose(inspect.getdoc(cls) or ""), "")
        if arguments in shown:
            yield f"Takes `{arguments.__name__}`, the arguments of [{shown[arguments]}](#{shown[arguments].lower()})."
        else:
            shown[arguments] = component
            yield from (f"Arguments (`{arguments.__name__}`):", "", *_inputs(arguments))
        yield from ("", "| output | type | |", "|---|---|---|")
        yield from (f"| `{field.name}` | `{field.type}` | {field.meaning} |" for field in fields(cls))
        yield ""


def _types() -> Iterator[str]:
    yield from ("## Objects within arguments", "")
    known = {arguments_class(component) for component in components()}
    for cls in nested_types():
        if cls not in known:
            yield from (f"### {cls.__name__}", "", _prose(inspect.getdoc(cls) or ""), "", *_inputs(cls), "")
    yield from ("## Errors", "", f"`ArgumentError`: {_prose(inspect.getdoc(eks_autoscaling.ArgumentError) or '')}")


def _inputs(cls: Any) -> Iterator[str]:
    yield from ("| argument | type | required | |", "|---|---|---|---|")
    for field in fields(cls):
        yield f"| `{field.name}` | `{field.type}` | {'yes' if field.required else 'no'} | {field.meaning} |"


def _readable(annotation: str) -> str:
    """An annotation without the names of modules, and without what the other columns say."""
    bare = re.sub(r"^NotRequired\[(.*)\]$", r"\1", annotation)
    bare = re.sub(r"\b(?:pulumi|kubernetes)\.(?=[A-Z])", "", bare.replace("kubernetes.Provider", "pulumi_kubernetes.Provider"))
    return re.sub(r"^Output\[(.*)\]$", r"\1", bare.replace(" | None", ""))


def _docstring(statement: ast.stmt | None) -> str:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str):
        return _prose(statement.value.value).replace("|", "\\|")
    return ""


def _prose(docstring: str) -> str:
    """A docstring as Markdown, its lines joined."""
    return " ".join(re.sub(r"``(.+?)``", r"`\1`", docstring).split())
