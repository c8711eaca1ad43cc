"""Read the parameters of a request. Each raises ApiError 400 that names the parameter which is bad."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, TypeVar

from exporter.web.http import ApiError, Request

_INTEGER: Final = re.compile(r"[0-9]{1,18}")
_RFC3339: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)(Z|[ +-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}
_PAGE: Final = 100
_PAGE_MOST: Final = 1000
E = TypeVar("E", bound=StrEnum)


def integer(request: Request, name: str, *, least: int, most: int | None = None) -> int | None:
    """Return an integer from `least` to `most`; None where the parameter is not given."""
    text = request.query.get(name)
    if text is None:
        return None
    number = int(text) if _INTEGER.fullmatch(text) else None
    if number is None or number < least or (most is not None and number > most):
        raise _bad(name, f"an integer from {least}" + (f" to {most}" if most else " up"))
    return number


def page_limit(request: Request) -> int:
    """Return how many rows a page of the history or the events has."""
    return integer(request, "limit", least=1, most=_PAGE_MOST) or _PAGE


def boolean(request: Request, name: str, *, default: bool) -> bool:
    """Return true or false."""
    text = request.query.get(name)
    if text is None:
        return default
    if text.lower() not in _BOOLEANS:
        raise _bad(name, "true or false")
    return _BOOLEANS[text.lower()]


def moment(request: Request, name: str) -> datetime | None:
    """Return a time as aware UTC; None where the parameter is not given."""
    text = request.query.get(name)
    if text is None:
        return None
    parts = _RFC3339.fullmatch(text)
    try:
        if parts is None:
            raise ValueError(name)
        # A + that was not percent-encoded arrives as a space.
        return datetime.fromisoformat(parts[1] + parts[2].replace(" ", "+").upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _bad(name, "a time as RFC 3339 has it, such as 2025-12-08T03:13:29Z") from None


def member(request: Request, name: str, kind: type[E]) -> E | None:
    """Return one word of `kind`; None where the parameter is not given."""
    text = request.query.get(name)
    return None if text is None else _member(name, text, kind, "one")


def members(request: Request, name: str, kind: type[E]) -> list[E] | None:
    """Return words of `kind`, which commas separate; None where the parameter is not given."""
    text = request.query.get(name)
    return None if text is None else [_member(name, word, kind, "some") for word in text.split(",")]


def _member(name: str, word: str, kind: type[E], how_many: str) -> E:
    if word not in list(kind):
        raise _bad(name, f"{how_many} of {', '.join(kind)}")
    return kind(word)


def _bad(name: str, what: str) -> ApiError:
    return ApiError(400, "bad_parameter", f"{name} must be {what}")
