"""Durations, sizes and money: what people write, and the numbers the daemon counts with.

Owns: parsing the three units (seconds as float, bytes as int, 10⁻⁹ USD as int), and writing the first two.
Must never: do arithmetic on money in floats; read anything but its arguments.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation

_SECONDS = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
    "w": Decimal(604800),
}
_BYTES = {"": 1, "B": 1}
for _power, _letter in enumerate("KMGTP", start=1):
    _BYTES[f"{_letter}B"] = 1000**_power
    _BYTES[f"{_letter}IB"] = 1024**_power

_NUMBER = r"\d+(?:\.\d+)?|\.\d+"
_DURATION = re.compile(rf"(?:(?:{_NUMBER})(?:ns|us|ms|s|m|h|d|w))+", re.ASCII)
_DURATION_PART = re.compile(rf"({_NUMBER})(ns|us|ms|s|m|h|d|w)", re.ASCII)
_SIZE = re.compile(rf"({_NUMBER})\s*([A-Za-z]*)", re.ASCII)
_BARE = re.compile(rf"(?:{_NUMBER})(?:[eE][+-]?\d{{1,3}})?", re.ASCII)

_LONGEST = 1e12
"""In seconds. A longer duration is a mistake, and as a float it would lose its milliseconds."""


def parse_duration(value: object) -> float:
    """Seconds from "500ms", "1h30m" or a number of seconds. ValueError otherwise."""
    seconds = _seconds(value)
    if not 0 <= seconds <= _LONGEST:
        raise ValueError(f"not a duration: {value!r}")
    return seconds


def _seconds(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        raise ValueError(f"not a duration: {value!r}")
    text = value.strip()
    if _BARE.fullmatch(text):
        return float(text)
    compact = text.replace(" ", "")
    if not _DURATION.fullmatch(compact):
        raise ValueError(f"not a duration: {value!r}")
    parts = _DURATION_PART.findall(compact)
    return float(sum((Decimal(number) * _SECONDS[unit] for number, unit in parts), Decimal(0)))


def write_duration(seconds: float) -> str:
    """The shortest single-unit form that reads back as the same number: 90.0 → "90s", 3600.0 → "1h"."""
    exact = Decimal(repr(float(seconds)))
    if exact == 0:
        return "0s"
    for unit in ("d", "h", "m", "s", "ms", "us", "ns"):
        count = exact / _SECONDS[unit]
        if count == count.to_integral_value() and count >= 1:
            return f"{int(count)}{unit}"
    return f"{exact:f}s"


def parse_size(value: object) -> int:
    """Bytes from "512MB" (decimal), "1GiB" (binary) or a whole number. ValueError otherwise."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ValueError(f"not a size: {value!r}")
        return value
    if isinstance(value, float) and math.isfinite(value) and value >= 0 and value.is_integer():
        return int(value)
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    factor = _BYTES.get(match[2].upper()) if match else None
    if match is None or factor is None:
        raise ValueError(f"not a size: {value!r}")
    count = Decimal(match[1]) * factor
    if count != count.to_integral_value():
        raise ValueError(f"not a whole number of bytes: {value!r}")
    return int(count)


def write_size(size: int) -> str:
    """The shortest exact form: 67108864 → "64MiB", 50000000 → "50MB", 1500 → "1500"."""
    for letter in "PTGMK":
        power = "KMGTP".index(letter) + 1
        for factor, suffix in ((1024**power, "iB"), (1000**power, "B")):
            if size >= factor and size % factor == 0:
                return f"{size // factor}{letter}{suffix}"
    return str(size)


def parse_money(value: object) -> int:
    """10⁻⁹ USD from USD, a number or a string ("0.15", "$3"). ValueError otherwise.

    A float is read by its shortest decimal form (what the file said), so 0.1 is exactly ten cents.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError(f"not an amount of money: {value!r}")
    text = str(value).strip().removeprefix("$").removesuffix("USD").strip().replace("_", "")
    try:
        nano = Decimal(text).scaleb(9)
    except InvalidOperation:
        raise ValueError(f"not an amount of money: {value!r}") from None
    if not nano.is_finite() or nano < 0 or nano.adjusted() > 24:
        raise ValueError(f"not an amount of money: {value!r}")
    # Rounded up: prices below 10⁻⁹ USD may be over-counted, never under-counted.
    whole = int(nano)
    return whole if whole == nano else whole + 1
