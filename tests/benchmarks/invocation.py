"""What one scan costs the packaged function: ``python -m tests.benchmarks.invocation``.

The tutorial runs on the real control plane, as in the demo; the function's zip is invoked by its schedule. Prints the cold start up to the
decision, the median of warm scans that find nothing to do, peak memory, and the bytes of log lines that such a scan writes. AWS and the API
server are on this machine, and the function has a whole processor: Lambda adds network time, and gives 512 MiB about 0.3 of a processor.
"""

import statistics
import sys
import time

from lambda_autoscaler.core.pending import NEW_POD_GRACE
from tests.cluster.binaries import BinariesUnavailable, build
from tests.cluster.tutorial_cluster import TutorialCluster
from tests.cluster.workloads import create_spot_demo, scale, wait_for_ready_nodes, wait_for_running, wait_for_unschedulable

WARM_SCANS = 20
MEBIBYTE = 2**20


def main() -> int:
    """Measure and print; 2 when the control plane's programs cannot be had."""
    try:
        binaries = build()
    except BinariesUnavailable as reason:
        print(f"error: {reason}", file=sys.stderr)
        return 2
    with TutorialCluster(binaries) as tutorial:
        create_spot_demo(tutorial.admin, replicas=2)
        wait_for_running(tutorial.admin, 2)
        scale(tutorial.admin, 20)
        wait_for_unschedulable(tutorial.admin, 14)
        time.sleep(NEW_POD_GRACE + 1)
        cold = tutorial.scan()
        if not (cold.result or {}).get("scale_up"):
            print(f"error: the first scan scaled nothing: {cold.error or cold.result}", file=sys.stderr)
            return 1
        wait_for_ready_nodes(tutorial.admin, 9, seconds=120)
        wait_for_running(tutorial.admin, 20, seconds=120)
        warm = [tutorial.scan() for _ in range(WARM_SCANS)]
    print(f"cold start to decision  {(cold.init_seconds or 0.0) + cold.duration_seconds:.2f} s")
    print(f"warm scan, median       {statistics.median(scan.duration_seconds for scan in warm) * 1000:.0f} ms of {WARM_SCANS}")
    print(f"peak memory             {max(scan.max_rss_bytes for scan in warm) / MEBIBYTE:.0f} MiB")
    print(f"log lines of a scan     {statistics.median(sum(len(line) + 1 for line in scan.logs) for scan in warm):.0f} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
