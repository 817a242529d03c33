"""The priority expander's ConfigMap: which groups grow first, checked before it reaches the cluster.

The autoscaler reads it in every scan when the setting ``expander`` names ``priority``. A table that it cannot read makes
it choose among all groups again, with an event that is easily missed.

Odd parts:

* The expressions are Python's, for the function is written in it, and may match anywhere in the name of an Auto Scaling
  group. That of a managed node group is ``eks-GROUP-UUID``.
* Groups that no expression matches are left out as long as one that is matched can do, so end with a ".*".
* Pulumi's Kubernetes provider replaces a ConfigMap whose data change, and a scan in between finds none. A provider with
  ``enable_config_map_mutable`` updates it in place.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_kubernetes as kubernetes

from eks_autoscaling import component_arguments, names, rbac
from eks_autoscaling.misuse import ArgumentError


class PriorityExpanderArgs(TypedDict):
    """Arguments of ``PriorityExpander``."""

    priorities: dict[str, Sequence[str]]
    """Priority -> regular expressions of names of Auto Scaling groups: {"20": [".*spot.*"], "10": [".*"]}. Priorities are whole
    numbers, 0 or more, as text; the highest that matches a group counts, and the groups with the highest grow first."""
    namespace: NotRequired[str]
    """Namespace of the ConfigMap; kube-system if absent. Must be that of the autoscaler's setting ``namespace``."""
    kubernetes_provider: NotRequired[kubernetes.Provider]
    """Provider that declares the ConfigMap. Without it apply the output ``manifests`` yourself."""


class PriorityExpander(pulumi.ComponentResource):
    """The ConfigMap ``cluster-autoscaler-priority-expander``. One per cluster, for an autoscaler whose expander is ``priority``."""

    manifests: pulumi.Output[list[Any]]
    """The ConfigMap as a manifest, in a list as those of other components."""

    def __init__(self, name: str, args: PriorityExpanderArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError for a table that the autoscaler could not use."""
        component_arguments.check(args, PriorityExpanderArgs)
        super().__init__("eks-autoscaling:index:PriorityExpander", name, None, opts)
        manifest: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": rbac.PRIORITY_CONFIG_MAP,
                "namespace": names.dns_label(args.get("namespace", rbac.NAMESPACE), "namespace"),
            },
            "data": {"priorities": _yaml(_table(args["priorities"]))},
        }
        provider = args.get("kubernetes_provider")
        if provider is not None:
            options = pulumi.ResourceOptions(parent=self, provider=provider)
            kubernetes.core.v1.ConfigMap(f"{name}-priorities", metadata=manifest["metadata"], data=manifest["data"], opts=options)
        self.manifests = pulumi.Output.from_input([manifest])
        self.register_outputs({"manifests": self.manifests})


def _table(priorities: dict[str, Sequence[str]]) -> dict[int, list[str]]:
    """The checked table, the highest priority first."""
    if not priorities:
        raise ArgumentError("priorities", priorities, 'name at least one priority, such as {"10": [".*"]}')
    table: dict[int, list[str]] = {}
    for key, patterns in priorities.items():
        priority = _priority(key)
        if priority in table:
            raise ArgumentError("priorities", key, f"priority {priority} occurs twice; put its expressions into one list")
        table[priority] = _patterns(key, patterns)
    return dict(sorted(table.items(), reverse=True))


def _priority(key: object) -> int:
    if not re.fullmatch("[0-9]+", str(key)):
        raise ArgumentError("priorities", key, "a priority is a whole number, 0 or more; the expander never chooses a negative one")
    return int(str(key))


def _patterns(key: str, patterns: Sequence[str]) -> list[str]:
    if not patterns:
        raise ArgumentError("priorities", patterns, f'give priority {key} a list of regular expressions, such as [".*spot.*"]')
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as fault:
            raise ArgumentError("priorities", pattern, f"priority {key} needs regular expressions as Python reads them: {fault}") from None
        if not pattern.isprintable():
            raise ArgumentError("priorities", pattern, "no group's name has such characters, and YAML does not take them; leave them out")
    return list(patterns)


def _yaml(table: dict[int, list[str]]) -> str:
    """The table in YAML, of which JSON's quoted strings are a part: no backslash of an expression is read as something else."""
    lines = []
    for priority, patterns in table.items():
        lines += [f"{priority}:", *(f"  - {json.dumps(pattern, ensure_ascii=False)}" for pattern in patterns)]
    return "\n".join(lines) + "\n"
