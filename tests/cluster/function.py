"""Runs the Lambda's zip as AWS Lambda would: execution environments, cold and warm starts, deadlines, limits.

The process is AWS's own runtime client with the machine's interpreter, in an environment and on a path that hold what
Lambda gives and nothing of the project's. The rules are those of the AWS Lambda developer guide, "Understanding the
Lambda execution environment lifecycle" and "Asynchronous invocation": an environment serves one event at a time and is
kept for the next one, killed at the deadline, and replaced after a crash.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.cluster.lambda_runtime import runtime_folder
from tests.cluster.principals import Credentials
from tests.cluster.runtime_api import Answer, Request, RuntimeApi

INIT_LIMIT_SECONDS = 10.0
MIB = 1024 * 1024


class Throttled(Exception):
    """As many invocations run as the function's reserved concurrency allows (TooManyRequestsException)."""


@dataclass(frozen=True)
class FunctionConfiguration:
    """What a stack declares about a function; the names are those of Lambda's API, with units."""

    name: str
    handler: str
    arn: str
    role_arn: str = ""
    timeout_seconds: float = 60.0
    memory_mib: int = 512
    variables: Mapping[str, str] = field(default_factory=dict)
    reserved_concurrency: int | None = None

    @property
    def region(self) -> str:
        """The region in the function's ARN."""
        return self.arn.split(":")[3]


@dataclass(frozen=True)
class Invocation:
    """What came of one invocation.

    ``error`` is Lambda's error object (errorType, errorMessage, stackTrace), None after success. ``init_seconds`` is
    None on a warm start and not part of ``duration_seconds``. ``max_rss_bytes`` is the peak of the environment so far.
    """

    request_id: str
    result: Any
    error: dict[str, Any] | None
    logs: list[str]
    duration_seconds: float
    init_seconds: float | None
    max_rss_bytes: int

    @property
    def is_cold_start(self) -> bool:
        """Whether a new execution environment was made for it."""
        return self.init_seconds is not None


class Function:
    """A deployed function; a context manager that stops its processes."""

    def __init__(
        self,
        archive: Path,
        configuration: FunctionConfiguration,
        credentials: Credentials,
        endpoint_url: str | None = None,
    ) -> None:
        """Unpack the zip; ``endpoint_url`` becomes AWS_ENDPOINT_URL, the one thing that AWS would not set."""
        self.configuration = configuration
        self.credentials = credentials
        self.endpoint_url = endpoint_url
        self._scratch = tempfile.TemporaryDirectory(prefix="lambda-")
        self.task_root = Path(self._scratch.name, "task")
        with zipfile.ZipFile(archive) as bundle:
            bundle.extractall(self.task_root)
        self._lock = threading.Condition()
        self._is_stopped = False
        self._running = 0
        self._idle: list[_Environment] = []
        self._generation = 0

    def __enter__(self) -> Self:
        """Return the function."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Let the invocations that run end, stop the processes and remove the files."""
        with self._lock:
            self._is_stopped = True
            self._lock.wait_for(lambda: self._running == 0, self.configuration.timeout_seconds + INIT_LIMIT_SECONDS)
        self.recycle()
        self._scratch.cleanup()

    def recycle(self) -> None:
        """Take the environments away, busy ones when they are done, as Lambda does now and then: the next invocation is a cold start."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._generation += 1
        for environment in idle:
            environment.kill()

    def invoke(self, event: dict[str, Any], lineage: str = "") -> Invocation:
        """Invoke synchronously, from any thread; raise Throttled above the reserved concurrency. ``lineage`` ends the trace header."""
        with self._lock:
            limit = self.configuration.reserved_concurrency
            if self._is_stopped:
                raise Throttled(f"{self.configuration.name} is being deleted")
            if limit is not None and self._running >= limit:
                raise Throttled(f"{self.configuration.name}: Rate Exceeded (reserved concurrency {limit})")
            self._running += 1
            environment = self._idle.pop() if self._idle else None
            generation = self._generation
        try:
            environment = environment or _Environment(self, Path(self._scratch.name))
            invocation = environment.serve(json.dumps(event).encode(), lineage)
            self._keep(environment, generation)
            return invocation
        finally:
            with self._lock:
                self._running -= 1
                self._lock.notify_all()

    def _keep(self, environment: "_Environment", generation: int) -> None:
        if not environment.is_alive():
            return
        with self._lock:
            stays = generation == self._generation
            if stays:
                self._idle.append(environment)
        if not stays:
            environment.kill()


class _Environment:
    """One execution environment: a Runtime API endpoint, a process and its log."""

    def __init__(self, function: Function, scratch: Path) -> None:
        self._configuration = function.configuration
        self._name = uuid.uuid4().hex
        self._log = scratch / f"{self._name}.log"
        self._log_offset = 0
        self._max_rss_bytes = 0
        self._was_used = False
        temporary = scratch / self._name
        temporary.mkdir()
        self._api = RuntimeApi()
        self._started = time.monotonic()
        with self._log.open("wb") as log:
            # -S: no site-packages. The task root is the working directory, hence first on the path.
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-m", "awslambdaric", self._configuration.handler],
                cwd=function.task_root,
                env=self._variables(function, temporary),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _variables(self, function: Function, temporary: Path) -> dict[str, str]:
        """Return the process's whole environment: the function's variables, then what Lambda reserves."""
        configuration, credentials = self._configuration, function.credentials
        memory = str(configuration.memory_mib)
        reserved = {
            "_HANDLER": configuration.handler,
            "AWS_LAMBDA_RUNTIME_API": self._api.address,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
            "AWS_LAMBDA_FUNCTION_NAME": configuration.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": memory,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{configuration.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": f"[$LATEST]{self._name}",
            "AWS_REGION": configuration.region,
            "AWS_DEFAULT_REGION": configuration.region,
            **credentials.as_environment(),
            "LAMBDA_TASK_ROOT": str(function.task_root),
            "LAMBDA_RUNTIME_DIR": str(runtime_folder()),
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": str(runtime_folder()),
            # AWS's task root is read-only and its /tmp is each environment's own.
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(temporary),
            "HOME": str(temporary),
        }
        if function.endpoint_url is not None:
            reserved["AWS_ENDPOINT_URL"] = function.endpoint_url
        return {**configuration.variables, **reserved}

    def is_alive(self) -> bool:
        """Whether the process runs; also keeps the peak of its memory, which the kernel forgets with it."""
        if self._process.poll() is None:
            self._max_rss_bytes = max(self._max_rss_bytes, peak_rss_bytes(self._process.pid))
        return self._process.returncode is None

    def kill(self) -> None:
        """End the process at once, as Lambda does, and free the endpoint."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, 9)
            self._process.wait()
        self._api.close()

    def serve(self, payload: bytes, lineage: str) -> Invocation:
        """Answer one event; afterwards the environment is either idle or gone."""
        request_id = str(uuid.uuid4())
        init_seconds = None
        if not self._was_used:
            self._was_used = True
            ready = self._api.wait_until_idle(self._started + INIT_LIMIT_SECONDS, self.is_alive)
            init_seconds = time.monotonic() - self._started
            if not ready:
                return self._fail(request_id, self._init_failure(request_id), 0.0, init_seconds)
        sent = time.monotonic()
        deadline = sent + self._configuration.timeout_seconds
        self._api.send(self._request(request_id, payload, lineage))
        answer = self._api.wait_for_answer(deadline, self.is_alive)
        if answer is None:
            return self._fail(request_id, self._crash(request_id), time.monotonic() - sent, init_seconds)
        # When it asks for the next event, everything that it logged is in the file.
        self._api.wait_until_idle(deadline, self.is_alive)
        self.is_alive()
        if self._max_rss_bytes > self._configuration.memory_mib * MIB:
            return self._fail(request_id, self._out_of_memory(request_id), answer.at - sent, init_seconds)
        return self._invocation(request_id, answer, answer.at - sent, init_seconds)

    def _request(self, request_id: str, payload: bytes, lineage: str) -> Request:
        return Request(
            request_id=request_id,
            payload=payload,
            deadline_ms=int((time.time() + self._configuration.timeout_seconds) * 1000),  # noqa: TID251
            function_arn=self._configuration.arn,
            trace_id=f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};Sampled=0{lineage}",  # noqa: TID251
        )

    def _init_failure(self, request_id: str) -> bytes:
        if self._api.init_error is not None:
            return self._api.init_error.body
        if self.is_alive():
            message = f"RequestId: {request_id} Error: Init timed out after {INIT_LIMIT_SECONDS:.2f} seconds"
            return _error("Sandbox.Timedout", message)
        return self._crash(request_id)

    def _crash(self, request_id: str) -> bytes:
        """Describe, in Lambda's words, an environment that did not answer."""
        if self.is_alive():
            seconds = self._configuration.timeout_seconds
            return _error("Sandbox.Timedout", f"RequestId: {request_id} Error: Task timed out after {seconds:.2f} seconds")
        code = self._process.returncode
        ending = f"signal: {-code}" if code < 0 else f"exit status {code}"
        return _error("Runtime.ExitError", f"RequestId: {request_id} Error: Runtime exited with error: {ending}")

    def _out_of_memory(self, request_id: str) -> bytes:
        return _error("Runtime.OutOfMemory", f"RequestId: {request_id} Error: Runtime exited with error: signal: killed")

    def _fail(self, request_id: str, body: bytes, duration: float, init_seconds: float | None) -> Invocation:
        """Kill the environment and report why."""
        self.kill()
        return self._invocation(request_id, Answer(body, is_error=True, at=0.0), duration, init_seconds)

    def _invocation(self, request_id: str, answer: Answer, duration: float, init_seconds: float | None) -> Invocation:
        value = json.loads(answer.body or b"null")
        return Invocation(
            request_id=request_id,
            result=None if answer.is_error else value,
            error=value if answer.is_error else None,
            logs=self._new_log_lines(),
            duration_seconds=duration,
            init_seconds=init_seconds,
            max_rss_bytes=self._max_rss_bytes,
        )

    def _new_log_lines(self) -> list[str]:
        with self._log.open("rb") as log:
            log.seek(self._log_offset)
            text = log.read()
        self._log_offset += len(text)
        return text.decode(errors="replace").splitlines()


def peak_rss_bytes(pid: int) -> int:
    """Return the peak of a process's resident memory in bytes (proc(5), VmHWM, in kB); 0 once it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) * 1024 if lines else 0


def _error(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()
