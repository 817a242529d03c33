"""The AWS port of the simulated world: what Auto Scaling, EC2 and EKS would answer about its groups."""

from collections.abc import Iterator
from typing import Any

import msgspec

from lambda_autoscaler import questions
from lambda_autoscaler.core.events import Hook
from lambda_autoscaler.core.units import format_timestamp
from lambda_autoscaler.ports import NotFound
from lambda_autoscaler.sim.auto_scaling import Fleet, LaunchActivity, SimGroup
from lambda_autoscaler.sim.specification import InstanceShape, Specification

PAGE = 100
_EFFECTS = {"NoSchedule": "NO_SCHEDULE", "NoExecute": "NO_EXECUTE", "PreferNoSchedule": "PREFER_NO_SCHEDULE"}


class SimAws:
    """Implements ``ports.Aws``. ``writes`` counts the calls that changed something."""

    def __init__(self, fleet: Fleet, specification: Specification) -> None:
        self._fleet, self._specification = fleet, specification
        self.writes = 0

    def groups(self) -> Iterator[bytes]:
        """Pages of DescribeAutoScalingGroups."""
        groups = [self._group(group) for group in self._fleet.groups.values()]
        for start in range(0, len(groups) or 1, PAGE):
            yield msgspec.json.encode({"AutoScalingGroups": groups[start : start + PAGE]})

    def describe(self, question: questions.Question) -> bytes | None:
        """What EKS, EC2 and Auto Scaling would say. Groups have launch templates and name their types; spot prices are not simulated."""
        match question:
            case questions.Nodegroup(name):
                group = next((group for group in self._fleet.groups.values() if group.specification.name == name), None)
                return None if group is None else msgspec.json.encode({"nodegroup": self._nodegroup(group)})
            case questions.InstanceTypes(names):
                known = self._specification.instances
                return msgspec.json.encode({"InstanceTypes": [_instance_type(name, known[name]) for name in names if name in known]})
            case questions.LaunchTemplate(template):
                return self._launch_template(template)
            case questions.Activities(name):
                return self._activities(name)
            case _:
                return None

    def _launch_template(self, template: str) -> bytes | None:
        for group in self._fleet.groups.values():
            identity = _launch_template(group)
            if template in identity.values():
                data = {"InstanceType": group.specification.instance_types[0]}
                answer = {**identity, "VersionNumber": 1, "DefaultVersion": True, "LaunchTemplateData": data}
                return msgspec.json.encode({"LaunchTemplateVersions": [answer]})
        return None

    def _activities(self, name: str) -> bytes:
        found = self._fleet.groups.get(name)
        if found is None:
            raise NotFound(f"AutoScalingGroup name not found - AutoScalingGroup {name} not found")
        return msgspec.json.encode({"Activities": [_activity(name, activity) for activity in found.activities]})

    def set_desired_capacity(self, group: str, desired: int) -> None:
        """SetDesiredCapacity. Raises Refused outside the group's limits."""
        self._fleet.set_desired(group, desired)
        self.writes += 1

    def terminate(self, instance: str, *, decrement: bool = True) -> None:
        """TerminateInstanceInAutoScalingGroup. Raises Refused when decrementing at the group's minimum."""
        if decrement:
            self._fleet.terminate(instance)
        else:
            self._fleet.kill(instance)
        self.writes += 1

    def complete_lifecycle(self, hook: Hook, instance: str) -> None:
        """Lifecycle hooks are not simulated: there is never an action to wait for."""

    def heartbeat(self, hook: Hook, instance: str) -> None:
        """Lifecycle hooks are not simulated."""

    def _group(self, group: SimGroup) -> dict[str, Any]:
        limits = group.specification
        return {
            "AutoScalingGroupName": group.name,
            "AutoScalingGroupARN": f"{self._arn('autoscaling')}:autoScalingGroup:{group.name}",
            "MinSize": limits.minimum,
            "MaxSize": limits.maximum,
            "DesiredCapacity": group.desired,
            "AvailabilityZones": list(limits.zones),
            "Instances": [
                {
                    "InstanceId": instance.id,
                    "InstanceType": instance.type,
                    "AvailabilityZone": instance.zone,
                    "LifecycleState": instance.lifecycle,
                    "HealthStatus": "Healthy",
                    "ProtectedFromScaleIn": False,
                }
                for instance in group.instances.values()
            ],
            "Tags": [{"Key": key, "Value": value, "ResourceId": group.name} for key, value in self._tags(group).items()],
            "MixedInstancesPolicy": {
                "LaunchTemplate": {
                    "LaunchTemplateSpecification": {**_launch_template(group), "Version": "1"},
                    "Overrides": [{"InstanceType": name} for name in limits.instance_types],
                },
                "InstancesDistribution": {"OnDemandPercentageAboveBaseCapacity": 0 if limits.capacity_type == "SPOT" else 100},
            },
            "CapacityRebalance": limits.capacity_type == "SPOT",
        }

    def _tags(self, group: SimGroup) -> dict[str, str]:
        cluster = self._specification.cluster
        managed = {} if group.specification.self_managed else {"eks:cluster-name": cluster, "eks:nodegroup-name": group.specification.name}
        return {
            **managed,
            "k8s.io/cluster-autoscaler/enabled": "true",
            f"k8s.io/cluster-autoscaler/{cluster}": "owned",
            f"kubernetes.io/cluster/{cluster}": "owned",
        }

    def _nodegroup(self, group: SimGroup) -> dict[str, Any]:
        limits = group.specification
        return {
            "nodegroupName": limits.name,
            "nodegroupArn": f"{self._arn('eks')}:nodegroup/{self._specification.cluster}/{limits.name}",
            "clusterName": self._specification.cluster,
            "status": "ACTIVE",
            "capacityType": limits.capacity_type,
            "instanceTypes": list(limits.instance_types),
            "amiType": "AL2023_x86_64_STANDARD",
            "diskSize": 20,
            "scalingConfig": {"minSize": limits.minimum, "maxSize": limits.maximum, "desiredSize": group.desired},
            "labels": limits.labels,
            "taints": [{**taint, "effect": _EFFECTS[taint["effect"]]} for taint in limits.taints],
            "resources": {"autoScalingGroups": [{"name": group.name}]},
            "tags": {},
        }

    def _arn(self, service: str) -> str:
        return f"arn:aws:{service}:{self._specification.region}:{self._specification.account}"


def _launch_template(group: SimGroup) -> dict[str, str]:
    return {"LaunchTemplateId": f"lt-{group.name[-12:]}", "LaunchTemplateName": group.name}


def _instance_type(name: str, shape: InstanceShape) -> dict[str, Any]:
    return {
        "InstanceType": name,
        "VCpuInfo": {"DefaultVCpus": shape.vcpus},
        "MemoryInfo": {"SizeInMiB": shape.memory_mib},
        "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
    }


def _activity(group: str, activity: LaunchActivity) -> dict[str, Any]:
    return {
        "ActivityId": activity.id,
        "AutoScalingGroupName": group,
        "StartTime": format_timestamp(activity.at),
        "StatusCode": "Failed" if activity.message else "Successful",
        "StatusMessage": activity.message,
    }
