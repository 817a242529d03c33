"""A world to deploy into, and the tutorial deployed in it once for a module."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.aws_world import AwsWorld
from tests.cluster.pulumi_mocks import Deployment, deploy

TUTORIAL = Path("stacks/tutorial")


@pytest.fixture(scope="session")
def function_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zip that AWS would take for a function; what is in it does not matter to the components."""
    path = tmp_path_factory.mktemp("function") / "function.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("lambda_autoscaler/handler.py", "def scan(event, context): ...\ndef interruption(event, context): ...")
    return path


@pytest.fixture(scope="module")
def world() -> Iterator[AwsWorld]:
    """A module's own: the stand-in for AWS is one to a process, and ends with all that it holds."""
    with AwsWorld() as running:
        yield running


@pytest.fixture(scope="module")
def tutorial_world(world: AwsWorld) -> AwsWorld:
    """Where the tutorial is deployed."""
    return world


@pytest.fixture(scope="module")
def applied() -> list[dict[str, Any]]:
    """What the tutorial handed to Kubernetes."""
    return []


@pytest.fixture(scope="module")
def tutorial(tutorial_world: AwsWorld, function_zip: Path, applied: list[dict[str, Any]]) -> Deployment:
    """The tutorial stack with its defaults, deployed."""
    return deploy(TUTORIAL, {"functionZip": str(function_zip)}, tutorial_world, lambda manifest, _: applied.append(manifest))
