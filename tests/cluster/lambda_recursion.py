"""Lambda's detection of recursive loops: a function whose messages come back to it too often is not invoked any more.

The lineage travels in the trace header that AWS's SDKs pass on from an invocation to what it calls. Rules: AWS Lambda developer guide,
"Use Lambda recursive loop detection to prevent infinite loops": beyond 16 invocations of one chain the next one is refused, unless the
function's recursion configuration allows loops.
"""

import re
import threading
import zlib
from collections.abc import Callable, Iterable
from typing import Any

MOST_INVOCATIONS = 16
_LINEAGE = re.compile(r"Lineage=(\w+):(\d+)")
Params = dict[str, Any]


class LambdaRecursion:
    """Answers the operations on recursion configurations of functions."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.forget()
        self.answers: dict[str, Callable[[Params], Params]] = {
            "PutFunctionRecursionConfig": self._put,
            "GetFunctionRecursionConfig": lambda params: {"RecursiveLoop": self._configured.get(params["FunctionName"], "Terminate")},
        }

    def forget(self) -> None:
        """Every function is at the default: Terminate."""
        with self._lock:
            self._configured: dict[str, str] = {}

    def _put(self, params: Params) -> Params:
        with self._lock:
            self._configured[params["FunctionName"]] = params["RecursiveLoop"]
        return {"RecursiveLoop": params["RecursiveLoop"]}


def invocations_before(function: str, traces: Iterable[str]) -> int:
    """How often the function named so was invoked in the chains that ``traces`` tell of; the longest counts."""
    found = (_LINEAGE.search(trace) for trace in traces)
    return max((int(lineage[2]) for lineage in found if lineage and lineage[1] == _hash(function)), default=0)


def lineage(function: str, invocation: int) -> str:
    """The part of a trace header that tells of the function's so many-th invocation."""
    return f";Lineage={_hash(function)}:{invocation}"


def _hash(function: str) -> str:
    return f"{zlib.crc32(function.encode()):08x}"
