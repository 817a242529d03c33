"""Carrying out removals of nodes, safe under the limits of an invocation.

A removal takes longer than a scan: the taint must be seen, pods end. So it is carried out in rounds. Each round reads the nodes in removal
and their pods afresh, asks ``core.draining`` which step is due, and takes it; between rounds the invocation waits while it has time to
spare. Nothing is kept between rounds that the cluster does not show: an invocation may die at any instant, and the next scan goes on from
there or takes the removal back.

An instance is terminated only while its group, described again in that very round, is above its minimum. Scale-in protection is no
obstacle: TerminateInstanceInAutoScalingGroup does not heed it, and the Cluster Autoscaler relies on that too. To keep a node, annotate it
``cluster-autoscaler.kubernetes.io/scale-down-disabled=true``.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from lambda_autoscaler.core.amazon import AutoScalingGroup
from lambda_autoscaler.core.decode import decode_objects
from lambda_autoscaler.core.draining import next_steps
from lambda_autoscaler.core.interruption import awaits_answer
from lambda_autoscaler.core.marks import is_being_deleted, record_of, record_patch, roll_back_patch
from lambda_autoscaler.core.model import Cluster, Node
from lambda_autoscaler.core.observe import build_cluster
from lambda_autoscaler.core.observed import Observed
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.plan import Drain, Eviction, Plan, Step
from lambda_autoscaler.group_descriptions import read_groups
from lambda_autoscaler.ports import AutoscalerError, Aws, Conflict, Kube, NotFound, Refused, Throttled, Unreachable
from lambda_autoscaler.removal_log import RemovalLog
from lambda_autoscaler.tainting import Clock, Tainter

RESERVE_SECONDS: Final = 10.0
ROUND_SECONDS: Final = 5.0
SHORTEST_PAUSE: Final = 0.5
WHOLE_MINUTE: Final = 60.0


class Remover:
    """Carries out the removals of one scan. ``cluster`` is what the scan saw; ``log`` tells what became of them."""

    def __init__(self, kube: Kube, aws: Aws, options: Options, clock: Clock, cluster: Cluster) -> None:
        self._kube, self._aws, self._options, self._clock, self._cluster = kube, aws, options, clock, cluster
        self.log = RemovalLog(options)
        self._tainter = Tainter(kube, options, clock, self.log)
        self._groups_of = {node.name: node.group for node in cluster.nodes}
        self._active: dict[str, None] = {}
        self._next_at = 0.0
        self._waited = 0.0
        self.gave_way = False
        """Whether the wait ended because a node is under interruption that no scan has answered: another scan is due at once."""

    @property
    def in_progress(self) -> tuple[str, ...]:
        """Nodes whose removal goes on."""
        return tuple(self._active)

    def begin(self, plan: Plan) -> None:
        """Begin the plan's removals, write its soft taints, and take the first step of every removal in progress."""
        self._active = {drain.node: None for drain in plan.drains if drain.step is not Step.LEAVING}
        for name in self._tainter.begin(plan.removals, self._has_time):
            self._active[name] = None
        nodes = {node.name: node for node in self._cluster.nodes if node.name not in self._active}
        self._tainter.soften(nodes, [item for item in plan.soft_taints if item.node in nodes])
        self._round()

    def go_on(self) -> None:
        """Take further steps for as long as the invocation has time, and other scans are not kept waiting."""
        while self._active:
            pause = min(ROUND_SECONDS, max(SHORTEST_PAUSE, self._next_at - self._clock.now()))
            if not self._may_wait(pause):
                return
            self._clock.wait(pause)
            self._waited += pause
            if self._is_wanted_elsewhere():
                self.gave_way = True
                return
            self._round()

    def _is_wanted_elsewhere(self) -> bool:
        """Whether an instance goes and its pods wait for a scan's answer, which this one keeps from coming while it waits."""
        try:
            return any(
                awaits_answer(node.metadata.annotations or {})
                for page in self._kube.list("nodes")
                for node in decode_objects("nodes", page)[0]
            )
        except (AutoscalerError, msgspec.DecodeError):
            return False  # the round says what is wrong

    def _has_time(self) -> bool:
        return self._clock.seconds_left() > RESERVE_SECONDS

    def _may_wait(self, seconds: float) -> bool:
        """Whether the invocation outlasts a wait, and no scan of the same invocation (``--scan-interval``) is due before its end."""
        spent = max(self._waited, self._clock.now() - self._clock.start) + seconds
        own = self._options.scan_interval
        return spent < self._clock.begun_with - RESERVE_SECONDS and (own >= WHOLE_MINUTE or spent < own)

    def _round(self) -> None:
        nodes = self._read_nodes()
        if not nodes:
            return
        if any(record_of(node, self._options).phase is None for node in nodes.values()):
            self._read_budgets()
        now = self._clock.now()
        seen = msgspec.structs.replace(self._cluster, nodes=tuple(nodes.values()))
        drains = next_steps(seen, self._options, now)
        self._next_at = min((drain.until for drain in drains if drain.step is Step.WAIT and drain.until), default=0.0)
        terminations = _Terminations(self._aws, seen, self.log) if any(drain.step is Step.TERMINATE for drain in drains) else None
        for drain in drains:
            self._take(drain, nodes[drain.node], terminations)

    def _read_nodes(self) -> dict[str, Node]:
        """The nodes in removal as they are now; those that are gone, or that somebody took back, are no longer in removal."""
        found: dict[str, Node] = {}
        for name in list(self._active):
            try:
                node = self._tainter.nodes.read(name)
            except AutoscalerError as fault:
                self.log.fail(f"node {name} cannot be looked at: {fault}")
                continue
            if node is None or not is_being_deleted(node):
                del self._active[name]
            else:
                found[name] = msgspec.structs.replace(node, group=self._groups_of.get(name, ""))
        return found

    def _read_budgets(self) -> None:
        """Disruption budgets as they are now, for the second look at the pods. Those of the scan do when they cannot be read."""
        try:
            pages = list(self._kube.list("poddisruptionbudgets"))
            budgets = [item for page in pages for item in decode_objects("poddisruptionbudgets", page)[0]]
        except (AutoscalerError, msgspec.DecodeError) as fault:
            self.log.fail(f"disruption budgets cannot be read again: {fault}")
            return
        fresh = build_cluster(Observed(poddisruptionbudgets=budgets), self._options).budgets
        self._cluster = msgspec.structs.replace(self._cluster, budgets=fresh)

    def _take(self, drain: Drain, node: Node, terminations: "_Terminations | None") -> None:
        """Take a step. What cannot be done now is due again in the next round or scan."""
        try:
            if drain.record is not None:
                self._kube.patch_node(node.name, record_patch(node, drain.record))
            match drain.step:
                case Step.EVICT:
                    self._evict(drain.evictions)
                case Step.TERMINATE if terminations is not None:
                    self._terminate(drain, node, terminations)
                case Step.ROLL_BACK:
                    self._roll_back(drain)
                case Step.LEAVING:
                    del self._active[drain.node]
        except (Conflict, NotFound):
            return  # the node changed or went since it was read: the next round looks again
        except AutoscalerError as fault:
            self.log.fail(f"the removal of node {drain.node} does not get on: {fault}")

    def _evict(self, evictions: Iterable[Eviction]) -> None:
        for eviction in evictions:
            if not self._has_time():
                return
            try:
                self._kube.evict(eviction.namespace, eviction.pod, eviction.uid, eviction.grace_seconds)
            except (NotFound, Conflict):
                continue  # it is gone, or another pod has its name
            except (Throttled, Refused) as fault:
                self.log.fail(f"pod {eviction.namespace}/{eviction.pod} is not evicted yet: {fault}")
                continue
            self.log.evicted(eviction)

    def _terminate(self, drain: Drain, node: Node, terminations: "_Terminations") -> None:
        fault = terminations.terminate(drain)
        if fault:
            self._roll_back(msgspec.structs.replace(drain, why=fault))
            return
        if terminations.was_there:
            self.log.removed(drain, node)
        del self._active[drain.node]

    def _roll_back(self, drain: Drain) -> None:
        node = self._tainter.nodes.change(
            drain.node, lambda found: roll_back_patch(found, self._options) if is_being_deleted(found) else None
        )
        if node is not None:
            self.log.rolled_back(drain, node)
        del self._active[drain.node]


class _Terminations:
    """Terminates instances in the groups as they are in this round."""

    def __init__(self, aws: Aws, cluster: Cluster, log: RemovalLog) -> None:
        self._aws, self._log = aws, log
        self._minimums: Mapping[str, int] = {group.id: group.minimum for group in cluster.groups}
        self._groups: dict[str, AutoScalingGroup] | None = None
        self._taken: Counter[str] = Counter()
        self.was_there = False

    def terminate(self, drain: Drain) -> str:
        """Terminate a node's instance; "" when it goes, else why it must stay.

        ``was_there`` tells afterwards whether it was this call that did it. Raises Unreachable and Throttled, when nothing is decided yet.
        """
        self.was_there = False
        group = self._described().get(drain.group)
        instance = next((item for item in group.instances if item.instance_id == drain.instance), None) if group is not None else None
        if group is None or instance is None or instance.lifecycle_state.startswith("Terminat"):
            return ""
        minimum = max(group.min_size, self._minimums.get(drain.group, 0))
        if group.desired_capacity - self._taken[drain.group] <= minimum:
            return f"group {drain.group} is at its minimum of {minimum}"
        try:
            self._aws.terminate(drain.instance)
        except NotFound:
            return ""
        except (Unreachable, Throttled):
            raise
        except AutoscalerError as fault:
            return str(fault)
        self._taken[drain.group] += 1
        self.was_there = True
        return ""

    def _described(self) -> dict[str, AutoScalingGroup]:
        if self._groups is None:
            faults: list[str] = []
            self._groups = {group.auto_scaling_group_name: group for group in read_groups(self._aws, faults)}
            for fault in faults:
                self._log.fail(fault)
        return self._groups
