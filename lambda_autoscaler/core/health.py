"""The health of groups and cluster, and what follows from it (behaviour specification, sections 7.3 to 7.8).

From nodes, instances and memory: which nodes are coming, which never came, which groups failed and are left alone, which instances are
to be given up. The result carries the updated memory; nothing is done here.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from lambda_autoscaler.core.backoff import is_backed_off, with_failure, without_stale
from lambda_autoscaler.core.interruption import is_doomed
from lambda_autoscaler.core.memory import IncorrectSize, Memory, ScaleUpRequest
from lambda_autoscaler.core.model import TO_BE_DELETED_TAINT, Cluster, Node, NodeGroup
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.plan import GroupStatus, Notice
from lambda_autoscaler.core.readiness import RESOURCE_UNREADY, readiness
from lambda_autoscaler.core.units import format_duration

PLACEHOLDER_CODE: Final = "placeholder-cannot-be-fulfilled"
PLACEHOLDER_MESSAGE: Final = "AWS cannot provision any more instances for this node group"
_DISABLED_ANNOTATION: Final = "k8s.io/cluster-autoscaler-enabled"


class GroupHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Names of a group's nodes by class, and its instances without a node."""

    group: NodeGroup
    ready: tuple[str, ...] = ()
    unready: tuple[str, ...] = ()
    resource_unready: int = 0
    not_started: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    unregistered: tuple[str, ...] = ()
    long_unregistered: tuple[str, ...] = ()
    upcoming: int = 0
    healthy: bool = True

    @property
    def registered(self) -> int:
        """Nodes of the group, whatever their state."""
        return len(self.ready) + len(self.unready) + len(self.not_started) + len(self.deleted)

    @property
    def missing(self) -> int:
        """Nodes that were asked for and are neither ready, unready nor given up: they are coming."""
        return self.group.desired - len(self.ready) - len(self.unready) - len(self.long_unregistered)


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """State of the cluster: per group, the actions that health demands, events, and memory updated."""

    groups: dict[str, GroupHealth]
    healthy: bool
    memory: Memory
    delete_instances: tuple[tuple[str, tuple[str, ...]], ...] = ()
    resize: tuple[tuple[str, int], ...] = ()
    notices: tuple[Notice, ...] = ()

    def statuses(self, now: float) -> tuple[GroupStatus, ...]:
        """Rows of the status ConfigMap."""
        return tuple(_status(self, item, now) for item in self.groups.values())


def assess(cluster: Cluster, memory: Memory, options: Options, now: float) -> Health:
    """Judge the cluster at ``now``."""
    memory = _with_unregistered(cluster, without_stale(memory, options, now), now)
    members: dict[str, list[Node]] = {}
    for node in cluster.nodes:
        members.setdefault(node.group, []).append(node)
    classes = {group.id: _classify(group, members.get(group.id, ()), memory, options, now) for group in cluster.groups}
    memory = _with_adopted_requests(classes, memory, options, now)
    memory, timed_out = _expire_requests(classes, memory, options, now)
    memory, failed, unfulfilled = _creation_errors(classes, memory, options, now)
    memory, resize = _incorrect_sizes(classes, memory, options, now)
    doomed = {node.group for node in cluster.nodes if is_doomed(node)}
    groups = {name: _judged(item, memory, options, now) for name, item in classes.items()}
    groups = {name: _with_replacements(item) if name in doomed else item for name, item in groups.items()}
    overdue = tuple(_overdue(item, options) for item in classes.values() if item.group.id not in dict(unfulfilled))
    return Health(
        groups=groups,
        healthy=_cluster_is_healthy(cluster, options, now),
        memory=memory,
        delete_instances=(*unfulfilled, *(entry for entry in overdue if entry[1])),
        resize=resize,
        notices=(*timed_out, *failed, *(_deleted_notice(options, name) for _, names in overdue for name in names)),
    )


def _with_unregistered(cluster: Cluster, memory: Memory, now: float) -> Memory:
    known = {node.provider_id for node in cluster.nodes}
    waiting = {instance.id for group in cluster.groups for instance in group.instances if instance.provider_id not in known}
    since = {name: memory.unregistered_since.get(name, now) for name in sorted(waiting)}
    return msgspec.structs.replace(memory, unregistered_since=since)


def _classify(group: NodeGroup, nodes: Iterable[Node], memory: Memory, options: Options, now: float) -> GroupHealth:
    names: dict[str, list[str]] = {"ready": [], "unready": [], "not_started": [], "deleted": []}
    resource_unready = 0
    for node in nodes:
        kind, reason = node_class(node, options, now)
        names[kind].append(node.name)
        resource_unready += kind == "unready" and reason == RESOURCE_UNREADY
    unregistered: list[str] = []
    overdue: list[str] = []
    for instance in group.instances:
        since = memory.unregistered_since.get(instance.id)
        if since is not None:
            (overdue if since + options.max_node_provision_time < now else unregistered).append(instance.id)
    return GroupHealth(
        group=group,
        ready=tuple(names["ready"]),
        unready=tuple(names["unready"]),
        resource_unready=resource_unready,
        not_started=tuple(names["not_started"]),
        deleted=tuple(names["deleted"]),
        unregistered=tuple(unregistered),
        long_unregistered=tuple(overdue),
    )


def node_class(node: Node, options: Options, now: float) -> tuple[str, str]:
    """Class of a registered node (``deleted``, ``ready``, ``not_started`` or ``unready``) and the reason of its readiness."""
    state = readiness(node, options)
    if node.annotations.get(_DISABLED_ANNOTATION) == "false" or (not node.group and _is_leaving(node)):
        return "deleted", state.reason
    if state.ready:
        return "ready", state.reason
    starting = node.created + options.max_node_startup_time > now
    return ("not_started" if starting else "unready"), state.reason


def _is_leaving(node: Node) -> bool:
    """Whether the autoscaler is removing the node. Once its instance has left the group, that is all there is to tell by."""
    return any(taint.key == TO_BE_DELETED_TAINT for taint in node.taints)


def _with_adopted_requests(classes: dict[str, GroupHealth], memory: Memory, options: Options, now: float) -> Memory:
    """Memory with a request for every group whose desired capacity is above its registered nodes although no request is known.

    Upstream forgets its requests when it restarts and asks again for capacity that is already coming. A scan that lost its memory must not:
    what the group was asked for counts as asked for now, by whomever. Nodes that are registered and not ready do not count here: as
    upstream has it, only a request makes them nodes that are coming.
    """
    absent = {name: item.group.desired - item.registered - len(item.long_unregistered) for name, item in classes.items()}
    adopted = {
        name: ScaleUpRequest(count, now, now + options.max_node_provision_time)
        for name, count in absent.items()
        if count > 0 and name not in memory.requests and not is_backed_off(memory, name, now)
    }
    return msgspec.structs.replace(memory, requests={**memory.requests, **adopted}) if adopted else memory


def _expire_requests(classes: dict[str, GroupHealth], memory: Memory, options: Options, now: float) -> tuple[Memory, list[Notice]]:
    notices: list[Notice] = []
    requests: dict[str, ScaleUpRequest] = {}
    for name, request in memory.requests.items():
        item = classes.get(name)
        if item is None or item.missing + _overdue_since(request, item, memory) <= 0:
            continue
        if request.expected >= now:
            if item.missing > 0:
                requests[name] = request
            continue
        age = format_duration(now - request.time)
        notices.append(status_notice(options, "Warning", "ScaleUpTimedOut", f"Nodes added to group {name} failed to register within {age}"))
        cause = ("timeout", f"Scale-up timed out for node group {name} after {age}")
        memory = with_failure(memory, name, options, now, cause)
    return msgspec.structs.replace(memory, requests=requests), notices


def _overdue_since(request: ScaleUpRequest, item: GroupHealth, memory: Memory) -> int:
    """Instances that the request may have brought and that never registered.

    They and the request run out at nearly the same time, and one scan may find both over: that is no success.
    """
    return sum(memory.unregistered_since[name] >= request.time for name in item.long_unregistered)


def _creation_errors(
    classes: dict[str, GroupHealth], memory: Memory, options: Options, now: float
) -> tuple[Memory, list[Notice], tuple[tuple[str, tuple[str, ...]], ...]]:
    """Groups whose missing instances AWS failed to launch since they were asked for: backed off, and their placeholders given up."""
    notices: list[Notice] = []
    unfulfilled: list[tuple[str, tuple[str, ...]]] = []
    for name, item in classes.items():
        placeholders = tuple(instance.id for instance in item.group.instances if instance.placeholder)
        asked = memory.size_set.get(name, now - options.max_node_provision_time)
        failure = next((entry for entry in item.group.failures if entry.started >= asked), None)
        if not placeholders or failure is None:
            continue
        unfulfilled.append((name, placeholders))
        request = memory.requests.get(name)
        if request is None:
            continue
        cause = f"OutOfResource.{PLACEHOLDER_CODE}; source errors: {failure.message or PLACEHOLDER_MESSAGE}"
        message = f"Failed adding {len(placeholders)} nodes to group {name} due to {cause}"
        notices.append(status_notice(options, "Warning", "ScaleUpFailed", message))
        left = request.increase - len(placeholders)
        kept = {name: msgspec.structs.replace(request, increase=left)} if left > 0 else {}
        others = {key: value for key, value in memory.requests.items() if key != name}
        memory = msgspec.structs.replace(memory, requests={**others, **kept})
        memory = with_failure(memory, name, options, now, (PLACEHOLDER_CODE, failure.message or PLACEHOLDER_MESSAGE))
    return memory, notices, tuple(unfulfilled)


def _incorrect_sizes(
    classes: dict[str, GroupHealth], memory: Memory, options: Options, now: float
) -> tuple[Memory, tuple[tuple[str, int], ...]]:
    sizes: dict[str, IncorrectSize] = {}
    resize: list[tuple[str, int]] = []
    for name, item in classes.items():
        target = item.group.desired
        waiting = len(item.unregistered) + len(item.long_unregistered)
        if item.registered + waiting == 0 or target - waiting <= item.registered <= target:
            continue
        known = memory.incorrect_sizes.get(name)
        same = known is not None and (known.registered, known.target) == (item.registered, target)
        record = known if known is not None and same else IncorrectSize(item.registered, target, now)
        sizes[name] = record
        if record.first_observed + options.max_node_provision_time < now and item.registered < target:
            resize.append((name, item.registered))
    return msgspec.structs.replace(memory, incorrect_sizes=sizes), tuple(resize)


def _judged(item: GroupHealth, memory: Memory, options: Options, now: float) -> GroupHealth:
    request = memory.requests.get(item.group.id)
    coming = item.missing if request is not None and not is_backed_off(memory, item.group.id, now) else 0
    least = item.group.desired - len(item.long_unregistered) - (request.increase if request else 0)
    return msgspec.structs.replace(item, upcoming=max(0, coming), healthy=_group_is_healthy(item, least, options))


def _with_replacements(item: GroupHealth) -> GroupHealth:
    """A group with doomed nodes: instances without a ready node come in their place, launched by the group itself or asked for before.

    A doomed node still counts as ready, so that what the group launches for it (capacity rebalancing, balancing of zones) shows in no
    difference to the desired capacity.
    """
    waiting = set(item.unregistered)
    coming = sum(
        instance.id in waiting and not instance.placeholder and not instance.lifecycle.startswith("Terminat")
        for instance in item.group.instances
    )
    return msgspec.structs.replace(item, upcoming=max(item.upcoming, coming + len(item.not_started)))


def _group_is_healthy(item: GroupHealth, least: int, options: Options) -> bool:
    known = len(item.ready) + len(item.unready) + len(item.not_started)
    if not known and not item.deleted and not item.unregistered and not item.long_unregistered:
        return item.group.desired == 0 or least == 0
    short = max(0, least - len(item.ready))
    return not (short > options.ok_total_unready_count and short > options.max_total_unready_percentage / 100 * known)


def _cluster_is_healthy(cluster: Cluster, options: Options, now: float) -> bool:
    unready = sum(node_class(node, options, now)[0] == "unready" for node in cluster.nodes)
    return not (unready > options.ok_total_unready_count and unready > options.max_total_unready_percentage / 100 * len(cluster.nodes))


def _overdue(item: GroupHealth, options: Options) -> tuple[str, tuple[str, ...]]:
    """Instances that never became nodes and may be given up: not below the group's minimum, unless the settings say so.

    One that terminates already, for as long as a lifecycle hook may hold it, is not asked to again: that would lower the target twice.
    """
    leaving = {instance.id for instance in item.group.instances if instance.lifecycle.startswith("Terminat")}
    overdue = tuple(name for name in item.long_unregistered if name not in leaving)
    if options.force_delete_unregistered_nodes:
        return item.group.id, overdue
    allowed = max(0, item.group.desired - item.group.minimum)
    return item.group.id, overdue[:allowed]


def status_notice(options: Options, kind: str, reason: str, message: str) -> Notice:
    """An event on the status ConfigMap, where the peer records what concerns no single object."""
    return Notice("ConfigMap", options.namespace, options.status_config_map_name, kind, reason, message)


def _deleted_notice(options: Options, name: str) -> Notice:
    return status_notice(options, "Normal", "DeleteUnregistered", f"Removed unregistered node {name}")


def _status(health: Health, item: GroupHealth, now: float) -> GroupStatus:
    backoff = health.memory.backoffs.get(item.group.id)
    backed_off = backoff is not None and backoff.until >= now
    active = "InProgress" if item.group.id in health.memory.requests else "NoActivity"
    return GroupStatus(
        group=item.group.id,
        healthy=item.healthy,
        ready=len(item.ready),
        unready=len(item.unready),
        not_started=len(item.not_started),
        being_deleted=len(item.deleted),
        registered=item.registered,
        unregistered=len(item.unregistered),
        long_unregistered=len(item.long_unregistered),
        target=item.group.desired,
        minimum=item.group.minimum,
        maximum=item.group.maximum,
        scale_up="Backoff" if backed_off else "Unhealthy" if not item.healthy else active,
        backoff=backoff if backed_off else None,
        resource_unready=item.resource_unready,
    )
