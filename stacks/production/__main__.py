"""A private cluster in three zones: on-demand nodes for operations, spot nodes of two shapes, and spot nodes by zone for pods with volumes.

Deploy from where the VPC can be reached: the API endpoint is private. ``configuration.py`` beside it lists what can be configured.
"""

import groups
import pulumi
import pulumi_kubernetes as kubernetes
from configuration import Configuration

from eks_autoscaling import AddOns, Autoscaler, Cluster, NodeAddOns, Overprovisioning, PriorityExpander

config = Configuration.read()
subnet_ids = list(config.subnet_ids.values())
cluster = Cluster(
    config.cluster_name,
    {
        "subnet_ids": subnet_ids,
        "admins": config.admins,
        "version": config.kubernetes_version,
        "bootstrap_add_ons": False,
        "zonal_shift": True,
        "deletion_protection": True,
        "log_retention_days": 365,
    },
)
on_nodes = NodeAddOns("node-add-ons", {"cluster": cluster.ref(), "vpc_cni": groups.VPC_CNI})
nodes = groups.declare(cluster.ref(), config.subnet_ids, pulumi.ResourceOptions(depends_on=[on_nodes]))
# By the time the groups stand, the deployer's access holds everywhere.
provider = kubernetes.Provider(
    "kubernetes",
    kubeconfig=cluster.kubeconfig,
    enable_config_map_mutable=True,
    opts=pulumi.ResourceOptions(depends_on=nodes),
)
AddOns(
    "add-ons",
    {"cluster": cluster.ref(), "ebs_csi_driver": True, "metrics_server": True, "cloudwatch_observability": True},
    pulumi.ResourceOptions(depends_on=nodes),
)
PriorityExpander("spot-first", {"priorities": {"20": ["^eks-spot-"], "10": [".*"]}, "kubernetes_provider": provider})
Overprovisioning(
    "room",
    {
        "replicas": 3,
        "cpu": "1",
        "memory": "2Gi",
        "topology_key": "topology.kubernetes.io/zone",
        "kubernetes_provider": provider,
    },
)
autoscaler = Autoscaler(
    "autoscaler",
    {
        "cluster": cluster.ref(),
        "settings": {
            "expander": "priority,least-waste",
            "balance-similar-node-groups": True,
            # Else groups by zone without nodes look different from those that have some.
            "balancing-ignore-label": ["nodegroup-name"],
            "scale-down-unneeded-time": "15m",
        },
        "network": {"vpc_id": config.vpc_id, "subnet_ids": subnet_ids, "cluster_security_group_id": cluster.security_group_id},
        "interruption": True,
        "alarm_topic_arns": config.alarm_topic_arns,
        "code": config.code,
        "kubernetes_provider": provider,
    },
)

pulumi.export("cluster_name", cluster.name)
pulumi.export("kubeconfig", cluster.kubeconfig)
pulumi.export("function_name", autoscaler.function_name)
pulumi.export("interruption_function_name", autoscaler.interruption_function_name)
pulumi.export("dashboard", autoscaler.dashboard_name)
