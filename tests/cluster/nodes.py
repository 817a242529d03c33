"""Joins nodes to the cluster as EC2 instances of its Auto Scaling groups come and go.

What an instance's bootstrap, its kubelet and the cloud's node controller do together: register a Node with the labels
and taints of its node group, and remove it when the instance is gone. kwok then keeps the Node ready. As on real
clouds a join may take long, never happen, or a Node may vanish while its instance runs.
"""

import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import boto3
import lightkube
from botocore.exceptions import BotoCoreError, ClientError
from lightkube.codecs import from_dict
from lightkube.core.exceptions import ApiError
from lightkube.resources.core_v1 import Node

from tests.cluster.node_manifests import NodeGroup, instance_type_of, node_manifest
from tests.cluster.node_shapes import NodeShape, node_shape
from tests.cluster.node_user_data import max_pods_of

_ROUND_SECONDS = 0.5
_NODEGROUP_TAG = "eks:nodegroup-name"
_TEMPLATE_TAG = "k8s.io/cluster-autoscaler/node-template/"
_EFFECTS = {
    "NO_SCHEDULE": "NoSchedule",
    "NO_EXECUTE": "NoExecute",
    "PREFER_NO_SCHEDULE": "PreferNoSchedule",
}


@dataclass
class _Instance:
    """An instance of a group, and when (monotonic seconds) and how it becomes a node, and ceases to be one."""

    group: dict[str, Any]
    joins_at: float
    leaves_at: float | None = None
    node_name: str | None = None
    fails: bool = False


class NodeJoiner:
    """Context manager of a thread that mirrors instances as Nodes.

    ``session`` holds AWS credentials that may describe everything; ``aws_url`` is where AWS answers. Groups are found
    by the tag ``kubernetes.io/cluster/<cluster_name>`` = ``owned``. ``join_seconds`` is the time from in service to
    registered. The Node of an instance that waits for a lifecycle action stays: its kubelet runs. A round that fails is
    tried again; leaving the context raises what the last round failed with.
    """

    def __init__(
        self,
        kubernetes: lightkube.Client,
        session: boto3.Session,
        aws_url: str,
        cluster_name: str,
        *,
        join_seconds: float = 0.0,
    ) -> None:
        self._kubernetes = kubernetes
        self._autoscaling = session.client("autoscaling", endpoint_url=aws_url)
        self._ec2 = session.client("ec2", endpoint_url=aws_url)
        self._eks = session.client("eks", endpoint_url=aws_url)
        self._region = session.region_name
        self._cluster_name = cluster_name
        self._join_seconds = join_seconds
        self._leave_seconds = 0.0
        self._joins_to_fail = 0
        self._instances: dict[str, _Instance] = {}
        self._types: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="node-joiner", daemon=True)

    def __enter__(self) -> Self:
        """Start mirroring."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop mirroring; the Nodes stay."""
        self._stopping.set()
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    @property
    def nodes(self) -> dict[str, str]:
        """Instance id to Node name of every instance that has joined and not left."""
        with self._lock:
            return {key: instance.node_name for key, instance in self._instances.items() if instance.node_name}

    def delay_joins(self, seconds: float) -> None:
        """Instances that come in service from now on register after ``seconds``."""
        with self._lock:
            self._join_seconds = seconds

    def delay_leaves(self, seconds: float) -> None:
        """The Nodes of instances that end from now on are removed after ``seconds``, if nobody else does."""
        with self._lock:
            self._leave_seconds = seconds

    def fail_joins(self, count: int) -> None:
        """The next ``count`` instances that come in service never register, though they run."""
        with self._lock:
            self._joins_to_fail = count

    def lose(self, instance_id: str) -> str:
        """Remove the Node of an instance that goes on running; returns its name. KeyError when it has not joined."""
        with self._lock:
            instance = self._instances[instance_id]
            name, instance.node_name, instance.fails = instance.node_name, None, True
        if name is None:
            raise KeyError(instance_id)
        self._delete(name)
        return name

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._mirror()
                self._error = None
            except (BotoCoreError, ClientError, ApiError) as error:
                self._error = error
            self._stopping.wait(_ROUND_SECONDS)

    def _mirror(self) -> None:
        in_service, waiting = self._running()
        with self._lock:
            for instance_id, group in in_service.items():
                if instance_id not in self._instances:
                    self._instances[instance_id] = self._arrival(group)
            ended = [key for key in self._instances if key not in in_service and key not in waiting]
            gone = [key for key in ended if self._has_left(self._instances[key])]
            due = [key for key in in_service if self._is_due(self._instances[key])]
        for instance_id in gone:
            self._leave(instance_id)
        if due:
            self._join(due)

    def _running(self) -> tuple[dict[str, dict[str, Any]], set[str]]:
        """Instance id to the Auto Scaling group it is in service of, and the instances that wait for a lifecycle action before they end."""
        found: dict[str, dict[str, Any]] = {}
        waiting: set[str] = set()
        for page in self._autoscaling.get_paginator("describe_auto_scaling_groups").paginate():
            for group in page["AutoScalingGroups"]:
                if _tags(group).get(f"kubernetes.io/cluster/{self._cluster_name}") == "owned":
                    running = (one for one in group["Instances"] if one["LifecycleState"] == "InService")
                    found.update({instance["InstanceId"]: dict(group) for instance in running})
                    waiting |= {one["InstanceId"] for one in group["Instances"] if one["LifecycleState"] == "Terminating:Wait"}
        return found, waiting

    def _arrival(self, group: dict[str, Any]) -> _Instance:
        fails = self._joins_to_fail > 0
        self._joins_to_fail -= int(fails)
        return _Instance(group, joins_at=time.monotonic() + self._join_seconds, fails=fails)

    def _has_left(self, instance: _Instance) -> bool:
        """Whether the node of an instance that has ended is to be removed now."""
        if instance.leaves_at is None:
            instance.leaves_at = time.monotonic() + self._leave_seconds
        return instance.leaves_at <= time.monotonic()

    @staticmethod
    def _is_due(instance: _Instance) -> bool:
        return instance.node_name is None and not instance.fails and instance.joins_at <= time.monotonic()

    def _join(self, instance_ids: list[str]) -> None:
        groups: dict[str, NodeGroup] = {}
        for page in self._ec2.get_paginator("describe_instances").paginate(InstanceIds=instance_ids):
            for machine in (machine for reservation in page["Reservations"] for machine in reservation["Instances"]):
                instance = self._instances[machine["InstanceId"]]
                name = instance.group["AutoScalingGroupName"]
                if name not in groups:
                    groups[name] = self._node_group(instance.group)
                self._register(dict(machine), instance, groups[name])

    def _register(self, machine: dict[str, Any], instance: _Instance, group: NodeGroup) -> None:
        instance_type = instance_type_of(machine["InstanceType"], instance.group)
        shape = self._shape(instance_type, group.max_pods)
        manifest = node_manifest(machine, instance_type, self._region, shape, group)
        try:
            self._kubernetes.create(from_dict(manifest))
        except ApiError as refused:
            if refused.status.code != 409:  # registered in a round that failed later
                raise
        with self._lock:
            instance.node_name = machine["PrivateDnsName"]

    def _leave(self, instance_id: str) -> None:
        name = self._instances[instance_id].node_name
        if name is not None:
            self._delete(name)
        with self._lock:
            del self._instances[instance_id]

    def _delete(self, name: str) -> None:
        try:
            self._kubernetes.delete(Node, name)
        except ApiError as refused:
            if refused.status.code != 404:
                raise

    def _shape(self, instance_type: str, max_pods: int | None) -> NodeShape:
        if instance_type not in self._types:
            described = self._ec2.describe_instance_types(InstanceTypes=[instance_type])
            self._types[instance_type] = dict(described["InstanceTypes"][0])
        return node_shape(self._types[instance_type], max_pods)

    def _node_group(self, group: dict[str, Any]) -> NodeGroup:
        tags = _tags(group)
        max_pods = max_pods_of(self._user_data(group))
        name = tags.get(_NODEGROUP_TAG)
        if name is None:
            return _self_managed(tags, max_pods)
        described = self._eks.describe_nodegroup(clusterName=self._cluster_name, nodegroupName=name)["nodegroup"]
        labels = {
            "eks.amazonaws.com/nodegroup": name,
            "eks.amazonaws.com/capacityType": str(described.get("capacityType", "ON_DEMAND")),
        }
        taints = [
            {"key": taint["key"], "value": taint.get("value", ""), "effect": _EFFECTS[taint["effect"]]}
            for taint in described.get("taints") or ()
        ]
        return NodeGroup({**labels, **(described.get("labels") or {})}, taints, max_pods)

    def _user_data(self, group: dict[str, Any]) -> str:
        """Base64 of the user data in the launch template of a group."""
        policy = group.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {}).get("LaunchTemplateSpecification")
        template = policy or group["LaunchTemplate"]
        versions = self._ec2.describe_launch_template_versions(
            LaunchTemplateId=template["LaunchTemplateId"], Versions=[template.get("Version", "$Default")]
        )["LaunchTemplateVersions"]
        return str(versions[0]["LaunchTemplateData"].get("UserData", ""))


def _self_managed(tags: dict[str, str], max_pods: int | None) -> NodeGroup:
    """Such a group's labels and taints are in its user data, and repeated in its tags for the autoscaler."""
    labels, taints = {}, []
    for key, value in tags.items():
        if key.startswith(f"{_TEMPLATE_TAG}label/"):
            labels[key.removeprefix(f"{_TEMPLATE_TAG}label/")] = value
        elif key.startswith(f"{_TEMPLATE_TAG}taint/"):
            content, _, effect = value.rpartition(":")
            taints.append({"key": key.removeprefix(f"{_TEMPLATE_TAG}taint/"), "value": content, "effect": effect})
    return NodeGroup(labels, taints, max_pods)


def _tags(group: Any) -> dict[str, str]:
    return {tag["Key"]: tag.get("Value", "") for tag in group["Tags"]}
