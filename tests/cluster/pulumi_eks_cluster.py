"""What the provider of pulumi-eks makes of its component ``Cluster``, which mocks get as one resource without children.

Its output ``eksCluster`` is a reference to a resource: the SDK asks the monitor for that by its URN.
"""

import json
from collections.abc import Mapping
from typing import Any

from pulumi.runtime import mocks, rpc

from tests.cluster.aws_world import AwsWorld
from tests.cluster.pulumi_rows import Handler, Inputs

CLUSTER_COMPONENT = "eks:index:Cluster"
_CLUSTER = "aws:eks/cluster:Cluster"
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "eks.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def create_cluster(
    world: AwsWorld, handlers: Mapping[str, Handler], name: str, inputs: Inputs
) -> tuple[dict[str, Any], mocks.MockMonitor.ResourceRegistration]:
    """Create role, cluster and OIDC provider in ``world``; the component's outputs, and the cluster for the monitor to know."""
    _, role = handlers["aws:iam/role:Role"](world, f"{name}-eksRole", {"assumeRolePolicy": json.dumps(_TRUST)})
    cluster = {
        "name": f"{name}-eksCluster-1a2b3c4",
        "roleArn": role["arn"],
        "accessConfig": {"authenticationMode": inputs["authenticationMode"], "bootstrapClusterCreatorAdminPermissions": True},
        "vpcConfig": {"subnetIds": inputs["privateSubnetIds"], "endpointPublicAccess": True},
    }
    identifier, made = handlers[_CLUSTER](world, name, cluster)
    issuer = made["identities"][0]["oidcs"][0]["issuer"]
    provider = {"url": issuer, "clientIdLists": ["sts.amazonaws.com"]}
    _, vouching = handlers["aws:iam/openIdConnectProvider:OpenIdConnectProvider"](world, name, provider)
    urn = f"urn:pulumi:test::eks-autoscaling::{CLUSTER_COMPONENT}${_CLUSTER}::{name}-eksCluster"
    reference = {rpc._special_sig_key: rpc._special_resource_sig, "urn": urn, "id": identifier, "packageVersion": ""}
    outputs = {"eksCluster": reference, "oidcProviderArn": vouching["arn"], "kubeconfig": {}, "kubeconfigJson": "{}"}
    return outputs, mocks.MockMonitor.ResourceRegistration(urn, identifier, made)
