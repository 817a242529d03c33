"""Event source mappings of the AWS world: refused where Lambda refuses them, read back as declared, and never polled."""

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.cluster.aws_world import AwsWorld
from tests.cluster.test_aws_world import TRUST_LAMBDA

pytestmark = pytest.mark.aws

POLLING = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]


@pytest.fixture(scope="module")
def shared_world() -> Iterator[AwsWorld]:
    with AwsWorld() as world:
        yield world


@pytest.fixture
def world(shared_world: AwsWorld) -> AwsWorld:
    shared_world.reset()
    return shared_world


def queue(world: AwsWorld, visibility: int = 60) -> str:
    """ARN of a new queue."""
    sqs = world.client("sqs")
    url = sqs.create_queue(QueueName="events", Attributes={"VisibilityTimeout": str(visibility)})["QueueUrl"]
    arn: str = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return arn


def function(world: AwsWorld, actions: list[str] = POLLING) -> None:
    """A function ``answering`` with a timeout of 30 s, whose role may do ``actions``."""
    iam = world.client("iam")
    role = iam.create_role(RoleName="answering", AssumeRolePolicyDocument=json.dumps(TRUST_LAMBDA))["Role"]["Arn"]
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
    iam.put_role_policy(RoleName="answering", PolicyName="polling", PolicyDocument=json.dumps(document))
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("handler.py", "")
    world.client("lambda").create_function(
        FunctionName="answering", Role=role, Handler="handler.run", Runtime="python3.13", Timeout=30, Code={"ZipFile": code.getvalue()}
    )


def connect(world: AwsWorld, queue_arn: str, **more: Any) -> dict[str, Any]:
    mapping: dict[str, Any] = world.client("lambda").create_event_source_mapping(FunctionName="answering", EventSourceArn=queue_arn, **more)
    return mapping


def test_a_mapping_is_read_back_changed_and_deleted(world: AwsWorld) -> None:
    function(world)
    lambda_ = world.client("lambda")
    made = connect(world, queue(world), ScalingConfig={"MaximumConcurrency": 5}, FunctionResponseTypes=["ReportBatchItemFailures"])
    found = lambda_.get_event_source_mapping(UUID=made["UUID"])
    assert (found["BatchSize"], found["ScalingConfig"], found["State"]) == (10, {"MaximumConcurrency": 5}, "Enabled")
    assert lambda_.update_event_source_mapping(UUID=made["UUID"], Enabled=False)["State"] == "Disabled"
    assert len(lambda_.list_event_source_mappings(FunctionName="answering")["EventSourceMappings"]) == 1
    lambda_.delete_event_source_mapping(UUID=made["UUID"])
    assert lambda_.list_event_source_mappings(FunctionName="answering")["EventSourceMappings"] == []


def test_messages_stay_in_the_queue_until_somebody_plays_lambdas_part(world: AwsWorld) -> None:
    function(world)
    connect(world, queue(world))
    sqs = world.client("sqs")
    url = sqs.get_queue_url(QueueName="events")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="{}")
    assert len(sqs.receive_message(QueueUrl=url)["Messages"]) == 1


@pytest.mark.parametrize("missing", POLLING)
def test_a_role_that_cannot_poll_the_queue_is_refused(world: AwsWorld, missing: str) -> None:
    function(world, [action for action in POLLING if action != missing])
    with pytest.raises(ClientError, match=f"does not have permissions to call {missing.removeprefix('sqs:')} on SQS"):
        connect(world, queue(world))


def test_a_queue_that_shows_messages_again_before_the_functions_timeout_is_refused(world: AwsWorld) -> None:
    function(world)
    with pytest.raises(ClientError, match="visibility timeout: 29 seconds is less than Function timeout: 30 seconds"):
        connect(world, queue(world, visibility=29))


def test_more_concurrency_than_lambda_takes_is_refused(world: AwsWorld) -> None:
    function(world)
    with pytest.raises(ClientError, match="MaximumConcurrency 1001 must be between 2 and 1000"):
        connect(world, queue(world), ScalingConfig={"MaximumConcurrency": 1001})


def test_a_second_mapping_of_the_same_queue_is_refused(world: AwsWorld) -> None:
    function(world)
    arn = queue(world)
    connect(world, arn)
    with pytest.raises(ClientError, match="already exists"):
        connect(world, arn)


def test_a_queue_keeps_its_policy_when_it_learns_who_may_redrive_to_it(world: AwsWorld) -> None:
    arn = queue(world)
    sqs = world.client("sqs")
    url = sqs.get_queue_url(QueueName="events")["QueueUrl"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": arn}]}
    redrive = {"redrivePermission": "denyAll"}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedriveAllowPolicy": json.dumps(redrive)})
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy", "RedriveAllowPolicy"])["Attributes"]
    assert (json.loads(found["Policy"]), json.loads(found["RedriveAllowPolicy"])) == (policy, redrive)
