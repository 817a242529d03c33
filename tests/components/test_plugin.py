"""Programs in other languages get the same components, from the same classes, through Pulumi's plugin host."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pulumi
import pytest
from pulumi.output import Unknown

import eks_autoscaling
from tests.cluster.pulumi_mocks import Declared, preview
from tests.components import wire
from tests.components.every_number import ARGUMENTS, on_the_wire
from tests.components.plugin_host import DISTRIBUTION, PluginHost, plugin_host

GOLDEN = Path(__file__).parents[1] / "golden" / "schema.json"
COMPONENTS = sorted(
    name for name, value in vars(eks_autoscaling).items() if isinstance(value, type) and issubclass(value, pulumi.ComponentResource)
)


@pytest.fixture(scope="module")
def host() -> Iterator[PluginHost]:
    with plugin_host() as running:
        yield running


@pytest.fixture(scope="module")
def schema(host: PluginHost) -> dict[str, Any]:
    return host.schema()


def token(component: str) -> str:
    return f"{DISTRIBUTION}:index:{component}"


def declared(component: str, **more: Any) -> list[Declared]:
    """What a Python program declares with the component."""
    return preview(lambda: getattr(eks_autoscaling, component)("work", {**ARGUMENTS[component], **more}), {}).resources


def comparable(resources: list[Declared]) -> dict[str, Any]:
    """Inputs and options by URN. What is not known yet equals itself, as do archives of equal content."""
    return {
        resource.urn: (plain_text(resource.inputs), replace(resource.options, depends_on=tuple(sorted(resource.options.depends_on))))
        for resource in resources
    }


def plain_text(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: plain_text(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain_text(item) for item in value]
    if isinstance(value, pulumi.Archive | pulumi.Asset):
        return plain_text(vars(value))
    if isinstance(value, str) and value.startswith("{"):
        # The order of keys is the wire's; a whole number that had become a float would show.
        return json.loads(value, parse_float=repr)
    return "unknown" if isinstance(value, Unknown) else value


def test_the_schema_is_the_recorded_one(schema: dict[str, Any]) -> None:
    now = json.dumps(schema, indent=1) + "\n"
    if os.environ.get("RECORD_SCHEMA"):
        GOLDEN.write_text(now)
    assert GOLDEN.read_text() == now, "RECORD_SCHEMA=1 pytest tests/components/test_plugin.py writes it anew"


def test_every_exported_component_is_in_the_schema(schema: dict[str, Any]) -> None:
    assert sorted(schema["resources"]) == [token(component) for component in COMPONENTS]


def test_everything_in_the_schema_has_a_description(schema: dict[str, Any]) -> None:
    silent = []
    for name, entry in {**schema["resources"], **schema["types"]}.items():
        parts = {**entry.get("inputProperties", {}), **entry["properties"]}
        silent += [name] * (not entry.get("description"))
        silent += [f"{name}.{part}" for part, shape in parts.items() if not shape.get("description")]
    assert silent == []


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_program_in_another_language_gets_the_very_same_resources(component: str, host: PluginHost, schema: dict[str, Any]) -> None:
    """Numbers arrive as floats there: none may show in a name, a tag or a document."""
    described = schema["resources"][token(component)]
    inputs = on_the_wire(ARGUMENTS[component], described["inputProperties"], schema["types"])
    constructed, outputs = host.construct(token(component), "work", inputs)
    assert comparable(constructed.resources) == comparable(declared(component))
    assert set(described["required"]) <= outputs.keys()


def test_that_was_asked_of_every_component() -> None:
    assert sorted(ARGUMENTS) == COMPONENTS


def test_that_was_asked_with_every_number_that_any_component_takes(schema: dict[str, Any]) -> None:
    """Node groups of both kinds take the same arguments, of which some exclude each other: what one leaves out, another has."""
    resources, types = schema["resources"], schema["types"]
    takers = [entry["inputProperties"] for entry in resources.values()] + [entry["properties"] for entry in types.values()]
    taken = {(name, shape["description"]) for taker in takers for name, shape in taker.items() if is_number(shape)}
    given: set[tuple[str, str]] = set()
    for component, arguments in ARGUMENTS.items():
        properties = resources[token(component)]["inputProperties"]
        given.update(numbers(on_the_wire(arguments, properties, types), {"properties": properties}, types))
    assert sorted(taken - given) == []


def is_number(shape: Mapping[str, Any]) -> bool:
    return shape.get("type") in ("integer", "number")


def numbers(value: Any, shape: Mapping[str, Any], types: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and description of each property of objects within ``value`` that is a number."""
    if isinstance(value, list):
        for item in value:
            yield from numbers(item, shape.get("items", {}), types)
    if not isinstance(value, Mapping):
        return
    described = types.get(str(shape.get("$ref", "")).removeprefix("#/types/"), shape).get("properties", {})
    for name, item in value.items():
        part = described.get(name, shape.get("additionalProperties", {}))
        if name in described and is_number(part):
            yield name, part["description"]
        yield from numbers(item, part, types)


@pytest.mark.parametrize("component", [name for name, arguments in ARGUMENTS.items() if "cluster" in arguments])
def test_the_cluster_may_be_one_that_is_not_made_yet(component: str, host: PluginHost, schema: dict[str, Any]) -> None:
    described = schema["resources"][token(component)]
    inputs = on_the_wire(ARGUMENTS[component], described["inputProperties"], schema["types"])
    names = set(inputs["cluster"])
    constructed, outputs = host.construct(token(component), "work", {**inputs, "cluster": dict.fromkeys(names, wire.unknown())})
    assert len(constructed.resources) == len(declared(component))
    assert set(described["required"]) <= outputs.keys()


def test_a_cluster_that_is_an_output_as_a_whole_is_refused_rather_than_taken_for_an_empty_one(
    host: PluginHost, schema: dict[str, Any]
) -> None:
    """The host puts {} in its place, whatever is inside."""
    group = on_the_wire(ARGUMENTS["SpotNodeGroup"], schema["resources"][token("SpotNodeGroup")]["inputProperties"], schema["types"])
    with pytest.raises(grpc.RpcError) as refused:
        host.construct(token("SpotNodeGroup"), "work", {**group, "cluster": wire.output(group["cluster"])})
    assert "cluster.name" in details(refused.value)


def test_a_list_that_is_an_output_as_a_whole_is_refused(host: PluginHost, schema: dict[str, Any]) -> None:
    group = on_the_wire(ARGUMENTS["SpotNodeGroup"], schema["resources"][token("SpotNodeGroup")]["inputProperties"], schema["types"])
    with pytest.raises(grpc.RpcError) as refused:
        host.construct(token("SpotNodeGroup"), "work", {**group, "subnetIds": wire.output(group["subnetIds"])})
    assert "subnet_ids is an output of another resource: write a list that the program knows" in details(refused.value)


def test_a_wrong_argument_is_named_with_its_remedy(host: PluginHost, schema: dict[str, Any]) -> None:
    group = on_the_wire(ARGUMENTS["SpotNodeGroup"], schema["resources"][token("SpotNodeGroup")]["inputProperties"], schema["types"])
    with pytest.raises(grpc.RpcError) as refused:
        host.construct(token("SpotNodeGroup"), "work", {**group, "minSize": 10})
    assert "max_size" in details(refused.value)


def details(error: Any) -> str:
    """What the engine is told: the text of the status and the reasons of a refused property."""
    trailing = dict(error.trailing_metadata()).get("grpc-status-details-bin", b"")
    return f"{error.details()} {trailing!r}"


def test_kubernetes_objects_are_declared_with_the_provider_of_the_program(host: PluginHost, schema: dict[str, Any]) -> None:
    described = schema["resources"][token("Autoscaler")]["inputProperties"]
    inputs = on_the_wire(ARGUMENTS["Autoscaler"], described, schema["types"])
    constructed, _ = host.construct(token("Autoscaler"), "work", {**inputs, "kubernetesProvider": wire.provider("kubernetes")})
    used = {resource.options.provider for resource in constructed.resources if resource.type.startswith("kubernetes:")}
    assert used == {f"{wire.urn('pulumi:providers:kubernetes', 'kubernetes')}::kubernetes-id"}
