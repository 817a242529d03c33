"""Names and tags, within the limits of AWS."""

import pytest

from eks_autoscaling import names
from eks_autoscaling.misuse import ArgumentError
from eks_autoscaling.names import NodeTaint


def test_the_discovery_tags_carry_the_clusters_name() -> None:
    assert names.discovery_tags("prod") == {"k8s.io/cluster-autoscaler/enabled": "true", "k8s.io/cluster-autoscaler/prod": "owned"}


def test_node_template_tags_write_taints_as_value_and_kubernetes_effect() -> None:
    tags = names.node_template_tags({"team": "data"}, [NodeTaint("dedicated", "gpu", "NoSchedule")], {"ephemeral-storage": "50Gi"})
    assert tags == {
        "k8s.io/cluster-autoscaler/node-template/label/team": "data",
        "k8s.io/cluster-autoscaler/node-template/taint/dedicated": "gpu:NoSchedule",
        "k8s.io/cluster-autoscaler/node-template/resources/ephemeral-storage": "50Gi",
    }


def test_a_taint_without_a_value_keeps_the_colon() -> None:
    tags = names.node_template_tags({}, [NodeTaint("spot", "", "NoExecute")], {})
    assert tags == {"k8s.io/cluster-autoscaler/node-template/taint/spot": ":NoExecute"}


def test_a_label_key_fills_a_tag_key_up_to_its_last_character() -> None:
    assert len(next(iter(names.node_template_tags({"k" * 82: "v"}, [], {})))) == 128
    with pytest.raises(ArgumentError, match="shorten the label"):
        names.node_template_tags({"k" * 83: "v"}, [], {})


def test_labels_taints_and_resources_share_the_tags_that_eks_leaves() -> None:
    labels = {f"label-{index}": "v" for index in range(44)}
    assert len(names.node_template_tags(labels, [NodeTaint("a", "b", "NoSchedule")], {})) == 45
    with pytest.raises(ArgumentError, match="45 fit on an Auto Scaling group"):
        names.node_template_tags(labels, [NodeTaint("a", "b", "NoSchedule")], {"cpu": "4"})


@pytest.mark.parametrize("name", ["a", "A1-b_c", "x" * 100])
def test_names_that_eks_takes_for_clusters(name: str) -> None:
    assert names.cluster_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "a.b", "x" * 101])
def test_names_that_eks_refuses_for_clusters(name: str) -> None:
    with pytest.raises(ArgumentError, match="cluster_name is"):
        names.cluster_name(name)


def test_a_childs_name_leaves_room_for_the_suffix_that_pulumi_adds() -> None:
    assert len(names.child("x" * 47, "schedule", 64)) + 8 == 64
    with pytest.raises(ArgumentError, match="use at most 47 characters"):
        names.child("x" * 48, "schedule", 64)


@pytest.mark.parametrize("key", ["eks.amazonaws.com/capacityType", "kubernetes.io/arch", "k8s.io/x"])
def test_labels_that_eks_keeps_for_itself_are_refused(key: str) -> None:
    with pytest.raises(ArgumentError, match="EKS reserves the prefixes"):
        names.check_labels({key: "x"})


def test_an_effect_in_the_form_of_the_eks_api_is_refused_with_the_three_that_exist() -> None:
    with pytest.raises(ArgumentError, match="NoSchedule, NoExecute, PreferNoSchedule"):
        names.node_taint("dedicated", "gpu", "NO_SCHEDULE")
