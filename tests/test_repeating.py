"""Several scans in one invocation."""

import pytest

from lambda_autoscaler.repeating import repeated


class Invocation:
    """An invocation of 55 seconds in which time passes only by working and sleeping."""

    def __init__(self, scan_takes: float) -> None:
        self.now = 0.0
        self.scan_takes = scan_takes
        self.started: list[float] = []

    def scan(self) -> int:
        self.started.append(self.now)
        self.now += self.scan_takes
        return len(self.started)

    def seconds_left(self) -> float:
        return 55.0 - self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def run(self, interval: float) -> list[int]:
        return repeated(self.scan, interval, self.seconds_left, self.sleep)


@pytest.mark.parametrize(
    ("interval", "scan_takes", "started"),
    [
        (60.0, 2.0, [0.0]),
        (120.0, 2.0, [0.0]),
        (15.0, 2.0, [0.0, 15.0, 30.0, 45.0]),
        (10.0, 2.0, [0.0, 10.0, 20.0, 30.0, 40.0]),
        (30.0, 2.0, [0.0, 30.0]),
        (10.0, 14.0, [0.0, 14.0, 28.0, 42.0]),
        (5.0, 50.0, [0.0]),
    ],
)
def test_scans_start_at_the_interval_while_a_whole_one_still_fits(interval: float, scan_takes: float, started: list[float]) -> None:
    invocation = Invocation(scan_takes)
    reports = invocation.run(interval)
    assert invocation.started == started
    assert reports == list(range(1, len(started) + 1))


def test_a_scan_that_fails_ends_the_invocation() -> None:
    invocation = Invocation(2.0)

    def scan() -> int:
        if invocation.scan() == 2:
            raise ValueError("the API server is gone")
        return 0

    with pytest.raises(ValueError, match="gone"):
        repeated(scan, 10.0, invocation.seconds_left, invocation.sleep)
    assert invocation.started == [0.0, 10.0]
