"""How much of a node is asked for."""

from typing import Any

import msgspec
import pytest

from lambda_autoscaler.core.model import GPU_LABEL, Node, PodSet
from lambda_autoscaler.core.utilization import Utilization, utilization
from tests.build import LONG_AGO, NOW, daemon_pod, node, resources, shape, waiting

POD = shape(100, 200_000)
NOTHING = shape()
DAEMON = daemon_pod(100, 200_000)
TREATED_AS_DAEMON = shape(100, 200_000, annotations=(("cluster-autoscaler.kubernetes.io/daemonset-pod", "true"),))
MIRROR = shape(100, 200_000, annotations=(("kubernetes.io/config.mirror", "hash"),))


def used(*pods: PodSet, on: Node | None = None, daemons: bool = False, mirrors: bool = False) -> Utilization | None:
    where = on or node(cpu=2000, memory=2_000_000)
    return utilization(where, pods, NOW, ignore_daemonsets=daemons, ignore_mirrors=mirrors)


def test_the_larger_share_of_cpu_and_memory_counts() -> None:
    found = used(waiting(POD, 2), waiting(NOTHING))
    assert found == Utilization(0.2, "memory", 0.1, 0.2)


def test_ignored_daemon_sets_take_nothing_and_leave_less_to_take() -> None:
    pods = (waiting(POD, 2), waiting(NOTHING), waiting(DAEMON), waiting(TREATED_AS_DAEMON))
    assert used(*pods, daemons=True) == Utilization(0.25, "memory", 200 / 1800, 0.25)
    assert used(*pods) == Utilization(0.4, "memory", 0.2, 0.4)


@pytest.mark.parametrize(
    ("pods", "daemons", "mirrors", "share"),
    [
        ((POD, POD, MIRROR), False, True, 2 / 9),
        ((POD, MIRROR, DAEMON), True, True, 1 / 8),
        ((POD, MIRROR), False, False, 0.2),
    ],
)
def test_ignored_mirror_pods_count_as_ignored_daemon_sets_do(pods: tuple[Any, ...], daemons: bool, mirrors: bool, share: float) -> None:
    found = used(*(waiting(pod) for pod in pods), daemons=daemons, mirrors=mirrors)
    assert found is not None
    assert found.share == pytest.approx(share)


def test_a_pod_that_should_be_long_gone_does_not_count() -> None:
    ending = waiting(msgspec.structs.replace(POD, terminating=True))
    pod = ending.pods[0]
    gone = msgspec.structs.replace(ending, pods=(msgspec.structs.replace(pod, deletion=LONG_AGO),))
    still = msgspec.structs.replace(ending, pods=(msgspec.structs.replace(pod, deletion=NOW - 5),))
    assert used(gone) == Utilization(0.0, "cpu", 0.0, 0.0)
    assert used(still) == Utilization(0.1, "memory", 0.05, 0.1)


@pytest.mark.parametrize("amounts", [resources(2000, 0), resources(0, 2000)])
def test_a_node_that_shows_no_cpu_or_no_memory_cannot_be_computed(amounts: Any) -> None:
    assert used(waiting(POD), on=node(amounts=amounts)) is None


def test_on_a_gpu_node_only_gpus_count() -> None:
    amounts = (*resources(2000, 2_000_000), ("nvidia.com/gpu", 4))
    found = used(waiting(shape(1900, 10, more={"nvidia.com/gpu": 1})), on=node(amounts=amounts))
    assert found == Utilization(0.25, "nvidia.com/gpu")


def test_a_gpu_node_whose_gpus_do_not_show_is_idle() -> None:
    labelled = node(cpu=2000, memory=2_000_000, labels={GPU_LABEL: "nvidia-tesla-t4"})
    assert used(waiting(POD, 9), on=labelled) == Utilization(0.0, "nvidia.com/gpu")
