"""Settings under upstream's flag names, checked in the preview and understood by the function."""

import msgspec
import pytest

from eks_autoscaling import settings
from eks_autoscaling.misuse import ArgumentError
from lambda_autoscaler import settings as function_settings
from lambda_autoscaler.core.options import Options

# One value of each kind, in the form of a program and of the function's environment.
EXAMPLES = {
    "True or False": (True, "true"),
    "a whole number": (7, "7"),
    "a number": (0.5, "0.5"),
    'a duration such as "10m" or "1h30m"': ("10m", "10m"),
}


def test_settings_reach_the_function_under_their_variable_names() -> None:
    assert settings.environment("prod", {"scale-down-unneeded-time": "5m", "balance-similar-node-groups": True}) == {
        "AUTOSCALER_CLUSTER_NAME": "prod",
        "AUTOSCALER_SCALE_DOWN_UNNEEDED_TIME": "5m",
        "AUTOSCALER_BALANCE_SIMILAR_NODE_GROUPS": "true",
    }


def test_lists_become_one_text_and_whole_floats_become_integers() -> None:
    variables = settings.environment("prod", {"startup-taint": ["a", "b"], "max-nodes-total": 20.0})
    assert variables["AUTOSCALER_STARTUP_TAINT"] == "a;b"
    assert variables["AUTOSCALER_MAX_NODES_TOTAL"] == "20"


def test_the_component_takes_exactly_the_settings_that_the_function_uses() -> None:
    used = {field.encode_name.replace("_", "-") for field in msgspec.structs.fields(Options)}
    assert set(settings.CHECKS) == (used | set(function_settings.ALIASES)) - {"cluster-name"}


@pytest.mark.parametrize("name", sorted(name for name, (form, _) in settings.CHECKS.items() if form in EXAMPLES))
def test_the_function_understands_what_the_component_hands_over(name: str) -> None:
    value, text = EXAMPLES[settings.CHECKS[name][0]]
    variables = settings.environment("prod", {name: value})
    assert variables["AUTOSCALER_" + name.upper().replace("-", "_")] == text
    function_settings.from_environment(variables)


def test_a_misspelt_setting_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ArgumentError, match="did you mean 'scale-down-unneeded-time'"):
        settings.environment("prod", {"scale-down-uneeded-time": "5m"})


def test_dashes_in_front_are_refused_with_the_name_without_them() -> None:
    with pytest.raises(ArgumentError, match="did you mean 'expander'"):
        settings.environment("prod", {"--expander": "random"})


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("scale-down-enabled", "true", "write True or False"),
        ("max-nodes-total", 1.5, "write a whole number"),
        ("max-nodes-total", True, "write a whole number"),
        ("scale-down-utilization-threshold", "0.5", "write a number"),
        ("scale-down-unneeded-time", 600, "write a duration"),
        ("scale-down-unneeded-time", "10 minutes", "write a duration"),
        ("startup-taint", "a,b", "write a list of texts"),
        ("startup-taint", ["a;b"], "write a list of texts without ';'"),
    ],
)
def test_a_value_of_another_kind_is_refused(name: str, value: object, remedy: str) -> None:
    with pytest.raises(ArgumentError) as refused:
        settings.environment("prod", {name: value})
    assert f"settings['{name}'] is {value!r}: {remedy}" in str(refused.value)
