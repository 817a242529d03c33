import pytest

from lambda_autoscaler.core.units import (
    DurationError,
    QuantityError,
    TimestampError,
    format_duration,
    format_resource,
    format_timestamp,
    parse_amount,
    parse_duration,
    parse_millicores,
    parse_timestamp,
)


@pytest.mark.parametrize(
    ("text", "millicores"), [("1", 1000), ("100m", 100), ("0.1m", 1), ("1.5", 1500), ("2e0", 2000), ("100u", 1), ("1k", 1_000_000)]
)
def test_cpu_is_counted_in_millicores_rounded_up(text: str, millicores: int) -> None:
    assert parse_millicores(text) == millicores


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("128974848", 128974848),
        ("1Ki", 1024),
        ("1.5Gi", 1610612736),
        ("1M", 10**6),
        ("12e6", 12 * 10**6),
        ("500m", 1),
        ("80Gi", 85899345920),
    ],
)
def test_other_amounts_are_whole_units_rounded_up(text: str, units: int) -> None:
    assert parse_amount(text) == units


@pytest.mark.parametrize("text", ["", "GG", "12 GB", "1.2.3", "1ki", "²", "\u0661", "5\n", "1e99", "9" * 5000, "0x10", "--1"])
def test_a_text_that_is_no_quantity_is_refused_by_name(text: str) -> None:
    for parse in (parse_amount, parse_millicores):
        with pytest.raises(QuantityError, match=r"is not a Kubernetes quantity|out of range"):
            parse(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("10m", 600), ("1h30m", 5400), ("90s", 90), ("0", 0), ("1.5s", 1.5), ("-5m", -300), ("+5m", 300), ("2ms", 0.002)]
)
def test_durations_read_as_go_reads_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "10", "10 minutes", "+-5m", "5m!", "h", "9" * 5000 + "s"])
def test_a_text_that_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(DurationError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(("seconds", "text"), [(180, "3m0s"), (3600, "1h0m0s"), (45, "45s"), (0, "0s"), (-90, "-1m30s"), (1.5, "1.5s")])
def test_durations_print_as_go_prints_them(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize("text", ["2026-11-22T13:46:47Z", "2026-11-22 13:46:47+00:00", "2026-11-22T14:46:47+01:00"])
def test_times_read_with_their_zone(text: str) -> None:
    assert format_timestamp(parse_timestamp(text)) == "2026-11-22T13:46:47Z"


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-22T13:46:47"])
def test_a_time_without_zone_or_sense_is_refused(text: str) -> None:
    with pytest.raises(TimestampError):
        parse_timestamp(text)


@pytest.mark.parametrize(
    ("name", "amount", "text"),
    [
        ("cpu", 1500, "1500m"),
        ("cpu", 2000, "2"),
        ("memory", 2**31, "2Gi"),
        ("memory", 2**21, "2Mi"),
        ("memory", 3 * 1024, "3Ki"),
        ("memory", 1000, "1000"),
        ("pods", 0, "0"),
    ],
)
def test_amounts_print_short(name: str, amount: int, text: str) -> None:
    assert format_resource(name, amount) == text
