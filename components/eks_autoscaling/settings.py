"""The autoscaler's settings: Cluster Autoscaler flag names, and the environment variables the function reads.

Pure. A flag ``--scale-down-unneeded-time`` is the setting ``scale-down-unneeded-time`` and reaches the function as
``AUTOSCALER_SCALE_DOWN_UNNEEDED_TIME``. Names and kinds of values are checked here, so that a typing error is seen in
the preview and not a minute after the deployment.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any

from eks_autoscaling.misuse import ArgumentError

PREFIX = "AUTOSCALER_"
# Joins the values of a flag that upstream takes several times.
LIST_SEPARATOR = ";"

_DURATION = re.compile(r"0|(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+")

_BOOLEANS = """
    balance-similar-node-groups consolidation-across-capacity-types consolidation-enabled cordon-node-before-terminating
    daemonset-eviction-for-empty-nodes daemonset-eviction-for-occupied-nodes drain-on-rebalance emit-per-nodegroup-metrics
    eni-max-pods enforce-node-group-min-size force-delete-unregistered-nodes force-ds ignore-daemonsets-utilization
    ignore-mirror-pods-utilization parallel-scale-up record-duplicated-events salvo-scale-up scale-down-delay-type-local scale-down-enabled
    scale-down-unready-enabled scale-from-unschedulable scale-up-from-zero skip-nodes-with-custom-controller-pods
    skip-nodes-with-local-storage skip-nodes-with-system-pods write-status-configmap
"""
_INTEGERS = """
    expendable-pods-priority-cutoff max-bulk-soft-taint-count max-drain-parallelism max-graceful-termination-sec
    max-nodes-per-scaleup max-nodes-total max-scale-down-parallelism min-replica-count ok-total-unready-count
    random-seed
"""
_NUMBERS = """
    consolidation-saving-threshold max-allocatable-difference-ratio max-free-difference-ratio max-total-unready-percentage
    memory-difference-ratio rebalance-drain-share scale-down-gpu-utilization-threshold scale-down-utilization-threshold
"""
_DURATIONS = """
    blocking-system-pod-distruption-timeout initial-node-group-backoff-duration interruption-risk-ttl
    max-node-group-backoff-duration max-node-provision-time max-node-startup-time
    max-pod-eviction-time new-pod-scale-up-delay node-delete-delay-after-taint
    node-deletion-delay-timeout node-group-backoff-reset-timeout node-info-cache-expire-time
    scale-down-delay-after-add scale-down-delay-after-delete scale-down-delay-after-failure
    scan-interval scale-down-unneeded-time scale-down-unready-time unremovable-node-recheck-timeout
"""
_TEXTS = """
    cores-total drain-priority-config expander memory-total namespace status-config-map-name
"""
_LISTS = """
    allowed-scheduler-names balancing-ignore-label balancing-label bypassed-scheduler-names gpu-total ignore-taint
    node-group-auto-discovery nodes startup-taint startup-taint-prefix status-taint
"""


def _is_integer(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_duration(value: Any) -> bool:
    return isinstance(value, str) and _DURATION.fullmatch(value) is not None


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) and LIST_SEPARATOR not in item for item in value)


_KINDS: tuple[tuple[str, str, Callable[[Any], bool]], ...] = (
    (_BOOLEANS, "True or False", lambda value: isinstance(value, bool)),
    (_INTEGERS, "a whole number", _is_integer),
    (_NUMBERS, "a number", _is_number),
    (_DURATIONS, 'a duration such as "10m" or "1h30m"', _is_duration),
    (_TEXTS, "a text", lambda value: isinstance(value, str)),
    (_LISTS, f"a list of texts without {LIST_SEPARATOR!r}", _is_list),
)

CHECKS: dict[str, tuple[str, Callable[[Any], bool]]] = {name: (form, check) for names, form, check in _KINDS for name in names.split()}


def environment(cluster: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The function's variables for ``settings`` (flag name without dashes in front -> plain value) and its cluster.

    ``cluster`` is passed through untouched, since it may be an output that is not known yet.

    Raises:
        ArgumentError: a name that the autoscaler does not know (with the nearest one it does), or a value of another
            kind than the flag takes.

    """
    for name, value in settings.items():
        _check(name, value)
    variables = {PREFIX + name.replace("-", "_").upper(): _text(value) for name, value in settings.items()}
    return {f"{PREFIX}CLUSTER_NAME": cluster, **variables}


def _check(name: str, value: Any) -> None:
    if name not in CHECKS:
        nearest = difflib.get_close_matches(name.removeprefix("--"), CHECKS, n=1)
        hint = f"did you mean {nearest[0]!r}?" if nearest else "names are those of the Cluster Autoscaler's flags"
        raise ArgumentError("settings", name, f"the autoscaler has no such setting; {hint}")
    form, accepts = CHECKS[name]
    if not accepts(value):
        raise ArgumentError(f"settings[{name!r}]", value, f"write {form}")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return LIST_SEPARATOR.join(value)
    # The plugin host hands whole numbers over as floats.
    return str(int(value)) if _is_integer(value) else str(value)
