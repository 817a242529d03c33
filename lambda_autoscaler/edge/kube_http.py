"""HTTP to one Kubernetes API server: connection pool, TLS, bearer token, and the border where its refusals become our errors.

One request is one method call; nothing is retried here except what is safe and common in a Lambda: a read over a connection that died while
the container was frozen, and a request refused with 401 because the token had just expired. 429 is not retried: a scan that the API server
asks to come back later leaves, the next one is a minute away (API Priority and Fairness; the answer's Retry-After is handed on).
"""

import ssl
import time
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import urllib3
from urllib3.util import Retry, Timeout

from lambda_autoscaler.ports import AutoscalerError, Conflict, Denied, NotFound, Refused, Throttled, Unavailable, Unreachable

USER_AGENT: Final = "eks-autoscaling"
MERGE_PATCH: Final = "application/merge-patch+json"
JSON: Final = "application/json"
_CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 20.0
# A refused or broken connection shows sooner.
QUICK_SECONDS: Final = 1.0


class Connection(msgspec.Struct, frozen=True):
    """Where an API server is and how to be believed there.

    ``token`` gives the bearer token, "" when there is none; called with True it must fetch a new one. ``tls`` None means plain HTTP or the
    system's certificate authorities.
    """

    server: str
    token: Callable[[bool], str]
    tls: ssl.SSLContext | None = None
    origin: str = ""


class Gone(AutoscalerError):
    """410: the snapshot that a list was reading is gone; ``token`` goes on from the same key in a newer one, "" when there is none."""

    def __init__(self, message: str, token: str) -> None:
        super().__init__(message)
        self.token = token


class _StatusMeta(msgspec.Struct, frozen=True):
    token: str = msgspec.field(default="", name="continue")


class _Status(msgspec.Struct, frozen=True):
    message: str = ""
    reason: str = ""
    metadata: _StatusMeta = _StatusMeta()


class KubeHttp:
    """Requests to one API server over kept-alive, gzip-compressed connections; ``read_seconds`` is how long an answer may take.

    A server that was waited for in vain is not asked again for ``silence_seconds``: until then every request is Unreachable at once.
    """

    def __init__(
        self,
        connection: Connection,
        read_seconds: float = READ_SECONDS,
        silence_seconds: float = 0.0,
        clock: Callable[[], float] = time.time,  # noqa: TID251 - an edge
    ) -> None:
        self._connection = connection
        self._silence_seconds = silence_seconds
        self._clock = clock
        self._silent_until = 0.0
        self._server = connection.server.rstrip("/")
        retries = Retry(
            total=1, connect=1, read=1, status=0, redirect=0, other=0, allowed_methods={"GET"}, respect_retry_after_header=False
        )
        self._pool = urllib3.PoolManager(
            maxsize=8,
            ssl_context=connection.tls,
            timeout=Timeout(connect=_CONNECT_SECONDS, read=read_seconds),
            retries=retries,
        )

    def request(self, method: str, path: str, query: Mapping[str, str] | None = None, body: bytes | None = None, kind: str = JSON) -> bytes:
        """Body of the answer to one request; ``kind`` is the content type of ``body``.

        Raises Unreachable, Denied, NotFound, Conflict, Gone, Throttled, Unavailable or Refused.
        """
        answer = self._send(method, path, query, body, kind, renew=False)
        if answer.status == 401 and self._connection.token(False):
            answer = self._send(method, path, query, body, kind, renew=True)
        if answer.status >= 300:
            raise self._refusal(method, path, answer)
        return answer.data

    def _send(  # noqa: PLR0913 - the parts of an HTTP request
        self, method: str, path: str, query: Mapping[str, str] | None, body: bytes | None, kind: str, *, renew: bool
    ) -> urllib3.BaseHTTPResponse:
        began = self._clock()
        if began < self._silent_until:
            raise Unreachable(f"Kubernetes API at {self._server} did not answer a moment ago and is not asked now.")
        headers = {"Accept": JSON, "Accept-Encoding": "gzip", "User-Agent": USER_AGENT}
        if body is not None:
            headers["Content-Type"] = kind
        token = self._connection.token(renew)
        if token:
            headers["Authorization"] = f"Bearer {token}"
        fields = dict(query) if query else None
        url = self._server + path
        try:
            if body is None:
                return self._pool.request(method, url, fields=fields, headers=headers)
            return self._pool.request(method, url, body=body, headers=headers)
        except urllib3.exceptions.HTTPError as fault:
            if self._clock() - began >= QUICK_SECONDS:
                self._silent_until = self._clock() + self._silence_seconds
            raise Unreachable(self._unreachable(fault)) from fault

    def _unreachable(self, fault: urllib3.exceptions.HTTPError) -> str:
        cause: BaseException = fault
        if isinstance(fault, urllib3.exceptions.MaxRetryError) and fault.reason is not None:
            cause = fault.reason
        where = f"Kubernetes API at {self._server}"
        if isinstance(cause, urllib3.exceptions.SSLError):
            return f"{where}: its certificate is not trusted ({cause}): is the certificate authority that of this cluster?"
        return f"{where} does not answer: {cause}. Check that the endpoint is reachable from here (VPC, security group, DNS)."

    def _refusal(self, method: str, path: str, answer: urllib3.BaseHTTPResponse) -> AutoscalerError:
        status = _status_of(answer.data)
        what = f"{method} {path}: {status.message or answer.reason or 'no reason given'} (HTTP {answer.status})"
        match answer.status:
            case 401:
                return Denied(
                    f"{what}. The API server at {self._server} does not know the caller"
                    f"{f' ({self._connection.origin})' if self._connection.origin else ''}: give its IAM role an access entry there."
                )
            case 403:
                return Denied(f"{what}. Allow this verb on this resource in the ClusterRole or Role bound to the caller's group.")
            case 404:
                return NotFound(what)
            case 409:
                return Conflict(what)
            case 410:
                return Gone(what, status.metadata.token)
            case 429:
                return Throttled(what, _retry_after(answer.headers.get("Retry-After")))
            case failed if failed >= 500:
                # Two PodDisruptionBudgets of one pod make its eviction a 500 too: Unavailable counts as that pod's refusal as well.
                return Unavailable(what)
            case _:
                return Refused(what)


def _status_of(body: bytes) -> _Status:
    try:
        return msgspec.json.decode(body, type=_Status)
    except msgspec.DecodeError:
        return _Status(message=body[:200].decode(errors="replace").strip())


def _retry_after(header: str | None) -> float:
    return float(header) if header is not None and header.isdigit() else 1.0


def trusting(ca_pem: bytes | None) -> ssl.SSLContext:
    """TLS that trusts one certificate authority (PEM), or the system's when None. Raises ssl.SSLError when it is no certificate."""
    if ca_pem is None:
        return ssl.create_default_context()
    return ssl.create_default_context(cadata=ca_pem.decode("ascii"))
