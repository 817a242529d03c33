"""The Node object an EKS instance registers: well-known labels, provider id, what its type offers.

Labels: https://kubernetes.io/docs/reference/labels-annotations-taints/
"""

from dataclasses import dataclass
from typing import Any

from tests.cluster.node_shapes import NodeShape


@dataclass(frozen=True)
class NodeGroup:
    """Labels and taints that every node of a group registers with, and how many pods its user data lets it take."""

    labels: dict[str, str]
    taints: list[dict[str, str]]
    max_pods: int | None = None


def instance_type_of(reported: str, group: dict[str, Any]) -> str:
    """moto launches the launch template's type whatever the overrides say: then the first override is meant."""
    template = group.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {})
    overrides = [override["InstanceType"] for override in template.get("Overrides", ()) if "InstanceType" in override]
    return reported if not overrides or reported in overrides else overrides[0]


def node_manifest(machine: dict[str, Any], instance_type: str, region: str, shape: NodeShape, group: NodeGroup) -> dict[str, Any]:
    """The Node that an instance (one of EC2's DescribeInstances) registers at boot; kwok makes it ready."""
    name, zone = machine["PrivateDnsName"], machine["Placement"]["AvailabilityZone"]
    labels = {
        "beta.kubernetes.io/arch": shape.architecture,
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": shape.architecture,
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": instance_type,
        "topology.kubernetes.io/region": region,
        "topology.kubernetes.io/zone": zone,
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {**labels, **group.labels}},
        "spec": {"providerID": f"aws:///{zone}/{machine['InstanceId']}", "taints": group.taints},
        "status": {
            "capacity": shape.capacity,
            "allocatable": shape.allocatable,
            "addresses": [
                {"type": "InternalIP", "address": machine["PrivateIpAddress"]},
                {"type": "Hostname", "address": name},
            ],
            "nodeInfo": _node_info(machine["InstanceId"], shape.architecture),
        },
    }


def _node_info(instance_id: str, architecture: str) -> dict[str, str]:
    return {
        "machineID": instance_id,
        "systemUUID": instance_id,
        "bootID": instance_id,
        "kernelVersion": "6.12.40-63.114.amzn2023",  # a bare number would be unquoted by kwok, and refused
        "osImage": "Amazon Linux 2023",
        "containerRuntimeVersion": "containerd://2.1",
        "kubeletVersion": "v1.34.4",
        "kubeProxyVersion": "",
        "operatingSystem": "linux",
        "architecture": architecture,
    }
