"""A cluster with a managed on-demand group for system pods and a self-managed spot group for the pods of ``workload: spot``."""

import pulumi
import pulumi_kubernetes as kubernetes

from eks_autoscaling import Autoscaler, OnDemandNodeGroup, SelfManagedNodeGroup
from tests.cluster.public_cluster import public_cluster, subnets_by_zone

CLUSTER = "eks-spot-managed-node-groups"

config = pulumi.Config()
subnet_ids = list(subnets_by_zone().values())
cluster = public_cluster(CLUSTER, subnet_ids)
OnDemandNodeGroup(
    "system",
    {
        "cluster": cluster.ref(),
        "fixed_name": "system",
        "instance_types": ["m5.xlarge"],
        "subnet_ids": subnet_ids,
        "min_size": 1,
        "max_size": 2,
    },
)
spot = SelfManagedNodeGroup(
    "spot",
    {
        "cluster": cluster.ref(),
        "capacity_type": "SPOT",
        "instance_types": ["m5.xlarge", "m5a.xlarge", "m6i.xlarge"],
        "subnet_ids": subnet_ids,
        "min_size": 0,
        "max_size": 6,
        "desired_size": 2,
        "labels": {"workload": "spot"},
        "tags": {"team": "shop"},
    },
)
autoscaler = Autoscaler(
    "autoscaler",
    {
        "cluster": cluster.ref(),
        "settings": config.get_object("settings") or {},
        "code": pulumi.FileArchive(config.require("functionZip")),
        "kubernetes_provider": kubernetes.Provider("kubernetes", kubeconfig=cluster.kubeconfig),
    },
)
pulumi.export("spot", spot.auto_scaling_group_name)
pulumi.export("spot_node_role_arn", spot.node_role_arn)
pulumi.export("spot_launch_template", spot.launch_template_id)
pulumi.export("function_name", autoscaler.function_name)
pulumi.export("function_role_arn", autoscaler.role_arn)
pulumi.export("schedule_name", autoscaler.schedule_name)
