"""The node that a group would add (behaviour specification, section 9.4).

First choice is a real node of the group that has been ready for a minute, then the last such node that is remembered, then what AWS says
about the group, and as a last resort a node that is not ready.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from lambda_autoscaler.core.fit import PREDICATES, Place, first_misfit
from lambda_autoscaler.core.interruption import is_doomed
from lambda_autoscaler.core.memory import Memory, RememberedTemplate
from lambda_autoscaler.core.model import (
    HOSTNAME_LABEL,
    TO_BE_DELETED_TAINT,
    Cluster,
    DaemonSet,
    Node,
    NodeClass,
    NodeGroup,
    PodShape,
    Resources,
    Template,
)
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.readiness import readiness
from lambda_autoscaler.core.taints import template_taints

STABILIZATION: Final = 60.0
_REFRESH: Final = 86_400.0
# What the AWS provider puts on a node it has never seen, beside the DaemonSets: a static kube-proxy.
_KUBE_PROXY: Final = PodShape(
    key=-1,
    namespace="kube-system",
    requests=(("cpu", 100),),
    annotations=(("kubernetes.io/config.mirror", "true"),),
    priority=2_000_001_000,
)


def templates(cluster: Cluster, memory: Memory, options: Options, now: float) -> tuple[dict[str, Template], Memory]:
    """Template of every group that has one, and memory with the real nodes seen now."""
    good, bad = _candidates(cluster.nodes, options, now)
    found: dict[str, Template] = {}
    remembered: dict[str, RememberedTemplate] = {}
    for group in cluster.groups:
        known = memory.templates.get(group.id)
        if known is not None and now - known.seen > options.node_info_cache_expire_time:
            known = None
        template = _template(group, (good.get(group.id), known, bad.get(group.id)), cluster, options)
        if template is not None:
            found[group.id] = _with_missing_resources(template, group.cloud.capacity)
        if group.id in good:
            remembered[group.id] = _remember(good[group.id], options, known, now)
        elif known is not None:
            remembered[group.id] = known
    return found, msgspec.structs.replace(memory, templates=remembered)


def _template(
    group: NodeGroup, sources: tuple[Node | None, RememberedTemplate | None, Node | None], cluster: Cluster, options: Options
) -> Template | None:
    good, known, bad = sources
    if good is not None:
        return _from_node(good, cluster, options, "node")
    if known is not None:
        base = Template(known.labels, known.taints, known.capacity, known.allocatable, source="remembered")
        return _with_daemon_sets(base, cluster.daemon_sets, (), lambda _: True)
    if not group.cloud.fault:
        cloud = group.cloud
        base = Template(cloud.labels, template_taints(cloud.taints, options), cloud.capacity, cloud.capacity, ((_KUBE_PROXY, 1),), "cloud")
        return _with_daemon_sets(base, cluster.daemon_sets, (), lambda _: True)
    return _from_node(bad, cluster, options, "unready node") if bad is not None else None


def _candidates(nodes: Iterable[Node], options: Options, now: float) -> tuple[dict[str, Node], dict[str, Node]]:
    """The first good node of each group, and the first that is not."""
    good: dict[str, Node] = {}
    bad: dict[str, Node] = {}
    for node in nodes:
        if node.group:
            (good if _is_good(node, options, now) else bad).setdefault(node.group, node)
    return good, bad


def _is_good(node: Node, options: Options, now: float) -> bool:
    state = readiness(node, options)
    stable = state.changed + STABILIZATION < now
    leaves = node.unschedulable or is_doomed(node) or any(taint.key == TO_BE_DELETED_TAINT for taint in node.taints)
    return state.ready and stable and not leaves


def _from_node(node: Node, cluster: Cluster, options: Options, source: str) -> Template:
    labels = {key: value for key, value in node.labels.items() if key != HOSTNAME_LABEL}
    unschedulable = node.unschedulable and not options.scale_from_unschedulable
    kept = tuple(
        (pod_set.shape, len(pod_set.pods))
        for pod_set in node.pods
        if (pod_set.shape.is_mirror or pod_set.shape.is_daemonset) and not pod_set.shape.terminating
    )
    base = Template(labels, template_taints(node.taints, options), node.capacity, node.allocatable, kept, source, unschedulable)
    running = tuple(shape.controller.uid for shape, _ in kept if shape.controller is not None and shape.controller.kind == "DaemonSet")
    return _with_daemon_sets(base, cluster.daemon_sets, running, lambda daemon_set: options.force_ds or daemon_set.critical)


def _with_daemon_sets(
    base: Template, daemon_sets: Iterable[DaemonSet], running: tuple[str, ...], wanted: Callable[[DaemonSet], bool]
) -> Template:
    place = Place(NodeClass(-1, base.labels, base.taints))
    more = tuple(
        (daemon_set.shape, 1)
        for daemon_set in daemon_sets
        if (daemon_set.shape.controller is None or daemon_set.shape.controller.uid not in running)
        and wanted(daemon_set)
        and first_misfit(PREDICATES, daemon_set.shape, place) is None
    )
    return msgspec.structs.replace(base, pods=base.pods + more)


def _with_missing_resources(template: Template, cloud: Resources) -> Template:
    """The template with resources that only AWS knows of (tags, GPUs), as upstream's AWS wrapper adds them."""
    known = dict(template.capacity)
    missing = tuple((name, amount) for name, amount in cloud if name not in known)
    if not missing:
        return template
    return msgspec.structs.replace(
        template, capacity=tuple(sorted(template.capacity + missing)), allocatable=tuple(sorted(template.allocatable + missing))
    )


def _remember(node: Node, options: Options, known: RememberedTemplate | None, now: float) -> RememberedTemplate:
    """What to keep of a good node. An unchanged one keeps its time, so that memory is not rewritten every minute for nothing."""
    labels = {key: value for key, value in node.labels.items() if key != HOSTNAME_LABEL}
    fresh = RememberedTemplate(labels, template_taints(node.taints, options), node.capacity, node.allocatable, now)
    if known is not None and msgspec.structs.replace(fresh, seen=known.seen) == known and now - known.seen < _REFRESH:
        return known
    return fresh


def cluster_shapes(cluster: Cluster, found: Mapping[str, Template]) -> list[PodShape]:
    """Every pod shape of a cluster and of its templates."""
    shapes = [pod_set.shape for node in cluster.nodes for pod_set in node.pods]
    shapes += [pod_set.shape for pod_set in (*cluster.pending, *cluster.unprocessed)]
    shapes += [pod_set.shape for _, pod_set in cluster.nominated]
    shapes += [shape for template in found.values() for shape, _ in template.pods]
    return list(dict.fromkeys(shapes))
