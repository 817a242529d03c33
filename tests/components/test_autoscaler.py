"""The autoscaler component: one function, one schedule, and no more rights than it uses."""

import json
from typing import Any

import pulumi
import pytest

from eks_autoscaling import Autoscaler, event_rules, rbac
from eks_autoscaling.misuse import ArgumentError
from tests.cluster.pulumi_mocks import preview
from tests.components import programs

FUNCTION = "aws:lambda/function:Function"
SCAN = "autoscaler-scan"
MAPPING = "aws:lambda/eventSourceMapping:EventSourceMapping"


def test_settings_become_variables_of_the_function() -> None:
    variables = (
        programs.autoscaler(settings={"expander": "priority"}, log_level="DEBUG").one(FUNCTION, SCAN).inputs["environment"]["variables"]
    )
    assert variables["AUTOSCALER_CLUSTER_NAME"] == "prod"
    assert variables["AUTOSCALER_EXPANDER"] == "priority"
    assert variables["POWERTOOLS_LOG_LEVEL"] == "DEBUG"


def test_a_paused_autoscaler_keeps_everything_in_place() -> None:
    running, paused = programs.autoscaler(), programs.autoscaler(enabled=False)
    assert paused.one("aws:scheduler/schedule:Schedule").inputs["state"] == "DISABLED"
    assert {rule.inputs["state"] for rule in paused.of_type("aws:cloudwatch/eventRule:EventRule")} == {"DISABLED"}
    assert len(paused.resources) == len(running.resources)


def test_a_paused_autoscaler_wakes_nobody() -> None:
    alarms = programs.autoscaler(enabled=False).of_type("aws:cloudwatch/metricAlarm:MetricAlarm")
    assert alarms
    assert {alarm.inputs["actionsEnabled"] for alarm in alarms} == {False}


def test_without_a_kubernetes_provider_the_manifests_are_exported_and_nothing_is_declared() -> None:
    def program() -> None:
        archive = pulumi.AssetArchive({"handler.py": pulumi.StringAsset("")})
        pulumi.export("manifests", Autoscaler("autoscaler", {"cluster": programs.REF, "code": archive}).manifests)

    deployment = preview(program, {})
    groups = [rbac.GROUP, rbac.INTERRUPTION_GROUP]
    assert deployment.outputs["manifests"] == rbac.manifests() + rbac.interruption_manifests() + rbac.flow_control(groups)
    assert not [resource for resource in deployment.resources if resource.type.startswith("kubernetes:")]


def test_rbac_follows_the_settings_that_move_the_autoscalers_objects() -> None:
    def program() -> None:
        archive = pulumi.AssetArchive({"handler.py": pulumi.StringAsset("")})
        moved = {"namespace": "scaling", "status-config-map-name": "status"}
        pulumi.export("manifests", Autoscaler("autoscaler", {"cluster": programs.REF, "code": archive, "settings": moved}).manifests)

    inside = [manifest for manifest in preview(program, {}).outputs["manifests"] if manifest["kind"] in ("Role", "RoleBinding")]
    assert {manifest["metadata"]["namespace"] for manifest in inside} == {"scaling"}
    assert ["status", "eks-autoscaling-state"] in [rule.get("resourceNames") for rule in inside[0]["rules"]]


def test_both_functions_have_invocations_of_their_own() -> None:
    declared = programs.autoscaler(interruption_concurrency=20).of_type(FUNCTION)
    assert {function.name: function.inputs["reservedConcurrentExecutions"] for function in declared} == {
        SCAN: 1,
        "autoscaler-interruption": 20,
    }


def test_accounts_without_concurrency_to_spare_reserve_none() -> None:
    declared = programs.autoscaler(reserved_concurrency=-1).of_type(FUNCTION)
    assert [function.inputs["reservedConcurrentExecutions"] for function in declared] == [-1, -1]


def test_the_level_of_logs_is_the_functions_own_matter() -> None:
    declared = programs.autoscaler(log_level="DEBUG").of_type(FUNCTION)
    assert {function.inputs["loggingConfig"]["logFormat"] for function in declared} == {"Text"}


def test_without_a_fleet_its_schedules_are_an_empty_map() -> None:
    def program() -> None:
        archive = pulumi.AssetArchive({"handler.py": pulumi.StringAsset("")})
        pulumi.export("names", Autoscaler("autoscaler", {"cluster": programs.REF, "code": archive}).fleet_schedule_names)

    assert preview(program, {}).outputs["names"] == {}


def test_the_function_waits_for_its_permissions_and_its_log_group() -> None:
    deployment = programs.autoscaler()
    waits_for = set(deployment.one(FUNCTION, SCAN).options.depends_on)
    assert deployment.one("aws:iam/rolePolicy:RolePolicy", "autoscaler-function").urn in waits_for
    assert deployment.one("aws:cloudwatch/logGroup:LogGroup", "autoscaler-logs").urn in waits_for


def test_without_interruption_nothing_of_its_path_is_declared() -> None:
    def program() -> None:
        archive = pulumi.AssetArchive({"handler.py": pulumi.StringAsset("")})
        autoscaler = Autoscaler("autoscaler", {"cluster": programs.REF, "code": archive, "interruption": False})
        pulumi.export("manifests", autoscaler.manifests)
        pulumi.export("queue", autoscaler.interruption_queue_url)

    deployment = preview(program, {})
    assert [manifest for manifest in deployment.outputs["manifests"] if manifest in rbac.interruption_manifests()] == []
    assert deployment.outputs.get("queue") is None
    assert [resource.name for resource in deployment.of_type(FUNCTION)] == [SCAN]
    kinds = ("aws:sqs/", "aws:cloudwatch/event", "aws:lambda/eventSourceMapping")
    assert [resource.type for resource in deployment.resources if resource.type.startswith(kinds)] == []


def test_a_paused_autoscaler_answers_no_events() -> None:
    assert programs.autoscaler().one(MAPPING).inputs["enabled"] is True
    assert programs.autoscaler(enabled=False).one(MAPPING).inputs["enabled"] is False


def test_more_batches_of_events_can_be_answered_at_a_time() -> None:
    mapping = programs.autoscaler(interruption_concurrency=200).one(MAPPING)
    assert mapping.inputs["scalingConfig"] == {"maximumConcurrency": 200}


def test_a_preview_knows_the_rules_before_anything_exists() -> None:
    declared = {rule.name: rule for rule in programs.autoscaler().of_type("aws:cloudwatch/eventRule:EventRule")}
    patterns = {name.removeprefix("autoscaler-"): json.loads(rule.inputs["eventPattern"]) for name, rule in declared.items()}
    assert patterns == {rule.part: rule.pattern for rule in event_rules.RULES}


def test_the_groups_of_the_two_functions_share_no_object() -> None:
    scan, interruption = (
        {(one["kind"], one["metadata"]["name"]) for one in found} for found in (rbac.manifests(), rbac.interruption_manifests())
    )
    assert scan & interruption == set()


def test_the_autoscaler_reads_no_secrets_and_writes_only_its_own_config_maps() -> None:
    rules = [rule for manifest in rbac.manifests() for rule in manifest.get("rules", [])]
    assert not any("secrets" in rule["resources"] or "*" in rule["resources"] + rule["verbs"] + rule["apiGroups"] for rule in rules)
    written = {
        name
        for rule in rules
        if "configmaps" in rule["resources"] and "update" in rule["verbs"]
        for name in rule.get("resourceNames", ["any"])
    }
    assert written == {"cluster-autoscaler-status", "eks-autoscaling-state"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"settings": {"expandr": "random"}}, "did you mean expander"),
        ({"memory_size_mib": 64}, "memory_size_mib is 64: Lambda takes 128 to 10240"),
        ({"timeout_seconds": 901}, "timeout_seconds is 901: Lambda takes 1 to 900"),
        ({"reserved_concurrency": -2}, "reserved_concurrency is -2: use 1, 0 to stop scans, or -1"),
        ({"log_level": "LOUD"}, "log_level is 'LOUD': use one of DEBUG, INFO"),
        ({"interruption_concurrency": 1}, "interruption_concurrency is 1: Lambda takes 2 to 1000"),
        ({"interruption_concurrency": 1001}, "interruption_concurrency is 1001: Lambda takes 2 to 1000"),
        ({"name": "x" * 48, "interruption": False}, "name is 'x+': use at most 47 characters"),
        ({"name": "x" * 44}, "name is 'x+': use at most 43 characters"),
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        programs.autoscaler(**arguments)
