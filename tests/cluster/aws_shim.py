"""The HTTP front of the AWS world: knows the caller, refuses what IAM refuses, answers what moto cannot, records all.

Everything else goes to moto as it came. One address serves every AWS service, as AWS_ENDPOINT_URL wants it.
"""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import urllib3
from botocore.exceptions import ClientError
from moto.core.request import Request
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response

from tests.cluster import aws_protocol, principals
from tests.cluster.aws_guard import Guard
from tests.cluster.aws_protocol import AwsError, Parsed
from tests.cluster.principals import Principal, Principals

Answer = Callable[[Parsed, Principal], dict[str, Any] | None]
_HOP_HEADERS = {"connection", "transfer-encoding", "content-length", "content-encoding", "server", "date"}


@dataclass(frozen=True)
class Call:
    """One request that reached the world, and how it ended (``error``: AWS's code, None when it succeeded).

    ``at`` is when it was answered, in seconds since the epoch.
    """

    service: str
    operation: str
    principal: str
    params: dict[str, Any]
    error: str | None
    at: float

    @property
    def is_write(self) -> bool:
        """Whether the call was made to change something."""
        return not self.operation.startswith(("Describe", "Get", "List", "AssumeRole"))


class Shim:
    """A WSGI application in front of moto's server at ``moto_url``.

    ``answers`` maps (service, operation) to what answers instead of moto; None from an answer passes the request on.
    """

    def __init__(self, moto_url: str, known: Principals, guard: Guard, answers: dict[tuple[str, str], Answer]) -> None:
        self._moto_url = moto_url
        self._principals = known
        self._guard = guard
        self._answers = answers
        self._http = urllib3.PoolManager(maxsize=16, retries=False)
        self._lock = threading.Lock()
        self._calls: list[Call] = []

    @property
    def calls(self) -> list[Call]:
        """Every call so far, oldest first."""
        with self._lock:
            return list(self._calls)

    def forget_calls(self) -> None:
        """Start the record anew."""
        with self._lock:
            self._calls = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        request = Request(environ)
        request.get_data(cache=True)
        return self._respond(request)(environ, start_response)

    def _respond(self, request: Request) -> Response:
        try:
            parsed = aws_protocol.read(request)
        except AwsError as refused:
            return aws_protocol.write_error("query", refused)
        except NotFound:
            return aws_protocol.write_error("rest-json", AwsError("UnknownOperationException", f"{request.method} {request.path}", 404))
        try:
            principal = self._principals.of(parsed.access_key)
        except AwsError as refused:
            return self._failed(parsed, parsed.access_key, refused)
        try:
            self._guard.check(principal, parsed)
            result = self._result(parsed, principal)
        except AwsError as refused:
            return self._failed(parsed, principal.arn, refused)
        except ClientError as failed:
            return self._failed(parsed, principal.arn, _as_aws_error(failed))
        response = self._forward(request) if result is None else aws_protocol.write(parsed, result)
        self._record(parsed, principal.arn, None if response.status_code < 400 else str(response.status_code))
        return response

    def _result(self, parsed: Parsed, principal: Principal) -> dict[str, Any] | None:
        if parsed.operation == "AttachRolePolicy":
            principals.know_managed_policy(parsed.params["PolicyArn"])
        answer = self._answers.get((parsed.service, parsed.operation))
        return answer(parsed, principal) if answer is not None else None

    def _forward(self, request: Request) -> Response:
        url = self._moto_url + request.raw_path
        if request.query_string:
            url += "?" + request.query_string.decode()
        headers = {name: value for name, value in request.headers if name.lower() != "accept-encoding"}
        answer = self._http.request(request.method, url, headers=headers, body=request.get_data(), redirect=False)
        kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in _HOP_HEADERS]
        return Response(answer.data, answer.status, kept)

    def _failed(self, parsed: Parsed, principal: str, error: AwsError) -> Response:
        self._record(parsed, principal, error.code)
        return aws_protocol.write_error(parsed.protocol, error)

    def _record(self, parsed: Parsed, principal: str, error: str | None) -> None:
        now = time.time()  # noqa: TID251 - tests compare it with the times of other logs
        with self._lock:
            self._calls.append(Call(parsed.service, parsed.operation, principal, parsed.params, error, now))


def _as_aws_error(failed: ClientError) -> AwsError:
    error = failed.response["Error"]
    return AwsError(error["Code"], error["Message"], failed.response["ResponseMetadata"]["HTTPStatusCode"])
