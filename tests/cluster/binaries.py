"""Builds the control plane's programs once and keeps them in the user's cache folder.

Kubernetes, etcd and kwok are built from their Go modules: that needs Go and a module proxy only, neither Docker
nor root, and the go.mod and go.sum files under ``go/`` pin every byte. Each program lives in
``<cache>/eks-autoscaling/<name>-<version>/``, so a second run, or a fresh clone on the same machine, builds nothing.
kwok's Stage documents (how a pod or node behaves) come from its own module and are kept beside it.

``python -m tests.cluster.binaries`` builds what is missing and prints where everything is. Linux and macOS.
"""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MODULES = Path(__file__).parent / "go"
_PROGRESS_SECONDS = 15.0
_KWOK_MODULE = "sigs.k8s.io/kwok"
# The cheapest stages that still renew heartbeats; without any stage kwok refuses to start.
_KWOK_STAGES = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
)


class BinariesUnavailable(RuntimeError):
    """The control plane cannot be had on this machine; the message says why and what to do."""


@dataclass(frozen=True)
class Binaries:
    """Where the programs are: absolute paths of executables, and kwok's Stage documents in the order to load."""

    kube_apiserver: Path
    kube_controller_manager: Path
    kube_scheduler: Path
    etcd: Path
    kwok: Path
    kwok_stages: tuple[Path, ...]


@dataclass(frozen=True)
class _Program:
    name: str
    folder: str
    """Folder under ``go/`` whose go.mod pins the program."""
    module: str
    package: str
    version_flags: str = ""
    """Linker flags that make the program report its version; ``{version}``, ``{major}`` and ``{minor}`` are filled."""

    def version(self) -> str:
        """The pinned version, for example ``v1.34.4``: go.mod is the only place that names it."""
        pinned = re.search(rf"\s{re.escape(self.module)} (v\S+)", (_MODULES / self.folder / "go.mod").read_text())
        if pinned is None:
            raise ValueError(f"{_MODULES / self.folder / 'go.mod'} does not require {self.module}")
        return pinned.group(1)

    def home(self) -> Path:
        """The cache folder of this version."""
        return cache_folder() / f"{self.name}-{self.version()}"


_KUBERNETES_VERSION_FLAGS = " ".join(
    f"-X k8s.io/component-base/version.{variable}={value}"
    for variable, value in (("gitVersion", "{version}"), ("gitMajor", "{major}"), ("gitMinor", "{minor}"))
)


def _kubernetes(name: str) -> _Program:
    return _Program(name, "kubernetes", "k8s.io/kubernetes", f"k8s.io/kubernetes/cmd/{name}", _KUBERNETES_VERSION_FLAGS)


_APISERVER = _kubernetes("kube-apiserver")
_CONTROLLER_MANAGER = _kubernetes("kube-controller-manager")
_SCHEDULER = _kubernetes("kube-scheduler")
_ETCD = _Program("etcd", "etcd", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3")
_KWOK = _Program("kwok", "kwok", _KWOK_MODULE, f"{_KWOK_MODULE}/cmd/kwok")
_PROGRAMS = (_APISERVER, _CONTROLLER_MANAGER, _SCHEDULER, _ETCD, _KWOK)


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/eks-autoscaling``, or ``~/.cache/eks-autoscaling``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eks-autoscaling"


def build() -> Binaries:
    """Build what the cache lacks, with progress on stderr, and return where everything is.

    The first run takes minutes, later ones microseconds. Two processes never build at once: the second waits.
    Raises BinariesUnavailable when Go is missing or a build fails.
    """
    missing = [program for program in _PROGRAMS if not program.home().is_dir()]
    if missing:
        go = _go(missing)
        with _exclusive_build():
            for program in missing:
                if not program.home().is_dir():  # another process may have built it while we waited
                    _install(program, go)
    stages = _KWOK.home() / "stages"
    return Binaries(
        kube_apiserver=_APISERVER.home() / "kube-apiserver",
        kube_controller_manager=_CONTROLLER_MANAGER.home() / "kube-controller-manager",
        kube_scheduler=_SCHEDULER.home() / "kube-scheduler",
        etcd=_ETCD.home() / "etcd",
        kwok=_KWOK.home() / "kwok",
        kwok_stages=tuple(stages / Path(stage).name for stage in _KWOK_STAGES),
    )


def _go(missing: list[_Program]) -> str:
    go = shutil.which("go")
    if go is None:
        names = ", ".join(program.name for program in missing)
        raise BinariesUnavailable(
            f"the real control plane needs Go 1.26 or newer to build {names}, and `go` is not on PATH: "
            "install it from https://go.dev/dl/ and run `python -m tests.cluster.binaries`"
        )
    return go


@contextlib.contextmanager
def _exclusive_build() -> Iterator[None]:
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / "build.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another process is building the control plane; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install(program: _Program, go: str) -> None:
    """Build into a folder beside the final one and rename it, so that a broken build leaves nothing that looks whole."""
    home = program.home()
    partial = Path(tempfile.mkdtemp(prefix=f"{home.name}.partial-", dir=home.parent))
    try:
        _compile(program, go, partial / program.name)
        if program is _KWOK:
            _copy_stages(go, partial / "stages")
        partial.chmod(0o755)
        partial.rename(home)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _compile(program: _Program, go: str, output: Path) -> None:
    version = program.version()
    major, minor, _ = version.removeprefix("v").split(".", 2)
    flags = "-s -w " + program.version_flags.format(version=version, major=major, minor=minor)
    command = [go, "build", "-mod=readonly", "-trimpath", "-buildvcs=false"]
    command += ["-ldflags", flags.strip(), "-o", str(output), program.package]
    _run_with_progress(command, _MODULES / program.folder, f"{program.name} {version}")


def _run_with_progress(command: list[str], folder: Path, what: str) -> None:
    started = time.monotonic()
    _say(f"building {what} (once; kept in {cache_folder()})")
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, "CGO_ENABLED": "0"}, stdout=output, stderr=subprocess.STDOUT)
        try:
            while not _ended(process):
                _say(f"  {what}: {time.monotonic() - started:.0f} s")
        finally:
            process.kill()
            process.wait()
        if process.returncode != 0:
            output.seek(0)
            tail = "".join(output.readlines()[-15:])
            raise BinariesUnavailable(f"building {what} failed ({' '.join(command)} in {folder}):\n{tail}")
    _say(f"  {what}: built in {time.monotonic() - started:.0f} s")


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Wait for the process until it ends or progress is due."""
    try:
        process.wait(_PROGRESS_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _copy_stages(go: str, destination: Path) -> None:
    listing = [go, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", _KWOK_MODULE]
    found = subprocess.run(listing, cwd=_MODULES / "kwok", capture_output=True, text=True, check=False)
    if found.returncode != 0 or not found.stdout.strip():
        raise BinariesUnavailable(f"kwok's stages are not in Go's module cache:\n{found.stderr}")
    destination.mkdir()
    for stage in _KWOK_STAGES:
        # Contents only: files of the module cache are read-only, which would make our folder hard to remove.
        shutil.copyfile(Path(found.stdout.strip()) / "kustomize" / "stage" / stage, destination / Path(stage).name)


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def main() -> int:
    """Build everything and print one ``name path`` line per program; exit code 1 with the reason when impossible."""
    try:
        binaries = build()
    except BinariesUnavailable as unavailable:
        _say(f"error: {unavailable}")
        return 1
    for program in _PROGRAMS:
        path = getattr(binaries, program.name.replace("-", "_"))
        sys.stdout.write(f"{program.name:<24} {program.version():<8} {path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
