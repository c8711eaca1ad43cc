"""Which rows of the history are too old, a few at a time. Statistics are never touched."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import Final

from exporter.store.rows import to_text

EVERY_S: Final = 60.0
STEP_ROWS: Final = 500

# Rows that were carried over from a predecessor have been here only since then: they stay for a whole history more.
_DELETE: Final = """
DELETE FROM model_metrics WHERE id IN (
    SELECT id FROM model_metrics
    WHERE checked_at < :limit AND id > coalesce((
        SELECT CAST(last.value AS INTEGER) FROM store_meta last, store_meta moment
        WHERE last.key = 'carried_over_last_id' AND moment.key = 'carried_over_at' AND moment.value >= :limit
    ), 0)
    ORDER BY checked_at LIMIT :step
)
"""


def step(connection: sqlite3.Connection, now: datetime, history_s: float) -> bool:
    """Delete at most STEP_ROWS rows older than `history_s` seconds; True when there may be more.

    Raises sqlite3.Error.
    """
    limit = datetime.fromtimestamp(max(0.0, now.timestamp() - history_s), UTC)
    deleted = connection.execute(_DELETE, {"limit": to_text(limit), "step": STEP_ROWS}).rowcount
    return deleted == STEP_ROWS
