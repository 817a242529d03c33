"""Queue attributes that moto does not keep: who may redrive to a queue, and a queue's policy when another attribute is set.

Rules: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
"""

import json
import threading
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from tests.cluster.principals import ACCOUNT

Params = dict[str, Any]
_REDRIVE_ALLOW = "RedriveAllowPolicy"


class SqsQueues:
    """Answers the operations on attributes of queues; ``moto`` gives clients that reach moto unguarded."""

    def __init__(self, moto: Callable[[str], Any]) -> None:
        self._moto = moto
        self._lock = threading.Lock()
        self._redrive_allow: dict[str, str] = {}
        self.answers: dict[str, Callable[[Params], Params]] = {
            "SetQueueAttributes": self._set_attributes,
            "GetQueueAttributes": self._get_attributes,
        }

    def forget(self) -> None:
        """Drop what moto does not keep."""
        with self._lock:
            self._redrive_allow = {}

    def policies_of(self, queue_arn: str) -> list[dict[str, Any]]:
        """The queue's policy; nothing when it has none or there is no such queue."""
        try:
            attributes = self._moto("sqs").get_queue_attributes(QueueUrl=_url(queue_arn), AttributeNames=["Policy"]).get("Attributes", {})
        except ClientError:
            return []
        return [json.loads(attributes["Policy"])] if attributes.get("Policy") else []

    def send_message(self, params: Params, trace: str) -> Params:
        """SendMessage, which keeps the caller's trace header with the message."""
        header = {"AWSTraceHeader": {"DataType": "String", "StringValue": trace}} if trace else {}
        answer: Params = self._moto("sqs").send_message(**{"MessageSystemAttributes": header, **params})
        return answer

    def _set_attributes(self, params: Params) -> Params:
        sqs, url, wanted = self._moto("sqs"), params["QueueUrl"], dict(params["Attributes"])
        if _REDRIVE_ALLOW in wanted:
            with self._lock:
                self._redrive_allow[_name(url)] = wanted.pop(_REDRIVE_ALLOW)
        if wanted:
            kept = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"]).get("Attributes", {})
            sqs.set_queue_attributes(QueueUrl=url, Attributes={**kept, **wanted})
        return {}

    def _get_attributes(self, params: Params) -> Params:
        names = params.get("AttributeNames", [])
        known = [name for name in names if name != _REDRIVE_ALLOW]
        answer: Params = {"Attributes": {}}
        if known:
            answer = self._moto("sqs").get_queue_attributes(QueueUrl=params["QueueUrl"], AttributeNames=known)
        with self._lock:
            allowed = self._redrive_allow.get(_name(params["QueueUrl"]))
        extra = {_REDRIVE_ALLOW: allowed} if allowed and {_REDRIVE_ALLOW, "All"} & set(names) else {}
        return {"Attributes": {**answer.get("Attributes", {}), **extra}}


def queue_arn(url: str, region: str) -> str:
    """The ARN of the queue at ``url``, in this account."""
    return f"arn:aws:sqs:{region}:{ACCOUNT}:{_name(url)}"


def _name(url: str) -> str:
    return url.rpartition("/")[2]


def _url(arn: str) -> str:
    region, account, name = arn.split(":")[3:6]
    return f"https://sqs.{region}.amazonaws.com/{account}/{name}"
