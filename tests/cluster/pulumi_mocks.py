"""Runs a Pulumi program without Pulumi's engine: its resources are created through boto3 in an ``AwsWorld``.

``deploy`` is ``pulumi up`` into an empty account, ``preview`` is ``pulumi preview`` with every output unknown. Both
record each resource with its inputs and its options, since options (what is ignored, protected, replaced in which
order) decide about production and leave no trace in AWS. There is no engine: nothing is compared with an earlier
state, updated or deleted.
"""

import asyncio
import contextlib
import itertools
import json
import runpy
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime import mocks, rpc
from pulumi.runtime.settings import configure
from pulumi.runtime.stack import run_in_stack

from tests.cluster.aws_world import AwsWorld
from tests.cluster.principals import ACCOUNT
from tests.cluster.pulumi_add_on_rows import ADD_ON_ROWS
from tests.cluster.pulumi_eks_cluster import CLUSTER_COMPONENT, create_cluster
from tests.cluster.pulumi_event_rows import EVENT_ROWS
from tests.cluster.pulumi_function import create_function
from tests.cluster.pulumi_group_rows import GROUP_ROWS
from tests.cluster.pulumi_lookups import look_up
from tests.cluster.pulumi_network_rows import NETWORK_ROWS
from tests.cluster.pulumi_rows import ROWS, Created, Handler, Inputs
from tests.cluster.pulumi_values import plain

PROJECT = "eks-autoscaling"
STACK = "test"
_DEPLOYER = f"arn:aws:iam::{ACCOUNT}:user/administrator"
_ZONES = dict(zip("abcdef", (6, 1, 2, 4, 3, 5), strict=True))

Apply = Callable[[dict[str, Any], str], None]
"""Takes a Kubernetes manifest and the kubeconfig of the provider that declares it; "" when it has none."""
Program = Path | Callable[[], object]


class UnsupportedResource(Exception):
    """A program declares what these mocks cannot create, or asks what they cannot answer."""


@dataclass(frozen=True)
class Options:
    """What a program asked of the engine for one resource; ``depends_on`` and ``parent`` are URNs.

    ``delete_before_replace`` is None where the program leaves it to the provider.
    """

    ignore_changes: tuple[str, ...]
    replace_on_changes: tuple[str, ...]
    depends_on: tuple[str, ...]
    parent: str
    protect: bool
    delete_before_replace: bool | None
    provider: str


@dataclass(frozen=True)
class Declared:
    """A resource as the program declared it and as it was created; inputs and outputs in Pulumi's spelling."""

    urn: str
    type: str
    name: str
    inputs: dict[str, Any]
    id: str
    outputs: dict[str, Any]
    options: Options


@dataclass
class Deployment:
    """What a program declared: its stack outputs, all resources in the order of their creation, Kubernetes manifests."""

    outputs: dict[str, Any] = field(default_factory=dict)
    resources: list[Declared] = field(default_factory=list)
    manifests: list[dict[str, Any]] = field(default_factory=list)

    def of_type(self, token: str) -> list[Declared]:
        """The resources of one type (``aws:eks/nodeGroup:NodeGroup``)."""
        return [resource for resource in self.resources if resource.type == token]

    def one(self, token: str, name: str | None = None) -> Declared:
        """The only resource of a type, or that with the logical ``name``."""
        found = [resource for resource in self.of_type(token) if name in (None, resource.name)]
        if len(found) != 1:
            raise LookupError(
                f"{len(found)} resources of type {token} are named {name}: {[resource.name for resource in self.of_type(token)]}"
            )
        return found[0]


def deploy(program: Program, config: Mapping[str, Any], world: AwsWorld, apply: Apply | None = None) -> Deployment:
    """Run ``program`` (a folder with __main__.py, a file, or a function) and create what it declares in ``world``.

    ``config`` holds the stack's configuration by plain key (``clusterName``); ``apply`` gets each Kubernetes manifest.
    Raises what the program raises, UnsupportedResource, InvalidInput, or botocore's error of a refused call.
    """
    return _run(program, config, _Creation(world, apply), unknown=False)


def preview(program: Program, config: Mapping[str, Any]) -> Deployment:
    """Run ``program`` as a preview would: nothing is created, ids and outputs of resources are unknown."""
    return _run(program, config, Nothing(), unknown=True)


class Nothing(mocks.Mocks):
    """Creates nothing, which leaves every output unknown in a preview."""

    manifests: tuple[dict[str, Any], ...] = ()
    registered: Mapping[str, mocks.MockMonitor.ResourceRegistration] = {}

    def new_resource(self, args: mocks.MockResourceArgs) -> Created:
        """No id, no outputs."""
        return "", {}

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """What the provider's functions answer."""
        return look_up(args.token, args.args, None) or _invoke(args.token, args.args), []


class _Creation(mocks.Mocks):
    """Creates every custom resource in a world, one at a time."""

    def __init__(self, world: AwsWorld, apply: Apply | None) -> None:
        self._world = world
        self._apply = apply
        self._lock = threading.Lock()
        # What the monitor knows; a component of another package makes resources that the program does not declare.
        self.registered: dict[str, mocks.MockMonitor.ResourceRegistration] = {}
        self._handlers: dict[str, Handler] = {row.token: row for row in (*ROWS, *ADD_ON_ROWS, *GROUP_ROWS, *EVENT_ROWS, *NETWORK_ROWS)}
        self._handlers["aws:lambda/function:Function"] = create_function
        self._kubeconfigs: dict[str, str] = {}
        self.manifests: list[dict[str, Any]] = []

    def new_resource(self, args: mocks.MockResourceArgs) -> Created:
        """Create it and return its id and outputs."""
        inputs = plain(args.inputs)
        if args.typ == CLUSTER_COMPONENT:
            outputs, child = create_cluster(self._world, self._handlers, args.name, inputs)
            self.registered[child.urn] = child
            return "", outputs
        if not args.custom:
            return "", inputs
        if args.typ.startswith("pulumi:providers:"):
            self._kubeconfigs[f"{args.name}-id"] = inputs.get("kubeconfig") or ""
            return f"{args.name}-id", inputs
        with self._lock:
            if args.typ.startswith("kubernetes:"):
                return self._declare_in_kubernetes(inputs, self._kubeconfigs.get((args.provider or "").rpartition("::")[2], ""))
            if args.typ not in self._handlers:
                raise UnsupportedResource(f"no row or handler creates {args.typ} ({args.name})")
            return self._handlers[args.typ](self._world, args.name, inputs)

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """What the provider's functions answer."""
        return look_up(args.token, args.args, self._world) or _invoke(args.token, args.args), []

    def _declare_in_kubernetes(self, manifest: Inputs, kubeconfig: str) -> Created:
        self.manifests.append(manifest)
        if self._apply is not None:
            self._apply(manifest, kubeconfig)
        metadata = manifest["metadata"]
        return "/".join(filter(None, (metadata.get("namespace"), metadata["name"]))), manifest


class Recorder(mocks.MockMonitor):
    """Pulumi's mock monitor, with a memory for options and stack outputs."""

    def __init__(self, creation: mocks.Mocks, deployment: Deployment) -> None:
        super().__init__(creation)
        self._deployment = deployment

    def RegisterResource(self, request: Any) -> Any:
        answer = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        if request.type != "pulumi:pulumi:Stack":
            registered = self.resources[answer.urn]
            declared = Declared(
                answer.urn,
                request.type,
                request.name,
                plain(rpc.deserialize_properties(request.object)),
                registered.id,
                registered.state,
                _options(request),
            )
            self._deployment.resources.append(declared)
        return answer

    def RegisterResourceOutputs(self, request: Any) -> Any:
        if "::pulumi:pulumi:Stack::" in request.urn:  # the URNs of its children hold the type too
            self._deployment.outputs = plain(rpc.deserialize_properties(request.outputs))
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]


def _options(request: Any) -> Options:
    return Options(
        ignore_changes=tuple(request.ignoreChanges),
        replace_on_changes=tuple(request.replaceOnChanges),
        depends_on=tuple(request.dependencies),
        parent=request.parent,
        protect=request.protect,
        delete_before_replace=request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
        provider=request.provider,
    )


def _run(program: Program, config: Mapping[str, Any], creation: Any, *, unknown: bool) -> Deployment:
    deployment = Deployment()
    recorder = Recorder(creation, deployment)
    creation.registered = recorder.resources
    texts = {f"{PROJECT}:{key}": value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
    # Pulumi keeps its state in context variables and an event loop: a thread of its own starts with neither.
    with ThreadPoolExecutor(1, "pulumi") as thread, _own_modules(program):
        thread.submit(_run_program, program, recorder, texts, unknown).result()
    deployment.manifests = list(creation.manifests)
    return deployment


def _run_program(program: Program, recorder: mocks.MockMonitor, config: dict[str, str], unknown: bool) -> None:
    use_monitor(recorder, unknown=unknown)
    pulumi.runtime.set_all_config(config)
    with _event_loop() as loop:
        loop.run_until_complete(run_in_stack(lambda: _execute(program)))


def use_monitor(recorder: mocks.MockMonitor, *, unknown: bool) -> None:
    """Let the SDK, as far as it runs in this thread, talk to ``recorder``."""
    settings = mocks.MockSettings(  # type: ignore[no-untyped-call]
        monitor=recorder,
        monitor_features=set(recorder.GetDeploymentInfo(None).supportedFeatures),  # type: ignore[no-untyped-call]
        engine=mocks.MockEngine(None),
        project=PROJECT,
        stack=STACK,
        dry_run=unknown,
        organization=None,
        callbacks=None,
        # Else the tasks of a program that failed are waited for by the next one, when their loop is closed.
        outputs=set(),
    )
    configure(settings)


def _execute(program: Program) -> None:
    if isinstance(program, Path):
        runpy.run_path(str(program), run_name="__main__")
    else:
        program()


@contextlib.contextmanager
def _event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop for the program, with worker threads that have loops too: Pulumi's mocks would make them and never close them."""
    loops: list[asyncio.AbstractEventLoop] = []
    loop = new_loop(loops)
    loop.set_default_executor(ThreadPoolExecutor(8, "pulumi-call", new_loop, (loops,)))
    try:
        yield loop
    finally:
        # A program that failed leaves registrations behind that wait for what will never come.
        abandoned = asyncio.all_tasks(loop)
        for task in abandoned:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*abandoned, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_default_executor())
        asyncio.set_event_loop(None)
        for made in loops:
            made.close()


def new_loop(loops: list[asyncio.AbstractEventLoop]) -> asyncio.AbstractEventLoop:
    """A loop for this thread, noted in ``loops`` for whoever closes it."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loops.append(loop)
    return loop


@contextlib.contextmanager
def _own_modules(program: Program) -> Iterator[None]:
    """Forget the modules of the program's own folder afterwards: the next program may have some of the same names."""
    try:
        yield
    finally:
        folder = str(program.absolute() if isinstance(program, Path) else None)
        for name, module in list(sys.modules.items()):
            if (getattr(module, "__file__", None) or "").startswith(folder):
                del sys.modules[name]


def _invoke(token: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """Answers of the AWS provider's functions, for the account of the world."""
    if token == "aws:index/getAvailabilityZones:getAvailabilityZones":
        return _zones(args)
    if token == "aws:iam/getSessionContext:getSessionContext":
        return {"arn": args["arn"], "issuerArn": args["arn"], "id": args["arn"]}
    answers: dict[str, dict[str, Any]] = {
        "aws:index/getPartition:getPartition": {"partition": "aws", "dnsSuffix": "amazonaws.com", "id": "aws"},
        "aws:index/getRegion:getRegion": {"name": "us-east-1", "region": "us-east-1", "id": "us-east-1"},
        "aws:index/getCallerIdentity:getCallerIdentity": {"accountId": ACCOUNT, "arn": _DEPLOYER, "id": ACCOUNT},
    }
    if token not in answers:
        raise UnsupportedResource(f"no answer for the function {token}")
    return answers[token]


def _zones(args: Mapping[str, Any]) -> dict[str, Any]:
    excluded = args.get("excludeZoneIds", [])
    zones = [(f"us-east-1{letter}", f"use1-az{number}") for letter, number in _ZONES.items()]
    kept = list(itertools.filterfalse(lambda zone: zone[1] in excluded, zones))
    return {"names": [name for name, _ in kept], "zoneIds": [identifier for _, identifier in kept], "id": "us-east-1"}
