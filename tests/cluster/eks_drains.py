"""What EKS does about spot events of managed node groups: it cordons the node and evicts its pods through the eviction API.

EKS user guide, "Managed node groups capacity types": on a rebalance recommendation and on an interruption notice. A replacement, which EKS
launches for a recommendation, is not played: it only adds capacity.
"""

import threading
import time
from types import TracebackType
from typing import Self

import lightkube
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Node, Pod

from tests.cluster.account_events import AccountEvent, AccountEvents

NODEGROUP_LABEL = "eks.amazonaws.com/nodegroup"
_KINDS = ("EC2 Spot Instance Interruption Warning", "EC2 Instance Rebalance Recommendation")
_RETRY_SECONDS = 1.0
_LONGEST_SECONDS = 120.0


class EksDrains:
    """Context manager of EKS's drains; while ``works`` is False EKS does nothing. ``kubernetes`` is a client that may do all of it."""

    def __init__(self, kubernetes: lightkube.Client, events: AccountEvents) -> None:
        self.works = True
        self._kubernetes = kubernetes
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        events.listen(self._hear)

    def __enter__(self) -> Self:
        """It hears events from its making on."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave the drains that go on."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _hear(self, event: AccountEvent) -> None:
        if not self.works or event.kind not in _KINDS or self._stopping.is_set():
            return
        thread = threading.Thread(target=self._drain, args=(event.detail["instance-id"],), daemon=True, name="eks-drain")
        self._threads.append(thread)
        thread.start()

    def _drain(self, instance: str) -> None:
        found = [node for node in self._kubernetes.list(Node) if node.spec and (node.spec.providerID or "").endswith(f"/{instance}")]
        if not found or found[0].metadata is None or NODEGROUP_LABEL not in (found[0].metadata.labels or {}):
            return
        name = str(found[0].metadata.name)
        self._kubernetes.patch(Node, name, {"spec": {"unschedulable": True}})
        until = time.monotonic() + _LONGEST_SECONDS
        while time.monotonic() < until and self._evict_all(name) and not self._stopping.wait(_RETRY_SECONDS):
            pass

    def _evict_all(self, node: str) -> int:
        """Ask for the eviction of each pod that is to move; how many there were."""
        pods = [pod for pod in self._kubernetes.list(Pod, namespace="*", fields={"spec.nodeName": node}) if not _is_daemon(pod)]
        for pod in pods:
            assert pod.metadata is not None
            eviction = Pod.Eviction(metadata=ObjectMeta(name=pod.metadata.name, namespace=pod.metadata.namespace))
            try:
                self._kubernetes.create(eviction, str(pod.metadata.name), namespace=pod.metadata.namespace)
            except lightkube.ApiError as refused:
                if refused.status.code not in (404, 429):  # gone, or kept by a budget for now
                    raise
        return len(pods)


def _is_daemon(pod: Pod) -> bool:
    owners = (pod.metadata.ownerReferences if pod.metadata else None) or ()
    return any(owner.kind == "DaemonSet" for owner in owners)
