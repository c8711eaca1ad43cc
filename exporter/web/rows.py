"""The shapes that the API shows, computed from the words and the statistics. Pure: reads nothing by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from exporter.models import Incident, Model, Observation, Reason, Status, rfc3339

if TYPE_CHECKING:
    from exporter.fallback import Resolution
    from exporter.metrics import BudgetReading

Row = dict[str, Any]

_DOWN: Final = (Status.FAILED, Status.NOT_FOUND, Status.AUTH_REQUIRED)
_TOP: Final = 5


def model_row(
    model: Model,
    observation: Observation | None,
    stats: Mapping[str, Any] | None,
    *,
    fallback: str | None,
    incident: Reason | None,
    effective_interval_s: float | None,
) -> Row:
    """Return one model as `/models` lists it; rates are percent, null where nothing was measured.

    `fallback` is the model in its place now, `incident` the reason of the one that holds for it.
    """
    now = observation if model.enabled else None
    counted = stats or {}
    total = counted.get("total_checks") or 0
    return {
        "model_id": model.model_id,
        "model_key": model.model_key,
        "task": model.task,
        "category": model.category,
        "provider": model.provider,
        "requires_auth": model.requires_auth,
        "enabled": model.enabled,
        "status": str(now.status if now else Status.UNKNOWN),
        "reason": str(now.reason) if now else None,
        "scope": str(now.scope) if now else None,
        "message": now.message if now else "",
        "success": now.success if now else None,
        "counted": now.counts if now else None,
        "incident": incident,
        "fallback": fallback,
        "canonical_id": now.canonical_id if now else None,
        "effective_interval_s": rounded(effective_interval_s),
        "last_probe_at": rfc3339(now.checked_at) if now else None,
        "response_time_ms": rounded(now.response_time_ms) if now else None,
        "confidence": rounded(now.confidence, 4) if now else None,
        "total_checks": total,
        "successful_checks": counted.get("successful_checks") or 0,
        "failed_checks": counted.get("failed_checks") or 0,
        "success_rate": rounded(counted.get("success_rate")) if total else None,
        "avg_response_time_ms": rounded(counted.get("avg_response_time_ms")),
        "last_success_at": counted.get("last_success_at"),
        "last_failure_at": counted.get("last_failure_at"),
    }


def summary(rows: Sequence[Row]) -> Row:
    """Return the totals over `rows`; means are over the models that have checks, 0.0 where none has."""
    categories: dict[str, list[Row]] = {}
    for row in rows:
        categories.setdefault(row["category"], []).append(row)
    return {
        "total_models": len(rows),
        "models_with_checks": sum(1 for row in rows if row["total_checks"]),
        "overall_success_rate": _mean_rate(rows),
        "by_category": {
            name: {
                "total": len(members),
                "models_with_checks": sum(1 for row in members if row["total_checks"]),
                "avg_success_rate": _mean_rate(members),
                "models": [row["model_id"] for row in members],
            }
            for name, members in categories.items()
        },
        "by_status": {str(status): sum(1 for row in rows if row["status"] == status) for status in Status},
    }


def top_models(rows: Iterable[Row]) -> list[Row]:
    """Return at most five models that have succeeded: the best success rate first, then the fastest."""
    succeeded = [row for row in rows if row["success_rate"]]
    return sorted(succeeded, key=lambda row: (-row["success_rate"], row["avg_response_time_ms"] or float("inf")))[:_TOP]


def failed_models(rows: Iterable[Row]) -> list[Row]:
    """Return the models that are down now by their own doing: a missing token is not the failure of any of them."""
    return [row for row in rows if row["status"] in _DOWN and row["counted"]]


def accuracy(correct: int, judged: int) -> Row:
    """Return how many of the judged answers were right; the ratio is null where none was judged."""
    return {"correct": correct, "judged": judged, "ratio": rounded(correct / judged, 4) if judged else None}


def resolution(found: Resolution) -> Row:
    """Return which model to use now; `model_id` is null when none works."""
    return {
        "model_id": found.model_id,
        "provider": found.provider,
        "status": found.status,
        "reason": found.reason,
        "wanted": found.wanted,
        "why": found.why,
        "chain": found.chain,
    }


def open_incident(incident: Incident, next_try: datetime | None) -> Row:
    """Return an incident that lasts, with the time of the next request that its provider may get."""
    return {
        "provider": incident.provider,
        "scope": incident.scope,
        "reason": incident.reason,
        "opened_at": rfc3339(incident.opened_at),
        "next_try": None if next_try is None else rfc3339(next_try),
        "model_ids": incident.model_ids,
        "message": incident.message,
    }


def closed_incident(event: Mapping[str, Any]) -> Row:
    """Return an incident that is over from the event that told so."""
    told = event["after"]
    return {
        **{name: told[name] for name in ("provider", "scope", "reason", "opened_at")},
        "closed_at": event["at"],
        "model_ids": told["model_ids"],
        "message": event["message"],
    }


def budget(reading: BudgetReading, *, month: str, wished: float, models: Sequence[Row]) -> Row:
    """Return what a provider costs in a month; `wished` is what the configured intervals alone would need in it."""
    return {
        "provider": reading.provider,
        "month": month,
        "requests": {
            "limit": reading.requests_limit,
            "used": reading.requests_used,
            "projected": reading.requests_projected,
            "projected_without_limit": round(wished),
        },
        "compute_seconds": {"limit": reading.compute_s_limit, "used": reading.compute_s_used},
        "models": models,
    }


def rounded(value: float | None, digits: int = 2) -> float | None:
    """Return `value` with so many decimals; None stays None."""
    return None if value is None else round(value, digits)


def _mean_rate(rows: Iterable[Row]) -> float:
    rates = [row["success_rate"] for row in rows if row["success_rate"] is not None]
    return round(sum(rates) / len(rates), 2) if rates else 0.0
