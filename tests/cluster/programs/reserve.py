"""A cluster that keeps room free for one pod, and would rather have its next node from one group than from the other."""

import pulumi
import pulumi_kubernetes as kubernetes

from eks_autoscaling import Autoscaler, OnDemandNodeGroup, Overprovisioning, PriorityExpander
from tests.cluster.public_cluster import public_cluster, subnets_by_zone

CLUSTER = "eks-spot-managed-node-groups"

config = pulumi.Config()
subnet_ids = list(subnets_by_zone().values())
cluster = public_cluster(CLUSTER, subnet_ids)
first = OnDemandNodeGroup(
    "first",
    {
        "cluster": cluster.ref(),
        "fixed_name": "first",
        "instance_types": ["m5.xlarge"],
        "subnet_ids": subnet_ids,
        "min_size": 1,
        "max_size": 3,
        "labels": {"team": "shop"},
    },
)
# Of twice the size: what fits best, the expander that comes after the priorities, would not choose it.
preferred = OnDemandNodeGroup(
    "preferred",
    {
        "cluster": cluster.ref(),
        "fixed_name": "preferred",
        "instance_types": ["m5.2xlarge"],
        "subnet_ids": subnet_ids,
        "min_size": 0,
        "max_size": 3,
        "labels": {"team": "shop"},
        "node_role_arn": first.node_role_arn,
    },
)
provider = kubernetes.Provider("kubernetes", kubeconfig=cluster.kubeconfig)
Overprovisioning(
    "reserve",
    {
        "replicas": 1,
        "cpu": "3",
        "memory": "1Gi",
        "node_selector": {"team": "shop"},
        "topology_key": "kubernetes.io/hostname",
        "kubernetes_provider": provider,
    },
)
PriorityExpander("order", {"priorities": {"20": ["^eks-preferred-"], "10": [".*"]}, "kubernetes_provider": provider})
autoscaler = Autoscaler(
    "autoscaler",
    {
        "cluster": cluster.ref(),
        "settings": {"expander": "priority,least-waste"},
        "code": pulumi.FileArchive(config.require("functionZip")),
        "kubernetes_provider": provider,
    },
)
pulumi.export("first", first.auto_scaling_group_name)
pulumi.export("preferred", preferred.auto_scaling_group_name)
pulumi.export("function_name", autoscaler.function_name)
pulumi.export("function_role_arn", autoscaler.role_arn)
pulumi.export("schedule_name", autoscaler.schedule_name)
