"""Builders for tests of the decision core, in the field's words. Defaults are small and ready; amounts are millicores and bytes."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from lambda_autoscaler.core.kubernetes import Taint
from lambda_autoscaler.core.model import (
    HOSTNAME_LABEL,
    ZONE_LABEL,
    AffinityTerm,
    CloudTemplate,
    Cluster,
    Controller,
    Instance,
    Node,
    NodeCondition,
    NodeGroup,
    PodRef,
    PodSelector,
    PodSet,
    PodShape,
    Requirement,
    Resources,
    SpreadConstraint,
    Template,
)
from lambda_autoscaler.core.node_state import NodeFacts
from lambda_autoscaler.core.options import Options

NOW = 1_800_000_000.0
LONG_AGO = NOW - 3600.0
MIB = 2**20
GIB = 2**30
_keys = itertools.count(1)


def options(**flags: Any) -> Options:
    return Options(cluster_name="demo", **flags)


def resources(cpu: int = 0, memory: int = 0, **others: int) -> Resources:
    """Amounts in millicores and bytes; other names with ``_`` for ``-``."""
    named = {"cpu": cpu, "memory": memory} | {name.replace("_", "-"): amount for name, amount in others.items()}
    return tuple(sorted(named.items()))


def rs(name: str) -> Controller:
    return Controller("ReplicaSet", name, f"uid-{name}", "apps/v1")


def shape(
    cpu: int = 0, memory: int = 0, *, more: Mapping[str, int] | None = None, labels: Mapping[str, str] | None = None, **fields: Any
) -> PodShape:
    """A pod shape in namespace ``default``; ``more`` are other requested resources. Other fields are the shape's own."""
    requests = {"cpu": cpu, "memory": memory, **(more or {})}
    fields.setdefault("namespace", "default")
    return PodShape(
        key=next(_keys),
        requests=tuple(sorted((name, amount) for name, amount in requests.items() if amount)),
        labels=tuple(sorted((labels or {}).items())),
        **fields,
    )


def daemon_pod(cpu: int = 0, memory: int = 0, name: str = "agent", **fields: Any) -> PodShape:
    return shape(cpu, memory, namespace="kube-system", controller=Controller("DaemonSet", name, f"uid-{name}", "apps/v1"), **fields)


def waiting(of: PodShape, count: int = 1, *, name: str = "pod", created: float = LONG_AGO) -> PodSet:
    """Pods of one shape, named ``pod-0``, ``pod-1`` and so on."""
    return PodSet(of, tuple(PodRef(f"{name}-{number}", f"uid-{name}-{number}", created) for number in range(count)))


def selector(namespaces: Iterable[str] | None = ("default",), **labels: str) -> PodSelector:
    """Pods with all these labels; without labels every pod."""
    pairs = tuple(Requirement(key, "In", (value,)) for key, value in sorted(labels.items()))
    return PodSelector(None if namespaces is None else frozenset(namespaces), pairs)


def term(topology_key: str = HOSTNAME_LABEL, **labels: str) -> AffinityTerm:
    return AffinityTerm(topology_key, selector(**labels))


def spread(
    topology_key: str = HOSTNAME_LABEL, max_skew: int = 1, min_domains: int = 1, *, app: str = "web", **policies: bool
) -> SpreadConstraint:
    return SpreadConstraint(topology_key, max_skew, min_domains, selector(app=app), **policies)


def taint(key: str, effect: str = "NoSchedule", value: str = "") -> Taint:
    return Taint(key=key, effect=effect, value=value)


def ready(changed: float = LONG_AGO) -> tuple[NodeCondition, ...]:
    return (NodeCondition("Ready", "True", changed),)


def unready(changed: float = LONG_AGO) -> tuple[NodeCondition, ...]:
    return (NodeCondition("Ready", "False", changed),)


def node(name: str = "n1", cpu: int = 1000, memory: int = 1000, *, pods: int = 100, group: str = "", zone: str = "", **fields: Any) -> Node:
    """A node that has been ready for an hour; what it holds is what it can allocate. ``holds`` are pod sets on it."""
    amounts = fields.pop("amounts", resources(cpu, memory, pods=pods))
    labels = {HOSTNAME_LABEL: name} | ({ZONE_LABEL: zone} if zone else {}) | fields.pop("labels", {})
    fields.setdefault("created", LONG_AGO)
    fields.setdefault("conditions", ready())
    return Node(
        name=name,
        provider_id=fields.pop("provider_id", f"aws:///us-east-1a/i-{name}"),
        labels=labels,
        capacity=fields.pop("capacity", amounts),
        allocatable=amounts,
        pods=tuple(fields.pop("holds", ())),
        group=group,
        **fields,
    )


def group(
    name: str = "ng1", desired: int = 0, maximum: int = 10, minimum: int = 0, *, instances: Sequence[str] = (), **fields: Any
) -> NodeGroup:
    """A node group; ``instances`` are names of the nodes they carry (or would carry), the rest of desired is placeholders."""
    real = tuple(Instance(f"i-{name}", "us-east-1a") for name in instances)
    missing = range(len(real), desired)
    fields.setdefault("cloud", CloudTemplate(fault="unknown"))
    return NodeGroup(
        id=name,
        minimum=minimum,
        maximum=maximum,
        desired=desired,
        instances=(*real, *(Instance(f"i-placeholder-{name}-{number}", "us-east-1a", placeholder=True) for number in missing)),
        zones=("us-east-1a",),
        **fields,
    )


def cloud(cpu: int, memory: int, pods: int = 110, *, labels: Mapping[str, str] | None = None, **fields: Any) -> CloudTemplate:
    """What AWS says of a group that has no node yet."""
    return CloudTemplate(labels=labels or {}, capacity=resources(cpu, memory, pods=pods), **fields)


def managed(
    name: str, *members: Node, maximum: int = 10, minimum: int = 0, desired: int | None = None, **fields: Any
) -> tuple[NodeGroup, list[Node]]:
    """A node group and its nodes; what is desired beyond them is still missing."""
    wanted = len(members) if desired is None else desired
    owner = group(name, wanted, maximum, minimum, instances=[member.name for member in members], **fields)
    return owner, [msgspec.structs.replace(member, group=name) for member in members]


def cluster(*groups: tuple[NodeGroup, list[Node]], others: Sequence[Node] = (), pending: Sequence[PodSet] = (), **fields: Any) -> Cluster:
    """A cluster of groups with their nodes, and of ``others`` that no group owns."""
    return Cluster(
        nodes=(*(member for _, members in groups for member in members), *others),
        groups=tuple(owner for owner, _ in groups),
        pending=tuple(pending),
        **fields,
    )


def facts(cpu: int = 1000, memory: int = 1000, *, pods: int = 100, name: str = "", zone: str = "", **fields: Any) -> NodeFacts:
    """A node to simulate with."""
    labels = {ZONE_LABEL: zone} if zone else {}
    labels |= {HOSTNAME_LABEL: name} if name else {}
    labels |= fields.pop("labels", {})
    more = fields.pop("more", {})
    return NodeFacts(
        labels=labels,
        taints=tuple(fields.pop("taints", ())),
        allocatable=tuple(sorted({"cpu": cpu, "memory": memory, "pods": pods, **more}.items())),
        pods=tuple(fields.pop("holds", ())),
        name=name,
        **fields,
    )


def template(cpu: int = 1000, memory: int = 1000, *, pods: int = 100, **fields: Any) -> Template:
    """A new node of a group; it can allocate all it has unless ``allocatable`` is given."""
    amounts = fields.pop("capacity", resources(cpu, memory, pods=pods))
    return Template(
        labels=fields.pop("labels", {}),
        taints=tuple(fields.pop("taints", ())),
        capacity=amounts,
        allocatable=fields.pop("allocatable", amounts),
        pods=tuple(fields.pop("holds", ())),
        **fields,
    )
