"""Documents of free form among arguments, as the JSON text that AWS takes."""

import json
from typing import Any

import pulumi


def json_text(document: Any) -> pulumi.Output[str]:
    """JSON of ``document``, which may have outputs anywhere inside, with sorted keys.

    Whole floats become integers: Pulumi's plugin host hands every number over as a float, and a schema that asks for 3 refuses 3.0.
    """
    return pulumi.Output.from_input(document).apply(lambda known: json.dumps(_with_whole_numbers(known), sort_keys=True))


def _with_whole_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_whole_numbers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
