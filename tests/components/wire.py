"""Values as Pulumi's engine sends them to a plugin: numbers are floats, all that JSON lacks is an object with a signature."""

from collections.abc import Mapping
from typing import Any

import pulumi
from google.protobuf import struct_pb2
from pulumi.runtime import rpc

from tests.cluster.pulumi_mocks import PROJECT, STACK


def urn(token: str, name: str) -> str:
    """URN of a resource that a program makes at the top."""
    return f"urn:pulumi:{STACK}::{PROJECT}::{token}::{name}"


def unknown() -> dict[str, Any]:
    """An output of a resource that a preview has not made."""
    return _signed(rpc._special_output_value_sig, dependencies=[urn("aws:eks/cluster:Cluster", "made")])


def output(value: Any) -> dict[str, Any]:
    """An output that is known."""
    return _signed(rpc._special_output_value_sig, value=value, dependencies=[urn("aws:eks/cluster:Cluster", "made")])


def provider(package: str) -> dict[str, Any]:
    """A provider that the program has made, named after its package."""
    return _signed(rpc._special_resource_sig, urn=urn(f"pulumi:providers:{package}", package), id=f"{package}-id", packageVersion="")


def archive(content: pulumi.AssetArchive) -> dict[str, Any]:
    """An archive of texts."""
    texts = {name: asset.text for name, asset in content.assets.items() if isinstance(asset, pulumi.StringAsset)}
    assets = {name: _signed(rpc._special_asset_sig, text=text) for name, text in texts.items()}
    return _signed(rpc._special_archive_sig, assets=assets)


def struct(inputs: Mapping[str, Any]) -> struct_pb2.Struct:
    """Inputs of a component, names in Pulumi's spelling."""
    packed = struct_pb2.Struct()
    packed.update(inputs)
    return packed


def _signed(signature: str, **parts: Any) -> dict[str, Any]:
    return {rpc._special_sig_key: signature, **parts}
