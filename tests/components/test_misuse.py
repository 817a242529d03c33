"""Every component refuses misuse of each of its arguments by name, before it declares anything: here no deployment is running."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin, is_typeddict

import pulumi
import pytest

import eks_autoscaling
from eks_autoscaling import ArgumentError
from eks_autoscaling.argument_types import hints
from tests.components.every_number import ARGUMENTS
from tests.components.programs import LATER, REF

COMPONENTS = {
    name: value for name, value in vars(eks_autoscaling).items() if isinstance(value, type) and issubclass(value, pulumi.ComponentResource)
}
WRONG: dict[object, tuple[object, ...]] = {
    str: (7, True, ["text"], {}),
    bool: ("false", "", 1, 0, []),
    int: ("2", 2.5, True, float("nan"), float("inf"), [2]),
}


def shape_of(component: str) -> Any:
    """The TypedDict that a component takes."""
    return COMPONENTS[component].__init__.__annotations__["args"]


def refusal(component: str, args: Any) -> ArgumentError:
    with pytest.raises(ArgumentError) as refused:
        COMPONENTS[component]("work", args)
    return refused.value


def declared_kind(kind: Any) -> Any:
    """What a value is itself, where it may also be an output or None."""
    return get_args(kind)[0] if type(None) in get_args(kind) or pulumi.Output in map(get_origin, get_args(kind)) else kind


def wrong_values(kind: Any) -> tuple[object, ...]:
    """Values that nobody can mean by an argument of this kind."""
    if kind is Any:
        return ()
    if kind in WRONG:
        return WRONG[kind]
    if is_typeddict(kind):
        return ("text", [], 7, *([{}] if kind.__required_keys__ else []))
    if get_origin(kind) in (list, Sequence):
        return ("text", b"text", {"a": "b"}, 7, LATER)
    if get_origin(kind) in (dict, Mapping):
        return ("text", ["a"], 7, {1: "a"}, LATER)
    assert isinstance(kind, type), f"{kind} is a kind that no test knows: say here what is none"
    return ("text", {}, 7)


def misuses(value: Any, kind: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Each argument within a ``value`` that is right, with a value in which it alone is wrong. Absent ones are tried too."""
    kind = declared_kind(kind)
    if is_typeddict(kind):
        for name, known in hints(kind).items():
            path = f"{where}.{name}" if where else name
            for wrong, changed in _misuses_of_one(value.get(name), known, path):
                yield wrong, {**value, name: changed}
    elif get_origin(kind) in (list, Sequence):
        for wrong, item in misuses(value[0], get_args(kind)[0], f"{where}[0]") if value else ():
            yield wrong, [item, *value[1:]]
    elif get_origin(kind) in (dict, Mapping):
        for name, entry in value.items():
            for wrong, item in _misuses_of_one(entry, get_args(kind)[1], f"{where}[{name!r}]"):
                yield wrong, {**value, name: item}


def _misuses_of_one(value: Any, kind: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Values of one argument that are wrong, and values within which something is."""
    plain = declared_kind(kind)
    may_be_an_output = pulumi.Output in map(get_origin, get_args(kind))
    yield from ((where, wrong) for wrong in wrong_values(plain) if not (may_be_an_output and isinstance(wrong, pulumi.Output)))
    if plain is not Any and type(None) not in get_args(kind):
        yield where, None
    if value is not None:
        yield from misuses(value, plain, where)


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_wrong_kind_of_every_argument_is_refused_by_name(component: str) -> None:
    tried = set()
    for argument, args in misuses(ARGUMENTS[component], shape_of(component)):
        refused = refusal(component, args)
        # Of an empty dictionary what is missing in it is named.
        assert refused.argument == argument or refused.argument.startswith(f"{argument}."), (argument, str(refused))
        assert refused.remedy
        tried.add(argument)
    assert {name.partition("[")[0].partition(".")[0] for name in tried} >= set(hints(shape_of(component)))


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_argument_that_is_missing_is_named(component: str) -> None:
    required = shape_of(component).__required_keys__
    assert required
    for argument in required:
        left = {name: value for name, value in ARGUMENTS[component].items() if name != argument}
        assert str(refusal(component, left)).startswith(f"{argument} is missing: it is required: write a")


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("args", [{}, None, "text", [], LATER], ids=["{}", "None", "a text", "a list", "an output"])
def test_arguments_that_are_none_at_all_are_refused(component: str, args: Any) -> None:
    if args == {}:
        assert "is missing: it is required" in str(refusal(component, args))
    else:
        assert str(refusal(component, args)).startswith("args is ")


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_misspelt_argument_is_refused_with_the_right_name(component: str) -> None:
    for name in hints(shape_of(component)):
        refused = refusal(component, {**ARGUMENTS[component], f"{name}x": 3})
        assert str(refused) == f"{name}x is 3: no such argument; did you mean {name}?"


@pytest.mark.parametrize(
    ("component", "changes", "message"),
    [
        ("SpotNodeGroup", {"maxSize": 3}, "maxSize is 3: no such argument; did you mean max_size?"),
        ("SpotNodeGroup", {"colour": "red"}, "colour is 'red': no such argument; there are cluster, instance_types, subnet_ids, "),
        (
            "SpotNodeGroup",
            {"vpc_cni": {"prefix_delegaton": True}},
            "vpc_cni.prefix_delegaton is True: no such argument; did you mean prefix_",
        ),
        (
            "FargateProfile",
            {"selectors": [{"namespace": "x", "label": {"a": "b"}}]},
            "selectors[0].label is {'a': 'b'}: no such argument; did you mean labels?",
        ),
        ("Overprovisioning", {"nodeselector": {}}, "nodeselector is {}: no such argument; did you mean node_selector?"),
        ("SpotNodeGroup", {"subnet_ids": "subnet-1"}, "subnet_ids is 'subnet-1': write a list, such as ['subnet-1']"),
        ("SpotNodeGroup", {"min_size": "2"}, "min_size is '2': write a whole number, without quotes"),
        ("SpotNodeGroup", {"version": 1.34}, 'version is 1.34: write a text, such as "1.34"'),
        ("SpotNodeGroup", {"protect": "false"}, "protect is 'false': write True or False, without quotes"),
        ("SpotNodeGroup", {"min_size": None}, "min_size is None: write a whole number, without quotes$"),
        ("SpotNodeGroup", {"zone": None}, "zone is None: write a text, or leave it out"),
        ("SpotNodeGroup", {"taints": ["a=b:NoSchedule"]}, "taints[0] is 'a=b:NoSchedule': write a dictionary with key and effect"),
        ("SpotNodeGroup", {"taints": [{"key": "a"}]}, "taints[0].effect is missing: it is required: write a text"),
        ("SpotNodeGroup", {"labels": {"a": 1}}, "labels['a'] is 1: write a text, such as \"1\""),
        ("SpotNodeGroup", {"cluster": "prod"}, "cluster is 'prod': write a dictionary with name and arn"),
        (
            "SpotNodeGroup",
            {"instance_types": LATER},
            "instance_types is an output of another resource: write a list that the program knows: the preview checks it",
        ),
        ("Autoscaler", {"fleet": {"x": REF}}, "fleet['x'].name is 'prod': no such argument; there are cluster, "),
        ("Autoscaler", {"network": {}}, "network.subnet_ids is missing: it is required: write a list"),
        ("Autoscaler", {"kubernetes_provider": "x"}, "kubernetes_provider is 'x': write a pulumi_kubernetes.Provider"),
        ("Cluster", {"admins": ["arn"]}, "admins is ['arn']: write a dictionary"),
        ("Cluster", {"access_entries": {"x": {}}}, "access_entries['x'].principal_arn is missing: it is required: write a text"),
    ],
)
def test_the_remedy_says_what_to_write(component: str, changes: dict[str, Any], message: str) -> None:
    told = str(refusal(component, {**ARGUMENTS[component], **changes}))
    assert told == message.removesuffix("$") if message.endswith("$") else told.startswith(message)
