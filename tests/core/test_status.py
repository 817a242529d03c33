"""The status ConfigMap's text."""

import msgspec

from lambda_autoscaler.core.memory import Backoff
from lambda_autoscaler.core.plan import GroupStatus, Plan, ScaleUpResult
from lambda_autoscaler.core.status import format_go_time, status_text

NOW = 1_795_355_207.5
SPOT = GroupStatus("spot", True, 2, 1, 1, 0, 4, 1, 0, 7, 2, 20, "InProgress", resource_unready=1)
RESTING = GroupStatus("rest", False, 0, 0, 0, 1, 1, 0, 2, 3, 0, 3, "Backoff", Backoff(300, NOW + 300, NOW, "timeout", "x" * 600), 2)
PLAN = Plan(ScaleUpResult.SUCCESSFUL, groups=(SPOT, RESTING))

GOLDEN = """\
time: 2026-11-22 13:46:47.5 +0000 UTC
autoscalerStatus: Running
clusterWide:
  health:
    status: Healthy
    nodeCounts:
      registered:
        total: 4
        ready: 2
        notStarted: 1
        unready:
          total: 1
          resourceUnready: 1
      longUnregistered: 0
      unregistered: 1
    lastProbeTime: '2026-11-22T13:46:47Z'
    lastTransitionTime: '2026-11-22T13:46:47Z'
  scaleUp:
    status: InProgress
    lastProbeTime: '2026-11-22T13:46:47Z'
    lastTransitionTime: '2026-11-22T13:46:47Z'
  scaleDown:
    status: NoCandidates
    lastProbeTime: '2026-11-22T13:46:47Z'
    lastTransitionTime: '2026-11-22T13:46:47Z'
nodeGroups:
- name: spot
  health:
    status: Healthy
    nodeCounts:
      registered:
        total: 4
        ready: 2
        notStarted: 1
        unready:
          total: 1
          resourceUnready: 1
      longUnregistered: 0
      unregistered: 1
    cloudProviderTarget: 7
    minSize: 2
    maxSize: 20
    lastProbeTime: '2026-11-22T13:46:47Z'
    lastTransitionTime: '2026-11-22T13:46:47Z'
  scaleUp:
    status: InProgress
    lastProbeTime: '2026-11-22T13:46:47Z'
    lastTransitionTime: '2026-11-22T13:46:47Z'
  scaleDown:
    status: NoCandidates
    lastProbeTime: '2026-11-22T13:46:47Z'
    lastTransitionTime: '2026-11-22T13:46:47Z'
"""


def parsed(text: str) -> dict[str, dict[str, dict[str, str]]]:
    return msgspec.yaml.decode(text, type=dict)  # type: ignore[no-any-return]


def test_the_text_is_upstreams() -> None:
    assert status_text(msgspec.structs.replace(PLAN, groups=(SPOT,)), NOW) == GOLDEN


def test_a_backed_off_group_says_why_in_at_most_500_characters() -> None:
    group = parsed(status_text(PLAN, NOW))["nodeGroups"][1]  # type: ignore[index]
    assert group["health"]["status"] == "Unhealthy"
    assert group["health"]["nodeCounts"]["registered"]["beingDeleted"] == 1
    info = group["scaleUp"]["backoffInfo"]
    assert info["errorCode"] == "timeout"
    assert len(info["errorMessage"]) == 500
    assert info["errorMessage"].endswith("<truncated>")
    assert group["scaleDown"]["status"] == "CandidatesPresent"


def test_a_transition_time_moves_only_when_the_status_changes() -> None:
    first = status_text(PLAN, NOW)
    second = parsed(status_text(msgspec.structs.replace(PLAN, healthy=False), NOW + 60, first))
    wide = second["clusterWide"]
    assert wide["health"]["lastTransitionTime"] == "2026-11-22T13:47:47Z"
    assert wide["scaleUp"]["lastTransitionTime"] == "2026-11-22T13:46:47Z"
    assert wide["scaleUp"]["lastProbeTime"] == "2026-11-22T13:47:47Z"


def test_an_unreadable_previous_text_counts_as_none() -> None:
    for text in ("{", "status: 5", "Cluster-autoscaler status at 2020"):
        assert status_text(PLAN, NOW, text) == status_text(PLAN, NOW)


def test_whole_seconds_are_printed_without_a_fraction() -> None:
    assert format_go_time(1_795_355_207.0) == "2026-11-22 13:46:47 +0000 UTC"
    assert format_go_time(1_795_355_207.25) == "2026-11-22 13:46:47.25 +0000 UTC"
