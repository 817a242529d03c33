import pytest

pytest_plugins = ["pytester"]

SAMPLE = """
import pytest
from tests.tiers import unavailable

@pytest.fixture
def cluster():
    unavailable("Go is not on PATH")

def test_plain(): pass

@pytest.mark.aws
def test_aws(): pass

@pytest.mark.aws
def test_aws_failing(): assert False

@pytest.mark.control_plane
def test_one(cluster): pass

@pytest.mark.control_plane
def test_two(cluster): pass
"""


@pytest.fixture
def sample(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini("[pytest]\nmarkers =\n  aws\n  control_plane\n")
    pytester.makeconftest(
        "from tests.tiers import TierSummary\ndef pytest_configure(config): config.pluginmanager.register(TierSummary())\n"
    )
    pytester.makepyfile(SAMPLE)
    return pytester


def test_a_run_ends_with_what_each_tier_did_and_why_one_was_skipped(sample: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    result = sample.runpytest()
    result.stdout.fnmatch_lines(
        [
            "*tests by tier*",
            "unit           1 passed",
            "control plane  2 skipped",
            "               2 skipped: Go is not on PATH",
            "aws (moto)     1 passed, 1 failed",
            "*1 failed, 2 passed, 2 skipped in*",
        ]
    )


def test_under_ci_a_tier_that_cannot_run_is_an_error(sample: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    result = sample.runpytest()
    result.stdout.fnmatch_lines(["control plane  2 error"])
    result.stdout.fnmatch_lines(["*under CI every tier must run, and this one cannot: Go is not on PATH*"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED
