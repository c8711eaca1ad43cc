"""An Observation or an Event as a row, and a row as what leaves the store. Pure: no SQL, no connection."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TypeVar

from exporter.models import Attempt, Event, EventKind, Observation, Reason, Scope, Status, Timings, rfc3339

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
E = TypeVar("E", bound=StrEnum)


def from_observation(observation: Observation) -> dict[str, Any]:
    """Return the columns of model_metrics by name, fit to be stored. Raises ValueError, TypeError or OverflowError."""
    attempts = [asdict(attempt) | {"started_at": rfc3339(attempt.started_at)} for attempt in observation.attempts]
    timings = observation.timings and {k: v for k, v in asdict(observation.timings).items() if v is not None}
    row = {
        "model_id": observation.model_id,
        "status": observation.status.value,
        "response_time_ms": observation.response_time_ms,
        "success": int(observation.success),
        "error_message": observation.message or None,
        "test_input": observation.test_input,
        "test_output": to_json(observation.test_output),
        "confidence": observation.confidence,
        "checked_at": to_text(observation.checked_at),
        "provider": observation.provider,
        "reason": observation.reason.value,
        "scope": observation.scope.value,
        "http_status": observation.http_status,
        "counted": int(observation.counts),
        "attempts": to_json(attempts or None),
        "timings": to_json(timings),
        "canonical_id": observation.canonical_id,
        "hub_sha": observation.hub_sha,
        "served_sha": observation.served_sha,
        "compute_type": observation.compute_type,
        "compute_time_s": observation.compute_time_s,
        "requests": observation.requests,
        "cached": int(observation.cached),
        "cold": _flag(observation.cold),
        "canary": observation.canary,
        "correct": _flag(observation.correct),
    }
    return {name: clean(value) for name, value in row.items()}


def to_history(row: sqlite3.Row) -> dict[str, Any]:
    """Return a row of model_metrics as the API shows it: booleans, decoded JSON, RFC 3339 times."""
    return dict(row) | {
        "success": bool(row["success"]),
        "counted": bool(row["counted"]),
        "cached": bool(row["cached"]),
        "cold": _truth(row["cold"]),
        "correct": _truth(row["correct"]),
        "checked_at": to_rfc3339(row["checked_at"]),
        "test_output": from_json(row["test_output"]),
        "attempts": from_json(row["attempts"]) or [],
        "timings": from_json(row["timings"]) or {},
    }


def to_observation(row: sqlite3.Row) -> Observation:
    """Return a row of model_metrics, with the `task` of its model, as the Observation that it was.

    Rows of the predecessor, or made by hand, are taken as well as they can be: a status that is none of ours is
    `unknown`; a missing reason is the one of the same name as the status, else `ok` or, without success,
    `server_error`; a missing scope is `model`; a time that is none is the epoch.
    """
    success = bool(row["success"])
    reason = _member(Reason, row["status"], Reason.OK if success else Reason.SERVER_ERROR)
    return Observation(
        model_id=row["model_id"],
        provider=row["provider"],
        task=row["task"],
        checked_at=parse_time(row["checked_at"]) or EPOCH,
        status=_member(Status, row["status"], Status.UNKNOWN),
        reason=_member(Reason, row["reason"], reason),
        scope=_member(Scope, row["scope"], Scope.MODEL),
        counts=bool(row["counted"]),
        success=success,
        message=row["error_message"] or "",
        http_status=row["http_status"],
        response_time_ms=row["response_time_ms"],
        confidence=row["confidence"],
        test_input=row["test_input"],
        test_output=from_json(row["test_output"]),
        timings=_timings(from_json(row["timings"])),
        attempts=_attempts(from_json(row["attempts"])),
        canonical_id=row["canonical_id"],
        hub_sha=row["hub_sha"],
        served_sha=row["served_sha"],
        compute_type=row["compute_type"],
        compute_time_s=row["compute_time_s"],
        requests=row["requests"],
        cached=bool(row["cached"]),
        cold=_truth(row["cold"]),
        canary=row["canary"],
        correct=_truth(row["correct"]),
    )


def from_event(event: Event) -> dict[str, Any]:
    """Return the columns of events by name, fit to be stored. Raises ValueError, TypeError or OverflowError."""
    row = {
        "at": to_text(event.at),
        "kind": EventKind(event.kind).value,
        "provider": event.provider,
        "model_id": event.model_id,
        "before_value": to_json(event.before),
        "after_value": to_json(event.after),
        "message": event.message,
    }
    return {name: clean(value) for name, value in row.items()}


def to_event(row: sqlite3.Row) -> dict[str, Any]:
    """Return a row of events as the API shows it: `before` and `after` as JSON values, `at` as RFC 3339."""
    return {
        "id": row["id"],
        "at": to_rfc3339(row["at"]),
        "kind": row["kind"],
        "provider": row["provider"],
        "model_id": row["model_id"],
        "before": from_json(row["before_value"]),
        "after": from_json(row["after_value"]),
        "message": row["message"],
    }


def to_text(moment: datetime) -> str:
    """Return an aware datetime as the database holds it: naive UTC, `2025-12-08 03:13:29.123`."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds")


def parse_time(value: object) -> datetime | None:
    """Return a time in any ISO 8601 form, UTC where it names no zone, as aware UTC; None when it is none."""
    try:
        moment = datetime.fromisoformat(value.strip()) if isinstance(value, str) else None
        return moment and (moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None


def to_rfc3339(value: object) -> str | None:
    """Return a time of the database as RFC 3339 in UTC; None when it is none."""
    moment = parse_time(value)
    return rfc3339(moment) if moment else None


def to_json(value: object) -> str | None:
    """Return a value as JSON text, None as None. What JSON cannot hold is replaced by a string that says so."""
    if value is None:
        return None
    try:
        return json.dumps(clean(value), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        return json.dumps(f"(cannot be stored: {type(error).__name__})")


def from_json(text: str | None) -> Any:
    """Return the value of a JSON text, fit to be sent as JSON again; the text itself when it is not JSON."""
    if text is None:
        return None
    try:
        return clean(json.loads(text))
    except (ValueError, RecursionError):
        return text


def clean(value: Any) -> Any:
    """Return a value without what neither SQLite nor JSON can hold: lone surrogates, NaN and infinities (None)."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {clean_text(str(key)): clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    return value


def clean_text(text: str) -> str:
    """Return text that has a UTF-8 form: pairs of surrogates joined, lone ones replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _member(kind: type[E], value: object, default: E) -> E:
    return next((member for member in kind if member == value), default)


def _flag(value: bool | None) -> int | None:
    return None if value is None else int(value)


def _truth(value: object) -> bool | None:
    return None if value is None else bool(value)


def _timings(value: object) -> Timings | None:
    if not isinstance(value, dict):
        return None
    return Timings(**{field.name: value[field.name] for field in fields(Timings) if field.name in value})


def _attempts(value: object) -> tuple[Attempt, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(
        Attempt(
            started_at=parse_time(attempt.get("started_at")) or EPOCH,
            status=_member(Status, attempt.get("status"), Status.UNKNOWN),
            reason=_member(Reason, attempt.get("reason"), Reason.SERVER_ERROR),
            http_status=attempt.get("http_status"),
            response_time_ms=attempt.get("response_time_ms"),
            message=attempt.get("message", ""),
        )
        for attempt in value
        if isinstance(attempt, dict)
    )
