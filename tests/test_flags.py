"""Flags that steer scale-up: each one changes a decision."""

import json
from typing import Any

import pytest

from lambda_autoscaler import questions
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.core.plan import Plan
from lambda_autoscaler.ports import Refused
from tests.core.wire import owned, pod
from tests.small_cluster import NOW, TAGS, ZONE, SmallCluster, group, instance_type, options, waiting


def increases(plan: Plan) -> dict[str, int]:
    return {item.group: item.target for item in plan.increases}


def grown(cluster: SmallCluster, **flags: str) -> dict[str, int]:
    return increases(cluster.plan(**flags))


# --- limits ---


@pytest.mark.parametrize(
    ("flags", "nodes"),
    [
        ({}, 6),
        ({"max_nodes_per_scaleup": "4"}, 4),
        ({"max_nodes_total": "5"}, 5),
        ({"cores_total": "0:8"}, 4),
        ({"memory_total": "0:24"}, 3),
    ],
)
def test_limits_cut_an_increase(flags: dict[str, str], nodes: int) -> None:
    assert grown(SmallCluster(group("a"), pods=waiting(6)), **flags) == {"a": nodes}


@pytest.mark.parametrize(("flags", "nodes"), [({}, 6), ({"gpu_total": "nvidia-l4:0:2"}, 2)])
def test_a_limit_on_gpus_cuts_an_increase(flags: dict[str, str], nodes: int) -> None:
    tag = "k8s.io/cluster-autoscaler/node-template/"
    tags = {f"{tag}label/k8s.amazonaws.com/accelerator": "nvidia-l4", f"{tag}resources/nvidia.com/gpu": "1"}
    assert grown(SmallCluster(group("gpu", tags=tags), pods=waiting(6)), **flags) == {"gpu": nodes}


# --- which pods count ---


def test_young_pods_wait_for_the_delay_of_the_flag() -> None:
    cluster = SmallCluster(group("a"), pods=waiting(2))
    assert grown(cluster, new_pod_scale_up_delay="59m") == {"a": 2}
    assert grown(cluster, new_pod_scale_up_delay="61m") == {}


def test_a_longer_delay_of_a_pod_counts_and_a_shorter_one_does_not() -> None:
    annotation = "cluster-autoscaler.kubernetes.io/pod-scale-up-delay"
    patient = SmallCluster(group("a"), pods=[pod("p", annotations={annotation: "2h"})])
    hasty = SmallCluster(group("a"), pods=[pod("p", annotations={annotation: "1s"})])
    assert grown(patient) == {}
    assert grown(hasty, new_pod_scale_up_delay="2h") == {}


@pytest.mark.parametrize(("flags", "nodes"), [({}, {}), ({"expendable_pods_priority_cutoff": "-100"}, {"a": 1})])
def test_the_cutoff_says_which_pods_are_worth_a_node(flags: dict[str, str], nodes: dict[str, int]) -> None:
    assert grown(SmallCluster(group("a"), pods=[pod("cheap", spec={"priority": -50})]), **flags) == nodes


@pytest.mark.parametrize(("flags", "nodes"), [({}, {}), ({"bypassed_scheduler_names": "mine"}, {"a": 1})])
def test_pods_of_a_bypassed_scheduler_need_not_be_looked_at_first(flags: dict[str, str], nodes: dict[str, int]) -> None:
    untouched = pod("new", spec={"schedulerName": "mine"}, status={"conditions": []})
    assert grown(SmallCluster(group("a"), pods=[untouched]), **flags) == nodes


@pytest.mark.parametrize(("flags", "nodes"), [({}, {"a": 1}), ({"allowed_scheduler_names": "default-scheduler"}, {})])
def test_pods_of_schedulers_that_are_not_allowed_do_not_count(flags: dict[str, str], nodes: dict[str, int]) -> None:
    assert grown(SmallCluster(group("a"), pods=[pod("other", spec={"schedulerName": "mine"})]), **flags) == nodes


# --- taints ---


@pytest.mark.parametrize("flags", [{"startup_taint": "booting"}, {"ignore_taint": "booting"}, {"startup_taint_prefix": "boot"}])
def test_startup_taints_are_no_obstacle_on_new_nodes_and_make_old_ones_unready(flags: dict[str, str]) -> None:
    cluster = SmallCluster(group("a", sizes=(0, 0, 10)), pods=waiting(1))
    cluster.add_node("n1", "a", taints=[{"key": "booting", "effect": "NoSchedule"}])
    assert grown(cluster) == {}
    assert grown(cluster, **flags) == {"a": 2}
    assert cluster.plan(**flags).groups[0].ready == 0


def test_status_taints_are_no_obstacle_on_new_nodes_and_leave_old_ones_ready() -> None:
    cluster = SmallCluster(group("a"), pods=waiting(1))
    cluster.add_node("n1", "a", taints=[{"key": "busy", "effect": "NoSchedule"}])
    assert grown(cluster, status_taint="busy") == {"a": 2}
    assert cluster.plan(status_taint="busy").groups[0].ready == 1


# --- templates ---


def daemon_set(cpu: str) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "agent"}}, "spec": pod("x", cpu=cpu)["spec"]}
    meta = {"name": "agent", "namespace": "kube-system", "uid": "uid-agent"}
    return {"metadata": meta, "spec": {"template": template}}


@pytest.mark.parametrize(("flags", "nodes"), [({}, {"a": 2}), ({"force_ds": "true"}, {"a": 3})])
def test_force_ds_counts_daemon_sets_that_the_sample_node_does_not_run_yet(flags: dict[str, str], nodes: dict[str, int]) -> None:
    cluster = SmallCluster(group("a"), pods=waiting(3, cpu="1000m", ownerReferences=owned("ReplicaSet", "web")))
    cluster.objects["daemonsets"] = [daemon_set("600m")]
    cluster.add_node("n1", "a", unschedulable=False)
    cluster.objects["pods"].append(pod("busy", cpu="1500m", spec={"nodeName": "n1"}, status={"phase": "Running", "conditions": []}))
    assert {name: size - 1 for name, size in grown(cluster, **flags).items()} == nodes


@pytest.mark.parametrize(("flags", "nodes"), [({}, {}), ({"scale_from_unschedulable": "true"}, {"a": 2})])
def test_a_cordoned_sample_node_makes_no_template_unless_asked_for(flags: dict[str, str], nodes: dict[str, int]) -> None:
    cluster = SmallCluster({**group("a"), "AvailabilityZones": []}, pods=waiting(1))
    cluster.add_node("n1", "a", unschedulable=True)
    assert grown(cluster, **flags) == nodes


@pytest.mark.parametrize(("flags", "nodes"), [({}, 1), ({"eni_max_pods": "true"}, 2)])
def test_pods_per_node_follow_the_network_interfaces_if_asked_for(flags: dict[str, str], nodes: int) -> None:
    class Networked(SmallCluster):
        def describe(self, question: questions.Question) -> bytes | None:
            if not isinstance(question, questions.InstanceTypes):
                return super().describe(question)
            network = {"MaximumNetworkInterfaces": 3, "Ipv4AddressesPerInterface": 10}
            return b'{"InstanceTypes": [' + _json({**instance_type("m5.large"), "NetworkInfo": network}) + b"]}"

    assert grown(Networked(group("a"), pods=waiting(40, cpu="10m")), **flags) == {"a": nodes}


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


# --- which groups ---


def test_groups_named_by_nodes_need_no_tags_and_take_their_limits_from_the_flag() -> None:
    plain = {**group("plain", sizes=(0, 0, 1)), "Tags": []}
    cluster = SmallCluster(plain, pods=waiting(5))
    plan = cluster.plan(nodes="0:3:plain")
    assert increases(plan) == {"plain": 3}
    assert (plan.groups[0].minimum, plan.groups[0].maximum) == (0, 3)


def test_discovery_shares_groups_out_by_any_tags() -> None:
    assert {tag.key: tag.value for tag in options().discovery()} == dict.fromkeys(TAGS, "")
    tags = options(node_group_auto_discovery="asg:tag=team=blue,scaled").discovery()
    assert [(tag.key, tag.value) for tag in tags] == [("team", "blue"), ("scaled", "")]
    assert options(nodes="0:3:plain").discovery() == ()


def test_groups_below_their_minimum_grow_to_it_only_if_asked_for() -> None:
    cluster = SmallCluster(group("a"))
    assert grown(cluster, nodes="2:5:a") == {}
    assert grown(cluster, nodes="2:5:a", enforce_node_group_min_size="true") == {"a": 2}


def test_similar_groups_share_an_increase_only_if_asked_for() -> None:
    cluster = SmallCluster(group("a"), group("b"), pods=waiting(4))
    assert len(grown(cluster)) == 1
    assert grown(cluster, balance_similar_node_groups="true") == {"a": 2, "b": 2}


LABEL_TAG = "k8s.io/cluster-autoscaler/node-template/label/"


@pytest.mark.parametrize(
    ("kinds", "labels", "flags", "balanced"),
    [
        (("m5.large", "m5.large"), ("x", "y"), {}, False),
        (("m5.large", "m5.large"), ("x", "y"), {"balancing_ignore_label": "rack"}, True),
        (("m5.large", "m5.xlarge"), ("x", "x"), {}, False),
        (("m5.large", "m5.xlarge"), ("x", "x"), {"balancing_label": "rack"}, True),
    ],
)
def test_what_makes_groups_similar_follows_the_flags(
    kinds: tuple[str, str], labels: tuple[str, str], flags: dict[str, str], balanced: bool
) -> None:
    groups = [group(name, kind, tags={LABEL_TAG + "rack": label}) for name, kind, label in zip(("a", "b"), kinds, labels, strict=True)]
    found = grown(SmallCluster(*groups, pods=waiting(4)), balance_similar_node_groups="true", expander="most-pods", **flags)
    assert (len(found) == 2) is balanced


RESOURCE_TAG = "k8s.io/cluster-autoscaler/node-template/resources/"


@pytest.mark.parametrize(
    ("memory", "flags", "balanced"),
    [("8000Mi", {}, False), ("8000Mi", {"memory_difference_ratio": "0.03"}, True), ("8100Mi", {}, True)],
)
def test_how_much_memory_may_differ_follows_the_flag(memory: str, flags: dict[str, str], balanced: bool) -> None:
    groups = [group("a"), group("b", tags={RESOURCE_TAG + "memory": memory})]
    found = grown(SmallCluster(*groups, pods=waiting(4)), balance_similar_node_groups="true", expander="most-pods", **flags)
    assert (len(found) == 2) is balanced


# --- expanders ---


@pytest.mark.parametrize(
    ("expander", "chosen"),
    [("least-waste", "memory"), ("least-nodes,most-pods", "large"), ("most-pods", "large"), ("price", "small"), ("priority", "large")],
)
def test_the_expander_chooses_the_group(expander: str, chosen: str) -> None:
    groups = [group("small", sizes=(0, 0, 3)), group("large", "m5.4xlarge"), group("memory", "r5.xlarge", sizes=(0, 0, 1))]
    cluster = SmallCluster(*groups, pods=waiting(4, cpu="1300m"))
    cluster.config_maps["cluster-autoscaler-priority-expander"] = {"priorities": "10: ['.*']\n50: ['large']"}
    assert list(grown(cluster, expander=expander)) == [chosen]


def test_ties_are_broken_by_the_seed() -> None:
    cluster = SmallCluster(group("a"), group("b"), group("c"), pods=waiting(1))
    chosen = [next(iter(grown(cluster, random_seed=str(seed), expander="random"))) for seed in range(3)]
    assert sorted(chosen) == ["a", "b", "c"]


# --- carrying out ---


def two_rounds() -> SmallCluster:
    """Pods of two kinds that no one group helps together."""
    first, second = group("a", tags={LABEL_TAG + "disk": "ssd"}), group("b", tags={LABEL_TAG + "disk": "hdd"})
    pods = [
        *waiting(4, cpu="1500m", spec={"nodeSelector": {"disk": "ssd"}}),
        *waiting(2, cpu="1400m", spec={"nodeSelector": {"disk": "hdd"}}),
    ]
    return SmallCluster(first, second, pods=pods)


def test_salvo_helps_all_pods_in_one_scan() -> None:
    assert grown(two_rounds(), expander="most-pods") == {"a": 4}
    assert grown(two_rounds(), expander="most-pods", salvo_scale_up="true") == {"a": 4, "b": 2}


def test_salvo_tells_each_pod_of_its_own_group_and_remembers_both_requests() -> None:
    plan = two_rounds().plan(expander="most-pods", salvo_scale_up="true")
    told = {notice.name: notice.message for notice in plan.notices if notice.reason == "TriggeredScaleUp"}
    assert told["web-1500m-0"] == "pod triggered scale-up: [{a 0->4 (max: 10)}]"
    assert told["web-1400m-1"] == "pod triggered scale-up: [{b 0->2 (max: 10)}]"
    assert {name: request.increase for name, request in plan.memory.requests.items()} == {"a": 4, "b": 2}
    assert sum(len(item.pods) for item in plan.pods if item.outcome == "triggered") == 6
    assert {item.outcome for item in plan.pods} == {"triggered"}


def test_salvo_ends_where_a_limit_cut_the_increase() -> None:
    assert grown(two_rounds(), expander="most-pods", salvo_scale_up="true", max_nodes_total="3") == {"a": 3}


def test_salvo_grows_one_group_twice_to_one_size() -> None:
    cluster = SmallCluster(group("a"), pods=waiting(3))
    assert grown(cluster, max_nodes_per_scaleup="1") == {"a": 1}
    plan = cluster.plan(max_nodes_per_scaleup="1", salvo_scale_up="true")
    assert [(item.current, item.target) for item in plan.increases] == [(0, 3)]
    assert plan.memory.requests["a"].increase == 3


@pytest.mark.parametrize(("flags", "attempts"), [({}, ["a"]), ({"parallel_scale_up": "true"}, ["a", "b"])])
def test_after_a_refusal_other_groups_are_tried_only_if_asked_for(flags: dict[str, str], attempts: list[str]) -> None:
    cluster = SmallCluster(group("a"), group("b"), pods=waiting(4))
    cluster.refused["a"] = Refused("New SetDesiredCapacity value 2 is above max value 1")
    report = cluster.scan(balance_similar_node_groups="true", **flags)
    assert cluster.attempts == attempts
    assert cluster.desired == {name: 2 for name in attempts if name != "a"}
    assert "a" in cluster.memory.backoffs
    assert "b" not in cluster.memory.backoffs
    assert ("b" in cluster.memory.requests) is ("b" in attempts)
    assert any("above max value 1" in failure for failure in report.failures)


def test_errors_of_all_groups_are_told_together() -> None:
    cluster = SmallCluster(group("a"), group("b"), pods=waiting(4))
    cluster.refused = {"a": Refused("no a"), "b": Refused("no b")}
    report = cluster.scan(balance_similar_node_groups="true", parallel_scale_up="true")
    assert [failure for failure in report.failures if "no a" in failure or "no b" in failure] == [
        "Scale-up failed for group a: no a",
        "Scale-up failed for group b: no b",
    ]
    assert report.summary()["failed_scale_ups"] == 2


# --- health and time ---


def test_nodes_in_trouble_stop_everything_as_far_as_the_flags_say() -> None:
    cluster = SmallCluster(group("a"), pods=waiting(1))
    for number in range(4):
        node = cluster.add_node(f"n{number}", taints=[{"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}])
        node["status"]["conditions"][0]["status"] = "False"
    assert grown(cluster) == {}
    assert not cluster.plan().healthy
    assert grown(cluster, ok_total_unready_count="4") == {"a": 1}
    assert grown(cluster, max_total_unready_percentage="100") == {"a": 1}


@pytest.mark.parametrize("ready", [None, "False"])
def test_a_cluster_without_ready_nodes_is_left_alone_only_if_asked_for(ready: str | None) -> None:
    cluster = SmallCluster(group("a"), pods=waiting(1))
    if ready is not None:
        node = cluster.add_node("n1", taints=[{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}])
        node["status"]["conditions"][0]["status"] = ready
    assert grown(cluster) == {"a": 1}
    plan = cluster.plan(scale_up_from_zero="false")
    assert plan.increases == ()
    assert [notice.reason for notice in plan.notices] == ["ClusterUnhealthy"]
    cluster.add_node("n2")
    cluster.objects["pods"] += waiting(1, cpu="1900m")
    assert grown(cluster, scale_up_from_zero="false") == {"a": 1}


@pytest.mark.parametrize(("flags", "given_up"), [({}, ()), ({"force_delete_unregistered_nodes": "true"}, (("a", ("i-lost",)),))])
def test_instances_that_never_registered_are_given_up_below_the_minimum_only_if_asked_for(
    flags: dict[str, str], given_up: tuple[object, ...]
) -> None:
    cluster = SmallCluster(group("a", sizes=(1, 1, 3)))
    cluster.asgs[0]["Instances"] = [{"InstanceId": "i-lost", "AvailabilityZone": ZONE}]
    cluster.memory = Memory(unregistered_since={"i-lost": NOW - 3600})
    assert cluster.plan(**flags).delete_instances == given_up


@pytest.mark.parametrize(("flag", "seconds"), [({}, 300.0), ({"initial_node_group_backoff_duration": "1m"}, 60.0)])
def test_a_failed_group_is_left_alone_for_as_long_as_the_flag_says(flag: dict[str, str], seconds: float) -> None:
    cluster = SmallCluster(group("a"), pods=waiting(1))
    cluster.refused["a"] = Refused("no")
    cluster.scan(**flag)
    assert cluster.memory.backoffs["a"].duration == seconds


@pytest.mark.parametrize(("flag", "seconds"), [({}, 900.0), ({"max_node_provision_time": "5m"}, 300.0)])
def test_nodes_are_expected_for_as_long_as_the_flag_says(flag: dict[str, str], seconds: float) -> None:
    request = SmallCluster(group("a"), pods=waiting(1)).plan(**flag).memory.requests["a"]
    assert request.expected - request.time == seconds
