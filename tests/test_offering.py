"""Messages offered to the clusters of one function, with the clock of an invocation that tests set."""

from collections.abc import Mapping

import pytest

from lambda_autoscaler.offering import ATTEMPTS, Offering
from lambda_autoscaler.ports import AutoscalerError, BadInput, Busy, Conflict, Denied, Refused, Throttled, Unavailable, Unreachable


class Invocation:
    """Thirty seconds, and clusters that answer what ``answers`` says next, their last answer for ever.

    ``costs`` are the seconds that a cluster takes for each message; ``asked`` is who was asked, in order.
    """

    def __init__(
        self, *, costs: Mapping[str, float] | None = None, absent: tuple[str, ...] = (), **answers: bool | AutoscalerError
    ) -> None:
        self.left = 30.0
        self.asked: list[str] = []
        self.answers: dict[str, list[bool | AutoscalerError]] = {name: [answer] for name, answer in answers.items()}
        self.costs = costs or {}
        clusters = {name: Cluster(self, name) for name in answers}
        self.offering = Offering(clusters, {name: Denied(name) for name in absent}, lambda: self.left, self._wait, 12.0)

    def _wait(self, seconds: float) -> None:
        self.left -= seconds


class Cluster:
    """One cluster of the function."""

    def __init__(self, invocation: Invocation, name: str) -> None:
        self._invocation, self._name = invocation, name

    def take(self, body: str) -> bool:
        found = self._invocation
        found.asked.append(self._name)
        found.left -= found.costs.get(self._name, 0.0)
        answers = found.answers[self._name]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, AutoscalerError):
            raise answer
        return answer


def test_a_message_goes_from_cluster_to_cluster_until_one_owns_it() -> None:
    found = Invocation(a=False, b=True, c=False)
    found.offering.offer("message")
    assert found.asked == ["a", "b"]


def test_a_message_that_no_cluster_owns_is_done_when_all_were_asked() -> None:
    found = Invocation(a=False, b=False)
    found.offering.offer("message")
    assert found.asked == ["a", "b"]


def test_a_message_that_nobody_owns_fails_while_a_cluster_is_missing() -> None:
    with pytest.raises(Denied, match="shop"):
        Invocation(a=False, absent=("shop",)).offering.offer("message")
    Invocation(a=True, absent=("shop",)).offering.offer("message")


@pytest.mark.parametrize("fault", [Denied("no"), Refused("no"), BadInput("no"), Unreachable("no answer")])
def test_a_fault_of_one_cluster_is_none_of_the_message_when_another_owns_it(fault: AutoscalerError) -> None:
    found = Invocation(a=fault, b=True)
    found.offering.offer("message")
    assert found.asked == ["a", "b"]
    with pytest.raises(type(fault)):
        Invocation(a=fault, b=False).offering.offer("message")


@pytest.mark.parametrize("fault", [Unreachable("x"), Throttled("x"), Unavailable("x"), Busy("x"), Conflict("x")])
def test_every_cluster_is_asked_before_one_is_asked_again(fault: AutoscalerError) -> None:
    found = Invocation(a=fault, b=False)
    found.answers["a"] = [fault, True]
    found.offering.offer("message")
    assert found.asked == ["a", "b", "a"]
    assert (found.left, found.offering.unreachable) == (29.0, {})


def test_asking_again_ends_after_the_third_time() -> None:
    found = Invocation(a=Throttled("later"), b=False)
    with pytest.raises(Throttled):
        found.offering.offer("message")
    assert found.asked == ["a", "b", *["a"] * (ATTEMPTS - 1)]


@pytest.mark.parametrize("fault", [Denied("no"), Refused("no"), BadInput("no")])
def test_what_will_not_pass_is_not_asked_again(fault: AutoscalerError) -> None:
    found = Invocation(a=fault)
    with pytest.raises(type(fault)):
        found.offering.offer("message")
    assert (found.asked, found.left) == (["a"], 30.0)


def test_a_silent_cluster_is_not_asked_twice_about_a_message_of_others() -> None:
    found = Invocation(costs={"a": 10.0}, a=Unreachable("no answer"), b=False)
    with pytest.raises(Unreachable):
        found.offering.offer("message")
    assert (found.asked, list(found.offering.unreachable)) == (["a", "b"], ["a"])
    found.costs = {}
    found.answers["b"] = [True]
    found.offering.offer("another")
    assert (found.asked[2:], found.left) == (["a", "b"], 20.0)


def test_a_silent_cluster_that_is_alone_is_asked_again_while_there_is_time() -> None:
    found = Invocation(costs={"a": 8.0}, a=Unreachable("no answer"))
    with pytest.raises(Unreachable):
        found.offering.offer("message")
    assert (found.asked, found.left) == (["a", "a", "a"], 4.0)


def test_a_cluster_that_answers_at_last_is_not_called_unreachable() -> None:
    found = Invocation(costs={"a": 5.0}, a=Unreachable("no answer"))
    found.answers["a"].append(True)
    found.offering.offer("message")
    assert found.offering.unreachable == {}


def test_without_time_no_cluster_is_asked_and_the_message_waits() -> None:
    found = Invocation(a=True)
    found.left = 11.0
    with pytest.raises(AutoscalerError, match="waits for the next invocation"):
        found.offering.offer("message")
    assert (found.asked, found.offering.unreachable) == ([], {})
