import json
from pathlib import Path

import pytest

from tests.cli.screens import Terminal, same_as_recorded


def waiting_pod(terminal: Terminal, folder: Path, outcome: str) -> str:
    plan = json.loads(terminal.type("plan", str(folder), "-o", "json")[1])
    return next(f"{item['namespace']}/{item['names'][0]}" for item in plan["pods"] if item["outcome"] == outcome)


def test_a_pod_that_triggers_a_scale_up(terminal: Terminal, tutorial_snapshot: Path) -> None:
    pod = waiting_pod(terminal, tutorial_snapshot, "triggered")
    code, out, _ = terminal.type("explain", f"pod/{pod}", "--snapshot", str(tutorial_snapshot))
    assert code == 0
    same_as_recorded("explain-pod-triggered", out, tutorial_snapshot)


def test_a_node(terminal: Terminal, tutorial_snapshot: Path) -> None:
    _, out, _ = terminal.type("explain", "node/ip-10-0-0-3.ec2.internal", "--snapshot", str(tutorial_snapshot))
    same_as_recorded("explain-node", out, tutorial_snapshot)


@pytest.mark.parametrize("start", ["ip-10-0-0-3", "ip-10-0-0-3.ec2", "ip-10-0-0-3.ec2.internal"])
def test_the_start_of_a_name_that_one_node_has_means_that_node(terminal: Terminal, tutorial_snapshot: Path, start: str) -> None:
    file = tutorial_snapshot / "kubernetes" / "nodes.json"
    file.write_text(file.read_text().replace("ip-10-0-0-4.", "ip-10-0-0-34."))
    _, out, _ = terminal.type("explain", f"node/{start}", "--snapshot", str(tutorial_snapshot))
    assert out.splitlines()[0].startswith("node ip-10-0-0-3.ec2.internal ")


def test_a_start_that_several_nodes_have_names_them(terminal: Terminal, tutorial_snapshot: Path) -> None:
    code, out, err = terminal.type("explain", "node/ip-10", "--snapshot", str(tutorial_snapshot))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "4 nodes start with ip-10: ip-10-0-0-1.ec2.internal, " in err


@pytest.mark.parametrize("group", ["spot-4vcpu-16gb", "on-demand-4vcpu-16gb"])
def test_a_group_by_the_name_of_its_eks_node_group(terminal: Terminal, tutorial_snapshot: Path, group: str) -> None:
    _, out, _ = terminal.type("explain", f"group/{group}", "--snapshot", str(tutorial_snapshot))
    same_as_recorded(f"explain-group-{group}", out, tutorial_snapshot)


@pytest.mark.parametrize(
    ("asked", "names"),
    [("pod/default/nobody", "waiting in namespace default"), ("node/nobody", "ip-10-0-0-1"), ("group/nobody", "spot-4vcpu-16gb")],
)
def test_an_object_that_is_not_there_is_refused_with_names_that_are(
    terminal: Terminal, tutorial_snapshot: Path, asked: str, names: str
) -> None:
    code, out, err = terminal.type("explain", asked, "--snapshot", str(tutorial_snapshot))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert names in err
