"""The entry point: what it takes, what it refuses, and how it is wired."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from lambda_autoscaler import handler
from lambda_autoscaler.ports import BadInput, Denied, Unreachable

SCHEDULED = {"source": "aws.scheduler", "detail-type": "Scheduled Event", "id": "1", "detail": {}}


class Context:
    """What Lambda gives a function."""

    function_name = "autoscaler"
    function_version = "7"
    aws_request_id = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


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
    yield
    handler._wired.cache_clear()


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
