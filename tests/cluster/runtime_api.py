"""The HTTP endpoint through which AWS Lambda talks to the runtime client inside an execution environment.

The Lambda runtime API, version 2018-06-01: the client long-polls ``next``, gets one event with the invocation's
facts in headers, and answers with ``response`` or ``error``; an import that fails is reported to ``init/error``.
One server serves one execution environment, as on AWS, so at most one invocation is in flight.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PREFIX = "/2018-06-01/runtime/"
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Request:
    """One invocation as the client sees it; the deadline is Unix time in milliseconds."""

    request_id: str
    payload: bytes
    deadline_ms: int
    function_arn: str
    trace_id: str

    def headers(self) -> dict[str, str]:
        """Return the headers that carry the context."""
        return {
            "Lambda-Runtime-Aws-Request-Id": self.request_id,
            "Lambda-Runtime-Deadline-Ms": str(self.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": self.function_arn,
            "Lambda-Runtime-Trace-Id": self.trace_id,
            "Content-Type": "application/json",
        }


@dataclass(frozen=True)
class Answer:
    """What the client posted: the handler's result, or the description of its error."""

    body: bytes
    is_error: bool
    at: float
    """When it came, by the monotonic clock, in seconds."""


class RuntimeApi:
    """A Runtime API server on a free port of the loopback interface, answered by threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._pending: Request | None = None
        self._in_flight: Request | None = None
        self._idle = False
        self._closed = False
        self._answer: Answer | None = None
        self.init_error: Answer | None = None
        api = self

        class Handler(_Handler):
            runtime = api

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(POLL_SECONDS,), daemon=True).start()

    @property
    def address(self) -> str:
        """``host:port``, the value of AWS_LAMBDA_RUNTIME_API."""
        return f"127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Let go of the client's connections and stop."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def wait_until_idle(self, until: float, is_alive: Callable[[], bool]) -> bool:
        """Wait until the client asks for an event; False when it died, failed its init, or the time is over."""
        self._wait(lambda: self._idle or self.init_error is not None, until, is_alive)
        return self._idle

    def send(self, request: Request) -> None:
        """Hand the waiting client its next event."""
        with self._changed:
            self._pending, self._answer = request, None
            self._changed.notify_all()

    def wait_for_answer(self, until: float, is_alive: Callable[[], bool]) -> Answer | None:
        """Return the client's answer to the event; None when it died or the time is over."""
        self._wait(lambda: self._answer is not None, until, is_alive)
        return self._answer

    def _wait(self, condition: Callable[[], bool], until: float, is_alive: Callable[[], bool]) -> None:
        """Wait for a condition; ``until`` is a moment of the monotonic clock."""
        with self._changed:
            while not condition() and time.monotonic() < until and is_alive():
                self._changed.wait(POLL_SECONDS)

    # Called from the handler's threads.

    def next(self) -> Request | None:
        """Block until there is an event; None when the environment is gone."""
        with self._changed:
            self._idle = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._pending is not None or self._closed)
            self._in_flight, self._pending, self._idle = self._pending, None, False
            return None if self._closed else self._in_flight

    def answer(self, request_id: str, answer: Answer) -> bool:
        """Take an answer; False when it is to another invocation than the one in flight."""
        with self._changed:
            if self._in_flight is None or self._in_flight.request_id != request_id:
                return False
            self._answer, self._in_flight = answer, None
            self._changed.notify_all()
            return True

    def fail_init(self, answer: Answer) -> bool:
        """Take the report of a failed init."""
        with self._changed:
            self.init_error = answer
            self._changed.notify_all()
            return True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are two writes: with Nagle's algorithm each answer would wait 40 ms for the first's acknowledgement.
    disable_nagle_algorithm = True
    runtime: RuntimeApi

    def do_GET(self) -> None:
        if self.path != f"{PREFIX}invocation/next":
            self._reply(404, {})
            return
        request = self.runtime.next()
        if request is None:
            self.close_connection = True
            return
        self._reply(200, request.headers(), request.payload)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        what = self.path.removeprefix(PREFIX).split("/")
        taken = False
        if what == ["init", "error"]:
            taken = self.runtime.fail_init(Answer(body, is_error=True, at=time.monotonic()))
        elif len(what) == 3 and what[0] == "invocation" and what[2] in ("response", "error"):
            answer = Answer(body, is_error=what[2] == "error", at=time.monotonic())
            taken = self.runtime.answer(what[1], answer)
        self._reply(202 if taken else 400, {"Content-Type": "application/json"}, json.dumps({"status": "OK"}).encode())

    def _reply(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""
