"""The kubeconfig of a cluster: it authenticates through the AWS command line and holds no secret."""

from typing import Any

import pulumi

from eks_autoscaling import policies


def kubeconfig(
    arn: pulumi.Output[str], name: pulumi.Output[str], endpoint: pulumi.Output[str], authority: pulumi.Output[str]
) -> pulumi.Output[str]:
    """JSON of a kubeconfig with one context, named after the cluster; ``authority`` is base64 of the PEM."""
    region = arn.apply(lambda value: policies.ClusterArn(value).region)
    command = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": "aws",
        "args": ["--region", region, "eks", "get-token", "--cluster-name", name, "--output", "json"],
    }
    config: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": endpoint, "certificate-authority-data": authority}}],
        "users": [{"name": name, "user": {"exec": command}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    return pulumi.Output.json_dumps(config)
