"""Inputs of the benchmarks: clusters of a given size, the same on every run.

The sizes of the first four are those of the Cluster Autoscaler's own benchmarks; the diverse pods are those of Karpenter's.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator

import msgspec

from lambda_autoscaler.core.model import HOSTNAME_LABEL, ZONE_LABEL, Cluster, NodeGroup, PodShape
from tests.build import GIB, MIB, cloud, cluster, group, managed, node, rs, shape, spread, term, waiting

ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
_SIZES = ((2, 8), (4, 16), (8, 32), (16, 64), (4, 8), (8, 16), (2, 16))
_LABELS = "abcdefg"
_MILLICORES = (100, 250, 500, 1000, 1500)
_MEMORY = tuple(mebibytes * MIB for mebibytes in (100, 256, 512, 1024, 2048, 4096))


class Size(msgspec.Struct, frozen=True):
    """How large a cluster is: waiting pods, their shapes, registered nodes, node groups."""

    pods: int
    shapes: int
    nodes: int
    groups: int


def empty_group(pods: int, per_node: int) -> Cluster:
    """Equal pods without a controller, of which ``per_node`` fill a node, and one group without nodes."""
    owner = group("ng", 0, maximum=10_000, cloud=cloud(per_node * 100 + 100, per_node * 100))
    return cluster((owner, []), pending=[waiting(shape(100, 100), pods)])


def full_nodes(nodes: int, pods: int) -> Cluster:
    """Nodes without room, and equal pods that fit on none of them; no group can help."""
    filler = shape(1000, 1000, controller=rs("filler"))
    members = [node(f"n{number}", 1000, 1000, holds=[waiting(filler, name=f"filler-{number}")]) for number in range(nodes)]
    return cluster(others=members, pending=[waiting(shape(100, 100, controller=rs("web")), pods)])


def node_groups(number: int) -> list[NodeGroup]:
    """Groups without nodes, of differing sizes, over three zones."""
    found = []
    for index in range(number):
        cores, memory = _SIZES[index // len(ZONES) % len(_SIZES)]
        labels = {ZONE_LABEL: ZONES[index % len(ZONES)], "node.kubernetes.io/instance-type": f"type-{index}"}
        found.append(group(f"ng-{index:02}", 0, maximum=1000, cloud=cloud(cores * 1000, memory * GIB, labels=labels)))
    return found


def diverse(pods: int, groups: int = 20) -> Cluster:
    """A fifth each: plain, spread over zones, spread over hostnames, affine to their own by zone, anti-affine by hostname."""
    chance = random.Random(42)
    kinds = (_plain, _spread_over(ZONE_LABEL), _spread_over(HOSTNAME_LABEL), _affine, _anti_affine)
    counted = Counter((at, *make(chance)) for at in range(len(kinds)) for make in [_Draw()] for _ in range(pods // len(kinds)))
    shapes = [(kinds[at](cpu, memory, own, other), count) for (at, cpu, memory, own, other), count in counted.items()]
    chance.shuffle(shapes)
    pending = [waiting(item, count, name=f"pod-{index}") for index, (item, count) in enumerate(shapes)]
    return cluster(*((owner, []) for owner in node_groups(groups)), pending=pending)


class _Draw:
    def __call__(self, chance: random.Random) -> tuple[int, int, str, str]:
        return chance.choice(_MILLICORES), chance.choice(_MEMORY), chance.choice(_LABELS), chance.choice(_LABELS)


def _plain(cpu: int, memory: int, own: str, _: str) -> PodShape:
    return shape(cpu, memory, labels={"my-label": own})


def _spread_over(key: str) -> Callable[[int, int, str, str], PodShape]:
    def build(cpu: int, memory: int, own: str, other: str) -> PodShape:
        constraint = msgspec.structs.replace(spread(key), selector=term(**{"my-label": other}).selector)
        return shape(cpu, memory, labels={"my-label": own}, spread=(constraint,))

    return build


def _affine(cpu: int, memory: int, own: str, _: str) -> PodShape:
    return shape(cpu, memory, labels={"my-affinity": own}, affinity=(term(ZONE_LABEL, **{"my-affinity": own}),))


def _anti_affine(cpu: int, memory: int, _own: str, _other: str) -> PodShape:
    return shape(cpu, memory, labels={"app": "nginx"}, anti_affinity=(term(app="nginx"),))


def busy(size: Size) -> Cluster:
    """Nodes with half a core free over many groups, and pods of many shapes of which a fifth look at other pods."""
    owners = node_groups(size.groups)
    filler = {cores: shape(cores * 1000 - 500, GIB, controller=rs("filler")) for cores, _ in _SIZES}
    members: list[list[str]] = [[] for _ in owners]
    for number in range(size.nodes):
        members[number % len(owners)].append(f"n{number}")
    filled = []
    for owner, names in zip(owners, members, strict=True):
        nodes = [
            node(
                name,
                amounts=owner.cloud.capacity,
                labels=dict(owner.cloud.labels),
                holds=[waiting(filler[dict(owner.cloud.capacity)["cpu"] // 1000], name=f"filler-{name}")],
            )
            for name in names
        ]
        filled.append(managed(owner.id, *nodes, maximum=1000, cloud=owner.cloud))
    pending = [waiting(item, size.pods // size.shapes, name=f"pod-{index}") for index, item in enumerate(_shapes(size.shapes))]
    return cluster(*filled, pending=pending)


def _shapes(number: int) -> Iterator[PodShape]:
    chance = random.Random(7)
    for index in range(number):
        app = f"app-{index}"
        special = index % 5 == 0
        yield shape(
            chance.choice(_MILLICORES) + index % 50,
            chance.choice(_MEMORY) + index,
            labels={"app": app},
            controller=rs(app),
            spread=(spread(ZONE_LABEL if index % 2 else HOSTNAME_LABEL, app=app),) if special and index % 15 else (),
            anti_affinity=(term(app=app),) if special and not index % 15 else (),
        )
