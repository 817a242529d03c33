"""Several scans in one invocation."""

from dataclasses import dataclass

import pytest

from lambda_autoscaler.repeating import repeated


@dataclass(frozen=True)
class Report:
    """The report of the so-many-th scan."""

    number: int
    again: bool = False


class Invocation:
    """An invocation of 55 seconds in which time passes only by working and sleeping."""

    def __init__(self, scan_takes: float, *asking: int) -> None:
        """The scans of the numbers ``asking`` ask for another one at once."""
        self.now = 0.0
        self.scan_takes = scan_takes
        self.asking = asking
        self.started: list[float] = []

    def scan(self) -> Report:
        self.started.append(self.now)
        self.now += self.scan_takes
        return Report(len(self.started), len(self.started) in self.asking)

    def seconds_left(self) -> float:
        return 55.0 - self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def run(self, interval: float) -> list[Report]:
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
    assert [report.number for report in reports] == list(range(1, len(started) + 1))


@pytest.mark.parametrize(
    ("interval", "scan_takes", "asking", "started"),
    [
        (60.0, 2.0, (1,), [0.0, 2.0]),
        (60.0, 2.0, (1, 2), [0.0, 2.0, 4.0]),
        (60.0, 50.0, (1,), [0.0]),
        (30.0, 2.0, (1,), [0.0, 2.0, 32.0]),
    ],
)
def test_a_scan_that_asks_for_another_gets_it_at_once(
    interval: float, scan_takes: float, asking: tuple[int, ...], started: list[float]
) -> None:
    invocation = Invocation(scan_takes, *asking)
    invocation.run(interval)
    assert invocation.started == started


def test_a_scan_that_fails_ends_the_invocation() -> None:
    invocation = Invocation(2.0)

    def scan() -> Report:
        report = invocation.scan()
        if report.number == 2:
            raise ValueError("the API server is gone")
        return report

    with pytest.raises(ValueError, match="gone"):
        repeated(scan, 10.0, invocation.seconds_left, invocation.sleep)
    assert invocation.started == [0.0, 10.0]
