"""How fast scale-up is decided: ``python -m tests.benchmarks.scale_up``.

Decisions only: clusters are built before the clock starts, and nothing is read or written. Prints the median of five runs of each work
beside what the Cluster Autoscaler (or Karpenter, for the diverse pods) needs for it, and how the time grows when the cluster does.
"""

import gc
import statistics
import time
from collections.abc import Callable

import msgspec

from lambda_autoscaler.core.decide import decide
from lambda_autoscaler.core.estimate import WaitingPods, estimate
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.core.model import Cluster
from lambda_autoscaler.core.node_state import NodeFacts
from lambda_autoscaler.core.pending import place_on_free_capacity
from lambda_autoscaler.core.plan import Plan
from lambda_autoscaler.core.simulation import Simulation
from tests.benchmarks.workloads import Size, busy, diverse, empty_group, full_nodes
from tests.build import NOW, facts, options, rs, shape

RUNS = 5


class Work(msgspec.Struct, frozen=True):
    """One work: what it is, the peer's seconds (None: not measured), our target in seconds, and the thing to run; it returns its result."""

    name: str
    peer: float | None
    target: float
    run: Callable[[], str]


def timed(run: Callable[[], str]) -> tuple[float, str]:
    """Median seconds of five runs, and the result; without the garbage collector, as the function runs a scan."""
    seconds = []
    result = ""
    for _ in range(RUNS):
        gc.collect()
        gc.disable()
        started = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - started)
        gc.enable()
    return statistics.median(seconds), result


def pack_51_000_pods() -> str:
    small, large = shape(50, 100, controller=rs("small")), shape(95, 190, controller=rs("large"))
    found = estimate(Simulation([small, large]), facts(1000, 5000), [WaitingPods(small, 50_000), WaitingPods(large, 1000)], 3000)
    return f"{found.nodes:,} nodes, {found.pods:,} pods"


def scan(cluster: Cluster, expander: str = "least-waste") -> Callable[[], str]:
    settings = options(expander=(expander,), scale_down_enabled=False)
    return lambda: _said(decide(cluster, Memory(), settings, NOW))


def filter_schedulable(given: Cluster) -> Callable[[], str]:
    """Waiting pods against the free capacity of the nodes, which are simulated anew on every run."""

    def run() -> str:
        waiting = given.pending
        simulation = Simulation([item.shape for held in given.nodes for item in held.pods] + [item.shape for item in waiting])
        for held in given.nodes:
            simulation.add(NodeFacts(held.labels, held.taints, held.allocatable, tuple((item.shape, len(item.pods)) for item in held.pods)))
        found = place_on_free_capacity(simulation, waiting)
        return f"{sum(len(item.pods) for item in found.placed):,} placed, {sum(len(item.pods) for item in found.left):,} left"

    return run


def _said(plan: Plan) -> str:
    increases = ", ".join(f"+{item.target - item.current} {item.group}" for item in plan.increases) or "no group grows"
    return f"{increases}; {len(plan.options)} options"


def works() -> list[Work]:
    size = Size(pods=5000, shapes=500, nodes=1000, groups=20)
    return [
        Work("estimate 51,000 pods of 2 shapes", 3.94, 0.04, pack_51_000_pods),
        Work("scan, 10,000 equal pods, an empty group", 1.08, 0.1, scan(empty_group(10_000, 50))),
        Work("filter, 200 full nodes, 60,000 pods fit nowhere", 8.1, 0.08, filter_schedulable(full_nodes(200, 60_000))),
        Work("filter, 1,000 full nodes, 12,000 pods", 6.4, 0.1, filter_schedulable(full_nodes(1000, 12_000))),
        Work("scan, 1,000 diverse pods, 20 groups", 1.9, 0.2, scan(diverse(1000), "most-pods")),
        Work("scan, 5,000 diverse pods, 20 groups", 10.0, 1.0, scan(diverse(5000), "most-pods")),
        Work("scan, 10,000 diverse pods, 20 groups", 26.3, 2.5, scan(diverse(10_000), "most-pods")),
        Work("scan, 5,000 pods of 500 shapes, 1,000 nodes", None, 1.0, scan(busy(size), "most-pods")),
    ]


def show_works() -> None:
    print(f"{'work':<48} {'peer':>9} {'ours':>9} {'target':>9} {'ratio':>7}  result")
    for work in works():
        seconds, result = timed(work.run)
        peer = f"{work.peer * 1000:,.0f} ms" if work.peer else "-"
        ratio = f"{work.peer / seconds:,.0f}x" if work.peer else "-"
        verdict = "" if seconds <= work.target else "  MISSED"
        print(f"{work.name:<48} {peer:>9} {seconds * 1000:>6,.0f} ms {work.target * 1000:>6,.0f} ms {ratio:>7}  {result}{verdict}")


def show_growth() -> None:
    base = Size(pods=5000, shapes=500, nodes=1000, groups=20)
    print("\nhow a scan grows when one thing doubles (5,000 pods of 500 shapes, 1,000 nodes, 20 groups)")
    first, _ = timed(scan(busy(base), "most-pods"))
    print(f"{'as it is':<12} {first * 1000:>6,.0f} ms")
    for field in Size.__struct_fields__:
        grown = msgspec.structs.replace(base, **{field: getattr(base, field) * 2})
        seconds, _ = timed(scan(busy(grown), "most-pods"))
        print(f"{'2x ' + field:<12} {seconds * 1000:>6,.0f} ms  {seconds / first:.2f}x")


def main() -> None:
    """Print both tables."""
    show_works()
    show_growth()


if __name__ == "__main__":
    main()
