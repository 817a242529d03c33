"""The part of Lambda's Python runtime that AWS brings: boto3 and the runtime client, in a folder of their own.

A function on AWS sees its zip and this folder, nothing else. So the two libraries and what they need are copied out
of the test environment, where the lock file put them, into the user's cache; the function's process gets that
folder on its path and no ``site-packages``.
"""

import compileall
import hashlib
import os
import re
import shutil
import sys
import tempfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOTS = ("awslambdaric", "boto3")


def runtime_folder() -> Path:
    """Return the folder with AWS's part of the runtime, made on first use for this Python and these versions."""
    parts = distributions()
    versions = " ".join(f"{name}=={part.version}" for name, part in sorted(parts.items()))
    key = hashlib.sha256(f"{sys.version}\n{versions}".encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eks-autoscaling"
    folder = cache / f"lambda-runtime-{key}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            building = Path(scratch, "runtime")
            for part in parts.values():
                copy(part, building)
            # As in AWS's image: a cold start compiles the function's own files at most.
            compileall.compile_dir(building, quiet=2)
            try:
                building.rename(folder)
            except OSError:
                # Somebody else was faster; theirs is the same.
                if not folder.is_dir():
                    raise
    return folder


def distributions() -> dict[str, Distribution]:
    """Return boto3, the runtime client and everything they need, by normalised name."""
    found: dict[str, Distribution] = {}
    waiting = list(ROOTS)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        found[name] = distribution(name)
        for text in found[name].requires or []:
            wanted = Requirement(text)
            if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                waiting.append(wanted.name)
    return found


def copy(part: Distribution, into: Path) -> None:
    """Copy the installed files of one distribution, except its commands and bytecode."""
    for file in part.files or []:
        source = Path(str(part.locate_file(file)))
        if file.parts[0] == ".." or source.suffix == ".pyc" or not source.is_file():
            continue
        target = into / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
