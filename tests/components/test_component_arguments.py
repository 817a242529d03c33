"""What arguments of one name must be in every component, on values that AWS would refuse only when it is asked."""

from typing import Any

import pytest

from eks_autoscaling import ArgumentError
from eks_autoscaling.component_arguments import RULES
from tests.cluster.pulumi_mocks import preview
from tests.components import programs
from tests.components.every_number import ARGUMENTS
from tests.components.programs import LATER, REF
from tests.components.test_misuse import COMPONENTS, refusal

ARN = "arn:aws:eks:eu-west-1:123456789012:cluster/"


@pytest.mark.parametrize(
    ("component", "changes", "message"),
    [
        ("SpotNodeGroup", {"subnet_ids": ["subnet-1", "subnet-2", "subnet-1"]}, "subnet_ids is ['subnet-1']: name each of them once"),
        ("Cluster", {"security_group_ids": ["sg-1", "sg-1"]}, "security_group_ids is ['sg-1']: name each"),
        (
            "ZonalNodeGroups",
            {"group": {**ARGUMENTS["ZonalNodeGroups"]["group"], "subnet_ids": ["subnet-1", "subnet-1"]}},
            "group.subnet_ids is ['subnet-1']: name each",
        ),
        ("SpotNodeGroup", {"disk_size_gib": 0}, "disk_size_gib is 0: a gp3 volume has at least 1 GiB: use 1 to 65536"),
        ("SelfManagedNodeGroup", {"imds_hop_limit": 0}, "imds_hop_limit is 0: "),
        ("SpotNodeGroup", {"imds_hop_limit": 65}, "imds_hop_limit is 65: "),
        ("Cluster", {"log_retention_days": 45}, "log_retention_days is 45: CloudWatch Logs takes 1, 3, 5, "),
        ("Autoscaler", {"log_retention_days": 0}, "log_retention_days is 0: CloudWatch Logs takes"),
        ("AddOn", {"tags": {"aws:team": "a"}}, "tags is 'aws:team': AWS reserves the prefix aws:"),
        ("AddOn", {"tags": {"Aws:team": "a"}}, "tags is 'Aws:team': AWS reserves"),
        ("AddOn", {"tags": {"": "a"}}, "tags is '': the key of a tag has 1 to 128 characters"),
        ("AddOn", {"tags": {"k" * 129: "a"}}, "tags is 'kkk"),
        ("AddOn", {"tags": {"team": "v" * 257}}, "tags['team'] is 'vvv"),
        ("AddOn", {"tags": {f"key-{number}": "a" for number in range(51)}}, "tags is 51: AWS takes 50 tags at most"),
        ("AddOn", {"cluster": {"name": "prod", "arn": "foo"}}, "cluster.arn is 'foo': write the ARN of an EKS cluster"),
        (
            "AddOn",
            {"cluster": {"name": "prod", "arn": f"{ARN}other"}},
            f"cluster.arn is '{ARN}other': it is the ARN of the cluster 'other'",
        ),
        ("AddOn", {"cluster": {**REF, "version": "v1.34"}}, "cluster.version is 'v1.34': write major and minor version alone"),
        (
            "Autoscaler",
            {"fleet": {"b": {"cluster": {"name": "b", "arn": f"{ARN}c"}}}},
            f"fleet['b'].cluster.arn is '{ARN}c': it is the ARN of the cluster 'c'",
        ),
    ],
)
def test_what_aws_would_refuse_is_refused_before_anything_is_declared(component: str, changes: dict[str, Any], message: str) -> None:
    assert str(refusal(component, {**ARGUMENTS[component], **changes})).startswith(message)


@pytest.mark.parametrize("days", [1, 14, 90.0, 3653])
def test_every_time_that_cloudwatch_knows_is_taken(days: float) -> None:
    RULES["log_retention_days"]("log_retention_days", days)


def test_a_time_that_cloudwatch_lacks_is_answered_with_the_next_longer_one() -> None:
    with pytest.raises(ArgumentError, match=r"3653 days; use 60$"):
        RULES["log_retention_days"]("log_retention_days", 45)
    with pytest.raises(ArgumentError, match=r"3653 days; use 3653$"):
        RULES["log_retention_days"]("log_retention_days", 9999)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("disk_size_gib", 1),
        ("imds_hop_limit", 64),
        ("subnet_ids", ["subnet-1", LATER, LATER]),
        ("tags", {**{f"key-{number}": "a" for number in range(49)}, "k" * 128: "v" * 256}),
        ("tags", {"team": LATER, "aws-team": "", "my aws:": "b"}),
        ("cluster", {"name": "prod", "arn": LATER}),
        ("cluster", {"name": LATER, "arn": f"{ARN}prod", "version": LATER}),
        ("cluster", {"name": "prod", "arn": "arn:aws-us-gov:eks:us-gov-west-1:123456789012:cluster/prod", "version": "1.34"}),
    ],
)
def test_what_aws_takes_or_nobody_knows_yet_passes(argument: str, value: Any) -> None:
    RULES[argument](argument, value)


def member(name: str, place: str = "eu-west-1:123456789012") -> dict[str, Any]:
    return {"cluster": {"name": name, "arn": f"arn:aws:eks:{place}:cluster/{name}"}}


@pytest.mark.parametrize(
    ("fleet", "message"),
    [
        ({"x": {"cluster": REF}}, r"fleet\['x'\]\.cluster is 'prod': leave it out: it is the cluster of cluster$"),
        ({"x": {"cluster": {**REF, "arn": LATER}}}, r"fleet\['x'\]\.cluster is 'prod': leave it out"),
        ({"x": member("a"), "y": member("a")}, r"fleet\['y'\]\.cluster is 'a': leave it out: it is the cluster of fleet\['x'\]\.cluster"),
        ({"x": member("a", "eu-west-2:123456789012")}, r"fleet\['x'\]\.cluster\.arn is .*: declare another .* in the region eu-west-1"),
        ({"x": member("a", "eu-west-1:999999999999")}, r"fleet\['x'\]\.cluster\.arn is .*: declare another .* in the account 123456789012"),
    ],
)
def test_a_fleet_is_of_different_clusters_in_one_region_and_account(fleet: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        programs.autoscaler(fleet=fleet)


def test_the_first_cluster_is_recognised_in_a_fleet_before_it_exists() -> None:
    def program() -> None:
        cluster = COMPONENTS["Cluster"]("prod", ARGUMENTS["Cluster"])
        COMPONENTS["Autoscaler"](
            "autoscaler", {**ARGUMENTS["Autoscaler"], "cluster": cluster.ref(), "fleet": {"x": {"cluster": cluster.ref()}}}
        )

    with pytest.raises(ArgumentError, match=r"fleet\['x'\]\.cluster is an output of another resource: leave it out"):
        preview(program, {})
