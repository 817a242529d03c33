"""The walk over a TypedDict: what passes, and what no component happens to take yet."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict

import pulumi
import pytest

from eks_autoscaling.argument_types import check
from eks_autoscaling.misuse import ArgumentError
from tests.components.programs import LATER


class Part(TypedDict):
    """Something within arguments."""

    name: pulumi.Input[str]
    share: NotRequired[float]


class Args(TypedDict):
    """One argument of each kind."""

    size: int
    parts: NotRequired[Sequence[Part]]
    by_name: NotRequired[Mapping[str, Part]]
    kind: NotRequired[Literal["SPOT", "ON_DEMAND"]]
    either: NotRequired[int | list[str]]
    version: NotRequired[pulumi.Input[str] | None]
    anything: NotRequired[Any]
    code: NotRequired[pulumi.Archive]


@pytest.mark.parametrize(
    "more",
    [
        {"size": 3.0},
        {"parts": ()},
        {"parts": ({"name": "a", "share": 1},)},
        {"by_name": {"x": {"name": "a", "share": 0.5}}},
        {"kind": "SPOT"},
        {"either": 3},
        {"either": ["a"]},
        {"version": None},
        {"version": LATER},
        {"anything": object()},
        {"code": pulumi.FileArchive("x.zip")},
    ],
)
def test_what_the_types_allow_passes_and_outputs_are_not_looked_into(more: dict[str, Any]) -> None:
    check({"size": 1, **more}, Args, {})


def test_an_awaitable_stands_for_a_value_as_an_output_does() -> None:
    async def program() -> None:
        later = asyncio.get_running_loop().create_future()
        check({"size": 1, "version": later}, Args, {})
        with pytest.raises(ArgumentError, match="size is an output of another resource: write a whole number"):
            check({"size": later}, Args, {})

    asyncio.run(program())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"kind": "spot"}, "kind is 'spot': write one of SPOT, ON_DEMAND"),
        ({"either": "a"}, "either is 'a': write a whole number, without quotes"),
        ({"parts": [{"name": "a", "share": "0.5"}]}, r"parts\[0\].share is '0.5': write a number, without quotes"),
        ({"by_name": {"x": {"nam": "a"}}}, r"by_name\['x'\].nam is 'a': no such argument; did you mean name\?"),
        ({"code": "x.zip"}, "code is 'x.zip': write a pulumi.Archive"),
        ({"version": 7}, 'version is 7: write a text, such as "7"'),
    ],
)
def test_what_they_do_not_allow_is_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        check({"size": 1, **more}, Args, {})


def test_a_misspelt_argument_is_told_before_the_one_that_is_missing_for_it() -> None:
    with pytest.raises(ArgumentError, match="sise is 3: no such argument; did you mean size"):
        check({"sise": 3}, Args, {})


def test_rules_see_values_of_the_right_kind_in_every_dictionary_with_a_type() -> None:
    seen = []
    rules = {"name": lambda argument, value: seen.append((argument, value)), "size": lambda argument, _: seen.append((argument, None))}
    check({"size": 1, "parts": [{"name": "a"}], "by_name": {"name": {"name": "b"}}, "anything": {"name": "c"}}, Args, rules)
    assert seen == [("size", None), ("parts[0].name", "a"), ("by_name['name'].name", "b")]
    with pytest.raises(ArgumentError):
        check({"size": "1"}, Args, rules)
    assert len(seen) == 3
