"""Snapshot folders: taken from a live cluster, planned from offline."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lambda_autoscaler import questions
from lambda_autoscaler.app import plan
from lambda_autoscaler.core.memory import Memory, ScaleUpRequest
from lambda_autoscaler.core.plan import Plan
from lambda_autoscaler.edge.snapshot import SnapshotAws, SnapshotKube, open_snapshot, read_flags
from lambda_autoscaler.edge.snapshot_writer import Moment, SnapshotWriter
from lambda_autoscaler.ports import BadInput, Refused
from lambda_autoscaler.settings import from_flags
from tests.small_cluster import NOW, SmallCluster, group, waiting

RECORDED = Path(__file__).parents[1] / "conformance" / "recorded"
TUTORIAL = RECORDED / "tutorial-2-to-7"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TUTORIAL, tmp_path / "snapshot"))


def planned(folder: Path) -> Plan:
    taken = open_snapshot(folder)
    return plan(taken.kube, taken.aws, taken.memory, taken.options, taken.now)


def take(source: Path, target: Path, *, force: bool = False, memory: Memory = Memory()) -> None:  # noqa: B008 - immutable
    taken = open_snapshot(source)
    writer = SnapshotWriter(taken.kube, taken.aws)
    plan(writer.kube, writer.aws, memory, taken.options, taken.now)
    writer.write(target, Moment(read_flags(source), taken.now, memory), force=force)


@pytest.mark.parametrize("name", ["kubernetes/nodes.json", "kubernetes/pods.json", "aws/auto-scaling-groups.json", "options.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BadInput, match=f"{name} is missing"):
        planned(folder)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("kubernetes/nodes.json", "{", "nodes.json"),
        ("kubernetes/nodes.json", '{"items": 5}', r"nodes.json: .*\$\.items"),
        ("kubernetes/pods.json", "[]", "pods.json"),
        ("aws/auto-scaling-groups.json", "{}", "auto-scaling-groups.json: .*AutoScalingGroups"),
        ("options.json", '{"now": "2026-11-22T13:46:47Z"}', "options.json: .*cluster-name"),
        ("options.json", '{"cluster-name": "demo"}', "options.json: now"),
        ("options.json", '{"cluster-name": "demo", "now": "yesterday"}', "options.json: now: 'yesterday'"),
        ("options.json", '{"cluster-name": "demo", "now": "2026-11-22T13:46:47Z", "expandr": "x"}', "did you mean expander"),
        ("options.json", '{"cluster-name": 5}', r"options.json: .*`str`"),
        ("memory.json", '{"version": 99}', "version 99"),
    ],
)
def test_a_broken_file_is_named_with_its_field(folder: Path, name: str, content: str, words: str) -> None:
    (folder / name).write_text(content)
    with pytest.raises(BadInput, match=words):
        planned(folder)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("kubernetes/pdbs.json", '{"items": ['),
        ("aws/instance-types.json", '{"InstanceTypes": [{"InstanceType": "m5.xl'),
        ("aws/launch-template-versions.json", '{"LaunchTemplateVersions": 5}'),
        ("aws/launch-configurations.json", ""),
        ("aws/spot-price-history.json", "[]"),
        ("aws/resolved-types.json", '{"group": 5}'),
        ("aws/nodegroups/workers.json", "{}"),
        ("aws/scaling-activities/group.json", '{"Activities": [{]}'),
    ],
)
def test_a_broken_file_is_an_error_whether_or_not_it_must_be_there(folder: Path, name: str, content: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    with pytest.raises(BadInput, match=name):
        planned(folder)


def test_groups_of_other_clusters_in_the_file_are_not_chosen(folder: Path) -> None:
    path = folder / "aws/auto-scaling-groups.json"
    answer = json.loads(path.read_text())
    answer["AutoScalingGroups"].append({**answer["AutoScalingGroups"][0], "AutoScalingGroupName": "other", "Tags": []})
    path.write_text(json.dumps(answer))
    (page,) = SnapshotAws(folder).groups()
    assert "other" not in [group["AutoScalingGroupName"] for group in json.loads(page)["AutoScalingGroups"]]


def test_a_snapshot_refuses_to_be_changed(folder: Path) -> None:
    kube, aws = SnapshotKube(folder), SnapshotAws(folder)
    writes: tuple[Callable[[], None], ...] = (
        lambda: kube.patch_node("a", b"{}"),
        lambda: kube.write_config_map("a", "b", b"{}"),
        lambda: kube.evict("a", "b", "c", 1),
        lambda: kube.delete_node("a"),
        lambda: kube.record((), 0.0),
        lambda: aws.set_desired_capacity("a", 1),
        lambda: aws.terminate("i-1"),
    )
    for write in writes:
        with pytest.raises(Refused):
            write()


def test_a_launch_template_version_is_resolved_as_ec2_does(folder: Path) -> None:
    versions = [
        {"LaunchTemplateId": "lt-1", "LaunchTemplateName": "w", "VersionNumber": number, "DefaultVersion": number == 2}
        for number in (1, 2, 10)
    ]
    (folder / "aws/launch-template-versions.json").write_text(json.dumps({"LaunchTemplateVersions": versions}))
    aws = SnapshotAws(folder)
    for wanted, number in (("$Default", 2), ("$Latest", 10), ("1", 1)):
        answer = json.loads(aws.describe(questions.LaunchTemplate("w", wanted)) or b"{}")
        assert [item["VersionNumber"] for item in answer["LaunchTemplateVersions"]] == [number]
    assert aws.describe(questions.LaunchTemplate("lt-1", "7")) is None
    assert aws.describe(questions.LaunchTemplate("gone", "$Latest")) is None


@pytest.mark.parametrize("source", [path.parent for path in sorted(RECORDED.glob("*/expected.json"))], ids=lambda path: path.name)
def test_a_taken_snapshot_plans_the_same(source: Path, tmp_path: Path) -> None:
    take(source, tmp_path / "taken")
    first, second = planned(source), planned(tmp_path / "taken")
    assert (first.increases, first.result, first.notices, first.groups) == (second.increases, second.result, second.notices, second.groups)


def test_prices_and_resolved_types_are_in_the_snapshot(tmp_path: Path) -> None:
    made = group("attributes")
    made["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"] = [
        {"InstanceRequirements": {"VCpuCount": {"Min": 4}, "BareMetal": "excluded"}}
    ]
    cluster = SmallCluster(made, group("b", "c5.xlarge"), pods=waiting(2))
    cluster.templates["lt-attributes"] = {"ImageId": "ami-1", "UserData": "SECRET"}
    cluster.matching = ["r5.xlarge", "m5.large"]
    cluster.spot["c5.xlarge", "us-east-1a"] = "0.01"
    writer = SnapshotWriter(cluster, cluster)
    flags = {"cluster-name": "demo", "expander": "price"}
    first = plan(writer.kube, writer.aws, Memory(), from_flags(flags), NOW)
    writer.write(tmp_path / "taken", Moment(flags, NOW))
    second = planned(tmp_path / "taken")
    assert (first.increases, first.options, first.groups, first.faults) == (second.increases, second.options, second.groups, second.faults)
    aws = tmp_path / "taken" / "aws"
    assert json.loads((aws / "resolved-types.json").read_text()) == {"attributes": "r5.xlarge"}
    (price,) = json.loads((aws / "spot-price-history.json").read_text())["SpotPriceHistory"]
    assert price == {"InstanceType": "c5.xlarge", "AvailabilityZone": "us-east-1a", "SpotPrice": "0.01"}
    assert "excluded" in (aws / "auto-scaling-groups.json").read_text()


def test_what_was_remembered_is_in_the_snapshot(tmp_path: Path) -> None:
    memory = Memory(requests={"eks-spot-4vcpu-16gb": ScaleUpRequest(5, 1.0, 2.0)})
    take(TUTORIAL, tmp_path / "taken", memory=memory)
    assert open_snapshot(tmp_path / "taken").memory == memory


def test_nothing_secret_reaches_the_disk(folder: Path, tmp_path: Path) -> None:
    path = folder / "kubernetes/pods.json"
    pods = json.loads(path.read_text())
    for pod in pods["items"]:
        pod["metadata"]["annotations"] = {"vault/token": "SECRET-a", "cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
        pod["metadata"]["managedFields"] = [{"manager": "SECRET-b"}]
        for container in pod["spec"]["containers"]:
            container |= {"env": [{"name": "PASSWORD", "value": "SECRET-c"}], "args": ["SECRET-d"], "command": ["SECRET-e"]}
    path.write_text(json.dumps(pods))
    templates = folder / "aws/launch-template-versions.json"
    templates.write_text(templates.read_text().replace('"ImageId"', '"UserData":"SECRET-f","ImageId"'))
    config_maps = {"items": [{"metadata": {"namespace": "kube-system", "name": "app"}, "data": {"password": "SECRET-g"}}]}
    (folder / "kubernetes/configmaps.json").write_text(json.dumps(config_maps))
    take(folder, tmp_path / "taken")
    written = "".join(file.read_text() for file in (tmp_path / "taken").rglob("*.json"))
    assert "SECRET" not in written
    assert "safe-to-evict" in written


def test_a_folder_that_is_not_empty_is_kept(folder: Path, tmp_path: Path) -> None:
    precious = tmp_path / "documents"
    precious.mkdir()
    (precious / "letter").write_text("dear")
    for force in (False, True):
        with pytest.raises(BadInput, match="documents is not"):
            take(folder, precious, force=force)
    assert (precious / "letter").read_text() == "dear"
    take(folder, tmp_path / "taken")
    with pytest.raises(BadInput, match="taken is not empty"):
        take(folder, tmp_path / "taken")
    (tmp_path / "taken" / "stale").write_text("")
    take(folder, tmp_path / "taken", force=True)
    assert not (tmp_path / "taken" / "stale").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["documents", "snapshot", "taken"]
