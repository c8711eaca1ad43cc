"""Put together what is known of each model now: its configuration, its newest probe, its statistics, what follows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from exporter.models import Model
from exporter.web.http import ApiError, Request
from exporter.web.rows import Row, model_row

if TYPE_CHECKING:
    from exporter.web.backend import Backend


def configured(backend: Backend, request: Request) -> Model:
    """Return the model that the path names. Raises ApiError 404."""
    model_id = request.params["id"]
    found = backend.config.model(model_id)
    if found is None:
        raise ApiError(404, "unknown_model", f"no model {model_id!r} is configured")
    return found


def shape(backend: Backend) -> Callable[[Model, Mapping[str, Any] | None], Row]:
    """Return how a model is shown with its statistics; what holds for many models is looked up once."""
    board, fallbacks = backend.board, backend.fallback.in_use()
    reasons = {model_id: incident.reason for incident in backend.incidents.open() for model_id in incident.model_ids}

    def row(model: Model, stats: Mapping[str, Any] | None) -> Row:
        model_id = model.model_id
        return model_row(
            model,
            board.get(model_id),
            stats,
            fallback=fallbacks.get(model_id),
            incident=reasons.get(model_id),
            effective_interval_s=backend.effective_interval_s(model_id) if model.enabled else None,
        )

    return row


async def all_rows(backend: Backend) -> list[Row]:
    """Return every configured model in its order. Raises StorageError."""
    counted = await asyncio.to_thread(backend.store.all_stats)
    row = shape(backend)
    return [row(model, counted.get(model.model_id)) for model in backend.config.models]


async def enabled_rows(backend: Backend) -> list[Row]:
    """Return those that are enabled. Raises StorageError."""
    return [row for row in await all_rows(backend) if row["enabled"]]
