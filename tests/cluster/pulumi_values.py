"""Turns the inputs of a Pulumi AWS resource into the parameters of an AWS API call, guided by botocore's shapes.

Pulumi says ``httpTokens``, the API ``HttpTokens``; Pulumi's numbers arrive as floats, its booleans sometimes as text,
a block that may stand once as an object where the API takes a list, tags as a map. What the shape does not know is an
error: a misspelt or invented input must not vanish between the program and AWS.
"""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape
from pulumi.runtime import rpc


class InvalidInput(Exception):
    """An input that the AWS API would not take; the message says where it stands."""


def plain(value: Any) -> Any:
    """``value`` without the wrappers of Pulumi's wire: secrets opened, whole floats made integers."""
    if rpc.is_rpc_secret(value):
        return plain(rpc.unwrap_rpc_secret(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def to_api(value: Any, shape: Shape, where: str) -> Any:
    """``value`` in the form of ``shape``; ``where`` names it in errors (InvalidInput)."""
    if isinstance(shape, StructureShape):
        return _structure(value, shape, where)
    if isinstance(shape, ListShape):
        return _items(value, shape, where)
    if isinstance(shape, MapShape):
        return {key: to_api(item, shape.value, f"{where}[{key!r}]") for key, item in value.items()}
    return _scalar(value, shape, where)


def _structure(value: Any, shape: StructureShape, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{where} is {value!r}, the API takes an object")
    members = {name.lower(): name for name in shape.members}
    result = {}
    for key, item in value.items():
        name = members.get(key.lower()) or members.get(f"{key.lower()}s")
        if name is None:
            raise InvalidInput(f"{where}.{key}: the API knows {', '.join(sorted(shape.members))}")
        result[name] = to_api(item, shape.members[name], f"{where}.{key}")
    return result


def _items(value: Any, shape: ListShape, where: str) -> list[Any]:
    member = shape.member
    if isinstance(value, Mapping) and isinstance(member, StructureShape):
        pair = _tag_pair(member)
        items = [{pair[0]: key, pair[1]: item} for key, item in value.items()] if pair else [value]
    else:
        items = value if isinstance(value, list) else [value]
    return [to_api(item, member, f"{where}[{index}]") for index, item in enumerate(items)]


def _tag_pair(shape: StructureShape) -> tuple[str, str] | None:
    for key, value in (("Key", "Value"), ("TagKey", "TagValue"), ("key", "value")):
        if set(shape.members) == {key, value}:
            return key, value
    return None


def _scalar(value: Any, shape: Shape, where: str) -> Any:
    kind = shape.type_name
    if kind == "boolean":
        return value if isinstance(value, bool) else {"true": True, "false": False}[str(value).lower()]
    if kind in ("integer", "long"):
        return int(value)
    if kind in ("float", "double"):
        return float(value)
    if kind == "blob":
        return value
    if isinstance(shape, StringShape) and shape.enum and value not in shape.enum:
        raise InvalidInput(f"{where} is {value!r}, the API takes {', '.join(shape.enum)}")
    return str(value)


def archive_bytes(archive: pulumi.Archive) -> bytes:
    """The zip that Lambda would get for ``archive``."""
    if isinstance(archive, pulumi.FileArchive):
        path = Path(archive.path)
        return (
            path.read_bytes()
            if path.is_file()
            else _zip({str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()})
        )
    assert isinstance(archive, pulumi.AssetArchive), f"unexpected archive {archive!r}"
    return _zip({name: _asset_bytes(asset) for name, asset in archive.assets.items()})


def _asset_bytes(asset: Any) -> bytes:
    if isinstance(asset, pulumi.StringAsset):
        return asset.text.encode()
    assert isinstance(asset, pulumi.FileAsset), f"unexpected asset {asset!r}"
    return Path(asset.path).read_bytes()


def _zip(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()
