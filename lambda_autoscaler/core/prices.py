"""What nodes and pods cost, and the score of the price expander (behaviour specification, section 5.2).

The Cluster Autoscaler has a price model for other clouds and none for AWS: the score is its own, the prices are ours. A node costs what EC2
asks for its instance type: the spot price of the moment for groups of spot instances, averaged over the group's zones, and the on-demand
price for the others. A pod costs its CPU and memory at flat rates; that only weighs options which help different pods.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Final

from lambda_autoscaler.core.amazon import SpotPrice
from lambda_autoscaler.core.model import (
    CPU,
    GPU_RESOURCES,
    MEMORY,
    ZONE_LABEL,
    Node,
    NodeGroup,
    PodShape,
    PriceTable,
    Resources,
    Template,
)

INSTANCE_TYPE_LABEL: Final = "node.kubernetes.io/instance-type"
# What separates c5.large (2 vCPU, 4 GiB, $0.085) from r5.large (2 vCPU, 16 GiB, $0.126), per hour in us-east-1.
USD_PER_GIB_HOUR: Final = 0.0034
USD_PER_VCPU_HOUR: Final = 0.0357
# Of the on-demand price: taken for spot where no spot price is known. AWS promises up to 90 % off; long-run averages lie around 60 %.
SPOT_SHARE: Final = 0.4
_GIB: Final = 2**30
# Weighs small options equally, so that one tiny pod does not decide: the price of a pod of 500m and 500 MiB.
_STABILIZER: Final = 0.5 * USD_PER_VCPU_HOUR + 500 / 1024 * USD_PER_GIB_HOUR
# Nodes in the cluster up to which a node of so many cores is preferred; beyond the last one it is 32.
_PREFERRED_CORES: Final = ((2, 1), (6, 2), (20, 4), (60, 8), (200, 16))
_LARGEST_PREFERRED: Final = 32
_GPU_UNFIT: Final = 1000.0
_COUNT_SCALE: Final = 15.0


def price_table(on_demand: Mapping[str, float], spot: Iterable[SpotPrice]) -> PriceTable:
    """Prices as a decision needs them. Of several spot prices of a type in a zone the first, the newest, counts; no number, no price."""
    found: dict[tuple[str, str], float] = {}
    for item in spot:
        if item.spot_price.replace(".", "", 1).isdecimal():
            found.setdefault((item.instance_type, item.availability_zone), float(item.spot_price))
    return PriceTable(on_demand, found)


def node_price(group: NodeGroup, template: Template, table: PriceTable) -> float | None:
    """USD per hour of one more node of the group; None when the table does not know its instance type."""
    kind = type_name(group, template)
    listed = table.on_demand.get(kind)
    if group.capacity_type != "SPOT":
        return listed
    asked = [table.spot[kind, zone] for zone in group.zones if (kind, zone) in table.spot]
    if asked:
        return sum(asked) / len(asked)
    return None if listed is None else listed * SPOT_SHARE


def price_of(node: Node, group: NodeGroup, table: PriceTable) -> float | None:
    """USD per hour of a node of the group that is there; None when the table does not know its instance type."""
    kind = node.labels.get(INSTANCE_TYPE_LABEL) or group.cloud.instance_type
    listed = table.on_demand.get(kind)
    if group.capacity_type != "SPOT":
        return listed
    asked = table.spot.get((kind, node.labels.get(ZONE_LABEL, "")))
    return asked or (None if listed is None else listed * SPOT_SHARE)


def type_name(group: NodeGroup, template: Template) -> str:
    """Instance type of the node that the group would add."""
    return template.labels.get(INSTANCE_TYPE_LABEL) or group.cloud.instance_type


def pod_price(shape: PodShape) -> float:
    """USD per hour of what a pod asks for."""
    return shape.request(CPU) / 1000 * USD_PER_VCPU_HOUR + shape.request(MEMORY) / _GIB * USD_PER_GIB_HOUR


def preferred_cores(cluster_nodes: int) -> int:
    """Cores of the node that suits a cluster of so many nodes: few large nodes waste much, many small ones cost much to run."""
    return next((cores for most, cores in _PREFERRED_CORES if cluster_nodes <= most), _LARGEST_PREFERRED)


def price_score(capacity: Resources, bill: float, placed: Mapping[PodShape, int], sizes: tuple[int, int]) -> float:
    """Cost per help, the lower the better.

    ``capacity`` is one new node's, ``bill`` what all of them cost (USD per hour), ``placed`` the pods they take, ``sizes`` the numbers of
    new nodes and of nodes in the cluster. A node unlike the preferred one counts as dearer, the less so the more of them are needed.
    """
    new_nodes, cluster_nodes = sizes
    amounts = dict(capacity)
    cores = amounts.get(CPU, 0) / 1000
    unfit = _GPU_UNFIT
    if cores and not any(amounts.get(name) for name in GPU_RESOURCES):
        preferred = preferred_cores(cluster_nodes)
        unfit = max(preferred / cores, cores / preferred)
    suppressed = (unfit - 1) * (1 - math.tanh((new_nodes - 1) / _COUNT_SCALE)) + 1
    helped = sum(pod_price(shape) * count for shape, count in placed.items())
    return suppressed * (bill + _STABILIZER) / (helped + _STABILIZER)
