"""What the Cluster Autoscaler itself decided on recorded clusters, and that we decide the same.

Each folder is a snapshot (the API answers of one moment) with ``expected.json``, the decision that was recorded.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from lambda_autoscaler.app import observe
from lambda_autoscaler.core.decide import decide
from lambda_autoscaler.core.observe import build_cluster
from lambda_autoscaler.core.plan import Plan
from lambda_autoscaler.edge.snapshot import open_snapshot

RECORDED = Path(__file__).parent / "recorded"
FOLDERS = sorted(path.parent for path in RECORDED.glob("*/expected.json"))


def expected(folder: Path) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads((folder / "expected.json").read_text())
    return answer


@cache
def planned(folder: Path) -> Plan:
    snapshot = open_snapshot(folder)
    cluster = build_cluster(observe(snapshot.kube, snapshot.aws, snapshot.options), snapshot.options)
    return decide(cluster, snapshot.memory, snapshot.options, snapshot.now)


def named(folder: Path) -> str:
    return folder.name


def test_all_recordings_are_here() -> None:
    assert len(FOLDERS) == 28


@pytest.mark.parametrize("folder", FOLDERS, ids=named)
def test_the_same_groups_grow_to_the_same_size(folder: Path) -> None:
    want = expected(folder)
    grown = {item.group: [item.current, item.target] for item in planned(folder).increases}
    assert grown in (want.get("scale_up_any_of") or [want["scale_up"]])


@pytest.mark.parametrize("folder", FOLDERS, ids=named)
def test_the_same_nodes_are_removed(folder: Path) -> None:
    want = expected(folder)["scale_down"]
    removed = sorted(item.node for item in planned(folder).removals)
    if isinstance(want, dict):
        assert len(removed) == want["count"]
        assert set(removed) <= set(want["among"])
    else:
        assert removed == sorted(want)


@pytest.mark.parametrize("folder", FOLDERS, ids=named)
def test_everything_recorded_can_be_read(folder: Path) -> None:
    assert planned(folder).faults == ()
