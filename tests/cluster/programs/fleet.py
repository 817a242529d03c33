"""Two clusters with a spot group each, and one autoscaler for both."""

import pulumi
import pulumi_kubernetes as kubernetes

from eks_autoscaling import Autoscaler, Cluster, SelfManagedNodeGroup
from tests.cluster.public_cluster import public_cluster, subnets_by_zone

CLUSTERS = ("north", "south")

config = pulumi.Config()
subnet_ids = list(subnets_by_zone().values())


def declare(name: str) -> Cluster:
    """A cluster and its group, whose Auto Scaling group is exported under the cluster's name."""
    cluster = public_cluster(name, subnet_ids)
    group = SelfManagedNodeGroup(
        f"{name}-spot",
        {
            "cluster": cluster.ref(),
            "capacity_type": "SPOT",
            "instance_types": ["m5.xlarge", "m5a.xlarge", "m6i.xlarge"],
            "subnet_ids": subnet_ids,
            "min_size": 0,
            "max_size": 5,
            "desired_size": 1,
            "labels": {"team": "batch"},
        },
    )
    pulumi.export(name, group.auto_scaling_group_name)
    return cluster


north, south = (declare(name) for name in CLUSTERS)
autoscaler = Autoscaler(
    "autoscaler",
    {
        "cluster": north.ref(),
        "kubernetes_provider": kubernetes.Provider("north", kubeconfig=north.kubeconfig),
        "fleet": {
            "south": {"cluster": south.ref(), "kubernetes_provider": kubernetes.Provider("south", kubeconfig=south.kubeconfig)},
        },
        "settings": {"scale-down-enabled": False},
        "code": pulumi.FileArchive(config.require("functionZip")),
    },
)
pulumi.export("function_name", autoscaler.function_name)
pulumi.export("interruption_function_name", autoscaler.interruption_function_name)
pulumi.export("schedule_name", autoscaler.schedule_name)
pulumi.export("fleet_schedule_names", autoscaler.fleet_schedule_names)
