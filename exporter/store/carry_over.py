"""Carry the predecessor's database over into ours: a complete copy beside it first, then everything in one transaction.

Its tables have the seed's names and some of the seed's columns. Nothing of it is trusted: values may be NULL or of
another type, times come in several forms, a check may name its model by text or by the number of its row.
"""

from __future__ import annotations

import itertools
import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from exporter.models import Status
from exporter.store import schema, statistics
from exporter.store.rows import clean_text, parse_time, to_text

_UNCOUNTED: Final = (Status.UNKNOWN, Status.NOT_SERVED)
_SUCCESSFUL: Final = (Status.AVAILABLE, Status.DEGRADED)
_ABSURD: Final = 1e15
_TRUE: Final = ("1", "1.0", "true", "t", "yes")

_INSERT_MODEL: Final = """
INSERT INTO ai_models (
    id, model_id, model_key, task, category, provider, requires_auth, is_active, created_at, updated_at
) VALUES (
    :id, :model_id, :model_key, :task, :category, :provider, :requires_auth, :is_active, :created_at, :updated_at
) ON CONFLICT DO NOTHING
"""
_INSERT_CHECK: Final = """
INSERT INTO model_metrics (
    id, model_id, status, response_time_ms, success, error_message, test_input, test_output, confidence, checked_at,
    provider, counted
) VALUES (
    :id, :model_id, :status, :response_time_ms, :success, :error_message, :test_input, :test_output, :confidence,
    :checked_at, coalesce((SELECT provider FROM ai_models WHERE model_id = :model_id), 'huggingface'), :counted
)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedOver:
    """What was carried over: how many checks, how many of them had no readable time, and where the copy lies."""

    rows: int
    undated: int
    copy: Path


def carry_over(connection: sqlite3.Connection, path: Path, now: datetime) -> CarriedOver | None:
    """Replace the predecessor's tables by ours with its rows in them; None when the database is not a predecessor's.

    The copy is `<name>.predecessor`, or with a number where that exists. The file is changed by one transaction or
    not at all. Raises sqlite3.Error and OSError.
    """
    copy = free_path(path.with_name(f"{path.name}.predecessor"))
    try:
        with schema.transaction(connection):  # others may read from here on, nobody writes: the copy misses nothing
            if schema.kind_of(connection) is not schema.Kind.PREDECESSOR:
                return None
            with closing(schema.connect(copy, mode="rwc")) as source:
                # Through a connection of its own: SQLite does not copy from one that holds the write lock.
                with closing(schema.connect(path)) as original:
                    original.backup(source)
                source.text_factory = lambda raw: raw.decode(errors="replace")
                for table in schema.SEED_TABLES:
                    connection.execute(f"DROP TABLE IF EXISTS {table}")
                for version in range(schema.VERSION):
                    schema.apply(connection, version, simulated=False)
                return _carry(source, connection, copy, now)
    except (sqlite3.Error, OSError):
        copy.unlink(missing_ok=True)  # nothing was changed, and copies of failed starts must not fill the disk
        raise


def free_path(path: Path) -> Path:
    """Return the path, or with the first number appended under which nothing exists."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(candidate for candidate in itertools.chain([path], numbered) if not candidate.exists())


def _carry(source: sqlite3.Connection, target: sqlite3.Connection, copy: Path, now: datetime) -> CarriedOver:
    models = list(_rows(source, "ai_models"))
    names = _names(models)
    known = set(names.values())

    def name_of(row: dict[str, Any]) -> str:
        text = _text(row.get("model_id")) or "(unknown)"
        return text if text in known else names.get(text, text)

    for row in models:
        if _text(row.get("model_id")):
            target.execute(_INSERT_MODEL, _model(row, to_text(now)))
    dated = (parse_time(row.get("checked_at")) for row in _rows(source, "model_metrics"))
    moment = next((time for time in dated if time), now)
    last_id = undated = count = 0
    for row in _rows(source, "model_metrics"):
        time = parse_time(row.get("checked_at"))
        undated += time is None
        moment = time or moment  # without a time of its own a row has that of the one before it
        target.execute(_INSERT_CHECK, _check(row, name_of(row), to_text(moment)))
        last_id, count = row["rowid_"], count + 1
    for row in _rows(source, "model_stats"):
        if _number(row.get("total_checks")) is not None:
            target.execute(statistics.ADD, _stats(row, name_of(row)))
    target.execute(statistics.FROM_ROWS)
    facts = {"carried_over_at": to_text(now), "carried_over_last_id": str(last_id)}
    target.executemany("INSERT INTO store_meta (key, value) VALUES (?, ?)", facts.items())
    return CarriedOver(rows=count, undated=undated, copy=copy)


def _rows(source: sqlite3.Connection, table: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table, oldest first, by lower-case column name and `rowid_`; none when there is no table."""
    if source.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)).fetchone():
        for row in source.execute(f"SELECT *, rowid AS rowid_ FROM {table} ORDER BY rowid"):  # noqa: S608 -- a constant
            yield {name.lower(): value for name, value in zip(row.keys(), row, strict=True)}


def _names(models: list[dict[str, Any]]) -> dict[str, str]:
    """Return the model_id by the number of its row, as text."""
    named = ((_text(row.get("id")) or str(row["rowid_"]), _text(row.get("model_id"))) for row in models)
    return {number: model_id for number, model_id in named if model_id}


def _model(row: dict[str, Any], now: str) -> dict[str, Any]:
    created_at = _time(row.get("created_at")) or now
    return {
        "id": row["rowid_"],
        "model_id": _text(row["model_id"]),
        "model_key": _text(row.get("model_key")) or "",
        "task": _text(row.get("task")) or "",
        "category": _text(row.get("category")) or "general",
        "provider": _text(row.get("provider")) or "huggingface",
        "requires_auth": int(_flag(row.get("requires_auth"), default=False)),
        "is_active": int(_flag(row.get("is_active"), default=True)),
        "created_at": created_at,
        "updated_at": _time(row.get("updated_at")) or created_at,
    }


def _check(row: dict[str, Any], model_id: str, checked_at: str) -> dict[str, Any]:
    status = _text(row.get("status"))
    success = _flag(row.get("success"), default=status in _SUCCESSFUL)
    if status is None and row.get("success") is not None:
        status = Status.AVAILABLE.value if success else Status.FAILED.value
    status = status or Status.UNKNOWN.value
    return {
        "id": row["rowid_"],
        "model_id": model_id,
        "status": status,
        "response_time_ms": _number(row.get("response_time_ms")),
        "success": int(success),
        "error_message": _text(row.get("error_message")),
        "test_input": _text(row.get("test_input")),
        "test_output": _text(row.get("test_output")),
        "confidence": _number(row.get("confidence")),
        "checked_at": checked_at,
        "counted": int(status not in _UNCOUNTED),
    }


def _stats(row: dict[str, Any], model_id: str) -> dict[str, Any]:
    total = _count(row, "total_checks", 0)
    successful = _count(row, "successful_checks", 0)
    mean = _number(row.get("avg_response_time_ms"))
    measured = 0 if mean is None else total  # it does not say how many it measured: all is the best guess
    rate = _number(row.get("success_rate"))
    return {
        "model_id": model_id,
        "total_checks": total,
        "successful_checks": successful,
        "failed_checks": _count(row, "failed_checks", total - successful),
        "avg_response_time_ms": mean,
        "last_success_at": _time(row.get("last_success_at")),
        "last_failure_at": _time(row.get("last_failure_at")),
        "success_rate": (100.0 * successful / total if rate is None else rate) if total else None,
        "measured_checks": measured,
        "response_time_sum_ms": (mean or 0.0) * measured,
    }


def _text(value: object) -> str | None:
    if value is None:
        return None
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return clean_text(text).strip()


def _number(value: object) -> float | None:
    try:
        number = float(value) if isinstance(value, int | float | str) else math.nan
    except ValueError:
        return None
    return number if abs(number) < _ABSURD else None  # False for NaN as well


def _count(row: dict[str, Any], name: str, default: int) -> int:
    number = _number(row.get(name))
    return default if number is None else int(number)


def _flag(value: object, *, default: bool) -> bool:
    return default if value is None else str(value).lower() in _TRUE


def _time(value: object) -> str | None:
    moment = parse_time(value)
    return to_text(moment) if moment else None
