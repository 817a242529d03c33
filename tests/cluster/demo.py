"""The tutorial on a real control plane: ``python3 tasks.py demo --real-control-plane``.

Plays the same story as ``lambda-autoscaler demo`` with nothing simulated but the kubelets and AWS itself: the stack is deployed, the
packaged function is invoked by its declared schedule with AWS's runtime client, and what it does is read back from Kubernetes and AWS.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lambda_autoscaler.core.pending import NEW_POD_GRACE
from tests.cluster.binaries import BinariesUnavailable, build
from tests.cluster.command_line import plan_offline, snapshot
from tests.cluster.function import Invocation
from tests.cluster.tutorial_cluster import TutorialCluster
from tests.cluster.workloads import create_spot_demo, scale, wait_for_ready_nodes, wait_for_running, wait_for_unschedulable

MEBIBYTE = 2**20


class Timeline:
    """Prints what happens with the time since the story began."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def tell(self, text: str, mark: str = " ") -> None:
        """Print one line, at once."""
        seconds = int(time.monotonic() - self._start)
        print(f"{seconds // 60:02d}:{seconds % 60:02d}  {mark} {text}", flush=True)


def play(folder: Path | None) -> int:
    """Play the story; 0 when it ended as it must. ``folder`` receives a snapshot of the cluster before it was scaled."""
    timeline = Timeline()
    timeline.tell("the control plane's programs are built once and kept in the user's cache (about 5 minutes the first time)")
    binaries = build()
    with TutorialCluster(binaries, progress=timeline.tell) as tutorial:
        create_spot_demo(tutorial.admin, replicas=2)
        wait_for_running(tutorial.admin, 2)
        timeline.tell("4 nodes ready, 2 of 2 nginx-spot-demo running")
        scale(tutorial.admin, 20)
        timeline.tell("kubectl scale deployment/nginx-spot-demo --replicas=20")
        wait_for_unschedulable(tutorial.admin, 14)
        timeline.tell("14 pods unschedulable: each node takes 3")
        time.sleep(NEW_POD_GRACE + 1)
        if folder is not None:
            snapshot(tutorial, folder)
            timeline.tell(f"snapshot written to {folder}; planned offline: {_scaled(plan_offline(folder))}")
        scanned = tutorial.scan()
        _tell_scan(timeline, scanned)
        timeline.tell(f"a second scan while they boot: {_summary(tutorial.scan())}")
        wait_for_ready_nodes(tutorial.admin, 9, seconds=120)
        timeline.tell("9 nodes ready")
        wait_for_running(tutorial.admin, 20, seconds=120)
        timeline.tell("20 of 20 running", "✓")
        desired = tutorial.spot_group()["DesiredCapacity"]
        writes = tutorial.function_writes()
        timeline.tell(f"the Auto Scaling group's desired capacity is {desired}; the function's writes to AWS: {', '.join(writes)}", "✓")
    return 0 if desired == 7 and writes == ["SetDesiredCapacity"] else 1


def _tell_scan(timeline: Timeline, scanned: Invocation) -> None:
    if scanned.error is not None:
        timeline.tell(f"the scan failed: {scanned.error}", "✗")
        return
    timeline.tell(f"scan by the packaged function: {_summary(scanned)}", "▲")
    cold = (scanned.init_seconds or 0.0) + scanned.duration_seconds
    timeline.tell(f"cold start to decision {cold:.2f} s, peak memory {scanned.max_rss_bytes / MEBIBYTE:.0f} MiB")


def _summary(scanned: Invocation) -> str:
    result = scanned.result or {}
    return _scaled(result) or str(result.get("result"))


def _scaled(plan: Mapping[str, Any]) -> str:
    return " ".join(f"{item['group']} {item['from']}->{item['to']} (max: {item['max']})" for item in plan.get("scale_up", []))


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="tasks.py demo --real-control-plane", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--snapshot", type=Path, metavar="DIR", help="write the cluster, before it is scaled, to this folder")
    given = parser.parse_args(arguments)
    try:
        return play(given.snapshot)
    except BinariesUnavailable as reason:
        print(f"error: {reason}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
