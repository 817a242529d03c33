"""A cluster with two spot groups, one self-managed with a lifecycle hook and one managed: pods choose theirs by the label ``workload``."""

import pulumi
import pulumi_kubernetes as kubernetes

from eks_autoscaling import Autoscaler, OnDemandNodeGroup, SelfManagedNodeGroup, SpotNodeGroup
from tests.cluster.public_cluster import public_cluster, subnets_by_zone

CLUSTER = "eks-spot-managed-node-groups"
SPOT_TYPES = ["m5.xlarge", "m5a.xlarge", "m6i.xlarge"]

config = pulumi.Config()
subnet_ids = list(subnets_by_zone().values())
cluster = public_cluster(CLUSTER, subnet_ids)
system = OnDemandNodeGroup(
    "system",
    {"cluster": cluster.ref(), "instance_types": ["m5.xlarge"], "subnet_ids": subnet_ids, "min_size": 1, "max_size": 2},
)
own = SelfManagedNodeGroup(
    "own",
    {
        "cluster": cluster.ref(),
        "capacity_type": "SPOT",
        "instance_types": SPOT_TYPES,
        "subnet_ids": subnet_ids,
        "min_size": 0,
        "max_size": 80,
        "desired_size": 1,
        "labels": {"workload": "own"},
    },
)
managed = SpotNodeGroup(
    "managed",
    {
        "cluster": cluster.ref(),
        "instance_types": SPOT_TYPES,
        "subnet_ids": subnet_ids,
        "min_size": 0,
        "max_size": 20,
        "desired_size": 1,
        "labels": {"workload": "managed"},
        "node_role_arn": system.node_role_arn,
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
pulumi.export("own", own.auto_scaling_group_name)
pulumi.export("managed", managed.auto_scaling_group_name)
pulumi.export("function_name", autoscaler.function_name)
pulumi.export("function_role_arn", autoscaler.role_arn)
pulumi.export("schedule_name", autoscaler.schedule_name)
pulumi.export("interruption_function_name", autoscaler.interruption_function_name)
pulumi.export("interruption_role_arn", autoscaler.interruption_role_arn)
pulumi.export("dead_letter_queue_url", autoscaler.interruption_dead_letter_queue_url)
