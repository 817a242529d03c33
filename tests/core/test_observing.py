"""From API answers to the cluster that is decided about: classification, volumes, and what happens to what cannot be read."""

from typing import Any

import pytest

from lambda_autoscaler.core.decode import continue_token, decode_objects
from lambda_autoscaler.core.model import Cluster, NodeTerm, Requirement
from lambda_autoscaler.core.observe import build_cluster
from lambda_autoscaler.core.observed import Observed
from tests.build import options
from tests.core import wire

ZONE = "topology.kubernetes.io/zone"


def observed(**items: list[dict[str, Any]]) -> Observed:
    return Observed(**{plural: wire.decoded(plural, *objects) for plural, objects in items.items()})


def seen(*pods: dict[str, Any], **flags: Any) -> Cluster:
    return build_cluster(observed(nodes=[wire.node()], pods=list(pods)), options(**flags))


def where(pod: dict[str, Any], **flags: Any) -> str:
    found = seen(pod, **flags)
    places = {"bound": found.nodes[0].pods, "pending": found.pending, "nominated": found.nominated, "unprocessed": found.unprocessed}
    return next((name for name, pods in places.items() if pods), "left out")


def condition(status: str = "False", reason: str = "") -> dict[str, Any]:
    return {"conditions": [{"type": "PodScheduled", "status": status, "reason": reason}]}


@pytest.mark.parametrize(
    ("pod", "place"),
    [
        (wire.pod(), "pending"),
        (wire.pod(spec={"nodeName": "n1"}), "bound"),
        (wire.pod(spec={"nodeName": "n1"}, deletionTimestamp="2026-11-22T13:00:00Z"), "bound"),
        (wire.pod(spec={"nodeName": "gone"}), "left out"),
        (wire.pod(deletionTimestamp="2026-11-22T13:00:00Z"), "left out"),
        (wire.pod(status={"nominatedNodeName": "n1"}), "nominated"),
        (wire.pod(status=condition(reason="SchedulingGated")), "left out"),
        (wire.pod(status={"conditions": None}), "left out"),
        (wire.pod(status={"phase": "Succeeded"}), "left out"),
        (wire.pod(status={"phase": "Failed"}, spec={"nodeName": "n1"}), "left out"),
    ],
)
def test_where_a_pod_counts(pod: dict[str, Any], place: str) -> None:
    assert where(pod) == place


@pytest.mark.parametrize(
    ("scheduler", "status", "place"),
    [
        ("custom", {"conditions": []}, "unprocessed"),
        ("custom", condition(), "unprocessed"),
        ("custom", condition(reason="SchedulingGated"), "left out"),
        ("custom", condition(status="True"), "left out"),
        ("other", {"conditions": []}, "left out"),
    ],
)
def test_pods_of_a_bypassed_scheduler_count_before_it_has_looked(scheduler: str, status: dict[str, Any], place: str) -> None:
    assert where(wire.pod(spec={"schedulerName": scheduler}, status=status), bypassed_scheduler_names=("custom",)) == place


def test_pods_of_schedulers_that_are_not_allowed_do_not_exist() -> None:
    assert where(wire.pod(spec={"nodeName": "n1", "schedulerName": "other"}), allowed_scheduler_names=("default-scheduler",)) == "left out"


def test_a_pod_with_a_broken_quantity_is_left_out_and_named() -> None:
    found = seen(wire.pod("broken", cpu="much"), wire.pod("fine"))
    assert [pod.name for item in found.pending for pod in item.pods] == ["fine"]
    assert found.faults[0].startswith("pod default/broken is left out: 'much' is not a Kubernetes quantity")


def test_a_broken_node_or_daemon_set_is_left_out_and_named() -> None:
    broken = wire.node("broken") | {"status": {"capacity": {"cpu": "many"}}}
    template = {"spec": {"containers": [{"resources": {"requests": {"cpu": "x"}}}]}}
    agents = [{"metadata": {"name": "agent", "namespace": "kube-system"}, "spec": {"template": template}}, {"metadata": {"name": "bare"}}]
    found = build_cluster(observed(nodes=[broken, wire.node("fine")], daemonsets=agents), options())
    assert [node.name for node in found.nodes] == ["fine"]
    assert [fault.split(":")[0] for fault in found.faults] == ["node broken is left out", "daemonset kube-system/agent is left out"]


def test_an_object_of_the_wrong_type_is_named_and_the_page_goes_on() -> None:
    wrong = wire.pod("wrong") | {"spec": {"priority": "high"}}
    nameless = {"metadata": {"name": 7}}
    good, faults = decode_objects("pods", wire.page(wire.pod("fine"), wrong, nameless))
    assert [pod.metadata.name for pod in good] == ["fine"]
    assert faults[0].startswith("pods default/wrong cannot be read: ")
    assert faults[1].startswith("pods (without a usable name) cannot be read: ")
    _, cluster_wide = decode_objects("nodes", wire.page({"metadata": {"name": "n1"}, "spec": {"taints": 3}}))
    assert cluster_wide[0].startswith("nodes n1 cannot be read: ")


def test_a_page_names_the_next_one() -> None:
    assert continue_token(wire.page(token="more")) == "more"
    assert continue_token(wire.page()) == ""


def test_daemon_sets_become_the_pods_they_would_run() -> None:
    spec = {"containers": [], "priorityClassName": "system-node-critical"}
    agent = {"metadata": {"name": "agent", "namespace": "kube-system", "uid": "u"}, "spec": {"template": {"spec": spec}}}
    (found,) = build_cluster(observed(daemonsets=[agent]), options()).daemon_sets
    assert (found.name, found.critical, found.shape.is_daemonset) == ("agent", True, True)


def test_budgets_workloads_and_attach_limits_are_kept() -> None:
    budget = {"metadata": {"name": "b", "namespace": "default"}, "spec": {"selector": {}}, "status": {"disruptionsAllowed": 2}}
    drivers = [{"name": "ebs", "allocatable": {"count": 25}}, {"name": "efs"}]
    found = build_cluster(
        observed(
            poddisruptionbudgets=[budget],
            replicasets=[{"metadata": {"name": "web", "namespace": "default"}, "spec": {"replicas": 3}}],
            jobs=[{"metadata": {"name": "once", "namespace": "default"}}],
            csinodes=[{"metadata": {"name": "n1"}, "spec": {"drivers": drivers}}],
        ),
        options(),
    )
    assert found.budgets[0].allowed == 2
    assert found.workloads == {("ReplicaSet", "default", "web"): 3, ("Job", "default", "once"): 1}
    assert found.attach_limits == {"n1": {"ebs": 25}}


def test_faults_of_reading_are_passed_on() -> None:
    assert build_cluster(Observed(faults=["one thing"]), options()).faults == ("one thing",)


def test_a_pod_knows_when_it_began() -> None:
    (item,) = seen(wire.pod(status={"startTime": "2026-11-22T13:00:01Z"})).pending
    assert item.pods[0].started == item.pods[0].created + 1


# --- volumes ---


def claim(volume: str = "", of: str | None = "wait", **fields: Any) -> dict[str, Any]:
    spec = (
        {"volumeName": volume, "accessModes": ["ReadWriteOnce"]}
        | ({"storageClassName": of} if of is not None else {})
        | fields.pop("spec", {})
    )
    return {"metadata": {"name": "data", "namespace": "default", **fields}, "spec": spec}


def storage_class(name: str = "wait", mode: str = "WaitForFirstConsumer", provisioner: str = "ebs", **fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **fields.pop("meta", {})}, "provisioner": provisioner, "volumeBindingMode": mode, **fields}


def volume(name: str = "pv", *, zone: str = "", labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    terms = [{"matchExpressions": [{"key": ZONE, "operator": "In", "values": [zone]}]}]
    affinity = {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}} if zone else {}
    fixed = {"storageClassName": "wait", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "10Gi"}, "csi": {"driver": "ebs"}}
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": {**fixed, **affinity, **spec}, "status": {"phase": "Available"}}


def need(claims: list[dict[str, Any]], volumes: list[dict[str, Any]] | None = None, classes: list[dict[str, Any]] | None = None) -> Any:
    pod = wire.pod(spec={"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]})
    objects = observed(pods=[pod], persistentvolumeclaims=claims, persistentvolumes=volumes or [], storageclasses=classes or [])
    return build_cluster(objects, options()).pending[0].shape.volumes


def in_zone(*zones: str) -> NodeTerm:
    return NodeTerm((Requirement(ZONE, "In", zones),))


def test_a_bound_volume_ties_the_pod_to_its_zone() -> None:
    found = need([claim("pv")], [volume(zone="a", labels={ZONE: "a__b"})])
    assert found.terms == ((in_zone("a"),), (in_zone("a", "b"),))
    assert found.attachments == (("ebs", 1),)


@pytest.mark.parametrize(
    ("claims", "classes", "fault"),
    [
        ([], [], 'persistentvolumeclaim "data" not found'),
        ([claim("pv", deletionTimestamp="2026-11-22T13:00:00Z")], [], 'persistentvolumeclaim "data" is being deleted'),
        ([claim("lost")], [], 'persistentvolume "lost" not found'),
        ([claim()], [storage_class(mode="Immediate")], "pod has unbound immediate PersistentVolumeClaims"),
        ([claim(of=None)], [storage_class()], "pod has unbound immediate PersistentVolumeClaims"),
        (
            [claim()],
            [storage_class(provisioner="kubernetes.io/no-provisioner")],
            "node(s) didn't find available persistent volumes to bind",
        ),
    ],
)
def test_what_no_node_can_cure_is_a_fault(claims: list[dict[str, Any]], classes: list[dict[str, Any]], fault: str) -> None:
    assert need(claims, [], classes).fault == fault


def test_a_claim_that_waits_follows_the_topologies_of_its_class() -> None:
    topology = [{"matchLabelExpressions": [{"key": ZONE, "values": ["a", "b"]}]}]
    found = need([claim()], [], [storage_class(allowedTopologies=topology)])
    assert (found.terms, found.attachments) == (((in_zone("a", "b"),),), (("ebs", 1),))
    assert need([claim()], [], [storage_class()]).terms == ()


def test_a_claim_without_class_uses_the_default_one() -> None:
    default = storage_class(meta={"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}})
    assert need([claim(of=None)], [], [default]).fault == ""


@pytest.mark.parametrize(
    ("spec", "serves"),
    [
        ({}, True),
        ({"claimRef": {"namespace": "default", "name": "data"}}, True),
        ({"claimRef": {"namespace": "default", "name": "other"}}, False),
        ({"storageClassName": "other"}, False),
        ({"accessModes": ["ReadOnlyMany"]}, False),
        ({"capacity": {"storage": "1Gi"}}, False),
        ({"capacity": {"storage": "large"}}, False),
    ],
)
def test_which_local_volumes_can_serve_a_claim(spec: dict[str, Any], serves: bool) -> None:
    asked = claim(spec={"resources": {"requests": {"storage": "5Gi"}}})
    found = need([asked], [volume(zone="a", **spec)], [storage_class(provisioner="kubernetes.io/no-provisioner")])
    assert found.terms == (((in_zone("a"),),) if serves else ())


def test_a_released_volume_serves_nobody_and_one_without_affinity_serves_everywhere() -> None:
    local = [storage_class(provisioner="kubernetes.io/no-provisioner")]
    assert need([claim()], [volume(zone="a") | {"status": {"phase": "Released"}}], local).fault
    assert need([claim()], [volume()], local).terms == ((NodeTerm((Requirement("kubernetes.io/hostname", "Exists"),)),),)


def test_replicas_of_a_stateful_set_in_one_zone_are_one_shape() -> None:
    def replica(number: int) -> dict[str, Any]:
        volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": f"data-{number}"}}]
        return wire.pod(f"db-{number}", ownerReferences=wire.owned("StatefulSet", "db"), spec={"volumes": volumes})

    claims = [claim(f"pv-{number}") | {"metadata": {"name": f"data-{number}", "namespace": "default"}} for number in range(3)]
    volumes = [volume(f"pv-{number}", zone=zone) for number, zone in enumerate("aab")]
    found = build_cluster(
        observed(pods=[replica(at) for at in range(3)], persistentvolumeclaims=claims, persistentvolumes=volumes), options()
    )
    assert [len(item.pods) for item in found.pending] == [2, 1]


def test_an_ephemeral_volume_has_the_claim_named_after_pod_and_volume_and_may_be_for_one_pod_only() -> None:
    pod = wire.pod("db", spec={"volumes": [{"name": "v", "ephemeral": {"volumeClaimTemplate": {}}}]})
    exclusive = claim("pv", spec={"accessModes": ["ReadWriteOncePod"]})
    exclusive["metadata"]["name"] = "db-v"
    found = build_cluster(observed(pods=[pod], persistentvolumeclaims=[exclusive], persistentvolumes=[volume()]), options())
    assert found.pending[0].shape.volumes.exclusive == ("default/db-v",)
