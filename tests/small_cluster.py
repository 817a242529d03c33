"""A cluster and its groups in memory, as raw API answers that a test alters before it is scanned; what a scan writes is kept.

One object is all ports of a scan. Groups carry the two tags of the convention and name one instance type in an override of their policy;
``describe`` answers what the attributes hold, and raises what ``failing`` has for the question's type.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lambda_autoscaler import questions
from lambda_autoscaler.app import Edges, ScanReport, plan, scan
from lambda_autoscaler.core.events import Hook
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.plan import Notice, Plan
from lambda_autoscaler.core.units import parse_timestamp
from lambda_autoscaler.ports import AutoscalerError, NotFound
from lambda_autoscaler.settings import from_flags
from tests.core.wire import page, pod

NOW = parse_timestamp("2026-11-22T14:00:00Z")
ZONE = "us-east-1a"
TAGS = {"k8s.io/cluster-autoscaler/enabled": "true", "k8s.io/cluster-autoscaler/demo": "owned"}
SIZES = {
    "m5.large": (2, 8192),
    "m5.xlarge": (4, 16384),
    "c5.xlarge": (4, 8192),
    "r5.xlarge": (4, 32768),
    "m5.4xlarge": (16, 65536),
    "m3.xlarge": (4, 15360),
}


def instance_type(name: str) -> dict[str, Any]:
    vcpus, memory = SIZES[name]
    return {
        "InstanceType": name,
        "VCpuInfo": {"DefaultVCpus": vcpus},
        "MemoryInfo": {"SizeInMiB": memory},
        "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
    }


def group(name: str, kind: str = "m5.large", *, sizes: tuple[int, int, int] = (0, 0, 10), **fields: Any) -> dict[str, Any]:
    """A group of ``sizes`` (minimum, desired, maximum); ``tags`` come on top of those of the convention."""
    tags = {**TAGS, **fields.pop("tags", {})}
    return {
        "AutoScalingGroupName": name,
        "MinSize": sizes[0],
        "DesiredCapacity": sizes[1],
        "MaxSize": sizes[2],
        "AvailabilityZones": [ZONE],
        "Instances": [],
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        "MixedInstancesPolicy": {
            "LaunchTemplate": {
                "LaunchTemplateSpecification": {"LaunchTemplateId": f"lt-{name}", "Version": "1"},
                "Overrides": [{"InstanceType": kind}],
            },
            "InstancesDistribution": {"OnDemandPercentageAboveBaseCapacity": 100},
        },
        **fields,
    }


def waiting(count: int, cpu: str = "1500m", **fields: Any) -> list[dict[str, Any]]:
    """Equal pods that wait since an hour."""
    return [pod(f"web-{cpu}-{number}", cpu=cpu, **fields) for number in range(count)]


class SmallCluster:
    """All ports of one cluster. ``desired`` is what was set, ``warnings``, ``notices`` and ``config_maps`` what was told."""

    def __init__(self, *groups: dict[str, Any], pods: Sequence[dict[str, Any]] = ()) -> None:
        self.asgs = list(groups)
        self.objects: dict[str, list[dict[str, Any]]] = {"nodes": [], "pods": list(pods)}
        self.config_maps: dict[str, dict[str, str]] = {}
        self.templates: dict[str, dict[str, Any]] = {}
        self.spot: dict[tuple[str, str], str] = {}
        self.matching: list[str] = []
        self.failing: dict[type, AutoscalerError] = {}
        self.refused: dict[str, AutoscalerError] = {}
        self.asked: list[questions.Question] = []
        self.desired: dict[str, int] = {}
        self.attempts: list[str] = []
        self.warnings: list[str] = []
        self.notices: list[Notice] = []
        self.memory = Memory()

    def add_node(self, name: str, group: str = "", kind: str = "m5.large", **spec: Any) -> dict[str, Any]:
        """A node that has been ready for an hour; an instance of the group when one is named."""
        vcpus, memory = SIZES[kind]
        instance = f"i-{name}"
        for asg in self.asgs:
            if asg["AutoScalingGroupName"] == group:
                asg["Instances"].append({"InstanceId": instance, "AvailabilityZone": ZONE, "InstanceType": kind})
                asg["DesiredCapacity"] = max(asg["DesiredCapacity"], len(asg["Instances"]))
        amounts = {"cpu": str(vcpus), "memory": f"{memory}Mi", "pods": "58"}
        node = {
            "metadata": {
                "name": name,
                "creationTimestamp": "2026-11-22T12:00:00Z",
                "labels": {"kubernetes.io/hostname": name, "node.kubernetes.io/instance-type": kind},
            },
            "spec": {"providerID": f"aws:///{ZONE}/{instance}", **spec},
            "status": {
                "capacity": amounts,
                "allocatable": amounts,
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-22T13:00:00Z"}],
            },
        }
        self.objects["nodes"].append(node)
        return node

    def plan(self, **flags: str) -> Plan:
        """The plan under flags, underscores for dashes."""
        return plan(self, self, self.memory, options(**flags), NOW)

    def scan(self, **flags: str) -> ScanReport:
        """One scan under flags, underscores for dashes."""
        return scan(Edges(self, self, self, self, lambda _seconds: None), options(**flags), NOW, "test/1", lambda: 60.0)

    # --- ports.Kube ---

    def list(self, plural: str, node: str = "") -> Iterator[bytes]:
        yield page(*(item for item in self.objects.get(plural, []) if not node or item["spec"].get("nodeName") == node))

    def config_map(self, namespace: str, name: str) -> bytes | None:
        data = self.config_maps.get(name)
        return None if data is None else json.dumps({"metadata": {"name": name, "namespace": namespace}, "data": data}).encode()

    def write_config_map(self, namespace: str, name: str, manifest: bytes) -> None:
        self.config_maps[name] = json.loads(manifest)["data"]

    def record(self, notices: Sequence[Notice], now: float) -> None:
        self.notices.extend(notices)

    def patch_node(self, name: str, patch: bytes) -> None:
        raise NotFound(f"node {name}")

    def evict(self, namespace: str, pod: str, uid: str, grace_seconds: int) -> None:
        raise NotFound(f"pod {namespace}/{pod}")

    def delete_pod(self, namespace: str, pod: str, uid: str, grace_seconds: int) -> None:
        raise NotFound(f"pod {namespace}/{pod}")

    def delete_node(self, name: str) -> None:
        raise NotFound(f"node {name}")

    # --- ports.Aws ---

    def groups(self) -> Iterator[bytes]:
        current = [{**asg, "DesiredCapacity": self.desired.get(asg["AutoScalingGroupName"], asg["DesiredCapacity"])} for asg in self.asgs]
        yield json.dumps({"AutoScalingGroups": current}).encode()

    def describe(self, question: questions.Question) -> bytes | None:
        self.asked.append(question)
        if type(question) in self.failing:
            raise self.failing[type(question)]
        match question:
            case questions.InstanceTypes(names):
                return json.dumps({"InstanceTypes": [instance_type(name) for name in names if name in SIZES]}).encode()
            case questions.LaunchTemplate(template) if template in self.templates:
                version = {"LaunchTemplateId": template, "VersionNumber": 1, "LaunchTemplateData": self.templates[template]}
                return json.dumps({"LaunchTemplateVersions": [version]}).encode()
            case questions.MatchingTypes():
                return json.dumps({"InstanceTypes": [{"InstanceType": name} for name in self.matching]}).encode()
            case questions.SpotPrices(types):
                known = {key: price for key, price in self.spot.items() if key[0] in types}
                prices = [{"InstanceType": kind, "AvailabilityZone": zone, "SpotPrice": price} for (kind, zone), price in known.items()]
                return json.dumps({"SpotPriceHistory": prices}).encode()
            case _:
                return None

    def set_desired_capacity(self, group: str, desired: int) -> None:
        self.attempts.append(group)
        if group in self.refused:
            raise self.refused[group]
        self.desired[group] = desired

    def terminate(self, instance: str, *, decrement: bool = True) -> None:
        raise NotFound(f"instance {instance}")

    def complete_lifecycle(self, hook: Hook, instance: str) -> None:
        raise NotFound(f"lifecycle action of {instance}")

    def heartbeat(self, hook: Hook, instance: str) -> None:
        raise NotFound(f"lifecycle action of {instance}")

    # --- ports.MemoryStore ---

    def acquire(self, holder: str, now: float, seconds: float) -> bool:
        return True

    def load(self) -> Memory:
        return self.memory

    def save(self, memory: Memory) -> None:
        self.memory = memory

    def release(self) -> None:
        """Nobody else wants the lock."""

    # --- ports.Telemetry ---

    def planned(self, plan: Plan) -> None:
        """Not looked at."""

    def warn(self, sentence: str) -> None:
        self.warnings.append(sentence)

    def scanned(self, plan: Plan, summary: Mapping[str, object]) -> None:
        """Not looked at."""

    def said(self) -> str:
        """Every log line and event, one under the other."""
        return "\n".join([*self.warnings, *(f"{notice.reason}: {notice.message}" for notice in self.notices)])


def options(**flags: str) -> Options:
    return from_flags({"cluster-name": "demo", **{name.replace("_", "-"): value for name, value in flags.items()}})
