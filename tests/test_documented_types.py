"""Type checkers accept the programs that the documents show, and refuse what the components do not take."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import PAGES, ROOT, blocks, named

WRONG = """
from eks_autoscaling import Autoscaler

Autoscaler("scan", {"cluster": {"name": "shop", "arn": "arn:aws:eks:eu-west-1:123456789012:cluster/shop"}, "memory_size": 512})
"""


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What mypy says in strict mode, by page: of each program shown, and of one that is wrong."""
    folder = tmp_path_factory.mktemp("programs")
    programs = {f"{re.sub(r'[^a-z]', '_', named(page).lower())}_{number}": text for page, number, text in shown()}
    for name, text in {**programs, "wrong": WRONG}.items():
        (folder / f"{name}.py").write_text(text)
    files = sorted(str(path) for path in folder.glob("*.py"))
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "--show-absolute-path", *files]
    environment = {**os.environ, "MYPYPATH": str(folder)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        found.setdefault(Path(line.partition(":")[0]).stem, []).append(line)
    return found


def shown() -> list[tuple[Path, int, str]]:
    return [(page, number, text) for page in PAGES for number, text in enumerate(blocks(page, "python"))]


def test_a_type_checker_accepts_every_program_shown(complaints: dict[str, list[str]]) -> None:
    assert len(shown()) >= 3
    assert {name: lines for name, lines in complaints.items() if name != "wrong"} == {}
    assert [named(page) for page, _, text in shown() if "type: ignore" in text] == []


def test_a_type_checker_refuses_an_argument_that_does_not_exist(complaints: dict[str, list[str]]) -> None:
    assert '"memory_size"' in "\n".join(complaints["wrong"])
