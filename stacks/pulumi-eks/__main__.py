"""A cluster of the package pulumi-eks, with node groups, the role of an application and an autoscaler of this one.

The components take names and ARNs of the cluster, never the object. Needs the extra ``eks`` of this package.
"""

import pulumi
import pulumi_eks as eks
import pulumi_kubernetes as kubernetes
from configuration import Configuration

from eks_autoscaling import Autoscaler, ClusterRef, OnDemandNodeGroup, ServiceAccountRole, SpotNodeGroup

config = Configuration.read()
cluster = eks.Cluster(
    "shop",
    vpc_id=config.vpc_id,
    private_subnet_ids=config.subnet_ids,
    authentication_mode=eks.AuthenticationMode.API,
    create_oidc_provider=True,
    # Managed nodes have the cluster security group, and need neither the group nor the nodes that pulumi-eks would add.
    skip_default_node_group=True,
    skip_default_security_groups=True,
)
ref: ClusterRef = {
    "name": cluster.eks_cluster.name,
    "arn": cluster.eks_cluster.arn,
    "version": cluster.eks_cluster.version,
    "oidc_provider_arn": cluster.oidc_provider_arn,
}
system = OnDemandNodeGroup(
    "system",
    {"cluster": ref, "subnet_ids": config.subnet_ids, "instance_types": ["m7i.xlarge", "m6i.xlarge"], "min_size": 2, "max_size": 5},
)
spot = SpotNodeGroup(
    "spot",
    {
        "cluster": ref,
        "subnet_ids": config.subnet_ids,
        "instance_types": [f"{family}.xlarge" for family in ("m5", "m5a", "m5d", "m5n", "m6i", "m6a", "m7i", "m7a")],
        "min_size": 0,
        "max_size": 20,
        "node_role_arn": system.node_role_arn,
    },
)
reader = ServiceAccountRole(
    "reader",
    {
        "cluster": ref,
        "namespace": "shop",
        "service_account": "reader",
        "policy_documents": {
            "bucket": {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{config.bucket_arn}/*"}],
            }
        },
    },
)
autoscaler = Autoscaler(
    "autoscaler",
    {
        "cluster": ref,
        "settings": {"expander": "least-waste"},
        "code": config.code,
        "kubernetes_provider": kubernetes.Provider("kubernetes", kubeconfig=cluster.kubeconfig_json),
    },
)

pulumi.export("kubeconfig", cluster.kubeconfig)
pulumi.export("spot_auto_scaling_group", spot.auto_scaling_group_name)
pulumi.export("service_account_annotations", reader.annotations)
pulumi.export("function_name", autoscaler.function_name)
