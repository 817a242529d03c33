"""Lambda's Invoke with the type Event: the function runs elsewhere, through whatever a test gave for it.

Rules: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""

import json
from collections.abc import Callable
from typing import Any

from tests.cluster.aws_protocol import AwsError
from tests.cluster.principals import ACCOUNT
from tests.cluster.timers import Timers

Params = dict[str, Any]


class LambdaInvocations:
    """Answers Invoke for the functions that ``serve`` was told of."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self.forget()
        self.answers: dict[str, Callable[[Params], Params]] = {"Invoke": self._invoke}

    def forget(self) -> None:
        """No function runs."""
        self._running: dict[str, Callable[[dict[str, Any]], object]] = {}

    def serve(self, name: str, invoke: Callable[[dict[str, Any]], object]) -> None:
        """From now on asynchronous events for the function ``name`` go to ``invoke``, which may take its time."""
        self._running[name] = invoke

    def _invoke(self, params: Params) -> Params:
        name = params["FunctionName"].rpartition(":")[2]
        if name not in self._running:
            message = f"Function not found: arn:aws:lambda:us-east-1:{ACCOUNT}:function:{name}"
            raise AwsError("ResourceNotFoundException", message, 404)
        if params.get("InvocationType") != "Event":
            raise AwsError("InvalidParameterValueException", "this world carries out asynchronous invocations alone")
        event = json.loads(params["Payload"] or b"{}")
        self._timers.later(0.0, lambda: self._running[name](event))
        return {"StatusCode": 202}
