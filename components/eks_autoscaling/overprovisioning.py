"""Room kept free for pods to come: placeholder pods that give way at once, and bring a new node by waiting for room again.

A pod that finds no room takes that of placeholders: kube-scheduler ends them because their priority is lower. Their
Deployment makes new ones, these wait, and the autoscaler adds a node for them. The pod has started meanwhile, instead of
waiting for a node.

Odd parts:

* The priority is -10, the lowest that still counts: pods below the autoscaler's ``expendable-pods-priority-cutoff`` (-10
  by default) bring no node, and the room would not come back. It must be negative, for pods without a priority have 0.
* A PriorityClass cannot change its value, and pods keep the priority that they were made with. The value is therefore in
  the class's name: another value is another class, and the Deployment makes its pods anew.
* Placeholders end no other pods: whatever has a still lower priority works for somebody, they do not.
* There is no PodDisruptionBudget: it would hold up scale-down, which moves placeholders as it does other pods.
* Updates do not wait for the placeholders to run. That they wait for a node is what they are for.
"""

import re
from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_kubernetes as kubernetes

from eks_autoscaling import component_arguments, names
from eks_autoscaling.misuse import ArgumentError

Manifest = dict[str, Any]

DEFAULT_PRIORITY = -10
DEFAULT_NAMESPACE = "default"
DEFAULT_IMAGE = "registry.k8s.io/pause:3.10"
# A name as long as this still leaves room for a hyphen and the priority in that of the class.
NAME_LIMIT = 60
_SKIP_AWAIT = "pulumi.com/skipAwait"
_CPU = re.compile(r"\d+m|\d+(\.\d+)?")
_MEMORY = re.compile(r"\d+(\.\d+)?(k|M|G|T|Ki|Mi|Gi|Ti)")


class Toleration(TypedDict):
    """A taint that placeholder pods tolerate, as in a pod's specification."""

    key: NotRequired[str]
    """Key of the taint; with operator Exists alone it may be absent, for all taints."""
    operator: NotRequired[str]
    """Equal (default): key and value are those of the taint. Exists: any value."""
    value: NotRequired[str]
    """Value of the taint, with operator Equal."""
    effect: NotRequired[str]
    """NoSchedule, NoExecute or PreferNoSchedule; every effect if absent."""


class OverprovisioningArgs(TypedDict):
    """Arguments of ``Overprovisioning``."""

    replicas: int
    """Placeholder pods, 0 or more. Together they are the room that is kept free; 0 keeps none."""
    cpu: str
    """CPU that each placeholder asks for, such as "500m" or "2". One pod to come should fit into one placeholder's room."""
    memory: str
    """Memory that each placeholder asks for, with its unit: "512Mi", "2Gi"."""
    namespace: NotRequired[str]
    """Existing namespace of the placeholders; default if absent. Not kube-system, whose pods keep scale-down from their nodes."""
    priority: NotRequired[int]
    """Priority of the placeholders, -10 (default) to -1. Every pod of a higher one may take their room."""
    node_selector: NotRequired[dict[str, str]]
    """Labels of the nodes that shall have room, such as {"eks.amazonaws.com/capacityType": "SPOT"}; any node if absent."""
    tolerations: NotRequired[Sequence[Toleration]]
    """Taints of the nodes that shall have room."""
    topology_key: NotRequired[str]
    """Node label over whose values the placeholders spread evenly, such as topology.kubernetes.io/zone; not at all if absent."""
    image: NotRequired[str]
    """Image that does nothing, for nodes that cannot pull registry.k8s.io/pause:3.10."""
    kubernetes_provider: NotRequired[kubernetes.Provider]
    """Provider that declares the objects. Without it apply the output ``manifests`` yourself."""


class Overprovisioning(pulumi.ComponentResource):
    """Placeholder pods of negative priority, which keep room free in the cluster. The component's name is that of their Deployment."""

    manifests: pulumi.Output[list[Any]]
    """PriorityClass and Deployment as manifests, in the order in which they can be applied."""

    def __init__(self, name: str, args: OverprovisioningArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError for arguments that cannot work, or under which no room would be kept free."""
        component_arguments.check(args, OverprovisioningArgs)
        super().__init__("eks-autoscaling:index:Overprovisioning", name, None, opts)
        _check(name, args)
        priority_class, deployment = _priority_class(name, args), _deployment(name, args)
        provider = args.get("kubernetes_provider")
        if provider is not None:
            self._declare(name, priority_class, deployment, provider)
        self.manifests = pulumi.Output.from_input([priority_class, deployment])
        self.register_outputs({"manifests": self.manifests})

    def _declare(self, name: str, priority_class: Manifest, deployment: Manifest, provider: kubernetes.Provider) -> None:
        made = kubernetes.scheduling.v1.PriorityClass(
            f"{name}-priority",
            metadata=priority_class["metadata"],
            value=priority_class["value"],
            preemption_policy=priority_class["preemptionPolicy"],
            description=priority_class["description"],
            opts=pulumi.ResourceOptions(parent=self, provider=provider),
        )
        metadata: Any = {**deployment["metadata"], "annotations": {_SKIP_AWAIT: "true"}}
        kubernetes.apps.v1.Deployment(
            f"{name}-placeholders",
            metadata=metadata,
            spec=deployment["spec"],
            # The API server refuses pods of a class that it does not know.
            opts=pulumi.ResourceOptions(parent=self, provider=provider, depends_on=[made]),
        )


def _priority(args: OverprovisioningArgs) -> int:
    return int(args.get("priority", DEFAULT_PRIORITY))


def _class_name(name: str, args: OverprovisioningArgs) -> str:
    return f"{name}{_priority(args)}"


def _priority_class(name: str, args: OverprovisioningArgs) -> Manifest:
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": _class_name(name, args)},
        "value": _priority(args),
        "preemptionPolicy": "Never",
        "description": "Placeholder pods: they give way to every other pod and bring nodes to take their place.",
    }


def _deployment(name: str, args: OverprovisioningArgs) -> Manifest:
    labels = {"app.kubernetes.io/name": "overprovisioning", "app.kubernetes.io/instance": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": args.get("namespace", DEFAULT_NAMESPACE), "labels": labels},
        "spec": {
            "replicas": int(args["replicas"]),
            # New placeholders beside the old ones would bring nodes for the time of an update.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": _pod(name, args, labels)},
        },
    }


def _pod(name: str, args: OverprovisioningArgs, labels: dict[str, str]) -> dict[str, Any]:
    pod: dict[str, Any] = {
        "priorityClassName": _class_name(name, args),
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65535, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(args)],
    }
    if args.get("node_selector"):
        pod["nodeSelector"] = dict(args["node_selector"])
    if args.get("tolerations"):
        pod["tolerations"] = [dict(toleration) for toleration in args["tolerations"]]
    if args.get("topology_key"):
        # What the scheduler merely prefers (ScheduleAnyway) no autoscaler buys nodes for.
        spread = {"maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": labels}}
        pod["topologySpreadConstraints"] = [{"topologyKey": args["topology_key"], **spread}]
    return pod


def _container(args: OverprovisioningArgs) -> dict[str, Any]:
    return {
        "name": "placeholder",
        "image": args.get("image", DEFAULT_IMAGE),
        "resources": {"requests": {"cpu": args["cpu"], "memory": args["memory"]}},
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
    }


def _check(name: str, args: OverprovisioningArgs) -> None:
    names.dns_label(name, "name")
    if len(name) > NAME_LIMIT or name.startswith("system-"):
        raise ArgumentError("name", name, f"use at most {NAME_LIMIT} characters, and not the prefix system-, which Kubernetes reserves")
    names.dns_label(args.get("namespace", DEFAULT_NAMESPACE), "namespace")
    if args.get("namespace") == "kube-system":
        raise ArgumentError("namespace", "kube-system", "choose another: scale-down leaves nodes alone that run pods of kube-system")
    if int(args["replicas"]) < 0:
        raise ArgumentError("replicas", args["replicas"], "use 0 or more")
    if not DEFAULT_PRIORITY <= _priority(args) <= -1:
        remedy = "use -10 to -1: below -10 the autoscaler takes pods for expendable and adds no node, from 0 on they would not give way"
        raise ArgumentError("priority", args.get("priority"), remedy)
    _check_quantity("cpu", args["cpu"], _CPU, 'write a quantity above 0, such as "500m" or "2"')
    _check_quantity("memory", args["memory"], _MEMORY, 'write a quantity above 0 with its unit, such as "512Mi" or "2Gi"')
    names.check_label_forms("node_selector", args.get("node_selector", {}))
    for toleration in args.get("tolerations", []):
        _check_toleration(toleration)


def _check_quantity(argument: str, value: str, form: re.Pattern[str], remedy: str) -> None:
    if not form.fullmatch(value) or not re.search("[1-9]", value):
        raise ArgumentError(argument, value, remedy)


def _check_toleration(toleration: Toleration) -> None:
    operator = toleration.get("operator", "Equal")
    if operator not in ("Equal", "Exists"):
        raise ArgumentError("tolerations", operator, "the operator is Equal or Exists")
    if operator == "Equal" and not toleration.get("key"):
        raise ArgumentError("tolerations", dict(toleration), 'name the key of the taint, or tolerate all with {"operator": "Exists"}')
    if operator == "Exists" and toleration.get("value"):
        raise ArgumentError("tolerations", dict(toleration), "leave the value out: operator Exists takes any")
    if toleration.get("effect", "NoSchedule") not in names.EKS_EFFECTS:
        raise ArgumentError("tolerations", toleration.get("effect"), f"the effect is one of {', '.join(names.EKS_EFFECTS)}")
