"""The autoscaler alone, for a cluster and node groups that exist, and that whoever deploys cannot reach.

Nothing is declared inside the cluster. From a host that reaches it, as an administrator, apply what the functions need there:
``pulumi stack output manifests --json | kubectl apply -f -``. Until then scans fail. Remove another autoscaler of the cluster first.
"""

import pulumi
import pulumi_aws as aws
from configuration import Configuration

from eks_autoscaling import Autoscaler

config = Configuration.read()
DISCOVERY_TAGS = {
    "k8s.io/cluster-autoscaler/enabled": "true",
    f"k8s.io/cluster-autoscaler/{config.cluster_name}": "owned",
}

for group in config.untagged_groups:
    for key, value in DISCOVERY_TAGS.items():
        aws.autoscaling.Tag(
            f"{group}-{key}",
            autoscaling_group_name=group,
            tag={"key": key, "value": value, "propagate_at_launch": False},
        )

autoscaler = Autoscaler(
    "autoscaler",
    {
        "cluster": {"name": config.cluster_name, "arn": config.cluster_arn},
        "settings": config.settings,
        "network": config.network,
        "code": config.code,
    },
)

pulumi.export("manifests", {"apiVersion": "v1", "kind": "List", "items": autoscaler.manifests})
pulumi.export("function_name", autoscaler.function_name)
pulumi.export("function_role_arn", autoscaler.role_arn)
pulumi.export("interruption_function_name", autoscaler.interruption_function_name)
