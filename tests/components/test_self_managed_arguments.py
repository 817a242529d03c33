"""Arguments of self-managed node groups: what they take and what they refuse."""

from typing import Any

import pytest

from eks_autoscaling.misuse import ArgumentError
from tests.components import programs
from tests.components.test_self_managed_node_group import ROLE, TEMPLATE, group_tags


def test_options_of_the_autoscaler_for_one_group_are_tags_like_any_other() -> None:
    option = f"{TEMPLATE}autoscaling-options/scaledownunneededtime"
    assert group_tags(programs.self_managed(tags={option: "5m"}))[option] == "5m"


def test_labels_and_the_users_own_tags_share_the_fifty_tags_of_a_group() -> None:
    labels = {f"label-{index}": "v" for index in range(44)}
    assert len(group_tags(programs.self_managed(labels=labels, tags={"team": "shop"}))) == 50
    with pytest.raises(ArgumentError, match="labels is 46: labels, taints and resources take one tag each and 45 fit on"):
        programs.self_managed(labels=labels, tags={"team": "shop", "stage": "test"})


@pytest.mark.parametrize("key", ["node.kubernetes.io/speed", "kubelet.kubernetes.io/x", "a.node.kubernetes.io/x", "example.com/x", "x_y.z"])
def test_labels_that_a_kubelet_may_give_itself_are_taken(key: str) -> None:
    assert group_tags(programs.self_managed(labels={key: "v"}))[f"{TEMPLATE}label/{key}"] == "v"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_size": 5, "max_size": 3}, "min_size is 5: use at most max_size, which is 3"),
        ({"min_size": -1}, "min_size is -1: use 0 or more"),
        ({"max_size": 0}, "max_size is 0: use 1 or more"),
        ({"desired_size": 11}, "desired_size is 11: use a value from min_size to max_size, 0 to 10"),
        ({"instance_types": ["m5.xlarge", "m5.2xlarge"]}, r"instance_types is \['m5.2xlarge'\]: the other types have 4 vCPU"),
        ({"subnet_ids": []}, r"subnet_ids is \[\]: name at least one subnet"),
        ({"capacity_type": "spot"}, "capacity_type is 'spot': use one of SPOT, ON_DEMAND"),
        ({"on_demand_percentage": 100}, "on_demand_percentage is 100: use 0 to 99"),
        ({"on_demand_base_size": 10}, "on_demand_base_size is 10: use 0 to 9"),
        ({"capacity_type": "ON_DEMAND", "on_demand_base_size": 1}, "on_demand_base_size is 1: leave it out"),
        ({"terminate_hook_seconds": 10}, "terminate_hook_seconds is 10: Auto Scaling takes 30 to 7200"),
        ({"ami_id": "ami-1", "version": "1.34"}, "version is '1.34': leave it out, or leave out ami_id"),
        ({"version": "v1.34"}, "version is 'v1.34': write major and minor version alone"),
        ({"instance_profile_arn": "arn"}, "instance_profile_arn is 'arn': give node_role_arn too"),
        ({"labels": {"kubernetes.io/arch": "amd64"}}, "EKS reserves the prefixes"),
        ({"labels": {"node-role.kubernetes.io/work": ""}}, "a kubelet with this label does not start"),
        ({"labels": {"a b": "c"}}, "labels is 'a b': a key is up to 63 letters"),
        ({"labels": {"Example_com/a": "c"}}, "labels is 'Example_com/a': a key is"),
        ({"labels": {"a": "b,c=d"}}, "labels is 'b,c=d': the value of 'a' may have up to 63 letters"),
        ({"taints": [{"key": "a", "effect": "Never"}]}, "the effect of taint 'a' must be one of"),
        ({"taints": [{"key": "a=b", "effect": "NoSchedule"}]}, "taints is 'a=b': a key is"),
        ({"tags": {"k8s.io/cluster-autoscaler/enabled": "false"}}, "tags is 'k8s.io/cluster-autoscaler/enabled': the component sets"),
        ({"name": "x" * 52}, "use at most 51 characters"),
        ({"name": "x" * 56, "node_role_arn": ROLE}, "use 1 to 55 letters"),
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        programs.self_managed(**arguments)
