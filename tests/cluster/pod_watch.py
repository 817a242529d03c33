"""Counting the ready pods of an application all the time, so that no dip goes unseen."""

import threading
from types import TracebackType
from typing import Self

import lightkube
from lightkube.resources.core_v1 import Pod


class PodWatch:
    """Context manager; ``least`` is the smallest number of ready pods with the labels that was seen since it was entered."""

    def __init__(self, client: lightkube.Client, labels: dict[str, str], namespace: str = "default") -> None:
        self.least = 0
        self._client, self._labels, self._namespace = client, labels, namespace
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        """Start counting."""
        self.least = self._ready()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop counting."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(0.1):
            self.least = min(self.least, self._ready())

    def _ready(self) -> int:
        return sum(is_ready(pod) for pod in self._client.list(Pod, namespace=self._namespace, labels={**self._labels}))


def is_ready(pod: Pod) -> bool:
    """Whether a pod runs, is ready, and has not been told to end."""
    assert pod.metadata is not None
    conditions = (pod.status.conditions if pod.status else None) or ()
    ready = any(one.type == "Ready" and one.status == "True" for one in conditions)
    return ready and pod.metadata.deletionTimestamp is None
