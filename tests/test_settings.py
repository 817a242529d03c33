"""Flags of the Cluster Autoscaler as settings."""

import msgspec
import pytest

from lambda_autoscaler.core.options import DrainPriority, GpuTotal, GroupSpec, Options, Range, TagFilter
from lambda_autoscaler.ports import BadInput
from lambda_autoscaler.settings import MEANINGLESS, UNSUPPORTED, environment_flags, from_environment, from_flags, notes_on

NAME = {"cluster-name": "demo"}


def fault(**flags: str) -> str:
    with pytest.raises(BadInput) as caught:
        from_flags({**NAME, **{name.replace("_", "-"): value for name, value in flags.items()}})
    return str(caught.value)


def test_a_cluster_name_is_enough() -> None:
    assert from_environment({"AUTOSCALER_CLUSTER_NAME": "demo", "PATH": "/bin"}) == Options(cluster_name="demo")


@pytest.mark.parametrize(
    ("flag", "text", "value"),
    [
        ("scale-down-unneeded-time", "1m30s", 90.0),
        ("max-nodes-total", "100", 100),
        ("balance-similar-node-groups", "true", True),
        ("skip-nodes-with-local-storage", "F", False),
        ("scale-down-utilization-threshold", "0.65", 0.65),
        ("max-total-unready-percentage", "33", 33.0),
        ("expendable-pods-priority-cutoff", "-100", -100),
        ("cores-total", "8:640", Range(8, 640)),
        ("expander", "priority,price", ("priority", "price")),
        ("nodes", "1:3:blue; 0:5:green", (GroupSpec(1, 3, "blue"), GroupSpec(0, 5, "green"))),
        ("gpu-total", "nvidia-l4:0:8", (GpuTotal("nvidia-l4", 0, 8),)),
        ("drain-priority-config", "1000:60,-5:10", (DrainPriority(-5, 10), DrainPriority(1000, 60))),
        ("startup-taint", "a;b", ("a", "b")),
        ("bypassed-scheduler-names", "x,y", ("x", "y")),
        ("node-group-auto-discovery", "asg:tag=a=1,b;asg:tag=a=2", (TagFilter("a", "2"), TagFilter("b"))),
        ("status-config-map-name", "mine", "mine"),
        ("scan-interval", "15s", 15.0),
    ],
)
def test_each_form_of_flag_is_read(flag: str, text: str, value: object) -> None:
    expected = msgspec.structs.replace(Options(cluster_name="demo"), **{flag.replace("-", "_"): value})
    assert from_flags({**NAME, flag: text}) == expected
    variable = "AUTOSCALER_" + flag.upper().replace("-", "_")
    assert from_environment({"AUTOSCALER_CLUSTER_NAME": "demo", variable: text}) == expected


@pytest.mark.parametrize("field", msgspec.structs.fields(Options), ids=lambda field: str(field.name))
def test_every_option_refuses_nonsense_or_takes_any_text(field: msgspec.structs.FieldInfo) -> None:
    takes_text = field.type is str or field.name in (
        "balancing_ignore_label",
        "balancing_label",
        "startup_taint",
        "startup_taint_prefix",
        "status_taint",
        "bypassed_scheduler_names",
        "allowed_scheduler_names",
    )
    flags = {**NAME, field.name.replace("_", "-"): "no sense"}
    if takes_text:
        assert from_flags(flags) is not None
    else:
        with pytest.raises(BadInput, match=field.name.replace("_", "-")):
            from_flags(flags)


def test_all_faults_come_in_one_message() -> None:
    said = fault(scale_down_unneeded_time="10 minutes", nodes="5:3:a", expandr="random", cores_total="9", max_nodes_total="-1")
    for name in ("scale-down-unneeded-time", "nodes", "expandr", "cores-total", "max-nodes-total"):
        assert name in said


def test_an_unknown_name_gets_a_suggestion_in_its_own_spelling() -> None:
    assert "did you mean expander?" in fault(expandr="random")
    with pytest.raises(BadInput, match=r"AUTOSCALER_EXPANDR.*did you mean AUTOSCALER_EXPANDER\?"):
        from_environment({"AUTOSCALER_CLUSTER_NAME": "demo", "AUTOSCALER_EXPANDR": "random"})


def test_a_missing_cluster_name_is_a_fault() -> None:
    with pytest.raises(BadInput, match="AUTOSCALER_CLUSTER_NAME: it is required"):
        from_environment({})


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"expander": "grpc"}, "grpc expander is not supported"),
        ({"expander": "cheapest"}, "there are: least-nodes"),
        ({"scan_interval": "1s"}, "shorter than 5s"),
        ({"expander": "random,most-pods"}, "nothing can follow random"),
        ({"expander": "random,random"}, "each expander once"),
        ({"nodes": "1:a"}, "min:max:name"),
        ({"node_group_auto_discovery": "label:x"}, "asg:tag=key"),
        ({"node_group_auto_discovery": "asg:tag==v"}, "tag without a key"),
        ({"drain_priority_config": "1:2", "max_graceful_termination_sec": "30"}, "exclude each other"),
        ({"allowed_scheduler_names": "a", "bypassed_scheduler_names": "a,b"}, "b must also be in allowed-scheduler-names"),
        ({"scale_down_utilization_threshold": "50"}, "between 0 and 1"),
        ({"scale_down_unneeded_time": "-1m"}, "negative"),
        ({"predicate_parallelism": "0"}, "at least 1"),
        ({"cloud_provider": "gce"}, "not supported"),
        ({"enable_provisioning_requests": "true"}, "not supported"),
    ],
)
def test_contradictions_and_wrong_values_are_named(flags: dict[str, str], words: str) -> None:
    assert words in fault(**flags)


def test_flags_without_meaning_here_are_accepted_and_noted() -> None:
    flags = {**NAME, "max-inactivity": "10m", "v": "4", "cloud-provider": "aws"}
    assert from_flags(flags) == Options(cluster_name="demo")
    assert notes_on(flags) == ("max-inactivity has no meaning here and is not used", "v has no meaning here and is not used")


@pytest.mark.parametrize("flag", sorted(MEANINGLESS))
def test_a_flag_without_meaning_is_accepted_as_a_variable_too(flag: str) -> None:
    variable = f"AUTOSCALER_{flag.upper().replace('-', '_')}"
    assert from_environment({"AUTOSCALER_CLUSTER_NAME": "demo", variable: "1"}) == Options(cluster_name="demo")


def test_a_deprecated_name_still_counts() -> None:
    assert from_flags({**NAME, "ignore-taint": "b", "startup-taint": "a"}).startup_taint == ("a", "b")
    assert "use startup-taint" in notes_on(environment_flags({"AUTOSCALER_IGNORE_TAINT": "b"}))[0]


def test_no_flag_is_in_two_minds() -> None:
    known = {field.name.replace("_", "-") for field in msgspec.structs.fields(Options)}
    assert not known & MEANINGLESS
    assert not known & set(UNSUPPORTED)
    assert not MEANINGLESS & set(UNSUPPORTED)
