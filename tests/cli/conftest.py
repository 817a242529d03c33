import shutil
from pathlib import Path

import pytest

from tests.cli.screens import Terminal


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Terminal:
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))
    return Terminal(capsys)


@pytest.fixture
def tutorial_snapshot(terminal: Terminal, tmp_path: Path) -> Path:
    """The demo's cluster as it was before it was scaled."""
    folder = tmp_path / "tutorial"
    assert terminal.type("demo", "--snapshot", str(folder))[0] == 0
    return folder


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A copy of a recorded cluster in which some pods are helped by no group."""
    source = Path(__file__).parents[1] / "conformance" / "recorded" / "capped-by-max-size"
    return Path(shutil.copytree(source, tmp_path / "capped"))
