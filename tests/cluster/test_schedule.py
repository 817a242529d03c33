import io
import json
import threading
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.cluster.asynchronous import EventDropped
from tests.cluster.function import Function
from tests.cluster.principals import Credentials
from tests.cluster.schedule import ScheduledInvoker, ScheduleError, declared_configuration

pytestmark = pytest.mark.aws

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
INPUT = {
    "id": "<aws.scheduler.execution-id>",
    "source": "aws.scheduler",
    "time": "<aws.scheduler.scheduled-time>",
    "resources": ["<aws.scheduler.schedule-arn>"],
}
HANDLER = """
import time

def echo(event, context):
    return event

def fail(event, context):
    raise RuntimeError("not today")

def sleep(event, context):
    time.sleep(1.5)
"""


class Account:
    """An account with one function and one schedule for it, declared through the APIs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        self.scheduler = boto3.client("scheduler", "us-east-1")
        self.functions = boto3.client("lambda", "us-east-1")
        trust = {"Version": "2012-10-17", "Statement": []}
        iam = boto3.client("iam", "us-east-1")
        self.role = iam.create_role(RoleName="role", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        self.archive = tmp_path / "function.zip"
        self.waits: list[float] = []
        self.checked: list[tuple[str, str]] = []
        self.running: list[Function] = []

    def declare(self, handler: str, concurrency: int | None = None, **invoke_config: int) -> ScheduledInvoker:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as bundle:
            bundle.writestr("sample.py", HANDLER)
        self.archive.write_bytes(content.getvalue())
        arn = self.functions.create_function(
            FunctionName="scan",
            Runtime="python3.13",
            Role=self.role,
            Handler=handler,
            Code={"ZipFile": content.getvalue()},
            Timeout=20,
            MemorySize=256,
            Environment={"Variables": {"AUTOSCALER_CLUSTER_NAME": "demo"}},
        )["FunctionArn"]
        if concurrency is not None:
            self.functions.put_function_concurrency(FunctionName="scan", ReservedConcurrentExecutions=concurrency)
        if invoke_config:
            self.functions.put_function_event_invoke_config(FunctionName="scan", **invoke_config)
        self.schedule("create_schedule", arn)
        configuration = declared_configuration(self.functions, "scan")
        function = Function(self.archive, configuration, Credentials("id", "secret", "token"))
        self.running.append(function)
        return ScheduledInvoker(
            self.scheduler,
            self.functions,
            function,
            "scan-every-minute",
            may_invoke=lambda role, target: self.checked.append((role, target)),
            sleep=self.waits.append,
        )

    def schedule(self, call: str, arn: str, **changes: Any) -> None:
        target = {
            "Arn": arn,
            "RoleArn": self.role,
            "Input": json.dumps(INPUT),
            "RetryPolicy": {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60},
        }
        declared = {
            "Name": "scan-every-minute",
            "ScheduleExpression": "rate(1 minute)",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "State": "ENABLED",
            "Target": target,
        }
        getattr(self.scheduler, call)(**{**declared, **changes})


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Account]:
    with mock_aws():
        account = Account(monkeypatch, tmp_path)
        yield account
        for function in account.running:
            function.__exit__(None, None, None)


def test_the_function_gets_the_declared_input_with_the_keywords_filled_in(account: Account) -> None:
    event = account.declare("sample.echo").tick(NOW).result
    assert event["source"] == "aws.scheduler"
    assert event["time"] == "2026-03-01T12:30:00Z"
    assert event["resources"] == ["arn:aws:scheduler:us-east-1:123456789012:schedule/default/scan-every-minute"]
    assert len(event["id"]) == 32


def test_the_declared_configuration_is_what_runs(account: Account) -> None:
    configuration = account.declare("sample.echo", concurrency=1).function.configuration
    assert configuration.handler == "sample.echo"
    assert (configuration.timeout_seconds, configuration.memory_mib) == (20, 256)
    assert configuration.variables == {"AUTOSCALER_CLUSTER_NAME": "demo"}
    assert configuration.reserved_concurrency == 1
    assert configuration.region == "us-east-1"


def test_the_rate_is_read_from_the_schedule(account: Account) -> None:
    invoker = account.declare("sample.echo")
    assert invoker.every_seconds() == 60
    account.schedule("update_schedule", invoker.function.configuration.arn, ScheduleExpression="cron(0 9 * * ? *)")
    with pytest.raises(ScheduleError, match="is no rate"):
        invoker.every_seconds()


def test_scheduler_needs_a_role_that_may_invoke_the_function(account: Account) -> None:
    invoker = account.declare("sample.echo")
    invoker.tick(NOW)
    assert account.checked == [(account.role, invoker.function.configuration.arn)]

    def refuse(role: str, target: str) -> None:
        raise PermissionError(f"{role} may not invoke {target}")

    invoker.may_invoke = refuse
    with pytest.raises(PermissionError):
        invoker.tick(NOW)
    assert len(invoker.history) == 1


def test_a_disabled_schedule_invokes_nothing(account: Account) -> None:
    invoker = account.declare("sample.echo")
    account.schedule("update_schedule", invoker.function.configuration.arn, State="DISABLED")
    with pytest.raises(ScheduleError, match="scan-every-minute is DISABLED"):
        invoker.tick(NOW)
    assert invoker.history == []


def test_a_schedule_for_another_function_is_refused(account: Account) -> None:
    invoker = account.declare("sample.echo")
    account.schedule("update_schedule", "arn:aws:lambda:us-east-1:123456789012:function:other")
    with pytest.raises(ScheduleError, match="function:other"):
        invoker.tick(NOW)


def test_an_event_older_than_the_schedule_allows_is_dropped(account: Account) -> None:
    invoker = account.declare("sample.echo")
    assert invoker.tick(NOW, late_seconds=60).error is None
    with pytest.raises(EventDropped, match="allows 60 s"):
        invoker.tick(NOW, late_seconds=61)
    assert len(invoker.history) == 1


def test_a_failing_function_is_tried_twice_more_unless_declared_otherwise(account: Account) -> None:
    invoker = account.declare("sample.fail")
    assert invoker.tick(NOW).error
    assert len(invoker.history) == 3
    assert account.waits == [60, 120]


def test_no_retries_declared_means_one_attempt(account: Account) -> None:
    invoker = account.declare("sample.fail", MaximumRetryAttempts=0)
    assert invoker.tick(NOW).error
    assert len(invoker.history) == 1
    assert account.waits == []


def test_retries_end_when_the_event_is_too_old(account: Account) -> None:
    invoker = account.declare("sample.fail", MaximumRetryAttempts=2, MaximumEventAgeInSeconds=100)
    assert invoker.tick(NOW).error
    assert account.waits == [60]


def test_a_throttled_event_waits_in_the_queue_until_it_is_too_old(account: Account) -> None:
    invoker = account.declare("sample.sleep", concurrency=1, MaximumEventAgeInSeconds=60)
    slow = threading.Thread(target=invoker.function.invoke, args=({},))
    slow.start()
    time.sleep(0.2)
    with pytest.raises(EventDropped, match="throttled"):
        invoker.tick(NOW)
    assert account.waits == [1, 2, 4, 8, 16]
    slow.join()
    assert invoker.tick(NOW).error is None
