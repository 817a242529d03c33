"""The programs shown in TypeScript and YAML are such as the package serves: its names, and arguments that it takes."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest

from tests.components import wire
from tests.components.plugin_host import DISTRIBUTION, PluginHost, plugin_host
from tests.components.typescript import Expression, Made, resources
from tests.documents import ROOT, blocks

PAGE = ROOT / "docs" / "other-languages.md"
_SUBNETS = ["subnet-1", "subnet-2"]
_ADMIN = "arn:aws:iam::123456789012:role/team"
CONFIGURED = {
    "subnets": _SUBNETS,
    "${subnetIds}": _SUBNETS,
    'config.require("adminRoleArn")': _ADMIN,
    "${adminRoleArn}": _ADMIN,
}


@pytest.fixture(scope="module")
def host() -> Iterator[PluginHost]:
    with plugin_host() as running:
        yield running


@pytest.fixture(scope="module")
def schema(host: PluginHost) -> dict[str, Any]:
    return host.schema()


def yaml_program() -> dict[str, Any]:
    (program,) = blocks(PAGE, "yaml")
    decoded: dict[str, Any] = msgspec.yaml.decode(program)
    return decoded


def in_typescript() -> list[Made]:
    (program,) = blocks(PAGE, "typescript")
    return [made for made in resources(program) if made.package == "eks"]


def in_yaml() -> list[Made]:
    declared = yaml_program()["resources"]
    ours = {name: resource for name, resource in declared.items() if resource["type"].startswith(DISTRIBUTION)}
    return [Made(name, "eks", resource["type"].split(":")[-1], name, resource["properties"]) for name, resource in ours.items()]


def unknown_names(value: Any, shape: Mapping[str, Any], types: Mapping[str, Any]) -> Iterator[str]:
    """Names in ``value`` that the schema does not have, and ``-name`` for those that it requires and ``value`` lacks."""
    described = types.get(str(shape.get("$ref", "")).removeprefix("#/types/"), shape)
    if isinstance(value, list):
        for item in value:
            yield from unknown_names(item, shape["items"], types)
    if not isinstance(value, dict):
        return
    properties = described.get("inputProperties", described.get("properties"))
    if properties is None:
        assert "additionalProperties" in shape, f"{sorted(value)} where the schema has no object"
        return
    yield from (name for name in value if name not in properties)
    yield from (f"-{name}" for name in described.get("requiredInputs", described.get("required", ())) if name not in value)
    for name, item in value.items():
        yield from unknown_names(item, properties.get(name, {}), types)


PROGRAMS = pytest.mark.parametrize("made", [*in_typescript(), *in_yaml()], ids=lambda made: f"{made.type}-{made.name}")


@PROGRAMS
def test_every_property_shown_exists_and_none_that_is_required_is_missing(made: Made, schema: dict[str, Any]) -> None:
    described = schema["resources"][f"{DISTRIBUTION}:index:{made.type}"]
    assert list(unknown_names(made.arguments, described, schema["types"])) == []


@PROGRAMS
def test_the_component_takes_the_arguments_shown(made: Made, host: PluginHost) -> None:
    """Before anything exists: what comes from other resources is not known yet."""
    constructed, _ = host.construct(f"{DISTRIBUTION}:index:{made.type}", made.name, sent(made.arguments))
    assert len(constructed.resources) > 1


def sent(value: Any) -> Any:
    text = value.text if isinstance(value, Expression) else value
    if text in ("provider", "${kubernetes}"):
        return wire.provider("kubernetes")
    if isinstance(text, str) and text in CONFIGURED:
        return CONFIGURED[text]
    if isinstance(text, Mapping):
        return {name: sent(item) for name, item in text.items()}
    if isinstance(text, list):
        return [sent(item) for item in text]
    return wire.unknown() if isinstance(value, Expression) or str(value).startswith("${") else value


def test_outputs_that_the_programs_read_exist(schema: dict[str, Any]) -> None:
    (typescript,) = blocks(PAGE, "typescript")
    for program, mades in ((typescript, in_typescript()), (blocks(PAGE, "yaml")[0], in_yaml())):
        of = {made.variable: schema["resources"][f"{DISTRIBUTION}:index:{made.type}"]["properties"] for made in mades}
        read = [(variable, output) for variable, output in re.findall(r"\b(\w+)\.(\w+)", program) if variable in of]
        assert [output for variable, output in read if output not in of[variable]] == []
        assert len(read) >= 3


def test_both_programs_declare_the_same() -> None:
    assert [(made.type, made.name) for made in in_typescript()] == [(made.type, made.name) for made in in_yaml()]
