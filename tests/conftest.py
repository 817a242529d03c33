"""Joins the tier summary to every test run."""

import pytest

from tests.tiers import TierSummary


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(TierSummary(), "tier-summary")
