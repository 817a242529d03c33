import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.screens import Terminal
from tests.edge.object_store import ObjectStore

ARN = "arn:aws:eks:us-east-1:123456789012:cluster/prod"


@pytest.fixture
def kubernetes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ObjectStore]:
    """A Kubernetes API behind a kubeconfig with two contexts, and AWS credentials for an endpoint where nobody answers."""
    with ObjectStore() as store, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        path = tmp_path / "kubeconfig"
        path.write_text(f"""
current-context: {ARN}
contexts:
- {{name: "{ARN}", context: {{cluster: c, user: u}}}}
- {{name: kind-dev, context: {{cluster: c, user: u}}}}
clusters:
- {{name: c, cluster: {{server: "{store.url}"}}}}
users:
- {{name: u, user: {{token: t}}}}
""")
        monkeypatch.setenv("KUBECONFIG", str(path))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        yield store


def test_an_aws_that_does_not_answer_is_one_line_naming_it_and_nothing_is_written(terminal: Terminal, kubernetes: ObjectStore) -> None:
    code, out, err = terminal.type("plan")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "127.0.0.1" in err
    assert kubernetes.writes() == []


def test_a_context_that_does_not_tell_the_cluster_needs_its_name(terminal: Terminal, kubernetes: ObjectStore) -> None:
    code, _, err = terminal.type("plan", "--context", "kind-dev")
    assert code == 2
    assert "--cluster-name" in err
    assert kubernetes.requests == []


def test_an_unknown_context_or_profile_is_named(terminal: Terminal, kubernetes: ObjectStore) -> None:
    assert "nowhere" in terminal.type("plan", "--context", "nowhere", "--cluster-name", "x")[2]
    assert "nobody" in terminal.type("plan", "--profile", "nobody")[2]
    assert kubernetes.writes() == []
