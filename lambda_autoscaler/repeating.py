"""Several scans in one invocation (``--scan-interval`` below a minute).

The schedule invokes the function once a minute. Who wants the Cluster Autoscaler's reaction time lets the function stay and scan every N
seconds until the invocation is nearly over; each scan takes the lock anew, so that nothing is assumed of the time in between. Waiting is
billed like working: at 512 MB on arm64 ($0.0000133334 per GB-second, us-east-1) a function that never ends costs $17.50 a month, one that
scans every 15 seconds about $14, against $0.60 for one scan of two seconds a minute.
"""

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

WHOLE_MINUTE: Final = 60.0
# What a scan may take: none is begun with less left of the invocation.
SCAN_SECONDS: Final = 10.0


class Report(Protocol):
    """What a scan reports. ``again`` asks for another one at once, whatever the interval."""

    @property
    def again(self) -> bool:
        """Whether another scan is due now."""


_Report = TypeVar("_Report", bound=Report)


def repeated(
    scan: Callable[[], _Report], interval: float, seconds_left: Callable[[], float], sleep: Callable[[float], None]
) -> list[_Report]:
    """Reports of all scans that fit, at least one: each starts ``interval`` seconds after the one before, or at once when that took longer.

    An interval of a minute or more is left to the schedule: one scan, or more when it asks for another. What a scan raises ends the
    invocation.
    """
    reports: list[_Report] = []
    while True:
        at_start = seconds_left()
        reports.append(scan())
        again = reports[-1].again
        wait = 0.0 if again else max(0.0, interval - (at_start - seconds_left()))
        if (interval >= WHOLE_MINUTE and not again) or seconds_left() - wait < SCAN_SECONDS:
            return reports
        sleep(wait)
