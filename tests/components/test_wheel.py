"""The wheel: what it holds, and that it works in an environment that has never seen this repository."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import tasks
from tests.components.plugin_host import plugin_host
from tests.components.programs import folder_with

ROOT = Path(__file__).parents[2]
SOURCES = (ROOT / "components" / "eks_autoscaling", ROOT / "lambda_autoscaler")
GOLDEN = ROOT / "tests" / "golden" / "schema.json"
PROGRAM = """
import components.theirs, eks_autoscaling, lambda_autoscaler.handler
from eks_autoscaling import bundle, catalogue
print(components.theirs.HERE, eks_autoscaling.__file__, lambda_autoscaler.__file__)
print("m5.xlarge" in catalogue.instance_types(), bundle.package_folder().joinpath("requirements.txt").is_file())
"""


def quiet(*command: str | Path, folder: Path = ROOT.parent) -> str:
    """Standard output of a command that ends well."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run([str(word) for word in command], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    # The build backend is in uv's cache: the environment of these tests was made with it.
    quiet(tasks.uv(), "build", "--wheel", "--offline", "--quiet", "--out-dir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an empty environment with the wheel. Dependencies it finds where these tests do, but nothing of this repository."""
    folder = tmp_path_factory.mktemp("environment")
    made = folder / "bin" / "python"
    quiet(tasks.uv(), "venv", "--quiet", "--offline", "--allow-existing", "--python", sys.executable, folder)
    quiet(tasks.uv(), "pip", "install", "--quiet", "--offline", "--no-deps", "--python", made, wheel)
    (packages,) = folder.glob("lib/python*/site-packages")
    # Links such as that to this repository are not followed from a folder named here.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return made


def test_the_wheel_holds_both_packages_whole_and_nothing_else(wheel: Path) -> None:
    """Data files too: the catalogue of instance types, prices, the function's requirements, the marks of typed packages."""
    expected = {
        f"{package.name}/{path.relative_to(package).as_posix()}"
        for package in SOURCES
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == expected
    assert {"eks_autoscaling/instance_types.csv", "eks_autoscaling/py.typed", "lambda_autoscaler/requirements.txt"} <= names


def test_a_program_with_a_components_package_of_its_own_runs_on_the_wheel(python: Path, tmp_path: Path) -> None:
    folder = folder_with({"components/__init__.py": "", "components/theirs.py": "HERE = 'theirs'", "main.py": PROGRAM}, tmp_path)
    theirs, *files, catalogue, requirements = quiet(python, "main.py", folder=folder).split()
    assert (theirs, catalogue, requirements) == ("theirs", "True", "True")
    assert [Path(file).is_relative_to(python.parents[1]) for file in files] == [True, True]


def test_the_wheel_serves_the_recorded_schema(python: Path) -> None:
    with plugin_host(str(python)) as host:
        assert host.schema() == json.loads(GOLDEN.read_text())
