"""The tutorial: a cluster, an on-demand group for system pods, a spot group for everything else, and their autoscaler.

``pulumi up`` at the repository's root runs it; ``configuration.py`` beside it lists what can be configured.
"""

import pulumi
import pulumi_kubernetes as kubernetes
from configuration import Configuration
from network import public_subnets

from eks_autoscaling import Autoscaler, Cluster, OnDemandNodeGroup, SpotNodeGroup

config = Configuration.read()
subnet_ids = config.subnet_ids or public_subnets(config.cluster_name)

cluster = Cluster(
    config.cluster_name,
    {
        "subnet_ids": subnet_ids,
        "admins": config.admins,
        "version": config.kubernetes_version,
        "public_access_cidrs": config.public_access_cidrs,
    },
)

on_demand = OnDemandNodeGroup(
    "on-demand-4vcpu-16gb",
    {
        "cluster": cluster.ref(),
        "fixed_name": "on-demand-4vcpu-16gb",
        "instance_types": ["m5.xlarge"],
        "subnet_ids": subnet_ids,
        "min_size": 2,
        "max_size": 5,
    },
)

spot = SpotNodeGroup(
    "spot-4vcpu-16gb",
    {
        "cluster": cluster.ref(),
        "fixed_name": "spot-4vcpu-16gb",
        "instance_types": [f"{family}.xlarge" for family in ("m5", "m4", "m5a", "m5d", "m5n", "m5ad", "m5dn")],
        "subnet_ids": subnet_ids,
        "min_size": 2,
        "max_size": 20,
        "node_role_arn": on_demand.node_role_arn,
    },
)

# By the time a group stands, the deployer's access holds everywhere.
provider = kubernetes.Provider("kubernetes", kubeconfig=cluster.kubeconfig, opts=pulumi.ResourceOptions(depends_on=[on_demand]))
autoscaler = Autoscaler(
    "autoscaler",
    {
        "cluster": cluster.ref(),
        "settings": config.settings,
        "code": config.code,
        "reserved_concurrency": 1 if config.reserve_concurrency else -1,
        "kubernetes_provider": provider,
    },
)

pulumi.export("cluster_name", cluster.name)
pulumi.export("kubeconfig", cluster.kubeconfig)
pulumi.export("spot_auto_scaling_group", spot.auto_scaling_group_name)
pulumi.export("on_demand_auto_scaling_group", on_demand.auto_scaling_group_name)
pulumi.export("function_name", autoscaler.function_name)
pulumi.export("function_role_arn", autoscaler.role_arn)
pulumi.export("schedule_name", autoscaler.schedule_name)
pulumi.export("log_group", autoscaler.log_group_name)
pulumi.export("interruption_function_name", autoscaler.interruption_function_name)
pulumi.export("interruption_role_arn", autoscaler.interruption_role_arn)
pulumi.export("interruption_log_group", autoscaler.interruption_log_group_name)
pulumi.export("interruption_queue_url", autoscaler.interruption_queue_url)
pulumi.export("interruption_dead_letter_queue_url", autoscaler.interruption_dead_letter_queue_url)
