"""A real control plane in the place of an EKS cluster's: AWS names its endpoint, access entries admit to it, instances join it as nodes."""

import contextlib
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
import lightkube
from lightkube.codecs import from_dict

from tests.cluster.aws_world import REGION, AwsWorld
from tests.cluster.binaries import Binaries
from tests.cluster.control_plane import ControlPlane
from tests.cluster.nodes import NodeJoiner
from tests.cluster.principals import ADMINISTRATOR
from tests.cluster.token_webhook import TokenWebhook, utc_now
from tests.cluster.tokens import TokenAuthenticator
from tests.cluster.workloads import create_eks_daemon_sets, wait_for_ready_nodes

_FIELD_MANAGER = "kubectl"


class EksControlPlane:
    """Context manager of one; the attributes are set while it is entered, ``joiner`` after ``join_nodes``.

    The cluster called ``name`` need not exist in the world yet.
    """

    control_plane: ControlPlane
    admin: lightkube.Client
    webhook: TokenWebhook
    joiner: NodeJoiner

    def __init__(self, binaries: Binaries, world: AwsWorld, name: str) -> None:
        self.name = name
        self._binaries = binaries
        self._world = world
        self._session = _administrators_session()
        self._resources = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start the control plane, and let AWS tell of it."""
        with contextlib.ExitStack() as resources:
            folder = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="cluster-")))
            authenticator = TokenAuthenticator(self._world.url, self.name, self._session, clock=utc_now)
            self.webhook = resources.enter_context(TokenWebhook(authenticator))
            webhook = self.webhook.write_kubeconfig(folder / "webhook.yaml")
            self.control_plane = resources.enter_context(ControlPlane(self._binaries, token_webhook=webhook))
            self.admin = resources.enter_context(self.control_plane.client())
            self._world.set_cluster_endpoint(self.name, self.control_plane.endpoint, self.control_plane.ca_pem)
            self._resources = resources.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop everything, the last started first."""
        self._resources.close()

    def join_nodes(self, first_nodes: int) -> None:
        """Let the cluster's instances join from now on, with what runs on every node of EKS; returns when ``first_nodes`` are ready."""
        self.joiner = self._resources.enter_context(NodeJoiner(self.admin, self._session, self._world.url, self.name))
        create_eks_daemon_sets(self.admin)
        wait_for_ready_nodes(self.admin, first_nodes)

    def apply(self, manifest: dict[str, Any]) -> None:
        """Apply one manifest as the administrator, as ``kubectl apply --server-side`` does."""
        self.admin.apply(from_dict(manifest), field_manager=_FIELD_MANAGER)


def _administrators_session() -> boto3.Session:
    return boto3.Session(aws_access_key_id=ADMINISTRATOR.access_key, aws_secret_access_key=ADMINISTRATOR.secret_key, region_name=REGION)
