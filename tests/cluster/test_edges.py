"""The Kubernetes client and the memory against a real API server."""

import json
from collections.abc import Iterator

import lightkube
import pytest
from lightkube.models.core_v1 import Container, PodSpec, PodStatus
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.models.policy_v1 import PodDisruptionBudgetSpec
from lightkube.resources.coordination_v1 import Lease
from lightkube.resources.core_v1 import ConfigMap, Event, Node, Pod, ServiceAccount
from lightkube.resources.core_v1 import PodStatus as PodStatusResource
from lightkube.resources.policy_v1 import PodDisruptionBudget

from lambda_autoscaler.core.memory import Memory, ScaleUpRequest
from lambda_autoscaler.core.plan import Notice
from lambda_autoscaler.edge.kube import LIST_PATHS, KubeClient
from lambda_autoscaler.edge.kube_http import Connection, KubeHttp, trusting
from lambda_autoscaler.edge.memory import ConfigMapMemory
from lambda_autoscaler.ports import AutoscalerError, Conflict, Denied, NotFound, Throttled
from tests.cluster.control_plane import ControlPlane
from tests.cluster.waiting import wait_for

pytestmark = pytest.mark.control_plane

NOW = 1_795_355_207.0


@pytest.fixture
def http(control_plane: ControlPlane) -> KubeHttp:
    return KubeHttp(Connection(control_plane.endpoint, lambda _renew: control_plane.admin_token, trusting(control_plane.ca_pem)))


@pytest.fixture
def kube(http: KubeHttp) -> KubeClient:
    return KubeClient(http)


def account_names(admin: lightkube.Client) -> list[str]:
    return [str(item.metadata.name) for item in admin.list(ServiceAccount, namespace="default") if item.metadata]


@pytest.fixture
def pod(admin: lightkube.Client) -> Iterator[Pod]:
    """A pod that no node takes."""
    wait_for("the service account of pods", lambda: account_names(admin), lambda names: "default" in names, 30)
    spec = PodSpec(containers=[Container(name="c", image="i")], nodeSelector={"nowhere": "yes"}, terminationGracePeriodSeconds=0)
    made = admin.create(Pod(metadata=ObjectMeta(name="waiting", namespace="default", labels={"app": "w"}), spec=spec))
    yield made
    try:
        admin.delete(Pod, "waiting", namespace="default", grace_period=0)
    except lightkube.ApiError:
        return


def uid_of(pod: Pod) -> str:
    assert pod.metadata is not None
    return str(pod.metadata.uid)


def test_every_kind_can_be_listed(kube: KubeClient) -> None:
    for plural in LIST_PATHS:
        assert [json.loads(page)["metadata"] for page in kube.list(plural)]


def test_a_long_list_comes_in_pages_without_loss(kube: KubeClient, admin: lightkube.Client) -> None:
    for number in range(203):
        admin.create(Node(metadata=ObjectMeta(name=f"node-{number:03}")))
    pages = list(kube.list("nodes"))
    names = [item["metadata"]["name"] for page in pages for item in json.loads(page)["items"]]
    assert len(pages) == 2
    assert names == sorted(set(names))
    assert {f"node-{number:03}" for number in range(203)} <= set(names)
    for number in range(203):
        kube.delete_node(f"node-{number:03}")
    with pytest.raises(NotFound):
        kube.delete_node("node-000")


def test_an_unknown_caller_is_denied(control_plane: ControlPlane) -> None:
    stranger = KubeClient(KubeHttp(Connection(control_plane.endpoint, lambda _renew: "nobody", trusting(control_plane.ca_pem))))
    with pytest.raises(Denied, match="access entry"):
        list(stranger.list("nodes"))


def test_the_lock_passes_from_holder_to_holder(http: KubeHttp, admin: lightkube.Client) -> None:
    first, second = ConfigMapMemory(http, "kube-system"), ConfigMapMemory(http, "kube-system")
    assert first.acquire("one", NOW, 30.5)
    assert not second.acquire("two", NOW + 10, 30)
    first.release()
    released = admin.get(Lease, "eks-autoscaling", namespace="kube-system").spec
    assert released is not None
    assert released.holderIdentity is None
    assert second.acquire("two", NOW + 11, 30)
    assert second.fence == 2
    with_expired = ConfigMapMemory(http, "kube-system")
    assert with_expired.acquire("three", NOW + 42, 30)
    with pytest.raises(Conflict):
        second.release()
    with_expired.release()


def test_memory_is_kept_by_compare_and_set(http: KubeHttp, admin: lightkube.Client) -> None:
    memory = Memory(requests={"spot": ScaleUpRequest(5, NOW, NOW + 900)})
    first, second = ConfigMapMemory(http, "kube-system"), ConfigMapMemory(http, "kube-system")
    assert first.load() == second.load() == Memory()
    first.save(memory)
    with pytest.raises(Conflict):
        second.save(Memory(last_scale_up=1.0))
    assert second.load() == memory
    second.save(Memory(last_scale_up=2.0))
    with pytest.raises(Conflict):
        first.save(Memory(last_scale_up=3.0))
    data = admin.get(ConfigMap, "eks-autoscaling-state", namespace="kube-system").data or {}
    assert json.loads(data["memory.json"])["last_scale_up"] == 2.0


def test_a_config_map_is_created_then_replaced(kube: KubeClient) -> None:
    for text in ("a", "b"):
        manifest = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "s", "namespace": "kube-system"},
            "data": {"status": text},
        }
        kube.write_config_map("kube-system", "s", json.dumps(manifest).encode())
        assert json.loads(kube.config_map("kube-system", "s") or b"{}")["data"] == {"status": text}


def test_a_repeated_event_is_counted(http: KubeHttp, admin: lightkube.Client, pod: Pod) -> None:
    notice = Notice(
        "Pod", "default", "waiting", "Normal", "NotTriggerScaleUp", "pod didn't trigger scale-up: 1 Insufficient cpu", uid_of(pod)
    )
    node = Notice("Node", "", "some-node", "Normal", "ScaleDown", "marked the node as toBeDeleted/unschedulable")
    for number in range(3):
        KubeClient(http).record([notice, node], NOW + 60 * number)
    found = [event for event in admin.list(Event, namespace="default") if event.source and event.source.component == "cluster-autoscaler"]
    assert sorted((event.reason, event.count) for event in found) == [("NotTriggerScaleUp", 3), ("ScaleDown", 3)]


def test_only_the_very_pod_is_evicted(kube: KubeClient, admin: lightkube.Client, pod: Pod) -> None:
    with pytest.raises(AutoscalerError):
        kube.evict("default", "waiting", "00000000-0000-0000-0000-000000000000", 0)
    assert admin.get(Pod, "waiting", namespace="default").metadata is not None
    kube.evict("default", "waiting", uid_of(pod), 0)
    with pytest.raises(NotFound):
        kube.evict("default", "waiting", uid_of(pod), 0)


def test_a_disruption_budget_throttles_an_eviction(kube: KubeClient, admin: lightkube.Client, pod: Pod) -> None:
    budget = PodDisruptionBudgetSpec(minAvailable=1, selector=LabelSelector(matchLabels={"app": "w"}))
    admin.create(PodDisruptionBudget(metadata=ObjectMeta(name="guard", namespace="default"), spec=budget))
    admin.patch(PodStatusResource, "waiting", Pod(status=PodStatus(phase="Running")), namespace="default")
    with pytest.raises(Throttled):
        kube.evict("default", "waiting", uid_of(pod), 0)
    admin.delete(PodDisruptionBudget, "guard", namespace="default")


def test_a_node_patch_with_an_old_version_is_a_conflict(kube: KubeClient, admin: lightkube.Client) -> None:
    made = admin.create(Node(metadata=ObjectMeta(name="patched")))
    assert made.metadata is not None
    kube.patch_node("patched", b'{"spec": {"unschedulable": true}}')
    old = {"metadata": {"resourceVersion": made.metadata.resourceVersion}, "spec": {"unschedulable": False}}
    with pytest.raises(Conflict):
        kube.patch_node("patched", json.dumps(old).encode())
    node = admin.get(Node, "patched")
    assert node.spec is not None
    assert node.spec.unschedulable
    kube.delete_node("patched")
