"""A cluster with a node group for each thing that alarms and panels tell of; pods choose theirs by the label ``team``."""

import pulumi
import pulumi_kubernetes as kubernetes

from eks_autoscaling import Autoscaler, OnDemandNodeGroup, SelfManagedNodeGroup
from tests.cluster.public_cluster import public_cluster, subnets_by_zone

CLUSTER = "eks-spot-managed-node-groups"

config = pulumi.Config()
subnet_ids = list(subnets_by_zone().values())
cluster = public_cluster(CLUSTER, subnet_ids)
spot = SelfManagedNodeGroup(
    "spot",
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
pulumi.export("spot", spot.auto_scaling_group_name)


def on_demand(name: str, team: str, instance_type: str) -> None:
    """A group without nodes, exported under its name."""
    group = OnDemandNodeGroup(
        name,
        {
            "cluster": cluster.ref(),
            "instance_types": [instance_type],
            "subnet_ids": subnet_ids,
            "min_size": 0,
            "max_size": 3,
            "labels": {"team": team},
        },
    )
    pulumi.export(name, group.auto_scaling_group_name)


on_demand("scarce", "scarce", "m5.xlarge")
on_demand("pair", "pair", "m5.xlarge")
on_demand("dear", "shop", "m5.2xlarge")
on_demand("cheap", "shop", "m5.large")
autoscaler = Autoscaler(
    "autoscaler",
    {
        "cluster": cluster.ref(),
        "settings": config.require_object("settings"),
        # A scan stays with a drain for as long as it has time, but for ten seconds: here that is soon over.
        "timeout_seconds": 15,
        "code": pulumi.FileArchive(config.require("functionZip")),
        "kubernetes_provider": kubernetes.Provider("kubernetes", kubeconfig=cluster.kubeconfig),
    },
)
pulumi.export("function_name", autoscaler.function_name)
pulumi.export("interruption_function_name", autoscaler.interruption_function_name)
pulumi.export("dashboard", autoscaler.dashboard_name)
