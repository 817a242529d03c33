"""Placeholder pods: what is declared, what is exported, and what would keep no room free."""

from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import pytest

from eks_autoscaling import Overprovisioning
from eks_autoscaling.misuse import ArgumentError
from lambda_autoscaler.core.options import Options
from tests.cluster.pulumi_mocks import Deployment, preview

PRIORITY_CLASS = "kubernetes:scheduling.k8s.io/v1:PriorityClass"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
SMALLEST = {"replicas": 2, "cpu": "1", "memory": "2Gi"}


def declared(name: str = "reserve", **arguments: Any) -> Deployment:
    def program() -> None:
        provider = kubernetes.Provider("kubernetes", kubeconfig="{}")
        made = Overprovisioning(name, {**SMALLEST, "kubernetes_provider": provider, **arguments})  # type: ignore[typeddict-item]
        pulumi.export("manifests", made.manifests)

    return preview(program, {})


def exported(name: str = "reserve", **arguments: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """PriorityClass and Deployment as a program without a provider exports them."""

    def program() -> None:
        pulumi.export("manifests", Overprovisioning(name, {**SMALLEST, **arguments}).manifests)  # type: ignore[typeddict-item]

    deployment = preview(program, {})
    assert not [resource for resource in deployment.resources if resource.type.startswith("kubernetes:")]
    priority_class, placeholders = deployment.outputs["manifests"]
    return priority_class, placeholders


def pod(**arguments: Any) -> dict[str, Any]:
    spec: dict[str, Any] = exported(**arguments)[1]["spec"]["template"]["spec"]
    return spec


def test_placeholders_are_worth_a_node_and_less_than_any_pod_without_a_priority() -> None:
    value = exported()[0]["value"]
    assert Options(cluster_name="prod").expendable_pods_priority_cutoff <= value < 0


def test_without_a_provider_the_manifests_are_exported_and_nothing_is_declared() -> None:
    priority_class, placeholders = exported(namespace="reserve")
    assert priority_class == {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "reserve-10"},
        "value": -10,
        "preemptionPolicy": "Never",
        "description": "Placeholder pods: they give way to every other pod and bring nodes to take their place.",
    }
    assert (placeholders["metadata"]["name"], placeholders["metadata"]["namespace"]) == ("reserve", "reserve")
    spec = placeholders["spec"]
    assert (spec["replicas"], spec["selector"]["matchLabels"]) == (2, spec["template"]["metadata"]["labels"])
    (container,) = spec["template"]["spec"]["containers"]
    assert container["resources"] == {"requests": {"cpu": "1", "memory": "2Gi"}}


def test_with_a_provider_the_same_is_declared() -> None:
    deployment = declared()
    priority_class, placeholders = deployment.outputs["manifests"]
    assert deployment.one(PRIORITY_CLASS).inputs == priority_class
    inputs = deployment.one(DEPLOYMENT).inputs
    assert {**inputs, "metadata": {key: value for key, value in inputs["metadata"].items() if key != "annotations"}} == placeholders


def test_an_update_does_not_wait_for_pods_that_wait_for_a_node() -> None:
    assert declared().one(DEPLOYMENT).inputs["metadata"]["annotations"] == {"pulumi.com/skipAwait": "true"}


def test_an_update_makes_no_second_set_of_placeholders_that_would_bring_nodes() -> None:
    assert exported()[1]["spec"]["strategy"] == {"type": "Recreate"}


def test_the_class_stands_before_the_pods_that_name_it() -> None:
    deployment = declared()
    placeholders, priority_class = deployment.one(DEPLOYMENT), deployment.one(PRIORITY_CLASS)
    assert priority_class.urn in placeholders.options.depends_on
    assert placeholders.inputs["spec"]["template"]["spec"]["priorityClassName"] == priority_class.inputs["metadata"]["name"]
    component = deployment.one("eks-autoscaling:index:Overprovisioning")
    assert {placeholders.options.parent, priority_class.options.parent} == {component.urn}
    provider = deployment.one("pulumi:providers:kubernetes")
    assert all(resource.options.provider.startswith(provider.urn) for resource in (placeholders, priority_class))


def test_another_priority_is_another_class_since_a_class_cannot_change() -> None:
    before, after = exported(), exported(priority=-5)
    assert (before[0]["metadata"]["name"], after[0]["metadata"]["name"], after[0]["value"]) == ("reserve-10", "reserve-5", -5)
    assert after[1]["spec"]["template"]["spec"]["priorityClassName"] == "reserve-5"


def test_placeholders_end_no_pods_and_end_at_once_themselves() -> None:
    assert exported()[0]["preemptionPolicy"] == "Never"
    assert pod()["terminationGracePeriodSeconds"] == 0


def test_placeholders_go_where_the_room_shall_be() -> None:
    toleration = {"key": "dedicated", "operator": "Equal", "value": "batch", "effect": "NoSchedule"}
    spec = pod(node_selector={"team": "batch"}, tolerations=[toleration], topology_key="topology.kubernetes.io/zone")
    assert spec["nodeSelector"] == {"team": "batch"}
    assert spec["tolerations"] == [toleration]
    (spread,) = spec["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["maxSkew"], spread["whenUnsatisfiable"]) == ("topology.kubernetes.io/zone", 1, "DoNotSchedule")
    assert spread["labelSelector"]["matchLabels"] == exported()[1]["spec"]["template"]["metadata"]["labels"]


def test_two_sets_of_placeholders_do_not_take_each_others_pods() -> None:
    first, second = exported("reserve")[1]["spec"]["selector"], exported("reserve-batch")[1]["spec"]["selector"]
    assert first != second


def test_no_room_is_a_choice_too() -> None:
    assert exported(replicas=0)[1]["spec"]["replicas"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"replicas": -1}, "replicas is -1: use 0 or more"),
        ({"cpu": "0"}, "cpu is '0': write a quantity above 0"),
        ({"cpu": "2 cores"}, "cpu is '2 cores': write a quantity"),
        ({"node_selector": {"a b": "c"}}, "node_selector is 'a b': a key is up to 63 letters"),
        ({"cpu": 2}, 'cpu is 2: write a text, such as "2"'),
        ({"memory": "512"}, "memory is '512': write a quantity above 0 with its unit"),
        ({"memory": "0Gi"}, "memory is '0Gi': write a quantity above 0"),
        ({"priority": 0}, "priority is 0: use -10 to -1"),
        ({"priority": -11}, "priority is -11: use -10 to -1: below -10 the autoscaler takes pods for expendable"),
        ({"namespace": "kube-system"}, "namespace is 'kube-system': choose another: scale-down leaves nodes alone"),
        ({"namespace": "A"}, "namespace is 'A': use 1 to 63 lower-case letters"),
        ({"name": "Reserve"}, "name is 'Reserve': use 1 to 63 lower-case letters"),
        ({"name": "x" * 61}, "name is 'x+': use at most 60 characters"),
        ({"name": "system-reserve"}, "name is 'system-reserve': .*prefix system-"),
        ({"tolerations": [{"operator": "In"}]}, "tolerations is 'In': the operator is Equal or Exists"),
        ({"tolerations": [{"value": "batch"}]}, "tolerations is .*: name the key of the taint"),
        ({"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}, "tolerations is .*: leave the value out"),
        ({"tolerations": [{"key": "a", "effect": "NO_SCHEDULE"}]}, "tolerations is 'NO_SCHEDULE': the effect is one of NoSchedule"),
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        exported(**arguments)
