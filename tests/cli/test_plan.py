import json
from pathlib import Path

import msgspec
import pytest

from tests.cli.screens import Terminal, same_as_recorded


def test_a_plan_as_a_table(terminal: Terminal, tutorial_snapshot: Path) -> None:
    code, out, err = terminal.type("plan", str(tutorial_snapshot))
    assert (code, err) == (0, "")
    same_as_recorded("plan-tutorial", out, tutorial_snapshot)


def test_pods_that_no_group_helps_are_named_with_the_reason_of_every_group(terminal: Terminal, recorded: Path) -> None:
    _, out, _ = terminal.type("plan", str(recorded))
    same_as_recorded("plan-capped-by-max-size", out, recorded)


def test_json_and_yaml_hold_the_same_document(terminal: Terminal, recorded: Path) -> None:
    as_json = json.loads(terminal.type("plan", str(recorded), "-o", "json")[1])
    as_yaml = msgspec.yaml.decode(terminal.type("plan", str(recorded), "-o", "yaml")[1])
    assert as_json == as_yaml
    assert as_json["schema_version"] == 1
    assert [(item["from"], item["to"]) for item in as_json["scale_up"]] == [(2, 5)]


def test_a_plan_of_the_same_folder_is_the_same_byte_for_byte(terminal: Terminal, recorded: Path) -> None:
    assert terminal.type("plan", str(recorded), "-o", "json") == terminal.type("plan", str(recorded), "-o", "json")


def test_exit_code_tells_scripts_whether_there_is_something_to_do(terminal: Terminal, tutorial_snapshot: Path) -> None:
    assert terminal.type("plan", str(tutorial_snapshot))[0] == 0
    assert terminal.type("plan", str(tutorial_snapshot), "--exit-code")[0] == 3
    (tutorial_snapshot / "kubernetes" / "pods.json").write_text('{"items":[]}')
    code, out, _ = terminal.type("plan", str(tutorial_snapshot), "--exit-code")
    assert code == 0
    assert "Nothing to do." in out


def test_a_setting_takes_the_place_of_the_snapshots_own(terminal: Terminal, tutorial_snapshot: Path) -> None:
    _, out, _ = terminal.type("plan", str(tutorial_snapshot), "--set", "max-nodes-total=6", "-o", "json")
    assert [item["to"] for item in json.loads(out)["scale_up"]] == [4]


def test_rows_that_are_cut_are_announced_and_all_shows_them(terminal: Terminal, tutorial_snapshot: Path) -> None:
    path = tutorial_snapshot / "aws" / "auto-scaling-groups.json"
    answer = json.loads(path.read_text())
    first = answer["AutoScalingGroups"][0]
    answer["AutoScalingGroups"] += [
        {**first, "AutoScalingGroupName": f"more-{index:02}", "Instances": [], "DesiredCapacity": 0} for index in range(30)
    ]
    path.write_text(json.dumps(answer))
    _, out, _ = terminal.type("plan", str(tutorial_snapshot))
    assert "… and 12 more node groups; --all shows them" in out
    _, out, _ = terminal.type("plan", str(tutorial_snapshot), "--all")
    assert "more-29" in out
    assert "--all" not in out


def test_no_color_leaves_no_escape_codes(terminal: Terminal, tutorial_snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[3" not in terminal.type("plan", str(tutorial_snapshot))[1]
    monkeypatch.delenv("NO_COLOR")
    assert "\x1b[3" not in terminal.type("plan", str(tutorial_snapshot), "--no-color")[1]
    assert "\x1b[1;32m" in terminal.type("plan", str(tutorial_snapshot))[1]


def broken_json(folder: Path) -> None:
    (folder / "kubernetes" / "nodes.json").write_text("{")


def truncated_types(folder: Path) -> None:
    path = folder / "aws" / "instance-types.json"
    path.write_text(path.read_text()[:50])


def missing_pods(folder: Path) -> None:
    (folder / "kubernetes" / "pods.json").unlink()


def unknown_option(folder: Path) -> None:
    path = folder / "options.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "scale-donw-enabled": "true"}))


def no_clock(folder: Path) -> None:
    path = folder / "options.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "now": "yesterday"}))


def another_cluster(folder: Path) -> None:
    path = folder / "options.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "cluster-name": "another"}))


@pytest.mark.parametrize(
    ("spoil", "names"),
    [
        (broken_json, "nodes.json"),
        (truncated_types, "instance-types.json"),
        (missing_pods, "pods.json is missing"),
        (unknown_option, "scale-donw-enabled"),
        (no_clock, "now"),
        (another_cluster, "k8s.io/cluster-autoscaler/another"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_folder_that_cannot_be_used_is_one_line_naming_what(terminal: Terminal, recorded: Path, spoil: object, names: str) -> None:
    spoil(recorded)  # type: ignore[operator]
    code, out, err = terminal.type("plan", str(recorded), "-o", "json")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert names in err


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("plan", "/nowhere"), "/nowhere/options.json is missing"),
        (("plan", "--frobnicate"), "--frobnicate"),
        (("plan", "/nowhere", "--context", "x"), "--context"),
        (("plan", "/nowhere", "--set", "expander"), "FLAG=VALUE"),
        (("plan",), "kubeconfig"),
        (("snapshot", "/nowhere/there"), "kubeconfig"),
        (("snapshot",), "DIR"),
        (("explain", "deployment/web"), "pod/NAMESPACE/NAME"),
        (("demo", "--set", "expander=nope"), "nope"),
        (("frobnicate",), "frobnicate"),
    ],
)
def test_unusable_arguments_are_one_line_and_exit_2(terminal: Terminal, words: tuple[str, ...], names: str) -> None:
    code, out, err = terminal.type(*words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert names in err
