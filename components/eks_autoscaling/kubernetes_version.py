"""Versions of Kubernetes as EKS writes them. Pure."""

import re

from eks_autoscaling.misuse import ArgumentError

_VERSION = re.compile(r"1\.\d{1,3}")


def check(argument: str, version: object) -> None:
    """Refuse (ArgumentError) a text that is no version; what is not known yet passes."""
    if isinstance(version, str) and not _VERSION.fullmatch(version):
        raise ArgumentError(argument, version, 'write major and minor version alone, such as "1.34"')
