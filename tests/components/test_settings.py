"""Settings under upstream's flag names, checked in the preview by the function's own parser."""

from typing import Any

import pytest

from eks_autoscaling import settings
from eks_autoscaling.misuse import ArgumentError
from lambda_autoscaler import settings as function_settings
from lambda_autoscaler.core.options import GpuTotal
from lambda_autoscaler.ports import BadInput
from tests.components import programs


def environment(chosen: dict[str, Any]) -> dict[str, Any]:
    return settings.environment("prod", settings.checked(chosen))


def test_settings_reach_the_function_under_their_variable_names() -> None:
    assert environment({"scale-down-unneeded-time": "5m", "balance-similar-node-groups": True}) == {
        "AUTOSCALER_CLUSTER_NAME": "prod",
        "AUTOSCALER_SCALE_DOWN_UNNEEDED_TIME": "5m",
        "AUTOSCALER_BALANCE_SIMILAR_NODE_GROUPS": "true",
    }


def test_lists_become_one_text_and_whole_floats_become_integers() -> None:
    variables = environment({"startup-taint": ["a", "b"], "max-nodes-total": 20.0})
    assert variables["AUTOSCALER_STARTUP_TAINT"] == "a;b"
    assert variables["AUTOSCALER_MAX_NODES_TOTAL"] == "20"


def test_values_may_be_the_texts_that_pulumi_config_makes_of_them() -> None:
    """``pulumi config set --path settings.x 0.7`` stores a text, and true and whole numbers only sometimes as such."""
    options = function_settings.from_environment(
        environment(
            {
                "scale-down-utilization-threshold": "0.7",
                "max-nodes-total": "40",
                "scale-down-enabled": "false",
                "scan-interval": "2m",
                "startup-taint": "a;b",
                "gpu-total": ["nvidia.com/gpu:0:4"],
                "expander": ["priority", "least-waste"],
            }
        )
    )
    assert (options.scale_down_utilization_threshold, options.max_nodes_total, options.scale_down_enabled) == (0.7, 40, False)
    assert (options.scan_interval, options.startup_taint) == (120.0, ("a", "b"))
    assert options.gpu_total == (GpuTotal("nvidia.com/gpu", 0, 4),)
    assert options.expander == ("priority", "least-waste")


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("expander", "cheapest", "'cheapest' is no expander"),
        ("expander", "", "'' must name each expander once"),
        ("scale-down-utilization-threshold", 7, "'7' is not between 0 and 1"),
        ("scale-down-utilization-threshold", float("nan"), "'nan' is not between 0 and 1"),
        ("max-nodes-total", -3, "'-3' is negative"),
        ("max-nodes-total", 1.5, "'1.5' is not a whole number"),
        ("max-nodes-total", True, "'true' is not a whole number"),
        ("scan-interval", "0s", "'0s' is shorter than 5s"),
        ("cores-total", "5:2", "in '5:2' the maximum is below the minimum"),
        ("memory-total", "x", "'x' is not min:max"),
        ("node-group-auto-discovery", ["foo"], "'foo' is not asg:tag=key"),
        ("scale-down-unneeded-time", 600, "'600' is not a duration"),
        ("scale-down-enabled", "no", "'no' is neither true nor false"),
        ("cloud-provider", "azure", "'azure' is not supported here"),
        ("scale-down-uneeded-time", "5m", "there is no such option; did you mean scale-down-unneeded-time?"),
        ("--expander", "random", "there is no such option; did you mean expander?"),
    ],
)
def test_what_the_function_would_refuse_the_preview_refuses_in_its_words(name: str, value: Any, sentence: str) -> None:
    with pytest.raises(ArgumentError) as refused:
        programs.autoscaler(settings={name: value})
    assert refused.value.argument == "settings"
    assert refused.value.remedy.startswith(f"{name}: {sentence}")
    assert f"settings is {{{name!r}: {value!r}}}: " in str(refused.value)
    with pytest.raises(BadInput) as failed:
        function_settings.from_environment({"AUTOSCALER_CLUSTER_NAME": "prod", f"AUTOSCALER_{name.upper()}": settings._text(name, value)})
    assert sentence.partition(";")[0] in str(failed.value)


def test_all_faults_are_told_at_once_and_nothing_that_is_right() -> None:
    with pytest.raises(ArgumentError) as refused:
        settings.checked({"expander": "cheapest", "scale-down-enabled": True, "max-nodes-total": -3})
    assert refused.value.value == {"expander": "cheapest", "max-nodes-total": -3}
    assert "expander: 'cheapest' is no expander" in refused.value.remedy
    assert "; max-nodes-total: '-3' is negative" in refused.value.remedy


def test_settings_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(ArgumentError, match="drain-priority-config: this and max-graceful-termination-sec exclude each other"):
        settings.checked({"drain-priority-config": "0:60", "max-graceful-termination-sec": 60})


@pytest.mark.parametrize("value", [None, {"a": 1}, [1], ["a;b"], object()])
def test_a_value_that_no_flag_has_is_refused(value: object) -> None:
    with pytest.raises(ArgumentError, match=r"settings\['startup-taint'\] is .*: write True or False, a number, a text, or a list"):
        settings.checked({"startup-taint": value})


def test_the_clusters_name_is_no_setting() -> None:
    with pytest.raises(ArgumentError, match=r"settings\['cluster-name'\] is 'prod': leave it out: it is the name of the argument cluster"):
        settings.checked({"cluster-name": "prod"})


@pytest.mark.parametrize("name", sorted(function_settings.MEANINGLESS))
def test_a_flag_without_meaning_is_accepted_and_noted_and_stays_out_of_the_function(name: str) -> None:
    """Users bring the flags of their present deployment."""
    flags = settings.checked({name: "1"})
    assert settings.notes(flags) == (f"{name} has no meaning here and is not used",)
    assert settings.environment("prod", flags) == {"AUTOSCALER_CLUSTER_NAME": "prod"}
