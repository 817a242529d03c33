"""How fast scale-down is decided: ``python -m tests.benchmarks.scale_down``.

Decisions only: clusters are built before the clock starts, and nothing is read or written. Prints the median of five runs beside what the
Cluster Autoscaler needs for the same cluster, and how the time grows when the cluster does. Pods of one Deployment are of one shape.
"""

from collections.abc import Callable
from math import inf

import msgspec

from lambda_autoscaler.core.decide import decide
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.core.model import Cluster, Node, PodSet, PodShape
from lambda_autoscaler.core.options import Options
from tests.benchmarks.scale_up import Work, timed
from tests.build import NOW, cluster, managed, node, options, rs, shape, spread, waiting

CORES, MEMORY = 4000, 8000


class Fleet(msgspec.Struct, frozen=True):
    """A cluster to scale down: nodes, pods on each full node, pods on each underused one, every how many nodes is one, and pod shapes."""

    nodes: int
    full: int
    few: int
    every: int
    shapes: int


def bulk() -> tuple[Cluster, Options]:
    """The peer's own benchmark: 400 nodes with 40 pods of a hundredth of a node each; 240 nodes can go in one scan."""
    pod = shape(CORES // 100, MEMORY // 100, controller=rs("web"))
    members = [_holding(f"n{number}", 40, [pod], number) for number in range(400)]
    made = cluster(managed("ng", *members, maximum=1000), workloads={("ReplicaSet", "default", "web"): 16_000})
    return made, _at_once(max_drain_parallelism=1000, max_scale_down_parallelism=1000)


def large(fleet: Fleet) -> tuple[Cluster, Options]:
    """Full nodes and, between them, underused ones whose pods fit nowhere but on each other."""
    shapes = [shape(CORES // 25, MEMORY // 25, controller=rs(f"web-{number}")) for number in range(fleet.shapes)]
    members = [
        _holding(f"n{number}", fleet.few if number % fleet.every == 0 else fleet.full, shapes, number) for number in range(fleet.nodes)
    ]
    groups = [managed(f"ng-{at}", *members[at::10], maximum=1000) for at in range(10)]
    workloads = {("ReplicaSet", "default", f"web-{number}"): 1000 for number in range(fleet.shapes)}
    return cluster(*groups, workloads=workloads), _at_once(max_scale_down_parallelism=1000, max_drain_parallelism=1000)


def apart(nodes: int) -> tuple[Cluster, Options]:
    """Small pods of one Deployment on as many nodes, which a spread over hostnames keeps apart: each looks in vain at every other node."""
    pod = shape(CORES // 10, MEMORY // 10, controller=rs("web"), labels={"app": "web"}, spread=(spread(app="web"),))
    members = [_holding(f"n{number}", 1, [pod], number) for number in range(nodes)]
    return cluster(managed("ng", *members, maximum=10_000), workloads={("ReplicaSet", "default", "web"): nodes}), _at_once()


def _holding(name: str, pods: int, shapes: list[PodShape], number: int) -> Node:
    kinds = [shapes[(number * 7 + at) % len(shapes)] for at in range(min(len(shapes), 4, pods))]
    held: list[PodSet] = [waiting(kind, pods // len(kinds), name=f"{name}-{at}") for at, kind in enumerate(kinds)]
    return node(name, CORES, MEMORY, pods=110, holds=held)


def _at_once(**flags: int) -> Options:
    return options(scale_down_unneeded_time=0.0, scale_down_delay_after_add=0.0, **flags)


def removing(given: tuple[Cluster, Options]) -> Callable[[], str]:
    seen, settings = given
    memory = Memory(last_scan=NOW - 60, shortest_interval=60.0)

    def run() -> str:
        plan = decide(seen, memory, settings, NOW)
        return f"{len(plan.removals)} nodes go, {sum(len(item.moves) for item in plan.removals):,} pods move"

    return run


def main() -> None:
    """Print the table and the growth."""
    base = Fleet(nodes=5000, full=22, few=2, every=10, shapes=50)
    works = [
        Work("remove 240 of 400 nodes with 16,000 pods", 2.15, 0.2, removing(bulk())),
        Work("5,000 nodes, 100,000 pods, a tenth underused", None, inf, removing(large(base))),
        Work("5,000 nodes whose pods find no place elsewhere", None, inf, removing(apart(5000))),
    ]
    print(f"{'work':<48} {'peer':>9} {'ours':>9} {'target':>9} {'ratio':>7}  result")
    for work in works:
        seconds, result = timed(work.run)
        peer = f"{work.peer * 1000:,.0f} ms" if work.peer else "-"
        ratio = f"{work.peer / seconds:,.0f}x" if work.peer else "-"
        verdict = "" if seconds <= work.target else "  MISSED"
        target = f"{work.target * 1000:,.0f} ms" if work.target < inf else "-"
        print(f"{work.name:<48} {peer:>9} {seconds * 1000:>6,.0f} ms {target:>9} {ratio:>7}  {result}{verdict}")
    print("\nhow it grows when one thing doubles (1,000 nodes, 20,000 pods of 50 shapes, a tenth underused)")
    small = msgspec.structs.replace(base, nodes=1000)
    first, _ = timed(removing(large(small)))
    print(f"{'as it is':<20} {first * 1000:>6,.0f} ms")
    grown = {
        "2x nodes": {"nodes": 2000},
        "2x shapes": {"shapes": 100},
        "2x underused nodes": {"every": 5},
        "half the pods": {"full": 11, "few": 1},
    }
    for what, change in grown.items():
        seconds, _ = timed(removing(large(msgspec.structs.replace(small, **change))))
        print(f"{what:<20} {seconds * 1000:>6,.0f} ms  {seconds / first:.2f}x")


if __name__ == "__main__":
    main()
