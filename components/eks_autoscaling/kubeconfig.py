"""The kubeconfig of a cluster: it authenticates through the AWS command line and holds no secret."""

from typing import Any, NotRequired, TypedDict

import pulumi

from eks_autoscaling import policies


class KubeconfigCredentials(TypedDict):
    """Which AWS credentials the kubeconfig uses, where they are not those of the environment."""

    profile: NotRequired[str]
    """Profile of the AWS command line, as in the stack's configuration ``aws:profile``."""
    role_arn: NotRequired[str]
    """Role to take, as an AWS provider with ``assume_roles`` does."""


def kubeconfig(
    arn: pulumi.Output[str],
    name: pulumi.Output[str],
    endpoint: pulumi.Output[str],
    authority: pulumi.Output[str],
    credentials: KubeconfigCredentials,
) -> pulumi.Output[str]:
    """JSON of a kubeconfig with one context, named after the cluster; ``authority`` is base64 of the PEM."""
    region = arn.apply(lambda value: policies.ClusterArn(value).region)
    role = ["--role-arn", credentials["role_arn"]] if "role_arn" in credentials else []
    command: dict[str, Any] = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": "aws",
        "args": ["--region", region, "eks", "get-token", "--cluster-name", name, "--output", "json", *role],
    }
    if "profile" in credentials:
        command["env"] = [{"name": "AWS_PROFILE", "value": credentials["profile"]}]
    config: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": endpoint, "certificate-authority-data": authority}}],
        "users": [{"name": name, "user": {"exec": command}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    return pulumi.Output.json_dumps(config)
