"""The tutorial on real parts: its stack deployed, its nodes joined, its function ready to be invoked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cluster.binaries import Binaries
from tests.cluster.declared_cluster import DeclaredCluster, Progress

STACK = Path(__file__).parents[2] / "stacks" / "tutorial"
FIRST_NODES = 4


class TutorialCluster(DeclaredCluster):
    """Context manager of the tutorial's whole world."""

    def __init__(
        self,
        binaries: Binaries,
        *,
        progress: Progress = lambda _: None,
        manifest_filter: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda manifest: manifest,
        settings: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(binaries, STACK, FIRST_NODES, progress=progress, manifest_filter=manifest_filter, settings=settings)

    def spot_group(self) -> dict[str, Any]:
        """The spot node group's Auto Scaling group as AWS describes it."""
        return self.group(self.deployment.outputs["spot_auto_scaling_group"])
