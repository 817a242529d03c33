"""The entry point: what it takes, what it refuses, and how it is wired."""

import base64
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from aws_lambda_powertools.utilities.batch.exceptions import UnexpectedBatchTypeError
from werkzeug import Request, Response

from lambda_autoscaler import handler
from lambda_autoscaler.core.interruption import INTERRUPTION
from lambda_autoscaler.edge.messages import WAKE_EVENT
from lambda_autoscaler.ports import BadInput, Denied, Unreachable
from tests.core.wire import node
from tests.ec2_events import HOME, INSTANCE, OTHER, rebalance, spot

SCHEDULED = {"source": "aws.scheduler", "detail-type": "Scheduled Event", "id": "1", "detail": {}}


class Context:
    """What Lambda gives a function."""

    function_name = "autoscaler"
    function_version = "7"
    aws_request_id = "request-1"
    invoked_function_arn = f"arn:aws:lambda:{HOME.region}:{HOME.account}:function:interruption"

    def __init__(self, *seconds_left: float) -> None:
        """``seconds_left`` are told one after the other, the last one for ever."""
        self._seconds = list(seconds_left) or [60.0]

    def get_remaining_time_in_millis(self) -> int:
        return int(1000 * (self._seconds.pop(0) if len(self._seconds) > 1 else self._seconds[0]))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    handler._wired.cache_clear()
    handler._interrupter.cache_clear()
    yield
    handler._wired.cache_clear()
    handler._interrupter.cache_clear()


@pytest.mark.parametrize(
    "event",
    [{}, None, [], "tick", {"source": "aws.ec2", "detail-type": "EC2 Spot Instance Interruption Warning"}, {**SCHEDULED, "source": 5}],
)
def test_an_event_that_is_not_scheduled_fails_the_invocation_and_says_what_came(event: Any) -> None:
    with pytest.raises(BadInput, match=r"not a scheduled one: it has .*expected source 'aws.scheduler' or 'aws.events'"):
        handler.scan(event, Context())


def test_settings_faults_fail_the_invocation_all_in_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSCALER_EXPANDR", "random")
    with pytest.raises(BadInput, match=r"AUTOSCALER_EXPANDR: .*; AUTOSCALER_CLUSTER_NAME: it is required"):
        handler.scan(SCHEDULED, Context())


def test_an_unreachable_cluster_is_named_and_described_afresh_next_time(httpserver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = base64.b64encode(b"").decode()
    cluster = {"name": "demo", "endpoint": "http://127.0.0.1:9", "status": "ACTIVE", "certificateAuthority": {"data": authority}}
    httpserver.expect_request("/clusters/demo").respond_with_json({"cluster": cluster})
    monkeypatch.setenv("AWS_ENDPOINT_URL", httpserver.url_for("").rstrip("/"))
    monkeypatch.setenv("AUTOSCALER_CLUSTER_NAME", "demo")
    for _ in range(2):
        with pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:9"):
            handler.scan(SCHEDULED, Context())
    assert len(httpserver.log) == 2


def test_a_role_without_describe_cluster_is_told_which_action_to_allow(httpserver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = json.dumps({"message": "User is not authorized to perform: eks:DescribeCluster"})
    httpserver.expect_request("/clusters/demo").respond_with_data(
        refusal, status=403, headers={"x-amzn-ErrorType": "AccessDeniedException"}, content_type="application/json"
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL", httpserver.url_for("").rstrip("/"))
    monkeypatch.setenv("AUTOSCALER_CLUSTER_NAME", "demo")
    with pytest.raises(Denied, match="Allow eks:DescribeCluster"):
        handler.scan(SCHEDULED, Context())


# --- several clusters ---


@pytest.mark.parametrize("detail", [{}, {"cluster": "other"}, None, "shop"])
def test_a_fleets_event_must_name_one_of_its_clusters(detail: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSCALER_CLUSTER_NAME", "prod;shop")
    with pytest.raises(BadInput, match="this function serves prod, shop: its detail must name one as cluster"):
        handler.scan({**SCHEDULED, "detail": detail}, Context())


def test_a_fleets_scan_describes_the_cluster_that_its_event_names(httpserver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = json.dumps({"message": "User is not authorized to perform: eks:DescribeCluster"})
    httpserver.expect_request("/clusters/shop").respond_with_data(
        refusal, status=403, headers={"x-amzn-ErrorType": "AccessDeniedException"}, content_type="application/json"
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL", httpserver.url_for("").rstrip("/"))
    monkeypatch.setenv("AUTOSCALER_CLUSTER_NAME", "prod;shop")
    with pytest.raises(Denied):
        handler.scan({**SCHEDULED, "detail": {"cluster": "shop"}}, Context())
    assert [request.path for request, _ in httpserver.log] == ["/clusters/shop"]


# --- interruptions ---


class Apis:
    """EKS, SQS, Lambda and the API server of a cluster of two nodes, all behind one address. ``refusals`` are HTTP statuses by method."""

    def __init__(self, address: str) -> None:
        authority = base64.b64encode(b"").decode()
        self.cluster = {"name": "demo", "endpoint": address, "status": "ACTIVE", "certificateAuthority": {"data": authority}}
        self.refusals: dict[str, list[int]] = {}
        self.patched: list[tuple[str, dict[str, Any]]] = []
        self.sent: list[dict[str, Any]] = []
        self.woken: list[Any] = []
        self.described = 0
        self.nodes = {name: node(name, providerID=f"aws:///eu-central-1a/{id_}") for name, id_ in (("n1", INSTANCE), ("n2", OTHER))}

    def answer(self, request: Request) -> Response:
        waiting = self.refusals.get(request.method if request.path.startswith("/api") else request.path)
        if waiting:
            return Response(json.dumps({"message": "refused"}), status=waiting.pop(0), content_type="application/json")
        return Response(json.dumps(self._answer(request)), content_type="application/json")

    def _answer(self, request: Request) -> dict[str, Any]:
        path = request.path
        if path.startswith("/clusters/"):
            self.described += 1
            return {"cluster": self.cluster}
        if path.endswith("/invocations"):
            self.woken.append(request.get_json(force=True))
            return {}
        if path.startswith("/api"):
            return self._kubernetes(request)
        self.sent.append(request.get_json(force=True))
        return {"MessageId": "1"}

    def _kubernetes(self, request: Request) -> dict[str, Any]:
        if request.method == "PATCH":
            self.patched.append((request.path.rpartition("/")[2], request.get_json(force=True)))
        if request.method != "GET" or not request.path.endswith("/nodes"):
            return {"items": []}
        name = request.args.get("fieldSelector", "").partition("metadata.name=")[2]
        return {"items": [item for key, item in self.nodes.items() if name in ("", key)]}

    def marks(self) -> dict[str, str]:
        return {name: json.loads(change["metadata"]["annotations"][INTERRUPTION])["kind"] for name, change in self.patched}


@pytest.fixture
def apis(httpserver: Any, monkeypatch: pytest.MonkeyPatch) -> Apis:
    address = httpserver.url_for("").rstrip("/")
    found = Apis(address)
    httpserver.expect_request(re.compile(".*")).respond_with_handler(found.answer)
    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AUTOSCALER_CLUSTER_NAME": "demo",
        "INTERRUPTION_QUEUE_URL": f"{address}/queue",
        "SCAN_FUNCTION": "scan",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    return found


def batch(*bodies: Any) -> dict[str, Any]:
    """What the event source hands over; messages are named ``message-0`` and so on."""
    return {
        "Records": [
            {
                "messageId": f"message-{number}",
                "receiptHandle": "handle",
                "body": body if isinstance(body, str) else json.dumps(body),
                "attributes": {"ApproximateReceiveCount": "1"},
                "messageAttributes": {},
                "md5OfBody": "",
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:{HOME.region}:{HOME.account}:interruptions",
                "awsRegion": HOME.region,
            }
            for number, body in enumerate(bodies)
        ]
    }


def failed(answer: dict[str, Any]) -> list[str]:
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]


# An event without a time happens now.
WARNING = spot(time="")


def test_of_a_batch_only_the_messages_that_failed_come_again(apis: Apis) -> None:
    messages = batch("?", WARNING, spot(account="123456789012"), {}, rebalance(OTHER, time=""))
    assert failed(handler.interruption(messages, Context())) == ["message-0", "message-3"]
    assert apis.marks() == {"n1": "SpotInterruption", "n2": "RebalanceRecommendation"}


def test_a_batch_wakes_the_scan_once_after_its_reminders(apis: Apis) -> None:
    assert failed(handler.interruption(batch(WARNING, spot(OTHER, time="")), Context())) == []
    assert apis.woken == [WAKE_EVENT]
    assert [item["DelaySeconds"] for item in apis.sent] == [2, 2]


def test_when_every_message_fails_each_is_reported_and_nothing_is_woken(apis: Apis) -> None:
    assert failed(handler.interruption(batch("?", "{}", "[]"), Context())) == ["message-0", "message-1", "message-2"]
    assert (apis.patched, apis.woken) == ([], [])


@pytest.mark.parametrize("event", [batch(), {}, WARNING])
def test_an_event_that_is_no_batch_of_messages_fails_the_invocation(apis: Apis, event: dict[str, Any]) -> None:
    with pytest.raises(UnexpectedBatchTypeError):
        handler.interruption(event, Context())
    assert (apis.patched, apis.sent, apis.woken) == ([], [], [])


def test_a_batch_about_nothing_of_ours_writes_nothing(apis: Apis) -> None:
    strange = spot("i-00000000000000000", time="")
    assert failed(handler.interruption(batch(strange, strange), Context())) == []
    assert (apis.patched, apis.sent, apis.woken) == ([], [], [])


@pytest.mark.parametrize("status", [409, 429, 500, 502, 503, 504])
def test_a_message_is_tried_again_at_once_when_its_node_changed_or_the_api_was_busy(apis: Apis, status: int) -> None:
    apis.refusals["PATCH"] = [status, status]
    assert failed(handler.interruption(batch(WARNING), Context())) == []
    assert apis.marks() == {"n1": "SpotInterruption"}


def test_a_step_that_meets_a_failing_api_server_is_repeated_in_seconds_not_by_the_queue(apis: Apis) -> None:
    assert failed(handler.interruption(batch(WARNING), Context())) == []
    apis.refusals["GET"] = [503]
    assert failed(handler.interruption(batch(apis.sent[0]["MessageBody"]), Context())) == []
    assert [item["DelaySeconds"] for item in apis.sent] == [2, 3]


def test_a_message_that_fails_three_times_is_left_to_the_queue(apis: Apis) -> None:
    apis.refusals["PATCH"] = [429, 429, 429]
    assert failed(handler.interruption(batch(WARNING, rebalance(OTHER, time="")), Context())) == ["message-0"]
    assert apis.marks() == {"n2": "RebalanceRecommendation"}


def test_a_message_is_not_begun_when_the_invocation_might_end_in_it(apis: Apis) -> None:
    messages = batch(WARNING, rebalance(OTHER, time=""))
    assert failed(handler.interruption(messages, Context(30.0, handler.MESSAGE_SECONDS - 1))) == ["message-1"]
    assert (apis.marks(), len(apis.sent)) == ({"n1": "SpotInterruption"}, 1)


def test_a_message_is_not_tried_again_when_the_invocation_might_end_in_it(apis: Apis) -> None:
    apis.refusals["PATCH"] = [429]
    assert failed(handler.interruption(batch(WARNING), Context(30.0, handler.MESSAGE_SECONDS - 1))) == ["message-0"]
    assert apis.marks() == {}


def test_a_scan_that_cannot_be_woken_fails_no_message(apis: Apis) -> None:
    apis.refusals["/2015-03-31/functions/scan/invocations"] = [403]
    assert failed(handler.interruption(batch(WARNING), Context())) == []
    assert (apis.marks(), apis.woken) == ({"n1": "SpotInterruption"}, [])


def test_an_unreachable_cluster_is_described_afresh_by_the_next_message(apis: Apis) -> None:
    address, apis.cluster["endpoint"] = apis.cluster["endpoint"], "http://127.0.0.1:9"
    assert failed(handler.interruption(batch(WARNING), Context())) == ["message-0"]
    apis.cluster["endpoint"] = address
    assert failed(handler.interruption(batch(WARNING), Context())) == []
    assert (apis.described, apis.marks()) == (2, {"n1": "SpotInterruption"})


@pytest.mark.parametrize("name", ["INTERRUPTION_QUEUE_URL", "SCAN_FUNCTION"])
def test_the_interruption_function_names_the_variable_that_it_lacks(apis: Apis, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(BadInput, match=f"the variable {name} is not set"):
        handler.interruption(batch(WARNING), Context())
