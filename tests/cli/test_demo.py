import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from lambda_autoscaler.sim import specification
from lambda_autoscaler.sim.scenario import Scaling, Scenario, tutorial
from tests.cli.screens import Terminal, same_as_recorded
from tests.documents import ROOT, blocks, codes

PAGE = ROOT / "docs" / "scenarios.md"


def test_the_demo_shows_2_to_7_and_20_of_20_running(terminal: Terminal, tmp_path: Path) -> None:
    code, out, err = terminal.type("demo")
    assert (code, err) == (0, "")
    assert "2->7" in out
    assert "20 of 20 running" in out
    same_as_recorded("demo", out, tmp_path)


def test_the_first_lines_say_that_it_is_simulated_and_how_to_see_the_real_thing(terminal: Terminal) -> None:
    first = terminal.type("demo")[1].splitlines()[:3]
    assert "embedded simulated cluster" in first[0]
    assert "python3 tasks.py demo --real-control-plane" in first[2]


def test_the_plan_of_the_demos_snapshot_is_what_the_demos_scan_did(terminal: Terminal, tutorial_snapshot: Path) -> None:
    _, out, _ = terminal.type("plan", str(tutorial_snapshot), "--output", "json")
    plan = msgspec.json.decode(out)
    assert [(item["from"], item["to"], item["max"]) for item in plan["scale_up"]] == [(2, 7, 20)]
    assert plan["scale_down"] == []
    assert plan["scale_up"][0]["group"] in terminal.type("demo")[1]


def test_a_snapshot_is_not_written_over_another_unless_asked(terminal: Terminal, tutorial_snapshot: Path) -> None:
    before = (tutorial_snapshot / "options.json").stat().st_mtime_ns
    code, out, err = terminal.type("demo", "--snapshot", str(tutorial_snapshot))
    assert (code, out) == (2, "")
    assert "--force" in err
    assert (tutorial_snapshot / "options.json").stat().st_mtime_ns == before
    assert terminal.type("demo", "--snapshot", str(tutorial_snapshot), "--force")[0] == 0


def test_the_demo_plays_another_story_from_a_file(terminal: Terminal, tmp_path: Path) -> None:
    story = msgspec.structs.replace(tutorial(), steps=(msgspec.structs.replace(tutorial().steps[0], replicas=9),))
    path = tmp_path / "story.yaml"
    path.write_bytes(msgspec.yaml.encode(story))
    code, out, _ = terminal.type("demo", "--scenario", str(path))
    assert code == 0
    assert "2->3" in out
    assert "9 of 9 running" in out


def test_the_scenario_of_its_page_plays(terminal: Terminal, tmp_path: Path) -> None:
    (story,) = blocks(PAGE, "yaml")
    (tmp_path / "story.yaml").write_text(story)
    code, out, _ = terminal.type("demo", "--scenario", str(tmp_path / "story.yaml"))
    assert code == 0
    assert "3 of 3 running" in out


def test_the_page_about_scenarios_names_every_field() -> None:
    specifications = [
        value for value in vars(specification).values() if isinstance(value, type) and issubclass(value, specification.Frozen)
    ]
    structs = [Scenario, Scaling, *specifications]
    fields = {field.encode_name for struct in structs for field in msgspec.structs.fields(struct)}
    assert fields - set(codes(PAGE.read_text())) == set()


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"scanInterval": 0}, "scanInterval"),
        ({"duration": 5}, "at"),
        ({"steps": [{"at": 1, "deployment": "nobody", "replicas": 1}]}, "default/nginx-spot-demo"),
    ],
)
def test_a_story_that_cannot_be_played_is_one_line(terminal: Terminal, tmp_path: Path, change: dict[str, object], names: str) -> None:
    path = tmp_path / "story.json"
    path.write_bytes(msgspec.json.encode(msgspec.to_builtins(tutorial()) | change))
    code, out, err = terminal.type("demo", "--scenario", str(path))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert names in err


def test_a_story_in_which_no_capacity_is_to_be_had_says_so(terminal: Terminal, tmp_path: Path) -> None:
    world = tutorial().world
    short = msgspec.structs.replace(world, groups=(world.groups[0], msgspec.structs.replace(world.groups[1], launchable=2)))
    path = tmp_path / "story.json"
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(tutorial(), world=short)))
    _, out, _ = terminal.type("demo", "--scenario", str(path))
    assert "3 launches failed in spot-4vcpu-16gb" in out
    assert "✗ 12 of 20 running" in out


@pytest.mark.parametrize("speed", ["1e-9", "nan", "inf", "-1"])
def test_a_speed_at_which_nobody_could_watch_is_refused(terminal: Terminal, speed: str) -> None:
    code, out, err = terminal.type("demo", "--speed", speed)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "is neither 0 nor 0.01 to" in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_output_that_cannot_be_written_is_one_line() -> None:
    command = [sys.executable, "-m", "lambda_autoscaler.cli", "demo"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "lambda-autoscaler: standard output: No space left on device\n")


def test_an_interrupt_while_modules_load_is_no_traceback() -> None:
    start = "import builtins, sys\nfrom lambda_autoscaler.cli import __main__\nreal = builtins.__import__\n"
    stop = "def stop(name, *rest):\n    if name == 'click': raise KeyboardInterrupt\n    return real(name, *rest)\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{start}{stop}builtins.__import__ = stop\n__main__.main()"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_without_the_extra_the_command_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from lambda_autoscaler.cli import __main__

    monkeypatch.delitem(sys.modules, "lambda_autoscaler.cli.verbs", raising=False)
    monkeypatch.setitem(sys.modules, "click", None)
    with pytest.raises(SystemExit) as exit_:
        __main__.main()
    assert exit_.value.code == 2
    assert "pip install 'eks-autoscaling[cli]'" in capsys.readouterr().err


def test_a_terminal_without_unicode_gets_the_story_all_the_same() -> None:
    command = [sys.executable, "-m", "lambda_autoscaler.cli", "demo"]
    done = subprocess.run(command, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "20 of 20 running" in done.stdout
