"""A cluster in subnets that exist, nodes for system pods, spot nodes for the rest, and the autoscaler of both."""

import pulumi
import pulumi_kubernetes as kubernetes

from eks_autoscaling import Autoscaler, Cluster, OnDemandNodeGroup, SpotNodeGroup

config = pulumi.Config()
subnets = config.require_object("subnetIds")
cluster = Cluster("shop", {"subnet_ids": subnets, "admins": {"team": config.require("adminRoleArn")}, "public_access_cidrs": ["0.0.0.0/0"]})
ref = cluster.ref()
system = OnDemandNodeGroup("system", {"cluster": ref, "subnet_ids": subnets, "instance_types": ["m5.xlarge"], "min_size": 2, "max_size": 5})
SpotNodeGroup("work", {"cluster": ref, "subnet_ids": subnets, "instance_types": ["m5.xlarge", "m5a.xlarge"], "min_size": 0, "max_size": 20})
provider = kubernetes.Provider("kubernetes", kubeconfig=cluster.kubeconfig, opts=pulumi.ResourceOptions(depends_on=[system]))
Autoscaler("autoscaler", {"cluster": ref, "settings": {"expander": "least-waste"}, "kubernetes_provider": provider})
