"""A cluster with a node group for each way in which a scale-up can go: pods choose theirs by the node label ``team``."""

import pulumi
import pulumi_kubernetes as kubernetes

from eks_autoscaling import Autoscaler, OnDemandNodeGroup, SpotNodeGroup
from tests.cluster.public_cluster import public_cluster, subnets_by_zone

CLUSTER = "eks-spot-managed-node-groups"
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")

config = pulumi.Config()
subnets = subnets_by_zone(ZONES)
cluster = public_cluster(CLUSTER, list(subnets.values()))
system = OnDemandNodeGroup(
    "system",
    {
        "cluster": cluster.ref(),
        "fixed_name": "system",
        "instance_types": ["m5.xlarge"],
        "subnet_ids": list(subnets.values()),
        "min_size": 1,
        "max_size": 2,
    },
)


def declare(
    kind: type[OnDemandNodeGroup] | type[SpotNodeGroup], name: str, *, max_size: int = 5, zone: str = ZONES[0], tainted: bool = False
) -> None:
    """A group without nodes, in one zone, for the team that its name begins with; exported under its name."""
    team = name.partition("-")[0]
    group = kind(
        name,
        {
            "cluster": cluster.ref(),
            "fixed_name": name,
            "instance_types": ["m5.xlarge"],
            "subnet_ids": [subnets[zone]],
            "min_size": 0,
            "max_size": max_size,
            "labels": {"team": team},
            "taints": [{"key": "dedicated", "value": team, "effect": "NoSchedule"}] if tainted else [],
            "node_role_arn": system.node_role_arn,
        },
    )
    pulumi.export(name, group.auto_scaling_group_name)


declare(SpotNodeGroup, "batch-spot", tainted=True)
declare(SpotNodeGroup, "web-spot", max_size=1)
declare(OnDemandNodeGroup, "web-on-demand")
for declared_zone in ZONES:
    declare(SpotNodeGroup, f"api-spot-{declared_zone[-1]}", zone=declared_zone)
declare(SpotNodeGroup, "data-spot")
declare(OnDemandNodeGroup, "data-on-demand")
declare(SpotNodeGroup, "twin-spot")
declare(SpotNodeGroup, "memory-spot")

autoscaler = Autoscaler(
    "autoscaler",
    {
        "cluster": cluster.ref(),
        "settings": config.require_object("settings"),
        "code": pulumi.FileArchive(config.require("functionZip")),
        "kubernetes_provider": kubernetes.Provider("kubernetes", kubeconfig=cluster.kubeconfig),
    },
)
pulumi.export("function_name", autoscaler.function_name)
pulumi.export("function_role_arn", autoscaler.role_arn)
pulumi.export("schedule_name", autoscaler.schedule_name)
