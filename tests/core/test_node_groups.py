"""Auto Scaling groups as AWS describes them, and the node each would add."""

import json
from typing import Any

import msgspec
import pytest

from lambda_autoscaler.core import amazon
from lambda_autoscaler.core.kubernetes import Taint
from lambda_autoscaler.core.model import GroupOptions, NodeGroup
from lambda_autoscaler.core.observe import build_cluster
from lambda_autoscaler.core.observed import Observed
from lambda_autoscaler.core.options import GroupSpec
from tests.build import NOW, options

LABEL = "k8s.io/cluster-autoscaler/node-template/label/"
TAINT = "k8s.io/cluster-autoscaler/node-template/taint/"
RESOURCE = "k8s.io/cluster-autoscaler/node-template/resources/"
OPTION = "k8s.io/cluster-autoscaler/node-template/autoscaling-options/"
TYPE = {
    "InstanceType": "c5.xlarge",
    "VCpuInfo": {"DefaultVCpus": 4},
    "MemoryInfo": {"SizeInMiB": 8192},
    "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
    "NetworkInfo": {"MaximumNetworkInterfaces": 4, "Ipv4AddressesPerInterface": 15},
    "GpuInfo": {"Gpus": [{"Count": 2}]},
}
BY_TYPE = {"MixedInstancesPolicy": {"LaunchTemplate": {"Overrides": [{"InstanceType": "c5.xlarge"}]}}}


def asg(name: str = "ng1", *, desired: int = 0, tags: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    sizes = {"MinSize": 0, "MaxSize": 10, "DesiredCapacity": desired, "AvailabilityZones": ["us-east-1a", "us-east-1b"]}
    pairs = [{"Key": key, "Value": value} for key, value in (tags or {}).items()]
    source = {} if {"LaunchTemplate", "LaunchConfigurationName", "MixedInstancesPolicy"} & fields.keys() else BY_TYPE
    return {"AutoScalingGroupName": name, **sizes, "Tags": pairs, **source, **fields}


def decoded(kind: Any, content: Any) -> Any:
    return msgspec.json.decode(json.dumps(content), type=kind)


def read(*groups: dict[str, Any], flags: dict[str, Any] | None = None, **answers: Any) -> tuple[tuple[NodeGroup, ...], tuple[str, ...]]:
    answers.setdefault("instance_types", {"c5.xlarge": decoded(amazon.InstanceTypeInfo, TYPE)})
    found = build_cluster(Observed(groups=[decoded(amazon.AutoScalingGroup, item) for item in groups], **answers), options(**(flags or {})))
    return found.groups, found.faults


def one(*groups: dict[str, Any], **answers: Any) -> NodeGroup:
    (found,), faults = read(*groups, **answers)
    assert faults == ()
    return found


def launch_template(**data: Any) -> dict[str, amazon.LaunchTemplateVersion]:
    return {"lt-1:$Default": decoded(amazon.LaunchTemplateVersion, {"LaunchTemplateId": "lt-1", "LaunchTemplateData": data})}


FROM_TEMPLATE = {"LaunchTemplate": {"LaunchTemplateId": "lt-1"}}


def test_an_unseen_node_has_what_its_type_has_and_what_tags_add() -> None:
    found = one(asg(tags={f"{RESOURCE}ephemeral-storage": "20", f"{RESOURCE}custom-resource": "5"}))
    expected = {"cpu": 4000, "memory": 8 * 2**30, "pods": 110, "nvidia.com/gpu": 2, "ephemeral-storage": 20, "custom-resource": 5}
    assert dict(found.cloud.capacity) == expected
    labels = found.cloud.labels
    assert labels["topology.kubernetes.io/zone"] == labels["failure-domain.beta.kubernetes.io/zone"] == "us-east-1a"
    assert labels["kubernetes.io/arch"] == "amd64"
    assert labels["beta.kubernetes.io/instance-type"] == "c5.xlarge"
    assert labels["topology.kubernetes.io/region"] == "us-east-1"


def test_the_number_of_pods_can_follow_the_network_interfaces() -> None:
    (found,), _ = read(asg(), flags={"eni_max_pods": True})
    assert dict(found.cloud.capacity)["pods"] == 4 * 14 + 2


def test_tags_give_labels_and_taints() -> None:
    tags = {
        f"{LABEL}foo": "bar",
        "eks:nodegroup-name": "x",
        "other": "y",
        f"{TAINT}dedicated": "foo:NoSchedule",
        f"{TAINT}bad": "some_value",
        f"{TAINT}no": "",
    }
    found = one(asg(tags=tags))
    assert (found.cloud.labels["foo"], found.cloud.labels["nodegroup-name"]) == ("bar", "x")
    assert "other" not in found.cloud.labels
    assert found.cloud.taints == (Taint("dedicated", "NoSchedule", "foo"),)


def test_a_managed_node_group_overrides_tags() -> None:
    api = {
        "nodegroupName": "spot",
        "capacityType": "SPOT",
        "amiType": "AL2023",
        "diskSize": 20,
        "version": "1.34",
        "labels": {"a": "api"},
        "taints": [{"key": "t", "value": "v", "effect": "NO_EXECUTE"}, {"key": "novalue", "effect": "NO_SCHEDULE"}],
        "tags": {f"{RESOURCE}ephemeral-storage": "80Gi"},
    }
    found = one(asg(tags={"eks:nodegroup-name": "spot", f"{LABEL}a": "tag"}), nodegroups={"spot": decoded(amazon.Nodegroup, api)})
    assert (found.cloud.labels["a"], found.cloud.labels["eks.amazonaws.com/capacityType"], found.capacity_type) == ("api", "SPOT", "SPOT")
    assert found.cloud.taints == (Taint("t", "NoExecute", "v"),)
    assert dict(found.cloud.capacity)["ephemeral-storage"] == 85899345920
    assert found.managed == "spot"


@pytest.mark.parametrize(
    ("base", "above", "kind"), [(0, 0, "SPOT"), (1, 0, "MIXED"), (0, 50, "MIXED"), (0, 100, "ON_DEMAND"), (2, 100, "ON_DEMAND")]
)
def test_a_policy_says_whether_a_group_is_spot_on_demand_or_both(base: int, above: int, kind: str) -> None:
    overrides = {"LaunchTemplate": {"Overrides": [{"InstanceType": "c5.xlarge"}]}}
    spread = {"InstancesDistribution": {"OnDemandBaseCapacity": base, "OnDemandPercentageAboveBaseCapacity": above}}
    assert one(asg(MixedInstancesPolicy={**overrides, **spread})).capacity_type == kind


def test_no_group_is_taken_below_the_minimum_that_auto_scaling_keeps() -> None:
    (group,), _ = read(asg(MinSize=3, MaxSize=9), flags={"nodes": (GroupSpec(1, 10, "ng1"),)})
    assert (group.minimum, group.maximum) == (3, 10)


def test_attribute_based_groups_keep_their_memory_above_2_gib() -> None:
    needs = {
        "VCpuCount": {"Min": 4},
        "MemoryMiB": {"Min": 4096},
        "AcceleratorCount": {"Min": 4},
        "AcceleratorManufacturers": ["nvidia"],
        "AcceleratorTypes": ["gpu"],
    }
    found = one(asg(**FROM_TEMPLATE), launch_templates=launch_template(InstanceRequirements=needs))
    assert dict(found.cloud.capacity) == {"cpu": 4000, "memory": 4 * 2**30, "nvidia.com/gpu": 4, "pods": 110}
    policy = {"LaunchTemplate": {"Overrides": [{"InstanceRequirements": {"VCpuCount": {"Min": 2}, "MemoryMiB": {}}}]}}
    assert dict(one(asg(MixedInstancesPolicy=policy), resolved_types={"ng1": "c5.xlarge"}).cloud.capacity)["memory"] == 8 * 2**30


@pytest.mark.parametrize(
    ("fields", "answers", "fault"),
    [
        ({}, {"instance_types": {}}, "the instance type 'c5.xlarge' is unknown to EC2"),
        (FROM_TEMPLATE, {}, "launch template lt-1:$Default does not exist or cannot be read"),
        (FROM_TEMPLATE, {"launch_templates": launch_template()}, "launch template lt-1:$Default names no instance type"),
        ({"LaunchConfigurationName": "lc"}, {}, "launch configuration lc does not exist"),
        ({"MixedInstancesPolicy": None}, {}, "it has neither launch template nor launch configuration"),
    ],
)
def test_a_group_whose_node_is_unknown_is_named_and_the_others_go_on(fields: dict[str, Any], answers: dict[str, Any], fault: str) -> None:
    groups, faults = read(asg("broken", **fields), asg("fine"), **answers)
    assert faults[0] == f"Auto Scaling group broken: {fault}"
    assert [group.id for group in groups] == ["broken", "fine"]
    assert groups[0].cloud.fault == fault


def test_a_group_without_zones_has_no_template() -> None:
    assert one(asg(AvailabilityZones=[])).cloud.fault == "the group names no availability zone"


@pytest.mark.parametrize(
    ("fields", "answers", "kind"),
    [
        (FROM_TEMPLATE, {"launch_templates": launch_template(InstanceType="c5.xlarge")}, "ON_DEMAND"),
        (
            FROM_TEMPLATE,
            {"launch_templates": launch_template(InstanceType="c5.xlarge", InstanceMarketOptions={"MarketType": "spot"})},
            "SPOT",
        ),
        (
            {"LaunchConfigurationName": "lc"},
            {"launch_configurations": {"lc": amazon.LaunchConfiguration("lc", "c5.xlarge", "0.1")}},
            "SPOT",
        ),
        ({"LaunchConfigurationName": "lc"}, {"launch_configurations": {"lc": amazon.LaunchConfiguration("lc", "c5.xlarge")}}, "ON_DEMAND"),
        (
            {
                "MixedInstancesPolicy": {
                    **BY_TYPE["MixedInstancesPolicy"],
                    "InstancesDistribution": {"OnDemandPercentageAboveBaseCapacity": 0},
                }
            },
            {},
            "SPOT",
        ),
        ({}, {}, "ON_DEMAND"),
    ],
)
def test_where_a_group_buys_its_capacity(fields: dict[str, Any], answers: dict[str, Any], kind: str) -> None:
    found = one(asg(**fields), **answers)
    assert (found.capacity_type, found.cloud.instance_type) == (kind, "c5.xlarge")


def test_a_tag_that_is_no_quantity_is_ignored_and_named() -> None:
    (found,), faults = read(asg(tags={f"{RESOURCE}memory": "GG", f"{RESOURCE}cpu": "100m"}))
    assert (dict(found.cloud.capacity)["memory"], dict(found.cloud.capacity)["cpu"]) == (8 * 2**30, 100)
    assert faults[0].startswith(f"Auto Scaling group ng1: tag {RESOURCE}memory is ignored: 'GG' is not")


def test_options_of_one_group_come_from_its_tags() -> None:
    names = ("scaledownutilizationthreshold", "scaledownunneededtime", "ignoredaemonsetsutilization", "scaledownunreadytime", "unknown")
    tags = {OPTION + name: value for name, value in zip(names, ("0.42", "1h", "true", "soon", "x"), strict=True)}
    (found,), faults = read(asg(tags=tags))
    assert found.options == GroupOptions(utilization_threshold=0.42, unneeded_time=3600.0, ignore_daemonsets=True)
    assert faults == (f"Auto Scaling group ng1: tag {OPTION}scaledownunreadytime is ignored: 'soon' cannot be used",)


def test_capacity_that_is_missing_stands_as_placeholders() -> None:
    found = one(asg(desired=3, Instances=[{"InstanceId": "i-1", "AvailabilityZone": "us-east-1b"}]))
    assert [(item.id, item.placeholder) for item in found.instances] == [
        ("i-1", False),
        ("i-placeholder-ng1-1", True),
        ("i-placeholder-ng1-2", True),
    ]
    assert found.instances[0].provider_id == "aws:///us-east-1b/i-1"


def test_failed_launches_are_kept_with_their_time() -> None:
    activities = [
        amazon.Activity(start_time="2027-01-15T08:00:00Z", status_code="Failed", status_message="no capacity"),
        amazon.Activity(start_time="2027-01-15T08:00:00Z", status_code="Successful"),
        amazon.Activity(start_time="once", status_code="Failed"),
    ]
    assert [(item.started, item.message) for item in one(asg(), activities={"ng1": activities}).failures] == [(NOW, "no capacity")]


def test_explicit_limits_stand_for_the_groups_own_and_the_first_of_a_name_counts() -> None:
    specs = (GroupSpec(1, 10, "ng1"), GroupSpec(1, 9, "ng1"))
    (found,), _ = read(asg(MaxSize=3), flags={"nodes": specs})
    assert (found.minimum, found.maximum) == (1, 10)


def test_a_group_with_limits_the_wrong_way_round_is_left_alone() -> None:
    groups, faults = read(asg(MinSize=5, MaxSize=1))
    assert (groups, faults) == ((), ("Auto Scaling group ng1: maximum 1 is below minimum 5; the group is left alone",))


def test_without_a_node_of_its_own_an_instance_type_for_arm_is_arm() -> None:
    arm = decoded(amazon.InstanceTypeInfo, {**TYPE, "ProcessorInfo": {"SupportedArchitectures": ["arm64"]}})
    assert one(asg(), instance_types={"c5.xlarge": arm}).cloud.labels["kubernetes.io/arch"] == "arm64"
