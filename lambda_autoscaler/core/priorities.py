"""The priority expander's ConfigMap (behaviour specification, section 5.2)."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from lambda_autoscaler.core.model import Priorities

PRIORITY_CONFIG_MAP: Final = "cluster-autoscaler-priority-expander"


def read_priorities(data: Mapping[str, str] | None) -> Priorities:
    """The priority table from the data of its ConfigMap (None: there is none)."""
    if data is None:
        return Priorities()
    if "priorities" not in data:
        return Priorities(fault="Wrong configmap for priority expander, doesn't contain priorities key. Ignoring update.")
    wrong = "Wrong configuration for priority expander: {}. Ignoring update."
    if not data["priorities"].strip():
        cause = f"priority configuration in {PRIORITY_CONFIG_MAP} configmap is empty; please provide valid configuration"
        return Priorities(fault=wrong.format(cause))
    try:
        table = msgspec.yaml.decode(data["priorities"], type=dict[int, tuple[str, ...]], strict=False)
        for pattern in (pattern for patterns in table.values() for pattern in patterns):
            re.compile(pattern)
    except (re.error, msgspec.DecodeError) as fault:
        return Priorities(fault=wrong.format(f"Can't parse YAML with priorities in the configmap: {fault}"))
    return Priorities(table)
