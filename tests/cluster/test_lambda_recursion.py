"""A function that sends itself messages is stopped after sixteen invocations, unless its configuration lets it go on."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.aws_world import AwsWorld
from tests.cluster.event_source import EventSource
from tests.cluster.function import Function, FunctionConfiguration
from tests.cluster.lambda_recursion import MOST_INVOCATIONS
from tests.cluster.test_aws_world import TRUST_LAMBDA
from tests.cluster.waiting import wait_for

pytestmark = pytest.mark.aws

WANTED = 20
HANDLER = """
import json, os
import boto3

def step(event, context):
    number = int(event["Records"][0]["body"])
    if number < int(os.environ["WANTED"]):
        boto3.client("sqs").send_message(QueueUrl=os.environ["QUEUE"], MessageBody=str(number + 1))
"""


@pytest.fixture
def world() -> Iterator[AwsWorld]:
    with AwsWorld() as entered:
        yield entered


@pytest.fixture
def function(world: AwsWorld, tmp_path: Path) -> Iterator[Function]:
    """The function ``stepping``, which sends itself one message after the other, with its queue."""
    iam, sqs = world.client("iam"), world.client("sqs")
    role = iam.create_role(RoleName="stepping", AssumeRolePolicyDocument=json.dumps(TRUST_LAMBDA))["Role"]["Arn"]
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}]}
    iam.put_role_policy(RoleName="stepping", PolicyName="queue", PolicyDocument=json.dumps(document))
    url = sqs.create_queue(QueueName="steps")["QueueUrl"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("stepping.py", HANDLER)
    path = tmp_path / "function.zip"
    path.write_bytes(code.getvalue())
    functions = world.client("lambda")
    made = functions.create_function(
        FunctionName="stepping", Role=role, Handler="stepping.step", Runtime="python3.13", Timeout=30, Code={"ZipFile": code.getvalue()}
    )
    functions.create_event_source_mapping(
        FunctionName="stepping",
        EventSourceArn=sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"],
    )
    declared = FunctionConfiguration(
        "stepping", "stepping.step", made["FunctionArn"], variables={"WANTED": str(WANTED), "QUEUE": f"{world.url}/123456789012/steps"}
    )
    with Function(path, declared, world.credentials_of(role, session_name="stepping"), world.url) as running:
        yield running


def steps(world: AwsWorld, function: Function, wanted: int) -> list[int]:
    """What the function was invoked with once it has been ``wanted`` times, and a moment after."""
    functions, queues = world.client("lambda"), world.client("sqs", function.credentials)
    with EventSource(functions, queues, function) as source:
        queues.send_message(QueueUrl=f"{world.url}/123456789012/steps", MessageBody="1")
        wait_for(f"{wanted} invocations", lambda: len(source.deliveries), lambda count: count >= wanted, 60.0)
        wait_for("what is sent to be received", lambda: source.refused or len(source.deliveries) == WANTED, bool, 10.0)
    assert [one.invocation.error for one in source.deliveries] == [None] * len(source.deliveries)
    return [int(one.bodies[0]) for one in source.deliveries]


def test_a_loop_ends_after_sixteen_invocations(world: AwsWorld, function: Function) -> None:
    assert steps(world, function, MOST_INVOCATIONS) == list(range(1, MOST_INVOCATIONS + 1))


def test_a_loop_that_is_allowed_goes_on(world: AwsWorld, function: Function) -> None:
    world.client("lambda").put_function_recursion_config(FunctionName="stepping", RecursiveLoop="Allow")
    assert steps(world, function, WANTED) == list(range(1, WANTED + 1))
