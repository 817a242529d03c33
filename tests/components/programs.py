"""Small programs for tests: the smallest arguments that each component takes, to be widened by what a test is about."""

from pathlib import Path
from typing import Any

import pulumi

from eks_autoscaling import Autoscaler, Cluster, ClusterRef, NodeGroupArgs, OnDemandNodeGroup, SelfManagedNodeGroup, SpotNodeGroup
from tests.cluster.pulumi_mocks import Deployment, preview

REF: ClusterRef = {"name": "prod", "arn": "arn:aws:eks:eu-west-1:123456789012:cluster/prod"}
GROUP: NodeGroupArgs = {"cluster": REF, "instance_types": ["m5.xlarge"], "subnet_ids": ["subnet-1"], "min_size": 0, "max_size": 10}


class _Later(pulumi.Output[Any]):
    """An output of which nobody asks what it will be, and which therefore needs no event loop."""

    def __init__(self) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


LATER: pulumi.Output[Any] = _Later()


def cluster(**arguments: Any) -> Deployment:
    """A preview of one cluster."""
    smallest = {"subnet_ids": ["subnet-1", "subnet-2"], "admins": {"team": "arn:aws:iam::123456789012:role/team"}}
    return preview(lambda: Cluster("prod", {**smallest, **arguments}), {})  # type: ignore[typeddict-item]


def spot(name: str = "spot", **arguments: Any) -> Deployment:
    """A preview of one spot group."""
    return preview(lambda: SpotNodeGroup(name, _group(arguments)), {})


def on_demand(name: str = "on-demand", **arguments: Any) -> Deployment:
    """A preview of one on-demand group."""
    return preview(lambda: OnDemandNodeGroup(name, _group(arguments)), {})


def self_managed(name: str = "spot", **arguments: Any) -> Deployment:
    """A preview of one self-managed spot group."""
    return preview(lambda: SelfManagedNodeGroup(name, _group({"capacity_type": "SPOT", **arguments})), {})


def autoscaler(name: str = "autoscaler", **arguments: Any) -> Deployment:
    """A preview of one autoscaler, with a zip that holds nothing of use."""
    smallest = {"cluster": REF, "code": pulumi.AssetArchive({"handler.py": pulumi.StringAsset("")})}
    return preview(lambda: Autoscaler(name, {**smallest, **arguments}), {})  # type: ignore[typeddict-item]


def _group(arguments: dict[str, Any]) -> Any:
    return {**GROUP, **arguments}


def folder_with(files: dict[str, str], folder: Path) -> Path:
    """``folder``, filled with ``files`` (relative path -> text)."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder
