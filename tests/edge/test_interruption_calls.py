"""What the interruption function asks of AWS, call by call."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.stub import Stubber
from moto import mock_aws

from lambda_autoscaler import questions
from lambda_autoscaler.core.events import Hook
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.edge.aws import AwsClient
from lambda_autoscaler.ports import NotFound, Refused
from tests.ec2_events import INSTANCE, OTHER, RESERVATION

pytestmark = pytest.mark.aws

HOOK = Hook("workers", "drain", "token")
ACTION = {"AutoScalingGroupName": "workers", "LifecycleHookName": "drain", "InstanceId": INSTANCE}
NO_ACTION = f"No active Lifecycle Action found with instance ID {INSTANCE}"


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsClient]:
    for name, value in {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_DEFAULT_REGION": "eu-central-1"}.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        yield AwsClient(Options(cluster_name="demo"))


@pytest.fixture
def autoscaling(client: AwsClient) -> Iterator[Any]:
    with Stubber(client.client("autoscaling")) as stub:
        yield stub
        stub.assert_no_pending_responses()


def test_a_lifecycle_action_goes_on_and_is_named_by_its_instance(client: AwsClient, autoscaling: Any) -> None:
    autoscaling.add_response("complete_lifecycle_action", {}, {**ACTION, "LifecycleActionResult": "CONTINUE"})
    autoscaling.add_response("record_lifecycle_action_heartbeat", {}, ACTION)
    client.complete_lifecycle(HOOK, INSTANCE)
    client.heartbeat(HOOK, INSTANCE)


def test_a_lifecycle_action_that_is_over_counts_as_completed(client: AwsClient, autoscaling: Any) -> None:
    autoscaling.add_client_error("complete_lifecycle_action", "ValidationError", NO_ACTION)
    client.complete_lifecycle(HOOK, INSTANCE)


@pytest.mark.parametrize(("message", "error"), [("AutoScalingGroup name not found", NotFound), ("Internal Failure", Refused)])
def test_any_other_refusal_to_complete_is_a_fault(client: AwsClient, autoscaling: Any, message: str, error: type[Exception]) -> None:
    autoscaling.add_client_error("complete_lifecycle_action", "ValidationError", message)
    with pytest.raises(error, match=message):
        client.complete_lifecycle(HOOK, INSTANCE)


@pytest.mark.parametrize("decrement", [True, False])
def test_an_instance_is_handed_back_with_its_capacity_or_without(client: AwsClient, autoscaling: Any, decrement: bool) -> None:
    asked = {"InstanceId": INSTANCE, "ShouldDecrementDesiredCapacity": decrement}
    autoscaling.add_response("terminate_instance_in_auto_scaling_group", {}, asked)
    client.terminate(INSTANCE, decrement=decrement)


def test_the_instances_of_a_reservation_are_found_on_every_page(client: AwsClient) -> None:
    asked = {"Filters": [{"Name": "capacity-reservation-id", "Values": [RESERVATION]}], "MaxResults": 100}
    with Stubber(client.client("ec2")) as stub:
        first = {"Reservations": [{"Instances": [{"InstanceId": INSTANCE}]}], "NextToken": "more"}
        stub.add_response("describe_instances", first, asked)
        stub.add_response("describe_instances", {"Reservations": [{"Instances": [{"InstanceId": OTHER}]}]}, {**asked, "NextToken": "more"})
        answer = json.loads(client.describe(questions.ReservationInstances(RESERVATION)) or b"{}")
    assert [item["InstanceId"] for found in answer["Reservations"] for item in found["Instances"]] == [INSTANCE, OTHER]
