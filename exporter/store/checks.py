"""What a check leaves behind: a row of the history, its share of the statistics, what it cost; and what is read of it.

The reads are statements: who has a connection sends them.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Final

from exporter.models import Observation
from exporter.store import rows, statistics

_INSERT: Final = """
INSERT INTO model_metrics (
    model_id, status, response_time_ms, success, error_message, test_input, test_output, confidence, checked_at,
    provider, reason, scope, http_status, counted, attempts, timings, canonical_id, hub_sha, served_sha, compute_type,
    compute_time_s, requests, cached, cold, canary, correct
) VALUES (
    :model_id, :status, :response_time_ms, :success, :error_message, :test_input, :test_output, :confidence,
    :checked_at, :provider, :reason, :scope, :http_status, :counted, :attempts, :timings, :canonical_id, :hub_sha,
    :served_sha, :compute_type, :compute_time_s, :requests, :cached, :cold, :canary, :correct
)
"""
_COUNTED_AT: Final = """
SELECT id, model_id, success, response_time_ms, cached, checked_at FROM model_metrics
WHERE model_id = :model_id AND checked_at = :checked_at AND counted
"""
_SPEND: Final = """
INSERT INTO spending (provider, month, requests, compute_s) VALUES (:provider, :month, :requests, :compute_s)
ON CONFLICT (provider, month) DO UPDATE SET
    requests = requests + excluded.requests, compute_s = compute_s + excluded.compute_s
"""

# `~` is greater than any time. The row of the cursor may have been deleted since: then the next older one tells where
# to go on.
HISTORY: Final = """
SELECT * FROM model_metrics
WHERE model_id = :model_id AND checked_at >= coalesce(:since, '') AND checked_at < coalesce(:until, '~')
    AND (checked_at, id) < (
        CASE WHEN :before IS NULL THEN '~'
        ELSE (SELECT checked_at FROM model_metrics WHERE id <= :before ORDER BY id DESC LIMIT 1) END,
        coalesce(:before, 0))
ORDER BY checked_at DESC, id DESC LIMIT :limit
"""
COUNT: Final = """
SELECT count(*) FROM model_metrics
WHERE model_id = :model_id AND checked_at >= coalesce(:since, '') AND checked_at < coalesce(:until, '~')
"""
UPTIME: Final = """
SELECT 100.0 * avg(CASE WHEN checked_at >= :since_1h THEN success END) AS "1h",
    100.0 * avg(CASE WHEN checked_at >= :since_24h THEN success END) AS "24h",
    100.0 * avg(CASE WHEN checked_at >= :since_7d THEN success END) AS "7d",
    100.0 * avg(success) AS "30d"
FROM model_metrics WHERE model_id = :model_id AND checked_at >= :since_30d AND counted
"""
NEWEST: Final = """
SELECT h.*, m.task FROM ai_models m JOIN model_metrics h ON h.id = (
    SELECT id FROM model_metrics WHERE model_id = m.model_id ORDER BY checked_at DESC, id DESC LIMIT 1)
WHERE m.is_active ORDER BY m.id
"""
# Each of these two has an index of its own that holds all that is asked for.
LAST_ASKED: Final = """
SELECT model_id, (SELECT max(checked_at) FROM model_metrics h WHERE h.model_id = m.model_id AND requests > 0) AS at
FROM ai_models m WHERE at IS NOT NULL
"""
ACCURACY: Final = """
SELECT h.model_id, sum(correct) AS correct, count(*) AS judged
FROM model_metrics h
WHERE h.model_id IN (SELECT model_id FROM ai_models WHERE :model_id IS NULL UNION SELECT :model_id)
    AND checked_at >= coalesce(:since, '') AND correct IS NOT NULL
GROUP BY h.model_id
"""
SPENDING: Final = "SELECT provider, month, requests, compute_s FROM spending"


def insert(connection: sqlite3.Connection, observation: Observation) -> None:
    """Write one check with its statistics and its cost, within the caller's transaction.

    Raises sqlite3.Error, ValueError, TypeError or OverflowError.
    """
    row = rows.from_observation(observation)
    connection.execute(_INSERT, row)
    if row["counted"]:
        connection.execute(statistics.ADD, statistics.of_one_check(row))
    if row["requests"]:  # a result that is told again, without a request, carries a compute time that was paid before
        spend(connection, row["provider"], observation.checked_at, row["requests"], row["compute_time_s"] or 0.0)


def retract(connection: sqlite3.Connection, model_id: str, checked_at: datetime) -> None:
    """Let the check of a model at that time count no longer, within the caller's transaction. Raises sqlite3.Error."""
    wanted = {"model_id": rows.clean(model_id), "checked_at": rows.to_text(checked_at)}
    for row in connection.execute(_COUNTED_AT, wanted).fetchall():
        connection.execute("UPDATE model_metrics SET counted = 0 WHERE id = ?", (row["id"],))
        connection.execute(statistics.TAKE, statistics.of_one_check(row))


def spend(connection: sqlite3.Connection, provider: str, at: datetime, requests: int, compute_s: float) -> None:
    """Add to what was spent in the month of `at`, within the caller's transaction.

    Raises sqlite3.Error, ValueError, TypeError or OverflowError.
    """
    spent = {
        "provider": rows.clean(provider),
        "month": rows.to_text(at)[: len("2025-12")],
        "requests": requests,
        "compute_s": rows.clean(float(compute_s)) or 0.0,
    }
    connection.execute(_SPEND, spent)
