"""The tiers of the tests, and what each of them did.

A tier is a marker: ``control_plane`` wants the real Kubernetes control plane, ``aws`` wants moto, and a
test with neither marker is a unit test. On a workstation a tier whose parts are missing is skipped with
the reason; under ``CI=true`` the same is a failure, so that a green run means that everything ran.
"""

import os
from collections import Counter
from typing import NoReturn

import pytest

UNIT = "unit"
TITLES = {"control_plane": "control plane", "aws": "aws (moto)"}
OUTCOMES = ("passed", "failed", "error", "skipped", "xfailed", "xpassed")


def unavailable(reason: str) -> NoReturn:
    """Skip what is running now because this machine lacks something, or fail it under CI=true.

    Works in fixtures and in tests. ``reason`` names what is missing and how to get it.
    """
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        pytest.fail(f"under CI every tier must run, and this one cannot: {reason}", pytrace=False)
    pytest.skip(reason)


def tier_of(keywords: object) -> str:
    """Return the title of the tier that a report's keywords belong to."""
    for marker, title in TITLES.items():
        if marker in keywords:  # type: ignore[operator]
            return title
    return UNIT


class TierSummary:
    """Prints, before pytest's closing line, how many tests ran on which tier and why others did not."""

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Count the reports per tier and outcome."""
        counts: dict[str, Counter[str]] = {title: Counter() for title in (UNIT, *TITLES.values())}
        reasons: dict[str, Counter[str]] = {title: Counter() for title in counts}
        for outcome in OUTCOMES:
            for report in terminalreporter.stats.get(outcome, []):
                tier = tier_of(getattr(report, "keywords", {}))
                counts[tier][outcome] += 1
                if outcome == "skipped" and isinstance(report.longrepr, tuple):
                    reasons[tier][str(report.longrepr[2]).removeprefix("Skipped: ")] += 1
        terminalreporter.section("tests by tier")
        for tier, outcomes in counts.items():
            terminalreporter.write_line(f"{tier:<14} {describe(outcomes)}")
            for reason, times in reasons[tier].most_common():
                terminalreporter.write_line(f"{'':<14} {times} skipped: {reason}")


def describe(outcomes: Counter[str]) -> str:
    """Say what happened to the tests of one tier: ``12 passed, 1 failed``."""
    return ", ".join(f"{outcomes[name]} {name}" for name in OUTCOMES if outcomes[name]) or "none ran"
