"""How statistics add up, and how one check is taken out of them again.

One statement adds: one check that is recorded, or a whole row that is carried over.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any, Final

# The sum is kept beside the mean, so that the mean stays exact however many checks there are.
ADD: Final = """
INSERT INTO model_stats (
    model_id, total_checks, successful_checks, failed_checks, avg_response_time_ms, last_success_at, last_failure_at,
    success_rate, measured_checks, response_time_sum_ms
) VALUES (
    :model_id, :total_checks, :successful_checks, :failed_checks, :avg_response_time_ms, :last_success_at,
    :last_failure_at, :success_rate, :measured_checks, :response_time_sum_ms
) ON CONFLICT (model_id) DO UPDATE SET
    total_checks = total_checks + excluded.total_checks,
    successful_checks = successful_checks + excluded.successful_checks,
    failed_checks = failed_checks + excluded.failed_checks,
    avg_response_time_ms = (response_time_sum_ms + excluded.response_time_sum_ms)
        / nullif(measured_checks + excluded.measured_checks, 0),
    last_success_at = coalesce(
        max(last_success_at, excluded.last_success_at), last_success_at, excluded.last_success_at),
    last_failure_at = coalesce(
        max(last_failure_at, excluded.last_failure_at), last_failure_at, excluded.last_failure_at),
    success_rate = 100.0 * (successful_checks + excluded.successful_checks)
        / nullif(total_checks + excluded.total_checks, 0),
    measured_checks = measured_checks + excluded.measured_checks,
    response_time_sum_ms = response_time_sum_ms + excluded.response_time_sum_ms
"""

# To be sent when the row no longer counts. What retention deleted is still in the sums, so they are not added up anew;
# a newest time is sought among the rows only when it was that of this check.
TAKE: Final = """
UPDATE model_stats SET
    total_checks = total_checks - :total_checks,
    successful_checks = successful_checks - :successful_checks,
    failed_checks = failed_checks - :failed_checks,
    avg_response_time_ms = (response_time_sum_ms - :response_time_sum_ms)
        / nullif(measured_checks - :measured_checks, 0),
    last_success_at = CASE WHEN last_success_at = :last_success_at THEN (
        SELECT checked_at FROM model_metrics WHERE model_id = :model_id AND counted AND success
        ORDER BY checked_at DESC LIMIT 1) ELSE last_success_at END,
    last_failure_at = CASE WHEN last_failure_at = :last_failure_at THEN (
        SELECT checked_at FROM model_metrics WHERE model_id = :model_id AND counted AND NOT success
        ORDER BY checked_at DESC LIMIT 1) ELSE last_failure_at END,
    success_rate = 100.0 * (successful_checks - :successful_checks) / nullif(total_checks - :total_checks, 0),
    measured_checks = measured_checks - :measured_checks,
    response_time_sum_ms = response_time_sum_ms - :response_time_sum_ms
WHERE model_id = :model_id
"""

FROM_ROWS: Final = """
INSERT INTO model_stats (
    model_id, total_checks, successful_checks, failed_checks, avg_response_time_ms, last_success_at, last_failure_at,
    success_rate, measured_checks, response_time_sum_ms
) SELECT model_id, count(*), sum(success), sum(1 - success), avg(response_time_ms),
    max(CASE WHEN success THEN checked_at END), max(CASE WHEN NOT success THEN checked_at END),
    100.0 * avg(success), count(response_time_ms), total(response_time_ms)
FROM model_metrics WHERE counted AND model_id NOT IN (SELECT model_id FROM model_stats) GROUP BY model_id
"""

ALL: Final = """
SELECT model_id, coalesce(total_checks, 0) AS total_checks, coalesce(successful_checks, 0) AS successful_checks,
    coalesce(failed_checks, 0) AS failed_checks, avg_response_time_ms, last_success_at, last_failure_at, success_rate
FROM (SELECT model_id FROM ai_models UNION SELECT model_id FROM model_stats) LEFT JOIN model_stats USING (model_id)
WHERE :model_id IS NULL OR model_id = :model_id
"""


def of_one_check(row: Mapping[str, Any] | sqlite3.Row) -> dict[str, Any]:
    """Return what one row of model_metrics adds, as the parameters of ADD and of TAKE."""
    success = row["success"]
    # An answer from a cache says nothing of the model's speed.
    response_time_ms = None if row["cached"] else row["response_time_ms"]
    return {
        "model_id": row["model_id"],
        "total_checks": 1,
        "successful_checks": success,
        "failed_checks": 1 - success,
        "avg_response_time_ms": response_time_ms,
        "last_success_at": row["checked_at"] if success else None,
        "last_failure_at": None if success else row["checked_at"],
        "success_rate": 100.0 * success,
        "measured_checks": int(response_time_ms is not None),
        "response_time_sum_ms": response_time_ms or 0.0,
    }
