"""Event source mappings from a queue to a function: checked as Lambda checks them, kept, and never polled.

moto's own would run the function in Docker. Whoever wants messages delivered reads the mapping back and plays Lambda's part.
Rules: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
"""

import threading
import uuid
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from tests.cluster.aws_protocol import AwsError
from tests.cluster.group_capacity import Clock
from tests.cluster.iam_evaluation import Access, Decision, decide
from tests.cluster.principals import ACCOUNT, Principals

Params = dict[str, Any]
_POLLING = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
_KEPT = ("EventSourceArn", "FunctionResponseTypes", "ScalingConfig", "FilterCriteria")


class EventSourceMappings:
    """Answers the Lambda operations on event source mappings; ``moto`` gives clients that reach moto unguarded."""

    def __init__(self, principals: Principals, moto: Callable[[str], Any], clock: Clock) -> None:
        self._principals = principals
        self._moto = moto
        self._clock = clock
        self._lock = threading.Lock()
        self.forget()
        self.answers: dict[str, Callable[[Params], Params]] = {
            "CreateEventSourceMapping": self._create,
            "GetEventSourceMapping": lambda params: self._mapping(params["UUID"]),
            "ListEventSourceMappings": self._list,
            "UpdateEventSourceMapping": self._update,
            "DeleteEventSourceMapping": self._delete,
        }

    def forget(self) -> None:
        """Drop every mapping."""
        with self._lock:
            self._mappings: dict[str, Params] = {}

    def _create(self, params: Params) -> Params:
        function = self._function(params["FunctionName"])
        queue = params["EventSourceArn"]
        if any(known["EventSourceArn"] == queue and known["FunctionArn"] == function["FunctionArn"] for known in self._mappings.values()):
            raise AwsError("ResourceConflictException", "An event source mapping with that function and source already exists.", 409)
        self._check_role(function["Role"], queue)
        self._check_queue(queue, function["Timeout"])
        _check_numbers(params)
        identifier = str(uuid.uuid4())
        mapping = {
            "UUID": identifier,
            "EventSourceMappingArn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:event-source-mapping:{identifier}",
            "FunctionArn": function["FunctionArn"],
            "BatchSize": params.get("BatchSize", 10),
            "MaximumBatchingWindowInSeconds": params.get("MaximumBatchingWindowInSeconds", 0),
            "State": "Enabled" if params.get("Enabled", True) else "Disabled",
            "StateTransitionReason": "USER_INITIATED",
            "LastModified": self._clock(),
            **{key: params[key] for key in _KEPT if key in params},
        }
        with self._lock:
            self._mappings[identifier] = mapping
        return mapping

    def _update(self, params: Params) -> Params:
        mapping = self._mapping(params["UUID"])
        _check_numbers(params)
        changed = {key: value for key, value in params.items() if key not in ("UUID", "Enabled", "FunctionName")}
        if "Enabled" in params:
            changed["State"] = "Enabled" if params["Enabled"] else "Disabled"
        with self._lock:
            mapping |= changed
        return mapping

    def _list(self, params: Params) -> Params:
        wanted = {"EventSourceArn": params.get("EventSourceArn")}
        if "FunctionName" in params:
            wanted["FunctionArn"] = self._function(params["FunctionName"])["FunctionArn"]
        with self._lock:
            found = [known for known in self._mappings.values() if all(value in (None, known[key]) for key, value in wanted.items())]
        return {"EventSourceMappings": found}

    def _delete(self, params: Params) -> Params:
        mapping = self._mapping(params["UUID"])
        with self._lock:
            del self._mappings[params["UUID"]]
        return {**mapping, "State": "Deleting"}

    def _mapping(self, identifier: str) -> Params:
        with self._lock:
            if identifier not in self._mappings:
                raise AwsError("ResourceNotFoundException", "The resource you requested does not exist.", 404)
            return self._mappings[identifier]

    def _function(self, name: str) -> Params:
        found: Params = self._moto("lambda").get_function(FunctionName=name)["Configuration"]
        return found

    def _check_role(self, role_arn: str, queue: str) -> None:
        policies = self._principals.policies_of(role_arn.rpartition("/")[2])
        for operation in _POLLING:
            if decide(policies, Access(f"sqs:{operation}", queue, {})) is not Decision.ALLOWED:
                raise _invalid(f"The provided execution role does not have permissions to call {operation} on SQS")

    def _check_queue(self, queue: str, timeout: int) -> None:
        url = f"https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/{queue.rpartition(':')[2]}"
        try:
            attributes = self._moto("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
        except ClientError:
            raise _invalid("Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue") from None
        visibility = int(attributes["VisibilityTimeout"])
        if visibility < timeout:
            raise _invalid(f"Queue visibility timeout: {visibility} seconds is less than Function timeout: {timeout} seconds")


def _check_numbers(params: Params) -> None:
    concurrency = params.get("ScalingConfig", {}).get("MaximumConcurrency", 2)
    if not 2 <= concurrency <= 1000:
        raise _invalid(f"MaximumConcurrency {concurrency} must be between 2 and 1000")
    if params.get("BatchSize", 10) > 10 and params.get("MaximumBatchingWindowInSeconds", 0) < 1:
        raise _invalid("Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10")


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterValueException", message)
