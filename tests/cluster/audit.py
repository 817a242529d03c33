"""Who changed nodes, who ended pods, and all that the interruption function asked for: the audit log of a control plane."""

import datetime
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "users": ["eks-autoscaling-interruption"]},
        {"level": "Metadata", "verbs": ["create"], "resources": [{"group": "", "resources": ["pods/eviction"]}]},
        {"level": "Metadata", "verbs": ["delete"], "resources": [{"group": "", "resources": ["pods", "nodes"]}]},
        {"level": "Metadata", "verbs": ["patch"], "resources": [{"group": "", "resources": ["nodes"]}]},
        {"level": "None"},
    ],
}


@dataclass(frozen=True)
class Request:
    """One request that was answered: who asked when (seconds since the epoch) for what (``create pods/eviction``), and the HTTP status."""

    at: float
    user: str
    what: str
    name: str
    status: int


def audit_arguments(folder: Path) -> list[str]:
    """Arguments of a kube-apiserver that keeps its audit log in ``folder``."""
    policy = folder / "audit-policy.yaml"
    policy.write_text(yaml.safe_dump(_POLICY))
    return [f"--audit-policy-file={policy}", f"--audit-log-path={folder / 'audit.log'}"]


def read_audit(folder: Path) -> list[Request]:
    """What the log in ``folder`` holds, oldest first."""
    return sorted(_requests(folder / "audit.log"), key=lambda request: request.at)


def _requests(log: Path) -> Iterator[Request]:
    for line in log.read_text().splitlines():
        entry: dict[str, Any] = json.loads(line)
        target = entry["objectRef"]
        resource = "/".join(filter(None, (target["resource"], target.get("subresource"))))
        at = datetime.datetime.fromisoformat(entry["requestReceivedTimestamp"]).timestamp()
        what, name = f"{entry['verb']} {resource}", target.get("name", "")
        yield Request(at, entry["user"]["username"], what, name, entry.get("responseStatus", {}).get("code", 0))
