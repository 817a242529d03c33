"""Price expander and attribute-based groups, from what AWS answers to the group that grows."""

from typing import Any

from lambda_autoscaler import questions
from lambda_autoscaler.on_demand import on_demand_prices
from lambda_autoscaler.ports import Denied
from tests.small_cluster import ZONE, SmallCluster, group, waiting


def spot(name: str, kind: str) -> dict[str, Any]:
    made = group(name, kind)
    made["MixedInstancesPolicy"]["InstancesDistribution"] = {"OnDemandPercentageAboveBaseCapacity": 0}
    return made


def by_attributes(name: str, requirements: dict[str, Any]) -> dict[str, Any]:
    made = group(name)
    made["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"] = [{"InstanceRequirements": requirements}]
    return made


def grown(cluster: SmallCluster, expander: str = "price") -> list[str]:
    return [item.group for item in cluster.plan(expander=expander).increases]


def test_the_table_knows_the_common_types() -> None:
    prices = on_demand_prices()
    assert len(prices) > 1000
    assert (prices["m5.xlarge"], prices["c5.large"], prices["t3.medium"]) == (0.192, 0.085, 0.0416)
    assert "m3.xlarge" not in prices
    assert all(price > 0 for price in prices.values())


def test_of_equal_nodes_the_cheaper_grows() -> None:
    memory, compute = group("a-memory", "r5.xlarge"), group("b-compute", "c5.xlarge")
    assert grown(SmallCluster(memory, compute, pods=waiting(2))) == ["b-compute"]


def test_spot_is_cheaper_than_on_demand_until_the_market_says_otherwise() -> None:
    cluster = SmallCluster(group("a-demand", "m5.xlarge"), spot("b-spot", "m5.xlarge"), pods=waiting(2))
    assert grown(cluster) == ["b-spot"]
    cluster.spot["m5.xlarge", ZONE] = "0.05"
    assert grown(cluster) == ["b-spot"]
    cluster.spot["m5.xlarge", ZONE] = "0.30"
    assert grown(cluster) == ["a-demand"]


def test_without_permission_the_fallback_decides_and_the_reason_is_named() -> None:
    cluster = SmallCluster(group("a-demand", "m5.xlarge"), spot("b-spot", "m5.xlarge"), pods=waiting(2))
    cluster.failing[questions.SpotPrices] = Denied("Allow ec2:DescribeSpotPriceHistory")
    plan = cluster.plan(expander="price")
    assert [item.group for item in plan.increases] == ["b-spot"]
    assert "spot prices cannot be read, a share of the on-demand price is taken: Allow ec2:DescribeSpotPriceHistory" in plan.faults


def test_prices_are_not_asked_for_without_need() -> None:
    cluster = SmallCluster(group("a"), pods=waiting(1))
    assert grown(cluster, "least-waste") == ["a"]
    assert not [question for question in cluster.asked if isinstance(question, questions.SpotPrices)]


def test_a_group_of_unknown_price_is_passed_over_and_named() -> None:
    cluster = SmallCluster(group("a-unknown", "m3.xlarge"), group("b-known", "r5.xlarge"), pods=waiting(2))
    plan = cluster.plan(expander="price")
    assert [item.group for item in plan.increases] == ["b-known"]
    (event,) = [notice for notice in plan.notices if notice.reason == "PriceUnknown"]
    assert event.message == "Price expander: no price is known for node group a-unknown."


def test_where_no_price_is_known_the_next_expander_decides() -> None:
    cluster = SmallCluster(group("a-unknown", "m3.xlarge"), group("b-unknown", "m3.xlarge", sizes=(0, 0, 1)), pods=waiting(6))
    assert grown(cluster, "price,most-pods") == ["a-unknown"]


def test_the_first_type_that_meets_the_requirements_stands_for_the_group() -> None:
    cluster = SmallCluster(by_attributes("a", {"VCpuCount": {"Min": 4}, "BurstablePerformance": "excluded"}), pods=waiting(2))
    cluster.templates["lt-a"] = {"ImageId": "ami-1"}
    cluster.matching = ["r5.xlarge", "m5.4xlarge"]
    chosen = {"nodeSelector": {"node.kubernetes.io/instance-type": "r5.xlarge"}}
    cluster.objects["pods"] = waiting(2, spec=chosen)
    assert grown(cluster, "least-waste") == ["a"]
    (question,) = [question for question in cluster.asked if isinstance(question, questions.MatchingTypes)]
    expected = b'{"VCpuCount":{"Min":4},"BurstablePerformance":"excluded"}'
    assert (question.group, question.image, question.requirements) == ("a", "ami-1", expected)


def test_requirements_of_the_launch_template_count_too() -> None:
    made = group("a")
    del made["MixedInstancesPolicy"]
    cluster = SmallCluster({**made, "LaunchTemplate": {"LaunchTemplateId": "lt-a", "Version": "1"}}, pods=waiting(2))
    cluster.templates["lt-a"] = {"ImageId": "ami-1", "InstanceRequirements": {"VCpuCount": {"Min": 2}, "MemoryMiB": {"Min": 4096}}}
    cluster.matching = ["m5.large"]
    (increase,) = cluster.plan().increases
    assert increase.target == 2


def test_memory_of_requirements_does_not_overflow() -> None:
    cluster = SmallCluster(by_attributes("a", {"VCpuCount": {"Min": 4}, "MemoryMiB": {"Min": 8192}}))
    cluster.templates["lt-a"] = {"ImageId": "ami-1"}
    cluster.matching = ["m5.large"]
    container = {"name": "main", "resources": {"requests": {"cpu": "1", "memory": "6Gi"}}}
    cluster.objects["pods"] = waiting(1, spec={"containers": [container]})
    assert grown(cluster, "least-waste") == ["a"]


def test_requirements_that_no_type_meets_are_named() -> None:
    cluster = SmallCluster(by_attributes("a", {"VCpuCount": {"Min": 9999}}), pods=waiting(1))
    cluster.templates["lt-a"] = {"ImageId": "ami-1"}
    (fault,) = cluster.plan().faults
    assert fault.endswith("requirements of Auto Scaling group a cannot be read: no instance type of this region meets them")
