"""The documents for readers, taken apart: fenced blocks, commands with the screen that follows, headings, links, tables."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Command:
    """A command of a console block and the lines shown below it; a line of three dots stands for any lines."""

    words: str
    shown: tuple[str, ...] = ()


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    """Texts of the fenced blocks in a language."""
    return [text for kind, text in _FENCE.findall(page.read_text()) if kind == language]


def commands(page: Path) -> Iterator[Command]:
    """Commands of the console blocks, in order."""
    for block in blocks(page, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            words, *shown = part.rstrip("\n").split("\n")
            yield Command(words, tuple(shown))


def links(page: Path) -> list[str]:
    """Targets of the links outside of fenced blocks."""
    return _LINK.findall(_FENCE.sub("", page.read_text()))


def headings(page: Path, level: int) -> list[str]:
    """Texts of the headings of one level."""
    return re.findall(rf"^{'#' * level} (.+)$", _FENCE.sub("", page.read_text()), flags=re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    titles = [title for level in (1, 2, 3) for title in headings(page, level)]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def rows(text: str) -> list[list[str]]:
    """Cells of the table rows in a text, headers left out."""
    lines = [line.strip() for line in text.splitlines()]
    kept = [line for line in lines if line.startswith("|") and not line.startswith("|---")]
    heads = {lines[index - 1] for index, line in enumerate(lines) if line.startswith("|---")}
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in kept if line not in heads]


def section(page: Path, mark: str) -> str:
    """The text between ``<!-- mark -->`` and the next ``<!-- end -->``."""
    found = re.search(rf"<!-- {mark} -->\n(.*?)<!-- end -->", page.read_text(), re.DOTALL)
    assert found, f"{named(page)} has no section {mark}"
    return found[1]


def codes(text: str) -> list[str]:
    """Texts in backticks."""
    return re.findall(r"`([^`\n]+)`", text)


def same_as_written(page: Path, written: str, now: str) -> None:
    """Compare a part of a page with what the code says; RECORD_DOCS writes it."""
    if os.environ.get("RECORD_DOCS"):
        page.write_text(page.read_text().replace(written, now))
    else:
        assert written == now, "RECORD_DOCS=1 pytest tests/test_docs.py tests/test_reference_pages.py writes it anew"
