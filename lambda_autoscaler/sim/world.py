"""The embedded simulated world: a cluster, its Auto Scaling groups and the cloud behind them, in memory and with a clock of its own.

It implements the ports a scan needs (``kube``, ``aws``, ``memory``). Time passes only in ``advance``; two worlds of the same specification
that are treated alike end alike, whatever machine they run on. What is there at the start has been there for an hour, so that nothing is
young. It keeps 5,000 nodes and 100,000 pods.

What it leaves out: networking, images, volumes being provisioned, preemption. Instances always get the first type of their group.
"""

from collections.abc import Callable

from lambda_autoscaler.sim.agenda import Agenda
from lambda_autoscaler.sim.auto_scaling import Fleet, SimInstance
from lambda_autoscaler.sim.aws_api import SimAws
from lambda_autoscaler.sim.budgets import refresh_budgets
from lambda_autoscaler.sim.cluster import ClusterState
from lambda_autoscaler.sim.controllers import Controllers
from lambda_autoscaler.sim.journal import Entry, Happening, Journal
from lambda_autoscaler.sim.kube_api import SimKube
from lambda_autoscaler.sim.manifests import disruption_budget, metadata
from lambda_autoscaler.sim.memory_store import Record, SimMemory
from lambda_autoscaler.sim.nodes import node_manifest, ready_node
from lambda_autoscaler.sim.pods import SimPod
from lambda_autoscaler.sim.scheduler import schedule
from lambda_autoscaler.sim.specification import BudgetSpecification, Specification

SETTLED = 3600.0


class World:
    """A simulated cluster and cloud. ``journal`` tells what happened."""

    def __init__(self, specification: Specification) -> None:
        self.specification = specification
        self.agenda = Agenda(specification.start - SETTLED)
        self.journal = Journal()
        self.state = ClusterState(self.agenda)
        self.fleet = Fleet(self.agenda, self.journal, specification.pace, specification.seed)
        self.controllers = Controllers(self.state, specification.seed)
        self.kube = SimKube(self.state, self.journal)
        self.aws = SimAws(self.fleet, specification)
        self._record = Record()
        self.memory = self.another_memory()
        self._pass_planned = False
        self._build()
        self.advance(SETTLED)

    @property
    def now(self) -> float:
        """Seconds since the epoch."""
        return self.agenda.now

    def another_memory(self) -> SimMemory:
        """The memory as a second scan would open it."""
        return SimMemory(self._record)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._settle()
        self.agenda.run_until(self.now + seconds, self._settle)

    def scale(self, namespace: str, deployment: str, replicas: int) -> None:
        """What ``kubectl scale`` does. Raises BadInput for an unknown Deployment."""
        before = self.controllers.scale(namespace, deployment, replicas)
        subject = f"{namespace}/{deployment}"
        self.journal.note(Entry(self.now, Happening.WORKLOAD_SCALED, subject, detail=f"{before}->{replicas}"))

    def _build(self) -> None:
        specification = self.specification
        for workload in specification.daemon_sets:
            self.controllers.add_daemon_set(workload)
        for group in specification.groups:
            for instance in self.fleet.add(specification.cluster, group).instances.values():
                self._join(instance)
                self._become_ready(instance)
        for workload in specification.deployments:
            self.controllers.add_deployment(workload)
        for budget in specification.budgets:
            self._add_budget(budget)
        self.fleet.launched, self.fleet.terminated = self._on_launch, self._on_terminated
        self._settle()

    def _add_budget(self, budget: BudgetSpecification) -> None:
        meta = metadata(budget.namespace, budget.workload, self.now)
        self.state.put("poddisruptionbudgets", disruption_budget(meta, {"app": budget.workload}, budget.minimum_available))

    def _on_launch(self, instance: SimInstance) -> None:
        pace = self.specification.pace
        self.agenda.after(self._stretched(pace.register, instance), self._if_there(instance, self._join))
        self.agenda.after(self._stretched(pace.register + pace.ready, instance), self._if_there(instance, self._become_ready))

    def _stretched(self, seconds: float, instance: SimInstance) -> float:
        """Slower machines are slower in everything: the spread comes from the instance's id."""
        return round(seconds * (1 + self.specification.pace.jitter * (int(instance.id[-2:], 16) / 255)))

    def _if_there(self, instance: SimInstance, action: Callable[[SimInstance], None]) -> Callable[[], None]:
        return lambda: None if instance.is_leaving else action(instance)

    def _join(self, instance: SimInstance) -> None:
        instance.lifecycle = "InService"
        node = node_manifest(self.specification, self.fleet.groups[instance.group].specification, instance, self.now)
        self.state.put_node(node)
        self.journal.note(Entry(self.now, Happening.NODE_REGISTERED, instance.node, instance.group))
        for pod in self.controllers.join(node):
            self._start_later(pod)

    def _become_ready(self, instance: SimInstance) -> None:
        node = self.state.nodes.get(instance.node)
        if node is not None:
            self.state.put_node(ready_node(node, self.now))
            self.journal.note(Entry(self.now, Happening.NODE_READY, instance.node, instance.group))

    def _on_terminated(self, instance: SimInstance) -> None:
        if instance.node in self.state.nodes:
            self.kube.delete_node(instance.node)
            self.journal.note(Entry(self.now, Happening.NODE_GONE, instance.node, instance.group))

    def _settle(self) -> None:
        """Let controllers and scheduler react until nothing changes any more."""
        while self.state.changed:
            self.state.changed = False
            self.controllers.settle()
            refresh_budgets(self.state)
            if self.state.pods.waiting and not self._pass_planned:
                self._plan_pass()

    def _plan_pass(self) -> None:
        if self.specification.pace.scheduling <= 0:
            self._schedule()
        else:
            self._pass_planned = True
            self.agenda.after(self.specification.pace.scheduling, self._schedule)

    def _schedule(self) -> None:
        self._pass_planned = False
        changed = self.state.changed
        verdict = schedule(self.state)
        for key, node in verdict.bindings.items():
            pod = self.state.pods.waiting[key]
            self.state.pods.bind(pod, node, self.now)
            self.state.touch(pod)
            self._start_later(pod)
        for key, message in verdict.refusals.items():
            self._refuse(self.state.pods.waiting[key], message)
        self.state.changed = changed  # what the scheduler writes gives nobody else anything to do

    def _refuse(self, pod: SimPod, message: str) -> None:
        if not pod.refusal:
            pod.refused = self.now
            self.journal.note(Entry(self.now, Happening.POD_UNSCHEDULABLE, f"{pod.namespace}/{pod.name}", detail=message))
        if pod.refusal != message:
            pod.refusal = message
            self.state.touch(pod)

    def _start_later(self, pod: SimPod) -> None:
        self.agenda.after(self.specification.pace.pod_start, lambda: self._start(pod))

    def _start(self, pod: SimPod) -> None:
        if self.state.pods.get(pod.key) is pod and pod.deletion is None:
            pod.started = self.now
            self.state.touch(pod)
            if not pod.template.daemon:
                self.journal.note(Entry(self.now, Happening.POD_RUNNING, f"{pod.namespace}/{pod.name}", detail=pod.node))
