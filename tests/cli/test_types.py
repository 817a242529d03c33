"""Instance types to pin, and a catalogue of one's own, at the command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from moto import mock_aws

from eks_autoscaling.catalogue import instance_types
from tests.cli.screens import Terminal, same_as_recorded

SHAPE = ("types", "--vcpus", "4", "--memory", "16")
SEED = (*SHAPE, "--allow", "m4*", "--allow", "m5*")


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


def test_the_tutorials_types_as_a_table(terminal: Terminal, tmp_path: Path) -> None:
    code, out, _ = terminal.type(*SEED)
    assert code == 0
    same_as_recorded("types-seed", out, tmp_path)


def test_a_list_to_paste_into_a_program(terminal: Terminal) -> None:
    _, out, _ = terminal.type(*SEED, "--limit", "2", "-o", "python")
    assert out == '"instance_types": ["m5.xlarge", "m5a.xlarge"],\n'


def test_types_are_chosen_where_pulumi_is_not_installed() -> None:
    start = "import sys; sys.modules.update(dict.fromkeys(('pulumi', 'pulumi_aws', 'pulumi_kubernetes')))"
    program = f"{start}\nfrom lambda_autoscaler.cli.verbs import run\nsys.exit(run({[*SEED, '--limit', '2', '-o', 'python']}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, '"instance_types": ["m5.xlarge", "m5a.xlarge"],\n', "")


def test_programs_get_the_list_the_catalogue_and_how_many_more_match(terminal: Terminal) -> None:
    _, out, _ = terminal.type(*SHAPE, "-o", "json")
    document = json.loads(out)
    assert (len(document["instance_types"]), document["left_out"]) == (20, 7)
    assert document["catalogue"].startswith("ec2:DescribeInstanceTypes")


@pytest.mark.parametrize("words", [("types", "--vcpus", "4", "--memory", "17"), (*SHAPE, "--limit", "0"), (*SHAPE, "--allow", "q*")])
def test_what_cannot_be_met_is_one_line(terminal: Terminal, words: tuple[str, ...]) -> None:
    code, out, err = terminal.type(*words)
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_the_table_says_why_it_holds_no_more(terminal: Terminal) -> None:
    assert "20 types, best first; 7 more match, and a managed node group takes no more." in terminal.type(*SHAPE)[1]
    assert "3 types, best first; 24 more match, and --limit 3 leaves them out." in terminal.type(*SHAPE, "--limit", "3")[1]
    assert "1 type, best first. To paste" in terminal.type(*SHAPE, "--allow", "m5.*")[1]


def test_accelerators_are_shown_where_they_are_asked_for(terminal: Terminal) -> None:
    words = ("--accelerator", "gpu", "--accelerator-count", "1", "--accelerator-memory", "22.3516")
    shown = [line.rstrip() for line in terminal.type(*SHAPE, *words)[1].splitlines()]
    assert shown[0].endswith("ACCELERATORS")
    assert [line.split("  ")[0] for line in shown[1:3]] == ["g6.xlarge", "g5.xlarge"]
    assert shown[1].endswith("1 gpu of 22.3516 GiB")


@pytest.mark.parametrize("flag", ["--region", "--profile"])
def test_how_to_ask_aws_without_a_zone_to_ask_about_is_refused(terminal: Terminal, flag: str) -> None:
    code, out, err = terminal.type(*SHAPE, flag, "us-east-1")
    assert (code, out, err) == (2, "", f"lambda-autoscaler: {flag}: AWS is asked about zones only, add --zone\n")


def test_the_help_says_what_is_left_out(terminal: Terminal) -> None:
    text = " ".join(terminal.type("types", "--help")[1].split())
    assert "Left out unless asked for: types with accelerators, burstable ones, bare metal. Always left out: what EC2 does not sell" in text


def test_a_catalogue_that_is_not_there_is_one_line(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EKS_AUTOSCALING_INSTANCE_TYPES", "/nowhere.csv")
    instance_types.cache_clear()
    try:
        code, out, err = terminal.type(*SHAPE)
    finally:
        instance_types.cache_clear()
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "/nowhere.csv cannot be read" in err


@mock_aws
@pytest.mark.usefixtures("account")
@pytest.mark.aws
def test_with_zones_only_what_ec2_offers_in_all_of_them(terminal: Terminal) -> None:
    zones = ("--zone", "us-east-1a", "--zone", "us-east-1e")
    _, out, _ = terminal.type(*SHAPE, *zones, "-o", "json")
    few = json.loads(out)["instance_types"]
    assert "m4.xlarge" in few
    assert len(few) < 20


@mock_aws
@pytest.mark.usefixtures("account")
@pytest.mark.aws
def test_a_zone_that_is_none_is_named(terminal: Terminal) -> None:
    code, _, err = terminal.type(*SHAPE, "--zone", "us-east-1x", "--region", "us-east-1")
    assert (code, "us-east-1x" in err) == (2, True)


@mock_aws
@pytest.mark.usefixtures("account")
@pytest.mark.aws
def test_a_catalogue_of_today_is_written_with_how_to_use_it(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "types.csv"
    code, out, _ = terminal.type("catalogue", str(file), "--region", "eu-west-1")
    assert code == 0
    assert f"export EKS_AUTOSCALING_INSTANCE_TYPES={file}" in out
    assert file.read_text().startswith("# ec2:DescribeInstanceTypes, eu-west-1, ")
