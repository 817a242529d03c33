"""Versions of Kubernetes as EKS writes them. Pure."""

import re

from eks_autoscaling.misuse import ArgumentError

_VERSION = re.compile(r"1\.\d{1,3}")


def check(argument: str, version: object) -> None:
    """Refuse (ArgumentError) a text that is no version; what is not known yet passes."""
    if isinstance(version, str) and not _VERSION.fullmatch(version):
        raise ArgumentError(argument, version, 'write major and minor version alone, such as "1.34"')


def require(version: object, oldest: str, what: str) -> None:
    """Refuse (ArgumentError) a checked version before the ``oldest`` that has ``what``; one that is not known yet EKS itself looks at."""
    if isinstance(version, str) and _minor(version) < _minor(oldest):
        raise ArgumentError("version", version, f"{what} needs Kubernetes {oldest} or later")


def _minor(version: str) -> int:
    return int(version.partition(".")[2])
