"""Carrying out a plan at AWS, and what to remember of how it went.

Order is the Cluster Autoscaler's: instances that never became nodes are removed, wrong sizes are set right, then groups grow, one after the
other. The first increase that fails ends them (``--parallel-scale-up`` tries all). Nothing new is begun in the last seconds of an invocation.

A refused increase is taken back from memory and its group backs off. An increase whose answer was lost may have happened: its request stays
in memory. If it did happen, the nodes that come are counted; if it did not, the next scan sees that nothing is coming and drops the request.
"""

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from lambda_autoscaler.core.health import register_failure
from lambda_autoscaler.core.memory import Memory
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.plan import Increase, Notice, Plan
from lambda_autoscaler.ports import AutoscalerError, Aws, Refused, Unreachable

RESERVE_SECONDS: Final = 5.0
CLOUD_PROVIDER_ERROR: Final = "cloudProviderError"
_Entry = TypeVar("_Entry")


class Failure(msgspec.Struct, frozen=True):
    """An action that went wrong: on which group, and what AWS said. ``unknown`` when its answer was lost."""

    group: str
    message: str
    unknown: bool = False


class Outcome(msgspec.Struct, frozen=True):
    """What became of a plan. ``scaled`` are the increases that were made, ``withheld`` those that were not begun."""

    scaled: tuple[Increase, ...] = ()
    refused: tuple[Failure, ...] = ()
    withheld: tuple[Increase, ...] = ()
    failures: tuple[str, ...] = ()
    notices: tuple[Notice, ...] = ()


def has_actions(plan: Plan) -> bool:
    """Whether carrying out the plan writes to AWS."""
    return bool(plan.increases or plan.resize or plan.delete_instances)


class Actor:
    """Carries out one plan."""

    def __init__(self, aws: Aws, options: Options, seconds_left: Callable[[], float]) -> None:
        self._aws = aws
        self._options = options
        self._seconds_left = seconds_left
        self._failures: list[str] = []
        self._notices: list[Notice] = []

    def carry_out(self, plan: Plan) -> Outcome:
        """Act. Failures of AWS are part of the outcome, never raised."""
        self._delete_instances(plan)
        for group, desired in plan.resize:
            self._resize(group, desired)
        scaled, refused = self._grow(plan.increases)
        begun = {increase.group for increase in scaled} | {failure.group for failure in refused}
        withheld = tuple(increase for increase in plan.increases if increase.group not in begun)
        self._failures.extend(f"group {increase.group} was not scaled to {increase.target} in this scan" for increase in withheld)
        return Outcome(tuple(scaled), tuple(refused), withheld, tuple(self._failures), tuple(self._notices))

    def _out_of_time(self) -> bool:
        return self._seconds_left() <= RESERVE_SECONDS

    def _delete_instances(self, plan: Plan) -> None:
        for group, instances in plan.delete_instances:
            for instance in instances:
                if self._out_of_time():
                    return
                try:
                    self._aws.terminate(instance)
                except AutoscalerError as fault:
                    self._fail("DeleteUnregisteredFailed", f"Failed to remove node {instance} of group {group}: {fault}")
                    return
                self._notice("Normal", "DeleteUnregistered", f"Removed unregistered node {instance}")

    def _resize(self, group: str, desired: int) -> None:
        if self._out_of_time():
            return
        try:
            self._aws.set_desired_capacity(group, desired)
        except AutoscalerError as fault:
            self._fail("FailedToRevertScaleUp", f"Failed to set group {group} to {desired}: {fault}")

    def _grow(self, increases: tuple[Increase, ...]) -> tuple[list[Increase], list[Failure]]:
        scaled: list[Increase] = []
        refused: list[Failure] = []
        for increase in increases:
            if self._out_of_time() or (refused and not self._options.parallel_scale_up):
                break
            failure = self._increase(increase)
            if failure is None:
                scaled.append(increase)
            else:
                refused.append(failure)
        return scaled, refused

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
        options = self._options
        self._notices.append(Notice("ConfigMap", options.namespace, options.status_config_map_name, kind, reason, message))


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
    if len(taken_back) == len(plan.increases):
        memory = msgspec.structs.replace(memory, last_scale_up=before.last_scale_up)
    for failure in certain:
        memory = register_failure(memory, failure.group, options, now, CLOUD_PROVIDER_ERROR, failure.message)
    return memory


def _restored(after: dict[str, _Entry], before: dict[str, _Entry], group: str) -> dict[str, _Entry]:
    kept = {key: value for key, value in after.items() if key != group}
    return {**kept, group: before[group]} if group in before else kept
