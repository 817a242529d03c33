"""Waiting for a cluster to get where a test wants it."""

import time
from collections.abc import Callable
from typing import TypeVar

_POLL_SECONDS = 0.1

Seen = TypeVar("Seen")


def wait_for(what: str, look: Callable[[], Seen], wanted: Callable[[Seen], bool], seconds: float, *, pause: float = _POLL_SECONDS) -> Seen:
    """Look every ``pause`` seconds until ``wanted`` and return what was seen; TimeoutError with the last look after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if wanted(seen):
            return seen
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}; last seen: {seen}")
        time.sleep(pause)


def now() -> float:
    """Seconds since the epoch, to compare with the times of AWS's and Kubernetes' logs."""
    return time.time()  # noqa: TID251 - beside the times of real programs
