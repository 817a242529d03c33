"""The two halves agree: the functions' roles may call exactly what the functions call.

For the Kubernetes API ``tests/cluster/test_rbac.py`` holds permissions against operations; here it is whether those are all there are.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from eks_autoscaling import policies
from lambda_autoscaler import ports
from lambda_autoscaler.edge.kube import LIST_PATHS
from lambda_autoscaler.edge.kube_http import Connection, KubeHttp
from lambda_autoscaler.reading import OPTIONAL_KINDS, REQUIRED_KINDS
from tests.cluster.kubernetes_operations import Operation, interruption_operations, scan_operations

CALL = re.compile(r'"(autoscaling|ec2|eks|lambda|sqs)",\s*"([A-Z][A-Za-z]+)"')
EDGE = Path(__file__).parents[1] / "lambda_autoscaler" / "edge"
CLUSTER = "arn:aws:eks:us-east-1:123456789012:cluster/prod"
LOG_GROUP = "arn:aws:logs:us-east-1:123456789012:log-group:function"
# What Lambda itself calls with the role of a function that a queue feeds.
POLLING = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
OF_INTERRUPTIONS = {
    "autoscaling:CompleteLifecycleAction",
    "autoscaling:RecordLifecycleActionHeartbeat",
    "ec2:DescribeInstances",
    "lambda:InvokeFunction",
    "sqs:SendMessage",
}


def actions(document: policies.Document) -> set[str]:
    return {action for statement in document["Statement"] for action in statement["Action"] if not action.startswith("logs:")}


def called() -> set[str]:
    found = {f"{service}:{operation}" for path in EDGE.glob("*.py") for service, operation in CALL.findall(path.read_text())}
    return {{"lambda:Invoke": "lambda:InvokeFunction"}.get(action, action) for action in found}


def test_the_roles_allow_exactly_the_aws_calls_of_the_clients() -> None:
    scan = actions(policies.autoscaler(CLUSTER, LOG_GROUP))
    queue, function = "arn:aws:sqs:us-east-1:123456789012:events", "arn:aws:lambda:us-east-1:123456789012:function:scan"
    interruption = actions(policies.interruption(CLUSTER, LOG_GROUP, queue, function))
    assert scan | interruption - POLLING == called()
    assert interruption - scan - POLLING == OF_INTERRUPTIONS


# --- Kubernetes -------------------------------------------------------------------------------------------

PACKAGE = Path(__file__).parents[1] / "lambda_autoscaler"
NOWHERE = KubeHttp(Connection("https://nowhere.invalid", lambda _renew: ""))
FUNCTIONS = {"app": scan_operations(NOWHERE), "interrupting": interruption_operations(NOWHERE)}
PORTS = {"kube": ports.Kube, "memory": ports.MemoryStore}


def modules_of(name: str) -> dict[str, ast.Module]:
    """The module ``name`` of the package and those that it imports, but for the pure core and the edges."""
    found: dict[str, ast.Module] = {}
    wanted = [name]
    while wanted:
        module = wanted.pop()
        path = PACKAGE / f"{module}.py"
        if module not in found and path.exists():
            found[module] = ast.parse(path.read_text())
            wanted += [
                node.module.removeprefix("lambda_autoscaler.")
                for node in ast.walk(found[module])
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lambda_autoscaler.") and node.module
            ]
    return found


def methods_used(name: str) -> Iterator[str]:
    """Methods of the ports ``Kube`` and ``MemoryStore`` that a function made of the module ``name`` calls."""
    for tree in modules_of(name).values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                holder = getattr(node.value, "attr", getattr(node.value, "id", "")).lstrip("_")
                if holder in PORTS and hasattr(PORTS[holder], node.attr):
                    yield node.attr


@pytest.mark.parametrize(("module", "operations"), FUNCTIONS.items(), ids=FUNCTIONS)
def test_the_operations_held_against_rbac_are_all_that_a_function_does(module: str, operations: list[Operation]) -> None:
    assert {operation.method for operation in operations} == set(methods_used(module))


def test_the_kinds_held_against_rbac_are_those_that_a_function_lists() -> None:
    listed = {module: {one.about for one in operations if one.method == "list"} for module, operations in FUNCTIONS.items()}
    constants = {
        node.value
        for tree in modules_of("interrupting").values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in LIST_PATHS
    }
    assert listed == {"app": {*REQUIRED_KINDS, *OPTIONAL_KINDS}, "interrupting": constants}
