"""How often a node is removed and then asked for again although demand did not change: ``python -m tests.benchmarks.random_days [DAYS]``.

Lives through random days of a simulated cluster (200 unless said otherwise, about five seconds each) and prints a line for each that had a
regret, then the sums. Twice an hour somebody scales a Deployment; the autoscaler scans once a minute.
"""

import sys

from tests.sim.random_days import Day, lived

DAYS = 200


def main(days: int) -> None:
    """Live through the days and print what they came to."""
    found: list[Day] = []
    for seed in range(days):
        day = lived(seed)
        found.append(day)
        if day.regrets or day.below_minimum or day.left_behind:
            print(
                f"day {seed}: {day.removed} removed, {day.launched} launched, {day.regrets} asked for again, {day.left_behind} left behind"
            )
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{seed + 1} of {days} days")
    regrets = sum(day.regrets for day in found)
    removed, launched = sum(day.removed for day in found), sum(day.launched for day in found)
    print(f"{days} days: {removed:,} nodes removed, {launched:,} launched")
    most = max(day.regrets for day in found)
    print(f"asked for again for unchanged demand: {regrets} ({regrets / days:.2f} a day; the most on one day: {most})")
    print(f"below a minimum: {sum(day.below_minimum for day in found)} days; left half done: {sum(day.left_behind for day in found)} nodes")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else DAYS)
