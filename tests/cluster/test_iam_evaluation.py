"""The evaluation of policies: what AWS would allow, refuse, and what the evaluator will not guess."""

from typing import Any

import pytest

from tests.cluster.iam_evaluation import Access, Decision, UnsupportedPolicy, decide, trusts

GROUP = "arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:1:autoScalingGroupName/eks-spot"


def policy(**statement: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*", **statement}]}


def resize(**tags: str) -> Access:
    return Access("autoscaling:SetDesiredCapacity", GROUP, {f"aws:ResourceTag/{key}": value for key, value in tags.items()})


def test_what_no_statement_allows_is_refused() -> None:
    assert decide([], resize()) is Decision.NOT_ALLOWED
    assert decide([policy(Action="autoscaling:DescribeTags")], resize()) is Decision.NOT_ALLOWED


@pytest.mark.parametrize("action", ["*", "autoscaling:*", "autoscaling:Set*", "AutoScaling:SetDesiredCapacit?"])
def test_actions_match_with_wildcards_in_any_case(action: str) -> None:
    assert decide([policy(Action=action)], resize()) is Decision.ALLOWED


@pytest.mark.parametrize(("resource", "decision"), [("arn:*:eks-s*", Decision.NOT_ALLOWED), ("arn:*/eks-s*", Decision.ALLOWED)])
def test_resources_match_as_a_whole(resource: str, decision: Decision) -> None:
    assert decide([policy(Action="*", Resource=[resource])], resize()) is decision


def test_an_explicit_deny_wins_over_every_allow() -> None:
    policies = [policy(Action="*"), policy(Effect="Deny", Action="autoscaling:SetDesiredCapacity")]
    assert decide(policies, resize()) is Decision.DENIED


def test_all_conditions_must_hold_and_a_missing_tag_fails_them() -> None:
    wanted = {"StringEquals": {"aws:ResourceTag/enabled": "true", "aws:ResourceTag/cluster": ["a", "b"]}}
    conditional = [policy(Action="*", Condition=wanted)]
    assert decide(conditional, resize(enabled="true", cluster="b")) is Decision.ALLOWED
    assert decide(conditional, resize(enabled="true", cluster="c")) is Decision.NOT_ALLOWED
    assert decide(conditional, resize(cluster="a")) is Decision.NOT_ALLOWED


def test_condition_keys_ignore_case_but_tag_keys_do_not() -> None:
    assert decide([policy(Action="*", Condition={"StringEquals": {"AWS:resourcetag/Team": "x"}})], resize(Team="x")) is Decision.ALLOWED
    assert decide([policy(Action="*", Condition={"StringEquals": {"aws:ResourceTag/team": "x"}})], resize(Team="x")) is Decision.NOT_ALLOWED


@pytest.mark.parametrize(
    "statement",
    [
        {"Action": "*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}},
        {"Action": "*", "NotResource": "arn:aws:s3:::x"},
        {"Action": "*", "Resource": "arn:aws:s3:::${aws:username}"},
    ],
)
def test_what_it_does_not_know_is_an_error_and_no_guess(statement: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedPolicy):
        decide([policy(**statement)], resize())


def test_a_role_is_taken_by_the_service_it_trusts_under_its_conditions() -> None:
    statement = {"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}
    trust = {"Statement": [{**statement, "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}}}]}
    scheduler = ("Service", "scheduler.amazonaws.com")
    assert trusts(trust, scheduler, {"aws:SourceAccount": "123456789012"})
    assert not trusts(trust, scheduler, {"aws:SourceAccount": "999999999999"})
    assert not trusts(trust, scheduler, {})
    assert not trusts(trust, ("Service", "lambda.amazonaws.com"), {"aws:SourceAccount": "123456789012"})


QUEUE = "arn:aws:sqs:us-east-1:123456789012:events"
EVENTS = ("Service", "events.amazonaws.com")


def send(**context: str) -> Access:
    return Access("sqs:SendMessage", QUEUE, context)


def test_a_policy_of_the_resource_counts_for_whom_it_names() -> None:
    accepting = [policy(Action="sqs:SendMessage", Resource=QUEUE, Principal={"Service": "events.amazonaws.com"})]
    assert decide([], send(), accepting, EVENTS) is Decision.ALLOWED
    assert decide([], send(), accepting, ("Service", "sns.amazonaws.com")) is Decision.NOT_ALLOWED
    assert decide([], send(), accepting) is Decision.NOT_ALLOWED


def test_a_deny_of_the_resource_wins_over_what_the_callers_role_allows() -> None:
    insecure = {"Bool": {"aws:SecureTransport": "false"}}
    refusing = [policy(Effect="Deny", Action="sqs:*", Principal="*", Condition=insecure)]
    caller = ("AWS", "arn:aws:sts::123456789012:assumed-role/function/session")
    mine = [policy(Action="sqs:SendMessage")]
    assert decide(mine, send(**{"aws:SecureTransport": "false"}), refusing, caller) is Decision.DENIED
    assert decide(mine, send(**{"aws:SecureTransport": "true"}), refusing, caller) is Decision.ALLOWED
    assert decide(mine, send(), refusing, caller) is Decision.ALLOWED
