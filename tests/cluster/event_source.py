"""Lambda's pollers of an SQS queue: hands messages to a function as its declared event source mapping says.

What is declared is read back through Lambda's and SQS's APIs; the polls are made with the role of the function. The rules (Lambda
developer guide, "Using Lambda with Amazon SQS"): a batch is deleted when the function succeeds; with ReportBatchItemFailures only the
messages that it did not name. What stays becomes visible after the queue's visibility timeout, and goes to the dead-letter queue by the
count of its receives, which SQS keeps. No more batches run at a time than the maximum concurrency. A function that sends itself messages is
stopped unless it may do so.
"""

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from tests.cluster.function import Function, Invocation, Throttled
from tests.cluster.lambda_recursion import MOST_INVOCATIONS, invocations_before, lineage

_PAUSE_SECONDS = 0.2
_DEFAULT_CONCURRENCY = 5


@dataclass(frozen=True)
class Delivery:
    """A batch that was handed over: when it was received (seconds since the epoch), the messages' bodies, and what came of it."""

    received_at: float
    bodies: list[str]
    invocation: Invocation


class EventSource:
    """Context manager of the pollers of one function.

    ``functions`` is a client of Lambda's API for reading the mapping, ``queues`` one of SQS with the credentials of the function's role.
    Leaving the context raises what the last poll failed with.
    """

    def __init__(self, functions: Any, queues: Any, function: Function) -> None:
        self._queues = queues
        self._function = function
        self._mapping = _mapping_of(functions, function.configuration.name)
        name = self._mapping["EventSourceArn"].rpartition(":")[2]
        self._url: str = queues.meta.endpoint_url + f"/123456789012/{name}"
        self._concurrency: int = self._mapping.get("ScalingConfig", {}).get("MaximumConcurrency", _DEFAULT_CONCURRENCY)
        loops = functions.get_function_recursion_config(FunctionName=function.configuration.name)["RecursiveLoop"]
        self.refused = 0
        """Batches that were not handed over because the function had been invoked too often in their chain."""
        self._may_loop: bool = loops == "Allow"
        self._free = threading.Semaphore(self._concurrency)
        self._lock = threading.Lock()
        self._deliveries: list[Delivery] = []
        self._stopping = threading.Event()
        self._error: Exception | None = None
        self._batches = ThreadPoolExecutor(self._concurrency, "event-source")
        self._thread = threading.Thread(target=self._run, name="event-source", daemon=True)

    def __enter__(self) -> Self:
        """Start polling."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop polling, and wait for the batches that run."""
        self._stopping.set()
        self._thread.join()
        self._batches.shutdown()
        if self._error is not None and error is None:
            raise self._error

    @property
    def deliveries(self) -> list[Delivery]:
        """Every batch whose invocation has ended."""
        with self._lock:
            return list(self._deliveries)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._free.acquire()
            messages: list[dict[str, Any]] = []
            try:
                messages = self._receive()
                self._error = None
            except (BotoCoreError, ClientError) as error:
                self._error = error
            if messages:
                self._batches.submit(self._deliver, messages)
                continue
            self._free.release()
            self._stopping.wait(_PAUSE_SECONDS)

    def _receive(self) -> list[dict[str, Any]]:
        if self._mapping["State"] != "Enabled":
            return []
        answer = self._queues.receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=min(10, self._mapping["BatchSize"]), AttributeNames=["All"]
        )
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages

    def _deliver(self, messages: list[dict[str, Any]]) -> None:
        received_at = time.time()  # noqa: TID251 - Lambda's clock
        name = self._function.configuration.name
        number = 1 + invocations_before(name, [message.get("Attributes", {}).get("AWSTraceHeader", "") for message in messages])
        try:
            if number > MOST_INVOCATIONS and not self._may_loop:
                self.refused += 1  # RecursiveInvocationException: the messages fail
                return
            invocation = self._function.invoke({"Records": [self._record(message) for message in messages]}, lineage(name, number))
            for message in messages:
                if message["MessageId"] not in self._failed(messages, invocation):
                    self._queues.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
            with self._lock:
                self._deliveries.append(Delivery(received_at, [message["Body"] for message in messages], invocation))
        except Throttled:
            return  # the messages come again after the visibility timeout
        except (BotoCoreError, ClientError) as error:
            self._error = error
        finally:
            self._free.release()

    def _record(self, message: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message.get("Attributes", {}),
            "messageAttributes": {},
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": self._mapping["EventSourceArn"],
            "awsRegion": self._mapping["EventSourceArn"].split(":")[3],
        }

    def _failed(self, messages: list[dict[str, Any]], invocation: Invocation) -> set[str]:
        """Ids of the messages that stay in the queue; an answer that cannot be understood keeps all of them."""
        everything = {message["MessageId"] for message in messages}
        if invocation.error is not None:
            return everything
        if "ReportBatchItemFailures" not in self._mapping.get("FunctionResponseTypes", ()):
            return set()
        try:
            named = {item["itemIdentifier"] for item in (invocation.result or {}).get("batchItemFailures") or ()}
        except (AttributeError, KeyError, TypeError):
            return everything
        return named if named <= everything else everything


def _mapping_of(functions: Any, name: str) -> dict[str, Any]:
    mappings = functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    if len(mappings) != 1:
        raise LookupError(f"{len(mappings)} event source mappings are declared for the function {name}")
    mapping: dict[str, Any] = mappings[0]
    return mapping
