"""Values for tests, made with as little to say as the test needs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from exporter.models import Model, Observation, Reason, Scope, Status

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def model(model_id: str = "owner/name", **changes: Any) -> Model:
    return Model(**{"model_id": model_id, "task": "sentiment-analysis", "category": "general", **changes})


def observation(model_id: str = "owner/name", **changes: Any) -> Observation:
    status = changes.get("status", Status.AVAILABLE)
    success = status in (Status.AVAILABLE, Status.DEGRADED)
    defaults = {
        "model_id": model_id,
        "provider": "huggingface",
        "task": "sentiment-analysis",
        "checked_at": NOW,
        "status": status,
        "reason": Reason.OK if success else Reason.SERVER_ERROR,
        "scope": Scope.MODEL,
        "counts": status not in (Status.UNKNOWN, Status.NOT_SERVED),
        "success": success,
    }
    return Observation(**{**defaults, **changes})
