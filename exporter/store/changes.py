"""What is remembered of change: events, and the baselines that they are told by."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from exporter.models import Event
from exporter.store import rows

_INSERT: Final = """
INSERT INTO events (at, kind, provider, model_id, before_value, after_value, message)
VALUES (:at, :kind, :provider, :model_id, :before_value, :after_value, :message)
"""
_SAVE: Final = """
INSERT INTO baselines (model_id, baseline, updated_at) VALUES (:model_id, :baseline, :now)
ON CONFLICT (model_id) DO UPDATE SET baseline = excluded.baseline, updated_at = excluded.updated_at
"""

# A page goes on after its cursor as one of the history does.
EVENTS: Final = """
SELECT * FROM events
WHERE TRUE AND at >= coalesce(:since, '') AND (at, id) < (
        CASE WHEN :before IS NULL THEN '~'
        ELSE (SELECT at FROM events WHERE id <= :before ORDER BY id DESC LIMIT 1) END,
        coalesce(:before, 0))
    AND (:kinds IS NULL OR kind IN (SELECT value FROM json_each(:kinds)))
ORDER BY at DESC, id DESC LIMIT :limit
"""
EVENTS_OF_MODEL: Final = EVENTS.replace("TRUE", "model_id = :model_id")
BASELINES: Final = "SELECT model_id, baseline FROM baselines"


def insert(connection: sqlite3.Connection, event: Event) -> None:
    """Write one event, within the caller's transaction. Raises sqlite3.Error, ValueError, TypeError, OverflowError."""
    connection.execute(_INSERT, rows.from_event(event))


def save(connection: sqlite3.Connection, model_id: str, baseline: Mapping[str, Any], now: str) -> None:
    """Put a baseline in the place of the former one, within the caller's transaction.

    Raises sqlite3.Error, and for what JSON cannot hold ValueError, TypeError or RecursionError: a baseline is either
    whole, or the former one stays.
    """
    text = json.dumps(rows.clean(baseline), ensure_ascii=False, allow_nan=False)
    connection.execute(_SAVE, {"model_id": rows.clean_text(model_id), "baseline": text, "now": now})
