"""Pulumi's plugin host with our components, run as the engine would run it, and the parts of an engine that it calls.

The host is a process: its argument is the engine's address, its first line of output is its port. What a component
declares goes to a monitor, here that of the mocks, served over gRPC. A value on this path is what a program in another
language would send: every number is a float, every name is in Pulumi's spelling.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2, provider_pb2_grpc, resource_pb2_grpc

from tests.cluster.pulumi_mocks import PROJECT, STACK, Deployment, Nothing, Recorder, new_loop, use_monitor
from tests.components import wire

DISTRIBUTION = "eks-autoscaling"


class PluginHost:
    """A running plugin host."""

    def __init__(self, address: str, monitor_address: str, deployment: Deployment) -> None:
        self._provider = provider_pb2_grpc.ResourceProviderStub(grpc.insecure_channel(address))
        self._monitor_address = monitor_address
        self._deployment = deployment

    def schema(self) -> dict[str, Any]:
        """The package as programs in other languages see it."""
        answer = self._provider.GetSchema(provider_pb2.GetSchemaRequest())
        schema: dict[str, Any] = json.loads(answer.schema)
        return schema

    def construct(self, token: str, name: str, inputs: Mapping[str, Any]) -> tuple[Deployment, Mapping[str, Any]]:
        """Have a component constructed in a preview, with inputs as in ``wire``: what it declared, and its outputs."""
        self._deployment.resources.clear()
        request = provider_pb2.ConstructRequest(
            project=PROJECT,
            stack=STACK,
            dryRun=True,
            parallel=8,
            parent=wire.urn("pulumi:pulumi:Stack", f"{PROJECT}-{STACK}"),
            monitorEndpoint=self._monitor_address,
            type=token,
            name=name,
            inputs=wire.struct(inputs),
            accepts_output_values=True,
        )
        answer = self._provider.Construct(request, timeout=60)
        return Deployment(resources=list(self._deployment.resources)), answer.state.fields


@contextlib.contextmanager
def plugin_host(python: str = sys.executable) -> Iterator[PluginHost]:
    """Start the host that ``python``'s environment has, with an engine that it can call; end both afterwards."""
    deployment = Deployment()
    with _engine(deployment) as engine:
        command = [python, "-m", "pulumi.run.plugin", DISTRIBUTION, engine]
        host = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert host.stdout
        try:
            yield PluginHost(f"127.0.0.1:{int(host.stdout.readline())}", engine, deployment)
        finally:
            host.terminate()
            host.wait()
            host.stdout.close()


@contextlib.contextmanager
def _engine(deployment: Deployment) -> Iterator[str]:
    """Engine and resource monitor at one address."""
    loops: list[Any] = []
    recorder = Recorder(Nothing(), deployment)
    # The host asks for what a reference among the inputs refers to.
    made = wire.urn("pulumi:providers:kubernetes", "kubernetes")
    recorder.resources[made] = Recorder.ResourceRegistration(made, "kubernetes-id", {})

    def prepare() -> None:
        new_loop(loops)
        use_monitor(recorder, unknown=True)

    server = grpc.server(ThreadPoolExecutor(8, "engine", prepare))
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(_Monitor(recorder), server)
    engine_pb2_grpc.add_EngineServicer_to_server(_Engine(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
        for loop in loops:
            loop.close()


class _Monitor(resource_pb2_grpc.ResourceMonitorServicer):
    """The mocks' monitor, called over gRPC."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder: Any = recorder

    def GetDeploymentInfo(self, request: Any, _: Any) -> Any:
        return self._recorder.GetDeploymentInfo(request)

    def RegisterResource(self, request: Any, _: Any) -> Any:
        return self._recorder.RegisterResource(request)

    def RegisterResourceOutputs(self, request: Any, _: Any) -> Any:
        return self._recorder.RegisterResourceOutputs(request)

    def Invoke(self, request: Any, _: Any) -> Any:
        return self._recorder.Invoke(request)


class _Engine(engine_pb2_grpc.EngineServicer):
    """An engine that takes what is logged, and has a stack."""

    def Log(self, request: Any, _: Any) -> Any:
        return empty_pb2.Empty()

    def GetRootResource(self, request: Any, _: Any) -> Any:
        return engine_pb2.GetRootResourceResponse()
