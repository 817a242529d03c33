"""What an event would do, told from a snapshot."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.screens import Terminal, same_as_recorded

WARNING = "EC2 Spot Instance Interruption Warning"


def instance_of(folder: Path, position: int) -> str:
    nodes = json.loads((folder / "kubernetes" / "nodes.json").read_text())["items"]
    provider: str = nodes[position]["spec"]["providerID"]
    return provider.rpartition("/")[2]


def event(folder: Path, kind: str = WARNING, **detail: Any) -> str:
    file = folder.parent / "event.json"
    envelope = {
        "version": "0",
        "id": "one",
        "detail-type": kind,
        "source": "aws.ec2",
        "account": "123456789012",
        "time": "2026-11-25T04:00:00Z",
        "region": "us-east-1",
        "resources": [],
        "detail": detail,
    }
    file.write_text(json.dumps(envelope))
    return str(file)


def test_a_dash_reads_the_event_from_standard_input(terminal: Terminal, tutorial_snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = event(tutorial_snapshot, **{"instance-id": instance_of(tutorial_snapshot, 2), "instance-action": "terminate"})
    by_name = terminal.type("interruption", file, "--snapshot", str(tutorial_snapshot))
    with Path(file).open() as piped:
        monkeypatch.setattr("sys.stdin", piped)
        assert terminal.type("interruption", "-", "--snapshot", str(tutorial_snapshot)) == by_name
    assert by_name[0] == 0


def test_a_warning_about_a_managed_spot_node(terminal: Terminal, tutorial_snapshot: Path) -> None:
    instance = instance_of(tutorial_snapshot, 2)
    file = event(tutorial_snapshot, **{"instance-id": instance, "instance-action": "terminate"})
    code, out, _ = terminal.type("interruption", file, "--snapshot", str(tutorial_snapshot))
    assert code == 0
    same_as_recorded("interruption-spot", out.replace(instance, "INSTANCE"), tutorial_snapshot)


def test_programs_get_the_mark_and_the_capacity(terminal: Terminal, tutorial_snapshot: Path) -> None:
    file = event(tutorial_snapshot, **{"instance-id": instance_of(tutorial_snapshot, 2), "instance-action": "terminate"})
    _, out, _ = terminal.type("interruption", file, "--snapshot", str(tutorial_snapshot), "-o", "json")
    (effect,) = json.loads(out)
    assert (effect["kind"], effect["capacity"], effect["homeless"]) == ("SpotInterruption", "asked", [])
    assert [item["to"] - item["from"] for item in effect["scale_up"]] == [6]


def test_pods_without_another_place_are_named_with_the_reasons(terminal: Terminal, tutorial_snapshot: Path) -> None:
    file = event(tutorial_snapshot, **{"instance-id": instance_of(tutorial_snapshot, 2), "instance-action": "terminate"})
    _, out, _ = terminal.type("interruption", file, "--snapshot", str(tutorial_snapshot), "--set", "max-nodes-total=4")
    assert "it stays until the end" in " ".join(out.split())
    assert "max-nodes-total reached" in out


@pytest.mark.parametrize(
    ("kind", "detail", "told"),
    [
        ("EC2 Instance Rebalance Recommendation", {}, "no new ones come"),
        ("EC2 Instance State-change Notification", {"state": "terminated"}, "its object is deleted"),
        ("EC2 Instance State-change Notification", {"state": "running"}, "needs no answer"),
    ],
)
def test_other_events(terminal: Terminal, tutorial_snapshot: Path, kind: str, detail: dict[str, str], told: str) -> None:
    file = event(tutorial_snapshot, kind, **{"instance-id": instance_of(tutorial_snapshot, 2)}, **detail)
    _, out, _ = terminal.type("interruption", file, "--snapshot", str(tutorial_snapshot))
    assert told in " ".join(out.split())


def test_an_instance_of_another_cluster_is_ignored(terminal: Terminal, tutorial_snapshot: Path) -> None:
    file = event(tutorial_snapshot, **{"instance-id": "i-0123456789abcdef0", "instance-action": "terminate"})
    code, out, _ = terminal.type("interruption", file, "--snapshot", str(tutorial_snapshot))
    assert (code, "no node of this cluster" in out) == (0, True)


@pytest.mark.parametrize("text", ["?", "{}", '{"source": "aws.ec2", "detail-type": "EC2 Spot Instance Interruption Warning"}', None])
def test_a_file_that_is_no_event_is_refused_with_one_line(terminal: Terminal, tutorial_snapshot: Path, text: str | None) -> None:
    file = tutorial_snapshot.parent / "broken.json"
    if text is not None:
        file.write_text(text)
    code, out, err = terminal.type("interruption", str(file), "--snapshot", str(tutorial_snapshot))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert str(file) in err
