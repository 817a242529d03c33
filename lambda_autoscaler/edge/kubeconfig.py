"""The kubeconfig of a workstation: server, certificate authority and credentials of a context, as kubectl takes them.

Files named in KUBECONFIG are merged as kubectl does: the first that defines a name wins. Read are ``server``,
``certificate-authority(-data)``, ``insecure-skip-tls-verify``, ``token``, ``tokenFile``, ``client-certificate(-data)`` with its key, and
``exec`` plugins that give a token, such as ``aws eks get-token``.
"""

import base64
import os
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import yaml

from lambda_autoscaler.edge.kube_http import Connection, trusting
from lambda_autoscaler.ports import BadInput

_EXEC_SECONDS: Final = 60
_Shape = TypeVar("_Shape")


class _Context(msgspec.Struct, frozen=True):
    cluster: str = ""
    user: str = ""


class _Cluster(msgspec.Struct, frozen=True, rename="kebab"):
    server: str = ""
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    insecure_skip_tls_verify: bool = False


class _Variable(msgspec.Struct, frozen=True):
    name: str
    value: str


class _Exec(msgspec.Struct, frozen=True, rename="camel"):
    command: str
    api_version: str = "client.authentication.k8s.io/v1beta1"
    args: list[str] | None = None
    env: list[_Variable] | None = None


class _User(msgspec.Struct, frozen=True, rename="kebab"):
    token: str = ""
    token_file: str = msgspec.field(default="", name="tokenFile")
    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: str = ""
    exec: _Exec | None = None


class _ExecStatus(msgspec.Struct, frozen=True):
    token: str = ""


class _ExecCredential(msgspec.Struct, frozen=True):
    status: _ExecStatus = _ExecStatus()


class _Origin(msgspec.Struct, frozen=True):
    """A value with the file it stands in: paths in a kubeconfig are relative to it."""

    folder: Path
    fields: Mapping[str, Any]


class Kubeconfig:
    """The merged files. Raises BadInput naming the file that is missing or cannot be read."""

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self._where = ", ".join(str(path) for path in paths)
        self.current_context = ""
        self._named: dict[str, dict[str, _Origin]] = {"contexts": {}, "clusters": {}, "users": {}}
        found = [path for path in paths if path.is_file()]
        if not found:
            raise BadInput(f"no kubeconfig at {self._where}: set KUBECONFIG or run `aws eks update-kubeconfig --name CLUSTER`")
        for path in found:
            self._merge(path)

    def _merge(self, path: Path) -> None:
        try:
            document = yaml.safe_load(path.read_text())
            self.current_context = self.current_context or document.get("current-context") or ""
            for section, known in self._named.items():
                for item in document.get(section) or ():
                    known.setdefault(item["name"], _Origin(path.parent, item[section.removesuffix("s")]))
        except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError) as fault:
            raise BadInput(f"{path} is not a readable kubeconfig: {fault}") from fault

    def connection(self, context: str = "") -> Connection:
        """Connection of a context, the current one when not named. Raises BadInput naming what is missing or unsupported."""
        name = context or self.current_context
        if not name:
            raise BadInput(f"kubeconfig {self._where} has no current-context: name a context")
        chosen, _ = self._find("contexts", name, _Context)
        cluster, cluster_folder = self._find("clusters", chosen.cluster, _Cluster)
        user, user_folder = self._find("users", chosen.user, _User)
        if not cluster.server:
            raise BadInput(f"kubeconfig {self._where}: cluster {chosen.cluster!r} has no server")
        try:
            tls = _tls(cluster, cluster_folder, user, user_folder) if cluster.server.startswith("https:") else None
        except (OSError, ValueError, ssl.SSLError) as fault:
            raise BadInput(f"kubeconfig {self._where}: context {name!r} has an unusable certificate or key: {fault}") from fault
        return Connection(server=cluster.server, token=_token_source(user, user_folder), tls=tls, origin=f"context {name}")

    def _find(self, section: str, name: str, shape: type[_Shape]) -> tuple[_Shape, Path]:
        origin = self._named[section].get(name)
        if origin is None:
            known = ", ".join(sorted(self._named[section])) or "none"
            raise BadInput(f"kubeconfig {self._where} has no {section.removesuffix('s')} {name!r} (it has: {known})")
        try:
            return msgspec.convert(origin.fields, type=shape), origin.folder
        except msgspec.ValidationError as fault:
            raise BadInput(f"kubeconfig {self._where}: {section.removesuffix('s')} {name!r}: {fault}") from fault


def default_paths(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Files that kubectl would read: those of KUBECONFIG, else ``~/.kube/config``."""
    named = [Path(part) for part in environment.get("KUBECONFIG", "").split(os.pathsep) if part]
    return tuple(named) or (Path.home() / ".kube" / "config",)


def _tls(cluster: _Cluster, cluster_folder: Path, user: _User, user_folder: Path) -> ssl.SSLContext:
    context = trusting(_bytes(cluster.certificate_authority_data, cluster.certificate_authority, cluster_folder))
    if cluster.insecure_skip_tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate = _bytes(user.client_certificate_data, user.client_certificate, user_folder)
    key = _bytes(user.client_key_data, user.client_key, user_folder)
    if certificate is not None:
        _load_pair(context, certificate, key or b"")
    return context


def _bytes(data: str, path: str, folder: Path) -> bytes | None:
    if data:
        return base64.b64decode(data)
    return (folder / path).read_bytes() if path else None


def _load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Give TLS a client certificate. The ssl module reads it from a file only: a private one, gone at once."""
    with tempfile.TemporaryDirectory() as folder:
        pair = Path(folder) / "client.pem"
        pair.touch(mode=0o600)
        pair.write_bytes(certificate + b"\n" + key)
        context.load_cert_chain(pair)


def _token_source(user: _User, folder: Path) -> Callable[[bool], str]:
    if user.exec is not None:
        return _ExecToken(user.exec, folder)
    if user.token or not user.token_file:
        return lambda _renew: user.token
    return lambda _renew: _read_token(folder / user.token_file)


def _read_token(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as fault:
        raise BadInput(f"tokenFile {path} of the kubeconfig cannot be read: {fault}") from fault


class _ExecToken:
    """Token of an exec plugin, kept until a new one is asked for."""

    def __init__(self, plugin: _Exec, folder: Path) -> None:
        self._plugin = plugin
        self._folder = folder
        self._token = ""

    def __call__(self, renew: bool) -> str:
        if renew or not self._token:
            self._token = self._run()
        return self._token

    def _run(self) -> str:
        plugin = self._plugin
        local = Path(plugin.command).name != plugin.command
        command = str(self._folder / plugin.command) if local else plugin.command
        wanted = {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": {"interactive": False}}
        own = {variable.name: variable.value for variable in plugin.env or ()}
        environment = {**os.environ, **own, "KUBERNETES_EXEC_INFO": msgspec.json.encode(wanted).decode()}
        try:
            done = subprocess.run(  # noqa: S603 - the user's own kubeconfig names the command, as for kubectl
                [command, *(plugin.args or ())], env=environment, capture_output=True, timeout=_EXEC_SECONDS, check=True
            )
            token = msgspec.json.decode(done.stdout, type=_ExecCredential).status.token
        except subprocess.CalledProcessError as fault:
            said = fault.stderr.decode(errors="replace").strip()[-500:]
            raise BadInput(f"exec plugin {plugin.command!r} of the kubeconfig failed with {fault.returncode}: {said}") from fault
        except (OSError, subprocess.TimeoutExpired, msgspec.DecodeError) as fault:
            raise BadInput(f"exec plugin {plugin.command!r} of the kubeconfig cannot be used: {fault}") from fault
        if not token:
            raise BadInput(
                f"exec plugin {plugin.command!r} of the kubeconfig gave no token; plugins that give certificates are not supported"
            )
        return token
