"""A warning before pods find no address."""

import json
from typing import Any

import pulumi
import pytest

from eks_autoscaling import CniMetrics
from eks_autoscaling.misuse import ArgumentError
from tests.cluster.pulumi_mocks import Deployment, preview
from tests.components.programs import REF


def metrics(**arguments: Any) -> Deployment:
    def program() -> None:
        made = CniMetrics("cni", {"cluster": REF, **arguments})  # type: ignore[typeddict-item]
        pulumi.export("values", made.helm_values)

    return preview(program, {})


def test_the_alarm_compares_addresses_in_use_with_those_that_nodes_can_have() -> None:
    inputs = metrics(topic_arns=["arn:aws:sns:eu-west-1:123456789012:pager"]).one("aws:cloudwatch/metricAlarm:MetricAlarm").inputs
    queries = {query["id"]: query for query in inputs["metricQueries"]}
    assert queries["share"]["expression"] == "100 * assigned / possible"
    assert [key for key, query in queries.items() if query.get("returnData")] == ["share"]
    measured = {key: query["metric"] for key, query in queries.items() if "metric" in query}
    assert {key: metric["metricName"] for key, metric in measured.items()} == {
        "assigned": "assignIPAddresses",
        "possible": "maxIPAddresses",
    }
    assert {metric["namespace"] for metric in measured.values()} == {"Kubernetes"}
    assert [metric["dimensions"] for metric in measured.values()] == [{"CLUSTER_ID": "prod"}] * 2
    assert (inputs["threshold"], inputs["alarmActions"]) == (80, ["arn:aws:sns:eu-west-1:123456789012:pager"])


def test_the_helper_may_write_metrics_of_its_namespace_and_nothing_else() -> None:
    deployment = metrics()
    association = deployment.one("aws:eks/podIdentityAssociation:PodIdentityAssociation").inputs
    assert (association["namespace"], association["serviceAccount"]) == ("kube-system", "cni-metrics-helper")
    (statement,) = json.loads(deployment.one("aws:iam/rolePolicy:RolePolicy").inputs["policy"])["Statement"]
    assert statement["Action"] == ["cloudwatch:PutMetricData"]
    assert statement["Condition"] == {"StringEquals": {"cloudwatch:namespace": "Kubernetes"}}


def test_the_chart_is_told_what_the_helper_cannot_ask_the_node() -> None:
    values = metrics().outputs["values"]
    assert values["env"] == {"AWS_CLUSTER_ID": "prod", "AWS_REGION": "eu-west-1", "USE_CLOUDWATCH": "true"}
    assert values["serviceAccount"] == {"create": True, "name": "cni-metrics-helper"}


@pytest.mark.parametrize("percent", [0, 101])
def test_a_threshold_that_is_no_percentage_is_refused(percent: int) -> None:
    with pytest.raises(ArgumentError, match=f"threshold_percent is {percent}: use 1 to 100"):
        metrics(threshold_percent=percent)
