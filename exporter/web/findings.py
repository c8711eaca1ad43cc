"""The part of the JSON API that tells what follows from the probes: what to use, what changed, the cause, the cost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from exporter.budget import month_of
from exporter.models import EventKind
from exporter.web import parameters
from exporter.web.http import ApiError, Request, Response, json_response
from exporter.web.rows import Row, budget, closed_incident, open_incident, resolution, rounded
from exporter.web.shown import configured

if TYPE_CHECKING:
    from exporter.web.backend import Backend

_RECENT_INCIDENTS: Final = 20


async def resolve(backend: Backend, request: Request) -> Response:
    """Say which model to use now; 503 when none works."""
    # A form that is sent with empty fields means nothing by them.
    asked: dict[str, Any] = {name: request.query.get(name) or None for name in ("model", "task", "category")}
    wanted = backend.config.model(asked["model"]) if asked["model"] else None
    if asked["model"] and (wanted is None or not wanted.enabled):
        raise ApiError(404, "unknown_model", f"no enabled model {asked['model']!r} is configured")
    try:
        found = backend.fallback.resolve(**asked, now=backend.clock.now())
    except ValueError as error:
        raise ApiError(400, "bad_parameter", str(error)) from error
    if found.model_id is None:
        raise ApiError(503, "none_works", found.why, body=resolution(found))
    return json_response(resolution(found))


async def model_events(backend: Backend, request: Request) -> Response:
    """Show what has changed about one model, newest first; `before` an event's id gives the next page."""
    model_id = configured(backend, request).model_id
    limit, kinds = parameters.page_limit(request), parameters.members(request, "kinds", EventKind)
    since, before = parameters.moment(request, "since"), parameters.integer(request, "before", least=1)
    events = await asyncio.to_thread(backend.store.get_events, model_id, limit, before=before, since=since, kinds=kinds)
    return json_response({"model_id": model_id, "events": events})


async def incidents(backend: Backend, request: Request) -> Response:
    """Show the incidents that last, those that ended last, and the changes of a provider's runtime."""
    told = await asyncio.to_thread(
        backend.store.get_events,
        kinds=[EventKind.INCIDENT_CLOSED, EventKind.RUNTIME_CHANGED],
        limit=_RECENT_INCIDENTS,
    )
    closed = [closed_incident(event) for event in told if event["kind"] == EventKind.INCIDENT_CLOSED]
    changed = [event for event in told if event["kind"] == EventKind.RUNTIME_CHANGED]
    return json_response({"incidents": open_incidents(backend), "recent": closed, "runtime_changes": changed})


async def budgets(backend: Backend, request: Request) -> Response:
    """Show what each provider has cost this month and will have at its end, and how often each model is asked."""
    now = backend.clock.now()
    providers = []
    for reading in backend.read_budgets():
        models = [
            {
                "model_id": model.model_id,
                "interval_s": rounded(model.interval_s),
                "effective_interval_s": rounded(backend.effective_interval_s(model.model_id)),
            }
            for model in backend.config.active
            if model.provider == reading.provider
        ]
        wished = backend.gate.budgets[reading.provider].projected_free(now)
        providers.append(budget(reading, month=month_of(now), wished=wished, models=models))
    return json_response({"providers": providers})


def open_incidents(backend: Backend) -> list[Row]:
    """Return the incidents that last, as the API shows them."""
    known = backend.incidents
    return [open_incident(incident, known.next_try(incident.provider)) for incident in known.open()]
