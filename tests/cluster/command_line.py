"""The lambda-autoscaler command as a person runs it: another process, with a kubeconfig and AWS credentials in its environment."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.cluster.aws_world import REGION
from tests.cluster.declared_cluster import DeclaredCluster
from tests.cluster.principals import ADMINISTRATOR

SECONDS = 60


class CommandFailed(Exception):
    """The command ended with an error; the text is what it printed."""


def run_command(arguments: list[str], variables: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """Run the command with ``arguments``, outside of any AWS or Kubernetes configuration of the machine but ``variables``."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "KUBECONFIG"))}
    command = [sys.executable, "-m", "lambda_autoscaler.cli", *arguments]
    return subprocess.run(command, env=kept | (variables or {}), capture_output=True, text=True, timeout=SECONDS, check=False)


def variables_of(cluster: DeclaredCluster) -> dict[str, str]:
    """What a person of the cluster has in the environment: a kubeconfig and an administrator's credentials."""
    return {
        "KUBECONFIG": str(cluster.control_plane.kubeconfig),
        "AWS_ENDPOINT_URL": cluster.world.url,
        "AWS_ACCESS_KEY_ID": ADMINISTRATOR.access_key,
        "AWS_SECRET_ACCESS_KEY": ADMINISTRATOR.secret_key,
        "AWS_REGION": REGION,
    }


def snapshot(cluster: DeclaredCluster, folder: Path) -> None:
    """Write a snapshot of the live cluster; CommandFailed with what it printed when it fails."""
    _checked(run_command(["snapshot", str(folder), "--cluster-name", cluster.name], variables_of(cluster)))


def plan_live(cluster: DeclaredCluster) -> dict[str, Any]:
    """The plan for the live cluster as JSON."""
    return _plan(["--cluster-name", cluster.name, *_flags(cluster)], variables_of(cluster))


def plan_offline(folder: Path) -> dict[str, Any]:
    """The plan for a snapshot folder as JSON, with no way to any cluster."""
    return _plan([str(folder)], {})


def _flags(cluster: DeclaredCluster) -> list[str]:
    """The stack's settings, as the command takes them."""
    texts = {name: _text(value) for name, value in cluster.settings.items()}
    return [part for name, text in texts.items() for part in ("--set", f"{name}={text}")]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ";".join(value) if isinstance(value, list) else str(value)


def _plan(arguments: list[str], variables: dict[str, str]) -> dict[str, Any]:
    planned: dict[str, Any] = json.loads(_checked(run_command(["plan", *arguments, "--output", "json"], variables)))
    return planned


def _checked(done: "subprocess.CompletedProcess[str]") -> str:
    if done.returncode:
        raise CommandFailed(done.stderr.strip())
    return done.stdout
