"""Bad input never stops a scan for the healthy rest: something names it, and the others are scaled."""

from typing import Any

import pytest

from lambda_autoscaler import questions
from lambda_autoscaler.ports import Denied, Unreachable
from tests.core.wire import pod
from tests.small_cluster import SmallCluster, group, waiting

LABEL_TAG = "k8s.io/cluster-autoscaler/node-template/label/"
RESOURCE_TAG = "k8s.io/cluster-autoscaler/node-template/resources/"
PRIORITIES = "cluster-autoscaler-priority-expander"


def template_group(name: str, **fields: Any) -> dict[str, Any]:
    """A group that only its launch template tells about."""
    made = group(name, **fields)
    del made["MixedInstancesPolicy"]
    return {**made, "LaunchTemplate": {"LaunchTemplateId": f"lt-{name}", "Version": "1"}}


def test_a_group_whose_launch_template_was_deleted_is_named_and_the_other_grows() -> None:
    cluster = SmallCluster(template_group("broken"), group("healthy"), pods=waiting(3))
    report = cluster.scan()
    assert cluster.desired == {"healthy": 3}
    assert "Auto Scaling group broken: launch template lt-broken:1 does not exist or cannot be read" in cluster.said()
    assert report.plan is not None
    assert dict(report.plan.skipped_groups)["broken"].rule == "no template"


def test_a_group_whose_instance_type_ec2_does_not_know_is_named_and_the_other_grows() -> None:
    cluster = SmallCluster(group("broken", "m99.huge"), group("healthy"), pods=waiting(3))
    cluster.scan()
    assert cluster.desired == {"healthy": 3}
    assert "Auto Scaling group broken: the instance type 'm99.huge' is unknown to EC2" in cluster.said()


def test_a_tag_that_is_no_quantity_is_named_and_its_group_grows_without_it() -> None:
    cluster = SmallCluster(group("tagged", tags={RESOURCE_TAG + "cpu": "many", LABEL_TAG + "disk": "fast"}), pods=waiting(2))
    cluster.scan()
    assert cluster.desired == {"tagged": 2}
    assert f"Auto Scaling group tagged: tag {RESOURCE_TAG}cpu is ignored" in cluster.said()


def test_a_group_that_cannot_be_read_is_named_and_the_other_grows() -> None:
    broken = {**group("broken"), "MaxSize": "ten"}
    cluster = SmallCluster(broken, group("healthy"), pods=waiting(1))
    cluster.scan()
    assert cluster.desired == {"healthy": 1}
    assert "Auto Scaling group broken cannot be read and is left alone" in cluster.said()


def test_a_group_whose_maximum_is_below_its_minimum_is_named_and_the_other_grows() -> None:
    cluster = SmallCluster(group("broken", sizes=(5, 0, 3)), group("healthy"), pods=waiting(1))
    cluster.scan()
    assert cluster.desired == {"healthy": 1}
    assert "Auto Scaling group broken: maximum 3 is below minimum 5" in cluster.said()


def test_instance_requirements_that_cannot_be_read_are_named_and_the_other_group_grows() -> None:
    broken = group("broken")
    broken["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"] = [{"InstanceRequirements": {"VCpuCount": "four"}}]
    cluster = SmallCluster(broken, group("healthy"), pods=waiting(1))
    cluster.scan()
    assert cluster.desired == {"healthy": 1}
    assert "Auto Scaling group broken: its instance requirements cannot be read" in cluster.said()


def test_a_pod_with_an_unparsable_quantity_is_named_and_the_others_get_their_nodes() -> None:
    cluster = SmallCluster(group("healthy"), pods=[pod("odd", cpu="a lot"), *waiting(2)])
    cluster.scan()
    assert cluster.desired == {"healthy": 2}
    assert "pod default/odd is left out" in cluster.said()


def test_a_pod_with_an_unparsable_delay_is_named_and_helped_without_it() -> None:
    delay = {"cluster-autoscaler.kubernetes.io/pod-scale-up-delay": "soon"}
    cluster = SmallCluster(group("healthy"), pods=[pod("odd", cpu="1500m", annotations=delay)])
    cluster.scan()
    assert cluster.desired == {"healthy": 1}
    assert "pod default/odd: annotation cluster-autoscaler.kubernetes.io/pod-scale-up-delay is not used" in cluster.said()


def test_a_node_with_an_unparsable_quantity_is_named_and_the_scan_goes_on() -> None:
    cluster = SmallCluster(group("healthy"), pods=waiting(1))
    cluster.add_node("odd")["status"]["allocatable"]["cpu"] = "some"
    cluster.scan()
    assert cluster.desired == {"healthy": 1}
    assert "node odd is left out" in cluster.said()


def test_a_node_without_provider_id_belongs_to_no_group_and_its_room_is_used() -> None:
    cluster = SmallCluster(group("healthy"), pods=waiting(2))
    del cluster.add_node("hybrid")["spec"]["providerID"]
    report = cluster.scan()
    assert cluster.desired == {"healthy": 1}
    assert report.plan is not None
    assert report.plan.groups[0].registered == 0


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "doesn't contain priorities key"),
        ({"priorities": " "}, "is empty; please provide valid configuration"),
        ({"priorities": "10: [unclosed"}, "Can't parse YAML"),
        ({"priorities": "10: ['(']"}, "Can't parse YAML"),
        ({"priorities": "high: ['.*']"}, "Can't parse YAML"),
    ],
)
def test_a_broken_priority_config_map_gets_an_event_and_the_next_expander_decides(data: dict[str, str], words: str) -> None:
    cluster = SmallCluster(group("large", "m5.4xlarge"), group("fitting", "m5.large"), pods=waiting(1))
    cluster.config_maps[PRIORITIES] = data
    cluster.scan(expander="priority,least-waste")
    assert cluster.desired == {"fitting": 1}
    (event,) = [notice for notice in cluster.notices if notice.reason == "PriorityConfigMapInvalid"]
    assert words in event.message
    assert (event.kind, event.namespace, event.name) == ("ConfigMap", "kube-system", PRIORITIES)


def test_a_priority_config_map_that_may_not_be_read_is_named_and_the_next_expander_decides() -> None:
    class Locked(SmallCluster):
        def config_map(self, namespace: str, name: str) -> bytes | None:
            if name == PRIORITIES:
                raise Denied("cannot get resource configmaps")
            return super().config_map(namespace, name)

    cluster = Locked(group("large", "m5.4xlarge"), group("fitting", "m5.large"), pods=waiting(1))
    cluster.scan(expander="priority,least-waste")
    assert cluster.desired == {"fitting": 1}
    assert f"ConfigMap kube-system/{PRIORITIES} cannot be read: cannot get resource configmaps" in cluster.said()


@pytest.mark.parametrize("question", [questions.Activities, questions.LaunchTemplate, questions.Nodegroup, questions.SpotPrices])
def test_aws_reads_that_fail_cost_only_what_they_would_have_told(question: type) -> None:
    named = {"eks:cluster-name": "demo", "eks:nodegroup-name": "workers"}
    cluster = SmallCluster(group("healthy", tags=named), template_group("broken"), group("slow", sizes=(0, 1, 5)), pods=waiting(2))
    cluster.failing[question] = Unreachable("ec2 did not answer")
    cluster.scan(expander="price")
    assert set(cluster.desired) & {"healthy", "slow"}
    assert "ec2 did not answer" in cluster.said()


def test_requirements_that_cannot_be_resolved_are_named_and_the_group_counts_as_the_least_they_ask() -> None:
    broken = group("broken")
    requirements = {"VCpuCount": {"Min": 2}, "MemoryMiB": {"Min": 4096}}
    broken["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"] = [{"InstanceRequirements": requirements}]
    cluster = SmallCluster(broken, pods=waiting(3, cpu="1"))
    cluster.templates["lt-broken"] = {"ImageId": "ami-1"}
    cluster.failing[questions.MatchingTypes] = Denied("Allow ec2:GetInstanceTypesFromInstanceRequirements")
    cluster.scan()
    assert cluster.desired == {"broken": 3}
    assert "instance types that meet the requirements of Auto Scaling group broken cannot be read: Allow ec2:Get" in cluster.said()
