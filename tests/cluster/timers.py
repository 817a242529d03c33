"""What happens later in a world: calls on threads of their own, dropped when the world is emptied."""

import threading
from collections.abc import Callable


class Timers:
    """Runs calls after a while; ``errors`` are what they raised."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: set[threading.Timer] = set()
        self.errors: list[Exception] = []

    def later(self, seconds: float, call: Callable[[], object]) -> None:
        """Make the call in so many seconds; 0 is at once, in the background."""
        timer = threading.Timer(seconds, lambda: self._run(timer, call))
        timer.daemon = True
        with self._lock:
            self._waiting.add(timer)
        timer.start()

    def forget(self) -> None:
        """Drop the calls that have not begun, and the errors."""
        with self._lock:
            waiting, self._waiting, self.errors = self._waiting, set(), []
        for timer in waiting:
            timer.cancel()

    def _run(self, timer: threading.Timer, call: Callable[[], object]) -> None:
        with self._lock:
            if timer not in self._waiting:
                return
            self._waiting.remove(timer)
        try:
            call()
        except Exception as error:  # noqa: BLE001 - a thread has nobody to raise to: whoever leaves the world gets it
            self.errors.append(error)
