"""What every component demands of its arguments, before it declares anything: their names and kinds, and what a name means everywhere.

Pure. Sources of the limits: https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html for tags,
https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html for volumes, and EC2's InstanceMetadataOptionsRequest for hops.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from eks_autoscaling import argument_types, cluster_reference, log_retention, names
from eks_autoscaling.argument_types import Rule
from eks_autoscaling.misuse import ArgumentError


def check(args: Mapping[str, object], shape: type) -> None:
    """Refuse (ArgumentError) ``args`` that cannot be arguments of a component that takes the TypedDict ``shape``."""
    argument_types.check(args, shape, RULES)


def _distinct(argument: str, values: Sequence[Any]) -> None:
    # What is not known yet AWS itself compares.
    counts = Counter(value for value in values if isinstance(value, str))
    twice = [value for value, times in counts.items() if times > 1]
    if twice:
        raise ArgumentError(argument, twice, "name each of them once")


def _within(least: int, most: int, what: str) -> Rule:
    def rule(argument: str, value: float) -> None:
        if not least <= value <= most:
            raise ArgumentError(argument, value, f"{what}: use {least} to {most}")

    return rule


RULES: Mapping[str, Rule] = {
    "cluster": cluster_reference.check,
    "disk_size_gib": _within(1, 65_536, "a gp3 volume has at least 1 GiB"),
    "imds_hop_limit": _within(1, 64, "EC2 lets answers of the metadata service go that far"),
    "log_retention_days": log_retention.check,
    "security_group_ids": _distinct,
    "subnet_ids": _distinct,
    "tags": names.check_tags,
}
"""What arguments of a name must be in every TypedDict."""
