"""Who the autoscaler says it is."""

import base64
import json
import stat
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest

from lambda_autoscaler.edge.kube_auth import EksToken, eks_connection
from lambda_autoscaler.edge.kubeconfig import Kubeconfig, default_paths
from lambda_autoscaler.ports import BadInput


def sts(**more: Any) -> Any:
    session = boto3.Session(aws_access_key_id="AKID", aws_secret_access_key="secret", aws_session_token="session", region_name="eu-west-1")
    return session.client("sts", **more)


def presigned(token: str) -> str:
    body = token.removeprefix("k8s-aws-v1.")
    return base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)).decode()


def test_the_token_is_a_presigned_caller_identity_that_signs_the_cluster() -> None:
    token = EksToken(sts(), "demo")()
    url = urlsplit(presigned(token))
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert "=" not in token
    assert url.netloc == "sts.eu-west-1.amazonaws.com"
    assert query["Action"] == "GetCallerIdentity"
    assert query["X-Amz-Expires"] == "60"
    assert query["X-Amz-SignedHeaders"] == "host;x-k8s-aws-id"
    assert "demo" not in url.query


def test_tokens_of_different_clusters_differ() -> None:
    signatures = {presigned(EksToken(sts(), name)()).split("X-Amz-Signature=")[1] for name in ("demo", "prod")}
    assert len(signatures) == 2


def test_a_custom_endpoint_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:5000")
    assert presigned(EksToken(sts(), "demo")()).startswith("http://127.0.0.1:5000/?")


def test_a_token_is_renewed_after_ten_minutes_or_on_demand() -> None:
    clock = [1000.0]
    signed: list[str] = []

    class Counting(EksToken):
        def _sign(self) -> str:
            signed.append("")
            return f"token-{len(signed)}"

    token = Counting(sts(), "demo", lambda: clock[0])
    assert [token(), token()] == ["token-1", "token-1"]
    clock[0] += 599
    assert token() == "token-1"
    clock[0] += 1
    assert token() == "token-2"
    assert token(True) == "token-3"


def test_a_cluster_that_is_still_being_made_is_bad_input() -> None:
    answer = json.dumps({"cluster": {"name": "demo", "status": "CREATING"}}).encode()
    with pytest.raises(BadInput, match="demo has no API endpoint: it is CREATING"):
        eks_connection(answer, lambda _renew: "")


def test_a_broken_certificate_authority_is_bad_input() -> None:
    cluster = {"name": "demo", "endpoint": "https://x", "certificateAuthority": {"data": base64.b64encode(b"junk").decode()}}
    with pytest.raises(BadInput, match="certificate authority of EKS cluster demo"):
        eks_connection(json.dumps({"cluster": cluster}).encode(), lambda _renew: "")


def kubeconfig(folder: Path, user: str, *, context: str = "here") -> Path:
    path = folder / "config"
    path.write_text(
        f"current-context: {context}\n"
        "contexts: [{name: here, context: {cluster: c, user: u}}]\n"
        "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n"
        f"users: [{{name: u, user: {user}}}]\n"
    )
    return path


def test_a_kubeconfig_gives_server_and_token(tmp_path: Path) -> None:
    connection = Kubeconfig((kubeconfig(tmp_path, "{token: abc}"),)).connection()
    assert (connection.server, connection.token(False)) == ("http://127.0.0.1:1", "abc")


def test_an_exec_plugin_gives_the_token(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    plugin.write_text('#!/bin/sh\necho "{\\"status\\": {\\"token\\": \\"$1-$WHO\\"}}"\n')
    plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)
    config = kubeconfig(tmp_path, f"{{exec: {{command: {plugin}, args: [for], env: [{{name: WHO, value: me}}]}}}}")
    assert Kubeconfig((config,)).connection().token(False) == "for-me"


def test_an_exec_plugin_that_fails_is_bad_input_with_its_own_words(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    plugin.write_text("#!/bin/sh\necho 'no such profile' >&2\nexit 3\n")
    plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)
    connection = Kubeconfig((kubeconfig(tmp_path, f"{{exec: {{command: {plugin}}}}}"),)).connection()
    with pytest.raises(BadInput, match="failed with 3: no such profile"):
        connection.token(False)


@pytest.mark.parametrize(("context", "words"), [("there", "no context 'there' .it has: here."), ("''", "no current-context")])
def test_a_context_that_is_missing_is_named(tmp_path: Path, context: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        Kubeconfig((kubeconfig(tmp_path, "{}", context=context),)).connection()


def test_a_missing_or_broken_kubeconfig_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no kubeconfig at .*nothing"):
        Kubeconfig((tmp_path / "nothing",))
    (tmp_path / "broken").write_text("contexts: [")
    with pytest.raises(BadInput, match="broken is not a readable kubeconfig"):
        Kubeconfig((tmp_path / "broken",))


def test_kubeconfig_files_are_those_of_kubectl() -> None:
    assert default_paths({"KUBECONFIG": "/a:/b"}) == (Path("/a"), Path("/b"))
    assert default_paths({}) == (Path.home() / ".kube" / "config",)
