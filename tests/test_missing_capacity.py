"""What a whole scan does about capacity that is refused or that never came, and which groups discovery takes."""

import pytest

from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.ports import BadInput, Refused
from tests.small_cluster import NOW, SmallCluster, group, options, waiting


@pytest.mark.parametrize(("flags", "attempts"), [({}, ["a"]), ({"parallel_scale_up": "true"}, ["a", "b"])])
def test_when_every_group_refuses_no_pod_is_told_that_it_was_helped(flags: dict[str, str], attempts: list[str]) -> None:
    cluster = SmallCluster(group("a"), group("b"), pods=waiting(4))
    cluster.refused = {"a": Refused("no a"), "b": Refused("no b")}
    cluster.scan(balance_similar_node_groups="true", **flags)
    assert cluster.attempts == attempts
    assert sorted(cluster.memory.backoffs) == attempts
    assert cluster.memory.requests == {}
    assert "TriggeredScaleUp" not in [notice.reason for notice in cluster.notices]


def test_giving_up_a_placeholder_sets_the_group_to_the_instances_it_has_and_terminates_none() -> None:
    cluster = SmallCluster(group("a", sizes=(1, 2, 5)))
    cluster.add_node("n1", "a")
    cluster.asgs[0]["DesiredCapacity"] = 2
    cluster.memory = Memory(unregistered_since={"i-placeholder-a-1": NOW - 3600})
    report = cluster.scan()
    assert cluster.desired == {"a": 1}
    assert report.failures == ()


@pytest.mark.parametrize("text", ["tag=tag,x", "mig:tag=x", "asg:tag=", "asg:=tag", "asg:tag"])
def test_a_discovery_that_names_no_tag_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="node-group-auto-discovery"):
        options(node_group_auto_discovery=text)


def test_a_discovery_tag_may_have_a_colon_in_its_key() -> None:
    found = options(node_group_auto_discovery="asg:tag=my:label=value,other").discovery()
    assert {tag.key: tag.value for tag in found} == {"my:label": "value", "other": ""}
