"""Screens of every width: nothing is lost on a narrow one, and programs get their output as it is."""

import io
import json
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from lambda_autoscaler.cli.screen import Column, Screen
from tests.cli.screens import Terminal

COLUMNS = (Column(), Column("NODE GROUP"), Column("NOW", right=True), Column("00:00     01:00"), Column("WHY", folds=True))
ROWS = (
    ("▲", "spot-4vcpu-16gb-in-a-long-name", "2", "░░▒▒██", "14 pods; least waste (expander least-waste); eks-spot-115c3f26-2070-5961"),
    ("", "on-demand", "12,345", "██████", ""),
)


def characters(text: str) -> Counter[str]:
    return Counter("".join(text.split()))


def shown(width: int) -> str:
    written = io.StringIO()
    Screen(Console(file=written, width=width)).table(COLUMNS, ROWS)
    return written.getvalue()


def test_no_character_is_lost_at_any_width() -> None:
    screens = {width: shown(width) for width in (1, 2, 5, *range(10, 140))}
    cells = characters("".join(cell for row in ROWS for cell in row))
    assert {width: cells - characters(screen) for width, screen in screens.items() if cells - characters(screen)} == {}
    assert [width for width, screen in screens.items() if max(map(len, screen.splitlines())) > width] == []


def test_a_row_that_does_not_fit_is_a_block_of_lines_with_titles() -> None:
    assert [line.rstrip() for line in shown(40).splitlines()] == [
        "▲ spot-4vcpu-16gb-in-a-long-name",
        "    NOW 2",
        "    00:00     01:00 ░░▒▒██",
        "    WHY 14 pods; least waste (expander",
        "    least-waste);",
        "    eks-spot-115c3f26-2070-5961",
        "on-demand",
        "    NOW 12,345",
        "    00:00     01:00 ██████",
    ]


@pytest.mark.parametrize("width", ["40", "60"])
def test_narrow_terminals_get_every_name_and_number(
    terminal: Terminal, tutorial_snapshot: Path, width: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    plan = terminal.type("plan", str(tutorial_snapshot))[1]
    assert "▲ spot-4vcpu-16gb\n" in "\n".join(line.rstrip() for line in plan.splitlines())
    types = terminal.type("types", "--vcpus", "4", "--memory", "16")[1]
    assert all(name in types for name in ("m7i-flex.xlarge", "x86_64", "nitro"))
    lanes = terminal.type("demo")[1].partition("Nodes over time")[2]
    assert lanes.count("spot-4vcpu-16gb") >= 7
    assert lanes.count("ready at") == 5


@pytest.mark.parametrize("columns", ["0", "1", "20"])
def test_programs_get_their_documents_whatever_the_terminal_is_like(
    terminal: Terminal, tutorial_snapshot: Path, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = [("plan", str(tutorial_snapshot), "-o", form) for form in ("json", "yaml")]
    commands += [("types", "--vcpus", "4", "--memory", "16", "-o", form) for form in ("json", "python")]
    wide = [terminal.type(*command)[:2] for command in commands]
    assert json.loads(wide[0][1])["scale_up"]
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR")
    assert [terminal.type(*command)[:2] for command in commands] == wide


def test_a_terminal_of_no_columns_counts_as_one_of_80(terminal: Terminal, tutorial_snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screens = []
    for columns in ("0", "80"):
        monkeypatch.setenv("COLUMNS", columns)
        screens.append(terminal.type("explain", "group/spot-4vcpu-16gb", "--snapshot", str(tutorial_snapshot))[1])
    assert screens[0] == screens[1] != ""
