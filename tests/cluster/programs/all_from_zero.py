"""A cluster whose every node group may go to zero nodes, and has none to begin with."""

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from eks_autoscaling import Autoscaler, OnDemandNodeGroup, SpotNodeGroup
from tests.cluster.public_cluster import public_cluster, subnets_by_zone

CLUSTER = "eks-spot-managed-node-groups"

config = pulumi.Config()
subnet_ids = list(subnets_by_zone().values())
cluster = public_cluster(CLUSTER, subnet_ids)
general = OnDemandNodeGroup(
    "general",
    {
        "cluster": cluster.ref(),
        "fixed_name": "general",
        "instance_types": ["m5.xlarge"],
        "subnet_ids": subnet_ids,
        "min_size": 0,
        "max_size": 3,
        "labels": {"team": "general"},
    },
)
batch = SpotNodeGroup(
    "batch",
    {
        "cluster": cluster.ref(),
        "fixed_name": "batch",
        "instance_types": ["m5.xlarge"],
        "subnet_ids": subnet_ids,
        "min_size": 0,
        "max_size": 3,
        "labels": {"team": "batch"},
        "taints": [{"key": "dedicated", "value": "batch", "effect": "NoSchedule"}],
        "node_role_arn": general.node_role_arn,
    },
)
# Not of our components: EKS alone knows its label and its taint, no tag repeats them.
untagged = aws.eks.NodeGroup(
    "untagged",
    cluster_name=cluster.name,
    node_group_name="untagged",
    node_role_arn=general.node_role_arn,
    subnet_ids=subnet_ids,
    capacity_type="ON_DEMAND",
    instance_types=["m5.xlarge"],
    scaling_config={"min_size": 0, "max_size": 3, "desired_size": 0},
    labels={"team": "untagged"},
    taints=[{"key": "dedicated", "value": "untagged", "effect": "NO_SCHEDULE"}],
)
autoscaler = Autoscaler(
    "autoscaler",
    {
        "cluster": cluster.ref(),
        "settings": config.require_object("settings"),
        "code": pulumi.FileArchive(config.require("functionZip")),
        "kubernetes_provider": kubernetes.Provider("kubernetes", kubeconfig=cluster.kubeconfig),
    },
)
pulumi.export("general", general.auto_scaling_group_name)
pulumi.export("batch", batch.auto_scaling_group_name)
pulumi.export("untagged", untagged.resources[0].autoscaling_groups[0].name)
pulumi.export("function_name", autoscaler.function_name)
pulumi.export("function_role_arn", autoscaler.role_arn)
pulumi.export("schedule_name", autoscaler.schedule_name)
