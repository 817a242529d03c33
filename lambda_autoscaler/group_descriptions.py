"""Auto Scaling groups as AWS describes them."""

from typing import TypeVar

import msgspec

from lambda_autoscaler.core import amazon
from lambda_autoscaler.ports import Aws, BadInput

_Value = TypeVar("_Value")


class _RawGroups(msgspec.Struct, frozen=True, rename="pascal"):
    auto_scaling_groups: list[msgspec.Raw]


class _GroupName(msgspec.Struct, frozen=True, rename="pascal"):
    auto_scaling_group_name: str = "(without a name)"


def read_groups(aws: Aws, faults: list[str]) -> list[amazon.AutoScalingGroup]:
    """The Auto Scaling groups as they are now; one that cannot be understood is left out and named in ``faults``."""
    found: dict[str, amazon.AutoScalingGroup] = {}
    for page in aws.groups():
        for raw in decoded(page, _RawGroups, "answer of autoscaling:DescribeAutoScalingGroups").auto_scaling_groups:
            try:
                group = msgspec.json.decode(raw, type=amazon.AutoScalingGroup)
            except msgspec.ValidationError as fault:
                name = msgspec.json.decode(raw, type=_GroupName).auto_scaling_group_name
                faults.append(f"Auto Scaling group {name} cannot be read and is left alone: {fault}")
                continue
            found.setdefault(group.auto_scaling_group_name, group)
    return list(found.values())


def decoded(data: bytes, shape: type[_Value], what: str) -> _Value:
    """An answer of AWS; BadInput names ``what`` it was when it cannot be read."""
    try:
        return msgspec.json.decode(data, type=shape)
    except msgspec.DecodeError as fault:
        raise BadInput(f"the {what} cannot be read: {fault}") from fault
