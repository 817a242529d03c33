"""Options from the Cluster Autoscaler's flags, given as environment variables or as a mapping.

``--scale-down-unneeded-time`` is ``AUTOSCALER_SCALE_DOWN_UNNEEDED_TIME``. Users bring the flags of their present deployment, so a flag that
upstream has and that means nothing here (its process, its logging, other clouds, caches, tuning) is accepted and noted. A flag that would
change decisions in a way that is not built is refused when it asks for that, and accepted at upstream's default. All faults are reported in
one message.
"""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Final

import msgspec

from lambda_autoscaler.core.options import Options
from lambda_autoscaler.flags import parser_of
from lambda_autoscaler.ports import BadInput

PREFIX: Final = "AUTOSCALER_"
DEFAULT_GRACE_SECONDS: Final = Options(cluster_name="-").max_graceful_termination_sec

UNSUPPORTED: Final[dict[str, tuple[str, ...]]] = {
    "cloud-provider": ("aws",),
    "estimator": ("binpacking",),
    "cloud-config": ("",),
    "scheduler-config-file": ("",),
    "grpc-expander-url": ("",),
    "grpc-expander-cert": ("",),
    "enable-provisioning-requests": ("false",),
    "enable-proactive-scaleup": ("false",),
    "capacity-buffer-controller-enabled": ("false",),
    "capacity-buffer-pod-injection-enabled": ("false",),
    "capacity-quotas-enabled": ("false",),
    "enable-csi-node-aware-scheduling": ("false",),
    "enable-graceful-degradation": ("false",),
    "node-autoprovisioning-enabled": ("false",),
}
"""Flags that are accepted only with these values: any other would change decisions in a way that is not built."""

MEANINGLESS: Final = frozenset(
    [
        "address",
        "alsologtostderr",
        "async-node-groups",
        "aws-use-static-instance-list",
        "bulk-mig-instances-listing-enabled",
        "capacity-buffer-pod-dry-run-enabled",
        "check-capacity-batch-processing",
        "check-capacity-processor-instance",
        "check-capacity-provisioning-request-batch-timebox",
        "check-capacity-provisioning-request-max-batch-size",
        "cluster-snapshot-parallelism",
        "clusterapi-cloud-config-authoritative",
        "debugging-snapshot-enabled",
        "dynamic-node-delete-delay-after-taint-enabled",
        "enable-dynamic-resource-allocation",
        "enable-inter-pod-affinity-hostname-fast-path",
        "fastpath-binpacking-enabled",
        "feature-gates",
        "force-delete-failed-nodes",
        "frequent-loops-enabled",
        "gce-concurrent-refreshes",
        "gce-mig-instances-min-refresh-wait-time",
        "kube-api-content-type",
        "kube-client-burst",
        "kube-client-qps",
        "kubeconfig",
        "kubernetes",
        "leader-elect",
        "leader-elect-lease-duration",
        "leader-elect-renew-deadline",
        "leader-elect-resource-lock",
        "leader-elect-resource-name",
        "leader-elect-resource-namespace",
        "leader-elect-retry-period",
        "log-file",
        "logtostderr",
        "max-binpacking-time",
        "max-bulk-soft-taint-time",
        "max-failing-time",
        "max-inactivity",
        "max-node-skip-eval-time-tracker-enabled",
        "max-nodegroup-binpacking-duration",
        "max-startup-time",
        "node-deletion-batcher-interval",
        "node-deletion-candidate-ttl",
        "node-removal-latency-tracking-enabled",
        "pending-pods-batching-timeout",
        "pod-injection-limit",
        "predicate-parallelism",
        "profiling",
        "provisioning-request-initial-backoff-time",
        "provisioning-request-max-backoff-cache-size",
        "provisioning-request-max-backoff-time",
        "regional",
        "salvo-scale-up-budget",
        "scale-down-candidates-pool-min-count",
        "scale-down-candidates-pool-ratio",
        "scale-down-non-empty-candidates-count",
        "scale-down-simulation-timeout",
        "scaleup-simulation-for-skipped-node-groups-enabled",
        "scheduler-verbosity",
        "skip_headers",
        "stderrthreshold",
        "user-agent",
        "v",
        "vmodule",
    ]
)
"""Flags of upstream that have no meaning here: accepted, and noted."""

ALIASES: Final = {"ignore-taint": "startup-taint"}
"""Deprecated names; their values are added to those of the new name."""

Spelling = Callable[[str], str]
"""How the user wrote a flag: as a variable of an environment, or by its name."""

_KNOWN: Final = {field.encode_name.replace("_", "-"): field for field in msgspec.structs.fields(Options)}


# klog's flags, which a variable spells as it does all others.
_WITH_UNDERSCORES: Final = {name.replace("_", "-"): name for name in MEANINGLESS if "_" in name}


def environment_flags(environment: Mapping[str, str]) -> dict[str, str]:
    """Flags by upstream name from the ``AUTOSCALER_*`` variables of an environment; other variables are not looked at."""
    flags = {name.removeprefix(PREFIX).lower().replace("_", "-"): value for name, value in environment.items() if name.startswith(PREFIX)}
    return {_WITH_UNDERSCORES.get(name, name): value for name, value in flags.items()}


def from_environment(environment: Mapping[str, str]) -> Options:
    """Options from ``AUTOSCALER_*`` variables. Raises BadInput listing all faults."""
    return _options(environment_flags(environment), lambda flag: PREFIX + flag.upper().replace("-", "_"))


def from_flags(flags: Mapping[str, str]) -> Options:
    """Options from flags by upstream name, values as texts. Raises BadInput listing all faults."""
    return _options({name.lstrip("-"): value for name, value in flags.items()}, str)


def faults_of(flags: Mapping[str, str]) -> list[tuple[str, str]]:
    """Flags that cannot be used, each with what is wrong with it. That there is no cluster's name is not looked at."""
    return _read_all(flags, str)[1]


def notes_on(flags: Mapping[str, str]) -> tuple[str, ...]:
    """A sentence for each flag that was accepted but does nothing, or under a deprecated name."""
    notes = [f"{name} has no meaning here and is not used" for name in sorted(flags) if name in MEANINGLESS]
    return (*notes, *(f"{name} is deprecated: use {ALIASES[name]}" for name in sorted(flags) if name in ALIASES))


def _options(flags: Mapping[str, str], spelled: Spelling) -> Options:
    values, faults = _read_all(flags, spelled)
    if "cluster-name" not in flags:
        faults.append(("cluster-name", "it is required: the name of the EKS cluster"))
    if faults:
        raise BadInput("settings cannot be used: " + "; ".join(f"{spelled(name)}: {fault}" for name, fault in faults))
    return Options(**values)


def _read_all(flags: Mapping[str, str], spelled: Spelling) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Values by field, and the flags that have none with what is wrong with them."""
    values: dict[str, Any] = {}
    faults: list[tuple[str, str]] = []
    for name, text in _without_aliases(flags).items():
        fault = _read(name, text.strip(), values)
        if fault:
            faults.append((name, fault if fault != _UNKNOWN else _unknown(name, spelled)))
    return values, [*faults, *_contradictions(values, spelled)]


_UNKNOWN: Final = "unknown"


def _without_aliases(flags: Mapping[str, str]) -> dict[str, str]:
    found = {name: value for name, value in flags.items() if name not in ALIASES}
    for old, new in ALIASES.items():
        if old in flags:
            found[new] = ";".join(part for part in (found.get(new, ""), flags[old]) if part)
    return found


def _read(name: str, text: str, values: dict[str, Any]) -> str:
    """Read one flag into ``values``; returns what is wrong with it, or nothing."""
    if name in MEANINGLESS:
        return "must be at least 1" if name == "predicate-parallelism" and text.startswith(("0", "-")) else ""
    if name in UNSUPPORTED:
        allowed = UNSUPPORTED[name]
        return "" if text in allowed else f"{text!r} is not supported here (only: {' or '.join(repr(value) for value in allowed)})"
    field = _KNOWN.get(name)
    if field is None:
        return _UNKNOWN
    try:
        values[field.name] = parser_of(field.name, field.type)(text)
    except ValueError as fault:
        return str(fault)
    return ""


def _unknown(name: str, spelled: Spelling) -> str:
    near = get_close_matches(name, (*_KNOWN, *MEANINGLESS, *UNSUPPORTED, *ALIASES), n=1)
    return f"there is no such option{f'; did you mean {spelled(near[0])}?' if near else ''}"


def _contradictions(values: Mapping[str, Any], spelled: Spelling) -> list[tuple[str, str]]:
    found = []
    allowed, bypassed = values.get("allowed_scheduler_names"), values.get("bypassed_scheduler_names", ())
    strangers = sorted(set(bypassed) - set(allowed)) if allowed else []
    if strangers:
        found.append(("bypassed-scheduler-names", f"{', '.join(strangers)} must also be in {spelled('allowed-scheduler-names')}"))
    if values.get("drain_priority_config") and values.get("max_graceful_termination_sec", DEFAULT_GRACE_SECONDS) != DEFAULT_GRACE_SECONDS:
        found.append(("drain-priority-config", f"this and {spelled('max-graceful-termination-sec')} exclude each other"))
    first, most = values.get("initial_node_group_backoff_duration"), values.get("max_node_group_backoff_duration")
    if first is not None and most is not None and first > most:
        found.append(("initial-node-group-backoff-duration", f"it is longer than {spelled('max-node-group-backoff-duration')}"))
    return found
