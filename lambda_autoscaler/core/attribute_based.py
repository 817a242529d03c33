"""Groups that name no instance type but what one must be like (attribute-based instance type selection).

The requirements stand in the only override of a mixed-instances policy, or in the launch template. EC2 knows which types meet them; the
first one it names stands for the group, as in the Cluster Autoscaler (behaviour specification, section 9.5).
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from lambda_autoscaler.core import amazon
from lambda_autoscaler.core.observed import template_key


class Attributes(msgspec.Struct, frozen=True):
    """What EC2 must be asked: requirements as the API words them, and the image to run (its processor is one more requirement)."""

    requirements: dict[str, Any]
    image: str


def attributes_of(asg: amazon.AutoScalingGroup, templates: Mapping[str, amazon.LaunchTemplateVersion]) -> Attributes | None:
    """The attributes of a group; None when it names a type or its launch template (by ``template_key``) is not known."""
    requirements: dict[str, Any] | None = None
    specification, policy = asg.launch_template, asg.mixed_instances_policy
    if specification is None and policy is not None:
        specification, overrides = policy.launch_template.launch_template_specification, policy.launch_template.overrides
        if any(override.instance_type for override in overrides):
            return None
        if len(overrides) == 1:
            requirements = overrides[0].instance_requirements
    version = templates.get(template_key(specification)) if specification is not None else None
    if version is None:
        return None
    data = version.launch_template_data
    if requirements is None and not data.instance_type:
        requirements = data.instance_requirements
    return None if requirements is None else Attributes(requirements, data.image_id)
