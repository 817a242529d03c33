"""The entry point: what it takes, what it refuses, and how it is wired."""

import base64
import json
import re
import time
from collections.abc import Iterator
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest
import urllib3
from aws_lambda_powertools.utilities.batch.exceptions import UnexpectedBatchTypeError
from werkzeug import Request, Response

from lambda_autoscaler import handler
from lambda_autoscaler.core.interruption import INTERRUPTION
from lambda_autoscaler.edge.aws import AwsClient
from lambda_autoscaler.edge.kube_http import KubeHttp
from lambda_autoscaler.edge.messages import WAKE_EVENT
from lambda_autoscaler.ports import BadInput, Denied, Unreachable
from tests.build import NOW
from tests.core.wire import node
from tests.ec2_events import HOME, INSTANCE, OTHER, event, rebalance, spot

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
    handler._kept.clear()
    yield
    handler._wired.cache_clear()
    handler._kept.clear()


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


def test_of_many_events_that_wake_the_scan_those_it_has_seen_the_reason_of_ask_for_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSCALER_CLUSTER_NAME", "demo")
    monkeypatch.setitem(handler._scanned, "demo", NOW)
    woken = {**WAKE_EVENT, "detail": {"reason": "interruption", "at": NOW - 2}}
    assert handler.scan(woken, Context()) == {"result": "ScannedSince", "scans": 0}
    for looked_at in ({**woken, "detail": {"reason": "interruption", "at": NOW - 0.5}}, SCHEDULED):
        with monkeypatch.context() as patched:
            patched.setattr(handler, "_wired", lambda _: pytest.fail("a scan"))
            with pytest.raises(pytest.fail.Exception, match="a scan"):
                handler.scan(looked_at, Context())


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
    """EKS, SQS, Lambda and the API server of a cluster of two nodes, all behind one address.

    ``refusals`` are HTTP statuses by method, ``endpoints`` addresses of clusters that have another one.
    """

    def __init__(self, address: str) -> None:
        authority = base64.b64encode(b"").decode()
        self.cluster = {"name": "demo", "endpoint": address, "status": "ACTIVE", "certificateAuthority": {"data": authority}}
        self.endpoints: dict[str, str] = {}
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
            name = path.rpartition("/")[2]
            return {"cluster": {**self.cluster, "endpoint": self.endpoints.get(name, self.cluster["endpoint"])}}
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
    (event,) = apis.woken
    assert {key: event[key] for key in WAKE_EVENT} == WAKE_EVENT
    assert event["detail"]["reason"] == "interruption"
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


# --- interruptions of several clusters ---


@pytest.fixture
def fleet(apis: Apis, monkeypatch: pytest.MonkeyPatch) -> Apis:
    """Clusters demo and shop behind one API server."""
    monkeypatch.setenv("AUTOSCALER_CLUSTER_NAME", "demo;shop")
    return apis


def reminder(cluster: str) -> dict[str, Any]:
    """A step of a drain of node n1 that began two minutes ago."""
    detail = {"node": "n1", "instance": INSTANCE, "beat": 0, "cluster": cluster, "series": time.time() - 120}  # noqa: TID251
    head = {"source": "eks-autoscaling", "detail-type": "Interruption Continues"}
    return {**head, "account": HOME.account, "region": HOME.region, "detail": detail}


@pytest.mark.parametrize("message", [WARNING, reminder("demo")])
def test_a_message_of_a_cluster_that_cannot_be_described_comes_again_until_it_can(fleet: Apis, message: dict[str, Any]) -> None:
    nodes, fleet.nodes = fleet.nodes, {}
    fleet.refusals["/clusters/demo"] = [403]
    assert failed(handler.interruption(batch(message), Context())) == ["message-0"]
    fleet.nodes = nodes
    assert failed(handler.interruption(batch(message), Context())) == []
    assert fleet.described == 2


@pytest.mark.parametrize("message", [WARNING, reminder("shop"), spot(account="123456789012")])
def test_what_another_cluster_answers_needs_none_that_cannot_be_described(fleet: Apis, message: dict[str, Any]) -> None:
    fleet.refusals["/clusters/demo"] = [403]
    assert failed(handler.interruption(batch(message), Context())) == []


def test_a_failed_launch_wakes_the_scan_of_every_cluster(fleet: Apis) -> None:
    launch = event("EC2 Instance Launch Unsuccessful", {"AutoScalingGroupName": "workers"}, source="aws.autoscaling", time="")
    assert failed(handler.interruption(batch(launch), Context())) == []
    assert [item["detail"]["cluster"] for item in fleet.woken] == ["demo", "shop"]


class Dwindling(Context):
    """An invocation of thirty seconds; only waiting for the silent server ``SILENT`` takes time, ten seconds for each request."""

    def __init__(self) -> None:
        self.spent = 0.0

    def get_remaining_time_in_millis(self) -> int:
        return int(1000 * (30.0 - self.spent))


SILENT = "http://silent.example"


@pytest.fixture
def dwindling(fleet: Apis, monkeypatch: pytest.MonkeyPatch) -> Dwindling:
    """The first of the two clusters is behind a server that takes requests and never answers."""
    invocation = Dwindling()
    answered = urllib3.PoolManager.request

    def request(pool: urllib3.PoolManager, method: str, url: str, **rest: Any) -> Any:
        if url.startswith(SILENT):
            invocation.spent += 2 * handler.ANSWER_SECONDS
            raise urllib3.exceptions.ReadTimeoutError(Mock(), url, "Read timed out.")
        return answered(pool, method, url, **rest)

    monkeypatch.setattr(urllib3.PoolManager, "request", request)
    monkeypatch.setattr(handler, "KubeHttp", partial(KubeHttp, clock=lambda: invocation.spent))
    fleet.endpoints["demo"] = SILENT
    return invocation


def test_a_silent_cluster_keeps_no_message_of_another_waiting(fleet: Apis, dwindling: Dwindling) -> None:
    messages = batch(reminder("demo"), WARNING, reminder("demo"), rebalance(OTHER, time=""), *[reminder("demo")] * 4, reminder("shop"))
    assert failed(handler.interruption(messages, dwindling)) == []
    assert fleet.marks() == {"n1": "SpotInterruption", "n2": "RebalanceRecommendation"}
    assert ([item["DelaySeconds"] for item in fleet.sent].count(3), dwindling.spent) == (6, 10.0)


def test_a_warning_that_may_be_for_a_silent_cluster_comes_again_and_that_cluster_is_asked_last(fleet: Apis, dwindling: Dwindling) -> None:
    strange = spot("i-00000000000000000", time="")
    assert failed(handler.interruption(batch(strange, WARNING, strange), dwindling)) == ["message-0", "message-2"]
    assert (list(handler._kept), fleet.marks(), dwindling.spent) == (["shop"], {"n1": "SpotInterruption"}, 10.0)
    assert failed(handler.interruption(batch(rebalance(OTHER, time="")), dwindling)) == []
    assert (list(handler._kept), fleet.marks()["n2"], dwindling.spent) == (["shop", "demo"], "RebalanceRecommendation", 10.0)


def test_after_a_failure_no_cluster_is_described_at_the_cost_of_messages(fleet: Apis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSCALER_CLUSTER_NAME", "shop;demo;other")
    assert failed(handler.interruption(batch(reminder("shop")), Context())) == []
    for cluster in ("demo", "other"):
        del handler._kept[cluster]
    fleet.refusals["/clusters/demo"] = [403]
    fleet.described = 0
    assert failed(handler.interruption(batch(reminder("shop")), Context(20.0))) == []
    assert (fleet.described, list(handler._kept)) == (0, ["shop"])


def test_what_the_function_asks_of_aws_is_answered_or_given_up_within_the_time_that_a_message_has(apis: Apis) -> None:
    assert handler.interruption(batch(WARNING), Context())
    aws = handler._kept["demo"]._edges.aws
    assert isinstance(aws, AwsClient)
    config = aws.client("autoscaling").meta.config
    longest = config.retries["total_max_attempts"] * max(config.read_timeout, config.connect_timeout)
    assert longest < handler.MESSAGE_SECONDS


@pytest.mark.parametrize("name", ["INTERRUPTION_QUEUE_URL", "SCAN_FUNCTION"])
def test_the_interruption_function_names_the_variable_that_it_lacks(apis: Apis, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(BadInput, match=f"the variable {name} is not set"):
        handler.interruption(batch(WARNING), Context())
