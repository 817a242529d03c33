"""Invocations that end at any instant: just before and just after each of their writes."""

from functools import cache

import msgspec
import pytest

from tests.sim.removals import Cluster, Killed

MINUTES = 26


class Death:
    """Kills the invocation that makes write ``number``, before or after it. What unwinds the stack then writes nothing either."""

    def __init__(self, number: int, *, after: bool) -> None:
        self._number, self._after = number, after
        self._made = 0
        self._died_at: float | None = None

    def strike(self, cluster: Cluster) -> None:
        def before(_call: str, _subject: str) -> None:
            if self._died_at == cluster.world.now:
                raise Killed
            if self._made == self._number and not self._after:
                self._die(cluster)

        def after(_call: str, _subject: str) -> None:
            self._made += 1
            if self._made == self._number + 1 and self._after:
                self._die(cluster)

        cluster.seen.before, cluster.seen.after = before, after

    def _die(self, cluster: Cluster) -> None:
        self._died_at = cluster.world.now
        self._made += 1
        raise Killed


@cache
def writes_of_an_undisturbed_run() -> int:
    cluster = Cluster()
    cluster.minutes(MINUTES)
    assert_settled(cluster)
    last = max(number for number, (call, _) in enumerate(cluster.seen.writes) if call == "terminate")
    return last + 4


def assert_settled(cluster: Cluster) -> None:
    """Two nodes are gone, nothing is left behind, and nobody was hurt."""
    assert (len(cluster.nodes()), cluster.group.desired) == (1, 1)
    assert cluster.marked() == []
    assert len(cluster.web_pods()) == 3
    assert all(pod.is_available for pod in cluster.web_pods())
    assert cluster.least_available >= 2
    assert [name for name, times in cluster.evictions().items() if times > 1] == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_invocation_may_die_at_any_write_and_the_next_ones_come_to_the_same_end(after: bool) -> None:
    for number in range(writes_of_an_undisturbed_run()):
        cluster = Cluster()
        Death(number, after=after).strike(cluster)
        cluster.minutes(MINUTES)
        assert_settled(cluster)


def test_a_removal_that_nobody_carries_on_is_taken_back_by_whoever_comes_after() -> None:
    cluster = Cluster()
    cluster.minutes(2)
    cluster.seen.after = die_after_a_patch
    cluster.minutes(1)
    assert len(cluster.tainted()) == 1
    cluster.seen.after = lambda _call, _subject: None
    cluster.options = msgspec.structs.replace(cluster.options, scale_down_enabled=False)
    cluster.minutes(1)
    assert cluster.marked() == []
    assert cluster.rolled_back() == ["scale-down is disabled"]


def die_after_a_patch(call: str, _subject: str) -> None:
    if call == "patch":
        raise Killed
