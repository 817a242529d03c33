"""A small specification for tests of the simulated world: one Spot group of 4-vCPU nodes and one Deployment."""

from typing import Any

import msgspec

from lambda_autoscaler.core.decode import decode_objects
from lambda_autoscaler.core.kubernetes import Pod
from lambda_autoscaler.sim.scenario import tutorial
from lambda_autoscaler.sim.specification import GroupSpecification, Pace, Specification, WorkloadSpecification
from lambda_autoscaler.sim.world import World

EXACT = Pace(launch=10, register=20, ready=5, pod_start=3, terminate=30, retry_launch=60, jitter=0)
DAEMON = WorkloadSpecification(
    name="aws-node",
    namespace="kube-system",
    pod={"containers": [{"name": "c", "resources": {"requests": {"cpu": "50m"}}}], "tolerations": [{"operator": "Exists"}]},
)


def pod_spec(cpu: str = "1000m", **fields: Any) -> dict[str, Any]:
    return {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}], **fields}


def specification(**changes: Any) -> Specification:
    spot = GroupSpecification(name="spot", minimum=1, maximum=10, desired=1, instance_types=("m5.xlarge",), capacity_type="SPOT")
    web = WorkloadSpecification(name="web", replicas=2, pod=pod_spec())
    made = Specification(
        cluster="small", groups=(spot,), instances=tutorial().world.instances, daemon_sets=(DAEMON,), deployments=(web,), pace=EXACT
    )
    return msgspec.structs.replace(made, **changes)


def with_group(**changes: Any) -> Specification:
    made = specification()
    return msgspec.structs.replace(made, groups=(msgspec.structs.replace(made.groups[0], **changes),))


def group_name(world: World) -> str:
    return next(iter(world.fleet.groups))


def pods(world: World, name: str = "web") -> list[Pod]:
    """Pods of a workload as the API prints them."""
    found = [item for page in world.kube.list("pods") for item in decode_objects("pods", page)[0]]
    return [pod for pod in found if pod.metadata.name.startswith(f"{name}-")]


def running(world: World, name: str = "web") -> int:
    return sum(pod.status.phase == "Running" for pod in pods(world, name))


def nodes(world: World) -> list[str]:
    return [item.metadata.name for page in world.kube.list("nodes") for item in decode_objects("nodes", page)[0]]
