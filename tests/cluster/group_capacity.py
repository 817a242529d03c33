"""Auto Scaling groups whose capacity does not come at once, or at all, and comes to all of their zones.

moto launches every instance immediately and in the first subnet, accepts sizes outside a group's limits, has no scaling
activities, and forgets a group's mixed instances policy when its limits are updated. Here a group launches in the zone
that has the fewest of its instances (Amazon EC2 Auto Scaling user guide, "Example: Distribute instances across
Availability Zones"), and can be told to fail its launches (no spot capacity) or to hold them back until the test
releases them. Until then the desired capacity that somebody asked for stays above the number of instances, as on AWS.
"""

import datetime
import itertools
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from moto.autoscaling import autoscaling_backends

from tests.cluster.aws_protocol import AwsError
from tests.cluster.principals import ACCOUNT

Clock = Callable[[], datetime.datetime]
_REGION = "us-east-1"


@dataclass
class _Launches:
    """What a test decided about the launches of one group, and what has happened in it."""

    failure: str | None = None
    held: bool = False
    wanted: int | None = None
    """Desired capacity that is not fulfilled; None while moto has it all."""
    activities: list[dict[str, Any]] = field(default_factory=list)


class GroupCapacity:
    """Answers the Auto Scaling operations that concern size; ``moto`` gives clients that reach moto unguarded."""

    def __init__(self, moto: Callable[[str], Any], clock: Clock) -> None:
        self._moto = moto
        self._clock = clock
        self._lock = threading.RLock()
        self._groups: dict[str, _Launches] = {}
        self.answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "CreateAutoScalingGroup": self.create_group,
            "DescribeScalingActivities": self._describe_activities,
            "SetDesiredCapacity": self._set_desired_capacity,
            "UpdateAutoScalingGroup": self.update_group,
        }

    def forget(self) -> None:
        """Drop what tests decided."""
        with self._lock:
            self._groups = {}

    def fail(self, group: str, message: str) -> None:
        """From now on launches of ``group`` fail with ``message`` (``InsufficientInstanceCapacity - ...``)."""
        with self._lock:
            self._of(group).failure = message

    def hold(self, group: str) -> None:
        """From now on launches of ``group`` take until they are released."""
        with self._lock:
            self._of(group).held = True

    def release(self, group: str, count: int | None = None) -> None:
        """Let ``count`` of the missing instances come now; all if None, and then the group is as fast as before."""
        with self._lock:
            launches = self._of(group)
            if count is None:
                launches.failure, launches.held = None, False
            if launches.wanted is not None:
                have = self._instances(group)
                reached = launches.wanted if count is None else min(launches.wanted, have + count)
                self._launch(group, have, reached)
                launches.wanted = launches.wanted if reached < launches.wanted else None

    def record(self, group: str, status: str, message: str) -> None:
        """Add a scaling activity of a launch, with AWS's ``status`` code (``Failed``, ``Successful``)."""
        now = self._clock()
        activity = {
            "ActivityId": str(uuid.uuid4()),
            "AutoScalingGroupName": group,
            "Description": "Launching a new EC2 instance" + (f".  Status Reason: {message}" if message else ""),
            "Cause": f"At {now:%Y-%m-%dT%H:%M:%SZ} a user request explicitly set group desired capacity.",
            "StartTime": now,
            "StatusCode": status,
            "StatusMessage": message,
            "Progress": 50 if status == "InProgress" else 100,
        }
        if status != "InProgress":
            activity["EndTime"] = now
        with self._lock:
            self._of(group).activities.insert(0, activity)

    def describe_groups(self, params: dict[str, Any]) -> dict[str, Any]:
        """moto's answer with the desired capacity that was asked for."""
        answer: dict[str, Any] = self._moto("autoscaling").describe_auto_scaling_groups(**params)
        with self._lock:
            for group in answer["AutoScalingGroups"]:
                known = self._groups.get(group["AutoScalingGroupName"])
                if known is not None and known.wanted is not None:
                    group["DesiredCapacity"] = known.wanted
        return answer

    def create_group(self, params: dict[str, Any]) -> dict[str, Any]:
        """CreateAutoScalingGroup; without a size it has its minimum."""
        self._moto("autoscaling").create_auto_scaling_group(**{**params, "DesiredCapacity": 0})
        size = params.get("DesiredCapacity", params["MinSize"])
        with self._lock:
            self._launch(params["AutoScalingGroupName"], 0, size)
            self._of(params["AutoScalingGroupName"]).activities.clear()  # its history begins with what is asked of it later
        return {}

    def update_group(self, params: dict[str, Any]) -> dict[str, Any]:
        """UpdateAutoScalingGroup; limits first, then the size."""
        rest = {name: value for name, value in params.items() if name != "DesiredCapacity"}
        self._moto("autoscaling").update_auto_scaling_group(**{**self._policy(params["AutoScalingGroupName"]), **rest})
        if "DesiredCapacity" in params:
            self._set_desired_capacity(params)
        return {}

    def _policy(self, name: str) -> dict[str, Any]:
        """The group's mixed instances policy, which moto forgets in an update that does not repeat it."""
        policy = self._existing(name).get("MixedInstancesPolicy")
        if policy is None:
            return {}
        template = dict(policy["LaunchTemplate"]["LaunchTemplateSpecification"])
        template.pop("LaunchTemplateName", None)  # moto takes the id or the name, and answers with both
        return {"MixedInstancesPolicy": {**policy, "LaunchTemplate": {**policy["LaunchTemplate"], "LaunchTemplateSpecification": template}}}

    def _describe_activities(self, params: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            names = [params["AutoScalingGroupName"]] if "AutoScalingGroupName" in params else list(self._groups)
            activities = [activity for name in names for activity in self._of(name).activities]
        return {"Activities": activities[: params.get("MaxRecords", 100)]}

    def _set_desired_capacity(self, params: dict[str, Any]) -> dict[str, Any]:
        name, desired = params["AutoScalingGroupName"], params["DesiredCapacity"]
        with self._lock:
            group = self._existing(name)
            _check_limits(group, desired)
            self._resize(name, len(group["Instances"]), desired)
        return {}

    def _resize(self, name: str, have: int, desired: int) -> None:
        launches = self._of(name)
        if desired > have and (launches.failure is not None or launches.held):
            launches.wanted = desired
            status = "Failed" if launches.failure is not None else "InProgress"
            self.record(name, status, launches.failure or "")
            return
        launches.wanted = None
        self._launch(name, have, desired)

    def _launch(self, name: str, have: int, size: int) -> None:
        """Let moto have ``size`` instances; new ones come one by one, to where there are fewest."""
        if size <= have:
            self._moto("autoscaling").set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=size)
            return
        for number in range(have + 1, size + 1):
            self._choose_subnet(name)
            self._moto("autoscaling").set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=number)
            self.record(name, "Successful", "")

    def _choose_subnet(self, name: str) -> None:
        """Put the subnet to launch in where moto launches, in front of the others."""
        group = self._existing(name)
        subnets = group.get("VPCZoneIdentifier", "").split(",")
        if len(subnets) < 2:
            return
        described = self._moto("ec2").describe_subnets(SubnetIds=subnets)["Subnets"]
        zones = {subnet["SubnetId"]: subnet["AvailabilityZone"] for subnet in described}
        taken = [instance["AvailabilityZone"] for instance in group["Instances"]]
        chosen = min(sorted(subnets), key=lambda subnet: (taken.count(zones[subnet]), zones[subnet]))
        order = itertools.chain([chosen], (subnet for subnet in subnets if subnet != chosen))
        # Its API would take the same change for an update, which forgets more than it changes.
        autoscaling_backends[ACCOUNT][_REGION].autoscaling_groups[name].vpc_zone_identifier = ",".join(order)

    def holds(self, instance: str) -> bool:
        """Whether the instance is in service in a group."""
        return self._group_of(instance) is not None

    def remove(self, instance: str, *, decrement: bool) -> tuple[str, dict[str, Any]]:
        """Take an instance out of its group, which replaces it unless its desired capacity goes down with it.

        Returns the group's name and how the group described the instance; AwsError as TerminateInstanceInAutoScalingGroup says it.
        """
        name = self._group_of(instance)
        if name is None:
            raise AwsError("ValidationError", f"Instance Id not found - No managed instance found for instance ID: {instance}")
        with self._lock:
            group, launches = self._existing(name), self._of(name)
            if decrement and group["DesiredCapacity"] <= group["MinSize"]:
                raise AwsError("ValidationError", _below_minimum(group))
            self._moto("autoscaling").detach_instances(
                AutoScalingGroupName=name, InstanceIds=[instance], ShouldDecrementDesiredCapacity=True
            )
            if not decrement:
                self._replace(name, group, launches)
            elif launches.wanted is not None:
                launches.wanted -= 1
        return name, next(one for one in group["Instances"] if one["InstanceId"] == instance)

    def _replace(self, name: str, group: dict[str, Any], launches: _Launches) -> None:
        """Launch one instance for one that was taken out, at once unless launches fail or are held back."""
        if launches.failure is not None or launches.held:
            launches.wanted = group["DesiredCapacity"]
        else:
            have = self._instances(name)
            self._launch(name, have, have + 1)

    def _group_of(self, instance: str) -> str | None:
        found = self._moto("autoscaling").describe_auto_scaling_instances(InstanceIds=[instance])["AutoScalingInstances"]
        return str(found[0]["AutoScalingGroupName"]) if found else None

    def _existing(self, name: str) -> dict[str, Any]:
        groups = self.describe_groups({"AutoScalingGroupNames": [name]})["AutoScalingGroups"]
        if not groups:
            raise AwsError("ValidationError", f"AutoScalingGroup name not found - null: {name}")
        group: dict[str, Any] = groups[0]
        return group

    def _instances(self, name: str) -> int:
        return len(self._existing(name)["Instances"])

    def _of(self, name: str) -> _Launches:
        return self._groups.setdefault(name, _Launches())


def _check_limits(group: dict[str, Any], desired: int) -> None:
    if desired > group["MaxSize"]:
        message = f"New SetDesiredCapacity value {desired} is above max value {group['MaxSize']} for the AutoScalingGroup."
        raise AwsError("ValidationError", message)
    if desired < group["MinSize"]:
        message = f"New SetDesiredCapacity value {desired} is below min value {group['MinSize']} for the AutoScalingGroup."
        raise AwsError("ValidationError", message)


def _below_minimum(group: dict[str, Any]) -> str:
    return (
        f"Currently, desiredSize equals minSize ({group['MinSize']}). Terminating instance without replacement will "
        f"violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size."
    )
