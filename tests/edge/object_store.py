"""A small Kubernetes API: objects by path over real HTTP, with resourceVersion as compare-and-set and merge patches."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from lambda_autoscaler.edge.kube_http import Connection, KubeHttp


class ObjectStore:
    """Context manager; ``objects`` are by path, ``requests`` is what was asked, as (method, path)."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str]] = []
        self._version = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def http(self) -> KubeHttp:
        return KubeHttp(Connection(server=self.url, token=lambda _renew: "test"))

    def writes(self) -> list[tuple[str, str]]:
        return [request for request in self.requests if request[0] != "GET"]

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        with self._lock:
            self.requests.append((method, path))
            if method == "POST":
                path = f"{path}/{body['metadata']['name']}"
            known = self.objects.get(path)
            if method == "POST" and known is not None:
                return 409, {"message": f"{path} already exists"}
            if method != "POST" and known is None:
                return 404, {"message": f"{path} not found"}
            if method == "GET":
                assert known is not None
                return 200, known
            wanted = body.get("metadata", {}).get("resourceVersion")
            if known is not None and wanted and wanted != known["metadata"]["resourceVersion"]:
                return 409, {"message": "the object has been modified"}
            return 200, self._store(path, {**(known or {}), **body} if method == "PATCH" else body)

    def _store(self, path: str, content: dict[str, Any]) -> dict[str, Any]:
        self._version += 1
        content = {**content, "metadata": {**content["metadata"], "resourceVersion": str(self._version)}}
        self.objects[path] = content
        return content

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, content = store.answer(self.command, self.path, json.loads(body or b"{}"))
                data = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                pass

        return Handler
