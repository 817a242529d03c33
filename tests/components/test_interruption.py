"""The interruption path of the tutorial: which events reach the queue, who may use it, and what the function may do."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from eks_autoscaling import event_rules, rbac
from lambda_autoscaler.core.events import READERS, REMINDER
from tests import ec2_events
from tests.build import NOW
from tests.cluster.aws_protocol import AwsError
from tests.cluster.aws_world import AwsWorld
from tests.cluster.iam_evaluation import Access, Decision, decide
from tests.cluster.principals import Credentials
from tests.cluster.pulumi_mocks import Deployment

pytestmark = pytest.mark.aws

CLUSTER = "eks-spot-managed-node-groups"
RULE = "aws:cloudwatch/eventRule:EventRule"
QUEUE = "aws:sqs/queue:Queue"


def attributes(world: AwsWorld, url: str) -> dict[str, Any]:
    found: dict[str, Any] = world.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return found


def arn(tutorial: Deployment, name: str) -> str:
    found: str = tutorial.one(QUEUE, name).outputs["arn"]
    return found


@pytest.fixture
def queue(tutorial: Deployment) -> str:
    """URL of the queue; whoever puts messages into it takes them out again."""
    url: str = tutorial.outputs["interruption_queue_url"]
    return url


@pytest.fixture
def role(tutorial: Deployment, tutorial_world: AwsWorld) -> Credentials:
    """What Lambda gives the function."""
    return tutorial_world.credentials_of(tutorial.outputs["interruption_role_arn"], session_name="autoscaler-interruption")


def configuration(world: AwsWorld, name: str) -> dict[str, Any]:
    found: dict[str, Any] = world.client("lambda").get_function(FunctionName=name)["Configuration"]
    return found


# --- queue ---


def test_the_queue_is_encrypted_and_drops_messages_that_failed_three_times(
    tutorial: Deployment, tutorial_world: AwsWorld, queue: str
) -> None:
    found = attributes(tutorial_world, queue)
    assert found["SqsManagedSseEnabled"] == "true"
    assert (found["MessageRetentionPeriod"], found["VisibilityTimeout"]) == ("3600", "60")
    assert json.loads(found["RedrivePolicy"]) == {
        "deadLetterTargetArn": arn(tutorial, "autoscaler-interruption-dead-letters"),
        "maxReceiveCount": 3,
    }


def test_dead_letters_are_encrypted_kept_for_two_weeks_and_come_from_one_queue(tutorial: Deployment, tutorial_world: AwsWorld) -> None:
    found = attributes(tutorial_world, tutorial.outputs["interruption_dead_letter_queue_url"])
    assert (found["SqsManagedSseEnabled"], found["MessageRetentionPeriod"]) == ("true", str(14 * 86400))
    assert json.loads(found["RedriveAllowPolicy"]) == {
        "redrivePermission": "byQueue",
        "sourceQueueArns": [arn(tutorial, "autoscaler-interruption")],
    }


def test_the_queue_accepts_each_of_the_rules(tutorial: Deployment, tutorial_world: AwsWorld) -> None:
    rules = tutorial.of_type(RULE)
    assert len(rules) == len(event_rules.RULES)
    for rule in rules:
        tutorial_world.may_send(rule.outputs["arn"], arn(tutorial, "autoscaler-interruption"))


@pytest.mark.parametrize(
    "rule_arn",
    ["arn:aws:events:us-east-1:123456789012:rule/another", "arn:aws:events:us-east-1:999999999999:rule/{rule}"],
    ids=["another rule", "another account"],
)
def test_the_queue_accepts_no_other_rule(tutorial: Deployment, tutorial_world: AwsWorld, rule_arn: str) -> None:
    name = tutorial.of_type(RULE)[0].outputs["name"]
    with pytest.raises(AwsError, match="not authorized to perform: sqs:SendMessage"):
        tutorial_world.may_send(rule_arn.format(rule=name), arn(tutorial, "autoscaler-interruption"))


def test_the_queue_accepts_nothing_without_tls(tutorial: Deployment, tutorial_world: AwsWorld) -> None:
    rule = tutorial.of_type(RULE)[0].outputs["arn"]
    with pytest.raises(AwsError, match="explicit deny"):
        tutorial_world.may_send(rule, arn(tutorial, "autoscaler-interruption"), secure=False)


def test_no_rule_may_send_to_the_dead_letters(tutorial: Deployment, tutorial_world: AwsWorld) -> None:
    rule = tutorial.of_type(RULE)[0].outputs["arn"]
    with pytest.raises(AwsError, match="not authorized to perform: sqs:SendMessage"):
        tutorial_world.may_send(rule, arn(tutorial, "autoscaler-interruption-dead-letters"))


def test_the_first_event_finds_a_queue_that_accepts_it(tutorial: Deployment) -> None:
    policy = tutorial.one("aws:sqs/queuePolicy:QueuePolicy", "autoscaler-interruption").urn
    targets = tutorial.of_type("aws:cloudwatch/eventTarget:EventTarget")
    assert len(targets) == len(event_rules.RULES)
    assert all(policy in target.options.depends_on for target in targets)


# --- rules ---

ANSWERED = {
    "spot interruption": ec2_events.spot(),
    "hibernation": ec2_events.spot(action="hibernate"),
    "rebalance recommendation": ec2_events.rebalance(),
    "reserved capacity": ec2_events.reservation(),
    "capacity block": ec2_events.capacity_block(NOW + 2400),
    "capacity block, other name": ec2_events.event(
        "Capacity Block Reservation Expiration Warning", {"capacity-reservation-id": ec2_events.RESERVATION}
    ),
    **{state: ec2_events.state(state) for state in ("stopping", "stopped", "shutting-down", "terminated")},
    "scheduled change": ec2_events.health(ec2_events.INSTANCE),
    "terminate lifecycle action": ec2_events.lifecycle(),
    "failed launch": ec2_events.event(ec2_events.LAUNCH_FAILED, {"AutoScalingGroupName": "workers"}, source="aws.autoscaling"),
}
IGNORED = {
    "pending": ec2_events.state("pending"),
    "running": ec2_events.state("running"),
    "launch lifecycle action": ec2_events.event(ec2_events.LAUNCHING, ec2_events.lifecycle_detail(), source="aws.autoscaling"),
    "successful launch": ec2_events.event("EC2 Instance Launch Successful", {"AutoScalingGroupName": "workers"}, source="aws.autoscaling"),
    "health issue": ec2_events.health(ec2_events.INSTANCE, eventTypeCategory="issue"),
    "health of another service": ec2_events.health(ec2_events.INSTANCE, service="RDS"),
    "spot request fulfilled": ec2_events.event("EC2 Spot Instance Request Fulfillment", {"instance-id": ec2_events.INSTANCE}),
    "own event with a name of EC2's": ec2_events.spot(source="my.application"),
}


def arrived(world: AwsWorld, queue: str, event: dict[str, Any]) -> list[dict[str, Any]]:
    """What the queue holds after EventBridge got the event."""
    entry = {"Source": event["source"], "DetailType": event["detail-type"], "Detail": json.dumps(event["detail"])}
    answer = world.client("events").put_events(Entries=[entry])
    assert answer["FailedEntryCount"] == 0
    sqs = world.client("sqs")
    messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    for message in messages:
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return [json.loads(message["Body"]) for message in messages]


@pytest.mark.parametrize("event", ANSWERED.values(), ids=ANSWERED)
def test_an_event_that_is_answered_reaches_the_queue_once(tutorial_world: AwsWorld, queue: str, event: dict[str, Any]) -> None:
    (message,) = arrived(tutorial_world, queue, event)
    assert [message[key] for key in ("source", "detail-type", "detail")] == [event[key] for key in ("source", "detail-type", "detail")]


@pytest.mark.parametrize("event", IGNORED.values(), ids=IGNORED)
def test_other_events_do_not(tutorial_world: AwsWorld, queue: str, event: dict[str, Any]) -> None:
    assert arrived(tutorial_world, queue, event) == []


def test_the_rules_send_exactly_the_kinds_of_events_that_the_function_reads() -> None:
    sent = [(rule.pattern["source"][0], kind) for rule in event_rules.RULES for kind in rule.pattern["detail-type"]]
    assert sorted(sent) == sorted(set(READERS) - {REMINDER})


def test_the_rules_are_on_the_default_bus(tutorial: Deployment, tutorial_world: AwsWorld) -> None:
    found = tutorial_world.client("events").list_rules(EventBusName="default")["Rules"]
    assert {rule["Name"]: rule["State"] for rule in found} == {rule.outputs["name"]: "ENABLED" for rule in tutorial.of_type(RULE)}


# --- function ---


def test_messages_come_ten_at_a_time_at_once_and_fail_one_by_one(tutorial: Deployment, tutorial_world: AwsWorld) -> None:
    (mapping,) = tutorial_world.client("lambda").list_event_source_mappings(FunctionName=tutorial.outputs["interruption_function_name"])[
        "EventSourceMappings"
    ]
    assert mapping["EventSourceArn"] == arn(tutorial, "autoscaler-interruption")
    assert (mapping["BatchSize"], mapping["MaximumBatchingWindowInSeconds"], mapping["State"]) == (10, 0, "Enabled")
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": 10}


def test_messages_come_after_the_functions_permissions_and_access(tutorial: Deployment) -> None:
    mapping = tutorial.one("aws:lambda/eventSourceMapping:EventSourceMapping")
    waits_for = {urn.split("::")[2].rpartition("$")[2] for urn in mapping.options.depends_on}
    assert {"aws:eks/accessEntry:AccessEntry", "aws:iam/rolePolicy:RolePolicy"} <= waits_for
    assert "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding" in waits_for


def test_both_functions_are_of_one_zip(tutorial: Deployment, tutorial_world: AwsWorld) -> None:
    scan = configuration(tutorial_world, tutorial.outputs["function_name"])
    interruption = configuration(tutorial_world, tutorial.outputs["interruption_function_name"])
    assert scan["CodeSha256"] == interruption["CodeSha256"]
    for key in ("Runtime", "Architectures"):
        assert scan[key] == interruption[key]


def test_the_function_knows_its_queue_and_the_scan_and_has_the_scans_settings(
    tutorial: Deployment, tutorial_world: AwsWorld, queue: str
) -> None:
    function = tutorial_world.client("lambda").get_function(FunctionName=tutorial.outputs["interruption_function_name"])
    settings = function["Configuration"]
    assert (settings["Handler"], settings["Timeout"], settings["MemorySize"]) == ("lambda_autoscaler.handler.interruption", 30, 512)
    scan = configuration(tutorial_world, tutorial.outputs["function_name"])["Environment"]["Variables"]
    own = {"INTERRUPTION_QUEUE_URL": queue, "SCAN_FUNCTION": tutorial.outputs["function_name"]}
    assert settings["Environment"]["Variables"] == {**scan, **own}
    assert function["Concurrency"] == {"ReservedConcurrentExecutions": 10}
    declared = tutorial.one("aws:lambda/function:Function", "autoscaler-interruption").inputs
    assert declared["loggingConfig"] == {"logFormat": "Text", "logGroup": tutorial.outputs["interruption_log_group"]}


def test_the_function_may_send_itself_more_messages_than_lambda_takes_for_a_loop(tutorial: Deployment, tutorial_world: AwsWorld) -> None:
    name = tutorial.outputs["interruption_function_name"]
    assert tutorial_world.client("lambda").get_function_recursion_config(FunctionName=name)["RecursiveLoop"] == "Allow"
    mapping = tutorial.one("aws:lambda/eventSourceMapping:EventSourceMapping")
    assert tutorial.one("aws:lambda/functionRecursionConfig:FunctionRecursionConfig").urn in mapping.options.depends_on


def test_the_access_entry_puts_the_role_into_a_group_of_its_own(tutorial: Deployment, tutorial_world: AwsWorld) -> None:
    entry = tutorial_world.client("eks").describe_access_entry(clusterName=CLUSTER, principalArn=tutorial.outputs["interruption_role_arn"])[
        "accessEntry"
    ]
    assert (entry["type"], entry["kubernetesGroups"], entry["username"]) == (
        "STANDARD",
        ["eks-autoscaling-interruption"],
        "eks-autoscaling-interruption",
    )


def test_the_group_marks_and_empties_nodes_and_nothing_else() -> None:
    rules = [rule for manifest in rbac.interruption_manifests() for rule in manifest.get("rules", [])]
    assert {(*rule["apiGroups"], *rule["resources"]): set(rule["verbs"]) for rule in rules} == {
        ("", "nodes"): {"list", "patch", "delete"},
        ("", "pods"): {"list", "delete"},
        ("", "pods/eviction"): {"create"},
        ("", "events"): {"create", "patch"},
    }


# --- role ---


def hooked(world: AwsWorld, group: str) -> dict[str, str]:
    """Arguments of a lifecycle action that waits: a hook on the group is made, and one of its instances is terminated."""
    autoscaling = world.client("autoscaling")
    autoscaling.put_lifecycle_hook(
        LifecycleHookName="drain", AutoScalingGroupName=group, LifecycleTransition="autoscaling:EC2_INSTANCE_TERMINATING"
    )
    instance = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"][0]["Instances"][0]["InstanceId"]
    autoscaling.terminate_instance_in_auto_scaling_group(InstanceId=instance, ShouldDecrementDesiredCapacity=False)
    return {"AutoScalingGroupName": group, "LifecycleHookName": "drain", "InstanceId": instance}


def test_the_role_keeps_lifecycle_actions_of_its_clusters_groups_alive_and_completes_them(
    tutorial: Deployment, tutorial_world: AwsWorld, role: Credentials
) -> None:
    group = tutorial.outputs["spot_auto_scaling_group"]
    action = hooked(tutorial_world, group)
    try:
        autoscaling = tutorial_world.client("autoscaling", role)
        autoscaling.record_lifecycle_action_heartbeat(**action)
        autoscaling.complete_lifecycle_action(**action, LifecycleActionResult="CONTINUE")
    finally:
        tutorial_world.client("autoscaling").delete_lifecycle_hook(LifecycleHookName="drain", AutoScalingGroupName=group)


def test_the_role_hands_instances_of_its_clusters_groups_back(tutorial: Deployment, tutorial_world: AwsWorld, role: Credentials) -> None:
    name = tutorial.outputs["spot_auto_scaling_group"]
    administrator = tutorial_world.client("autoscaling")
    administrator.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=3)
    group = administrator.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]
    tutorial_world.client("autoscaling", role).terminate_instance_in_auto_scaling_group(
        InstanceId=group["Instances"][0]["InstanceId"], ShouldDecrementDesiredCapacity=True
    )
    assert administrator.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]["DesiredCapacity"] == 2


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"k8s.io/cluster-autoscaler/enabled": "true"},
        {"k8s.io/cluster-autoscaler/enabled": "true", "k8s.io/cluster-autoscaler/another-cluster": "owned"},
    ],
)
def test_the_role_leaves_groups_without_both_tags_alone(
    tutorial: Deployment, tutorial_world: AwsWorld, role: Credentials, tags: dict[str, str]
) -> None:
    administrator = tutorial_world.client("autoscaling")
    administrator.create_auto_scaling_group(
        AutoScalingGroupName="stranger",
        MinSize=0,
        MaxSize=1,
        DesiredCapacity=1,
        AvailabilityZones=["us-east-1a"],
        LaunchTemplate={"LaunchTemplateId": tutorial.one("aws:ec2/launchTemplate:LaunchTemplate", "spot-4vcpu-16gb").id},
        Tags=[{"Key": key, "Value": value, "PropagateAtLaunch": False} for key, value in tags.items()],
    )
    try:
        action = hooked(tutorial_world, "stranger")
        autoscaling = tutorial_world.client("autoscaling", role)
        with pytest.raises(ClientError, match="is not authorized to perform: autoscaling:CompleteLifecycleAction"):
            autoscaling.complete_lifecycle_action(**action, LifecycleActionResult="CONTINUE")
        with pytest.raises(ClientError, match="is not authorized to perform: autoscaling:RecordLifecycleActionHeartbeat"):
            autoscaling.record_lifecycle_action_heartbeat(**action)
        with pytest.raises(ClientError, match="is not authorized to perform: autoscaling:TerminateInstanceInAutoScalingGroup"):
            autoscaling.terminate_instance_in_auto_scaling_group(InstanceId=action["InstanceId"], ShouldDecrementDesiredCapacity=False)
    finally:
        administrator.delete_auto_scaling_group(AutoScalingGroupName="stranger", ForceDelete=True)


def test_the_role_sends_itself_the_next_step_and_takes_it_off_the_queue(tutorial_world: AwsWorld, queue: str, role: Credentials) -> None:
    sqs = tutorial_world.client("sqs", role)
    sqs.send_message(QueueUrl=queue, MessageBody="{}", DelaySeconds=0)
    (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    counted = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessagesNotVisible"])["Attributes"]
    assert counted == {"ApproximateNumberOfMessagesNotVisible": "0"}


ALLOWED: list[tuple[str, Callable[[Any, Deployment], Any]]] = [
    ("eks", lambda client, _: client.describe_cluster(name=CLUSTER)),
    ("ec2", lambda client, _: client.describe_instances()),
    ("logs", lambda client, stack: client.create_log_stream(logGroupName=stack.outputs["interruption_log_group"], logStreamName="stream")),
]


@pytest.mark.parametrize(("service", "act"), ALLOWED)
def test_the_role_may_do_what_the_function_does(
    tutorial: Deployment, tutorial_world: AwsWorld, role: Credentials, service: str, act: Callable[[Any, Deployment], Any]
) -> None:
    assert act(tutorial_world.client(service, role), tutorial)


def test_the_role_may_invoke_the_scan(tutorial: Deployment, tutorial_world: AwsWorld) -> None:
    iam, name = tutorial_world.client("iam"), tutorial.outputs["interruption_role_arn"].rpartition("/")[2]
    names = iam.list_role_policies(RoleName=name)["PolicyNames"]
    documents = [iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"] for policy in names]
    scan = tutorial.one("aws:lambda/function:Function", "autoscaler-scan").outputs["arn"]
    assert decide(documents, Access("lambda:InvokeFunction", scan, {})) is Decision.ALLOWED


FORBIDDEN: list[tuple[str, Callable[[Any, Deployment], Any]]] = [
    (
        "autoscaling",
        lambda client, stack: client.set_desired_capacity(AutoScalingGroupName=stack.outputs["spot_auto_scaling_group"], DesiredCapacity=3),
    ),
    (
        "autoscaling",
        lambda client, stack: client.detach_instances(
            AutoScalingGroupName=stack.outputs["spot_auto_scaling_group"], ShouldDecrementDesiredCapacity=False
        ),
    ),
    ("ec2", lambda client, _: client.terminate_instances(InstanceIds=["i-0123456789abcdef0"])),
    ("eks", lambda client, _: client.describe_cluster(name="another-cluster")),
    ("lambda", lambda client, _: client.invoke(FunctionName="another", InvocationType="Event")),
    ("lambda", lambda client, stack: client.invoke(FunctionName=stack.outputs["interruption_function_name"], InvocationType="Event")),
    ("logs", lambda client, stack: client.create_log_stream(logGroupName=stack.outputs["log_group"], logStreamName="stream")),
    (
        "sqs",
        lambda client, stack: client.send_message(QueueUrl=stack.outputs["interruption_dead_letter_queue_url"], MessageBody="{}"),
    ),
    ("sqs", lambda client, stack: client.purge_queue(QueueUrl=stack.outputs["interruption_queue_url"])),
    (
        "sqs",
        lambda client, stack: client.set_queue_attributes(QueueUrl=stack.outputs["interruption_queue_url"], Attributes={"Policy": ""}),
    ),
]


@pytest.mark.parametrize(("service", "attempt"), FORBIDDEN)
def test_the_role_may_do_nothing_else(
    tutorial: Deployment, tutorial_world: AwsWorld, role: Credentials, service: str, attempt: Callable[[Any, Deployment], Any]
) -> None:
    with pytest.raises(ClientError, match="is not authorized to perform"):
        attempt(tutorial_world.client(service, role), tutorial)


@pytest.mark.parametrize("operation", ["send_message", "receive_message"])
def test_the_scan_may_not_touch_the_queue(tutorial: Deployment, tutorial_world: AwsWorld, queue: str, operation: str) -> None:
    scan = tutorial_world.credentials_of(tutorial.outputs["function_role_arn"], session_name="autoscaler")
    more = {"MessageBody": "{}"} if operation == "send_message" else {}
    with pytest.raises(ClientError, match="is not authorized to perform: sqs:"):
        getattr(tutorial_world.client("sqs", scan), operation)(QueueUrl=queue, **more)


def test_only_lambda_may_take_the_role(tutorial: Deployment, tutorial_world: AwsWorld) -> None:
    with pytest.raises(AwsError, match="not authorized to perform: sts:AssumeRole"):
        tutorial_world.credentials_of(tutorial.outputs["interruption_role_arn"], service="events.amazonaws.com")
