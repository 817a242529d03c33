"""What a stack declares, on real parts: deployed, its first nodes joined, its function ready to be invoked.

Everything the function meets is what the stack declared: role and policies (enforced by the AWS world), access entry (behind the API
server's token webhook), RBAC, Auto Scaling group tags, schedule. The world's parts know each other only through AWS's and Kubernetes' APIs.
"""

import contextlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import lightkube
from lightkube.codecs import from_dict

from eks_autoscaling.bundle import build_bundle, this_machine
from tests.cluster.asynchronous import AsynchronousInvoker, EventDropped
from tests.cluster.aws_world import AwsWorld
from tests.cluster.binaries import Binaries
from tests.cluster.control_plane import ControlPlane
from tests.cluster.eks_control_plane import EksControlPlane
from tests.cluster.event_source import EventSource
from tests.cluster.function import Function, Invocation
from tests.cluster.nodes import NodeJoiner
from tests.cluster.pulumi_mocks import Deployment, deploy
from tests.cluster.schedule import ScheduledInvoker, declared_configuration, schedules_of
from tests.cluster.token_webhook import TokenWebhook, utc_now

CLUSTER = "eks-spot-managed-node-groups"

Progress = Callable[[str], None]


class DeclaredCluster:
    """Context manager of the whole world of one Pulumi program; the attributes are set while it is entered.

    The program names its cluster ``names[0]``, and those of a fleet as the others; each starts with ``first_nodes`` nodes. It takes the
    configuration ``functionZip``, ``settings`` if there are any, and what ``prepare`` returns, which makes in the account what is there
    before. It exports ``function_name``; if it also exports ``interruption_function_name``, events reach that function.
    ``progress`` is told each step in a few words.
    ``manifest_filter`` may drop or change a Kubernetes object that the program declares before it is applied (None drops it), to see what
    its absence does. ``settings`` are autoscaler flags for the stack, and for commands.
    """

    world: AwsWorld
    archive: Path
    control_planes: dict[str, EksControlPlane]
    """By name of the cluster; the attributes below are those of the first one."""
    control_plane: ControlPlane
    admin: lightkube.Client
    joiner: NodeJoiner
    webhook: TokenWebhook
    deployment: Deployment
    function: Function
    invokers: dict[str, ScheduledInvoker]
    """By name of the schedule."""
    interruption: Function
    event_source: EventSource

    def __init__(
        self,
        binaries: Binaries,
        program: Path,
        first_nodes: int,
        *,
        names: Sequence[str] = (CLUSTER,),
        prepare: Callable[[AwsWorld], dict[str, Any]] = lambda _: {},
        progress: Progress = lambda _: None,
        manifest_filter: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda manifest: manifest,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self.names = tuple(names)
        self.settings = settings or {}
        self._binaries = binaries
        self._program = program
        self._first_nodes = first_nodes
        self._prepare = prepare
        self._progress = progress
        self._manifest_filter = manifest_filter
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

    @property
    def name(self) -> str:
        """Name of the first cluster."""
        return self.names[0]

    @property
    def invoker(self) -> ScheduledInvoker:
        """What invokes the function, where one schedule does."""
        (only,) = self.invokers.values()
        return only

    def scan(self, schedule: str = "") -> Invocation:
        """Invoke the function as its schedule does, now; name the schedule where there are several."""
        return (self.invokers[schedule] if schedule else self.invoker).tick(utc_now())

    def group(self, name: str) -> dict[str, Any]:
        """An Auto Scaling group as AWS describes it."""
        groups = self.world.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
        group: dict[str, Any] = groups[0]
        return group

    def function_writes(self) -> list[str]:
        """Operations by which the function changed something at AWS, oldest first."""
        return [call.operation for call in self.world.writes(self.function.configuration.role_arn.rpartition("/")[2])]

    def _start(self, resources: contextlib.ExitStack) -> None:
        self.world = resources.enter_context(AwsWorld())
        self._progress("starting etcd, kube-apiserver, kube-scheduler, kube-controller-manager and kwok")
        planes = [resources.enter_context(EksControlPlane(self._binaries, self.world, name)) for name in self.names]
        self.control_planes = {plane.name: plane for plane in planes}
        self.control_plane, self.admin, self.webhook = planes[0].control_plane, planes[0].admin, planes[0].webhook
        self._deploy(resources)
        self._progress("joining the first nodes")
        for plane in planes:
            plane.join_nodes(self._first_nodes)
        self.joiner = planes[0].joiner

    def _deploy(self, resources: contextlib.ExitStack) -> None:
        self._progress("building the function's zip for this machine")
        self.archive = build_bundle(this_machine())
        self._progress(f"deploying {self._program.name}: every declared resource is created in the AWS stand-in, RBAC in the cluster")
        configuration = {**self._prepare(self.world), "functionZip": str(self.archive)}
        if self.settings:
            configuration["settings"] = self.settings
        self.deployment = deploy(self._program, configuration, self.world, self._apply)
        self._run_functions(resources)

    def _run_functions(self, resources: contextlib.ExitStack) -> None:
        outputs = self.deployment.outputs
        functions, scheduler = self.world.client("lambda"), self.world.client("scheduler")
        self.function = self._run_function(resources, outputs["function_name"])
        self.invokers = {
            name: ScheduledInvoker(scheduler, functions, self.function, name, self.world.may_invoke)
            for name in schedules_of(scheduler, self.function.configuration.arn)
        }
        woken = next(iter(self.invokers.values())).asynchronous
        self.world.invocations.serve(outputs["function_name"], lambda event: _wake(woken, event))
        if "interruption_function_name" in outputs:
            self.interruption = self._run_function(resources, outputs["interruption_function_name"])
            queues = self.world.client("sqs", self.interruption.credentials)
            self.event_source = resources.enter_context(EventSource(functions, queues, self.interruption))

    def _run_function(self, resources: contextlib.ExitStack, name: str) -> Function:
        declared = declared_configuration(self.world.client("lambda"), name)
        credentials = self.world.credentials_of(declared.role_arn, session_name=declared.name)
        return resources.enter_context(Function(self.archive, declared, credentials, self.world.url))

    def _apply(self, manifest: dict[str, Any], kubeconfig: str) -> None:
        """Create what the program declares in the cluster that its provider's kubeconfig leads to."""
        kept = self._manifest_filter(manifest)
        if kept is not None:
            (server,) = (cluster["cluster"]["server"] for cluster in json.loads(kubeconfig)["clusters"])
            (plane,) = (plane for plane in self.control_planes.values() if plane.control_plane.endpoint == server)
            plane.admin.create(from_dict(kept))


def _wake(function: AsynchronousInvoker, event: dict[str, Any]) -> None:
    with contextlib.suppress(EventDropped):  # Lambda tells nobody either
        function.invoke(event)
