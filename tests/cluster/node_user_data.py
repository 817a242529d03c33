"""How many pods a node takes, as its user data says it: nodeadm's NodeConfig in MIME parts, or Bottlerocket's TOML.

EKS adds a part of its own to what a launch template gives for a managed node group. Sources:
https://docs.aws.amazon.com/eks/latest/userguide/launch-templates.html#launch-template-user-data,
https://awslabs.github.io/amazon-eks-ami/nodeadm/ and Bottlerocket's settings.kubernetes.max-pods.
"""

import base64
import email
import json
import tomllib
from collections.abc import Iterator
from email.message import Message
from typing import Any

import yaml

_BOUNDARY = "==EKS=="
_MEDIA_TYPE = "application/node.eks.aws"
_FLAG = "--max-pods="


def with_max_pods(given: str, pods: int, *, bottlerocket: bool) -> str:
    """Base64 of the user data that a managed node group's instances get: what the template gives (base64), and EKS's number of pods."""
    text = base64.b64decode(given).decode()
    if bottlerocket:
        own = tomllib.loads(text).get("settings", {}).get("kubernetes", {}).get("max-pods", pods)
        return _encoded(f"[settings.kubernetes]\nmax-pods = {own}\n")
    config = {"apiVersion": "node.eks.aws/v1alpha1", "kind": "NodeConfig", "spec": {"kubelet": {"config": {"maxPods": pods}}}}
    parts = [(part.get_content_type(), str(part.get_payload())) for part in _parts(text)] + [(_MEDIA_TYPE, json.dumps(config))]
    lines = ["MIME-Version: 1.0", f'Content-Type: multipart/mixed; boundary="{_BOUNDARY}"', ""]
    for kind, content in parts:
        lines += [f"--{_BOUNDARY}", f"Content-Type: {kind}", "", content]
    return _encoded("\n".join([*lines, f"--{_BOUNDARY}--", ""]))


def max_pods_of(user_data: str) -> int | None:
    """The number that a kubelet with this user data (base64) takes: a flag of its own before its configuration; None without any."""
    text = base64.b64decode(user_data).decode()
    if text.startswith("["):
        pods = tomllib.loads(text).get("settings", {}).get("kubernetes", {}).get("max-pods")
        return None if pods is None else int(pods)
    kubelets: list[dict[str, Any]] = [_kubelet(part) for part in _parts(text) if part.get_content_type() == _MEDIA_TYPE]
    flags = [flag for kubelet in kubelets for flag in kubelet.get("flags", ()) if flag.startswith(_FLAG)]
    configured = [kubelet["config"]["maxPods"] for kubelet in kubelets if "maxPods" in kubelet.get("config", {})]
    if flags:
        return int(flags[-1].removeprefix(_FLAG))
    return int(configured[-1]) if configured else None


def _kubelet(part: Message) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(str(part.get_payload())).get("spec", {}).get("kubelet", {})
    return found


def _parts(text: str) -> Iterator[Message]:
    message = email.message_from_string(text)
    return (part for part in message.walk() if not part.is_multipart()) if text else iter(())


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
