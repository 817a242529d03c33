"""Creates a declared Lambda function; its archive becomes the zip that Lambda would get."""

from typing import Any

from tests.cluster.aws_world import AwsWorld
from tests.cluster.pulumi_rows import Created, Inputs, call, named
from tests.cluster.pulumi_values import archive_bytes

_ELSEWHERE = {"code", "name", "reservedConcurrentExecutions"}


def create_function(world: AwsWorld, logical_name: str, inputs: Inputs) -> Created:
    """The handler of ``aws:lambda/function:Function``."""
    inputs = named(inputs, "name", logical_name)
    wanted: dict[str, Any] = {key: value for key, value in inputs.items() if key not in _ELSEWHERE}
    # The archive must not be walked like an object, hence the API's own form from here.
    wanted |= {"functionName": inputs["name"], "code": {"zipFile": archive_bytes(inputs["code"])}}
    answer = call(world, "lambda", "CreateFunction", wanted, logical_name)
    reserved = inputs.get("reservedConcurrentExecutions", -1)
    if reserved >= 0:
        world.client("lambda").put_function_concurrency(FunctionName=inputs["name"], ReservedConcurrentExecutions=reserved)
    outputs = {"arn": answer["FunctionArn"], "version": answer["Version"], "qualifiedArn": f"{answer['FunctionArn']}:1"}
    return inputs["name"], {**inputs, **outputs}
