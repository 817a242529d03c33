"""Label selectors, node selectors, taints and tolerations."""

import pytest

from lambda_autoscaler.core import kubernetes
from lambda_autoscaler.core.kubernetes import Taint, Toleration
from lambda_autoscaler.core.labels import holds, node_terms_of, requirements_of, selects, sorted_labels, terms_hold
from lambda_autoscaler.core.model import NodeTerm, PodSelector, Requirement
from lambda_autoscaler.core.taints import is_startup_taint, is_status_taint, template_taints, tolerates, untolerated
from tests.build import options, taint


@pytest.mark.parametrize(
    ("operator", "values", "value", "answer"),
    [
        ("In", ("a", "b"), "a", True),
        ("In", ("a", "b"), "c", False),
        ("In", ("a",), None, False),
        ("NotIn", ("a",), "b", True),
        ("NotIn", ("a",), None, True),
        ("NotIn", ("a",), "a", False),
        ("Exists", (), "", True),
        ("Exists", (), None, False),
        ("DoesNotExist", (), None, True),
        ("DoesNotExist", (), "", False),
        ("Gt", ("4",), "5", True),
        ("Gt", ("4",), "4", False),
        ("Lt", ("4",), "3", True),
        ("Lt", ("4",), "x", False),
        ("Lt", ("4",), "1_0", False),
        ("Gt", (), "5", False),
        ("Gt", ("4",), None, False),
        ("Unknown", ("a",), "a", False),
    ],
)
def test_each_operator_of_a_selector(operator: str, values: tuple[str, ...], value: str | None, answer: bool) -> None:
    assert holds(Requirement("key", operator, values), {} if value is None else {"key": value}) is answer


def test_one_node_term_is_enough_but_an_empty_one_selects_nothing() -> None:
    in_a, in_b = (NodeTerm((Requirement("zone", "In", (zone,)),)) for zone in "ab")
    assert terms_hold((in_a, in_b), {"zone": "b"}, "n1")
    assert not terms_hold((in_a, NodeTerm()), {"zone": "c"}, "n1")


def test_a_node_term_may_name_the_node() -> None:
    terms = (NodeTerm(names=(Requirement("metadata.name", "In", ("n1",)),)),)
    assert terms_hold(terms, {}, "n1")
    assert not terms_hold(terms, {}, "n2")


def test_no_selector_selects_nothing_and_an_empty_one_everything() -> None:
    assert requirements_of(None) is None
    assert not selects(PodSelector(None, None), "default", {})
    everything = requirements_of(kubernetes.LabelSelector())
    assert selects(PodSelector(None, everything), "any", {"app": "web"})
    assert not selects(PodSelector(frozenset({"other"}), everything), "any", {})


def test_labels_and_expressions_of_a_selector_must_all_hold() -> None:
    expression = kubernetes.SelectorRequirement("tier", "NotIn", ["db"])
    found = requirements_of(kubernetes.LabelSelector({"app": "web"}, [expression]))
    assert found == (Requirement("app", "In", ("web",)), Requirement("tier", "NotIn", ("db",)))


def test_a_missing_node_selector_leaves_every_node() -> None:
    assert node_terms_of(None) is None
    assert sorted_labels(None) == ()


@pytest.mark.parametrize(
    ("toleration", "answer"),
    [
        (Toleration(operator="Exists"), True),
        (Toleration(key="dedicated", operator="Exists"), True),
        (Toleration(key="dedicated", value="gpu"), True),
        (Toleration(key="dedicated", operator="", value="gpu", effect="NoSchedule"), True),
        (Toleration(key="dedicated", value="cpu"), False),
        (Toleration(key="other", operator="Exists"), False),
        (Toleration(key="dedicated", operator="Exists", effect="NoExecute"), False),
        (Toleration(key="dedicated", operator="Never", value="gpu"), False),
    ],
)
def test_which_tolerations_cover_a_taint(toleration: Toleration, answer: bool) -> None:
    assert tolerates(toleration, taint("dedicated", value="gpu")) is answer


def test_a_preference_not_to_schedule_keeps_nobody_away() -> None:
    soft, hard = taint("soft", "PreferNoSchedule"), taint("hard", "NoExecute")
    assert untolerated([soft], ()) is None
    assert untolerated([soft, hard], ()) == hard


def test_startup_and_status_taints_are_known_by_key_or_prefix() -> None:
    given = options(startup_taint=("warming",), startup_taint_prefix=("boot.example/",), status_taint=("busy",))
    for key in (
        "warming",
        "boot.example/x",
        "startup-taint.cluster-autoscaler.kubernetes.io/x",
        "ignore-taint.cluster-autoscaler.kubernetes.io/x",
    ):
        assert is_startup_taint(key, given)
    for key in ("busy", "status-taint.cluster-autoscaler.kubernetes.io/x"):
        assert is_status_taint(key, given)
        assert not is_startup_taint(key, given)


def test_only_lasting_taints_stay_on_a_template() -> None:
    keys = (
        "ignore-taint.cluster-autoscaler.kubernetes.io/a",
        "startup-taint.cluster-autoscaler.kubernetes.io/b",
        "ToBeDeletedByClusterAutoscaler",
        "DeletionCandidateOfClusterAutoscaler",
        "warming",
        "busy",
        "node.kubernetes.io/memory-pressure",
    )
    kept = Taint(key="dedicated", effect="NoSchedule", value="gpu", time_added="2026-11-22T13:46:47Z")
    found = template_taints([*map(taint, keys), kept], options(startup_taint=("warming",), status_taint=("busy",)))
    assert found == (taint("dedicated", value="gpu"),)
