"""What a simulated world is made of before time starts: node groups, DaemonSets, Deployments, budgets, and how fast things happen.

Amounts are Kubernetes quantities as a user would write them; times are seconds.
"""

from typing import Any

import msgspec

Quantities = dict[str, str]


class Frozen(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A value that a scenario file may spell out: camel case, unknown fields are errors."""


class InstanceShape(Frozen, frozen=True):
    """What one instance type brings: ``capacity`` is the node's, ``allocatable`` what is left for pods."""

    vcpus: int
    memory_mib: int
    capacity: Quantities
    allocatable: Quantities


class GroupSpecification(Frozen, frozen=True):
    """A node group, managed by EKS or not. ``launchable`` caps how many instances EC2 has to give (None: as many as asked for)."""

    name: str
    minimum: int
    maximum: int
    desired: int
    instance_types: tuple[str, ...]
    capacity_type: str = "ON_DEMAND"
    zones: tuple[str, ...] = ("us-east-1a",)
    labels: dict[str, str] = {}
    taints: tuple[dict[str, str], ...] = ()
    launchable: int | None = None
    self_managed: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError for sizes out of order or a group without instance types."""
        if not 0 <= self.minimum <= self.desired <= self.maximum:
            raise ValueError(f"group {self.name}: minimum {self.minimum}, desired {self.desired}, maximum {self.maximum} are out of order")
        if not self.instance_types or not self.zones:
            raise ValueError(f"group {self.name}: instanceTypes and zones need at least one value")


class WorkloadSpecification(Frozen, frozen=True):
    """A Deployment or a DaemonSet. ``pod`` is a pod spec as in a manifest; ``replicas`` is read for Deployments only."""

    name: str
    pod: dict[str, Any]
    namespace: str = "default"
    replicas: int = 0


class BudgetSpecification(Frozen, frozen=True):
    """A PodDisruptionBudget over a workload's pods: at least ``minimum_available`` of them stay up."""

    workload: str
    minimum_available: int
    namespace: str = "default"


class Pace(Frozen, frozen=True):
    """How long things take in the simulated cloud, in seconds. ``jitter`` spreads every instance's times by up to that share."""

    launch: float = 8.0
    register: float = 45.0
    ready: float = 20.0
    pod_start: float = 3.0
    terminate: float = 30.0
    retry_launch: float = 60.0
    scheduling: float = 0.0
    jitter: float = 0.2


class Specification(Frozen, frozen=True):
    """A whole world. ``start`` is the first instant, in seconds since the epoch; ``seed`` fixes names and jitter."""

    cluster: str
    groups: tuple[GroupSpecification, ...]
    instances: dict[str, InstanceShape]
    region: str = "us-east-1"
    account: str = "123456789012"
    daemon_sets: tuple[WorkloadSpecification, ...] = ()
    deployments: tuple[WorkloadSpecification, ...] = ()
    budgets: tuple[BudgetSpecification, ...] = ()
    pace: Pace = Pace()
    start: float = 1_780_308_000.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError for an instance type without a shape."""
        unknown = sorted({name for group in self.groups for name in group.instance_types} - self.instances.keys())
        if unknown:
            raise ValueError(f"instances says nothing about {', '.join(unknown)}")
