import struct
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from eks_autoscaling import bundle
from eks_autoscaling.bundle import LAMBDA, BundleError, Target, build_bundle, this_machine

ROOT = Path(__file__).parents[2]
AARCH64, X86_64 = 183, 62  # e_machine of an ELF header


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty cache of zips; uv's private copy, if there is one, stays in use."""
    folder = tmp_path_factory.mktemp("cache")
    (folder / "eks-autoscaling").mkdir()
    for private in bundle.cache_folder().parent.glob("uv-*"):
        (folder / "eks-autoscaling" / private.name).symlink_to(private)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module", params=[LAMBDA, this_machine()], ids=["lambda", "this-machine"])
def target(request: pytest.FixtureRequest) -> Target:
    value: Target = request.param
    return value


@pytest.fixture(scope="module")
def zipped(target: Target, cache: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(build_bundle(target))


def names(zipped: zipfile.ZipFile) -> list[str]:
    return [entry.filename for entry in zipped.infolist()]


def machines(zipped: zipfile.ZipFile) -> dict[str, int]:
    return {name: struct.unpack_from("<H", zipped.read(name), 18)[0] for name in names(zipped) if name.endswith(".so")}


def test_two_builds_are_byte_identical(zipped: zipfile.ZipFile, target: Target, tmp_path: Path) -> None:
    assert zipped.filename
    first = Path(zipped.filename)
    content = first.read_bytes()
    first.unlink()

    assert build_bundle(target) == first, "the name is made of what went in"
    assert first.read_bytes() == content
    assert build_bundle(target, tmp_path / "copy.zip").read_bytes() == content


def test_nothing_in_the_zip_depends_on_when_or_where_it_was_built(zipped: zipfile.ZipFile) -> None:
    entries = zipped.infolist()
    assert names(zipped) == sorted(names(zipped))
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.create_system for entry in entries} == {3}
    assert {oct(entry.external_attr >> 16) for entry in entries} == {"0o100644", "0o100755"}


def test_the_zip_is_at_most_8_mb(zipped: zipfile.ZipFile) -> None:
    assert zipped.filename
    assert Path(zipped.filename).stat().st_size <= 8_000_000


def test_only_allowed_names_stand_at_the_top(zipped: zipfile.ZipFile) -> None:
    top_level = {name.split("/")[0] for name in names(zipped)}
    distributions = {name.split("-")[0] for name in top_level if name.endswith(".dist-info")}
    assert {name for name in top_level - {"__pycache__"} if not name.endswith(".dist-info")} == {
        *("lambda_autoscaler", "aws_lambda_powertools", "jmespath", "msgspec"),
        *("typing_extensions.py", "urllib3", "yaml", "_yaml"),
    }
    assert distributions == {*("aws_lambda_powertools", "jmespath", "msgspec", "typing_extensions", "urllib3", "pyyaml")}


def test_the_workstation_half_and_what_needs_pydantic_stay_out(zipped: zipfile.ZipFile) -> None:
    out = ("lambda_autoscaler/sim/", "lambda_autoscaler/cli/", *(f"{part}/" for part in bundle.UNUSED_PARTS))
    assert not [name for name in names(zipped) if name.startswith(out)]
    assert not [name for name in names(zipped) if name.endswith((".pyi", "py.typed")) or "/tests/" in name]


def test_the_whole_of_the_core_and_the_edges_is_in(zipped: zipfile.ZipFile) -> None:
    package = ROOT / "lambda_autoscaler"
    wanted = {
        f"lambda_autoscaler/{path.relative_to(package).as_posix()}"
        for folder in ("core", "edge")
        for path in (package / folder).rglob("*.py")
    }
    assert wanted
    assert wanted <= set(names(zipped))


def test_the_lambda_zip_holds_arm64_machine_code_of_its_python(cache: Path) -> None:
    code = machines(zipfile.ZipFile(build_bundle(LAMBDA)))
    assert set(code.values()) == {AARCH64}
    assert all(name.endswith(".cpython-313-aarch64-linux-gnu.so") for name in code)


def test_the_zip_for_x86_64_holds_x86_64_machine_code(cache: Path) -> None:
    assert set(machines(zipfile.ZipFile(build_bundle(Target("3.13", "x86_64")))).values()) == {X86_64}


def test_bytecode_is_there_exactly_when_this_python_can_write_the_targets(zipped: zipfile.ZipFile, target: Target) -> None:
    sources = [name for name in names(zipped) if name.endswith(".py")]
    bytecode = [name for name in names(zipped) if name.endswith(".pyc")]
    assert len(bytecode) == (len(sources) if target.is_running_python else 0)
    unchecked = struct.pack("<I", 0b01)
    assert {zipped.read(name)[4:8] for name in bytecode} <= {unchecked}


def test_the_zip_for_this_machine_imports_with_nothing_else_installed(cache: Path) -> None:
    path = build_bundle(this_machine()).with_suffix(".d")
    zipfile.ZipFile(build_bundle(this_machine())).extractall(path)
    program = (
        "import lambda_autoscaler, msgspec, yaml, urllib3, jmespath, sys;"
        "print({m.__file__ for m in (msgspec, yaml, urllib3)}); assert 'pip' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-S", "-E", "-c", program], cwd=path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_distribution_that_nobody_allowed_stops_the_build(tmp_path: Path) -> None:
    (tmp_path / "lambda_autoscaler").mkdir()
    (tmp_path / "pydantic").mkdir()
    with pytest.raises(BundleError, match=r"not allowed in the Lambda's zip: pydantic"):
        bundle.prune(tmp_path)


def test_a_dependency_that_cannot_be_installed_is_named_and_leaves_no_zip(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "lambda_autoscaler"
    source.mkdir()
    (source / "__init__.py").touch()
    (source / "requirements.txt").write_text("msgspec==0.22.0 --hash=sha256:" + "0" * 64 + "\n")
    monkeypatch.setattr(bundle, "package_folder", lambda: source)
    before = set(bundle.cache_folder().iterdir())
    with pytest.raises(BundleError, match="msgspec"):
        build_bundle(LAMBDA)
    assert set(bundle.cache_folder().iterdir()) == before


def test_any_change_of_a_source_file_gives_another_zip(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").touch()
    (tmp_path / "module.py").write_text("a = 1\n")
    before = bundle.content_key(tmp_path, LAMBDA)
    assert bundle.content_key(tmp_path, LAMBDA) == before
    assert bundle.content_key(tmp_path, Target("3.13", "x86_64")) != before
    (tmp_path / "module.py").write_text("a = 2\n")
    assert bundle.content_key(tmp_path, LAMBDA) != before


def test_the_requirements_are_exactly_what_the_lock_has_for_the_lambda() -> None:
    locked = {package["name"]: package for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
    project = locked["eks-autoscaling"]["optional-dependencies"]["lambda"]
    wanted, waiting = {}, [dependency["name"] for dependency in project]
    while waiting:
        package = locked[waiting.pop()]
        files = [*package["wheels"], package["sdist"]]
        wanted[f"{package['name']}=={package['version']}"] = {file["hash"] for file in files}
        waiting += [dependency["name"] for dependency in package.get("dependencies", [])]

    written: dict[str, set[str]] = {}
    lines = (ROOT / "lambda_autoscaler" / "requirements.txt").read_text().replace("\\\n", " ").splitlines()
    for line in lines:
        requirement, *hashes = line.split("#")[0].split() or [""]
        if requirement:
            written[requirement] = {word.removeprefix("--hash=") for word in hashes}
    assert written == wanted, "run: python3 tasks.py lock"
