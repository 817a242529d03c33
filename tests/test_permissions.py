"""The two halves agree: the functions' roles may call exactly what the functions call."""

import re
from pathlib import Path

from eks_autoscaling import policies

CALL = re.compile(r'"(autoscaling|ec2|eks|lambda|sqs)",\s*"([A-Z][A-Za-z]+)"')
EDGE = Path(__file__).parents[1] / "lambda_autoscaler" / "edge"
CLUSTER = "arn:aws:eks:us-east-1:123456789012:cluster/prod"
LOG_GROUP = "arn:aws:logs:us-east-1:123456789012:log-group:function"
# What Lambda itself calls with the role of a function that a queue feeds.
POLLING = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
OF_INTERRUPTIONS = {
    "autoscaling:CompleteLifecycleAction",
    "autoscaling:RecordLifecycleActionHeartbeat",
    "ec2:DescribeInstances",
    "lambda:InvokeFunction",
    "sqs:SendMessage",
}


def actions(document: policies.Document) -> set[str]:
    return {action for statement in document["Statement"] for action in statement["Action"] if not action.startswith("logs:")}


def called() -> set[str]:
    found = {f"{service}:{operation}" for path in EDGE.glob("*.py") for service, operation in CALL.findall(path.read_text())}
    return {{"lambda:Invoke": "lambda:InvokeFunction"}.get(action, action) for action in found}


def test_the_roles_allow_exactly_the_aws_calls_of_the_clients() -> None:
    scan = actions(policies.autoscaler(CLUSTER, LOG_GROUP))
    queue, function = "arn:aws:sqs:us-east-1:123456789012:events", "arn:aws:lambda:us-east-1:123456789012:function:scan"
    interruption = actions(policies.interruption(CLUSTER, LOG_GROUP, queue, function))
    assert scan | interruption - POLLING == called()
    assert interruption - scan - POLLING == OF_INTERRUPTIONS
