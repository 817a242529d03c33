"""The comparison in docs/interruptions.md: every case is there, and is held by a test that exists or says why it needs none."""

import re
from typing import Final

import pytest

from tests.documents import ROOT

PAGE: Final = ROOT / "docs" / "interruptions.md"
# What a case says that no test holds.
REASONS: Final = ("does not apply", "not handled", "*different*: not handled")
CASES: Final = {
    "A": (1, 2, 4, 5, 7, 8, 10, 11, 13, 14, 16, 17, 19, 20),
    "B": (1, 2, 4, 5, 7, 8, 10, 11),
    "C": (1, 2, 4, 5, 7, 8, 10, 11, 13, 14, 16, 17, 19, 20, 22, 23, 25, 26, 28, 29, 31),
    "D": (1, 2, 4, 5, 7, 8, 10, 11),
    "E": (1, 2, 4, 5, 7, 8, 10, 11),
    "F": (1, 2, 4, 5, 7, 8, 10),
}


def rows() -> list[list[str]]:
    table = PAGE.read_text().partition("## How it compares")[2].partition("\n## ")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if re.match(r"\| [A-F]\d", line)]


def held_by(row: list[str]) -> list[str]:
    return re.findall(r"`([\w/]+\.py::\w+)`", row[3])


def test_every_case_is_there_once() -> None:
    listed = [name for row in rows() for name in row[0].split(", ")]
    assert sorted(listed) == sorted(f"{part}{number}" for part, numbers in CASES.items() for number in numbers)


@pytest.mark.parametrize("row", rows(), ids=lambda row: str(row[0]))
def test_a_case_is_held_by_a_test_or_says_why_not(row: list[str]) -> None:
    for test in held_by(row):
        path, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / path).read_text()
    assert held_by(row) or row[2].startswith(REASONS)
