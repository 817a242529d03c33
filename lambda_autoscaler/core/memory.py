"""What must survive between two scans and cannot be read off the cluster.

The Cluster Autoscaler keeps this in its process (behaviour specification, section 0.3); a function that forgets would scale twice. Times
are seconds since the epoch, durations seconds. Keys are group, instance or node names.
"""

import msgspec

from lambda_autoscaler.core.kubernetes import Taint
from lambda_autoscaler.core.model import Resources


class ScaleUpRequest(msgspec.Struct, frozen=True):
    """Capacity that was asked for and is not all there: ``increase`` nodes, asked at ``time``, given up at ``expected``."""

    increase: int
    time: float
    expected: float


class Backoff(msgspec.Struct, frozen=True):
    """A group left alone after a failure: for ``duration`` seconds, ``until`` an instant."""

    duration: float
    until: float
    last_failure: float
    code: str = ""
    message: str = ""


class IncorrectSize(msgspec.Struct, frozen=True):
    """A group whose registered nodes differ from its target since ``first_observed``."""

    registered: int
    target: int
    first_observed: float


class RememberedTemplate(msgspec.Struct, frozen=True):
    """The last good node of a group, kept so that a group at zero is still known (section 9.4)."""

    labels: dict[str, str]
    taints: tuple[Taint, ...]
    capacity: Resources
    allocatable: Resources
    seen: float


class Consolidation(msgspec.Struct, frozen=True):
    """Nodes to be replaced by ``count`` nodes of a cheaper group: found at ``since``, the new nodes asked for at ``asked`` (0: not yet).

    ``before`` and ``after`` are what the old and the new nodes cost, in USD per hour.
    """

    nodes: tuple[str, ...]
    group: str
    count: int
    before: float
    after: float
    since: float
    asked: float = 0.0

    @property
    def saving(self) -> float:
        """USD per hour."""
        return self.before - self.after


class Memory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What must survive between two scans and cannot be read off the cluster (section 0.3). Keys are group, instance or node names.

    ``unremovable_for`` are the pod and the drain rule for which a node of ``unremovable_until`` could not be removed. ``replacements`` are,
    by doomed node, the groups that were to grow in its place and the desired capacities that say that they did.
    """

    version: int = 1
    requests: dict[str, ScaleUpRequest] = {}
    backoffs: dict[str, Backoff] = {}
    unregistered_since: dict[str, float] = {}
    incorrect_sizes: dict[str, IncorrectSize] = {}
    templates: dict[str, RememberedTemplate] = {}
    unneeded_since: dict[str, float] = {}
    unremovable_until: dict[str, float] = {}
    unremovable_for: dict[str, tuple[str, str]] = {}
    last_scale_up: float = 0.0
    last_scale_down_delete: float = 0.0
    last_scale_down_failure: float = 0.0
    group_scale_up: dict[str, float] = {}
    group_scale_down: dict[str, float] = {}
    group_scale_down_failure: dict[str, float] = {}
    shortest_interval: float = 0.0
    last_scan: float = 0.0
    size_set: dict[str, float] = {}
    consolidation: Consolidation | None = None
    risky_pools: dict[str, float] = {}
    replacements: dict[str, dict[str, int]] = {}
