"""A declared cluster whose nodes are interrupted: what runs on them, what happens to them, and who did it."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightkube.codecs import from_dict
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Event, Node, Pod

from tests.cluster.audit import Request, read_audit
from tests.cluster.aws_shim import Call
from tests.cluster.binaries import Binaries
from tests.cluster.declared_cluster import DeclaredCluster
from tests.cluster.eks_drains import EksDrains
from tests.cluster.instance_ends import SPOT_NOTICE_SECONDS
from tests.cluster.pod_watch import is_ready
from tests.cluster.schedule import declared_configuration
from tests.cluster.waiting import wait_for

OURS = "eks-autoscaling-interruption"
TAINT = "eks-autoscaling/interruption"
NAMESPACE = "default"
STRANGER = "i-0123456789abcdef0"
# Calls are recorded when they are answered, a little after they took effect.
SETTLING_SECONDS = 0.5
SET, TERMINATE, COMPLETE = "SetDesiredCapacity", "TerminateInstanceInAutoScalingGroup", "CompleteLifecycleAction"
_PROGRAM = Path(__file__).parent / "programs" / "interruptions.py"
_FIRST_NODES = 3


@dataclass(frozen=True)
class Interrupted:
    """One cluster of ``programs/interruptions.py``; groups are named as its exports are, applications run one to a group."""

    cluster: DeclaredCluster
    eks: EksDrains

    # --- workloads ---

    def run(self, app: str, group: str, pods: int, *, min_available: int | None = None, millicores: int = 1000) -> None:
        """Run a Deployment on the nodes of a group, with a disruption budget if ``min_available`` says so, until its pods are ready."""
        self.ask_for(app, group, pods, millicores=millicores)
        if min_available is not None:
            spec = {"minAvailable": min_available, "selector": {"matchLabels": {"app": app}}}
            self._create("policy/v1", "PodDisruptionBudget", app, spec)
        self.wait_for_pods(app, pods)

    def ask_for(self, app: str, group: str, pods: int, *, millicores: int) -> None:
        """Create a Deployment whose pods may find a place on the nodes of a group."""
        labels = {"app": app}
        resources = {"requests": {"cpu": f"{millicores}m", "memory": "64Mi"}}
        pod = {
            "nodeSelector": {"workload": group},
            "terminationGracePeriodSeconds": 5,
            "containers": [{"name": "main", "image": "app", "resources": resources}],
        }
        spec = {"replicas": pods, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
        self._create("apps/v1", "Deployment", app, spec)

    def stop(self, app: str) -> None:
        """Delete a Deployment, and return when its pods are gone."""
        self.cluster.admin.delete(Deployment, app, namespace=NAMESPACE)
        wait_for(f"the pods of {app} to go", lambda: self.pods(app), lambda pods: not pods, 90.0)

    def pods(self, app: str) -> list[Pod]:
        return list(self.cluster.admin.list(Pod, namespace=NAMESPACE, labels={"app": app}))

    def names(self, app: str) -> list[str]:
        return [str(pod.metadata.name) for pod in self.pods(app) if pod.metadata]

    def places(self, app: str) -> dict[str, str]:
        """Node to pod of an application that has one pod on a node."""
        return {str(pod.spec.nodeName): str(pod.metadata.name) for pod in self.pods(app) if pod.metadata and pod.spec}

    def wait_for_pods(self, app: str, count: int, seconds: float = 90.0) -> None:
        """Return when the application has that many pods, and all of them are ready."""
        wait_for(f"{count} pods of {app}", lambda: [is_ready(pod) for pod in self.pods(app)], lambda seen: seen == [True] * count, seconds)

    def _create(self, version: str, kind: str, name: str, spec: dict[str, Any]) -> None:
        metadata = {"name": name, "namespace": NAMESPACE}
        self.cluster.admin.create(from_dict({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}))

    # --- groups, instances, nodes ---

    def auto_scaling_group(self, group: str) -> str:
        return str(self.cluster.deployment.outputs[group])

    def instances(self, group: str) -> list[str]:
        """Instances in service."""
        found = self.cluster.group(self.auto_scaling_group(group))["Instances"]
        return [instance["InstanceId"] for instance in found if instance["LifecycleState"] == "InService"]

    def desired(self, group: str) -> int:
        return int(self.cluster.group(self.auto_scaling_group(group))["DesiredCapacity"])

    def resize(self, group: str, size: int) -> None:
        """Set a group's size."""
        self.cluster.world.client("autoscaling").set_desired_capacity(
            AutoScalingGroupName=self.auto_scaling_group(group), DesiredCapacity=size
        )

    def wait_for_nodes(self, group: str, count: int, seconds: float = 90.0) -> list[str]:
        """Return the nodes of a group that are under no interruption, once they are ``count``."""
        return wait_for(
            f"{count} nodes of {group}",
            lambda: [
                str(node.metadata.name)
                for node in self.cluster.admin.list(Node, labels={"workload": group})
                if node.metadata and not taint_of(node)
            ],
            lambda names: len(names) == count,
            seconds,
        )

    def limit(self, group: str, most: int) -> None:
        """Set a group's maximum."""
        self.cluster.world.client("autoscaling").update_auto_scaling_group(
            AutoScalingGroupName=self.auto_scaling_group(group), MaxSize=most
        )

    def node_of(self, instance: str) -> str:
        return self.cluster.joiner.nodes[instance]

    def node(self, name: str) -> Node:
        return self.cluster.admin.get(Node, name)

    def wait_for_mark(self, node: str, seconds: float = 30.0) -> Node:
        """Return the node once it carries a mark."""
        return wait_for(f"a mark on {node}", lambda: self.node(node), lambda found: bool(taint_of(found)), seconds)

    def wait_for_the_end(self, *nodes: str, seconds: float = SPOT_NOTICE_SECONDS) -> None:
        """Return when the node objects are gone."""
        wait_for(
            f"the end of {', '.join(nodes)}",
            lambda: [one.metadata.name for one in self.cluster.admin.list(Node) if one.metadata],
            lambda names: not set(nodes) & set(names),
            seconds,
        )

    # --- what was done ---

    def delivered_at(self, instance: str) -> float:
        """When the first message about an instance was handed to the function, in seconds since the epoch."""
        return next(one.received_at for one in self.cluster.event_source.deliveries if any(instance in body for body in one.bodies))

    def deadline(self, node: str) -> float:
        """When the instance of a node is to end as far as the function knows, in seconds since the epoch."""
        told = (line.get("interruption", {}) for line in self.log_lines())
        return next(float(line["deadline"]) for line in told if line.get("node") == node and "deadline" in line)

    def marked_at(self, node: str) -> float:
        """When the function first changed a node, in seconds since the epoch."""
        return next(one.at for one in self.requests(OURS) if (one.what, one.name) == ("patch nodes", node))

    def metrics(self) -> dict[str, float]:
        """Sums of the metrics that the interruption function wrote, by name."""
        sums: dict[str, float] = {}
        for line in self.log_lines():
            for declared in line.get("_aws", {}).get("CloudWatchMetrics", ()):
                for name in (metric["Name"] for metric in declared["Metrics"]):
                    sums[name] = sums.get(name, 0.0) + sum(line[name])
        return sums

    def dead_letters(self) -> int:
        """Messages that failed three times."""
        url = self.cluster.deployment.outputs["dead_letter_queue_url"]
        answer = self.cluster.world.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    def requests(self, user: str = "") -> list[Request]:
        """Requests that changed nodes or ended pods, of one Kubernetes user or of all."""
        return [request for request in read_audit(self.cluster.control_plane.folder) if user in ("", request.user)]

    def evictions(self, app: str, user: str = "") -> list[Request]:
        """Evictions of an application's pods that the API server was asked for, granted or not."""
        return [one for one in self.requests(user) if one.what == "create pods/eviction" and one.name.startswith(app)]

    def aws_writes(self, group: str, instance: str = "") -> list[Call]:
        """Calls by either function that changed a group, ended an instance (one or any), or answered its lifecycle action; oldest first."""
        roles = [self.cluster.deployment.outputs[role].rpartition("/")[2] for role in ("function_role_arn", "interruption_role_arn")]
        calls = [call for role in roles for call in self.cluster.world.writes(f"assumed-role/{role}/") if call.service == "autoscaling"]
        named = [call for call in calls if instance in ("", call.params.get("InstanceId", instance))]
        wanted = [call for call in named if call.params.get("AutoScalingGroupName") in (None, self.auto_scaling_group(group))]
        return sorted(wanted, key=lambda call: call.at)

    def times(self, instance: str, node: str) -> str:
        """What a story took, for who reads the output: seconds from delivery to the mark and to each change at AWS."""
        delivered_at = self.delivered_at(instance)
        calls = {call.operation: call.at - delivered_at for call in self.aws_writes("own", instance) + self.aws_writes("managed", instance)}
        return f"{node}: marked after {self.marked_at(node) - delivered_at:.2f} s, " + ", ".join(
            f"{name} {at:.1f} s" for name, at in calls.items()
        )

    def overwritten_decrements(self, group: str) -> int:
        """How many instances may have been handed back between a scan's last look at the group and its setting of the desired capacity.

        Auto Scaling takes a number and no condition: what the group became smaller by in that moment is lost.
        """
        name, role = self.auto_scaling_group(group), self.cluster.deployment.outputs["function_role_arn"].rpartition("/")[2]
        scans = [call for call in self.cluster.world.calls if f"assumed-role/{role}/" in call.principal]
        looks = [call.at for call in scans if call.operation == "DescribeAutoScalingGroups"]
        sets = [call.at for call in scans if call.operation == SET and call.params["AutoScalingGroupName"] == name]
        ends = [call.at for call in self.aws_writes(group) if call.operation == TERMINATE]
        moments = [(max(look for look in looks if look < at) - SETTLING_SECONDS, at + SETTLING_SECONDS) for at in sets]
        return sum(any(begin < end < until for begin, until in moments) for end in ends)

    def events_on(self, node: str) -> list[str]:
        """Reasons of the events on a node."""
        return self._events_on("Node", node)

    def events_on_pod(self, pod: str) -> list[str]:
        """Reasons of the events on a pod."""
        return self._events_on("Pod", pod)

    def _events_on(self, kind: str, name: str) -> list[str]:
        events = self.cluster.admin.list(Event, namespace=NAMESPACE)
        return [str(event.reason) for event in events if (event.involvedObject.kind, event.involvedObject.name) == (kind, name)]

    def log_lines(self) -> list[dict[str, Any]]:
        """What the interruption function logged as JSON."""
        lines = [line for delivery in self.cluster.event_source.deliveries for line in delivery.invocation.logs]
        return [json.loads(line) for line in lines if line.startswith("{")]

    def configure(self, **variables: str) -> None:
        """Give both functions other settings, as ``pulumi up`` does, and return when they are warm."""
        functions = self.cluster.world.client("lambda")
        for function in (self.cluster.function, self.cluster.interruption):
            name = function.configuration.name
            functions.update_function_configuration(
                FunctionName=name, Environment={"Variables": {**function.configuration.variables, **variables}}
            )
            function.configuration = declared_configuration(functions, name)
            function.recycle()
        self.warm()

    def warm(self) -> None:
        """Have a warning about a stranger's instance answered, and make a scan."""
        before = len(self.cluster.event_source.deliveries)
        self.cluster.world.instances.take_back(STRANGER)
        wait_for("an answer", lambda: len(self.cluster.event_source.deliveries), lambda seen: seen > before, 30.0)
        assert self.cluster.scan().error is None


def taint_of(node: Node) -> str:
    """The kind of interruption that a node is under; empty without one."""
    taints = (node.spec.taints if node.spec else None) or ()
    return next((str(taint.value) for taint in taints if taint.key == TAINT), "")


@contextlib.contextmanager
def interrupted_cluster(binaries: Binaries) -> Iterator[Interrupted]:
    """The cluster of ``programs/interruptions.py``, both functions warm, with an EKS that drains spot nodes of managed groups."""
    with DeclaredCluster(binaries, _PROGRAM, _FIRST_NODES, settings={"scale-down-enabled": False}) as running:
        running.joiner.delay_leaves(SPOT_NOTICE_SECONDS)  # node objects of ended instances are left to the function
        with EksDrains(running.admin, running.world.events) as eks:
            found = Interrupted(running, eks)
            found.warm()
            yield found
