"""Wire objects into the cluster that is decided about.

Pods are classified as the Cluster Autoscaler does (behaviour specification, section 2.1): bound, promised to a node, unschedulable, or
left out. Identical pods become one shape. What cannot be understood is named in a sentence and left out; the rest goes on.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from lambda_autoscaler.core import kubernetes
from lambda_autoscaler.core.cloud import node_groups
from lambda_autoscaler.core.labels import requirements_of
from lambda_autoscaler.core.model import (
    Cluster,
    DaemonSet,
    DisruptionBudget,
    Node,
    NodeCondition,
    NodeGroup,
    PodRef,
    PodSelector,
    PodSet,
    PodShape,
)
from lambda_autoscaler.core.observed import Observed
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.prices import price_table
from lambda_autoscaler.core.priorities import PRIORITY_CONFIG_MAP, read_priorities
from lambda_autoscaler.core.requests import amounts
from lambda_autoscaler.core.shapes import ShapeTable, pod_ref
from lambda_autoscaler.core.units import QuantityError, TimestampError, parse_timestamp
from lambda_autoscaler.core.volumes import Volumes

SYSTEM_NODE_CRITICAL: Final = "system-node-critical"
_Placed = dict[PodShape, list[PodRef]]


def build_cluster(observed: Observed, options: Options) -> Cluster:
    """The cluster as a decision needs it: typed, counted, and with what could not be read listed in ``faults``."""
    groups, faults = node_groups(observed, options)
    pods = _Pods(observed, options)
    nodes, node_faults = _nodes(observed.nodes, pods.bound, groups)
    daemon_sets, daemon_faults = _daemon_sets(observed.daemonsets, pods.shapes)
    return Cluster(
        nodes=nodes,
        groups=groups,
        pending=_pod_sets(pods.pending),
        unprocessed=_pod_sets(pods.unprocessed),
        nominated=tuple((node, pod_set) for node, placed in pods.nominated.items() for pod_set in _pod_sets(placed)),
        daemon_sets=daemon_sets,
        budgets=tuple(_budget(item) for item in observed.poddisruptionbudgets),
        workloads=_workloads(observed),
        attach_limits=_attach_limits(observed),
        priorities=read_priorities(observed.config_maps.get(PRIORITY_CONFIG_MAP)),
        prices=price_table(observed.on_demand_prices, observed.spot_prices),
        faults=(*observed.faults, *faults, *pods.faults, *node_faults, *daemon_faults),
        unread=_unread(observed, {"pods": pods.faults, "nodes": node_faults, "daemonsets": daemon_faults}),
    )


def _unread(observed: Observed, faults: Mapping[str, list[str]]) -> tuple[str, ...]:
    """Kinds of which some objects are missing from the cluster, by name."""
    return tuple(sorted({*observed.unread, *(kind for kind, found in faults.items() if found)}))


class _Pods:
    """Pods sorted into their classes, shape by shape."""

    def __init__(self, observed: Observed, options: Options) -> None:
        namespaces = {item.metadata.name: item.metadata.labels or {} for item in observed.namespaces}
        self.shapes = ShapeTable(namespaces, _volumes(observed))
        self.bound: dict[str, _Placed] = defaultdict(lambda: defaultdict(list))
        self.nominated: dict[str, _Placed] = defaultdict(lambda: defaultdict(list))
        self.pending: _Placed = defaultdict(list)
        self.unprocessed: _Placed = defaultdict(list)
        self.faults: list[str] = []
        for pod in observed.pods:
            place = self._place(pod, options)
            if place is not None:
                self._add(pod, place)

    def _add(self, pod: kubernetes.Pod, place: _Placed) -> None:
        try:
            place[self.shapes.shape_of(pod)].append(pod_ref(pod))
        except (QuantityError, TimestampError) as fault:
            self.faults.append(f"pod {pod.metadata.namespace}/{pod.metadata.name} is left out: {fault}")

    def _place(self, pod: kubernetes.Pod, options: Options) -> _Placed | None:
        scheduler = pod.spec.scheduler_name
        if pod.status.phase in ("Succeeded", "Failed"):
            return None
        if options.allowed_scheduler_names and scheduler not in options.allowed_scheduler_names:
            return None
        if pod.spec.node_name:
            return self.bound[pod.spec.node_name]
        if pod.metadata.deletion_timestamp is not None:
            return None
        if pod.status.nominated_node_name:
            return self.nominated[pod.status.nominated_node_name]
        condition = next((item for item in pod.status.conditions or () if item.type == "PodScheduled"), None)
        refused = condition is not None and condition.status == "False"
        if condition is not None and refused and condition.reason == "Unschedulable":
            return self.pending
        untouched = condition is None or (refused and not condition.reason)
        return self.unprocessed if untouched and scheduler in options.bypassed_scheduler_names else None


def _pod_sets(placed: Mapping[PodShape, list[PodRef]]) -> tuple[PodSet, ...]:
    return tuple(PodSet(shape, tuple(pods)) for shape, pods in placed.items())


def _volumes(observed: Observed) -> Volumes:
    return Volumes(
        claims={(item.metadata.namespace, item.metadata.name): item for item in observed.persistentvolumeclaims},
        volumes={item.metadata.name: item for item in observed.persistentvolumes},
        classes={item.metadata.name: item for item in observed.storageclasses},
    )


def _nodes(
    nodes: Iterable[kubernetes.Node], bound: Mapping[str, _Placed], groups: tuple[NodeGroup, ...]
) -> tuple[tuple[Node, ...], list[str]]:
    owner = {instance.provider_id: group.id for group in groups for instance in group.instances}
    found: list[Node] = []
    faults: list[str] = []
    for item in nodes:
        try:
            found.append(_node(item, bound.get(item.metadata.name, {}), owner.get(item.spec.provider_id, "")))
        except (QuantityError, TimestampError) as fault:
            faults.append(f"node {item.metadata.name} is left out: {fault}")
    return tuple(found), faults


def _node(item: kubernetes.Node, placed: Mapping[PodShape, list[PodRef]], group: str) -> Node:
    meta, status = item.metadata, item.status
    return Node(
        name=meta.name,
        uid=meta.uid,
        provider_id=item.spec.provider_id,
        created=parse_timestamp(meta.creation_timestamp) if meta.creation_timestamp else 0.0,
        labels=meta.labels or {},
        annotations=meta.annotations or {},
        taints=tuple(item.spec.taints or ()),
        unschedulable=item.spec.unschedulable,
        capacity=tuple(sorted(amounts(status.capacity).items())),
        allocatable=tuple(sorted(amounts(status.allocatable).items())),
        conditions=tuple(_condition(condition) for condition in status.conditions or ()),
        pods=_pod_sets(placed),
        group=group,
        resource_version=meta.resource_version,
    )


def _condition(item: kubernetes.Condition) -> NodeCondition:
    changed = parse_timestamp(item.last_transition_time) if item.last_transition_time else 0.0
    return NodeCondition(item.type, item.status, changed, item.reason)


def _daemon_sets(items: Iterable[kubernetes.Workload], shapes: ShapeTable) -> tuple[tuple[DaemonSet, ...], list[str]]:
    found: list[DaemonSet] = []
    faults: list[str] = []
    for item in items:
        template = item.spec.template
        if template is None:
            continue
        owner = kubernetes.OwnerReference("DaemonSet", item.metadata.name, item.metadata.uid, controller=True, api_version="apps/v1")
        meta = kubernetes.PodMeta(
            name=item.metadata.name,
            namespace=item.metadata.namespace,
            labels=template.metadata.labels,
            annotations=template.metadata.annotations,
            owner_references=[owner],
        )
        try:
            shape = shapes.shape_of(kubernetes.Pod(meta, template.spec, kubernetes.PodStatus(phase="Running")))
        except QuantityError as fault:
            faults.append(f"daemonset {item.metadata.namespace}/{item.metadata.name} is left out: {fault}")
            continue
        critical = template.spec.priority_class_name == SYSTEM_NODE_CRITICAL and template.spec.preemption_policy in (
            None,
            "PreemptLowerPriority",
        )
        found.append(DaemonSet(item.metadata.name, item.metadata.namespace, shape, critical))
    return tuple(found), faults


def _budget(item: kubernetes.PodDisruptionBudget) -> DisruptionBudget:
    meta = item.metadata
    selector = PodSelector(frozenset((meta.namespace,)), requirements_of(item.spec.selector))
    return DisruptionBudget(meta.namespace, meta.name, selector, item.status.disruptions_allowed)


def _workloads(observed: Observed) -> dict[tuple[str, str, str], int]:
    kinds: dict[str, list[Any]] = {
        "ReplicaSet": observed.replicasets,
        "StatefulSet": observed.statefulsets,
        "Job": observed.jobs,
        "ReplicationController": observed.replicationcontrollers,
        "DaemonSet": observed.daemonsets,
    }
    return {
        (kind, item.metadata.namespace, item.metadata.name): 1 if item.spec.replicas is None else item.spec.replicas
        for kind, items in kinds.items()
        for item in items
    }


def _attach_limits(observed: Observed) -> dict[str, dict[str, int]]:
    return {
        item.metadata.name: {
            driver.name: driver.allocatable.count
            for driver in item.spec.drivers
            if driver.allocatable is not None and driver.allocatable.count is not None
        }
        for item in observed.csinodes
    }
