"""A declared cluster whose nodes are interrupted: what runs on them, what happens to them, and who did it."""

import json
from dataclasses import dataclass
from typing import Any

from lightkube.codecs import from_dict
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Event, Node, Pod

from tests.cluster.audit import Request, read_audit
from tests.cluster.aws_shim import Call
from tests.cluster.declared_cluster import DeclaredCluster
from tests.cluster.pod_watch import is_ready
from tests.cluster.schedule import declared_configuration
from tests.cluster.waiting import wait_for

OURS = "eks-autoscaling-interruption"
TAINT = "eks-autoscaling/interruption"
NAMESPACE = "default"
STRANGER = "i-0123456789abcdef0"


@dataclass(frozen=True)
class Interrupted:
    """One cluster of ``programs/interruptions.py``; groups are named as its exports are, applications run one to a group."""

    cluster: DeclaredCluster

    # --- workloads ---

    def run(self, app: str, group: str, pods: int, *, min_available: int | None = None, millicores: int = 1000) -> None:
        """Run a Deployment on the nodes of a group, with a disruption budget if ``min_available`` says so, until its pods are ready."""
        labels = {"app": app}
        resources = {"requests": {"cpu": f"{millicores}m", "memory": "64Mi"}}
        pod = {
            "nodeSelector": {"workload": group},
            "terminationGracePeriodSeconds": 5,
            "containers": [{"name": "main", "image": "app", "resources": resources}],
        }
        spec = {"replicas": pods, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
        self._create("apps/v1", "Deployment", app, spec)
        if min_available is not None:
            self._create("policy/v1", "PodDisruptionBudget", app, {"minAvailable": min_available, "selector": {"matchLabels": labels}})
        self.wait_for_pods(app, pods)

    def stop(self, app: str) -> None:
        """Delete a Deployment, and return when its pods are gone."""
        self.cluster.admin.delete(Deployment, app, namespace=NAMESPACE)
        wait_for(f"the pods of {app} to go", lambda: self.pods(app), lambda pods: not pods, 90.0)

    def pods(self, app: str) -> list[Pod]:
        return list(self.cluster.admin.list(Pod, namespace=NAMESPACE, labels={"app": app}))

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

    def node_of(self, instance: str) -> str:
        return self.cluster.joiner.nodes[instance]

    def node(self, name: str) -> Node:
        return self.cluster.admin.get(Node, name)

    # --- what was done ---

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

    def events_on(self, node: str) -> list[str]:
        """Reasons of the events on a node."""
        events = self.cluster.admin.list(Event, namespace="default")
        return [str(event.reason) for event in events if event.involvedObject.kind == "Node" and event.involvedObject.name == node]

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
