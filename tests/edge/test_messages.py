"""Reminders through Amazon SQS, and waking the scan through AWS Lambda."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber
from moto import mock_aws

from lambda_autoscaler.core.events import Reminder, read_events
from lambda_autoscaler.edge.messages import LONGEST_DELAY, WAKE_EVENT, QueueMessages
from lambda_autoscaler.handler import DETAIL_TYPE, SOURCES
from lambda_autoscaler.ports import AutoscalerError, Denied, Throttled, Unreachable
from tests.build import NOW
from tests.ec2_events import HOME, INSTANCE

pytestmark = pytest.mark.aws

REMINDER = Reminder("ip-10-0-0-1.ec2.internal", INSTANCE, NOW - 30)
QUEUE = "https://sqs.eu-central-1.amazonaws.com/210987654321/interruptions"


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_DEFAULT_REGION": "eu-central-1"}.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        yield


def messages(client: Any, queue_url: str = QUEUE) -> QueueMessages:
    return QueueMessages(lambda _service: client, queue_url, "scan", HOME)


def test_a_reminder_comes_back_as_it_was_sent() -> None:
    client = boto3.client("sqs")
    url = client.create_queue(QueueName="interruptions")["QueueUrl"]
    messages(client, url).again(REMINDER, 0)
    (received,) = client.receive_message(QueueUrl=url)["Messages"]
    assert read_events(received["Body"], HOME, NOW) == (REMINDER,)


@pytest.mark.parametrize(("seconds", "delay"), [(2, 2), (30, 30), (3600, LONGEST_DELAY)])
def test_a_reminder_is_delayed_as_far_as_sqs_can(seconds: int, delay: int) -> None:
    client = boto3.client("sqs")
    url = client.create_queue(QueueName="interruptions")["QueueUrl"]
    sent: list[dict[str, Any]] = []
    client.meta.events.register("provide-client-params.sqs.SendMessage", lambda params, **_: sent.append(params))
    messages(client, url).again(REMINDER, seconds)
    assert [(item["QueueUrl"], item["DelaySeconds"]) for item in sent] == [(url, delay)]


def test_the_scan_is_woken_without_waiting_for_it_by_an_event_that_it_takes() -> None:
    client = boto3.client("lambda")
    with Stubber(client) as stub:
        event = {**WAKE_EVENT, "detail": {"reason": "interruption", "at": NOW}}
        payload = json.dumps(event, separators=(",", ":")).encode()
        stub.add_response("invoke", {"StatusCode": 202}, {"FunctionName": "scan", "InvocationType": "Event", "Payload": payload})
        messages(client).wake(NOW)
        stub.assert_no_pending_responses()
    assert WAKE_EVENT["source"] in SOURCES
    assert WAKE_EVENT["detail-type"] == DETAIL_TYPE


@pytest.mark.parametrize(
    ("code", "expected", "words"),
    [
        ("AccessDenied", Denied, "Allow sqs:SendMessage in a policy of the role"),
        ("RequestThrottled", Throttled, "sqs:SendMessage"),
        ("ThrottlingException", Throttled, "sqs:SendMessage"),
    ],
)
def test_a_refusal_names_the_call(code: str, expected: type[AutoscalerError], words: str) -> None:
    client = boto3.client("sqs")
    with Stubber(client) as stub:
        stub.add_client_error("send_message", code)
        with pytest.raises(expected, match=words):
            messages(client).again(REMINDER, 2)


def test_a_queue_that_does_not_answer_is_named() -> None:
    class Silent:
        def send_message(self, **_: Any) -> None:
            raise EndpointConnectionError(endpoint_url=QUEUE)

    with pytest.raises(Unreachable, match=r"sqs:SendMessage at https://sqs\.eu-central-1"):
        messages(Silent()).again(REMINDER, 2)


def test_where_a_function_serves_several_clusters_messages_and_events_name_theirs() -> None:
    queue, functions = boto3.client("sqs"), boto3.client("lambda")
    url = queue.create_queue(QueueName="interruptions")["QueueUrl"]
    clients = {"sqs": queue, "lambda": functions}
    of_shop = QueueMessages(clients.__getitem__, url, "scan", HOME, "shop")
    of_shop.again(REMINDER, 0)
    (received,) = queue.receive_message(QueueUrl=url)["Messages"]
    (read,) = read_events(received["Body"], HOME, NOW)
    assert isinstance(read, Reminder)
    assert read.cluster == "shop"
    with Stubber(functions) as stub:
        event = {**WAKE_EVENT, "detail": {"reason": "interruption", "at": NOW, "cluster": "shop"}}
        payload = json.dumps(event, separators=(",", ":")).encode()
        stub.add_response("invoke", {"StatusCode": 202}, {"FunctionName": "scan", "InvocationType": "Event", "Payload": payload})
        of_shop.wake(NOW)
