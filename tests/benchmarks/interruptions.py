"""A storm of spot warnings: ``python -m tests.benchmarks.interruptions [NODES WARNINGS]``.

Warns of 500 of 1,000 nodes at the same instant in the simulated world and prints how they were handled: when the last one was marked and
empty, how many pods ended with their machine, and what that cost in messages, invocations and calls of the Kubernetes API.
"""

import sys
import time

from tests.sim.storm import weathered


def main(nodes: int, warned: int) -> None:
    """Live through the storm and print what it came to."""
    began = time.perf_counter()
    storm = weathered(nodes, warned)

    took = time.perf_counter() - began
    print(f"{storm.warned:,} warnings at once on {nodes:,} nodes, {storm.pods:,} pods to move ({took:.0f} s to simulate)")

    print(f"last node marked after {storm.slowest_mark:.0f} s, last one empty after {storm.last_empty:.0f} s of 120")
    print(f"instances handed back before their end: {storm.given_back:,}; pods lost: {storm.lost}; messages given up: {storm.dead}")
    print(f"{storm.running:,} pods run at the end, desired capacity {storm.desired:,}")
    print(f"{storm.messages:,} messages in {storm.invocations:,} invocations")
    print(f"{sum(storm.calls.values()):,} calls of the Kubernetes API, {storm.calls_per_warning:.0f} per warning:")
    for name, number in sorted(storm.calls.items(), key=lambda item: -item[1]):
        print(f"  {number:>7,}  {name}")


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    main(*(arguments or (1000, 500)))
