"""Rows and sentences on a terminal: colours, columns that fit the width, and a word about every row that was cut.

Nothing here knows what the rows mean beyond their marks: ▲ grows, ▼ shrinks, ✓ is well, ✗ is refused.
"""

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

NAME = "lambda-autoscaler"
ROWS_SHOWN = 20
DETAIL_COLUMN, DETAIL_INDENT = 40, 9
LEAST_FOLDED = 14
GAP, BLOCK_INDENT = 2, 4
UNKNOWN_WIDTH = 80
STYLES = {"▲": "bold green", "▼": "bold yellow", "✗": "bold red", "✓": "bold green"}
_Row = TypeVar("_Row")


def program_name() -> str:
    """The command as the user would type it here: its name when that is what the shell finds, else the way it was started."""
    started = Path(sys.argv[0])
    if started.name == "__main__.py":
        return f"{Path(sys.executable).name} -m lambda_autoscaler.cli"
    if started.name != NAME or shutil.which(NAME) == str(started):
        return NAME
    return os.path.relpath(started)


class Column(msgspec.Struct, frozen=True):
    """A table column; numbers stand on the right, and ``folds`` columns give way first when the terminal is narrow."""

    title: str = ""
    right: bool = False
    folds: bool = False
    style: str = ""


class Screen:
    """Standard output. ``everything`` shows all rows instead of the first ones."""

    def __init__(self, console: Console, everything: bool = False) -> None:
        if console.width < 1:  # COLUMNS=0, which rich takes at its word
            console.width = UNKNOWN_WIDTH
        self._console = console
        self._everything = everything

    @property
    def is_terminal(self) -> bool:
        """Whether somebody is watching."""
        return self._console.is_terminal

    @property
    def width(self) -> int:
        """Columns of the terminal, 80 where there is none."""
        return self._console.width

    def line(self, text: str = "", mark: str = "", style: str = "") -> None:
        """One paragraph, wrapped at the width, with a coloured mark in front."""
        body = Text(text, style=style)
        self._console.print(Text.assemble((f"{mark} ", STYLES.get(mark, "")), body) if mark else body, soft_wrap=False)

    def moment(self, clock: str, mark: str, text: str, detail: str = "") -> None:
        """A line of a timeline: when, a mark, what, and in a paler tone the detail."""
        line = Text.assemble((clock, "cyan"), "  ", (f"{mark} ", STYLES.get(mark, "")), (text, STYLES.get(mark, "")))
        gap = max(2, DETAIL_COLUMN - len(line))
        if len(line) + gap + len(detail) <= self.width:
            self._console.print(line.append(" " * gap).append(detail, style="dim") if detail else line)
        else:
            self._console.print(line)
            self._indented(Text(detail, style="dim"), DETAIL_INDENT)

    def copyable(self, text: str, style: str = "") -> None:
        """Text that people copy: never wrapped."""
        self._console.print(Text(text, style=style), soft_wrap=True)

    def document(self, text: str) -> None:
        """Text for programs: as it is, whatever the terminal is like."""
        self._console.file.write(f"{text}\n")

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[str]], noun: str = "row") -> None:
        """Rows in columns, or each row as a block of lines where the columns do not fit; a cell that is a mark gets its colour."""
        listed = list(rows)
        shown = self.cut(listed)
        if _least_width(columns, shown) <= self.width:
            self._grid(columns, shown)
        else:
            for row in shown:
                self._block(columns, row)
        self.announce_cut(listed, noun)

    def _grid(self, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
        has_titles = any(column.title for column in columns)
        table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, show_header=has_titles, header_style="dim")
        for column in columns:
            table.add_column(
                column.title,
                justify="right" if column.right else "left",
                no_wrap=not column.folds,
                min_width=LEAST_FOLDED if column.folds else None,
                style=column.style,
                overflow="fold",
            )
        for row in rows:
            table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
        self._console.print(table)

    def _block(self, columns: Sequence[Column], row: Sequence[str]) -> None:
        """The mark and the first cell that is none, then every other cell on a line of its own, with its title in front."""
        cells = [(column, cell) for column, cell in zip(columns, row, strict=True) if cell.strip()]
        marks = [cell for _, cell in cells[:1] if cell in STYLES]
        heads, others = cells[len(marks) : len(marks) + 1], cells[len(marks) + 1 :]
        self.line(" ".join(cell for _, cell in heads), mark="".join(marks))
        for column, cell in others:
            title = Text(f"{column.title} ", style="dim") if column.title else Text()
            self._indented(title.append(cell, style=column.style), BLOCK_INDENT)

    def _indented(self, text: Text, columns: int) -> None:
        self._console.print(Padding(text, (0, 0, 0, min(columns, self.width // 4))))

    def cut(self, rows: Sequence[_Row]) -> Sequence[_Row]:
        """The rows that are shown."""
        return rows if self._everything else rows[:ROWS_SHOWN]

    def announce_cut(self, rows: Sequence[Any], noun: str) -> None:
        """Say how many rows were left out, if any."""
        left_out = len(rows) - len(self.cut(rows))
        if left_out:
            self.line(f"… and {left_out:,} more {noun}{'s' if left_out > 1 else ''}; --all shows them", style="dim")


def _least_width(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> int:
    """Columns of a terminal on which no cell loses a character."""
    widths = []
    for index, column in enumerate(columns):
        widest = max(cell_len(text) for text in (column.title, *(row[index] for row in rows)))
        widths.append(LEAST_FOLDED if column.folds else widest)
    return sum(widths) + GAP * (len(columns) - 1)
