"""Interruptions in the simulated world: EC2's events, the queue that carries them, the function that answers, and EKS's own drain.

The function is the product's own ``interrupting.Interrupter``; messages that arrive together are batches of ten, as the queue hands them
over. A scan that is woken runs beside the scheduled ones, under the same lock: while another scan holds it, Lambda tries again after one
second, then two, four and so on. Being woken twice before it begins is being woken once.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from lambda_autoscaler.app import Edges, scan
from lambda_autoscaler.core.events import Home, Reminder, reminder_message
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.units import format_timestamp
from lambda_autoscaler.interrupting import Interrupter, InterruptionEdges
from lambda_autoscaler.ports import AutoscalerError, Kube, NotFound, Telemetry
from lambda_autoscaler.sim.auto_scaling import SimInstance
from lambda_autoscaler.sim.world import World

NOTICE_SECONDS: Final = 120.0
DELIVERY_SECONDS: Final = 1.0
COLD_START_SECONDS: Final = 1.0
LONGEST_WAIT: Final = 60.0
# A woken scan takes its decision and leaves; waiting for removals is left to the scheduled ones.
WOKEN_SECONDS: Final = 9.0
EKS_DELAY: Final = 8.0
EKS_RETRY: Final = 5.0
RECEIVES: Final = 3
BATCH_SIZE: Final = 10


class InterruptionLines:
    """Implements ``ports.InterruptionTelemetry``; ``metrics`` are sums, of times the largest."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.lines: list[dict[str, object]] = []
        self.metrics: dict[str, float] = {}

    def warn(self, sentence: str) -> None:
        """Keep a sentence."""
        self.warnings.append(sentence)

    def handled(self, message: Mapping[str, object], metrics: Mapping[str, float]) -> None:
        """Keep a line and count its metrics."""
        self.lines.append(dict(message))
        for name, value in metrics.items():
            known = self.metrics.get(name, 0.0)
            self.metrics[name] = max(known, value) if "_seconds_" in name else known + value


class InterruptionPath:
    """Events of one world and what answers them. ``kube`` may stand in front of the world's own; ``dead`` are messages that failed."""

    def __init__(self, world: World, options: Options, telemetry: Telemetry, kube: Kube | None = None) -> None:
        self.lines = InterruptionLines()
        self.dead: list[str] = []
        self.delivered = 0
        self.invocations = 0
        self.eks_drains = True
        self._world, self._options, self._telemetry = world, options, telemetry
        self._kube: Kube = kube or world.kube
        self._home = Home(world.specification.account, world.specification.region)
        edges = InterruptionEdges(self._kube, world.aws, self, self.lines, lambda: world.now)
        self._interrupter = Interrupter(edges, options, self._home)
        self._woken = 0
        self._is_waking = False
        self._arrived: list[tuple[str, int]] = []

    # --- what EC2 does ---

    def take_back(self, instance_id: str, notice: float = NOTICE_SECONDS) -> None:
        """EC2 takes a spot instance back: a warning now, the end after the notice."""
        instance = self._instance(instance_id)
        self._put("EC2 Spot Instance Interruption Warning", {"instance-id": instance_id, "instance-action": "terminate"})
        self._world.agenda.after(notice, lambda: self.end(instance_id))
        self._let_eks_drain(instance)

    def recommend_rebalance(self, instance_id: str) -> None:
        """EC2 sees an elevated risk; nothing else happens."""
        self._put("EC2 Instance Rebalance Recommendation", {"instance-id": instance_id})

    def end(self, instance_id: str) -> None:
        """The instance is gone, announced or not; its group replaces it if its desired capacity says so."""
        groups = self._world.fleet.groups.values()
        if not any(instance_id in group.instances and not group.instances[instance_id].is_leaving for group in groups):
            return
        self._world.fleet.kill(instance_id)
        for state in ("shutting-down", "terminated"):
            self._put("EC2 Instance State-change Notification", {"instance-id": instance_id, "state": state})

    def _put(self, kind: str, detail: Mapping[str, str]) -> None:
        envelope = {
            "version": "0",
            "id": f"event-{len(self.lines.lines)}-{self._world.now}-{detail['instance-id']}-{detail.get('state', '')}",
            "detail-type": kind,
            "source": "aws.ec2",
            "account": self._home.account,
            "region": self._home.region,
            "time": format_timestamp(self._world.now),
            "detail": dict(detail),
        }
        self.send(msgspec.json.encode(envelope).decode())

    def send(self, body: str, after: float = DELIVERY_SECONDS, received: int = 1) -> None:
        """Put a message into the queue."""
        self._world.agenda.after(after, lambda: self._deliver(body, received))

    # --- the function ---

    def again(self, reminder: Reminder, seconds: int) -> None:
        """A message of the function to itself (``ports.Messages``)."""
        self.send(reminder_message(self._home, reminder).decode(), after=seconds + DELIVERY_SECONDS / 2)

    def wake(self, at: float) -> None:
        """The function invokes the scan (``ports.Messages``)."""
        if not self._is_waking:
            self._is_waking = True
            self._woken += 1
            self._world.agenda.after(COLD_START_SECONDS, lambda: self._scan(1.0))

    def _deliver(self, body: str, received: int) -> None:
        self._arrived.append((body, received))
        if len(self._arrived) == 1:
            self._world.agenda.after(0.0, self._invoke)

    def _invoke(self) -> None:
        """One invocation of the function with a batch of messages."""
        batch, self._arrived = self._arrived[:BATCH_SIZE], self._arrived[BATCH_SIZE:]
        if self._arrived:
            self._world.agenda.after(0.0, self._invoke)
        self.invocations += 1
        for body, received in batch:
            self._take(body, received)
        self._interrupter.finish()

    def _take(self, body: str, received: int) -> None:
        self.delivered += 1
        try:
            self._interrupter.take(body)
        except AutoscalerError as fault:
            self.lines.warn(str(fault))
            if received < RECEIVES:
                self.send(body, after=LONGEST_WAIT, received=received + 1)
            else:
                self.dead.append(body)

    def _scan(self, wait: float) -> None:
        world = self._world
        self._is_waking = False
        ends = world.now + WOKEN_SECONDS
        edges = Edges(self._kube, world.aws, world.another_memory(), self._telemetry, world.advance)
        report = scan(edges, self._options, world.now, f"woken-{self._woken}-{world.now}", lambda: ends - world.now)
        if report.locked_out and wait < LONGEST_WAIT:
            world.agenda.after(wait, lambda: self._scan(2 * wait))

    # --- EKS ---

    def _let_eks_drain(self, instance: SimInstance) -> None:
        group = self._world.fleet.groups[instance.group].specification
        if not group.self_managed:
            self._world.agenda.after(EKS_DELAY, lambda: self._drain_as_eks(instance, cordons=True))

    def _drain_as_eks(self, instance: SimInstance, *, cordons: bool = False) -> None:
        """What EKS does for a managed node: cordon, then evict whatever may be evicted, over and over."""
        if not self.eks_drains or instance.node not in self._world.state.nodes:
            return
        if cordons:
            self._world.kube.patch_node(instance.node, b'{"spec":{"unschedulable":true}}')
        left = [pod for pod in self._world.state.pods.on_node(instance.node) if not pod.template.daemon and pod.deletion is None]
        for pod in left:
            _attempt(lambda pod=pod: self._world.kube.evict(pod.namespace, pod.name, pod.uid, 30))  # type: ignore[misc]
        if left:
            self._world.agenda.after(EKS_RETRY, lambda: self._drain_as_eks(instance))

    def _instance(self, instance_id: str) -> SimInstance:
        for group in self._world.fleet.groups.values():
            if instance_id in group.instances:
                return group.instances[instance_id]
        raise NotFound(f"instance {instance_id}")


def _attempt(action: Callable[[], Any]) -> None:
    try:
        action()
    except AutoscalerError:
        return
