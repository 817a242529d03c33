"""Taints and tolerations, and which taints the autoscaler looks through (behaviour specification, sections 4.3 and 4.4)."""

from collections.abc import Iterable, Sequence
from typing import Final

from lambda_autoscaler.core.kubernetes import Taint, Toleration
from lambda_autoscaler.core.model import DELETION_CANDIDATE_TAINT, INTERRUPTION_TAINT, TO_BE_DELETED_TAINT
from lambda_autoscaler.core.options import Options

NO_SCHEDULE: Final = "NoSchedule"
NO_EXECUTE: Final = "NoExecute"
PREFER_NO_SCHEDULE: Final = "PreferNoSchedule"
STARTUP_PREFIXES: Final = ("startup-taint.cluster-autoscaler.kubernetes.io/", "ignore-taint.cluster-autoscaler.kubernetes.io/")
STATUS_PREFIX: Final = "status-taint.cluster-autoscaler.kubernetes.io/"
CONDITION_TAINTS: Final = frozenset(
    {
        *(
            f"node.kubernetes.io/{condition}"
            for condition in (
                "not-ready",
                "unreachable",
                "unschedulable",
                "memory-pressure",
                "disk-pressure",
                "network-unavailable",
                "pid-pressure",
            )
        ),
        "node.cloudprovider.kubernetes.io/uninitialized",
        "node.cloudprovider.kubernetes.io/shutdown",
        "cloud.google.com/impending-node-termination",
        "NodeWithImpairedVolumes",
    }
)
NOT_READY_TAINTS: Final = frozenset(
    {"node.kubernetes.io/not-ready", "node.kubernetes.io/disk-pressure", "node.kubernetes.io/network-unavailable"}
)


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """Whether one toleration covers a taint (``v1.Toleration.ToleratesTaint``)."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator == "Exists":
        return True
    return toleration.operator in ("", "Equal") and toleration.value == taint.value


def untolerated(taints: Iterable[Taint], tolerations: Sequence[Toleration]) -> Taint | None:
    """The first taint that keeps a pod with these tolerations away; PreferNoSchedule keeps nobody away."""
    for taint in taints:
        if taint.effect in (NO_SCHEDULE, NO_EXECUTE) and not any(tolerates(toleration, taint) for toleration in tolerations):
            return taint
    return None


def is_startup_taint(key: str, options: Options) -> bool:
    """Whether a taint key stands for a node that is still starting: the node counts as not ready."""
    return key in options.startup_taint or key.startswith((*STARTUP_PREFIXES, *options.startup_taint_prefix))


def is_status_taint(key: str, options: Options) -> bool:
    """Whether a taint key reports a state of one node that a new node would not have."""
    return key in options.status_taint or key.startswith(STATUS_PREFIX)


def template_taints(taints: Iterable[Taint], options: Options) -> tuple[Taint, ...]:
    """Taints that a new node of the group would carry: conditions, startup and status taints and the autoscaler's own are stripped."""
    own = (TO_BE_DELETED_TAINT, DELETION_CANDIDATE_TAINT, INTERRUPTION_TAINT)
    return tuple(
        Taint(key=taint.key, effect=taint.effect, value=taint.value)
        for taint in taints
        if taint.key not in own
        and taint.key not in CONDITION_TAINTS
        and not is_startup_taint(taint.key, options)
        and not is_status_taint(taint.key, options)
    )
