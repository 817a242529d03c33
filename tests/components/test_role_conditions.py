"""Who may take the declared roles, and under which conditions roles and queues allow what they allow.

Everything is read back from IAM and SQS. What a caller or a request brings along is told by AWS's services and by what was declared, not by
the policies themselves. Who differs from that in a single thing is refused, and each condition keeps somebody out whom nothing else would.
"""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from eks_autoscaling import cni_metrics
from tests.cluster.aws_world import AwsWorld
from tests.cluster.iam_evaluation import Access, Decision, decide, trusts
from tests.cluster.principals import ACCOUNT
from tests.cluster.pulumi_mocks import Declared, Deployment, deploy
from tests.components import every_role

pytestmark = pytest.mark.aws

ROLE = "aws:iam/role:Role"
OTHER_ACCOUNT = "999999999999"
GROUP_TAG = "aws:ResourceTag/"
CLUSTER_ARN = f"arn:aws:eks:us-east-1:{ACCOUNT}:cluster/prod"
Context = dict[str, str]
Document = dict[str, Any]


@dataclass(frozen=True)
class Caller:
    """Who takes a role: the ``principal`` of the trust, by which ``actions``, with which ``context``; ``strange`` are its other values."""

    principal: tuple[str, str]
    actions: tuple[str, ...]
    context: Context
    strange: dict[str, list[str]]

    def is_let_in(self, trust: Document, context: Context | None = None) -> bool:
        """Whether the trust allows all the actions, with another ``context`` if there is one."""
        brought = self.context if context is None else context
        return all(trusts(trust, self.principal, brought, action) for action in self.actions)


@dataclass(frozen=True)
class Place:
    """The world, and what was declared in it."""

    world: AwsWorld
    deployment: Deployment
    sites: set[every_role.Site]

    def trust(self, role: Declared) -> Document:
        trust: Document = self.world.client("iam").get_role(RoleName=role.outputs["name"])["Role"]["AssumeRolePolicyDocument"]
        return trust

    def tags(self) -> tuple[str, dict[str, str]]:
        """ARN of the managed spot group's Auto Scaling group, and what its tags are to IAM."""
        name = self.deployment.one("aws:eks/nodeGroup:NodeGroup", "spot").outputs["resources"][0]["autoscalingGroups"][0]["name"]
        (group,) = self.world.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
        return group["AutoScalingGroupARN"], {f"{GROUP_TAG}{tag['Key']}": tag["Value"] for tag in group["Tags"]}

    def request(self, action: str) -> Access:
        """A request for ``action`` as it is meant to be made."""
        if action.startswith("autoscaling:"):
            return Access(action, *self.tags())
        if action == "cloudwatch:PutMetricData":
            return Access(action, "*", {"cloudwatch:namespace": cni_metrics.METRIC_NAMESPACE})
        raise LookupError(f"what a request for {action} brings along is not said here")


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with AwsWorld() as world, every_role.watched_roles() as sites:
        yield Place(world, deploy(every_role.program, {}, world), sites)


# --- Callers ----------------------------------------------------------------------------------------------


def service(name: str, context: Context | None = None, strange: dict[str, list[str]] | None = None) -> Caller:
    return Caller(("Service", name), ("sts:AssumeRole",), context or {}, strange or {})


def eks(place: Place, role: Declared) -> Caller:
    """EKS tags its sessions where it runs Auto Mode."""
    actions = ("sts:AssumeRole", "sts:TagSession") if role.name == "auto-cluster" else ("sts:AssumeRole",)
    return Caller(("Service", "eks.amazonaws.com"), actions, {}, {})


def scheduler(place: Place, role: Declared) -> Caller:
    """EventBridge Scheduler says for which schedule group of which account it comes."""
    (schedule,) = place.world.client("scheduler").list_schedules()["Schedules"]
    groups = f"arn:aws:scheduler:us-east-1:{ACCOUNT}:schedule-group/"
    context = {"aws:SourceAccount": ACCOUNT, "aws:SourceArn": f"{groups}{schedule['GroupName']}"}
    return service("scheduler.amazonaws.com", context, {"aws:SourceAccount": [OTHER_ACCOUNT], "aws:SourceArn": [f"{groups}other"]})


def fargate(place: Place, role: Declared) -> Caller:
    """Fargate says for which profile."""
    arn = place.deployment.one("aws:eks/fargateProfile:FargateProfile").outputs["arn"]
    strange = [arn.replace("/prod/", "/test/"), arn.replace(ACCOUNT, OTHER_ACCOUNT), arn.replace("us-east-1", "eu-west-1")]
    return service("eks-fargate-pods.amazonaws.com", {"aws:SourceArn": arn}, {"aws:SourceArn": strange})


def pod_identity(place: Place, role: Declared) -> Caller:
    """EKS says for which service account of which cluster, as the association with the role has it."""
    eks = place.world.client("eks")
    found = [
        eks.describe_pod_identity_association(clusterName="prod", associationId=one["associationId"])["association"]
        for one in eks.list_pod_identity_associations(clusterName="prod")["associations"]
    ]
    (association,) = (one for one in found if one["roleArn"] == role.outputs["arn"])
    tag = "aws:RequestTag/"
    context = {
        "aws:SourceAccount": ACCOUNT,
        f"{tag}eks-cluster-arn": CLUSTER_ARN,
        f"{tag}kubernetes-namespace": association["namespace"],
        f"{tag}kubernetes-service-account": association["serviceAccount"],
    }
    strange = {
        "aws:SourceAccount": [OTHER_ACCOUNT],
        f"{tag}eks-cluster-arn": [CLUSTER_ARN.replace("/prod", "/test")],
        f"{tag}kubernetes-namespace": ["default"],
        f"{tag}kubernetes-service-account": ["default"],
    }
    return Caller(("Service", "pods.eks.amazonaws.com"), ("sts:AssumeRole", "sts:TagSession"), context, strange)


def token(place: Place, role: Declared) -> Caller:
    """The cluster's tokens name service account and audience; for whom a role is, its description says."""
    provider = place.deployment.one("aws:iam/openIdConnectProvider:OpenIdConnectProvider", "prod-oidc").outputs
    issuer = provider["url"].removeprefix("https://")
    namespace, account = role.inputs["description"].removeprefix("Pods of the service account ").split("/")
    subject = f"system:serviceaccount:{namespace}:{account}"
    strange = {
        f"{issuer}:sub": [f"system:serviceaccount:default:{account}", f"system:serviceaccount:{namespace}:default"],
        f"{issuer}:aud": ["vault"],
    }
    context = {f"{issuer}:sub": subject, f"{issuer}:aud": "sts.amazonaws.com"}
    return Caller(("Federated", provider["arn"]), ("sts:AssumeRoleWithWebIdentity",), context, strange)


KINDS: dict[str, Callable[[Place, Declared], Caller]] = {
    "ec2.amazonaws.com": lambda _place, _role: service("ec2.amazonaws.com"),
    "eks.amazonaws.com": eks,
    "lambda.amazonaws.com": lambda _place, _role: service("lambda.amazonaws.com"),
    "scheduler.amazonaws.com": scheduler,
    "eks-fargate-pods.amazonaws.com": fargate,
    "pods.eks.amazonaws.com": pod_identity,
    "token": token,
}


def callers(place: Place) -> dict[str, tuple[Document, Caller]]:
    """Trust and caller of every declared role. A role for somebody else has no place here yet, and fails."""
    found = {}
    for role in place.deployment.of_type(ROLE):
        trust = place.trust(role)
        (statement,) = trust["Statement"]
        kind = statement["Principal"].get("Service", "token")
        found[role.name] = (trust, KINDS[kind](place, role))
    return found


# --- Trust ------------------------------------------------------------------------------------------------


def test_the_program_declares_every_role_that_the_package_can_make(place: Place) -> None:
    assert callers(place)
    assert sorted(set(every_role.role_sites()) - place.sites) == []


def test_every_role_lets_in_whom_it_is_for(place: Place) -> None:
    assert [name for name, (trust, caller) in callers(place).items() if not caller.is_let_in(trust)] == []


def test_no_role_lets_in_anybody_who_differs_in_one_thing(place: Place) -> None:
    let_in = [
        (name, key, value)
        for name, (trust, caller) in callers(place).items()
        for key, values in caller.strange.items()
        for value in values
        if caller.is_let_in(trust, {**caller.context, key: value})
    ]
    assert let_in == []


def test_no_role_lets_in_anybody_who_does_not_say_for_whom_it_comes(place: Place) -> None:
    let_in = [
        (name, key)
        for name, (trust, caller) in callers(place).items()
        for key in caller.context
        if caller.is_let_in(trust, {other: value for other, value in caller.context.items() if other != key})
    ]
    assert let_in == []


def test_no_role_lets_in_another_service(place: Place) -> None:
    services = [("Service", name) for name in (*KINDS, "cloudformation.amazonaws.com")]
    found = callers(place)
    for name, (trust, caller) in found.items():
        others = [other for other in services if other != caller.principal]
        assert [other for other in others if trusts(trust, other, caller.context, caller.actions[0])] == [], name


def test_every_condition_keeps_somebody_out(place: Place) -> None:
    """Without it, one of those who differ in one thing would be let in: were it dropped, a test above would fail."""
    idle = []
    for name, (trust, caller) in callers(place).items():
        for operator, keys in trust["Statement"][0].get("Condition", {}).items():
            for key in keys:
                weaker = copy.deepcopy(trust)
                del weaker["Statement"][0]["Condition"][operator][key]
                if not any(caller.is_let_in(weaker, {**caller.context, key: value}) for value in caller.strange.get(key, [])):
                    idle.append((name, key))
    assert idle == []


# --- Conditions of what roles may do ----------------------------------------------------------------------


def conditional(place: Place) -> Iterator[tuple[str, Document]]:
    """Every statement of a declared role with a condition, by the role's name."""
    iam = place.world.client("iam")
    for role in place.deployment.of_type("aws:iam/role:Role"):
        name = role.outputs["name"]
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            for statement in iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]["Statement"]:
                if "Condition" in statement:
                    yield role.name, statement


def allowed(statement: Document, access: Access) -> bool:
    return decide([{"Statement": [statement]}], access) is Decision.ALLOWED


def keys_of(statement: Document) -> Iterator[tuple[str, str]]:
    for operator, keys in statement["Condition"].items():
        for key in keys:
            yield operator, key


def without(statement: Document, operator: str, key: str) -> Document:
    weaker = copy.deepcopy(statement)
    del weaker["Condition"][operator][key]
    return weaker


def test_the_scan_the_interruption_function_the_cluster_autoscaler_and_the_cni_metrics_have_conditions(place: Place) -> None:
    roles = {"autoscaler-function", "autoscaler-interruption", "cluster-autoscaler-role", "addresses-role"}
    assert {name for name, _ in conditional(place)} == roles


def test_what_is_meant_is_allowed_and_what_differs_in_one_condition_is_not(place: Place) -> None:
    for name, statement in conditional(place):
        for action in statement["Action"]:
            access = place.request(action)
            assert allowed(statement, access), (name, action)
            for _, key in keys_of(statement):
                other = Access(action, access.resource, {**access.context, key: "other"})
                missing = Access(action, access.resource, {known: value for known, value in access.context.items() if known != key})
                assert not allowed(statement, other), (name, action, key)
                assert not allowed(statement, missing), (name, action, key)


def test_every_condition_of_a_role_keeps_something_out(place: Place) -> None:
    for name, statement in conditional(place):
        for operator, key in keys_of(statement):
            access = place.request(statement["Action"][0])
            other = Access(access.action, access.resource, {**access.context, key: "other"})
            assert allowed(without(statement, operator, key), other), (name, key)


def test_both_tags_of_a_group_are_asked_for_by_everything_that_changes_groups(place: Place) -> None:
    wanted = {f"{GROUP_TAG}k8s.io/cluster-autoscaler/{tag}" for tag in ("enabled", "prod")}
    found = {name: {key for _, key in keys_of(statement)} for name, statement in conditional(place) if "autoscaling:" in str(statement)}
    assert found == dict.fromkeys(("autoscaler-function", "autoscaler-interruption", "cluster-autoscaler-role"), wanted)


# --- Queues -----------------------------------------------------------------------------------------------

EVENTS = ("Service", "events.amazonaws.com")


def queue_policies(place: Place) -> Iterator[tuple[str, Document]]:
    sqs = place.world.client("sqs")
    for queue in place.deployment.of_type("aws:sqs/queue:Queue"):
        attributes = sqs.get_queue_attributes(QueueUrl=queue.id, AttributeNames=["Policy"])["Attributes"]
        yield queue.outputs["arn"], json.loads(attributes["Policy"])


def sent(place: Place) -> dict[str, str]:
    """What EventBridge brings along for one of the rules."""
    rule = place.deployment.of_type("aws:cloudwatch/eventRule:EventRule")[0].outputs["arn"]
    return {"aws:SourceArn": rule, "aws:SourceAccount": ACCOUNT, "aws:SecureTransport": "true"}


STRANGE = {
    "aws:SourceArn": f"arn:aws:events:us-east-1:{ACCOUNT}:rule/other",
    "aws:SourceAccount": OTHER_ACCOUNT,
    "aws:SecureTransport": "false",
}


def takes(queue: str, policy: Document, context: dict[str, str]) -> bool:
    return decide([], Access("sqs:SendMessage", queue, context), [policy], EVENTS) is Decision.ALLOWED


def test_the_queue_takes_events_of_the_rules_over_tls_and_none_that_differs_in_one_thing(place: Place) -> None:
    queue, policy = next(found for found in queue_policies(place) if "dead-letters" not in found[0])
    assert takes(queue, policy, sent(place))
    assert [key for key, value in STRANGE.items() if takes(queue, policy, {**sent(place), key: value})] == []


def test_every_condition_of_a_queue_keeps_something_out(place: Place) -> None:
    queue, policy = next(found for found in queue_policies(place) if "dead-letters" not in found[0])
    conditions = [(number, key) for number, statement in enumerate(policy["Statement"]) for key in keys_of(statement)]
    assert {key for _, (_, key) in conditions} == STRANGE.keys()
    for number, (operator, key) in conditions:
        statements = list(policy["Statement"])
        if statements[number]["Effect"] == "Allow":
            statements[number] = without(statements[number], operator, key)
        else:
            del statements[number]
        assert takes(queue, {**policy, "Statement": statements}, {**sent(place), key: STRANGE[key]}), key


def test_dead_letters_are_refused_without_tls_even_to_those_whose_role_allows_it(place: Place) -> None:
    queue, policy = next(found for found in queue_policies(place) if "dead-letters" in found[0])
    mine = [{"Statement": [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}]}]
    caller = ("AWS", f"arn:aws:sts::{ACCOUNT}:assumed-role/function/session")
    answers = {
        secure: decide(mine, Access("sqs:SendMessage", queue, {"aws:SecureTransport": secure}), [policy], caller)
        for secure in ("true", "false")
    }
    assert answers == {"true": Decision.ALLOWED, "false": Decision.DENIED}
