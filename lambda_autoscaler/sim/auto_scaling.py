"""Auto Scaling groups of the simulated cloud: desired capacity becomes instances after a while, or fails to.

The sentences of refusals and of failed activities are those of EC2 Auto Scaling. A failed launch is retried for as long as the desired
capacity asks for it, as the service does.
"""

import random
from collections.abc import Callable
from uuid import NAMESPACE_DNS, uuid5

import msgspec

from lambda_autoscaler.ports import Refused
from lambda_autoscaler.sim.agenda import Agenda
from lambda_autoscaler.sim.journal import Entry, Happening, Journal
from lambda_autoscaler.sim.specification import GroupSpecification, Pace

ACTIVITY_PAGE = 100


class SimInstance(msgspec.Struct, eq=False):
    """An EC2 instance of a group; ``node`` is the name it will register under."""

    id: str
    group: str
    zone: str
    type: str
    node: str
    launched: float
    lifecycle: str = "Pending"

    @property
    def is_leaving(self) -> bool:
        """Whether it is being terminated."""
        return self.lifecycle == "Terminating"


class LaunchActivity(msgspec.Struct, frozen=True):
    """A scaling activity; ``message`` is empty when it went well."""

    id: str
    at: float
    message: str = ""


class SimGroup(msgspec.Struct, eq=False):
    """An Auto Scaling group with its instances by id. ``launchable`` is what EC2 still has to give, None for no limit."""

    name: str
    specification: GroupSpecification
    desired: int
    launchable: int | None = None
    instances: dict[str, SimInstance] = {}
    activities: list[LaunchActivity] = []
    launching: int = 0
    in_zone: dict[str, int] = {}

    @property
    def staying(self) -> int:
        """Number of instances that are not being terminated."""
        return sum(self.in_zone.values())


class Fleet:
    """All groups, and the instances' way from being asked for to being gone.

    ``launched`` and ``terminated`` are called when an instance starts to boot and when it is gone.
    """

    def __init__(self, agenda: Agenda, journal: Journal, pace: Pace, seed: int) -> None:
        self.groups: dict[str, SimGroup] = {}
        self.launched: Callable[[SimInstance], None] = _ignore
        self.terminated: Callable[[SimInstance], None] = _ignore
        self._agenda, self._journal, self._pace = agenda, journal, pace
        self._random = random.Random(seed)
        self._count = 0

    def add(self, cluster: str, specification: GroupSpecification) -> SimGroup:
        """A node group's ASG, a managed one named as EKS names it, with its first instances already in service."""
        managed = f"eks-{specification.name}-{uuid5(NAMESPACE_DNS, f'{cluster}/{specification.name}')}"
        name = specification.name if specification.self_managed else managed
        group = SimGroup(name, specification, specification.desired, specification.launchable)
        self.groups[name] = group
        for _ in range(specification.desired):
            self._new_instance(group).lifecycle = "InService"
        return group

    def set_desired(self, name: str, desired: int) -> None:
        """SetDesiredCapacity. Raises Refused outside the group's limits or for an unknown group."""
        group = self._group(name)
        limits = group.specification
        if desired > limits.maximum:
            raise Refused(f"New SetDesiredCapacity value {desired} is above max value {limits.maximum} for the AutoScalingGroup.")
        if desired < limits.minimum:
            raise Refused(f"New SetDesiredCapacity value {desired} is below min value {limits.minimum} for the AutoScalingGroup.")
        before, group.desired = group.desired, desired
        self._journal.note(Entry(self._agenda.now, Happening.CAPACITY_SET, name, name, f"{before}->{desired}"))
        self._reconcile(group)

    def terminate(self, instance_id: str) -> None:
        """TerminateInstanceInAutoScalingGroup with ShouldDecrementDesiredCapacity. Raises Refused when the group is at its minimum."""
        instance, group = self._instance(instance_id)
        if instance.is_leaving:
            return
        if group.desired <= group.specification.minimum:
            raise Refused(
                f"Currently, desiredSize equals minSize ({group.desired}). Terminating instance without replacement will violate "
                "group's min size constraint."
            )
        group.desired -= 1
        self._leave(instance)

    def kill(self, instance_id: str) -> None:
        """EC2 takes an instance away (spot interruption, failure); the group replaces it, as its desired capacity stays."""
        instance, group = self._instance(instance_id)
        if not instance.is_leaving:
            self._leave(instance)
            self._reconcile(group)

    def _group(self, name: str) -> SimGroup:
        if name not in self.groups:
            raise Refused(f"AutoScalingGroup name not found - AutoScalingGroup {name} not found")
        return self.groups[name]

    def _instance(self, instance_id: str) -> tuple[SimInstance, SimGroup]:
        for group in self.groups.values():
            if instance_id in group.instances:
                return group.instances[instance_id], group
        raise Refused(f"Instance Id not found - No managed instance found for instance ID {instance_id}")

    def _reconcile(self, group: SimGroup) -> None:
        surplus = group.staying - group.desired
        if surplus > 0:
            oldest = [instance for instance in group.instances.values() if not instance.is_leaving]
            for instance in oldest[:surplus]:
                self._leave(instance)
        for _ in range(group.desired - group.staying - group.launching):
            group.launching += 1
            self._agenda.after(self._spread(self._pace.launch), lambda: self._launch(group))

    def _launch(self, group: SimGroup) -> None:
        group.launching -= 1
        if group.staying + group.launching >= group.desired:
            return
        if group.launchable is not None and group.launchable <= 0:
            self._fail(group)
            return
        if group.launchable is not None:
            group.launchable -= 1
        instance = self._new_instance(group)
        group.activities.insert(0, LaunchActivity(f"launch-{instance.id}", self._agenda.now))
        self._journal.note(Entry(self._agenda.now, Happening.INSTANCE_LAUNCHED, instance.id, group.name, instance.node))
        self.launched(instance)

    def _fail(self, group: SimGroup) -> None:
        kind, zone = group.specification.instance_types[0], group.specification.zones[0]
        message = (
            f"InsufficientInstanceCapacity - We currently do not have sufficient {kind} capacity in the Availability Zone you requested "
            f"({zone}). Our system will be working on provisioning additional capacity. Launching EC2 instance failed."
        )
        self._count += 1
        group.activities.insert(0, LaunchActivity(f"failed-{self._count}", self._agenda.now, message))
        del group.activities[ACTIVITY_PAGE:]
        self._journal.note(Entry(self._agenda.now, Happening.LAUNCH_FAILED, group.name, group.name, message))
        group.launching += 1
        self._agenda.after(self._pace.retry_launch, lambda: self._launch(group))

    def _new_instance(self, group: SimGroup) -> SimInstance:
        self._count += 1
        types = group.specification.instance_types
        zone = min(group.specification.zones, key=lambda name: group.in_zone.get(name, 0))
        group.in_zone[zone] = group.in_zone.get(zone, 0) + 1
        address = f"ip-10-{self._count >> 16}-{self._count >> 8 & 255}-{self._count & 255}.ec2.internal"
        instance_id = f"i-{self._random.getrandbits(68):017x}"
        instance = SimInstance(instance_id, group.name, zone, types[0], address, self._agenda.now)
        group.instances[instance_id] = instance
        return instance

    def _leave(self, instance: SimInstance) -> None:
        instance.lifecycle = "Terminating"
        self.groups[instance.group].in_zone[instance.zone] -= 1
        self._journal.note(Entry(self._agenda.now, Happening.INSTANCE_TERMINATED, instance.id, instance.group, instance.node))
        self._agenda.after(self._pace.terminate, lambda: self._forget(instance))

    def _forget(self, instance: SimInstance) -> None:
        del self.groups[instance.group].instances[instance.id]
        self.terminated(instance)

    def _spread(self, seconds: float) -> float:
        return round(seconds * (1 + self._pace.jitter * self._random.random()))


def _ignore(_instance: SimInstance) -> None:
    """Nobody listens."""
