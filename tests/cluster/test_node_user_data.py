"""The pods of a node by its user data: what EKS adds for managed groups, and which of several numbers counts."""

import base64

import pytest

from eks_autoscaling import node_config
from tests.cluster.node_user_data import max_pods_of, with_max_pods

SHELL = """MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="B"

--B
Content-Type: text/x-shellscript

#!/bin/sh
--B--
"""


@pytest.mark.parametrize("given", ["", base64.b64encode(SHELL.encode()).decode()], ids=["nothing", "a script"])
def test_eks_adds_its_number_to_what_the_template_gives(given: str) -> None:
    assert max_pods_of(given) is None
    merged = with_max_pods(given, 58, bottlerocket=False)
    assert max_pods_of(merged) == 58
    assert ("#!/bin/sh" in base64.b64decode(merged).decode()) == bool(given)


@pytest.mark.parametrize("bottlerocket", [False, True])
def test_a_number_in_the_template_counts_before_that_of_eks(*, bottlerocket: bool) -> None:
    given = node_config.max_pods_user_data(30, bottlerocket=bottlerocket)
    assert max_pods_of(with_max_pods(given, 58, bottlerocket=bottlerocket)) == 30


def test_bottlerocket_is_told_in_its_settings() -> None:
    assert max_pods_of(with_max_pods("", 58, bottlerocket=True)) == 58
