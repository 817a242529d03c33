"""Nodes of the simulated cluster as the kubelet and the cloud provider make them: labels, capacity, conditions, taints."""

from lambda_autoscaler.sim.auto_scaling import SimInstance
from lambda_autoscaler.sim.manifests import NOT_READY_TAINT, Manifest, metadata, node_conditions
from lambda_autoscaler.sim.specification import GroupSpecification, Specification


def node_manifest(specification: Specification, group: GroupSpecification, instance: SimInstance, now: float) -> Manifest:
    """A node that just registered: not ready, and tainted so."""
    shape = specification.instances[instance.type]
    labels = {
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "eks.amazonaws.com/capacityType": group.capacity_type,
        **({} if group.self_managed else {"eks.amazonaws.com/nodegroup": group.name}),
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": instance.node,
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": instance.type,
        "topology.kubernetes.io/region": specification.region,
        "topology.kubernetes.io/zone": instance.zone,
        **group.labels,
    }
    return {
        "metadata": metadata("", instance.node, now, labels),
        "spec": {
            "providerID": f"aws:///{instance.zone}/{instance.id}",
            "taints": [*group.taints, {"key": NOT_READY_TAINT, "effect": "NoSchedule"}],
        },
        "status": {"capacity": shape.capacity, "allocatable": shape.allocatable, "conditions": node_conditions(False, now)},
    }


def ready_node(node: Manifest, now: float) -> Manifest:
    """The same node once its kubelet reports Ready."""
    taints = [taint for taint in node["spec"].get("taints", []) if taint["key"] != NOT_READY_TAINT]
    return {
        **node,
        "spec": {**node["spec"], "taints": taints},
        "status": {**node["status"], "conditions": node_conditions(True, now)},
    }
