"""Carrying out a plan at AWS, and what to remember of how it went.

The groups are described once more, under the lock, just before anything is changed: a group whose desired capacity is not what the plan
was made for is left for the next scan, and every value that is set is absolute. Order is the Cluster Autoscaler's: instances that never
became nodes are given up, wrong sizes are set right, then groups grow, one after the other. The first increase that fails ends them
(``--parallel-scale-up`` tries all). Nothing new is begun in the last seconds of an invocation.

A refused increase is taken back from memory and its group backs off. An increase whose answer was lost may have happened: its request
stays in memory. If it did happen, the nodes that come are counted; if not, the next scan sees that nothing is coming and drops the request.
"""

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from lambda_autoscaler.core.amazon import AutoScalingGroup
from lambda_autoscaler.core.backoff import with_failure
from lambda_autoscaler.core.health import status_notice
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.plan import Increase, Notice, Plan
from lambda_autoscaler.group_descriptions import read_groups
from lambda_autoscaler.ports import AutoscalerError, Aws, Refused, Unreachable

RESERVE_SECONDS: Final = 5.0
CLOUD_PROVIDER_ERROR: Final = "cloudProviderError"
PLACEHOLDER_PREFIX: Final = "i-placeholder-"
_Entry = TypeVar("_Entry")


class Failure(msgspec.Struct, frozen=True):
    """An increase that went wrong: on which group, and what AWS said. ``unknown`` when its answer was lost."""

    group: str
    message: str
    unknown: bool = False


class Outcome(msgspec.Struct, frozen=True):
    """What became of a plan. ``scaled`` are the increases that were made, ``withheld`` those that were not begun."""

    scaled: tuple[Increase, ...] = ()
    refused: tuple[Failure, ...] = ()
    withheld: tuple[Increase, ...] = ()
    kept_instances: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    notices: tuple[Notice, ...] = ()


def sizes_groups(plan: Plan) -> bool:
    """Whether carrying out the plan changes the size of groups before any node is removed."""
    return bool(plan.increases or plan.resize or plan.delete_instances)


def has_actions(plan: Plan) -> bool:
    """Whether carrying out the plan writes anything."""
    return bool(sizes_groups(plan) or plan.removals or plan.drains or plan.soft_taints)


class Actor:
    """Carries out one plan."""

    def __init__(self, aws: Aws, options: Options, seconds_left: Callable[[], float]) -> None:
        self._aws = aws
        self._options = options
        self._seconds_left = seconds_left
        self._groups: dict[str, AutoScalingGroup] = {}
        self._kept: list[str] = []
        self._failures: list[str] = []
        self._notices: list[Notice] = []

    def carry_out(self, plan: Plan) -> Outcome:
        """Act. What AWS refuses is part of the outcome, never raised."""
        try:
            self._groups = {group.auto_scaling_group_name: group for group in read_groups(self._aws, self._failures)}
        except AutoscalerError as fault:
            return Outcome(withheld=plan.increases, failures=(f"the groups could not be described again, nothing was changed: {fault}",))
        for group, instances in plan.delete_instances:
            self._give_up(group, instances)
        for group, desired in plan.resize:
            self._attempt("FailedToRevertScaleUp", f"Failed to set group {group} to {desired}", self._setting(group, desired))
        scaled, refused = self._grow(plan.increases)
        begun = {increase.group for increase in scaled} | {failure.group for failure in refused}
        withheld = tuple(increase for increase in plan.increases if increase.group not in begun)
        self._failures.extend(f"group {increase.group} was not scaled to {increase.target} in this scan" for increase in withheld)
        return Outcome(tuple(scaled), tuple(refused), withheld, tuple(self._kept), tuple(self._failures), tuple(self._notices))

    def _out_of_time(self) -> bool:
        return self._seconds_left() <= RESERVE_SECONDS

    def _setting(self, group: str, desired: int) -> Callable[[], None]:
        return lambda: self._aws.set_desired_capacity(group, desired)

    def _attempt(self, reason: str, complaint: str, action: Callable[[], None]) -> bool:
        """Do something unless time is short; a failure becomes an event and a sentence. Says whether it was done."""
        if self._out_of_time():
            return False
        try:
            action()
        except AutoscalerError as fault:
            self._fail(reason, f"{complaint}: {fault}")
            return False
        return True

    def _give_up(self, group: str, instances: tuple[str, ...]) -> None:
        """Drop capacity that did not come (placeholders: the group is set to what it has) and instances that did not become nodes."""
        reason, described = "DeleteUnregisteredFailed", self._groups.get(group)
        if described is not None and any(name.startswith(PLACEHOLDER_PREFIX) for name in instances):
            present = len(described.instances)
            if present < described.desired_capacity:  # else they came in the meantime
                self._attempt(reason, f"Failed to set group {group} to its {present} instances", self._setting(group, present))
        for instance in (name for name in instances if not name.startswith(PLACEHOLDER_PREFIX)):
            if not self._attempt(reason, f"Failed to remove node {instance}", lambda instance=instance: self._aws.terminate(instance)):  # type: ignore[misc]
                self._kept.append(instance)

    def _grow(self, increases: tuple[Increase, ...]) -> tuple[list[Increase], list[Failure]]:
        scaled: list[Increase] = []
        refused: list[Failure] = []
        for increase in increases:
            if self._out_of_time() or (refused and not self._options.parallel_scale_up):
                break
            if not self._is_current(increase):
                continue
            failure = self._increase(increase)
            if failure is None:
                scaled.append(increase)
            else:
                refused.append(failure)
        return scaled, refused

    def _is_current(self, increase: Increase) -> bool:
        """Whether the group still is what the plan was made for."""
        described = self._groups.get(increase.group)
        if described is not None and described.desired_capacity == increase.current:
            return True
        found = "gone" if described is None else f"set to {described.desired_capacity}"
        self._failures.append(f"group {increase.group} was {found} by somebody else while the scan ran (it was {increase.current})")
        return False

    def _increase(self, increase: Increase) -> Failure | None:
        group, current, target, maximum = increase.group, increase.current, increase.target, increase.maximum
        sizes = f"to {target} instead of {current} (max: {maximum})"
        try:
            if not current < target <= maximum:
                raise Refused(f"a target of {target} is not between the present {current} and the maximum {maximum}")
            self._notice("Normal", "ScaledUpGroup", f"Scale-up: setting group {group} size {sizes}")
            self._aws.set_desired_capacity(group, target)
        except AutoscalerError as fault:
            self._fail("FailedToScaleUpGroup", f"Scale-up failed for group {group}: {fault}")
            return Failure(group, str(fault), isinstance(fault, Unreachable))
        self._notice("Normal", "ScaledUpGroup", f"Scale-up: group {group} size set {sizes}")
        return None

    def _fail(self, reason: str, message: str) -> None:
        self._failures.append(message)
        self._notice("Warning", reason, message)

    def _notice(self, kind: str, reason: str, message: str) -> None:
        self._notices.append(status_notice(self._options, kind, reason, message))


def truthful(notices: tuple[Notice, ...], outcome: Outcome) -> tuple[Notice, ...]:
    """The plan's events, less those that tell of what did not happen."""
    untrue = {"TriggeredScaleUp"} if outcome.refused or outcome.withheld else set()
    kept = tuple(f" {instance}" for instance in outcome.kept_instances)
    return tuple(
        notice
        for notice in notices
        if notice.reason not in untrue and not (kept and notice.reason == "DeleteUnregistered" and notice.message.endswith(kept))
    )


def remembered(before: Memory, plan: Plan, outcome: Outcome, options: Options, now: float) -> Memory:
    """What to remember after acting: the plan's memory, less the increases that were not made, plus their failures."""
    memory = plan.memory
    certain = [failure for failure in outcome.refused if not failure.unknown]
    taken_back = [increase.group for increase in outcome.withheld] + [failure.group for failure in certain]
    for group in taken_back:
        memory = msgspec.structs.replace(
            memory,
            requests=_restored(memory.requests, before.requests, group),
            group_scale_up=_restored(memory.group_scale_up, before.group_scale_up, group),
            size_set=_restored(memory.size_set, before.size_set, group),
        )
        if memory.consolidation is not None and memory.consolidation.group == group:
            memory = msgspec.structs.replace(memory, consolidation=before.consolidation)
    if taken_back and len(taken_back) == len(plan.increases):
        memory = msgspec.structs.replace(memory, last_scale_up=before.last_scale_up)
    for failure in certain:
        memory = with_failure(memory, failure.group, options, now, (CLOUD_PROVIDER_ERROR, failure.message))
    return memory


def _restored(after: dict[str, _Entry], before: dict[str, _Entry], group: str) -> dict[str, _Entry]:
    kept = {key: value for key, value in after.items() if key != group}
    return {**kept, group: before[group]} if group in before else kept
