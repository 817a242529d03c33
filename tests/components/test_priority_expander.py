"""The priority expander's ConfigMap: what the autoscaler reads is what the program wrote."""

import re
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eks_autoscaling import PriorityExpander, priority_expander
from eks_autoscaling.misuse import ArgumentError
from lambda_autoscaler.core.priorities import PRIORITY_CONFIG_MAP, read_priorities
from tests.cluster.pulumi_mocks import preview

CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
# Quotes, backslashes, what YAML gives a meaning, and letters from everywhere.
AWKWARD = [r"^eks-spot\.4vcpu-\d+$", r'say "hi"', "'", "# no comment", "- a: b", "!tag", "yes", "10", r"\\", "größe|大|🙂", "{x}[y]"]


def manifest(**arguments: Any) -> dict[str, Any]:
    """The ConfigMap of a program without a provider."""

    def program() -> None:
        pulumi.export("manifests", PriorityExpander("order", {"priorities": {"10": [".*"]}, **arguments}).manifests)  # type: ignore[typeddict-item]

    deployment = preview(program, {})
    assert deployment.of_type(CONFIG_MAP) == []
    (only,) = deployment.outputs["manifests"]
    assert isinstance(only, dict)
    return only


def test_the_autoscaler_reads_the_table_that_was_written() -> None:
    written = manifest(priorities={"10": AWKWARD, "50": [".*spot.*"], "0": [".*"]})
    read = read_priorities(written["data"])
    assert read.fault == ""
    assert read.table == {50: (".*spot.*",), 10: tuple(AWKWARD), 0: (".*",)}


@given(st.text(min_size=1).filter(str.isprintable))
def test_no_printable_text_changes_on_its_way_through_yaml(text: str) -> None:
    pattern = re.escape(text)
    assert read_priorities({"priorities": priority_expander._yaml({7: [pattern, "last"]})}).table == {7: (pattern, "last")}


def test_the_config_map_is_where_the_autoscaler_looks() -> None:
    assert manifest()["metadata"] == {"name": PRIORITY_CONFIG_MAP, "namespace": "kube-system"}
    assert manifest(namespace="scaling")["metadata"]["namespace"] == "scaling"


def test_with_a_provider_the_same_is_declared() -> None:
    def program() -> None:
        provider = kubernetes.Provider("kubernetes", kubeconfig="{}")
        made = PriorityExpander("order", {"priorities": {"10": [".*"]}, "kubernetes_provider": provider})
        pulumi.export("manifests", made.manifests)

    deployment = preview(program, {})
    declared = deployment.one(CONFIG_MAP)
    assert [declared.inputs] == deployment.outputs["manifests"]
    assert declared.options.parent == deployment.one("eks-autoscaling:index:PriorityExpander").urn
    assert declared.options.provider.startswith(deployment.one("pulumi:providers:kubernetes").urn)


@pytest.mark.parametrize(
    ("priorities", "message"),
    [
        ({}, "priorities is {}: name at least one priority"),
        ({"high": [".*"]}, "priorities is 'high': a priority is a whole number, 0 or more"),
        ({"-1": [".*"]}, "priorities is '-1': a priority is a whole number, 0 or more"),
        ({"1.5": [".*"]}, "priorities is '1.5': a priority is a whole number"),
        ({"10": [".*spot"], "010": [".*"]}, "priorities is '010': priority 10 occurs twice"),
        ({"10": []}, r"priorities is \[\]: give priority 10 a list"),
        ({"10": ".*spot.*"}, r"priorities\['10'\] is '\.\*spot\.\*': write a list, such as \['\.\*spot\.\*'\]"),
        ({"10": ["*spot"]}, r"priorities is '\*spot': priority 10 needs regular expressions as Python reads them: nothing to repeat"),
        ({"10": [7]}, r"priorities\['10'\]\[0\] is 7: write a text"),
        ({"10": ["a\x7f"]}, "priorities is .*: no group's name has such characters"),
    ],
)
def test_a_table_that_the_autoscaler_could_not_use_is_refused(priorities: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        manifest(priorities=priorities)


def test_a_namespace_that_cannot_exist_is_refused() -> None:
    with pytest.raises(ArgumentError, match="namespace is 'kube_system'"):
        manifest(namespace="kube_system")
