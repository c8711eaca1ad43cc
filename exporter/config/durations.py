"""Durations as people write them: `90s`, `5m`, `1h30m`, or a number of seconds."""

from __future__ import annotations

import re
from typing import Final

from pydantic_core import PydanticCustomError

MAX_S: Final = 36_500 * 86_400.0
"""A hundred years: far from the limits of date arithmetic."""

# Seconds a unit as a fraction: 500ms is 500 / 1000, which is exact, where 500 * 0.001 might not be.
_UNITS: Final = {"d": (86_400, 1), "h": (3_600, 1), "m": (60, 1), "s": (1, 1), "ms": (1, 1000)}
_NUMBER: Final = r"[0-9]{1,15}(?:\.[0-9]{1,15})?"
SIMPLE_PATTERN: Final = r"^([0-9]+(\.[0-9]+)?(d|h|m|s|ms))+$"
"""For editors: all that is read matches it; the order of the units is left to `parse`."""
_PATTERN: Final = "^(?=[0-9])" + "".join(f"(?:({_NUMBER}){unit})?" for unit in _UNITS) + "$"
_COMPILED: Final = re.compile(_PATTERN)
_HINT: Final = "write seconds, or 90s, 5m, 1h30m, 30d"


def parse(value: object) -> float:
    """Return seconds (more than 0, at most MAX_S) of a number or a text with units.

    Raises PydanticCustomError, with what to write instead as `hint` in its context.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _refused("is not a duration")
    seconds = _of_text(value) if isinstance(value, str) else value
    if not seconds > 0:  # nor NaN
        raise _refused("must be more than 0")
    if not seconds <= MAX_S:  # an int of any size, infinity
        raise _refused("is too long", "at most 36500d")
    return float(seconds)


def show(seconds: float) -> str | float:
    """Return `seconds` as a text that `parse` turns back into exactly the same number, or the number itself."""
    for unit, (scale, per) in _UNITS.items():
        count = round(seconds * per / scale)
        if count and count * scale / per == seconds:
            return f"{count}{unit}"
    return seconds


def _of_text(text: str) -> float:
    match = _COMPILED.match(text)
    if match and not text.endswith("\n"):
        counts = zip(_UNITS.values(), match.groups(), strict=True)
        return sum(float(count) * scale / per for (scale, per), count in counts if count)
    if re.fullmatch(r"[0-9]{1,4}:[0-9]{2}", text):
        # YAML 1.1 reads 1:30 as the number 90, people as a minute and a half or as half past one.
        big, small = map(int, text.split(":"))
        raise _refused("is ambiguous", f"write {big * 60 + small}s, or {big}h{small}m if hours were meant")
    if re.fullmatch(_NUMBER, text):
        raise _refused("is text, not a number", f"write {text}s")
    raise _refused("is not a duration")


def _refused(message: str, hint: str = _HINT) -> PydanticCustomError:
    return PydanticCustomError("duration", "{message}", {"message": message, "hint": hint})
