"""Memory and lock kept in the cluster."""

import json
from collections.abc import Iterator

import pytest

from lambda_autoscaler.core.kubernetes import Taint
from lambda_autoscaler.core.memory import Memory, RememberedTemplate, ScaleUpRequest
from lambda_autoscaler.edge.memory import RECORD_LIMIT_BYTES, ConfigMapMemory, format_record, parse_record
from lambda_autoscaler.ports import BadInput, Conflict, Refused
from tests.edge.object_store import ObjectStore

NOW = 1_795_355_207.25
RECORD = "/api/v1/namespaces/kube-system/configmaps/eks-autoscaling-state"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/eks-autoscaling"
SOME = Memory(requests={"spot": ScaleUpRequest(5, NOW, NOW + 900)}, last_scale_up=NOW)


@pytest.fixture
def store() -> Iterator[ObjectStore]:
    with ObjectStore() as running:
        yield running


def memory_of(store: ObjectStore) -> ConfigMapMemory:
    return ConfigMapMemory(store.http(), "kube-system")


def test_a_cluster_without_a_record_has_empty_memory(store: ObjectStore) -> None:
    assert memory_of(store).load() == Memory()


def test_what_is_saved_is_loaded_by_the_next_container(store: ObjectStore) -> None:
    first = memory_of(store)
    first.load()
    first.save(SOME)
    assert memory_of(store).load() == SOME


def test_a_person_can_read_the_record(store: ObjectStore) -> None:
    memory = memory_of(store)
    assert memory.acquire("one", NOW, 60)
    memory.load()
    memory.save(SOME)
    data = store.objects[RECORD]["data"]
    assert data["summary"] == "nodes asked for: spot +5; groups in backoff: none; unneeded nodes: 0; written by holder 1"
    assert json.loads(data["memory.json"])["version"] == 1
    assert data["memory.json"].count("\n") > 5


def test_memory_that_did_not_change_is_not_written(store: ObjectStore) -> None:
    memory = memory_of(store)
    memory.load()
    memory.save(SOME)
    again = memory_of(store)
    again.save(again.load())
    assert len(store.writes()) == 1


def test_a_record_that_somebody_else_wrote_meanwhile_is_not_overwritten(store: ObjectStore) -> None:
    slow, fast = memory_of(store), memory_of(store)
    slow.load()
    fast.load()
    fast.save(SOME)
    with pytest.raises(Conflict):
        slow.save(Memory(last_scale_up=1.0))
    late, quick = memory_of(store), memory_of(store)
    late.load()
    quick.load()
    quick.save(Memory(last_scale_up=2.0))
    with pytest.raises(Conflict):
        late.save(Memory(last_scale_up=3.0))
    assert memory_of(store).load().last_scale_up == 2.0


def test_one_container_can_save_twice(store: ObjectStore) -> None:
    memory = memory_of(store)
    memory.load()
    memory.save(SOME)
    memory.save(Memory(last_scale_up=7.0))
    assert memory_of(store).load().last_scale_up == 7.0


@pytest.mark.parametrize(
    ("record", "complaint"),
    [("{not json", "cannot be read"), ('{"version": 2}', "version 2"), ('{"requests": 5}', r"\$.requests"), ("[]", "cannot be read")],
)
def test_a_record_that_cannot_be_used_is_refused_and_named(store: ObjectStore, record: str, complaint: str) -> None:
    store.objects[RECORD] = {"metadata": {"name": "eks-autoscaling-state", "resourceVersion": "9"}, "data": {"memory.json": record}}
    memory = memory_of(store)
    with pytest.raises(BadInput, match=complaint) as caught:
        memory.load()
    assert "kube-system/eks-autoscaling-state" in str(caught.value)
    memory.save(SOME)
    assert memory_of(store).load() == SOME


def test_an_older_record_with_fewer_fields_loads() -> None:
    assert parse_record('{"last_scale_up": 5.0, "gone_field": 1}', "here") == Memory(last_scale_up=5.0)


def test_a_record_too_large_for_a_config_map_sheds_what_can_be_found_again() -> None:
    template = RememberedTemplate({"label": "x" * 1000}, (Taint("k", "NoSchedule"),), (), (), NOW)
    large = Memory(
        templates={f"group-{number}": template for number in range(1200)}, unremovable_until={"node": NOW}, unneeded_since={"a": NOW}
    )
    record = format_record(large)
    assert len(record) <= RECORD_LIMIT_BYTES
    assert parse_record(record, "here") == Memory(unneeded_since={"a": NOW})
    with pytest.raises(Refused, match="does not fit"):
        format_record(Memory(unneeded_since={f"ip-10-0-0-1.node-{number}.internal": NOW for number in range(30_000)}))


def test_only_one_of_two_holders_gets_the_lock(store: ObjectStore) -> None:
    assert memory_of(store).acquire("one", NOW, 60)
    assert not memory_of(store).acquire("two", NOW + 30, 60)
    spec = store.objects[LEASE]["spec"]
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["leaseTransitions"]) == ("one", 60, 1)


def test_a_lock_that_was_given_back_is_free_at_once(store: ObjectStore) -> None:
    first, second = memory_of(store), memory_of(store)
    assert first.acquire("one", NOW, 60)
    first.release()
    assert second.acquire("two", NOW + 1, 60)
    assert second.fence == 2


def test_a_lock_whose_holder_died_is_free_when_it_expires(store: ObjectStore) -> None:
    assert memory_of(store).acquire("one", NOW, 60)
    assert not memory_of(store).acquire("two", NOW + 59.9, 60)
    assert memory_of(store).acquire("two", NOW + 60.1, 60)


def test_a_holder_that_lost_its_lock_does_not_free_the_new_one(store: ObjectStore) -> None:
    slow = memory_of(store)
    assert slow.acquire("one", NOW, 60)
    assert memory_of(store).acquire("two", NOW + 61, 60)
    with pytest.raises(Conflict):
        slow.release()
    assert store.objects[LEASE]["spec"]["holderIdentity"] == "two"


def test_of_two_that_find_the_lock_free_one_gets_it(store: ObjectStore) -> None:
    first, second = memory_of(store), memory_of(store)
    free = first._get_lease()
    assert second.acquire("two", NOW, 60)
    first._get_lease = lambda: free  # type: ignore[method-assign]  # both looked before either wrote
    assert not first.acquire("one", NOW, 60)
