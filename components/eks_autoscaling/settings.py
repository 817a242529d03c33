"""The autoscaler's settings: Cluster Autoscaler flag names, and the environment variables the function reads.

A flag ``--scale-down-unneeded-time`` is the setting ``scale-down-unneeded-time`` and reaches the function as
``AUTOSCALER_SCALE_DOWN_UNNEEDED_TIME``. What the function would refuse a minute after the deployment the preview refuses, for it asks the
function's own parser. Nothing else of the function is used here.
"""

from collections.abc import Mapping
from typing import Any

from eks_autoscaling.misuse import ArgumentError

PREFIX = "AUTOSCALER_"
# Joins the values of a flag that upstream takes several times.
LIST_SEPARATOR = ";"
CLUSTER_NAME = "cluster-name"


def checked(settings: Mapping[str, Any]) -> dict[str, str]:
    """``settings`` (flag name without dashes in front -> plain value) as the texts of a command line.

    A text is taken as it is: ``pulumi config set`` makes one of every fraction.

    Raises:
        ArgumentError: a value that no flag has, or settings that the function would refuse; all of them, in its words.

    """
    # Who declares no autoscaler need not load it.
    from lambda_autoscaler.settings import faults_of  # noqa: PLC0415

    if CLUSTER_NAME in settings:
        raise ArgumentError(f"settings[{CLUSTER_NAME!r}]", settings[CLUSTER_NAME], "leave it out: it is the name of the argument cluster")
    flags = {name: _text(name, value) for name, value in settings.items()}
    faults = faults_of(flags)
    if faults:
        wrong = {name: settings[name] for name, _ in faults if name in settings}
        raise ArgumentError("settings", wrong or dict(settings), "; ".join(f"{name}: {fault}" for name, fault in faults))
    return flags


def notes(flags: Mapping[str, str]) -> tuple[str, ...]:
    """A sentence for each of the ``checked`` settings that does nothing, or has a deprecated name."""
    from lambda_autoscaler.settings import notes_on  # noqa: PLC0415

    return notes_on(flags)


def environment(cluster: Any, flags: Mapping[str, str]) -> dict[str, Any]:
    """The function's variables for ``checked`` settings and its cluster.

    ``cluster`` is passed through untouched, since it may be an output that is not known yet. Flags without meaning stay out.
    """
    from lambda_autoscaler.settings import MEANINGLESS  # noqa: PLC0415

    used = {PREFIX + name.replace("-", "_").upper(): text for name, text in flags.items() if name not in MEANINGLESS}
    return {PREFIX + CLUSTER_NAME.replace("-", "_").upper(): cluster, **used}


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        # The plugin host hands whole numbers over as floats.
        return str(int(value))
    if isinstance(value, list | tuple) and all(isinstance(item, str) and LIST_SEPARATOR not in item for item in value):
        return LIST_SEPARATOR.join(value)
    if not isinstance(value, str | int | float):
        raise ArgumentError(
            f"settings[{name!r}]", value, f"write True or False, a number, a text, or a list of texts without {LIST_SEPARATOR!r}"
        )
    return str(value)
