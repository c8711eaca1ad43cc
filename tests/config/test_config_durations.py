"""Durations: what is read, what is refused, and that what is shown is read again."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from exporter.config import durations

READ = {
    "an int is seconds": (30, 30.0),
    "a float is seconds": (0.5, 0.5),
    "milliseconds": ("500ms", 0.5),
    "seconds": ("90s", 90.0),
    "minutes": ("5m", 300.0),
    "hours": ("1h", 3600.0),
    "days": ("30d", 2_592_000.0),
    "hours and minutes": ("1h30m", 5400.0),
    "all units": ("1d1h1m1s1ms", 90061.001),
    "a fraction": ("1.5h", 5400.0),
    "the longest": ("36500d", durations.MAX_S),
}


@pytest.mark.parametrize(("written", "seconds"), READ.values(), ids=READ.keys())
def test_a_duration_is_read_as_seconds(written: object, seconds: float) -> None:
    assert durations.parse(written) == seconds


@pytest.mark.parametrize(
    ("written", "message", "hint"),
    [
        (True, "is not a duration", "write seconds"),
        (None, "is not a duration", "write seconds"),
        ([5], "is not a duration", "write seconds"),
        ("", "is not a duration", "write seconds"),
        ("m", "is not a duration", "write seconds"),
        ("5", "is text, not a number", "write 5s"),
        ("5 m", "is not a duration", "write seconds"),
        ("5M", "is not a duration", "write seconds"),
        ("5m\n", "is not a duration", "write seconds"),
        ("30m1h", "is not a duration", "write seconds"),
        ("1h1h", "is not a duration", "write seconds"),
        ("\u0665m", "is not a duration", "write seconds"),
        ("1:30", "is ambiguous", "write 90s, or 1h30m"),
        ("1:30:00", "is not a duration", "write seconds"),
        (0, "must be more than 0", "write seconds"),
        ("0s", "must be more than 0", "write seconds"),
        (-1, "must be more than 0", "write seconds"),
        (float("nan"), "must be more than 0", "write seconds"),
        (float("inf"), "is too long", "36500d"),
        (10**400, "is too long", "36500d"),
        ("36501d", "is too long", "36500d"),
    ],
    ids=repr,
)
def test_what_is_no_duration_is_refused_with_a_hint(written: object, message: str, hint: str) -> None:
    with pytest.raises(PydanticCustomError) as refused:
        durations.parse(written)
    assert refused.value.message() == message
    assert refused.value.context is not None
    assert hint in refused.value.context["hint"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(300, "5m"), (90, "90s"), (5400, "90m"), (86400, "1d"), (0.5, "500ms"), (1.5, "1500ms"), (1 / 3, 1 / 3)],
    ids=str,
)
def test_a_duration_is_shown_in_its_largest_whole_unit(seconds: float, shown: object) -> None:
    assert durations.show(seconds) == shown


@settings(deadline=None)
@given(st.floats(min_value=1e-300, max_value=durations.MAX_S))
def test_what_is_shown_is_read_as_the_same_number(seconds: float) -> None:
    assert durations.parse(durations.show(seconds)) == seconds


@settings(deadline=None)
@given(st.from_regex(durations._COMPILED, fullmatch=True))
def test_whatever_the_loader_reads_the_schema_for_editors_allows(text: str) -> None:
    assert re.search(durations.SIMPLE_PATTERN, text)
