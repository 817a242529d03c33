"""Answering one message of the interruption queue at a time.

An event marks its node; the pods are moved in steps of a second or two, each an invocation of its own, since waiting inside one would
keep the next warning waiting. Every step follows from what the cluster shows, so that a message may come twice, late or in any order.
The reminder of the next step is sent before a node is marked: an invocation that dies in between is repeated by the queue, and a reminder
for a node without a mark ends by itself. Desired capacity is left to the scan, which is woken; an instance is only handed back by name.
"""

import re
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from lambda_autoscaler.core.amazon import Reservations
from lambda_autoscaler.core.decode import decode_objects
from lambda_autoscaler.core.events import (
    Event,
    EventError,
    Home,
    InstanceEvent,
    Kind,
    LaunchFailed,
    Nothing,
    Reminder,
    ReservationEvent,
    read_events,
)
from lambda_autoscaler.core.interruption import (
    EKS_HOOK,
    Response,
    mark_patch,
    record_of,
    record_patch,
    record_taken_back,
    respond,
    unmark_patch,
)
from lambda_autoscaler.core.interruption_steps import Act, NodeStep, next_step, pods_to_move
from lambda_autoscaler.core.model import Node
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.plan import Eviction, Notice
from lambda_autoscaler.group_descriptions import read_groups
from lambda_autoscaler.interruption_log import InterruptionLog
from lambda_autoscaler.node_access import NodeAccess
from lambda_autoscaler.ports import (
    AutoscalerError,
    Aws,
    BadInput,
    Busy,
    Conflict,
    Denied,
    InterruptionTelemetry,
    Kube,
    Messages,
    NotFound,
    Refused,
    Throttled,
    Unavailable,
    Unreachable,
)
from lambda_autoscaler.questions import ReservationInstances

FIRST_STEP_SECONDS: Final = 2
# A reminder may come before the mark that it is about is written.
MARK_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 3
# What still fails after that is no passing trouble.
FAULT_LASTS_SECONDS: Final = 600.0
LATE_RETRY_SECONDS: Final = 60
DIRECTORY_SECONDS: Final = 5.0
WARNING_SECONDS: Final = 2.0
HEARTBEAT_SECONDS: Final = 30.0
# How Auto Scaling refuses to make a group smaller: "Currently, desiredSize equals minSize (1)."
AT_MINIMUM: Final = re.compile(r"min(imum)? ?size", re.IGNORECASE)


class InterruptionEdges(msgspec.Struct, frozen=True):
    """The outside of the interruption function; ``clock`` tells seconds since the epoch."""

    kube: Kube
    aws: Aws
    messages: Messages
    telemetry: InterruptionTelemetry
    clock: Callable[[], float]


class NodeDirectory:
    """Which node an instance is: names by instance id, read anew when an instance is not known and the last reading is old.

    In an account with many clusters most events are about instances of others: they cost one list of nodes in so many seconds.
    """

    def __init__(self, kube: Kube, clock: Callable[[], float]) -> None:
        self._kube, self._clock = kube, clock
        self._names: dict[str, str] = {}
        self._read_at = 0.0

    def node_of(self, instance: str, seconds: float) -> str | None:
        """Name of the node of an instance, None when no node of this cluster was in a reading of at most so many seconds ago."""
        if instance not in self._names and self._read_at + seconds <= self._clock():
            self._names = dict(self._read())
            self._read_at = self._clock()
        return self._names.get(instance)

    def _read(self) -> Iterable[tuple[str, str]]:
        for page in self._kube.list("nodes"):
            for node in decode_objects("nodes", page)[0]:
                instance = node.spec.provider_id.rpartition("/")[2]
                if node.spec.provider_id.startswith("aws:///"):
                    yield instance, node.metadata.name


class Interrupter:
    """Handles messages; ``finish`` after the last one of a batch."""

    def __init__(self, edges: InterruptionEdges, options: Options, home: Home) -> None:
        self._edges, self._options, self._home = edges, options, home
        self._directory = NodeDirectory(edges.kube, edges.clock)
        self._nodes = NodeAccess(edges.kube, options)
        self._wakes = False
        self._owns = True

    def take(self, body: str | bytes) -> bool:
        """Handle one message; False when another cluster may have to answer it, or a part of it, too.

        Raises BadInput for one that cannot be read, and the errors of the ports: the queue brings it again.
        """
        try:
            events = read_events(body, self._home, self._edges.clock())
        except EventError as fault:
            raise BadInput(f"a message of the interruption queue cannot be used: {fault}") from fault
        self._owns = True
        for event in events:
            self._handle(event)
        return self._owns

    def finish(self) -> None:
        """Wake the scan, once, if anything that was handled concerns it."""
        if self._wakes:
            self._wakes = False
            self._edges.messages.wake(self._edges.clock())

    def _handle(self, event: Event) -> None:
        match event:
            case InstanceEvent():
                self._handle_instance(event)
            case ReservationEvent():
                self._handle_reservation(event)
            case LaunchFailed(group, message):
                self._wakes = True
                self._owns = False  # whose group it is a scan knows: every cluster's is woken
                self._log("LaunchFailed").told(group=group, why=message or "a launch failed: a scan looks at the group at once")
            case Reminder() if event.cluster in ("", self._options.cluster_name):
                self._go_on_or_again(event)
            case Reminder():
                self._owns = False
            case Nothing(why):
                self._log("Nothing").ignored(why)

    def _handle_reservation(self, event: ReservationEvent) -> None:
        answer = self._edges.aws.describe(ReservationInstances(event.reservation))
        described = msgspec.json.decode(answer or b"{}", type=Reservations)
        for instance in (item.instance_id for reservation in described.reservations for item in reservation.instances):
            self._handle_instance(InstanceEvent(Kind.CAPACITY_BLOCK, instance, f"{event.id}/{instance}", event.at, event.deadline))

    def _handle_instance(self, event: InstanceEvent) -> None:
        log = self._log(event.kind)
        # State changes tell of every instance of the account; warnings are few, and may be about a node that has just come.
        name = self._directory.node_of(event.instance, DIRECTORY_SECONDS if event.kind is Kind.STATE_CHANGE else WARNING_SECONDS)
        node = self._nodes.read(name) if name is not None else None
        if node is None or not node.provider_id.endswith(f"/{event.instance}"):
            self._owns = False
            self._without_node(event, log)
            return
        response = respond(event, node, self._options, self._edges.clock())
        self._wakes = self._wakes or response.wakes
        if response.deletes:
            self._delete(node, log)
        elif response.unmarks:
            self._nodes.change(node.name, unmark_patch)
            log.on_node(node, "Normal", "Uncordon", "the change was cancelled: the node takes pods again")
            self._record(log)
        elif response.record is None:
            log.ignored(response.why)
        else:
            self._mark(event, node, response, log)

    def _without_node(self, event: InstanceEvent, log: InterruptionLog) -> None:
        """An instance that never became a node, or is none any more: what waits for it need not wait."""
        why = f"instance {event.instance} is no node of this cluster"
        if event.hook is not None and event.hook.name != EKS_HOOK and self._is_ours(event.hook.group):
            why = f"{why}: its lifecycle action is completed"
            try:
                self._edges.aws.complete_lifecycle(event.hook, event.instance)
            except (Denied, Refused, NotFound):  # the action is over, and perhaps the instance gone
                why = f"{why} already"
        log.ignored(why)

    def _is_ours(self, group: str) -> bool:
        """Whether an Auto Scaling group is one of this cluster: the function may serve others, and sees the events of the whole account."""
        return any(found.auto_scaling_group_name == group for found in read_groups(self._edges.aws, []))

    def _mark(self, event: InstanceEvent, node: Node, response: Response, log: InterruptionLog) -> None:
        now = self._edges.clock()
        if response.goes_on:
            self._edges.messages.again(Reminder(node.name, event.instance, now, series=now), FIRST_STEP_SECONDS)

        def patch(found: Node) -> bytes | None:
            record = respond(event, found, self._options, now).record
            if record is None:
                return None
            return mark_patch(found, msgspec.structs.replace(record, series=now) if response.goes_on else record)

        if self._nodes.change(node.name, patch) is not None and response.record is not None:
            log.marked(node, response.record, now)
        self._record(log)

    def _delete(self, node: Node, log: InterruptionLog) -> None:
        """Delete the node of an instance that is gone, so that its pods are made anew at once and not after minutes of silence."""
        left = [ref for _, ref in pods_to_move(node) if ref.deletion is None] if record_of(node) else _all_pods(node)
        try:
            self._edges.kube.delete_node(node.name)
        except NotFound:
            log.ignored(f"node {node.name} is gone already")
            return
        log.lost(len(left))
        log.on_node(node, "Normal", "DeletingNode", f"its instance {node.provider_id.rpartition('/')[2]} is gone")
        self._record(log)

    # --- steps of a drain ---

    def _go_on_or_again(self, reminder: Reminder) -> None:
        """A step that fails comes again at once: the queue would bring it only when half the time is over, and three times at most.

        Whatever the reason, it may pass before the instance goes; only a message that cannot be used never gets better.
        """
        self._owns = bool(reminder.cluster)
        lasts = self._edges.clock() > reminder.series + FAULT_LASTS_SECONDS
        try:
            self._go_on(reminder)
        except BadInput:
            raise
        except AutoscalerError as fault:
            self._edges.telemetry.warn(f"node {reminder.node}: a step is repeated: {fault}")
            self._edges.messages.again(reminder, LATE_RETRY_SECONDS if lasts else RETRY_SECONDS)

    def _go_on(self, reminder: Reminder) -> None:
        node = self._nodes.read(reminder.node)
        if node is None or not node.provider_id.endswith(f"/{reminder.instance}"):
            return
        now = self._edges.clock()
        record = record_of(node)
        if record is None and now < reminder.series + MARK_SECONDS:
            self._edges.messages.again(reminder, RETRY_SECONDS)
            return
        if record is not None and record.series > reminder.series:
            return  # other reminders carry the drain on
        step = next_step(node, now)
        log = self._log(record.kind if record is not None else "Nothing")
        if step.record is not None:
            self._write_down(node, step, log)
        beat = self._heartbeat(node, reminder.beat, now)
        self._take(node, reminder.instance, step, log)
        if step.pause:
            self._edges.messages.again(msgspec.structs.replace(reminder, beat=beat), max(1, round(step.pause)))
        if step.act is not Act.WAIT:
            log.told(node=node.name, step=step.act.value, why=step.why)
        self._record(log)

    def _write_down(self, node: Node, step: NodeStep, log: InterruptionLog) -> None:
        """Write the record of a step first. Raises Conflict when somebody else changed the node before its instance is handed back."""
        assert step.record is not None
        taken_over = step.record.taken_over and step.act is Act.WAIT
        try:
            self._edges.kube.patch_node(node.name, mark_patch(node, step.record) if taken_over else record_patch(node, step.record))
        except Conflict as fault:
            if step.act is Act.GIVE_BACK:
                raise
            log.warn(f"node {node.name} changed meanwhile: {fault}")
            return
        if taken_over:
            log.on_node(node, "Warning", "CordonAndDrain", step.why)

    def _heartbeat(self, node: Node, beat: float, now: float) -> float:
        record = record_of(node)
        if record is None or not record.hooks or now - beat < HEARTBEAT_SECONDS:
            return beat
        for hook in record.hooks:
            try:
                self._edges.aws.heartbeat(hook, node.provider_id.rpartition("/")[2])
            except AutoscalerError as fault:  # the drain goes on without
                self._edges.telemetry.warn(f"node {node.name}: its lifecycle action takes no heartbeat: {fault}")
        return now

    def _take(self, node: Node, instance: str, step: NodeStep, log: InterruptionLog) -> None:
        record = record_of(node)
        match step.act:
            case Act.EVICT:
                self._end_pods(node, step, log)
            case Act.GIVE_BACK:
                self._give_back(node, instance, step, log)
            case Act.COMPLETE if record is not None:
                for hook in record.hooks:
                    self._edges.aws.complete_lifecycle(hook, instance)
                log.ended(node, record, step, self._edges.clock())
            case Act.DONE if record is not None:
                log.ended(node, record, step, self._edges.clock())

    def _end_pods(self, node: Node, step: NodeStep, log: InterruptionLog) -> None:
        if step.deletions:
            log.cut_off(node, step.deletions)
        for eviction in step.evictions:
            self._end_pod(eviction, self._edges.kube.evict, log)
        for deletion in step.deletions:
            self._end_pod(deletion, self._edges.kube.delete_pod, log)

    def _end_pod(self, eviction: Eviction, end: Callable[[str, str, str, int], None], log: InterruptionLog) -> None:
        try:
            end(eviction.namespace, eviction.pod, eviction.uid, eviction.grace_seconds)
        except (NotFound, Conflict):
            return  # it is gone, or another pod has its name
        except (Throttled, Refused, Denied) as fault:  # denied: not least where the namespace is being deleted
            log.refused(eviction, fault)
            return
        log.moved(eviction)

    def _give_back(self, node: Node, instance: str, step: NodeStep, log: InterruptionLog) -> None:
        """Terminate the instance in its group; where the minimum forbids a smaller group, the group replaces it."""
        record = record_of(node)
        assert record is not None
        try:
            self._terminate(instance, decrement=step.decrements)
        except Throttled:
            # Nothing has happened, so the next attempt is a first one again.
            self._edges.kube.patch_node(node.name, record_taken_back(record))
            raise
        except (Refused, Denied) as fault:
            log.warn(f"instance {instance} of node {node.name} was not handed back: {fault}")
        log.ended(node, record, step, self._edges.clock())

    def _terminate(self, instance: str, *, decrement: bool) -> None:
        """Raises Throttled when nothing has happened and it may be asked again, Unreachable when that is not known."""
        try:
            self._edges.aws.terminate(instance, decrement=decrement)
        except NotFound:
            return
        except Busy as fault:
            raise Throttled(str(fault)) from fault
        except Unavailable as fault:
            raise Unreachable(str(fault)) from fault
        except Refused as fault:
            if not (decrement and AT_MINIMUM.search(str(fault))):
                raise
            self._terminate(instance, decrement=False)

    def _log(self, kind: str) -> InterruptionLog:
        return InterruptionLog(self._edges.telemetry, kind)

    def _record(self, log: InterruptionLog) -> None:
        notices: list[Notice] = log.take_notices()
        try:
            if notices:
                self._edges.kube.record(notices, self._edges.clock())
        except AutoscalerError as fault:  # a message that came again for an event would begin a second series of steps
            log.warn(f"events were not recorded: {fault}")
        log.finish()


def _all_pods(node: Node) -> list[object]:
    return [ref for item in node.pods if not item.shape.stays_with_node for ref in item.pods if ref.deletion is None]
