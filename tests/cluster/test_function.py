import json
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.function import Function, FunctionConfiguration, Throttled
from tests.cluster.principals import Credentials

HANDLER = """
import json, os, sys, time
count = 0

def handle(event, context):
    global count
    count += 1
    print("a line of the handler")
    print(json.dumps({"_aws": {"Timestamp": 0}, "Count": count}))
    return {
        "count": count, "pid": os.getpid(), "event": event, "request_id": context.aws_request_id,
        "remaining_ms": context.get_remaining_time_in_millis(), "arn": context.invoked_function_arn,
        "variables": dict(os.environ), "path": sys.path,
    }

def fail(event, context):
    print("before")
    raise ValueError("no such thing")

def sleep(event, context):
    print("started", flush=True)
    time.sleep(event.get("seconds", 0))
    return "rested"

def leave(event, context):
    os._exit(3)

def hoard(event, context):
    kept = bytearray(400 * 1024 * 1024)
    kept[::4096] = b"x" * len(kept[::4096])
    return len(kept)

def import_what_only_the_tests_have(event, context):
    import pytest

def import_boto3(event, context):
    import boto3
    return [boto3.__file__, boto3.client("sts").meta.endpoint_url]
"""

Deploy = Callable[..., Function]


@pytest.fixture
def deploy(tmp_path: Path) -> Iterator[Deploy]:
    archive = tmp_path / "function.zip"
    with zipfile.ZipFile(archive, "w") as bundle:
        bundle.writestr("sample.py", HANDLER)
        bundle.writestr("broken.py", "import no_such_module")
    deployed: list[Function] = []

    def deploy(handler: str = "sample.handle", **options: Any) -> Function:
        configuration = FunctionConfiguration("sample", handler, "arn:aws:lambda:eu-west-1:123456789012:function:sample", **options)
        credentials = Credentials("ASIAEXAMPLE", "secret", "token")
        deployed.append(Function(archive, configuration, credentials, "http://127.0.0.1:9"))
        return deployed[-1]

    yield deploy
    for function in deployed:
        function.__exit__(None, None, None)


def test_the_first_invocation_is_a_cold_start_and_the_second_finds_its_globals(deploy: Deploy) -> None:
    function = deploy()
    cold, warm = function.invoke({"n": 1}), function.invoke({"n": 2})
    assert cold.is_cold_start
    assert not warm.is_cold_start
    assert (cold.result["count"], warm.result["count"]) == (1, 2)
    assert cold.result["pid"] == warm.result["pid"]
    assert (cold.result["event"], warm.result["event"]) == ({"n": 1}, {"n": 2})
    assert cold.result["request_id"] == cold.request_id != warm.request_id
    assert 5_000_000 < cold.max_rss_bytes <= warm.max_rss_bytes < 512 * 1024 * 1024


def test_a_recycled_environment_is_followed_by_a_cold_start(deploy: Deploy) -> None:
    function = deploy()
    first = function.invoke({})
    function.recycle()
    second = function.invoke({})
    assert second.is_cold_start
    assert second.result["count"] == 1
    assert second.result["pid"] != first.result["pid"]


def test_the_log_lines_of_an_invocation_are_its_own_metrics_included(deploy: Deploy) -> None:
    function = deploy()
    function.invoke({})
    lines = function.invoke({}).logs
    assert lines[0] == "a line of the handler"
    assert json.loads(lines[1]) == {"_aws": {"Timestamp": 0}, "Count": 2}
    assert len(lines) == 2


def test_the_function_sees_what_lambda_gives_and_nothing_of_this_process(deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/home/me/.kube/config")
    result = deploy(timeout_seconds=7, memory_mib=256, variables={"AUTOSCALER_EXPANDER": "least-waste"}).invoke({}).result
    variables = result["variables"]
    assert variables["AUTOSCALER_EXPANDER"] == "least-waste"
    assert variables["AWS_REGION"] == "eu-west-1"
    assert variables["AWS_LAMBDA_FUNCTION_NAME"] == "sample"
    assert variables["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert variables["AWS_SESSION_TOKEN"] == "token"
    assert variables["AWS_ENDPOINT_URL"] == "http://127.0.0.1:9"
    assert variables["_X_AMZN_TRACE_ID"].startswith("Root=1-")
    assert "KUBECONFIG" not in variables
    assert 6_000 < result["remaining_ms"] <= 7_000
    assert result["arn"] == "arn:aws:lambda:eu-west-1:123456789012:function:sample"
    assert not [folder for folder in result["path"] if "site-packages" in folder]


def test_what_the_test_environment_has_installed_cannot_be_imported(deploy: Deploy) -> None:
    error = deploy("sample.import_what_only_the_tests_have").invoke({}).error
    assert error
    assert error["errorMessage"] == "No module named 'pytest'"


def test_boto3_is_the_runtimes_own_and_finds_the_endpoint(deploy: Deploy) -> None:
    invocation = deploy("sample.import_boto3").invoke({})
    assert invocation.error is None
    file, endpoint = invocation.result
    assert "lambda-runtime-" in file
    assert endpoint == "http://127.0.0.1:9"


def test_an_exception_is_reported_with_its_type_and_the_environment_lives_on(deploy: Deploy) -> None:
    function = deploy("sample.fail")
    failed = function.invoke({})
    assert failed.result is None
    assert failed.error
    assert (failed.error["errorType"], failed.error["errorMessage"]) == ("ValueError", "no such thing")
    assert failed.logs[0] == "before"
    assert any("[ERROR] ValueError: no such thing" in line for line in failed.logs)
    assert not function.invoke({}).is_cold_start


def test_a_module_that_cannot_be_imported_fails_the_init_each_time(deploy: Deploy) -> None:
    function = deploy("broken.handle")
    for failed in (function.invoke({}), function.invoke({})):
        assert failed.error
        assert failed.error["errorType"] == "Runtime.ImportModuleError"
        assert "no_such_module" in failed.error["errorMessage"]
        assert failed.is_cold_start


def test_the_deadline_kills_the_process_and_the_next_start_is_cold(deploy: Deploy) -> None:
    function = deploy("sample.sleep", timeout_seconds=1)
    assert function.invoke({}).result == "rested"
    late = function.invoke({"seconds": 30})
    assert late.error
    assert late.error["errorType"] == "Sandbox.Timedout"
    assert late.error["errorMessage"].endswith("Task timed out after 1.00 seconds")
    assert late.logs == ["started"]
    assert 1 <= late.duration_seconds < 10
    assert function.invoke({}).is_cold_start


def test_a_process_that_exits_is_a_runtime_exit_error(deploy: Deploy) -> None:
    error = deploy("sample.leave").invoke({}).error
    assert error
    assert error["errorType"] == "Runtime.ExitError"
    assert error["errorMessage"].endswith("exit status 3")


def test_more_memory_than_declared_ends_the_environment(deploy: Deploy) -> None:
    assert deploy("sample.hoard", memory_mib=1024).invoke({}).error is None
    function = deploy("sample.hoard", memory_mib=256)
    greedy = function.invoke({})
    assert greedy.error
    assert greedy.error["errorType"] == "Runtime.OutOfMemory"
    assert greedy.max_rss_bytes > 400 * 1024 * 1024
    assert function.invoke({}).is_cold_start


def test_reserved_concurrency_throttles_the_invocation_above_it(deploy: Deploy) -> None:
    function = deploy("sample.sleep", reserved_concurrency=1)
    slow = threading.Thread(target=function.invoke, args=({"seconds": 2},))
    slow.start()
    time.sleep(0.2)
    with pytest.raises(Throttled, match="sample"):
        function.invoke({})
    slow.join()
    assert not function.invoke({}).is_cold_start


def test_without_a_limit_a_second_environment_serves_meanwhile(deploy: Deploy) -> None:
    function = deploy("sample.sleep")
    slow = threading.Thread(target=function.invoke, args=({"seconds": 2},))
    slow.start()
    time.sleep(0.2)
    assert function.invoke({}).is_cold_start
    slow.join()
