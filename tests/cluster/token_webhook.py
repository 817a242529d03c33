"""The TokenReview v1 webhook kube-apiserver asks about bearer tokens it does not know itself."""

import datetime
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from tests.cluster.tokens import Identity, TokenAuthenticator, TokenRefused


class TokenWebhook:
    """Context manager of the webhook's server; ``refusals`` lists why tokens were refused, oldest first."""

    def __init__(self, authenticator: TokenAuthenticator) -> None:
        self.refusals: list[str] = []
        self._authenticator = authenticator
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, name="token-webhook", daemon=True)

    @property
    def url(self) -> str:
        """Where kube-apiserver posts TokenReviews."""
        return f"http://127.0.0.1:{self._server.server_port}/authenticate"

    def write_kubeconfig(self, path: Path) -> Path:
        """Write what ``--authentication-token-webhook-config-file`` takes to ``path`` and return it."""
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "webhook", "cluster": {"server": self.url}}],
            "users": [{"name": "apiserver", "user": {}}],
            "contexts": [{"name": "webhook", "context": {"cluster": "webhook", "user": "apiserver"}}],
            "current-context": "webhook",
        }
        path.write_text(yaml.safe_dump(document))
        return path

    def __enter__(self) -> Self:
        """Serve until the context is left."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _review(self, token: str) -> dict[str, Any]:
        try:
            identity = self._authenticator.authenticate(token)
        except (TokenRefused, BotoCoreError, ClientError, HTTPError) as refused:  # AWS out of reach opens no door
            self.refusals.append(str(refused))
            return {"authenticated": False, "error": str(refused)}
        return {"authenticated": True, "user": _user(identity)}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        review = self._review

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = review(request["spec"]["token"])
                answer = {"apiVersion": request["apiVersion"], "kind": "TokenReview", "status": status}
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: ``refusals`` tells what matters."""

        return Handler


def _user(identity: Identity) -> dict[str, Any]:
    return {
        "username": identity.username,
        "uid": f"aws-iam-authenticator:{identity.role_arn}",
        "groups": list(identity.groups),
        "extra": {"canonicalArn": [identity.role_arn]},
    }


def utc_now() -> datetime.datetime:
    """The clock of a webhook that serves real tokens."""
    return datetime.datetime.now(datetime.UTC)  # noqa: TID251  (an edge: tokens carry wall-clock dates)
