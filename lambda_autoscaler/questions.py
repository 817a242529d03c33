"""What a scan asks AWS about one thing or a few named ones, beside the groups themselves.

Each question is a value, so that ``ports.Aws`` has one method for all of them. An answer is the JSON of the API's answer.
"""

import msgspec


class Nodegroup(msgspec.Struct, frozen=True):
    """The managed node group of that name in the cluster: eks:DescribeNodegroup."""

    name: str


class InstanceTypes(msgspec.Struct, frozen=True):
    """Instance types by name; unknown ones are left out of the answer: ec2:DescribeInstanceTypes."""

    names: tuple[str, ...]


class LaunchTemplate(msgspec.Struct, frozen=True):
    """A version (a number, ``$Default`` or ``$Latest``) of a launch template, by id or name: ec2:DescribeLaunchTemplateVersions."""

    template: str
    version: str


class LaunchConfiguration(msgspec.Struct, frozen=True):
    """The launch configuration of that name: autoscaling:DescribeLaunchConfigurations."""

    name: str


class Activities(msgspec.Struct, frozen=True):
    """What the group of that name did lately, one page, newest first: autoscaling:DescribeScalingActivities."""

    group: str


class MatchingTypes(msgspec.Struct, frozen=True):
    """Instance types that run an image and meet a group's requirements, the first page: ec2:GetInstanceTypesFromInstanceRequirements.

    ``requirements`` is the JSON of InstanceRequirements; ``image`` an AMI id, whose architecture and virtualization count as requirements.
    """

    group: str
    image: str
    requirements: bytes


class SpotPrices(msgspec.Struct, frozen=True):
    """The present spot prices of Linux instances of those types in all zones: ec2:DescribeSpotPriceHistory."""

    types: tuple[str, ...]


class ReservationInstances(msgspec.Struct, frozen=True):
    """The running instances of a capacity reservation: ec2:DescribeInstances."""

    reservation: str


Question = Nodegroup | InstanceTypes | LaunchTemplate | LaunchConfiguration | Activities | MatchingTypes | SpotPrices | ReservationInstances
