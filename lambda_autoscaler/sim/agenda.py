"""The simulated clock and everything that is due later.

Time moves only when somebody calls ``run_until``: the agenda jumps from one due action to the next, so that a quiet hour costs nothing.
Actions due at the same instant run in the order in which they were planned, which makes a run repeatable.
"""

import heapq
from collections.abc import Callable

Action = Callable[[], None]


class Agenda:
    """Seconds since the epoch, and what is planned."""

    def __init__(self, start: float) -> None:
        self.now = start
        self._due: list[tuple[float, int, Action]] = []
        self._count = 0

    def after(self, seconds: float, action: Action) -> None:
        """Plan an action ``seconds`` from now."""
        heapq.heappush(self._due, (self.now + seconds, self._count, action))
        self._count += 1

    def run_until(self, end: float, settle: Action) -> None:
        """Run all that is due up to ``end``; ``settle`` follows every instant at which something happened."""
        while self._due and self._due[0][0] <= end:
            self.now = max(self.now, self._due[0][0])
            while self._due and self._due[0][0] <= self.now:
                heapq.heappop(self._due)[2]()
            settle()
        self.now = max(self.now, end)
