"""A node registers as the instance type that its Auto Scaling group would have launched on AWS."""

from typing import Any

import pytest

from tests.cluster.node_manifests import instance_type_of

MIXED: dict[str, Any] = {
    "MixedInstancesPolicy": {"LaunchTemplate": {"Overrides": [{"InstanceType": "m5.xlarge"}, {"InstanceType": "m4.xlarge"}]}}
}


@pytest.mark.parametrize(
    ("reported", "group", "expected"),
    [
        pytest.param("m4.xlarge", MIXED, "m4.xlarge", id="one of the overrides"),
        pytest.param("t3.micro", MIXED, "m5.xlarge", id="the template's own type, which overrides rule out"),
        pytest.param("t3.micro", {}, "t3.micro", id="no overrides"),
    ],
)
def test_a_type_outside_the_overrides_means_the_first_override(reported: str, group: dict[str, Any], expected: str) -> None:
    assert instance_type_of(reported, group) == expected
