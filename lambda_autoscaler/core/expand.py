"""Expanders: which of the ways to help is best (behaviour specification, section 5).

An expander maps options to fewer options; a chain of them runs until one option is left. Where the peer draws lots among the survivors, the
seed in the settings decides, so that the same scan always gives the same plan.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from lambda_autoscaler.core.health import status_notice
from lambda_autoscaler.core.model import CPU, MEMORY, PodShape, Priorities, Template
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.plan import Notice
from lambda_autoscaler.core.prices import price_score
from lambda_autoscaler.core.priorities import PRIORITY_CONFIG_MAP

# Where the peer starts its search for the highest priority: lower ones never win.
LOWEST_PRIORITY: Final = -1


class Option(msgspec.Struct, frozen=True):
    """One way to help: ``nodes`` (at least one) more nodes of ``group`` take ``placed`` pods per shape.

    ``similar`` are groups it can be balanced with.
    """

    group: str
    nodes: int
    placed: Mapping[PodShape, int]
    template: Template
    similar: tuple[str, ...] = ()

    @property
    def pods(self) -> int:
        """Number of pods helped."""
        return sum(self.placed.values())


class ExpanderInput(msgspec.Struct, frozen=True):
    """What expanders look at beside the options: the settings, the priority table, and for prices one node of each group and the cluster.

    ``prices`` are USD per hour by group, without groups whose price is unknown; ``cluster_nodes`` is the number of nodes there are.
    """

    options: Options
    priorities: Priorities = Priorities()
    prices: Mapping[str, float] = {}
    cluster_nodes: int = 0


Choice = tuple[list[Option], list[Notice]]
Expander = Callable[[Sequence[Option], ExpanderInput], Choice]


def waste(option: Option) -> float:
    """Unused share of CPU and of memory of the new nodes, added up; DaemonSets and every other resource do not count."""
    capacity = dict(option.template.capacity)
    used = {CPU: 0, MEMORY: 0}
    for shape, count in option.placed.items():
        for resource, amount in shape.requests:
            if resource in used:
                used[resource] += amount * count
    total = 0.0
    for resource in (CPU, MEMORY):
        available = capacity.get(resource, 0) * option.nodes
        total += (available - used[resource]) / available if available else 0.0
    return total


def _best(options: Sequence[Option], score: Callable[[Option], float]) -> list[Option]:
    least = min(map(score, options))
    return [option for option in options if score(option) == least]


def least_waste(options: Sequence[Option], _input: ExpanderInput) -> Choice:
    """Options that leave the smallest share of CPU and memory unused."""
    return _best(options, waste), []


def most_pods(options: Sequence[Option], _input: ExpanderInput) -> Choice:
    """Options that help the most pods."""
    return _best(options, lambda option: -option.pods), []


def least_nodes(options: Sequence[Option], _input: ExpanderInput) -> Choice:
    """Options that need the fewest nodes."""
    return _best(options, lambda option: option.nodes), []


def priority(options: Sequence[Option], given: ExpanderInput) -> Choice:
    """Options whose group name matches the highest priority of the ConfigMap; without a usable ConfigMap all of them."""
    table = given.priorities.table
    if given.priorities.fault:
        return list(options), [_notice(given.options, "PriorityConfigMapInvalid", given.priorities.fault)]
    if table is None:
        return list(options), []
    notices: list[Notice] = []
    ranks: dict[str, int] = {}
    for option in options:
        matching = [rank for rank, patterns in table.items() if any(re.search(pattern, option.group) for pattern in patterns)]
        if matching:
            ranks[option.group] = max(matching)
        else:
            text = f"Priority expander: node group {option.group} not found in priority expander configuration. The group won't be used."
            notices.append(_notice(given.options, "PriorityConfigMapNotMatchedGroup", text))
    highest = max((rank for rank in ranks.values() if rank >= LOWEST_PRIORITY), default=None)
    if highest is None:
        text = "Priority expander: no priorities info found for any of the expansion options. No options filtered."
        return list(options), [*notices, _notice(given.options, "PriorityConfigMapNoGroupMatched", text)]
    return [option for option in options if ranks.get(option.group) == highest], notices


def price(options: Sequence[Option], given: ExpanderInput) -> Choice:
    """Options that help the most for the money; without any known price all of them. Groups of unknown price are left out, and named."""
    known = [option for option in options if option.group in given.prices]
    notices = [
        status_notice(given.options, "Warning", "PriceUnknown", f"Price expander: no price is known for node group {option.group}.")
        for option in options
        if option.group not in given.prices
    ]

    def score(option: Option) -> float:
        bill = given.prices[option.group] * option.nodes
        return price_score(option.template.capacity, bill, option.placed, (option.nodes, given.cluster_nodes))

    return (_best(known, score) if known else list(options)), notices


EXPANDERS: Final[Mapping[str, Expander]] = {
    "least-waste": least_waste,
    "most-pods": most_pods,
    "least-nodes": least_nodes,
    "price": price,
    "priority": priority,
}
RANDOM: Final = "random"
EXPANDER_NAMES: Final = (*EXPANDERS, RANDOM)


def choose(options: Sequence[Option], given: ExpanderInput) -> tuple[Option, list[Notice]]:
    """The best of the options (at least one) by the chain of expanders in the settings, and events to record."""
    left = list(options)
    notices: list[Notice] = []
    for name in given.options.expander:
        if len(left) <= 1 or name == RANDOM:
            break
        left, more = EXPANDERS[name](left, given)
        notices.extend(more)
    return left[given.options.random_seed % len(left)], notices


def _notice(options: Options, reason: str, message: str) -> Notice:
    return Notice("ConfigMap", options.namespace, PRIORITY_CONFIG_MAP, "Warning", reason, message)
