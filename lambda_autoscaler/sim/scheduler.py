"""A stand-in for kube-scheduler: it binds waiting pods, or marks them Unschedulable.

It reads the cluster through the same JSON and the same decoder as the autoscaler, and asks the core's own predicates whether a node will
do. Among feasible nodes it takes the emptiest, as the scheduler's default scoring tends to. It neither preempts nor looks at preferences.
"""

from collections import Counter
from collections.abc import Iterable
from heapq import heapify, heappop, heappush

import msgspec

from lambda_autoscaler.core.decode import decode_objects
from lambda_autoscaler.core.explain import unschedulable_message
from lambda_autoscaler.core.model import CPU, Cluster, Node, PodSet, PodShape
from lambda_autoscaler.core.needs import Needs
from lambda_autoscaler.core.node_state import NodeFacts
from lambda_autoscaler.core.observe import build_cluster
from lambda_autoscaler.core.observed import Observed
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.simulation import Simulation
from lambda_autoscaler.sim.cluster import ClusterState
from lambda_autoscaler.sim.pods import PodKey

DEFAULT_SCHEDULER = "default-scheduler"
KINDS_READ = ("nodes", "pods", "namespaces", "persistentvolumes", "persistentvolumeclaims", "storageclasses", "csinodes")
_SEES_ALL_PODS = Options(cluster_name="", bypassed_scheduler_names=(DEFAULT_SCHEDULER,))


class Verdict(msgspec.Struct, frozen=True):
    """What the scheduler decided: pods to bind, by key, and a message for every pod that fits nowhere."""

    bindings: dict[PodKey, str]
    refusals: dict[PodKey, str]


def schedule(state: ClusterState) -> Verdict:
    """One pass over all waiting pods, in the order of their creation."""
    cluster = _read(state)
    waiting = (*cluster.pending, *cluster.unprocessed)
    shapes = [pods.shape for pods in waiting]
    placement = Placement(cluster, shapes)
    verdict = Verdict({}, {})
    for pods in waiting:
        placement.place_all(pods, verdict)
    return verdict


def _read(state: ClusterState) -> Cluster:
    found: dict[str, list[object]] = {}
    for plural in KINDS_READ:
        found[plural] = [item for page in state.pages(plural) for item in decode_objects(plural, page)[0]]
    return build_cluster(Observed(**found), _SEES_ALL_PODS)  # type: ignore[arg-type]


class Placement:
    """The nodes with what is on them, and the pods that this pass adds."""

    def __init__(self, cluster: Cluster, waiting: Iterable[PodShape]) -> None:
        bound = (placed.shape for node in cluster.nodes for placed in node.pods)
        self._simulation = Simulation((*waiting, *bound))
        self._cpu = self._simulation.resources.index(CPU)
        self._nodes = [(node.name, self._simulation.add(_facts(node, cluster))) for node in cluster.nodes]

    def place_all(self, pods: PodSet, verdict: Verdict) -> None:
        """Put pods of one shape where they fit, each on the emptiest node; refuse those that are left."""
        shape = pods.shape
        needs = self._simulation.needs(shape)
        heap = [self._entry(index) for index, (_, state) in enumerate(self._nodes) if self._simulation.misfit(needs, state) is None]
        heapify(heap)
        message = ""
        for pod in pods.pods:
            chosen = self._next_fit(needs, heap)
            if chosen is None:
                message = message or self._refusal(needs)
                verdict.refusals[shape.namespace, pod.name] = message
                continue
            name, state = self._nodes[chosen]
            self._simulation.place(needs, state)
            verdict.bindings[shape.namespace, pod.name] = name
            heappush(heap, self._entry(chosen))

    def _entry(self, index: int) -> tuple[int, int]:
        """Heap entry of a node: most free CPU first, then the order of the API."""
        return -self._nodes[index][1].free[self._cpu], index

    def _next_fit(self, needs: Needs, heap: list[tuple[int, int]]) -> int | None:
        """The emptiest node that still takes the pod. A node that refuses now may take a later one when topology rules are in play."""
        aside: list[tuple[int, int]] = []
        found: int | None = None
        while heap and found is None:
            entry = heappop(heap)
            if self._simulation.misfit(needs, self._nodes[entry[1]][1]) is None:
                found = entry[1]
            elif not needs.plain:
                aside.append(entry)
        for entry in aside:
            heappush(heap, entry)
        return found

    def _refusal(self, needs: Needs) -> str:
        misfits = Counter(misfit for _, state in self._nodes if (misfit := self._simulation.misfit(needs, state)) is not None)
        return unschedulable_message(len(self._nodes), misfits)


def _facts(node: Node, cluster: Cluster) -> NodeFacts:
    return NodeFacts(
        labels=node.labels,
        taints=node.taints,
        allocatable=node.allocatable,
        pods=tuple((placed.shape, len(placed.pods)) for placed in node.pods),
        name=node.name,
        unschedulable=node.unschedulable,
        attach_limits=cluster.attach_limits.get(node.name, {}),
    )
