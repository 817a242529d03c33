"""The reference pages agree with the code: components, flags, permissions, metrics, messages, snapshot files.

``RECORD_DOCS=1 pytest tests/test_docs.py tests/test_reference_pages.py`` writes screens, components, flag tables and policies anew; notes
stay.
"""

import ast
import json
import re
import textwrap
from functools import cache
from pathlib import Path

import msgspec
import pytest

from eks_autoscaling import event_rules, policies, rbac
from lambda_autoscaler import interruption_log
from lambda_autoscaler.core.options import Options
from lambda_autoscaler.core.plan import GroupStatus, Plan, ScaleUpResult
from lambda_autoscaler.edge import snapshot, telemetry
from lambda_autoscaler.edge.memory import RECORD_KEY
from lambda_autoscaler.settings import ALIASES, MEANINGLESS, UNSUPPORTED
from tests import component_reference
from tests.conformance.test_recorded_decisions import FOLDERS
from tests.documents import ROOT, codes, headings, rows, same_as_written, section

README = ROOT / "README.md"
COMPONENTS = ROOT / "docs" / "components.md"
COMPATIBILITY = ROOT / "docs" / "compatibility.md"
IAM = ROOT / "docs" / "iam.md"
METRICS = ROOT / "docs" / "metrics.md"
SNAPSHOT_FORMAT = ROOT / "docs" / "snapshot-format.md"
TROUBLESHOOTING = ROOT / "docs" / "troubleshooting.md"
SOURCES = [*sorted((ROOT / "lambda_autoscaler").rglob("*.py")), *sorted((ROOT / "components").rglob("*.py")), ROOT / "tasks.py"]
FIELDS = msgspec.structs.fields(Options)
UNITLESS = ("_ratio", "percentage", "threshold", "_share")


# --- Components -------------------------------------------------------------------------------------------


def test_the_components_shown_are_the_exported_ones() -> None:
    same_as_written(COMPONENTS, section(COMPONENTS, "components"), component_reference.page())
    assert set(component_reference.components()) <= set(headings(COMPONENTS, 2))


def test_every_argument_and_output_says_what_it_is_for() -> None:
    assert component_reference.undocumented() == []


# --- Flags ------------------------------------------------------------------------------------------------


@cache
def source_of_the_function() -> str:
    return "\n".join(path.read_text() for path in sorted((ROOT / "lambda_autoscaler").rglob("*.py")))


def is_read(field: str) -> bool:
    """Whether any code reads the option. Discovery reads two of them for everybody."""
    return field == "node_group_auto_discovery" or re.search(rf"options\.{field}\b", source_of_the_function()) is not None


def duration(seconds: float) -> str:
    hours, minutes = divmod(seconds, 3600), divmod(seconds, 60)
    if seconds and not hours[1]:
        return f"{hours[0]:g}h"
    return f"{minutes[0]:g}m" if seconds and not minutes[1] else f"{seconds:g}s"


def default(field: msgspec.structs.FieldInfo) -> str:
    value = field.default
    if field.required:
        return "(none)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(value) or "(empty)"
    if isinstance(value, float) and not any(word in field.name for word in UNITLESS):
        return duration(value)
    if hasattr(value, "minimum"):
        return f"{value.minimum}:{value.maximum}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def test_the_table_has_every_flag_with_its_default_and_whether_anything_reads_it() -> None:
    written = section(COMPATIBILITY, "flags")
    notes = {row[0]: row[3] for row in rows(written)}
    lines = ["| flag | default | here | note |", "|---|---|---|---|"]
    for field in FIELDS:
        flag = f"`--{field.encode_name.replace('_', '-')}`"
        here = "yes" if is_read(field.name) else "no effect yet"
        lines.append(f"| {flag} | {default(field)} | {here} | {notes.get(flag, '')} |".replace("|  |", "| |"))
    same_as_written(COMPATIBILITY, written, "\n".join(lines) + "\n")


def test_flags_that_are_accepted_at_one_value_are_listed_with_it() -> None:
    written = section(COMPATIBILITY, "only")
    lines = [f"| `--{flag}` | {' or '.join(value or '(empty)' for value in values)} |" for flag, values in sorted(UNSUPPORTED.items())]
    same_as_written(COMPATIBILITY, written, "\n".join(["| flag | accepted as |", "|---|---|", *lines]) + "\n")


def test_flags_without_a_meaning_are_listed() -> None:
    text = ", ".join(f"`--{flag}`" for flag in sorted(MEANINGLESS)) + "."
    now = textwrap.fill(text, 138, break_on_hyphens=False, break_long_words=False) + "\n"
    same_as_written(COMPATIBILITY, section(COMPATIBILITY, "meaningless"), now)


def test_deprecated_flags_are_named_with_their_successors() -> None:
    text = COMPATIBILITY.read_text()
    assert all(f"`--{old}` is read as `--{new}`" in text for old, new in ALIASES.items())


@pytest.mark.parametrize("title", ["Annotations and labels", "Taints", "Tags of an Auto Scaling group", "ConfigMaps and the lock"])
def test_keys_said_to_work_occur_in_the_code(title: str) -> None:
    table = COMPATIBILITY.read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]
    working = [key for row in rows(table) if row[1].startswith(("yes", "ours")) for key in codes(row[0])]
    names = [key.partition("=")[0].removeprefix("...").removesuffix("CLUSTER") for key in working]
    prefix = "node.kubernetes.io/"
    assert [name for name in names if name.removeprefix(prefix) not in source_of_the_function()] == []


def test_events_said_to_be_recorded_occur_in_the_code_and_those_that_never_are_do_not() -> None:
    table = COMPATIBILITY.read_text().partition("## Events\n")[2].partition("\n## ")[0]
    said = {reason: row[1] for row in rows(table) for reason in codes(row[0])}
    occurs = {reason: f'"{reason}"' in source_of_the_function() for reason in said}
    assert [reason for reason, here in said.items() if here in ("yes", "no") and occurs[reason] != (here == "yes")] == []


# --- Permissions ------------------------------------------------------------------------------------------


CLUSTER_ARN = "arn:aws:eks:REGION:ACCOUNT:cluster/CLUSTER"
LOG_GROUP_ARN = "arn:aws:logs:REGION:ACCOUNT:log-group:LOG-GROUP"
QUEUE_ARN = "arn:aws:sqs:REGION:ACCOUNT:QUEUE"
RULE_ARNS = [f"arn:aws:events:REGION:ACCOUNT:rule/RULE-{number}" for number, _ in enumerate(event_rules.RULES, 1)]
QUEUE_POLICY = policies.event_queue(QUEUE_ARN, RULE_ARNS, "ACCOUNT")
ROLES = {
    "In AWS: the scan's role": policies.autoscaler(CLUSTER_ARN, LOG_GROUP_ARN),
    "In AWS: the interruption function's role": policies.interruption(
        CLUSTER_ARN, LOG_GROUP_ARN, QUEUE_ARN, "arn:aws:lambda:REGION:ACCOUNT:function:SCAN-FUNCTION"
    ),
}
GROUPS = {
    "In the cluster: the scan": rbac.manifests(),
    "In the cluster: the interruption function": rbac.interruption_manifests(),
}


def under(heading: str) -> str:
    """The text of the permissions page between this heading and the next."""
    return IAM.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize(("heading", "declared"), {**ROLES, "In AWS: the queue": QUEUE_POLICY}.items())
def test_the_policy_shown_is_the_declared_one(heading: str, declared: policies.Document) -> None:
    written = under(heading)
    before, _, rest = written.partition("```json\n")
    now = f"{before}```json\n{json.dumps(declared, indent=2)}\n```{rest.partition('```')[2]}"
    same_as_written(IAM, written, now)


@pytest.mark.parametrize("heading", ROLES)
def test_every_action_has_a_reason(heading: str) -> None:
    table = rows(under(heading))
    assert sorted(codes(row[0])[0] for row in table) == sorted(action for part in ROLES[heading]["Statement"] for action in part["Action"])
    assert all(row[2] for row in table)


@pytest.mark.parametrize("heading", GROUPS)
def test_every_rule_in_the_cluster_has_a_reason(heading: str) -> None:
    table = rows(under(heading))
    declared = [
        [
            manifest["kind"],
            f"`{'/'.join(filter(None, (rule['apiGroups'][0], resource)))}`",
            ", ".join(rule["verbs"]),
            ", ".join(rule.get("resourceNames", [])),
        ]
        for manifest in GROUPS[heading]
        for rule in manifest.get("rules", [])
        for resource in rule["resources"]
    ]
    assert [row[:4] for row in table] == declared
    assert all(row[4] for row in table)


# --- Metrics ----------------------------------------------------------------------------------------------


def quiet_scan() -> set[str]:
    found = telemetry.cluster_metrics(Plan(ScaleUpResult.NOT_NEEDED), {}, Options(cluster_name="-"))
    return {telemetry.PREFIX + name for name in found}


def documented() -> list[str]:
    return [codes(row[0])[0] for row in rows(METRICS.read_text())]


def test_every_metric_is_documented() -> None:
    group = telemetry.group_metrics(
        msgspec.convert({**dict.fromkeys(required_of(GroupStatus), 0), "group": "any"}, GroupStatus, strict=False)
    )
    written = quiet_scan() | {telemetry.PREFIX + name for name in group}
    assert [name for name in written if not any(re.fullmatch(known.replace("*", ".+"), name) for known in documented())] == []


def required_of(shape: type[msgspec.Struct]) -> list[str]:
    return [field.name for field in msgspec.structs.fields(shape) if field.required]


def test_documented_metrics_occur_in_the_code() -> None:
    source = Path(telemetry.__file__).read_text() + Path(interruption_log.__file__).read_text()
    assert [name for name in documented() if name.removeprefix(telemetry.PREFIX).rstrip("*") not in source] == []


@pytest.mark.parametrize("page", [README, METRICS], ids=lambda page: page.name)
def test_the_price_of_the_metrics_follows_from_their_number(page: Path) -> None:
    number = len(quiet_scan())
    text = " ".join(page.read_text().split())
    assert f"at least {number} metrics" in text
    assert f"${number * 0.30:.2f}" in text


# --- Messages, snapshots, recorded decisions --------------------------------------------------------------


@cache
def texts_of_the_code() -> tuple[str, ...]:
    """Every text in the code; what is filled in at run time is an ellipsis."""
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            if isinstance(node, ast.JoinedStr):
                found.append("".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values))
    return tuple(found)


MESSAGES = [*headings(TROUBLESHOOTING, 2), *headings(TROUBLESHOOTING, 3)]
# Headings that are no message of ours: one is none at all, the others are AWS Lambda's and Pulumi's.
OF_OTHERS = (
    "Pods stay pending and there is no error",
    "decreases account's UnreservedConcurrentExecution below its minimum value",
    "unable to load schema information from the API server",
)


@pytest.mark.parametrize("heading", [heading for heading in MESSAGES if heading not in OF_OTHERS])
def test_a_heading_of_troubleshooting_is_a_message_of_the_code(heading: str) -> None:
    assert any(heading in text for text in texts_of_the_code())


def test_every_file_of_a_snapshot_is_documented() -> None:
    constants = {value for name, value in vars(snapshot).items() if name.endswith("_FILE")} | {RECORD_KEY}
    listed = {code for row in rows(SNAPSHOT_FORMAT.read_text()) for code in codes(row[0])}
    assert constants <= listed


def test_the_readme_says_how_many_recorded_decisions_there_are() -> None:
    text = " ".join(README.read_text().split())
    assert f"{len(FOLDERS)} of its decisions, recorded on {len(FOLDERS)} clusters" in text
    assert f"in {len(FOLDERS)} of {len(FOLDERS)}" in text
