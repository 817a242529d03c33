"""Builds the zip that AWS Lambda runs: the autoscaler's package and its locked dependencies.

    python -m eks_autoscaling.bundle [--python 3.13 --platform aarch64 | --this-machine] [-o FILE]

The dependencies are installed from ``lambda_autoscaler/requirements.txt`` (exact versions, with hashes), never
from the environment that happens to be active, and only as wheels for the target, so the zip for Lambda's arm64
can be built on any machine, without Docker. boto3 is not among them: Lambda's runtime brings it.

Two builds of the same sources give the same bytes, so an unchanged program shows no difference in a preview:
names are sorted, times and modes fixed. A zip is kept in the user's cache folder under a name made of everything
that went into it, and built only once.

Bytecode: an import without ``.pyc`` is compiled again on every cold start, since Lambda's task folder is read-only.
Only an interpreter of the target's own minor version can write it, so the zip has it exactly when the building
Python is one (unchecked-hash, the form that looks at no source file and no time, hence reproducible). Colleagues who
share a stack should build with the same minor version; otherwise each of them sees the other's zip as a change.

Standard library only, and the autoscaler's package is found without being imported.
"""

import argparse
import hashlib
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "lambda_autoscaler"
REQUIREMENTS = "requirements.txt"

#: What may stand at the top of the zip, besides each dependency's ``.dist-info``.
ALLOWED = frozenset({PACKAGE, "_yaml", "aws_lambda_powertools", "jmespath", "msgspec", "typing_extensions.py", "urllib3", "yaml"})
#: Workstation parts of our own package.
WORKSTATION_PARTS = ("sim", "cli")
#: Parts of Powertools that serve HTTP APIs or need pydantic; neither is ever in the zip. Half of its size.
UNUSED_PARTS = (
    "aws_lambda_powertools/event_handler",
    "aws_lambda_powertools/utilities/auth_alpha",
    "aws_lambda_powertools/utilities/parser",
)
UNUSED_NAMES = re.compile(r"(^|/)(__pycache__|tests?|py\.typed)(/|$)|\.(pyi|pyc)$")
#: Kept of a ``.dist-info``: what vulnerability scanners (Amazon Inspector) read, and what the licences ask for.
KEPT_METADATA = re.compile(r"\.dist-info/(METADATA|licenses/.*|LICEN[CS]E[^/]*|NOTICE[^/]*)$")
#: The earliest time a zip can hold.
FIXED_TIME = (1980, 1, 1, 0, 0, 0)
TASK_ROOT = "/var/task"


class BundleError(Exception):
    """The zip cannot be built; the text names what to put right."""


@dataclass(frozen=True)
class Target:
    """Where the zip will run: a Python minor version such as ``3.13`` and a processor.

    ``platform`` is ``aarch64`` or ``x86_64`` for Lambda, or ``this-machine`` for the running interpreter.
    """

    python: str = "3.13"
    platform: str = "aarch64"

    @property
    def is_running_python(self) -> bool:
        """Whether the running interpreter's bytecode is the target's."""
        return self.python == running_python() and sys.implementation.name == "cpython"


def running_python() -> str:
    """Return the minor version of the running interpreter, as ``3.13``."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


LAMBDA = Target()


def this_machine() -> Target:
    """Return the target that the running interpreter can import, to try the zip on a workstation."""
    return Target(running_python(), "this-machine")


def build_bundle(target: Target = LAMBDA, output: Path | None = None) -> Path:
    """Return the path of the zip for a target, building it unless the cache has it.

    The path is ``output`` when given, else a file in ``$XDG_CACHE_HOME/eks-autoscaling/bundles`` (``~/.cache``)
    whose name changes with the content. Raises BundleError when the dependencies cannot be installed or hold
    something that must not reach the function.
    """
    source = package_folder()
    cached = cache_folder() / f"{PACKAGE}-{target.python}-{target.platform}-{content_key(source, target)[:16]}.zip"
    if not cached.is_file():
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cached.parent) as scratch:
            staging = Path(scratch, "task")
            install_dependencies(source / REQUIREMENTS, target, staging)
            copy_package(source, staging / PACKAGE)
            prune(staging)
            if target.is_running_python:
                compile_all(staging)
            archive = Path(scratch, "bundle.zip")
            write_zip(staging, archive)
            archive.replace(cached)
    if output is None:
        return cached
    shutil.copyfile(cached, output)
    return output


def cache_folder() -> Path:
    """Return the folder of the built zips."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eks-autoscaling" / "bundles"


def package_folder() -> Path:
    """Return the folder of the autoscaler's package; raise BundleError when it is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise BundleError(f"the package {PACKAGE} is not installed in this Python environment")
    return Path(spec.submodule_search_locations[0])


def package_files(source: Path) -> Iterator[Path]:
    """Yield, sorted and relative, the files of our package that belong in the zip."""
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        unwanted = UNUSED_NAMES.search(relative.as_posix()) or relative.parts[0] in (*WORKSTATION_PARTS, REQUIREMENTS)
        if path.is_file() and not unwanted:
            yield relative


def content_key(source: Path, target: Target) -> str:
    """Return a digest of everything that the zip's bytes depend on."""
    digest = hashlib.sha256(repr(target).encode())
    if target.is_running_python:
        digest.update(sys.version.encode())
    for path in (Path(__file__), source / REQUIREMENTS, *(source / relative for relative in package_files(source))):
        content = path.read_bytes()
        name = path.relative_to(source).as_posix() if path.is_relative_to(source) else path.name
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


# --- Installing -------------------------------------------------------------------------------------------


def install_dependencies(requirements: Path, target: Target, into: Path) -> None:
    """Install the locked wheels for the target into a folder; raise BundleError when one cannot be had."""
    uv = find_uv()
    command = uv_command(uv, target) if uv else pip_command(target)
    options = ["--only-binary", ":all:", "--require-hashes", "--no-deps", "--target", str(into)]
    # Lists, no shell; uv and pip are the user's own.
    done = subprocess.run(  # noqa: S603
        [*command, *options, "--requirement", str(requirements)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BundleError(f"the Lambda's dependencies could not be installed for {target}:\n{done.stderr.strip()}")


def find_uv() -> str | None:
    """Return uv's path: the one on PATH, or the newest private copy that the task file keeps in the cache."""
    private = sorted(cache_folder().parent.glob("uv-*/bin/uv"))
    return shutil.which("uv") or (str(private[-1]) if private else None)


def uv_command(uv: str, target: Target) -> list[str]:
    """Return the start of uv's command line; uv resolves for a target that is not the running Python."""
    command = [uv, "pip", "install", "--quiet", "--python", sys.executable]
    if target.platform == "this-machine":
        return command
    return [*command, "--python-version", target.python, "--python-platform", f"{target.platform}-manylinux2014"]


def pip_command(target: Target) -> list[str]:
    """Return the start of pip's command line; raise BundleError where there is no pip either."""
    if importlib.util.find_spec("pip") is None:
        raise BundleError("building the Lambda's zip needs uv on PATH, or pip in this Python environment")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-compile"]
    if target.platform == "this-machine":
        return command
    platforms = [f"--platform=manylinux{tag}_{target.platform}" for tag in ("2014", "_2_17")]
    return [*command, *platforms, "--implementation=cp", f"--python-version={target.python}"]


# --- Choosing -----------------------------------------------------------------------------------------------


def copy_package(source: Path, into: Path) -> None:
    """Copy our own package without its workstation parts."""
    for relative in package_files(source):
        (into / relative).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / relative, into / relative)


def prune(staging: Path) -> None:
    """Remove what the function never imports; raise BundleError on a top-level name that nobody allowed."""
    shutil.rmtree(staging / "bin", ignore_errors=True)  # the commands of dependencies
    (staging / ".lock").unlink(missing_ok=True)  # uv's
    for part in UNUSED_PARTS:
        shutil.rmtree(staging / part, ignore_errors=True)
    for path in [path for path in staging.rglob("*") if path.is_file()]:
        name = path.relative_to(staging).as_posix()
        metadata = ".dist-info/" in name
        if UNUSED_NAMES.search(name) or (metadata and not KEPT_METADATA.search(name)):
            path.unlink()
    top_level = {path.name for path in staging.iterdir() if path.suffix != ".dist-info"}
    if unknown := sorted(top_level - ALLOWED):
        raise BundleError(f"not allowed in the Lambda's zip: {', '.join(unknown)} (see ALLOWED in {__file__})")


def compile_all(staging: Path) -> None:
    """Write bytecode that names the files as they will lie on Lambda; in a process of its own, so as to be repeatable."""
    command = [sys.executable, "-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    done = subprocess.run(  # noqa: S603
        [*command, "-s", str(staging), "-p", TASK_ROOT, str(staging)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BundleError(f"a file of the Lambda's zip does not compile:\n{done.stdout}{done.stderr}")


def write_zip(staging: Path, archive: Path) -> None:
    """Zip a folder so that equal content gives equal bytes."""
    files = sorted((path.relative_to(staging).as_posix(), path) for path in staging.rglob("*") if path.is_file())
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as bundle:
        for name, path in files:
            entry = zipfile.ZipInfo(name, FIXED_TIME)
            entry.create_system = 3  # Unix, wherever this runs: it tells the reader that modes follow
            entry.external_attr = (stat.S_IFREG | (0o755 if path.suffix == ".so" else 0o644)) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            bundle.writestr(entry, path.read_bytes())


# --- Command ------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    """Build one zip and print its path; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m eks_autoscaling.bundle", description="Build the Lambda's zip.")
    parser.add_argument("--python", default=LAMBDA.python, help="Python of the Lambda runtime (default: %(default)s)")
    parser.add_argument("--platform", default=LAMBDA.platform, choices=("aarch64", "x86_64"), help="its processor")
    parser.add_argument("--this-machine", action="store_true", help="build for the running Python instead")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write here instead of the cache folder")
    options = parser.parse_args(arguments)
    target = this_machine() if options.this_machine else Target(options.python, options.platform)
    try:
        path = build_bundle(target, options.output)
    except BundleError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    bytecode = "with" if target.is_running_python else "without"
    sys.stderr.write(f"{path.stat().st_size / 1e6:.1f} MB for Python {target.python}, {bytecode} bytecode\n")
    sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
