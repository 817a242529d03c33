"""Stories that the simulated world can play: what there is at the start, and what somebody does when.

The built-in one is the tutorial: an EKS cluster with an On-Demand and a Spot node group, and a Deployment on Spot that is scaled from 2 to
20 replicas. Its node sizes are those of an m5.xlarge as EKS's AMI reserves them; 58 pods is what its network interfaces allow.
"""

from pathlib import Path

import msgspec

from lambda_autoscaler.ports import BadInput
from lambda_autoscaler.sim.specification import Frozen, GroupSpecification, InstanceShape, Specification, WorkloadSpecification

LONGEST = 30 * 86_400
TUTORIAL_CLUSTER = "eks-spot-managed-node-groups"
SPOT_TYPES = ("m5.xlarge", "m4.xlarge", "m5a.xlarge", "m5d.xlarge", "m5n.xlarge", "m5ad.xlarge", "m5dn.xlarge")
_XLARGE = InstanceShape(
    vcpus=4,
    memory_mib=16384,
    capacity={"cpu": "4", "memory": "16Gi", "ephemeral-storage": "83873772Ki", "pods": "58"},
    allocatable={"cpu": "3920m", "memory": "15025Mi", "ephemeral-storage": "76224326324", "pods": "58"},
)


class Scaling(Frozen, frozen=True):
    """Somebody scales a Deployment, ``at`` seconds after the start."""

    at: float
    deployment: str
    replicas: int
    namespace: str = "default"


class Scenario(Frozen, frozen=True):
    """A story. ``duration`` is in seconds; the autoscaler scans every ``scan_interval`` seconds, from the first one on.

    ``options`` are Cluster Autoscaler flags by their upstream names, without the dashes.
    """

    world: Specification
    steps: tuple[Scaling, ...]
    duration: float
    scan_interval: float = 60.0
    options: dict[str, str] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ValueError for times that lead nowhere."""
        if self.scan_interval < 1 or not 0 <= self.duration <= LONGEST:
            raise ValueError(f"scanInterval must be at least 1 second, and duration 0 to {LONGEST} seconds")
        if any(not 0 <= step.at <= self.duration for step in self.steps):
            raise ValueError(f"every step's `at` must be 0 to {self.duration:g} seconds")


def _daemon(name: str, cpu: str) -> WorkloadSpecification:
    containers = [{"name": name, "image": name, "resources": {"requests": {"cpu": cpu}}}]
    pod = {"containers": containers, "tolerations": [{"operator": "Exists"}], "priorityClassName": "system-node-critical"}
    return WorkloadSpecification(name=name, namespace="kube-system", pod=pod)


def tutorial(seed: int = 0) -> Scenario:
    """The built-in story: 2 to 20 replicas on Spot."""
    amounts = {"cpu": "1000m", "memory": "1024Mi"}
    nginx = {"name": "nginx", "image": "public.ecr.aws/nginx/nginx:1.29", "resources": {"requests": amounts, "limits": amounts}}
    deployment = WorkloadSpecification(
        name="nginx-spot-demo",
        replicas=2,
        pod={"containers": [nginx], "nodeSelector": {"eks.amazonaws.com/capacityType": "SPOT"}},
    )
    on_demand = GroupSpecification(name="on-demand-4vcpu-16gb", minimum=2, maximum=5, desired=2, instance_types=("m5.xlarge",))
    spot = GroupSpecification(name="spot-4vcpu-16gb", minimum=2, maximum=20, desired=2, instance_types=SPOT_TYPES, capacity_type="SPOT")
    world = Specification(
        cluster=TUTORIAL_CLUSTER,
        groups=(on_demand, spot),
        instances=dict.fromkeys(SPOT_TYPES, _XLARGE),
        daemon_sets=(_daemon("aws-node", "50m"), _daemon("kube-proxy", "100m")),
        deployments=(deployment,),
        seed=seed,
    )
    return Scenario(world=world, steps=(Scaling(at=10, deployment="nginx-spot-demo", replicas=20),), duration=180)


def read_scenario(path: Path) -> Scenario:
    """A story from a JSON or YAML file. Raises BadInput naming the file and the field."""
    try:
        return msgspec.yaml.decode(path.read_bytes(), type=Scenario)
    except OSError as fault:
        raise BadInput(f"{path}: {fault.strerror}") from fault
    except msgspec.DecodeError as fault:
        raise BadInput(f"{path}: {fault}") from fault
