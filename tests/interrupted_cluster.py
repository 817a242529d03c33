"""A few nodes as raw API objects and all ports of the interruption function around them; what is done to them is kept, in order."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lambda_autoscaler.core.events import Hook, Reminder, reminder_message
from lambda_autoscaler.core.interruption import INTERRUPTION
from lambda_autoscaler.core.plan import Notice
from lambda_autoscaler.interrupting import Interrupter, InterruptionEdges
from lambda_autoscaler.ports import AutoscalerError, Conflict, NotFound
from lambda_autoscaler.questions import Question, ReservationInstances
from tests.build import NOW
from tests.core.wire import node as node_object
from tests.core.wire import page
from tests.core.wire import pod as pod_object
from tests.ec2_events import HOME, INSTANCE
from tests.small_cluster import options


class InterruptedCluster:
    """All ports. ``calls`` are writes (name, subject); a call in ``failing`` raises the next of its errors instead."""

    def __init__(self, **flags: str) -> None:
        self.now = NOW
        self.nodes: dict[str, dict[str, Any]] = {}
        self.pods: dict[str, dict[str, Any]] = {}
        self.reservations: dict[str, list[str]] = {}
        self.groups_of_cluster: tuple[str, ...] = ("workers",)
        self.calls: list[tuple[str, str]] = []
        self.failing: dict[str, list[AutoscalerError]] = {}
        self.reminders: list[tuple[Reminder, int]] = []
        self.notices: list[Notice] = []
        self.warnings: list[str] = []
        self.lines: list[Mapping[str, object]] = []
        self.metrics: dict[str, float] = {}
        self.lists = 0
        self.options = options(**flags)
        edges = InterruptionEdges(self, self, self, self, lambda: self.now)
        self.interrupter = Interrupter(edges, self.options, HOME)

    # --- what a test does ---

    def add_node(
        self, name: str = "n1", instance: str = INSTANCE, *, provider_id: str = "", labels: Mapping[str, str] | None = None
    ) -> None:
        made = node_object(name, providerID=provider_id or f"aws:///eu-central-1a/{instance}")
        made["metadata"] |= {"uid": f"uid-{name}", "resourceVersion": "1", "labels": {**made["metadata"]["labels"], **(labels or {})}}
        self.nodes[name] = made

    def add_pod(self, name: str, node: str = "n1", **meta: Any) -> None:
        owner = [{"kind": "ReplicaSet", "name": "web", "uid": "uid-web", "controller": True, "apiVersion": "apps/v1"}]
        spec = {"nodeName": node, "terminationGracePeriodSeconds": 30}
        self.pods[name] = pod_object(name, spec=spec, status={"phase": "Running"}, **{"ownerReferences": owner, **meta})

    def take(self, message: Any) -> None:
        """One invocation with one message."""
        body = message if isinstance(message, str) else json.dumps(message)
        try:
            self.interrupter.take(body)
        finally:
            self.interrupter.finish()

    def remind(self, seconds: float = 0.0) -> None:
        """Time passes, then the oldest reminder arrives."""
        self.now += seconds
        reminder, _ = self.reminders.pop(0)
        self.take(reminder_message(HOME, reminder).decode())

    def record(self, notices: Sequence[Notice], now: float) -> None:
        """Events of the function (``ports.Kube``)."""
        self._call("record", "")
        self.notices.extend(notices)

    def mark(self, name: str = "n1") -> dict[str, Any]:
        """The record on a node; empty without one."""
        found: dict[str, Any] = json.loads(self.nodes[name]["metadata"].get("annotations", {}).get(INTERRUPTION) or "{}")
        return found

    def answer(self, verdict: str, *homeless: str) -> None:
        """What the scan writes on node n1."""
        annotations = self.nodes["n1"]["metadata"].setdefault("annotations", {})
        annotations["eks-autoscaling/replacement"] = json.dumps({"verdict": verdict, "homeless": homeless})

    def done(self, *names: str) -> list[tuple[str, str]]:
        return [call for call in self.calls if call[0] in names]

    def reasons(self) -> list[str]:
        return [notice.reason for notice in self.notices]

    def _call(self, name: str, subject: str) -> None:
        waiting = self.failing.get(name)
        if waiting:
            raise waiting.pop(0)
        if name not in ("record", "list"):
            self.calls.append((name, subject))

    # --- ports.Kube ---

    def list(self, plural: str, node: str = "") -> Iterator[bytes]:
        self._call("list", plural)
        self.lists += plural == "nodes" and not node
        if plural == "nodes":
            yield page(*(item for name, item in self.nodes.items() if node in ("", name)))
        else:
            yield page(*(item for item in self.pods.values() if item["spec"]["nodeName"] == node))

    def config_map(self, namespace: str, name: str) -> bytes | None:
        raise AssertionError("the interruption function reads no ConfigMap")

    def write_config_map(self, namespace: str, name: str, manifest: bytes) -> None:
        raise AssertionError("the interruption function writes no ConfigMap")

    def patch_node(self, name: str, patch: bytes) -> None:
        change = json.loads(patch)
        version = change["metadata"].pop("resourceVersion", "")
        self._call("patch", name)
        if name not in self.nodes:
            raise NotFound(f"node {name}")
        found = self.nodes[name]
        if version and version != found["metadata"]["resourceVersion"]:
            raise Conflict(f"node {name}")
        for part in ("annotations", "labels"):
            merged = {**found["metadata"].get(part, {}), **change["metadata"].get(part, {})}
            found["metadata"][part] = {key: value for key, value in merged.items() if value is not None}
        found["spec"] = {key: value for key, value in {**found["spec"], **change.get("spec", {})}.items() if value is not None}
        found["metadata"]["resourceVersion"] = str(int(found["metadata"]["resourceVersion"]) + 1)

    def evict(self, namespace: str, pod: str, uid: str, grace_seconds: int) -> None:
        self._call("evict", pod)
        self._end(pod, grace_seconds)

    def delete_pod(self, namespace: str, pod: str, uid: str, grace_seconds: int) -> None:
        self._call("delete pod", pod)
        self._end(pod, grace_seconds)

    def _end(self, pod: str, grace_seconds: int) -> None:
        if pod not in self.pods:
            raise NotFound(f"pod {pod}")
        del self.pods[pod]

    def delete_node(self, name: str) -> None:
        self._call("delete node", name)
        if self.nodes.pop(name, None) is None:
            raise NotFound(f"node {name}")

    # --- ports.Aws ---

    def groups(self) -> Iterator[bytes]:
        found = [{"AutoScalingGroupName": name, "MinSize": 0, "MaxSize": 9, "DesiredCapacity": 1} for name in self.groups_of_cluster]
        yield json.dumps({"AutoScalingGroups": found}).encode()

    def describe(self, question: Question) -> bytes | None:
        self._call("describe", "")
        assert isinstance(question, ReservationInstances)
        found = [{"Instances": [{"InstanceId": name}]} for name in self.reservations.get(question.reservation, [])]
        return json.dumps({"Reservations": found}).encode()

    def set_desired_capacity(self, group: str, desired: int) -> None:
        raise AssertionError("desired capacity is left to the scan")

    def terminate(self, instance: str, *, decrement: bool = True) -> None:
        self._call("terminate and shrink" if decrement else "terminate", instance)

    def complete_lifecycle(self, hook: Hook, instance: str) -> None:
        self._call("complete", f"{hook.group}/{hook.name}/{instance}")

    def heartbeat(self, hook: Hook, instance: str) -> None:
        self._call("heartbeat", instance)

    # --- ports.Messages ---

    def again(self, reminder: Reminder, seconds: int) -> None:
        self._call("again", reminder.node)
        self.reminders.append((reminder, seconds))

    def wake(self, at: float) -> None:
        self._call("wake", "")

    # --- ports.InterruptionTelemetry ---

    def warn(self, sentence: str) -> None:
        self.warnings.append(sentence)

    def handled(self, message: Mapping[str, object], metrics: Mapping[str, float]) -> None:
        self.lines.append(dict(message))
        for name, value in metrics.items():
            self.metrics[name] = self.metrics.get(name, 0.0) + value
