"""Spot capacity pools: an instance type in an availability zone. A pool that takes instances back has none to give for a while."""

from collections.abc import Mapping, Sequence
from typing import Final

from lambda_autoscaler.core.expand import Option
from lambda_autoscaler.core.model import NodeGroup

# Karpenter's memory of a pool after an interruption.
RISK_SECONDS: Final = 180.0


def pool(instance_type: str, zone: str) -> str:
    """Name of a pool: ``m5.xlarge/us-east-1a``."""
    return f"{instance_type}/{zone}"


def away_from_risk(options: Sequence[Option], groups: Sequence[NodeGroup], risky: Mapping[str, float]) -> list[Option]:
    """Options without the spot groups of which every pool is risky; all of them when nothing else is left."""
    if not risky:
        return list(options)
    by_id = {group.id: group for group in groups}
    safe = [option for option in options if not _is_risky(by_id[option.group], risky)]
    return safe or list(options)


def _is_risky(group: NodeGroup, risky: Mapping[str, float]) -> bool:
    types = group.types or ((group.cloud.instance_type,) if group.cloud.instance_type else ())
    pools = [pool(name, zone) for name in types for zone in group.zones]
    return group.capacity_type == "SPOT" and bool(pools) and all(name in risky for name in pools)
