"""What the documents show is what there is: commands run, screens are real, links lead somewhere, programs can be previewed."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from unittest import mock

import msgspec
import pytest

import tasks
from tests.cluster.pulumi_mocks import preview
from tests.documents import PAGES, ROOT, anchors, blocks, codes, commands, headings, links, named, same_as_written

README = ROOT / "README.md"
STARTED = ROOT / "docs" / "getting-started.md"
MINIMAL = ROOT / "stacks" / "minimal"

LIVE = "tests/cluster/test_story.py::test_planning_live_and_from_a_snapshot_gives_the_function_s_answer_and_changes_nothing"
# Commands whose equivalent another test runs.
ELSEWHERE = {
    "python3 tasks.py demo": "tests/cli/test_demo.py::test_the_demo_shows_2_to_7_and_20_of_20_running",
    "python3 tasks.py test": "tests/test_tiers.py::test_a_run_ends_with_what_each_tier_did_and_why_one_was_skipped",
    "python3 tasks.py demo --real-control-plane": "tests/cluster/test_story.py::test_all_twenty_pods_run_once_the_five_nodes_have_joined",
    "lambda-autoscaler plan": LIVE,
    "lambda-autoscaler plan --cluster-name eks-spot-managed-node-groups": LIVE,
    "lambda-autoscaler snapshot before": LIVE,
    "lambda-autoscaler interruption event.json --snapshot tutorial": (
        "tests/cli/test_interruption.py::test_a_warning_about_a_managed_spot_node"
    ),
    "lambda-autoscaler catalogue types.csv --region us-east-1": (
        "tests/cli/test_types.py::test_a_catalogue_of_today_is_written_with_how_to_use_it"
    ),
    "lambda-autoscaler demo --scenario story.yaml": "tests/cli/test_demo.py::test_the_scenario_of_its_page_plays",
}
# Programs that need an AWS account or a cluster, and which no test of a clone can run.
OF_OTHERS = ("pulumi ", "kubectl ", "aws ", "export ", "uv ")


def typed(words: str, folder: Path) -> str:
    """Standard output of a lambda-autoscaler command that ended well."""
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "PYTHONPATH": str(ROOT), "KUBECONFIG": str(folder / "none")}
    command = [sys.executable, "-m", "lambda_autoscaler.cli", *shlex.split(words)[1:]]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return "\n".join(line.rstrip() for line in done.stdout.splitlines())


def contains(screen: str, shown: tuple[str, ...]) -> bool:
    """Whether the lines are in the screen, in order; a line of three dots stands for any lines."""
    parts = "\n".join(shown).split("\n...\n")
    return re.search(".*".join(re.escape(part) for part in parts), screen, re.DOTALL) is not None


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> str:
    return typed("lambda-autoscaler demo", tmp_path_factory.mktemp("demo"))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_shown_runs_and_shows_what_the_page_shows(page: Path, tmp_path: Path) -> None:
    for command in commands(page):
        if command.words in ELSEWHERE or command.words.startswith(OF_OTHERS):
            assert command.shown == (), f"nothing here runs {command.words}, so its screen cannot be checked"
            continue
        assert command.words.startswith("lambda-autoscaler "), f"no test runs: {command.words}"
        assert contains(typed(command.words, tmp_path), command.shown)


@pytest.mark.parametrize("test", sorted(set(ELSEWHERE.values())))
def test_the_tests_that_run_a_command_elsewhere_exist(test: str) -> None:
    path, _, name = test.partition("::")
    assert f"def {name}(" in (ROOT / path).read_text()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_tasks_modules_and_files_named_in_the_text_exist(page: Path) -> None:
    text = page.read_text()
    assert set(re.findall(r"tasks\.py (\w+)", text)) <= set(tasks.TASKS)
    assert [module for module in re.findall(r"-m (tests[\w.]+)", text) if importlib.util.find_spec(module) is None] == []
    paths = [code for code in codes(text) if re.fullmatch(r"(docs|tests|stacks|components|lambda_autoscaler)/[\w./-]+", code)]
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_page_has_one_title(page: Path) -> None:
    assert len(headings(page, 1)) == 1


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if link.startswith("https://"):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), link
        assert not anchor or anchor in anchors(path), link


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_lines_are_short_enough_to_be_read_in_a_terminal(page: Path) -> None:
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    assert [line for line in prose.splitlines() if len(line) > 160 and not line.startswith("|")] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_row_of_a_table_stands_below_a_heading(page: Path) -> None:
    tables = re.findall(r"(?:^\|.*\n)+", page.read_text(), re.MULTILINE)
    assert [table for table in tables if not re.match(r"\|.*\n\|[-:| ]+\|\n", table)] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_snippet_is_whole(page: Path) -> None:
    for text in blocks(page, "python"):
        compile(text, named(page), "exec")
    for text in blocks(page, "json"):
        msgspec.json.decode(text)
    for text in blocks(page, "yaml"):
        msgspec.yaml.decode(text)


def test_the_readmes_screen_is_the_demos(demo: str) -> None:
    (written,) = (text for text in blocks(README, "text") if "kubectl scale" in text)
    excerpt = re.search(r"^00:10    kubectl scale.*?^01:09 [^\n]*\n", demo, re.MULTILINE | re.DOTALL)
    assert excerpt
    same_as_written(README, written, excerpt[0])


def test_the_plan_in_getting_started_is_the_tutorials(tmp_path: Path) -> None:
    typed("lambda-autoscaler demo --snapshot tutorial", tmp_path)
    (written,) = (text for text in blocks(STARTED, "text") if "NODE GROUP" in text)
    table = re.search(r"^   NODE GROUP.*?\n(?=\n)", typed("lambda-autoscaler plan tutorial", tmp_path), re.MULTILINE | re.DOTALL)
    assert table
    same_as_written(STARTED, written, table[0])


def test_the_readmes_program_is_the_minimal_stack() -> None:
    (program,) = blocks(README, "python")
    source = (MINIMAL / "__main__.py").read_text()
    assert source.partition('"""\n\n')[2] == program


def test_the_minimal_stack_has_the_lines_that_the_readme_counts() -> None:
    lines = [line for line in (MINIMAL / "__main__.py").read_text().splitlines() if line and not line.startswith('"""')]
    assert len(lines) == 11
    assert "whole: eleven lines" in README.read_text()


def test_the_minimal_stack_can_be_previewed() -> None:
    role = "arn:aws:iam::123456789012:role/team"
    declared = preview(MINIMAL, {"subnetIds": ["subnet-1", "subnet-2"], "adminRoleArn": role})
    assert [len(declared.of_type(f"aws:{kind}")) for kind in ("eks/cluster:Cluster", "eks/nodeGroup:NodeGroup")] == [1, 2]
    assert (
        declared.one("aws:lambda/function:Function", "autoscaler-scan").inputs["environment"]["variables"]["AUTOSCALER_EXPANDER"]
        == "least-waste"
    )
    assert len([resource for resource in declared.resources if resource.type.startswith("kubernetes:rbac")]) == 6


def test_getting_started_says_how_many_resources_the_tutorial_makes(tmp_path: Path) -> None:
    (tmp_path / "function.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    declared = preview(ROOT / "stacks" / "tutorial", {"functionZip": str(tmp_path / "function.zip")})
    assert f"Expected: {len(declared.resources)} resources" in STARTED.read_text()


def test_getting_started_names_every_configuration_key() -> None:
    source = (ROOT / "stacks" / "tutorial" / "configuration.py").read_text()
    keys = set(re.findall(r'config\.get(?:_object|_bool)?\("(\w+)"', source))
    table = STARTED.read_text().partition("| `pulumi config set`")[2].partition("\n\n")[0]
    assert keys == {re.sub(r"--path '(\w+).*", r"\1", code) for code in (codes(line)[0] for line in table.splitlines()[2:])}


def test_the_readmes_layers_are_the_enforced_ones() -> None:
    import tomllib

    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    enforced = {name.strip().removeprefix("lambda_autoscaler.") for layer in contracts[0]["layers"] for name in layer.split("|")}
    (picture,) = (text for text in blocks(README, "text") if "Lambda entry point" in text)
    assert {name for line in picture.splitlines() for name in re.split(r"\s{2,}", line)[0].split(", ")} <= enforced


def test_the_ten_minute_tour_exists() -> None:
    (tour,) = re.findall(r"ten minutes: (.+?), all under", README.read_text())
    assert all((ROOT / "lambda_autoscaler" / name).is_file() for name in codes(tour))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_no_placeholder_is_left_in_a_page(page: Path) -> None:
    assert re.findall(r"@[A-Z]+@|\bTBD\b", page.read_text()) == []


@pytest.mark.parametrize("task", [task.__name__ for task in tasks.WITHOUT_ARGUMENTS])
def test_a_task_without_arguments_says_so_and_does_nothing(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    with mock.patch.object(tasks, "run", side_effect=AssertionError):
        assert tasks.main([task, "--help"]) == 0
        with pytest.raises(tasks.TaskError, match=f"{task} takes no arguments: --quick"):
            tasks.main([task, "--quick"])
    assert capsys.readouterr().out
