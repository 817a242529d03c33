"""Running the command in this process, and comparing what it shows with recorded screens.

A screen is a plain text file under tests/golden, recorded without colours. ``RECORD_SCREENS=1 pytest tests/cli`` records them anew.
"""

import os
import re
import sys
from pathlib import Path
from unittest import mock

import pytest

from lambda_autoscaler.cli.verbs import run

GOLDEN = Path(__file__).parents[1] / "golden"


class Terminal:
    """The command line of a test: a fixed width, no colours, no kubeconfig, no AWS profile."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def type(self, *words: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of ``lambda-autoscaler WORDS``."""
        self._capsys.readouterr()
        with mock.patch.object(sys, "argv", ["lambda-autoscaler", *words]):
            code = run(words)
        shown = self._capsys.readouterr()
        return code, shown.out, shown.err


def same_as_recorded(name: str, shown: str, folder: Path) -> None:
    """Compare a screen with the recorded one; times of this machine and folders of this run are made equal first."""
    screen = re.sub(r"decided in \d+ ms", "decided in 1 ms", shown).replace(str(folder), "FOLDER")
    screen = "".join(f"{line.rstrip()}\n" for line in screen.splitlines())
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("RECORD_SCREENS"):
        path.write_text(screen)
    assert screen == path.read_text()
