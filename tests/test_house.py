"""Rules of this repository's own code that no linter knows."""

import ast
import importlib
import pkgutil
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import lambda_autoscaler.core

ROOT = Path(__file__).parents[1]
PACKAGES = (ROOT / "lambda_autoscaler", ROOT / "components")
SOURCES = sorted(path for package in PACKAGES for path in package.rglob("*.py"))
OURS = sorted([*SOURCES, *(ROOT / "stacks").rglob("*.py"), *(ROOT / "tests").rglob("*.py"), ROOT / "tasks.py"])

TOP_LEVEL = {
    *("components", "lambda_autoscaler", "stacks", "tests", "docs", ".ci"),
    *("Pulumi.yaml", "PulumiPlugin.yaml", "pyproject.toml", "uv.lock", "tasks.py", ".gitignore"),
    *("README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md"),
}
FIXED_LAYOUT = {"components", "lambda_autoscaler", "stacks", "tests", "Pulumi.yaml", "pyproject.toml", "README.md"}
# Names that say nothing about the domain.
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "manager", "service", "misc"}
LONGEST_FILE = 400
LONGEST_BODY = 40
MOST_METHODS = 8

Function = ast.FunctionDef | ast.AsyncFunctionDef


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, Function):
            yield node


def body_lines(function: Function) -> int:
    """Lines of a function's body without its docstring."""
    body = function.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def top_level_names() -> set[str]:
    """What git tracks at the top level; a contributor's editor settings are nobody's business."""
    git = shutil.which("git")
    assert git, "this rule is about what git tracks"
    tracked = subprocess.run([git, "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {line.split("/")[0] for line in tracked.splitlines()}


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_file_has_at_most_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize("path", [*SOURCES, ROOT / "tasks.py"], ids=relative)
def test_a_function_body_has_at_most_40_lines(path: Path) -> None:
    assert {f.name: body_lines(f) for f in functions(path) if body_lines(f) > LONGEST_BODY} == {}


def test_body_lines_counts_the_body_only() -> None:
    function = ast.parse('def f():\n    """Say."""\n    a = 1\n\n    return a\n').body[0]
    assert isinstance(function, ast.FunctionDef)
    assert body_lines(function) == 3


def test_every_struct_of_the_core_is_frozen() -> None:
    modules = pkgutil.walk_packages(lambda_autoscaler.core.__path__, "lambda_autoscaler.core.")
    structs = {
        value
        for module in modules
        for value in vars(importlib.import_module(module.name)).values()
        if isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__module__ == module.name
    }
    assert structs
    assert [struct for struct in structs if not struct.__struct_config__.frozen] == []


def test_every_port_has_at_most_8_methods() -> None:
    tree = ast.parse((ROOT / "lambda_autoscaler" / "ports.py").read_text())
    ports = {
        node.name: sum(isinstance(member, Function) for member in node.body)
        for node in tree.body
        if isinstance(node, ast.ClassDef) and any(isinstance(b, ast.Name) and b.id == "Protocol" for b in node.bases)
    }
    assert ports
    assert {name: methods for name, methods in ports.items() if methods > MOST_METHODS} == {}


@pytest.mark.parametrize("path", OURS, ids=relative)
def test_a_file_of_ours_is_imported_under_one_name(path: Path) -> None:
    """From a clone, ``components.eks_autoscaling`` would import too, as a second copy with classes of its own."""
    assert [name for name in imported_modules(path) if name.split(".")[0] == "components"] == []


def test_no_module_of_ours_is_loaded_twice() -> None:
    loaded: dict[str, list[str]] = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and Path(file) in SOURCES and name != "__main__":
            loaded.setdefault(file, []).append(name)
    assert {file: names for file, names in loaded.items() if len(names) > 1} == {}


def test_the_components_folder_is_no_package() -> None:
    """A third party's own ``components`` must stay importable beside ours."""
    assert not (ROOT / "components" / "__init__.py").exists()
    assert [path.name for path in (ROOT / "components").iterdir() if path.name != "__pycache__"] == ["eks_autoscaling"]


@pytest.mark.parametrize("path", OURS, ids=relative)
def test_a_module_is_named_after_what_it_is_about(path: Path) -> None:
    # A service account is a thing of Kubernetes; a module that is just a service is about nothing.
    words = set(re.split(r"_|/|\.py$", relative(path).replace("service_account", "serviceaccount")))
    assert words & EMPTY_NAMES == set()


@pytest.mark.parametrize("path", OURS, ids=relative)
def test_nothing_is_left_for_later(path: Path) -> None:
    marks = "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3))
    assert re.findall(rf"\b({marks})\b", path.read_text()) == []


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_every_module_says_what_it_does(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git clone")
def test_the_top_level_holds_the_agreed_layout_and_nothing_else() -> None:
    present = top_level_names()
    assert present <= TOP_LEVEL
    assert present >= FIXED_LAYOUT


def test_the_licence_is_the_whole_apache_licence() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert all(f"\n   {number}. " in text for number in range(1, 10))
    assert "END OF TERMS AND CONDITIONS" in text
