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


def test_an_unknown_context_is_told_before_anything_about_the_cluster(terminal: Terminal, kubernetes: ObjectStore) -> None:
    code, _, err = terminal.type("plan", "--context", "nope")
    assert code == 2
    assert "has no context 'nope' (it has: " in err
    assert "--cluster-name" not in err
    assert kubernetes.requests == []


def test_an_unknown_context_or_profile_is_named(terminal: Terminal, kubernetes: ObjectStore) -> None:
    assert "nowhere" in terminal.type("plan", "--context", "nowhere", "--cluster-name", "x")[2]
    assert "nobody" in terminal.type("plan", "--profile", "nobody")[2]
    assert kubernetes.writes() == []


PROFILES = """
[profile nowhere]
[profile odd-region]
region = us east 1
[profile process]
region = us-east-1
credential_process = /nowhere/program
[profile words]
region = us-east-1
credential_process = echo words
[profile failing]
region = us-east-1
credential_process = false
[profile session]
region = us-east-1
sso_session = unknown
sso_account_id = 123456789012
sso_role_name = reader
[profile signed-out]
region = us-east-1
sso_start_url = https://sso.invalid
sso_region = us-east-1
sso_account_id = 123456789012
sso_role_name = reader
[profile dangling]
region = us-east-1
role_arn = arn:aws:iam::123456789012:role/reader
source_profile = gone
[profile half]
region = us-east-1
aws_access_key_id = a
"""
UNUSABLE = {
    "odd-region": "us east 1",
    "process": "/nowhere/program",
    "words": "the AWS configuration cannot be used",
    "failing": "no usable AWS credentials",
    "session": '"unknown"',
    "signed-out": "https://sso.invalid",
    "dangling": '"gone"',
    "half": "aws_secret_access_key",
}


@pytest.fixture
def profiles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(PROFILES)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)


@pytest.mark.usefixtures("profiles")
@pytest.mark.parametrize(("profile", "named"), [*UNUSABLE.items(), ("nowhere", "no AWS region: set AWS_REGION")])
def test_an_aws_profile_that_cannot_be_used_is_one_line(terminal: Terminal, tmp_path: Path, profile: str, named: str) -> None:
    code, out, err = terminal.type("catalogue", str(tmp_path / "types.csv"), "--profile", profile)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert named in err
    assert not (tmp_path / "types.csv").exists()


@pytest.mark.parametrize("profile", ["odd-region", "process", "dangling"])
def test_a_plan_with_such_a_profile_says_the_same(
    terminal: Terminal, kubernetes: ObjectStore, request: pytest.FixtureRequest, profile: str
) -> None:
    request.getfixturevalue("profiles")
    code, out, err = terminal.type("plan", "--profile", profile)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert UNUSABLE[profile] in err
    assert "::" not in err
    assert kubernetes.writes() == []


@pytest.mark.usefixtures("profiles")
@pytest.mark.parametrize(("variable", "value"), [("AWS_ENDPOINT_URL", "nonsense"), ("AWS_MAX_ATTEMPTS", "many")])
def test_an_aws_variable_that_cannot_be_used_is_one_line(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    code, _, err = terminal.type("catalogue", str(tmp_path / "types.csv"), "--region", "us-east-1")
    assert (code, err.count("\n")) == (2, 1)
    assert value in err
