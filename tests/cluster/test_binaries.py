"""Building the control plane: once, whole or not at all, and with a reason when it cannot be."""

from pathlib import Path

import pytest

from tests.cluster import binaries
from tests.cluster.binaries import BinariesUnavailable

# Stands for Go: writes what it is asked to build, or where the module cache has kwok, and counts its runs.
GO = """#!/bin/sh
echo run >> {folder}/runs
if [ "$1" = list ]; then echo {folder}/module; exit 0; fi
while [ "$1" != -o ]; do shift; done
echo program > "$2"
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty cache and an empty PATH."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    return tmp_path


def install_go(machine: Path, script: str) -> None:
    go = machine / "bin" / "go"
    go.write_text(script.replace("#!/bin/sh\n", "#!/bin/sh\nPATH=/usr/bin:/bin\n").format(folder=machine))
    go.chmod(0o755)


def install_kwok_module(machine: Path) -> None:
    stages = machine / "module" / "kustomize" / "stage"
    pods = (f"pod/fast/pod-{name}" for name in ("ready", "complete", "delete"))
    for name in ("node/fast/node-initialize", "node/heartbeat-with-lease/node-heartbeat-with-lease", *pods):
        (stages / name).parent.mkdir(parents=True, exist_ok=True)
        (stages / f"{name}.yaml").write_text("kind: Stage\n")


def test_a_machine_without_go_is_told_what_to_install(machine: Path) -> None:
    with pytest.raises(BinariesUnavailable, match=r"Go 1\.26 or newer .*`go` is not on PATH.*go\.dev/dl"):
        binaries.build()


def test_a_second_run_builds_nothing(machine: Path) -> None:
    install_go(machine, GO)
    install_kwok_module(machine)
    first = binaries.build()
    runs = (machine / "runs").read_text()
    (machine / "bin" / "go").unlink()
    assert binaries.build() == first
    assert (machine / "runs").read_text() == runs
    assert all(path.is_file() for path in (first.kube_apiserver, first.etcd, first.kwok, *first.kwok_stages))


def test_the_cache_is_keyed_by_version(machine: Path) -> None:
    install_go(machine, GO)
    install_kwok_module(machine)
    assert binaries.build().etcd == machine / "cache" / "eks-autoscaling" / "etcd-v3.6.6" / "etcd"


def test_a_failed_build_shows_what_go_said_and_leaves_nothing_behind(machine: Path) -> None:
    install_go(machine, "#!/bin/sh\necho 'dial tcp: lookup proxy.golang.org: no such host' >&2\nexit 1\n")
    with pytest.raises(BinariesUnavailable, match=r"(?s)building kube-apiserver v1\.34\.4 failed.*no such host"):
        binaries.build()
    assert [path.name for path in (machine / "cache" / "eks-autoscaling").iterdir()] == ["build.lock"]
