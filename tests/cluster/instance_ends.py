"""How instances of Auto Scaling groups end: at a caller's wish, through lifecycle hooks, or because EC2 takes them.

moto terminates at once, knows no hook's wait and tells nobody. Rules: Amazon EC2 Auto Scaling user guide, "Amazon EC2 Auto Scaling
instance lifecycle" and "How lifecycle hooks work"; Amazon EC2 user guide, "Spot Instance interruption notices".
"""

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.cluster.account_events import AccountEvents
from tests.cluster.aws_protocol import AwsError
from tests.cluster.group_capacity import GroupCapacity
from tests.cluster.timers import Timers

Params = dict[str, Any]
SPOT_NOTICE_SECONDS = 120.0
# From shutting-down to terminated; EC2 takes 30 s and more.
SHUTDOWN_SECONDS = 6.0
_TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"
_STATE = "EC2 Instance State-change Notification"


@dataclass
class _Leaving:
    """An instance on its way out: its group, how the group describes it, and the tokens of the hooks that wait, by name."""

    group: str
    described: Params
    tokens: dict[str, str] = field(default_factory=dict)


class InstanceEnds:
    """Answers the operations that end instances; ``moto`` gives clients that reach moto unguarded."""

    def __init__(self, moto: Callable[[str], Any], capacity: GroupCapacity, events: AccountEvents, timers: Timers) -> None:
        self._moto = moto
        self._capacity = capacity
        self._events = events
        self._timers = timers
        self._lock = threading.RLock()
        self._leaving: dict[str, _Leaving] = {}
        self.answers: dict[str, Callable[[Params], Params]] = {
            "DescribeAutoScalingGroups": self._describe_groups,
            "TerminateInstanceInAutoScalingGroup": self._terminate,
            "CompleteLifecycleAction": self._complete,
            "RecordLifecycleActionHeartbeat": self._heartbeat,
        }

    def forget(self) -> None:
        """Nothing is on its way out any more."""
        with self._lock:
            self._leaving = {}

    # --- what EC2 does by itself ---

    def take_back(self, *instances: str, notice_seconds: float = SPOT_NOTICE_SECONDS) -> None:
        """Interrupt spot instances: they are warned of now and terminated ``notice_seconds`` later, unless they are gone by then.

        With a shorter notice than two minutes the warning tells of a time in the past, as one that arrives late does.
        """
        ago = max(0.0, SPOT_NOTICE_SECONDS - notice_seconds)
        details = [{"instance-id": instance, "instance-action": "terminate"} for instance in instances]
        for instance in instances:
            self._timers.later(notice_seconds, lambda gone=instance: self.lose(gone))  # type: ignore[misc]
        self._events.put("aws.ec2", "EC2 Spot Instance Interruption Warning", *details, ago_seconds=ago)

    def recommend_rebalance(self, *instances: str) -> None:
        """Say that spot instances are at elevated risk of interruption."""
        self._events.put("aws.ec2", "EC2 Instance Rebalance Recommendation", *({"instance-id": instance} for instance in instances))

    def lose(self, instance: str, state: str = "shutting-down") -> None:
        """End an instance without any warning: ``shutting-down`` as if somebody terminated it, ``stopping`` as if somebody stopped it."""
        with self._lock:
            leaving = self._leaving.get(instance)
            if leaving is None and not self._capacity.holds(instance):
                return
            if leaving is not None and leaving.described["LifecycleState"] == "Terminating":
                return
            if leaving is None:
                self._leaving[instance] = _Leaving(*self._capacity.remove(instance, decrement=False))
        self._end(instance, state)

    def _end(self, instance: str, state: str) -> None:
        with self._lock:
            self._leaving[instance].described["LifecycleState"] = "Terminating"
            self._leaving[instance].tokens = {}
        self._events.put("aws.ec2", _STATE, {"instance-id": instance, "state": state})
        self._timers.later(SHUTDOWN_SECONDS, lambda: self._ended(instance, "stopped" if state == "stopping" else "terminated"))

    def _ended(self, instance: str, state: str) -> None:
        self._moto("ec2").terminate_instances(InstanceIds=[instance])
        with self._lock:
            self._leaving.pop(instance, None)
        self._events.put("aws.ec2", _STATE, {"instance-id": instance, "state": state})

    # --- what Auto Scaling answers ---

    def _describe_groups(self, params: Params) -> Params:
        answer = self._capacity.describe_groups(params)
        with self._lock:
            for group in answer["AutoScalingGroups"]:
                name = group["AutoScalingGroupName"]
                group["Instances"] = [*group["Instances"], *(one.described for one in self._leaving.values() if one.group == name)]
        return answer

    def _terminate(self, params: Params) -> Params:
        instance, decrement = params["InstanceId"], params["ShouldDecrementDesiredCapacity"]
        with self._lock:
            if instance in self._leaving:
                return {"Activity": self._activity(self._leaving[instance].group, instance)}
            group, described = self._capacity.remove(instance, decrement=decrement)
            self._leaving[instance] = _Leaving(group, described)
        hooks = self._hooks(group)
        if not hooks:
            self._end(instance, "shutting-down")
        for hook in hooks:
            self._wait_for(hook, group, instance)
        return {"Activity": self._activity(group, instance)}

    def _hooks(self, group: str) -> list[Params]:
        hooks = self._moto("autoscaling").describe_lifecycle_hooks(AutoScalingGroupName=group)["LifecycleHooks"]
        return [hook for hook in hooks if hook["LifecycleTransition"] == _TERMINATING]

    def _wait_for(self, hook: Params, group: str, instance: str) -> None:
        name, token = hook["LifecycleHookName"], str(uuid.uuid4())
        with self._lock:
            self._leaving[instance].described["LifecycleState"] = "Terminating:Wait"
            self._leaving[instance].tokens[name] = token
        self._timers.later(hook["HeartbeatTimeout"], lambda: self._finish(instance, name, token))
        detail = {
            "LifecycleActionToken": token,
            "AutoScalingGroupName": group,
            "LifecycleHookName": name,
            "EC2InstanceId": instance,
            "LifecycleTransition": _TERMINATING,
            "Origin": "AutoScalingGroup",
            "Destination": "EC2",
        }
        self._events.put("aws.autoscaling", "EC2 Instance-terminate Lifecycle Action", detail)

    def _complete(self, params: Params) -> Params:
        instance, name, token = self._action(params)
        self._finish(instance, name, token)
        return {}

    def _heartbeat(self, params: Params) -> Params:
        instance, name, token = self._action(params)
        hooks = {hook["LifecycleHookName"]: hook["HeartbeatTimeout"] for hook in self._hooks(params["AutoScalingGroupName"])}
        fresh = str(uuid.uuid4())  # the timer that runs is that of another token from now on
        with self._lock:
            if self._leaving[instance].tokens.get(name) == token:
                self._leaving[instance].tokens[name] = fresh
        self._timers.later(hooks[name], lambda: self._finish(instance, name, fresh))
        return {}

    def _action(self, params: Params) -> tuple[str, str, str]:
        """Instance, hook and token of the action that a request names by either. AwsError when nobody waits for it."""
        name = params["LifecycleHookName"]
        with self._lock:
            for instance, leaving in self._leaving.items():
                token = leaving.tokens.get(name)
                asked = params.get("InstanceId") == instance or params.get("LifecycleActionToken") == token
                if token is not None and asked and leaving.group == params["AutoScalingGroupName"]:
                    return instance, name, token
        sought = params.get("InstanceId") or params.get("LifecycleActionToken")
        raise AwsError("ValidationError", f"No active Lifecycle Action found with instance ID {sought}")

    def _finish(self, instance: str, hook: str, token: str) -> None:
        """The hook no longer waits, be it completed or at its timeout; with the last one the instance ends."""
        with self._lock:
            leaving = self._leaving.get(instance)
            if leaving is None or leaving.tokens.get(hook) != token:
                return
            del leaving.tokens[hook]
            if leaving.tokens:
                return
        self._end(instance, "shutting-down")

    def _activity(self, group: str, instance: str) -> Params:
        return {
            "ActivityId": str(uuid.uuid4()),
            "AutoScalingGroupName": group,
            "Description": f"Terminating EC2 instance: {instance}",
            "Cause": f"instance {instance} was taken out of service in response to a user request.",
            "StartTime": self._events.clock(),
            "StatusCode": "InProgress",
            "Progress": 0,
        }
