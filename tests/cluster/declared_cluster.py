"""What a stack declares, on real parts: deployed, its first nodes joined, its function ready to be invoked.

Everything the function meets is what the stack declared: role and policies (enforced by the AWS world), access entry (behind the API
server's token webhook), RBAC, Auto Scaling group tags, schedule. The world's parts know each other only through AWS's and Kubernetes' APIs.
"""

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
import lightkube
from lightkube.codecs import from_dict

from eks_autoscaling.bundle import build_bundle, this_machine
from tests.cluster.asynchronous import EventDropped
from tests.cluster.aws_world import REGION, AwsWorld
from tests.cluster.binaries import Binaries
from tests.cluster.control_plane import ControlPlane
from tests.cluster.event_source import EventSource
from tests.cluster.function import Function, Invocation
from tests.cluster.nodes import NodeJoiner
from tests.cluster.principals import ADMINISTRATOR
from tests.cluster.pulumi_mocks import Deployment, deploy
from tests.cluster.schedule import ScheduledInvoker, declared_configuration
from tests.cluster.token_webhook import TokenWebhook, utc_now
from tests.cluster.tokens import TokenAuthenticator
from tests.cluster.workloads import create_eks_daemon_sets, wait_for_ready_nodes

CLUSTER = "eks-spot-managed-node-groups"

Progress = Callable[[str], None]


class DeclaredCluster:
    """Context manager of the whole world of one Pulumi program; the attributes are set while it is entered.

    The program names its cluster ``CLUSTER``, starts with ``first_nodes`` nodes, takes the configuration ``functionZip`` and ``settings``,
    and exports ``function_name``, ``function_role_arn`` and ``schedule_name``; if it also exports ``interruption_function_name`` and
    ``interruption_role_arn``, events reach that function. ``progress`` is told each step in a few words.
    ``manifest_filter`` may drop or change a Kubernetes object that the program declares before it is applied (None drops it), to see what
    its absence does. ``settings`` are autoscaler flags for the stack, and for commands.
    """

    world: AwsWorld
    archive: Path
    control_plane: ControlPlane
    admin: lightkube.Client
    deployment: Deployment
    joiner: NodeJoiner
    function: Function
    invoker: ScheduledInvoker
    webhook: TokenWebhook
    interruption: Function
    event_source: EventSource

    def __init__(
        self,
        binaries: Binaries,
        program: Path,
        first_nodes: int,
        *,
        progress: Progress = lambda _: None,
        manifest_filter: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda manifest: manifest,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self._binaries = binaries
        self._program = program
        self._first_nodes = first_nodes
        self._progress = progress
        self._manifest_filter = manifest_filter
        self.settings = settings or {}
        self._resources = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start everything and wait until the first nodes are ready."""
        with contextlib.ExitStack() as resources:
            self._start(resources)
            self._resources = resources.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop everything, the last started first."""
        self._resources.close()

    def scan(self) -> Invocation:
        """Invoke the function as its schedule does, now."""
        return self.invoker.tick(utc_now())

    def group(self, name: str) -> dict[str, Any]:
        """An Auto Scaling group as AWS describes it."""
        groups = self.world.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
        group: dict[str, Any] = groups[0]
        return group

    def function_writes(self) -> list[str]:
        """Operations by which the function changed something at AWS, oldest first."""
        role = self.deployment.outputs["function_role_arn"].rpartition("/")[2]
        return [call.operation for call in self.world.writes(role)]

    def _start(self, resources: contextlib.ExitStack) -> None:
        self.world = resources.enter_context(AwsWorld())
        folder = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="cluster-")))
        session = _administrators_session()
        authenticator = TokenAuthenticator(self.world.url, CLUSTER, session, clock=utc_now)
        self.webhook = resources.enter_context(TokenWebhook(authenticator))
        self._progress("starting etcd, kube-apiserver, kube-scheduler, kube-controller-manager and kwok")
        webhook = self.webhook.write_kubeconfig(folder / "webhook.yaml")
        self.control_plane = resources.enter_context(ControlPlane(self._binaries, token_webhook=webhook))
        self.admin = resources.enter_context(self.control_plane.client())
        self._deploy(resources)
        self._progress("joining the first nodes")
        self.joiner = resources.enter_context(NodeJoiner(self.admin, session, self.world.url, CLUSTER))
        create_eks_daemon_sets(self.admin)
        wait_for_ready_nodes(self.admin, self._first_nodes)

    def _deploy(self, resources: contextlib.ExitStack) -> None:
        self._progress("building the function's zip for this machine")
        self.archive = build_bundle(this_machine())
        self._progress(f"deploying {self._program.name}: every declared resource is created in the AWS stand-in, RBAC in the cluster")
        configuration = (
            {"functionZip": str(self.archive), "settings": self.settings} if self.settings else {"functionZip": str(self.archive)}
        )
        self.deployment = deploy(self._program, configuration, self.world, self._apply)
        self.world.set_cluster_endpoint(CLUSTER, self.control_plane.endpoint, self.control_plane.ca_pem)
        outputs = self.deployment.outputs
        functions = self.world.client("lambda")
        self.function = self._run_function(resources, "function_name", "function_role_arn")
        scheduler = self.world.client("scheduler")
        self.invoker = ScheduledInvoker(scheduler, functions, self.function, outputs["schedule_name"], self.world.may_invoke)
        self.world.invocations.serve(outputs["function_name"], self._wake)
        if "interruption_function_name" in outputs:
            self.interruption = self._run_function(resources, "interruption_function_name", "interruption_role_arn")
            queues = self.world.client("sqs", self.interruption.credentials)
            self.event_source = resources.enter_context(EventSource(functions, queues, self.interruption))

    def _wake(self, event: dict[str, Any]) -> None:
        with contextlib.suppress(EventDropped):  # Lambda tells nobody either
            self.invoker.asynchronous.invoke(event)

    def _run_function(self, resources: contextlib.ExitStack, name: str, role: str) -> Function:
        declared = declared_configuration(self.world.client("lambda"), self.deployment.outputs[name])
        credentials = self.world.credentials_of(self.deployment.outputs[role], session_name=declared.name)
        return resources.enter_context(Function(self.archive, declared, credentials, self.world.url))

    def _apply(self, manifest: dict[str, Any]) -> None:
        kept = self._manifest_filter(manifest)
        if kept is not None:
            self.admin.create(from_dict(kept))


def _administrators_session() -> boto3.Session:
    return boto3.Session(aws_access_key_id=ADMINISTRATOR.access_key, aws_secret_access_key=ADMINISTRATOR.secret_key, region_name=REGION)
