"""Which AWS call creates which Pulumi resource, for queues, EventBridge rules and what hands messages to a function."""

from typing import Any

from tests.cluster.pulumi_rows import Created, Inputs, Row

_QUEUE_ATTRIBUTES = {
    "delaySeconds": "DelaySeconds",
    "maxMessageSize": "MaximumMessageSize",
    "messageRetentionSeconds": "MessageRetentionPeriod",
    "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
    "redrivePolicy": "RedrivePolicy",
    "sqsManagedSseEnabled": "SqsManagedSseEnabled",
    "visibilityTimeoutSeconds": "VisibilityTimeout",
}


def _queue(inputs: Inputs) -> Inputs:
    attributes = {_QUEUE_ATTRIBUTES[key]: _text(value) for key, value in inputs.items() if key in _QUEUE_ATTRIBUTES}
    return {"attributes": attributes, **{key: value for key, value in inputs.items() if key not in _QUEUE_ATTRIBUTES}}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _queue_outputs(answer: dict[str, Any], inputs: Inputs) -> Created:
    url = answer["QueueUrl"]
    return url, {"url": url, "arn": f"arn:aws:sqs:us-east-1:123456789012:{inputs['name']}"}


def _queue_policy(inputs: Inputs) -> Inputs:
    return {"queueUrl": inputs["queueUrl"], "attributes": {"Policy": inputs["policy"]}}


def _redrive_allow_policy(inputs: Inputs) -> Inputs:
    return {"queueUrl": inputs["queueUrl"], "attributes": {"RedriveAllowPolicy": inputs["redriveAllowPolicy"]}}


def _target(inputs: Inputs) -> Inputs:
    target = {key: value for key, value in inputs.items() if key not in ("rule", "eventBusName", "targetId")}
    return {"rule": inputs["rule"], "targets": [{**target, "id": inputs["targetId"]}]}


def _target_outputs(answer: dict[str, Any], inputs: Inputs) -> Created:
    assert answer["FailedEntryCount"] == 0, answer
    return f"{inputs['rule']}-{inputs['targetId']}", {}


EVENT_ROWS = (
    Row("aws:sqs/queue:Queue", "sqs", "CreateQueue", _queue_outputs, name="name", renames={"name": "queueName"}, shaped=_queue),
    Row(
        "aws:sqs/queuePolicy:QueuePolicy",
        "sqs",
        "SetQueueAttributes",
        lambda _, inputs: (inputs["queueUrl"], {}),
        shaped=_queue_policy,
    ),
    Row(
        "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy",
        "sqs",
        "SetQueueAttributes",
        lambda _, inputs: (inputs["queueUrl"], {}),
        shaped=_redrive_allow_policy,
    ),
    Row(
        "aws:cloudwatch/eventRule:EventRule",
        "events",
        "PutRule",
        lambda answer, inputs: (inputs["name"], {"arn": answer["RuleArn"]}),
        name="name",
    ),
    Row("aws:cloudwatch/eventTarget:EventTarget", "events", "PutTargets", _target_outputs, name="targetId", shaped=_target),
    Row(
        "aws:lambda/functionRecursionConfig:FunctionRecursionConfig",
        "lambda",
        "PutFunctionRecursionConfig",
        lambda _, inputs: (inputs["functionName"], {}),
    ),
    Row(
        "aws:lambda/eventSourceMapping:EventSourceMapping",
        "lambda",
        "CreateEventSourceMapping",
        lambda answer, _: (answer["UUID"], {"uuid": answer["UUID"], "arn": answer["EventSourceMappingArn"]}),
    ),
)
