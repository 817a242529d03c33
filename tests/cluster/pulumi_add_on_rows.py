"""Which AWS call creates an add-on."""

from typing import Any

from tests.cluster.pulumi_rows import Created, Inputs, Row

# What Pulumi's provider does with the add-on later.
_OF_THE_PROVIDER = {"preserve", "resolveConflictsOnUpdate"}


def _add_on(inputs: Inputs) -> Inputs:
    return {key: value for key, value in inputs.items() if key not in _OF_THE_PROVIDER}


def _add_on_outputs(answer: dict[str, Any], inputs: Inputs) -> Created:
    add_on = answer["addon"]
    outputs = {"arn": add_on["addonArn"], "addonVersion": add_on["addonVersion"]}
    return f"{inputs['clusterName']}:{inputs['addonName']}", outputs


ADD_ON_ROWS = (
    Row(
        "aws:eks/addon:Addon",
        "eks",
        "CreateAddon",
        _add_on_outputs,
        renames={"resolveConflictsOnCreate": "resolveConflicts"},
        shaped=_add_on,
    ),
)
