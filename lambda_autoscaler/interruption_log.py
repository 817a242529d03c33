"""What became of one message of the interruption queue: events on nodes and pods, one log line, and metrics.

Reasons of events are those of the AWS Node Termination Handler and Karpenter, so that dashboards and searches go on to work.
"""

from collections.abc import Sequence

from lambda_autoscaler.core.events import Kind
from lambda_autoscaler.core.interruption import InterruptionRecord, record_of
from lambda_autoscaler.core.interruption_steps import NodeStep
from lambda_autoscaler.core.model import Node
from lambda_autoscaler.core.plan import Eviction, Notice
from lambda_autoscaler.ports import InterruptionTelemetry

_SENTENCES = {
    Kind.SPOT_INTERRUPTION: "the spot instance gets back to EC2",
    Kind.RESERVATION_INTERRUPTION: "its capacity reservation is interrupted",
    Kind.CAPACITY_BLOCK: "its capacity block ends",
    Kind.LIFECYCLE: "its Auto Scaling group terminates the instance",
    Kind.STATE_CHANGE: "the instance ends",
    Kind.SCHEDULED_CHANGE: "AWS Health announces a change of the instance",
    Kind.REBALANCE: "the instance is at elevated risk of an interruption",
}


class InterruptionLog:
    """Collects what happens while one message is handled."""

    def __init__(self, telemetry: InterruptionTelemetry, kind: str) -> None:
        self._telemetry = telemetry
        self._kind = kind
        self._fields: dict[str, object] = {"kind": str(kind)}
        self._metrics: dict[str, float] = {}
        self._notices: list[Notice] = []
        self._is_told = False

    def take_notices(self) -> list[Notice]:
        """The events that were not taken yet."""
        taken, self._notices = self._notices, []
        return taken

    def warn(self, sentence: str) -> None:
        """Something went wrong that the next step makes good."""
        self._telemetry.warn(sentence)

    def told(self, **fields: object) -> None:
        """What the log line says of the message."""
        self._fields |= fields
        self._is_told = True
        if self._kind == "LaunchFailed":
            self.finish()

    def ignored(self, why: str) -> None:
        """The message asks for nothing; that is recorded."""
        self._fields["why"] = why
        self._metrics["interruption_ignored_total"] = 1.0
        self._is_told = True
        self.finish()

    def marked(self, node: Node, record: InterruptionRecord, now: float) -> None:
        """The node carries its mark; ``node`` is as it was before."""
        self.told(node=node.name, drains=record.drains, deadline=record.deadline)
        known = record_of(node)
        if known is not None and (known.kind, known.drains) == (record.kind, record.drains):
            return  # more is known of the same interruption, such as its lifecycle action
        self._metrics[f"interruption_received_total_{record.kind}"] = 1.0
        self._metrics["interruption_seconds_to_cordon"] = max(0.0, now - record.noticed)
        detail = f" ({record.detail})" if record.detail else ""
        self.on_node(node, "Warning", str(record.kind), f"{_SENTENCES[record.kind]}{detail}")
        if record.drains:
            text = "EKS drains it" if record.waits_for_eks else "its pods are being moved"
            self.on_node(node, "Normal", "CordonAndDrain", f"no new pods come to the node; {text}")
        else:
            self.on_node(node, "Normal", "Cordon", "no new pods come to the node, and it is the first to be removed")

    def moved(self, eviction: Eviction) -> None:
        """A pod is on its way out."""
        self._metrics["interruption_pods_moved_total"] = self._metrics.get("interruption_pods_moved_total", 0.0) + 1
        message = "evicted: its node is being interrupted"
        self._notices.append(Notice("Pod", eviction.namespace, eviction.pod, "Normal", "PodEviction", message, eviction.uid))

    def refused(self, eviction: Eviction, fault: Exception) -> None:
        """A pod may not be evicted yet; it is tried again, and deleted in time when its machine ends anyhow."""
        self._fields["refused"] = f"{eviction.namespace}/{eviction.pod}: {fault}"
        self._metrics["interruption_refused_evictions_total"] = self._metrics.get("interruption_refused_evictions_total", 0.0) + 1
        self._is_told = True

    def cut_off(self, node: Node, deletions: Sequence[Eviction]) -> None:
        """Pods that are ended past their budgets, or before a place for them is known, because their machine ends."""
        first = f"{deletions[0].namespace}/{deletions[0].pod}"
        message = f"no time is left to evict {len(deletions)} pods, they are deleted: {first}"
        self.on_node(node, "Warning", "CordonAndDrainError", message if len(deletions) == 1 else f"{message} and others")

    def lost(self, pods: int) -> None:
        """Pods that ended with their machine, not before it."""
        if pods:
            self._metrics["interruption_pods_lost_total"] = float(pods)
        self._is_told = True

    def ended(self, node: Node, record: InterruptionRecord, step: NodeStep, now: float) -> None:
        """The function is done with a node."""
        self.told(node=node.name, step=step.act.value, why=step.why)
        if step.left:
            self.lost(step.left)
            self.on_node(node, "Warning", "CordonAndDrainError", f"{step.left} pods are still on the node: {step.why}")
        else:
            self._metrics["interruption_seconds_to_empty"] = max(0.0, now - record.noticed)
            self.on_node(node, "Normal", "PostDrain", "the node is empty")

    def on_node(self, node: Node, kind: str, reason: str, message: str) -> None:
        """An event on the node."""
        self._notices.append(Notice("Node", "", node.name, kind, reason, message, node.uid))
        self._is_told = True

    def finish(self) -> None:
        """Write the line and the metrics, if there is anything to say."""
        if self._is_told:
            self._telemetry.handled(self._fields, self._metrics)
            self._is_told, self._metrics = False, {}
