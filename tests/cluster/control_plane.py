"""A real Kubernetes control plane on this machine: etcd, kube-apiserver, scheduler, controllers, and kwok for kubelets.

Everything listens on free ports of 127.0.0.1 and keeps its state in a folder that is thrown away, so durability is
traded for speed. Clients authenticate as on EKS, over TLS that only the cluster's own authority vouches for: the
administrator with a fixed token, service accounts, and, where a webhook is given, identities it vouches for.
"""

import contextlib
import secrets
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import lightkube
import urllib3
import yaml
from lightkube.config.models import Cluster, User

from tests.cluster.audit import audit_arguments
from tests.cluster.binaries import Binaries
from tests.cluster.certificates import Certificates, issue_certificates
from tests.cluster.processes import Component, free_ports, stopped_on_sigterm

_READY_SECONDS = 60.0
# Seconds an answer of the token webhook counts: EKS's own cache outlives most tests.
_WEBHOOK_CACHE = "1s"

_Starting = tuple[Component, Callable[[], bool]]
"""A component that runs, and whether it is ready."""


@dataclass(frozen=True)
class Parts:
    """What runs beside etcd and kube-apiserver."""

    scheduler: bool = True
    controllers: bool = True
    """Without controllers pods need no service account and new nodes get no not-ready taint: nobody would act on it."""
    kubelets: bool = True
    """kwok, which plays the kubelet of every node: pods run as soon as they are scheduled."""


class ControlPlane:
    """Context manager of one control plane; the attributes are set while it is entered.

    ``endpoint`` is an https URL, ``ca_pem`` the PEM of the authority to trust, ``admin_token`` a bearer token of group
    system:masters, ``kubeconfig`` a file with all three, ``folder`` holds one log per component, and the API server's audit log.
    """

    endpoint: str
    ca_pem: bytes
    admin_token: str
    kubeconfig: Path
    folder: Path

    def __init__(
        self,
        binaries: Binaries,
        *,
        parts: Parts = Parts(),
        token_webhook: Path | None = None,
        folder: Path | None = None,
    ) -> None:
        """``token_webhook`` is a kubeconfig that names a TokenReview v1 webhook; ``folder`` (existing) is kept."""
        self._binaries = binaries
        self._parts = parts
        self._token_webhook = token_webhook
        self._given_folder = folder
        self._components: list[Component] = []
        self._resources = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start everything; ComponentFailed, with the end of its log, names what did not get ready."""
        with contextlib.ExitStack() as resources:
            self.folder = self._given_folder or Path(
                resources.enter_context(tempfile.TemporaryDirectory(prefix="control-plane-", ignore_cleanup_errors=True))
            )
            resources.enter_context(stopped_on_sigterm(self._stop))
            resources.callback(self._stop)
            self._start()
            self._resources = resources.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End every component and remove the folder unless it was given."""
        self._resources.close()

    def client(self, token: str | None = None) -> lightkube.Client:
        """A client that trusts this cluster, as the administrator or as whoever ``token`` is."""
        configuration = lightkube.KubeConfig.from_one(
            cluster=Cluster(server=self.endpoint, certificate_auth=str(self.folder / "ca.crt")),
            user=User(token=token or self.admin_token),
        )
        return lightkube.Client(configuration, trust_env=False)

    def _start(self) -> None:
        etcd_port, etcd_peer_port, api_port, *ports = free_ports(6)
        certificates = issue_certificates(self.folder)
        self.endpoint = f"https://127.0.0.1:{api_port}"
        self.ca_pem = certificates.ca.read_bytes()
        self.admin_token = secrets.token_urlsafe(24)
        self.kubeconfig = self._write_kubeconfig()
        self._start_etcd(etcd_port, etcd_peer_port)
        self._start_apiserver(api_port, etcd_port, certificates)
        self._start_parts(ports, certificates)

    def _start_etcd(self, port: int, peer_port: int) -> None:
        url, peer_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
        etcd = self._run(
            self._binaries.etcd,
            "--unsafe-no-fsync",
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={url}",
            f"--advertise-client-urls={url}",
            f"--listen-peer-urls={peer_url}",
            f"--initial-advertise-peer-urls={peer_url}",
            f"--initial-cluster=default={peer_url}",
            "--log-level=warn",
        )
        etcd.wait_until(lambda: self._answers(f"{url}/readyz"), _READY_SECONDS)

    def _start_apiserver(self, port: int, etcd_port: int, certificates: Certificates) -> None:
        tokens = self.folder / "tokens.csv"
        tokens.write_text(f'{self.admin_token},admin,admin,"system:masters"\n')
        arguments = [
            f"--etcd-servers=http://127.0.0.1:{etcd_port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={port}",
            f"--tls-cert-file={certificates.server}",
            f"--tls-private-key-file={certificates.server_key}",
            f"--token-auth-file={tokens}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.100.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={certificates.service_account_key}",
            f"--service-account-signing-key-file={certificates.service_account_key}",
            "--endpoint-reconciler-type=none",
            "--profiling=false",
            *audit_arguments(self.folder),
        ]
        if not self._parts.controllers:
            arguments.append("--disable-admission-plugins=ServiceAccount,TaintNodesByCondition")
        if self._token_webhook is not None:
            arguments.append(f"--authentication-token-webhook-config-file={self._token_webhook}")
            arguments.append("--authentication-token-webhook-version=v1")
            arguments.append(f"--authentication-token-webhook-cache-ttl={_WEBHOOK_CACHE}")
        apiserver = self._run(self._binaries.kube_apiserver, *arguments)
        apiserver.wait_until(lambda: self._answers(f"{self.endpoint}/readyz"), _READY_SECONDS)

    def _start_parts(self, ports: list[int], certificates: Certificates) -> None:
        starts = (
            (self._parts.scheduler, self._start_scheduler),
            (self._parts.controllers, self._start_controllers),
            (self._parts.kubelets, self._start_kubelets),
        )
        waits = [start(port, certificates) for port, (wanted, start) in zip(ports, starts, strict=True) if wanted]
        for component, ready in waits:
            component.wait_until(ready, _READY_SECONDS)

    def _start_scheduler(self, port: int, certificates: Certificates) -> _Starting:
        scheduler = self._run(self._binaries.kube_scheduler, *self._daemon_arguments(port, certificates))
        return scheduler, lambda: self._answers(f"https://127.0.0.1:{port}/readyz")

    def _start_controllers(self, port: int, certificates: Certificates) -> _Starting:
        controllers = self._run(
            self._binaries.kube_controller_manager,
            *self._daemon_arguments(port, certificates),
            f"--root-ca-file={certificates.ca}",
            f"--service-account-private-key-file={certificates.service_account_key}",
        )
        return controllers, self._has_accounts

    def _start_kubelets(self, port: int, _certificates: Certificates) -> _Starting:
        kwok = self._run(
            self._binaries.kwok,
            f"--kubeconfig={self.kubeconfig}",
            *(f"--config={stage}" for stage in self._binaries.kwok_stages),
            "--manage-all-nodes",
            # Leases are the nodes' sign of life; their renewal every 10 s is all an idle node costs.
            "--node-lease-duration-seconds=40",
            f"--server-address=127.0.0.1:{port}",
        )
        return kwok, lambda: self._answers(f"http://127.0.0.1:{port}/healthz")

    def _daemon_arguments(self, port: int, certificates: Certificates) -> list[str]:
        return [
            f"--kubeconfig={self.kubeconfig}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--tls-cert-file={certificates.server}",
            f"--tls-private-key-file={certificates.server_key}",
            "--leader-elect=false",
            "--authentication-skip-lookup",
        ]

    def _run(self, program: Path, *arguments: str) -> Component:
        component = Component(program, arguments, self.folder)
        self._components.append(component)
        return component

    def _stop(self) -> None:
        for component in reversed(self._components):
            component.stop()

    def _has_accounts(self) -> bool:
        """Whether pods can be created: both namespaces that stories use have their default service account."""
        paths = (f"/api/v1/namespaces/{name}/serviceaccounts/default" for name in ("default", "kube-system"))
        return all(self._answers(self.endpoint + path) for path in paths)

    def _answers(self, url: str) -> bool:
        headers = {"Authorization": f"Bearer {self.admin_token}"} if url.startswith(self.endpoint) else {}
        with urllib3.PoolManager(ca_certs=str(self.folder / "ca.crt"), retries=False, timeout=2.0) as http:
            try:
                return http.request("GET", url, headers=headers).status == 200
            except urllib3.exceptions.HTTPError:
                return False

    def _write_kubeconfig(self) -> Path:
        path = self.folder / "kubeconfig"
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "cluster",
                    "cluster": {"server": self.endpoint, "certificate-authority": str(self.folder / "ca.crt")},
                }
            ],
            "users": [{"name": "admin", "user": {"token": self.admin_token}}],
            "contexts": [{"name": "admin", "context": {"cluster": "cluster", "user": "admin"}}],
            "current-context": "admin",
        }
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(document))
        return path
