"""Kubernetes quantities, Go durations and API timestamps as plain numbers.

Amounts are integers from here on: CPU in millicores, memory and storage in bytes, every other resource in whole units. The rules are those
of ``k8s.io/apimachinery/pkg/api/resource`` (quantities; a fraction is rounded up, as ``Quantity.Value`` and ``MilliValue`` do) and Go's
``time.ParseDuration`` (durations). Times are seconds since the epoch.
"""

import re
from datetime import UTC, datetime
from fractions import Fraction
from typing import Final, NewType

MilliCpu = NewType("MilliCpu", int)
Bytes = NewType("Bytes", int)
Seconds = NewType("Seconds", float)
Instant = NewType("Instant", float)

_QUANTITY: Final = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d+))?", re.ASCII)
_SUFFIXES: Final[dict[str, Fraction]] = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    **{suffix: Fraction(1000**power) for power, suffix in enumerate("kMGTPE", start=1)},
    **{f"{suffix}i": Fraction(1024**power) for power, suffix in enumerate("KMGTPE", start=1)},
}
_MAX_EXPONENT: Final = 30
_LONGEST: Final = 64
_DURATION_PART: Final = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_DURATION_UNITS: Final[dict[str, Fraction]] = {
    "ns": Fraction(1, 10**9),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),
    "μs": Fraction(1, 10**6),
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
}


class QuantityError(ValueError):
    """A text that is no Kubernetes quantity, such as ``12 GB``."""


class DurationError(ValueError):
    """A text that is no Go duration, such as ``10 minutes``."""


class TimestampError(ValueError):
    """A text that is no RFC 3339 time."""


def _exact(text: str) -> Fraction:
    match = _QUANTITY.fullmatch(text)
    if match is None or len(text) > _LONGEST:
        raise QuantityError(f"{text!r} is not a Kubernetes quantity (examples: 500m, 2, 1.5Gi, 128974848)")
    number, suffix, exponent = match.groups()
    if exponent is not None:
        power = int(exponent)
        if abs(power) > _MAX_EXPONENT:
            raise QuantityError(f"{text!r} is out of range for a Kubernetes quantity")
        return Fraction(number) * Fraction(10) ** power
    return Fraction(number) * _SUFFIXES[suffix] if suffix else Fraction(number)


def _round_up(value: Fraction) -> int:
    return -(-value.numerator // value.denominator)


def parse_millicores(text: str) -> MilliCpu:
    """CPU quantity in millicores, rounded up: ``"1"`` is 1000, ``"0.1m"`` is 1. Raises QuantityError."""
    if text.isdecimal() and text.isascii() and len(text) <= _LONGEST:
        return MilliCpu(int(text) * 1000)
    if text.endswith("m") and text[:-1].isdecimal() and text.isascii() and len(text) <= _LONGEST:
        return MilliCpu(int(text[:-1]))
    return MilliCpu(_round_up(_exact(text) * 1000))


def parse_amount(text: str) -> int:
    """Any other quantity in whole units (bytes, devices, pods), rounded up. Raises QuantityError."""
    if text.isdecimal() and text.isascii() and len(text) <= _LONGEST:
        return int(text)
    return _round_up(_exact(text))


def parse_resource(name: str, text: str) -> int:
    """Amount of resource ``name``: millicores for ``cpu``, whole units for all others. Raises QuantityError."""
    return parse_millicores(text) if name == "cpu" else parse_amount(text)


def format_resource(name: str, amount: int) -> str:
    """Amount of resource ``name`` as a Kubernetes quantity that parses back to the same number."""
    if name == "cpu":
        return str(amount // 1000) if amount % 1000 == 0 else f"{amount}m"
    for power, suffix in ((3, "Gi"), (2, "Mi"), (1, "Ki")):
        if amount and amount % 1024**power == 0:
            return f"{amount // 1024**power}{suffix}"
    return str(amount)


def parse_duration(text: str) -> Seconds:
    """Go duration such as ``1h30m`` or ``10s`` in seconds. Raises DurationError."""
    sign = -1 if text.startswith("-") else 1
    body = text[1:] if text[:1] in ("+", "-") else text
    if body == "0":
        return Seconds(0.0)
    total, end = Fraction(0), 0
    for part in _DURATION_PART.finditer(body[:_LONGEST]):
        if part.start() != end:
            break
        total += Fraction(part.group(1)) * _DURATION_UNITS[part.group(2)]
        end = part.end()
    if not body or end != len(body) or len(text) > _LONGEST:
        raise DurationError(f"{text!r} is not a duration (examples: 10m, 1h30m, 90s)")
    return Seconds(float(sign * total))


def format_duration(seconds: float) -> str:
    """Seconds as Go prints a duration: ``3m0s``, ``1h0m0s``, ``45s``, ``0s``."""
    sign, rest = ("-", -seconds) if seconds < 0 else ("", seconds)
    whole = int(rest)
    fraction = f"{rest - whole:.3f}"[1:].rstrip("0").rstrip(".")
    hours, minutes, secs = whole // 3600, whole % 3600 // 60, whole % 60
    tail = f"{secs}{fraction}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{tail}"
    return f"{sign}{minutes}m{tail}" if minutes else f"{sign}{tail}"


def parse_timestamp(text: str) -> Instant:
    """RFC 3339 time (a space may stand for the T, as boto3 prints it) in seconds since the epoch. Raises TimestampError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as fault:
        raise TimestampError(f"{text!r} is not an RFC 3339 time (example: 2026-11-22T13:46:47Z)") from fault
    if moment.tzinfo is None:
        raise TimestampError(f"{text!r} has no time zone (example: 2026-11-22T13:46:47Z)")
    return Instant(moment.timestamp())


def format_timestamp(instant: float) -> str:
    """Seconds since the epoch as the API server prints a time: UTC, whole seconds, ``Z``."""
    return datetime.fromtimestamp(int(instant), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
