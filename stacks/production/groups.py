"""The node groups. Types of a group are alike in vCPUs and memory; the more of them, the seldomer spot capacity runs out.

Pulumi refuses to delete or replace them: for another list of types declare a new group beside the old one.
"""

import pulumi

from eks_autoscaling import ClusterRef, NodeGroupArgs, OnDemandNodeGroup, SpotNodeGroup, Taint, VpcCniSettings, ZonalNodeGroups

# CoreDNS and the controllers of the add-ons tolerate it; what must not be interrupted can do so too.
CRITICAL: Taint = {"key": "CriticalAddonsOnly", "value": "true", "effect": "NoSchedule"}
VPC_CNI: VpcCniSettings = {"prefix_delegation": True}
GENERAL = ("m5", "m5a", "m5d", "m5n", "m6i", "m6a", "m7i", "m7a")
MEMORY = ("r5", "r5a", "r5d", "r5n", "r6i", "r6a", "r7i", "r7a")


def declare(cluster: ClusterRef, subnets: dict[str, str], options: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    """The groups, each in all zones of ``subnets`` or, for pods with volumes, one in each."""
    shared: NodeGroupArgs = {
        "cluster": cluster,
        "subnet_ids": list(subnets.values()),
        "instance_types": ["m7i.xlarge", "m6i.xlarge"],
        "min_size": 3,
        "max_size": 6,
        "vpc_cni": VPC_CNI,
        "node_repair": True,
        "protect": True,
    }
    operations = OnDemandNodeGroup(
        "operations",
        {
            **shared,
            "labels": {"workload": "operations"},
            "taints": [CRITICAL],
        },
        options,
    )
    spot: NodeGroupArgs = {**shared, "max_size": 30, "node_role_arn": operations.node_role_arn}
    return [
        operations,
        SpotNodeGroup("spot-4vcpu-16gb", {**spot, "instance_types": [f"{family}.xlarge" for family in GENERAL]}, options),
        SpotNodeGroup("spot-8vcpu-32gb", {**spot, "instance_types": [f"{family}.2xlarge" for family in GENERAL], "min_size": 0}, options),
        ZonalNodeGroups(
            "spot-volumes",
            {
                "capacity_type": "SPOT",
                "zones": list(subnets),
                "group": {
                    **spot,
                    "instance_types": [f"{family}.xlarge" for family in MEMORY],
                    "min_size": 0,
                    "max_size": 10,
                    "labels": {"workload": "volumes"},
                    "taints": [{"key": "workload", "value": "volumes", "effect": "NoSchedule"}],
                },
            },
            options,
        ),
    ]
