"""The AWS client against moto, and its border."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import msgspec
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.stub import ANY, Stubber
from moto import mock_aws

from lambda_autoscaler import questions
from lambda_autoscaler.core import amazon
from lambda_autoscaler.core.options import GroupSpec, Options, TagFilter
from lambda_autoscaler.edge.aws import AwsClient
from lambda_autoscaler.edge.aws_errors import at_the_border
from lambda_autoscaler.ports import AutoscalerError, BadInput, Busy, Denied, NotFound, Refused, Throttled, Unavailable, Unreachable

pytestmark = pytest.mark.aws

OPTIONS = Options(cluster_name="demo")
OURS = {"k8s.io/cluster-autoscaler/enabled": "true", "k8s.io/cluster-autoscaler/demo": "owned"}


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        yield


@pytest.fixture
def template() -> str:
    made = boto3.client("ec2").create_launch_template(LaunchTemplateName="workers", LaunchTemplateData={"InstanceType": "m5.xlarge"})
    return str(made["LaunchTemplate"]["LaunchTemplateId"])


def make_group(name: str, template: str, tags: dict[str, str], desired: int = 1) -> None:
    boto3.client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=name,
        LaunchTemplate={"LaunchTemplateId": template, "Version": "$Latest"},
        MinSize=0,
        MaxSize=5,
        DesiredCapacity=desired,
        AvailabilityZones=["us-east-1a"],
        Tags=[{"Key": key, "Value": value, "ResourceId": name, "ResourceType": "auto-scaling-group"} for key, value in tags.items()],
    )


def found(client: AwsClient) -> list[str]:
    return [group["AutoScalingGroupName"] for page in client.groups() for group in json.loads(page)["AutoScalingGroups"]]


def test_only_groups_with_every_discovery_tag_are_found(template: str) -> None:
    make_group("ours", template, OURS)
    make_group("half", template, {"k8s.io/cluster-autoscaler/enabled": "true"})
    make_group("other-cluster", template, {"k8s.io/cluster-autoscaler/enabled": "true", "k8s.io/cluster-autoscaler/prod": "owned"})
    assert found(AwsClient(OPTIONS)) == ["ours"]


def test_a_tag_with_a_value_must_have_it(template: str) -> None:
    make_group("blue", template, {"shard": "blue"})
    make_group("green", template, {"shard": "green"})
    options = Options(cluster_name="demo", node_group_auto_discovery=(TagFilter("shard", "green"),))
    assert found(AwsClient(options)) == ["green"]


def test_explicit_groups_need_no_tags(template: str) -> None:
    make_group("named", template, {})
    make_group("tagged", template, OURS)
    assert found(AwsClient(Options(cluster_name="demo", nodes=(GroupSpec(0, 3, "named"),)))) == ["named"]


def test_more_groups_than_a_page_are_all_found(template: str) -> None:
    for number in range(103):
        make_group(f"group-{number:03}", template, OURS, desired=0)
    assert len(found(AwsClient(OPTIONS))) == 103


def test_an_answer_reads_as_a_wire_object(template: str) -> None:
    make_group("ours", template, OURS, desired=2)
    (page,) = AwsClient(OPTIONS).groups()
    (group,) = msgspec.json.decode(page, type=amazon.AutoScalingGroups).auto_scaling_groups
    assert (group.desired_capacity, group.max_size, len(group.instances)) == (2, 5, 2)


def test_desired_capacity_is_set_absolutely(template: str) -> None:
    make_group("ours", template, OURS)
    client = AwsClient(OPTIONS)
    client.set_desired_capacity("ours", 4)
    client.set_desired_capacity("ours", 4)
    (page,) = client.groups()
    assert json.loads(page)["AutoScalingGroups"][0]["DesiredCapacity"] == 4


def test_a_terminated_instance_is_not_replaced(template: str) -> None:
    make_group("ours", template, OURS, desired=2)
    client = AwsClient(OPTIONS)
    (page,) = client.groups()
    client.terminate(json.loads(page)["AutoScalingGroups"][0]["Instances"][0]["InstanceId"])
    (page,) = client.groups()
    assert json.loads(page)["AutoScalingGroups"][0]["DesiredCapacity"] == 1


def test_an_unknown_instance_type_does_not_hide_the_others() -> None:
    answer = json.loads(AwsClient(OPTIONS).describe(questions.InstanceTypes(("m5.xlarge", "m99.huge"))) or b"{}")
    assert [info["InstanceType"] for info in answer["InstanceTypes"]] == ["m5.xlarge"]


def test_things_that_are_gone_are_none() -> None:
    boto3.client("eks").create_cluster(name="demo", roleArn="arn:aws:iam::123456789012:role/c", resourcesVpcConfig={})
    client = AwsClient(OPTIONS)
    assert client.describe(questions.Nodegroup("nobody")) is None
    assert client.describe(questions.LaunchTemplate("lt-0123456789abcdef0", "1")) is None
    assert client.describe(questions.LaunchTemplate("nobody", "$Default")) is None
    assert client.describe(questions.LaunchConfiguration("nobody")) is None


def test_a_launch_template_is_found_by_id_and_by_name(template: str) -> None:
    client = AwsClient(OPTIONS)
    for key in (template, "workers"):
        answer = json.loads(client.describe(questions.LaunchTemplate(key, "$Default")) or b"{}")
        assert answer["LaunchTemplateVersions"][0]["LaunchTemplateData"]["InstanceType"] == "m5.xlarge"


def test_a_missing_cluster_is_named() -> None:
    with pytest.raises(NotFound, match="eks:DescribeCluster"):
        AwsClient(OPTIONS).describe_cluster()


def test_a_node_group_is_asked_for_again_after_six_minutes() -> None:
    clock = [0.0]
    client = AwsClient(OPTIONS, clock=lambda: clock[0])
    answer: dict[str, Any] = {"nodegroup": {"nodegroupName": "spot"}}
    with Stubber(client.client("eks")) as stub:
        stub.add_response("describe_nodegroup", answer)
        stub.add_response("describe_nodegroup", {"nodegroup": {"nodegroupName": "spot", "status": "ACTIVE"}})
        for now, status in ((0.0, None), (359.0, None), (360.0, "ACTIVE")):
            clock[0] = now
            assert json.loads(client.describe(questions.Nodegroup("spot")) or b"{}")["nodegroup"].get("status") == status
        stub.assert_no_pending_responses()


REQUIREMENTS = {"VCpuCount": {"Min": 4}, "MemoryMiB": {"Min": 8192}, "BurstablePerformance": "excluded"}


def test_requirements_are_resolved_for_the_processor_of_the_image_and_kept_for_twenty_minutes() -> None:
    clock = [0.0]
    client = AwsClient(OPTIONS, clock=lambda: clock[0])
    question = questions.MatchingTypes("workers", "ami-1", msgspec.json.encode(REQUIREMENTS))
    image = {"Images": [{"ImageId": "ami-1", "Architecture": "arm64", "VirtualizationType": "hvm"}]}
    asked = {"ArchitectureTypes": ["arm64"], "VirtualizationTypes": ["hvm"], "InstanceRequirements": REQUIREMENTS}
    with Stubber(client.client("ec2")) as stub:
        for first in ("m6g.xlarge", "m7g.xlarge"):
            stub.add_response("describe_images", image, {"ImageIds": ["ami-1"]})
            stub.add_response("get_instance_types_from_instance_requirements", {"InstanceTypes": [{"InstanceType": first}]}, asked)
        for now, first in ((0.0, "m6g.xlarge"), (1199.0, "m6g.xlarge"), (1200.0, "m7g.xlarge")):
            clock[0] = now
            assert json.loads(client.describe(question) or b"{}") == {"InstanceTypes": [{"InstanceType": first}]}
        stub.assert_no_pending_responses()


def test_an_image_that_is_gone_is_named() -> None:
    client = AwsClient(OPTIONS)
    with Stubber(client.client("ec2")) as stub:
        stub.add_response("describe_images", {"Images": []})
        with pytest.raises(NotFound, match="image ami-1 does not exist"):
            client.describe(questions.MatchingTypes("workers", "ami-1", b"{}"))


def test_spot_prices_of_the_moment_are_asked_for_and_kept_for_ten_minutes() -> None:
    clock = [1_780_000_000.0]
    client = AwsClient(OPTIONS, clock=lambda: clock[0])
    asked = {"InstanceTypes": ["m5.large"], "ProductDescriptions": ["Linux/UNIX"], "StartTime": ANY, "MaxResults": 100}
    price = {"InstanceType": "m5.large", "AvailabilityZone": "us-east-1a"}
    with Stubber(client.client("ec2")) as stub:
        stub.add_response("describe_spot_price_history", {"SpotPriceHistory": [{**price, "SpotPrice": "0.03"}], "NextToken": "more"}, asked)
        stub.add_response(
            "describe_spot_price_history", {"SpotPriceHistory": [{**price, "SpotPrice": "0.04"}]}, {**asked, "NextToken": "more"}
        )
        stub.add_response("describe_spot_price_history", {"SpotPriceHistory": []}, asked)
        for later, prices in ((0.0, ["0.03", "0.04"]), (599.0, ["0.03", "0.04"]), (600.0, [])):
            clock[0] = 1_780_000_000.0 + later
            answer = msgspec.json.decode(client.describe(questions.SpotPrices(("m5.large",))) or b"", type=amazon.SpotPrices)
            assert [item.spot_price for item in answer.spot_price_history] == prices
        stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("code", "message", "error", "words"),
    [
        ("AccessDenied", "User x is not authorized", Denied, "Allow autoscaling:SetDesiredCapacity"),
        ("ExpiredToken", "expired", Denied, "credentials"),
        ("Throttling", "Rate exceeded", Throttled, "Rate exceeded"),
        ("ValidationError", "AutoScalingGroup name not found - null", NotFound, "not found"),
        ("ValidationError", "New SetDesiredCapacity value 9 is above max value 5", Refused, "above max"),
        ("ScalingActivityInProgress", "busy", Refused, "ScalingActivityInProgress"),
        ("ResourceContention", "You already have a pending update to this Auto Scaling resource", Busy, "pending update"),
        ("InternalFailure", "try again", Unavailable, "InternalFailure"),
    ],
)
def test_each_refusal_is_named(code: str, message: str, error: type[AutoscalerError], words: str) -> None:
    client = AwsClient(OPTIONS)
    with Stubber(client.client("autoscaling")) as stub:
        stub.add_client_error("set_desired_capacity", code, message)
        with pytest.raises(error, match=words):
            client.set_desired_capacity("ours", 2)


@pytest.mark.parametrize("code", ["ResourceContention", "ScalingActivityInProgress"])
def test_a_group_that_is_being_changed_already_is_busy(code: str) -> None:
    with pytest.raises(Busy, match=code):
        refused(code)


@pytest.mark.parametrize(
    "code",
    [
        *("InternalFailure", "InternalError", "InternalServerError", "InternalServiceError"),
        *("ServiceUnavailable", "ServiceUnavailableException", "Unavailable", "ServerException", "ServiceException"),
    ],
)
def test_a_service_that_fails_is_told_from_one_that_refuses(code: str) -> None:
    with pytest.raises(Unavailable, match=code):
        refused(code)


def test_a_failure_without_a_known_code_is_known_by_its_status() -> None:
    with pytest.raises(Unavailable):
        refused("SomethingNew", 502)
    with pytest.raises(Throttled):
        refused("RequestLimitExceeded", 503)


def refused(code: str, status: int = 400) -> None:
    """A call that AWS answers with an error."""
    answer: Any = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    with at_the_border("autoscaling", "TerminateInstanceInAutoScalingGroup", ""):
        raise ClientError(answer, "TerminateInstanceInAutoScalingGroup")


def test_an_endpoint_that_does_not_answer_is_named() -> None:
    lost = EndpointConnectionError(endpoint_url="https://autoscaling.us-east-1.amazonaws.com")
    words = r"autoscaling:DescribeAutoScalingGroups at https://autoscaling"
    with (
        pytest.raises(Unreachable, match=words),
        at_the_border("autoscaling", "DescribeAutoScalingGroups", "https://autoscaling.us-east-1.amazonaws.com"),
    ):
        raise lost


def test_the_region_of_the_runtime_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert AwsClient(OPTIONS).client("autoscaling").meta.region_name == "eu-west-1"


def test_a_missing_region_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(BadInput, match="AWS_REGION"):
        AwsClient(OPTIONS).client("autoscaling")
