"""Fixtures of tests that run on the real control plane."""

from collections.abc import Iterator

import lightkube
import pytest

from tests.cluster.binaries import Binaries, BinariesUnavailable, build
from tests.cluster.control_plane import ControlPlane
from tests.tiers import unavailable


@pytest.fixture(scope="session")
def binaries() -> Binaries:
    """The control plane's programs; skips, or fails under CI, where they cannot be had."""
    try:
        return build()
    except BinariesUnavailable as reason:
        unavailable(str(reason))


@pytest.fixture(scope="module")
def control_plane(binaries: Binaries) -> Iterator[ControlPlane]:
    """A complete control plane, shared by the tests of one file."""
    with ControlPlane(binaries) as running:
        yield running


@pytest.fixture
def admin(control_plane: ControlPlane) -> Iterator[lightkube.Client]:
    """The shared control plane's administrator."""
    with control_plane.client() as client:
        yield client
