"""A program with every component that makes an IAM role, and where in the package roles are made."""

import ast
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

import eks_autoscaling
from eks_autoscaling import (
    AddOns,
    Autoscaler,
    Cluster,
    CniMetrics,
    FargateProfile,
    NodeAddOns,
    OnDemandNodeGroup,
    SelfManagedNodeGroup,
    ServiceAccountRole,
    SpotNodeGroup,
    ZonalNodeGroups,
    workload_policies,
)
from tests.cluster.principals import ACCOUNT
from tests.cluster.pulumi_lookups import IMAGE

PACKAGE = Path(eks_autoscaling.__file__).parent
_MAKERS = ("aws.iam.Role", "roles.with_managed_policies")
Site = tuple[str, int]


def program() -> None:
    """Two clusters, nodes of all kinds, pods with roles of their own, an autoscaler in the VPC."""
    vpc = aws.ec2.Vpc("network", cidr_block="10.0.0.0/16")
    subnets = [
        aws.ec2.Subnet(f"in-{zone}", vpc_id=vpc.id, availability_zone=zone, cidr_block=f"10.0.{32 * index}.0/19").id
        for index, zone in enumerate(("us-east-1a", "us-east-1b"))
    ]
    cluster = Cluster("prod", {"subnet_ids": subnets, "admins": {"team": f"arn:aws:iam::{ACCOUNT}:user/administrator"}})
    Cluster("auto", {"subnet_ids": subnets, "admins": {"team": f"arn:aws:iam::{ACCOUNT}:user/administrator"}, "auto_mode": {}})
    ref = cluster.ref()
    sizes = {"min_size": 0, "max_size": 2}
    group: Any = {"cluster": ref, "subnet_ids": subnets, "instance_types": ["m5.large"], **sizes}
    OnDemandNodeGroup("operations", group)
    SpotNodeGroup("spot", group)
    zonal: Any = {"capacity_type": "ON_DEMAND", "zones": ["us-east-1a"], "group": {**group, "subnet_ids": subnets[:1]}}
    ZonalNodeGroups("data", zonal)
    mixed: Any = {**group, "capacity_type": "SPOT", "ami_id": IMAGE}
    SelfManagedNodeGroup("mixed", mixed)
    FargateProfile("dns", {"cluster": ref, "subnet_ids": subnets, "selectors": [{"namespace": "kube-system"}]})
    NodeAddOns("on-nodes", {"cluster": ref})
    AddOns("add-ons", {"cluster": ref, "ebs_csi_driver": True, "cloudwatch_observability": True, "identity": "IRSA"})
    CniMetrics("addresses", {"cluster": ref})
    ServiceAccountRole(
        "cluster-autoscaler",
        {
            "cluster": ref,
            "namespace": "kube-system",
            "service_account": "cluster-autoscaler",
            "policy_documents": {"scaling": cluster.arn.apply(workload_policies.cluster_autoscaler)},
        },
    )
    Autoscaler(
        "autoscaler",
        {
            "cluster": ref,
            "network": {"vpc_id": vpc.id, "subnet_ids": subnets, "cluster_security_group_id": cluster.security_group_id},
            "code": pulumi.AssetArchive({"lambda_autoscaler/handler.py": pulumi.StringAsset("")}),
        },
    )


def role_sites() -> Iterator[Site]:
    """Every place of the package that makes a role: file and line."""
    for path in sorted(PACKAGE.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in _MAKERS:
                yield path.name, node.lineno


@contextmanager
def watched_roles() -> Iterator[set[Site]]:
    """The places of the package that make roles while the context lasts."""
    seen: set[Site] = set()
    made = aws.iam.Role.__init__

    def watching(self: aws.iam.Role, *args: Any, **kwargs: Any) -> None:
        seen.update((Path(frame.filename).name, frame.lineno) for frame in inspect.stack(0) if Path(frame.filename).parent == PACKAGE)
        made(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aws.iam.Role, "__init__", watching)
        yield seen
