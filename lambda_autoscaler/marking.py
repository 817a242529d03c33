"""Writing what a scan decided about nodes under interruption: marks that begin to drain or come off, and answers to doomed nodes.

An answer that says that capacity was asked for is only given once AWS has taken the request: the interruption function evicts on it, and
gives the instance's own capacity back.
"""

from collections.abc import Callable, Mapping

from lambda_autoscaler.core.interruption import Answer, InterruptionRecord, answer_patch, is_doomed, mark_patch, record_of, unmark_patch
from lambda_autoscaler.core.model import Node
from lambda_autoscaler.core.plan import Plan
from lambda_autoscaler.node_access import NodeAccess
from lambda_autoscaler.ports import AutoscalerError, Kube, NotFound


def has_marks(plan: Plan) -> bool:
    """Whether the plan writes anything about interruptions."""
    return bool(plan.begun_interruptions or plan.cleared_interruptions or plan.answers)


class Marker:
    """Writes marks and answers; ``failures`` are sentences about those that could not be written."""

    def __init__(self, kube: Kube, nodes: NodeAccess, may_go_on: Callable[[], bool]) -> None:
        self._kube, self._nodes, self._may_go_on = kube, nodes, may_go_on
        self.failures: list[str] = []

    def write(self, plan: Plan, *, everything_asked: bool) -> None:
        """Write them, for as long as there is time. ``everything_asked`` says that AWS took all increases of the plan."""
        for name, record in plan.begun_interruptions.items():
            self._change(name, lambda node, record=record: _begun(node, record))  # type: ignore[misc]
        for name, record in plan.cleared_interruptions.items():
            self._change(name, lambda node, record=record: unmark_patch(node) if record_of(node) == record else None)  # type: ignore[misc]
        self._answer({name: answer for name, answer in plan.answers.items() if everything_asked or answer.verdict != "asked"})

    def _answer(self, answers: Mapping[str, Answer]) -> None:
        for name, answer in answers.items():
            self._attempt(name, lambda name=name, answer=answer: self._kube.patch_node(name, answer_patch(answer)))  # type: ignore[misc]

    def _change(self, name: str, patch: Callable[[Node], bytes | None]) -> None:
        self._attempt(name, lambda: self._nodes.change(name, patch))

    def _attempt(self, name: str, write: Callable[[], object]) -> None:
        if not self._may_go_on():
            return
        try:
            write()
        except NotFound:
            return
        except AutoscalerError as fault:
            self.failures.append(f"the mark of node {name} was not written: {fault}")


def _begun(node: Node, record: InterruptionRecord) -> bytes | None:
    """The mark of a drain that begins, unless an event has made the node doomed in the meantime, or the mark is off."""
    return None if is_doomed(node) or record_of(node) is None else mark_patch(node, record)
