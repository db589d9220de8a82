"""Lengths and times in the words of many programs."""

import math
from collections.abc import Mapping
from typing import Any

UM = {
    "um": 1.0,
    "\u00b5m": 1.0,
    "\u03bcm": 1.0,
    "\\u00b5m": 1.0,
    "micron": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
}
UM |= {
    "m": 1e6,
    "meter": 1e6,
    "metre": 1e6,
    "cm": 1e4,
    "centimeter": 1e4,
    "mm": 1e3,
    "millimeter": 1e3,
    "nm": 1e-3,
}
UM |= {"nanometer": 1e-3, "nanometre": 1e-3, "\u00e5": 1e-4, "angstrom": 1e-4, "pm": 1e-6, "picometer": 1e-6}
UM |= {"inch": 25400.0, "inche": 25400.0, "in": 25400.0, '"': 25400.0}
SECONDS = {"s": 1.0, "sec": 1.0, "second": 1.0, "ms": 1e-3, "msec": 1e-3, "millisecond": 1e-3, "us": 1e-6}
SECONDS |= {
    "\u00b5s": 1e-6,
    "\u03bcs": 1e-6,
    "microsecond": 1e-6,
    "ns": 1e-9,
    "nanosecond": 1e-9,
    "min": 60.0,
    "minute": 60.0,
}
SECONDS |= {"h": 3600.0, "hr": 3600.0, "hour": 3600.0, "d": 86400.0, "day": 86400.0}


def positive(value: Any, units: Mapping[str, float], unit: str) -> float | None:
    """A positive finite number in the unit asked for; None where unit or number is missing or strange.

    Args:
        value: a number, or a text that is one.
        units: by name, in small letters and the singular.
        unit: as the file has it.
    """
    number = finite(value, units, unit)
    return number if number is not None and number > 0 else None


def finite(value: Any, units: Mapping[str, float], unit: str) -> float | None:
    """As `positive`, of any sign."""
    word = unit.strip().lower()
    try:
        number = float(value) * units[word if word in units else word.removesuffix("s")]
    except (TypeError, ValueError, KeyError):
        return None
    return number if math.isfinite(number) else None


def known(values: Mapping[str, float | None]) -> dict[str, float]:
    """Those that are known."""
    return {axis: value for axis, value in values.items() if value is not None}
