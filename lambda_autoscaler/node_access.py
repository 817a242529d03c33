"""Reading one node with its pods, and changing it for what it is at that moment."""

from collections.abc import Callable
from typing import Any

import msgspec

from lambda_autoscaler.core.decode import decode_objects
from lambda_autoscaler.core.model import Node
from lambda_autoscaler.core.observe import build_cluster
from lambda_autoscaler.core.observed import Observed
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.ports import BadInput, Conflict, Kube, NotFound


class NodeAccess:
    """Single nodes of a cluster."""

    def __init__(self, kube: Kube, options: Options) -> None:
        self._kube, self._options = kube, options

    def read(self, name: str) -> Node | None:
        """A node with its pods as they are now; None when it is gone. Raises the errors of the port, BadInput for a node that is broken."""
        nodes, faults = self._objects("nodes", name)
        if faults:
            raise BadInput(faults[0])
        if not nodes:
            return None
        pods, faults = self._objects("pods", name)
        cluster = build_cluster(Observed(nodes=nodes, pods=pods), self._options)
        if faults or cluster.faults:
            raise BadInput((*faults, *cluster.faults)[0])
        return cluster.nodes[0]

    def _objects(self, plural: str, node: str) -> tuple[list[Any], list[str]]:
        found: list[Any] = []
        faults: list[str] = []
        try:
            for page in self._kube.list(plural, node):
                objects, broken = decode_objects(plural, page)
                found.extend(objects)
                faults.extend(broken)
        except msgspec.DecodeError as fault:
            raise BadInput(f"{plural} of node {node} cannot be read: {fault}") from fault
        return found, faults

    def change(self, name: str, patch: Callable[[Node], bytes | None]) -> Node | None:
        """Read a node and patch it; once more when it changed in between. The node as it was patched, None when there was nothing to do.

        Raises the errors of the port, Conflict when it changed twice.
        """
        for attempt in (1, 2):
            try:
                node = self.read(name)
                change = patch(node) if node is not None else None
                if node is None or change is None:
                    return None
                self._kube.patch_node(name, change)
            except NotFound:
                return None
            except Conflict:
                if attempt == 2:
                    raise
                continue
            return node
        return None
