"""A cluster on which pods are placed in thought: the scheduler's filters over node states, with undo.

Nodes in the same state are one ``NodeState`` with a count, and pods of one shape are placed together where only resources stand between
them, so that the cost grows with shapes and states, not with pods. It is mutable for speed; it lives inside one decision and what comes out
of that are values. The peer's counterpart is its cluster snapshot with ``Fork`` and ``Revert``.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from lambda_autoscaler.core.fit import PREDICATES, VOLUME_PREDICATES, Place, first_misfit
from lambda_autoscaler.core.model import HOSTNAME_LABEL, PODS, HostPort, NodeClass, PodShape
from lambda_autoscaler.core.needs import ATTACHMENT_PREFIX, Needs, node_rule_labels, resource_names, selected_node_labels, single_nodes
from lambda_autoscaler.core.node_state import NodeFacts, NodeState
from lambda_autoscaler.core.plan import Misfit, Rule
from lambda_autoscaler.core.topology import Census, Tally, TallyKey, has_key, owner_key

_UNLIMITED: Final = 1 << 60
_CLAIM_IN_USE: Final = "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod"
_ANY_IP: Final = "0.0.0.0"  # noqa: S104 - the wildcard of host ports, nothing is bound


_Undo = tuple[Any, ...]
"""A call that undoes one change: a method and its arguments."""


class Simulation:
    """Node states, and the pods placed on them. ``shapes`` must hold every shape that is or will be placed or asked about."""

    def __init__(self, shapes: Iterable[PodShape]) -> None:
        known = list(dict.fromkeys(shapes))
        self.resources: Final = resource_names(known)
        self.states: list[NodeState] = []
        self.by_class: dict[NodeClass, list[NodeState]] = {}
        self._index = {name: index for index, name in enumerate(self.resources)}
        self._labels = node_rule_labels(known)
        self._single = {None, "", *single_nodes(known)}
        self._selected = selected_node_labels(known)
        self._classes: dict[object, NodeClass] = {}
        self._needs: dict[PodShape, Needs] = {}
        self._tallies: dict[TallyKey, Tally] = {}
        self._census = Census()
        self._counting: list[Tally] = []
        self._rules: dict[object, int] = {}
        self._static: dict[tuple[int, int], tuple[Misfit | None, Misfit | None]] = {}
        self._exclusive: dict[str, int] = {}
        self._journal: list[_Undo] | None = None
        self._turn = 0
        guards = dict.fromkeys(owner_key(term) for shape in known for term in shape.anti_affinity)
        self._guarded = {key: Tally(TallyKey("match", key.topology_key, key.selectors), None, self._census) for key in guards}

    # --- nodes ---

    def add(self, facts: NodeFacts, count: int = 1) -> NodeState:
        """Add ``count`` equal nodes with their pods."""
        place = Place(self._class_of(facts), facts.name, facts.labels.get(HOSTNAME_LABEL))
        amounts = dict(facts.allocatable)
        free = [self._capacity(name, amounts, facts) for name in self.resources]
        state = NodeState(place, free, count)
        self._append(state)
        for shape, number in facts.pods:
            self.place(self.needs(shape), state, number)
        return state

    def size(self) -> int:
        """Number of nodes."""
        return sum(self._census.nodes.values())

    def remove(self, state: NodeState) -> None:
        """Take the nodes of a state away, with their pods."""
        for shape, number in list(state.load.items()):
            self.place(self.needs(shape), state, -number)
        self._forget(state)

    def split(self, state: NodeState, count: int) -> NodeState:
        """Make ``count`` nodes of a state a state of their own; all of them are the state itself."""
        if count == state.count:
            return state
        twin = NodeState(state.place, list(state.free), count)
        twin.load, twin.levels, twin.ports, twin.turn = dict(state.load), dict(state.levels), state.ports, state.turn
        twin.pool = state.pool
        self._give(state, twin, count)
        return twin

    def _give(self, giver: NodeState, taker: NodeState, count: int) -> None:
        giver.count -= count
        taker.count = count
        self.states.append(taker)
        self.by_class[taker.node_class].append(taker)
        if self._journal is not None:
            self._journal.append((self._take_back, giver, taker))

    def _take_back(self, giver: NodeState, taker: NodeState) -> None:
        giver.count += taker.count
        self._drop(taker)

    def merge(self, state: NodeState, other: NodeState) -> None:
        """Count the nodes of ``state``, which is in the same condition, to ``other``."""
        other.count += state.count
        self._drop(state)
        if self._journal is not None:
            self._journal.append((self._unmerge, state, other))

    def _unmerge(self, state: NodeState, other: NodeState) -> None:
        other.count -= state.count
        self.states.append(state)
        self.by_class[state.node_class].append(state)

    def _append(self, state: NodeState) -> None:
        self.states.append(state)
        self.by_class.setdefault(state.node_class, []).append(state)
        self._count_nodes(state.node_class, state.count)
        if self._journal is not None:
            self._journal.append((self._forget, state))

    def _forget(self, state: NodeState) -> None:
        self._drop(state)
        self._count_nodes(state.node_class, -state.count)
        if self._journal is not None:
            self._journal.append((self._append, state))

    def _drop(self, state: NodeState) -> None:
        for states in (self.states, self.by_class[state.node_class]):
            if states[-1] is state:
                states.pop()
            else:
                states.remove(state)

    def _count_nodes(self, node_class: NodeClass, count: int) -> None:
        """Count nodes, and tell the tallies when a class of nodes has appeared or gone."""
        if self._census.change(node_class, count):
            for tally in self._counting:
                tally.add_class(node_class, 1 if count > 0 else -1)

    def _capacity(self, name: str, amounts: Mapping[str, int], facts: NodeFacts) -> int:
        if name.startswith(ATTACHMENT_PREFIX):
            return facts.attach_limits.get(name.removeprefix(ATTACHMENT_PREFIX), _UNLIMITED)
        return amounts.get(name, 0)

    def _class_of(self, facts: NodeFacts) -> NodeClass:
        labels = {key: facts.labels[key] for key in sorted(self._labels & facts.labels.keys())}
        hostname, name = (seen if seen in self._single else "" for seen in (facts.labels.get(HOSTNAME_LABEL), facts.name))
        content = (tuple(labels.items()), facts.taints, facts.unschedulable, hostname, name)
        found = self._classes.get(content)
        if found is None:
            found = NodeClass(len(self._classes), labels, facts.taints, facts.unschedulable, hostname, name or "")
            self._classes[content] = found
        return found

    def sight(self, facts: NodeFacts) -> tuple[object, ...]:
        """All that pods can tell of a new node. A zone that no pod asks for and that has no nodes yet is like any other such zone."""
        node_class = self._class_of(facts)
        known = {item for placed, count in self._census.nodes.items() if count for item in placed.labels.items()}
        labels = tuple((key, value if key in self._selected or (key, value) in known else "") for key, value in node_class.labels.items())
        return (labels, node_class.taints, node_class.unschedulable, facts.allocatable, facts.pods)

    # --- shapes ---

    def needs(self, shape: PodShape) -> Needs:
        """The compiled rules of a shape; compiled on first use, when its tallies are counted over what is placed so far."""
        found = self._needs.get(shape)
        if found is None:
            found = self._compile(shape)
        return found

    def _compile(self, shape: PodShape) -> Needs:
        wanted = dict(shape.requests) | {ATTACHMENT_PREFIX + driver: number for driver, number in shape.volumes.attachments}
        amounts = ((0, 1), *sorted((self._index[name], amount) for name, amount in wanted.items() if amount > 0 and name != PODS))
        signature = (shape.node_selector, shape.node_terms, shape.tolerations, shape.volumes)
        needs = Needs(shape, amounts, self._rules.setdefault(signature, len(self._rules)))
        self._needs[shape] = needs
        needs.adds = [tally for tally in self._tallies.values() if tally.counts(shape)]
        needs.ask(self._tally)
        for key in self._guarded:
            if key.selectors[0].namespaces is None or shape.namespace in key.selectors[0].namespaces:
                tally = self._tally(key, None)
                if self._guarded[key].counts(shape):
                    needs.guards.append(tally)
        needs.settle()
        return needs

    def _tally(self, key: TallyKey, sees: Callable[[NodeClass], bool] | None) -> Tally:
        tally = self._tallies.get(key)
        if tally is None:
            tally = Tally(key, sees, self._census)
            self._tallies[key] = tally
            if tally.counts_nodes and not tally.hostname:
                self._counting.append(tally)
                for node_class, count in self._census.nodes.items():
                    if count:
                        tally.add_class(node_class, 1)
            counted = {shape: needs for shape, needs in self._needs.items() if tally.counts(shape)}
            for needs in counted.values():
                needs.adds.append(tally)
            for state in self.states:
                number = sum(state.load[shape] for shape in counted if shape in state.load)
                if number:
                    self._count(tally, state, number)
        return tally

    # --- filters ---

    def misfit(self, needs: Needs, state: NodeState) -> Misfit | None:
        """Why one more pod does not run on a node of this state; None when it does."""
        before, after = self._static_misfits(needs, state)
        return (
            before
            or (self._port_misfit(needs, state) if needs.ports else None)
            or self._resource_misfit(needs, state)
            or (self._exclusive_misfit(needs) if needs.exclusive else None)
            or after
            or (None if needs.plain else self._topology_misfit(needs, state))
        )

    def _static_misfits(self, needs: Needs, state: NodeState) -> tuple[Misfit | None, Misfit | None]:
        if needs.per_node:
            return first_misfit(PREDICATES, needs.shape, state.place), first_misfit(VOLUME_PREDICATES, needs.shape, state.place)
        key = (needs.rules, state.node_class.key)
        found = self._static.get(key)
        if found is None:
            place = Place(state.node_class)
            found = first_misfit(PREDICATES, needs.shape, place), first_misfit(VOLUME_PREDICATES, needs.shape, place)
            self._static[key] = found
        return found

    def class_refuses(self, needs: Needs, state: NodeState) -> bool:
        """Whether the nodes of this class refuse the shape whatever is on them."""
        before, after = self._static_misfits(needs, state)
        return before is not None or after is not None

    def _resource_misfit(self, needs: Needs, state: NodeState) -> Misfit | None:
        free = state.free
        for index, amount in needs.amounts:
            if free[index] < amount:
                return self._shortage(needs, free)
        return None

    def _shortage(self, needs: Needs, free: list[int]) -> Misfit:
        short = (self.resources[index] for index, amount in needs.amounts if free[index] < amount)
        limited = [name for name in short if not name.startswith(ATTACHMENT_PREFIX)]
        if limited:
            return Misfit(Rule.RESOURCE, ",".join(limited))
        return self._exclusive_misfit(needs) or Misfit(Rule.VOLUME_LIMIT)

    def _port_misfit(self, needs: Needs, state: NodeState) -> Misfit | None:
        for port in needs.ports:
            if any(_collide(port, used) for used in state.ports):
                return Misfit(Rule.HOST_PORT, str(port.port))
        return None

    def _exclusive_misfit(self, needs: Needs) -> Misfit | None:
        used = any(self._exclusive.get(claim) for claim in needs.exclusive)
        return Misfit(Rule.VOLUME, _CLAIM_IN_USE) if used else None

    def _topology_misfit(self, needs: Needs, state: NodeState) -> Misfit | None:
        labels = state.node_class.labels
        for check in needs.spread:
            if not has_key(state.node_class, check.key):
                return Misfit(Rule.SPREAD_LABEL, check.key)
            here = state.levels.get(check.tally, 0) if check.hostname else check.tally.domains.get(labels[check.key], 0)
            if here + check.own - check.tally.minimum(check.min_domains) > check.max_skew:
                return Misfit(Rule.SPREAD, check.key)
        if needs.affinity and not self._affinity_met(needs, state):
            return Misfit(Rule.AFFINITY, needs.affinity[0].key.topology_key)
        for tally in needs.anti:
            if self._here(tally, state):
                return Misfit(Rule.ANTI_AFFINITY, tally.key.topology_key)
        for tally in needs.guards:
            if self._here(tally, state):
                return Misfit(Rule.EXISTING_ANTI_AFFINITY, tally.key.topology_key)
        return None

    def _affinity_met(self, needs: Needs, state: NodeState) -> bool:
        if not all(has_key(state.node_class, tally.key.topology_key) for tally in needs.affinity):
            return False
        if all(self._here(tally, state) for tally in needs.affinity):
            return True
        # The first pod of a group that selects itself may land anywhere, else it could never start.
        return needs.own_affinity and not any(tally.total for tally in needs.affinity)

    def _here(self, tally: Tally, state: NodeState) -> int:
        if tally.hostname:
            return state.levels.get(tally, 0)
        value = state.node_class.labels.get(tally.key.topology_key)
        return tally.domains.get(value, 0) if value is not None else 0

    def room(self, needs: Needs, state: NodeState) -> int:
        """How many pods of a plain shape each node of this state can take."""
        if self.class_refuses(needs, state):
            return 0
        free = state.free
        least = _UNLIMITED
        for index, amount in needs.amounts:
            fits = free[index] // amount
            if fits < least:
                if fits <= 0:
                    return 0
                least = fits
        return least

    # --- placing ---

    def place(self, needs: Needs, state: NodeState, number: int = 1) -> None:
        """Put ``number`` pods on each node of the state (negative: take them away). Nothing is checked."""
        free = state.free
        for index, amount in needs.amounts:
            free[index] -= amount * number
        left = state.load.get(needs.shape, 0) + number
        if left:
            state.load[needs.shape] = left
        else:
            del state.load[needs.shape]
        if needs.ports:
            self._take_ports(needs, state, left)
        for claim in needs.exclusive:
            self._exclusive[claim] = self._exclusive.get(claim, 0) + number * state.count
        for tally in needs.adds:
            self._count(tally, state, number)
        if self._journal is not None:
            self._journal.append((self.place, needs, state, -number))

    def _take_ports(self, needs: Needs, state: NodeState, left: int) -> None:
        others = tuple(port for port in state.ports if port not in needs.ports)
        state.ports = (*others, *needs.ports) if left else others

    def _count(self, tally: Tally, state: NodeState, number: int) -> None:
        level = state.levels.get(tally, 0)
        tally.add_pods(state.node_class, level, number, state.count)
        if tally.hostname and tally.applies(state.node_class):
            state.levels[tally] = level + number

    def take_turn(self, state: NodeState) -> None:
        """Mark a state as the latest to receive a pod: the others come first next time, as the peer's round robin does."""
        self._turn += 1
        state.turn = self._turn

    def attempt(self) -> "Attempt":
        """A block after which everything placed or added inside it is undone."""
        return Attempt(self)


class Attempt:
    """Undoes on exit what was done inside, unless ``keep`` was called. Attempts nest."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._outer: list[_Undo] | None = None
        self._kept = False

    def keep(self) -> None:
        """Let what was done inside stand."""
        self._kept = True

    def __enter__(self) -> "Attempt":
        self._outer = self._simulation._journal
        self._simulation._journal = []
        return self

    def __exit__(self, *_: object) -> None:
        done, self._simulation._journal = self._simulation._journal or [], None
        if not self._kept:
            for undo, *arguments in reversed(done):
                undo(*arguments)
        elif self._outer is not None:
            self._outer.extend(done)
        self._simulation._journal = self._outer


def _collide(port: HostPort, other: HostPort) -> bool:
    same = port.port == other.port and port.protocol == other.protocol
    return same and (port.ip == other.ip or _ANY_IP in (port.ip, other.ip))
