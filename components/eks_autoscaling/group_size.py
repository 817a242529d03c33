"""Sizes of a node group: how few and how many nodes it may have, and with how many it starts.

Pure.
"""

from dataclasses import dataclass

from eks_autoscaling.misuse import ArgumentError


@dataclass(frozen=True)
class GroupSize:
    """Nodes: ``least`` and ``most`` that an autoscaler may leave or ask for, ``desired`` to start with."""

    least: int
    most: int
    desired: int


def group_size(least: int, most: int, desired: int | None) -> GroupSize:
    """The sizes of a group; ``desired`` is ``least`` if None.

    Raises:
        ArgumentError: a size that no group can have, under the name of the component's argument.

    """
    # Pulumi hands over whole floats when the program is in another language.
    size = GroupSize(int(least), int(most), int(least if desired is None else desired))
    if size.least < 0:
        raise ArgumentError("min_size", size.least, "use 0 or more")
    if size.most < 1:
        raise ArgumentError("max_size", size.most, "use 1 or more; a group that can never have a node serves nobody")
    if size.least > size.most:
        raise ArgumentError("min_size", size.least, f"use at most max_size, which is {size.most}")
    if not size.least <= size.desired <= size.most:
        raise ArgumentError("desired_size", size.desired, f"use a value from min_size to max_size, {size.least} to {size.most}")
    return size
