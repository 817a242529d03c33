"""What the autoscaler may do inside the cluster, as Kubernetes manifests.

Pure. None of the EKS access policies fits (View and Edit exclude nodes, AdminView reads secrets), so the access entry
puts the function's role into the Kubernetes group ``eks-autoscaling`` and these objects say what the group may do. The
interruption function has a role, an entry and a group of its own, which may do less.
"""

from typing import Any

GROUP = "eks-autoscaling"
INTERRUPTION_GROUP = "eks-autoscaling-interruption"
NAMESPACE = "kube-system"
STATUS_CONFIG_MAP = "cluster-autoscaler-status"
STATE_CONFIG_MAP = "eks-autoscaling-state"
PRIORITY_CONFIG_MAP = "cluster-autoscaler-priority-expander"
LEASE = "eks-autoscaling"

Manifest = dict[str, Any]


def manifests(namespace: str = NAMESPACE, status_config_map: str = STATUS_CONFIG_MAP) -> list[Manifest]:
    """Of the scan: ClusterRole, ClusterRoleBinding, Role and RoleBinding, in the order in which they can be applied.

    ``namespace`` and ``status_config_map`` are the settings ``namespace`` and ``status-config-map-name``.
    """
    inside = {"name": GROUP, "namespace": namespace}
    return [
        {"apiVersion": _API, "kind": "ClusterRole", "metadata": {"name": GROUP}, "rules": _cluster_rules()},
        _binding("ClusterRole", {"name": GROUP}),
        {"apiVersion": _API, "kind": "Role", "metadata": inside, "rules": _namespace_rules(status_config_map)},
        _binding("Role", inside),
    ]


def interruption_manifests() -> list[Manifest]:
    """Of the interruption function: ClusterRole and ClusterRoleBinding. It keeps no object of its own, only marks on nodes."""
    inside = {"name": INTERRUPTION_GROUP}
    return [
        {"apiVersion": _API, "kind": "ClusterRole", "metadata": inside, "rules": _interruption_rules()},
        _binding("ClusterRole", inside),
    ]


_API = "rbac.authorization.k8s.io/v1"


def _cluster_rules() -> list[dict[str, Any]]:
    # Lists are all that a scan reads: it holds no watch, and a single object is a list of one.
    read = ["list"]
    return [
        # What runs where, and what a pending pod asks for.
        _rule("", ["nodes", "pods", "namespaces", "persistentvolumes", "persistentvolumeclaims"], read),
        _rule("storage.k8s.io", ["storageclasses", "csinodes"], read),
        # Who owns a pod and whether it may be moved.
        _rule("", ["replicationcontrollers"], read),
        _rule("apps", ["daemonsets", "replicasets", "statefulsets"], read),
        _rule("batch", ["jobs"], read),
        _rule("policy", ["poddisruptionbudgets"], read),
        # Taint and cordon a node before it goes.
        _rule("", ["nodes"], ["patch"]),
        _rule("", ["pods/eviction"], ["create"]),
        _rule("", ["events"], ["create", "patch"]),
    ]


def _interruption_rules() -> list[dict[str, Any]]:
    return [
        # Find the node of an instance, taint and cordon it, remove its object once the instance is gone.
        _rule("", ["nodes"], ["list", "patch", "delete"]),
        # Empty it: by eviction, and by deletion where an eviction would come too late.
        _rule("", ["pods"], ["list", "delete"]),
        _rule("", ["pods/eviction"], ["create"]),
        _rule("", ["events"], ["create", "patch"]),
    ]


def _namespace_rules(status_config_map: str) -> list[dict[str, Any]]:
    # RBAC cannot restrict create by name: the object does not exist yet.
    return [
        _rule("", ["configmaps"], ["create"]),
        _rule("", ["configmaps"], ["get", "update"], [status_config_map, STATE_CONFIG_MAP]),
        _rule("", ["configmaps"], ["get"], [PRIORITY_CONFIG_MAP]),
        _rule("coordination.k8s.io", ["leases"], ["create"]),
        _rule("coordination.k8s.io", ["leases"], ["get", "update"], [LEASE]),
    ]


def _rule(group: str, resources: list[str], verbs: list[str], resource_names: list[str] | None = None) -> dict[str, Any]:
    rule: dict[str, Any] = {"apiGroups": [group], "resources": resources, "verbs": verbs}
    return rule | ({"resourceNames": resource_names} if resource_names else {})


def _binding(role_kind: str, metadata: dict[str, str]) -> Manifest:
    return {
        "apiVersion": _API,
        "kind": f"{role_kind}Binding",
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": metadata["name"]},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": metadata["name"]}],
    }


def flow_control(groups: list[str]) -> list[Manifest]:
    """API Priority and Fairness for the functions' ``groups``: a priority level of their own and the schema that leads to it.

    A caller from IAM is a plain user to the API server and would share the smallest level with every human. Seats of its own keep a scan
    from being refused (429) while others list much, and others from waiting for a scan. Source: Kubernetes, API Priority and Fairness.
    """
    subjects = [{"kind": "Group", "group": {"name": group}} for group in groups]
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]}
    return [
        {
            "apiVersion": _FLOW_API,
            "kind": "PriorityLevelConfiguration",
            "metadata": {"name": GROUP},
            "spec": {
                "type": "Limited",
                "limited": {
                    "nominalConcurrencyShares": 10,
                    "lendablePercent": 50,
                    "limitResponse": {"type": "Queue", "queuing": {"queues": 8, "handSize": 4, "queueLengthLimit": 50}},
                },
            },
        },
        {
            "apiVersion": _FLOW_API,
            "kind": "FlowSchema",
            "metadata": {"name": GROUP},
            "spec": {
                "matchingPrecedence": 1000,
                "priorityLevelConfiguration": {"name": GROUP},
                "distinguisherMethod": {"type": "ByUser"},
                "rules": [{"subjects": subjects, "resourceRules": [everything]}],
            },
        },
    ]


_FLOW_API = "flowcontrol.apiserver.k8s.io/v1"
