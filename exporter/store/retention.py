"""Which checks and events are too old, a few at a time. Statistics, baselines and spending are never touched."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import Final

from exporter.store.rows import to_text

EVERY_S: Final = 60.0
STEP_ROWS: Final = 500
EVENTS_LAST: Final = 4  # times as long as checks: there are few of them

# Rows that were carried over from a predecessor have been here only since then: they stay for a whole history more.
_DELETE_CHECKS: Final = """
DELETE FROM model_metrics WHERE id IN (
    SELECT id FROM model_metrics
    WHERE checked_at < :limit AND id > coalesce((
        SELECT CAST(last.value AS INTEGER) FROM store_meta last, store_meta moment
        WHERE last.key = 'carried_over_last_id' AND moment.key = 'carried_over_at' AND moment.value >= :limit
    ), 0)
    ORDER BY checked_at LIMIT :step
)
"""
_DELETE_EVENTS: Final = """
DELETE FROM events WHERE id IN (SELECT id FROM events WHERE at < :limit ORDER BY at LIMIT :step)
"""


def step(connection: sqlite3.Connection, now: datetime, history_s: float) -> bool:
    """Delete at most STEP_ROWS checks older than `history_s` seconds, and as many events older than four times that.

    True when there may be more. Raises sqlite3.Error.
    """
    more = False
    for delete, age_s in ((_DELETE_CHECKS, history_s), (_DELETE_EVENTS, EVENTS_LAST * history_s)):
        limit = datetime.fromtimestamp(max(0.0, now.timestamp() - age_s), UTC)
        deleted = connection.execute(delete, {"limit": to_text(limit), "step": STEP_ROWS}).rowcount
        more = more or deleted == STEP_ROWS
    return more
