"""The JSON API under /api/ai-models. A handler reads the board, the store once, and shapes; it keeps nothing."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from exporter.models import DAY_S, Status, rfc3339
from exporter.web import parameters
from exporter.web.findings import open_incidents
from exporter.web.http import Request, Response, json_response
from exporter.web.rows import Row, accuracy, failed_models, rounded, summary, top_models
from exporter.web.shown import all_rows, configured, enabled_rows, shape

if TYPE_CHECKING:
    from exporter.web.backend import Backend

_RECENT: Final = 10
_ACCURACY_OVER: Final = timedelta(seconds=7 * DAY_S)


async def scan(backend: Backend, request: Request) -> Response:
    """Probe every model now; with `wait=false` answer 202 at once. Scans at the same time are one scan."""
    if parameters.boolean(request, "wait", default=True):
        return json_response(await backend.monitor.scan_all_models())
    under_way = backend.monitor.scan_in_progress
    backend.monitor.start_scan()
    state = "already_running" if under_way else "started"
    message = "a scan was under way already" if under_way else "the scan has begun"
    return json_response({"status": state, "message": message}, 202)


async def models(backend: Backend, request: Request) -> Response:
    """List the configured models in their order; X-Total-Count tells how many match before limit and offset."""
    status = parameters.member(request, "status", Status)
    limit = parameters.integer(request, "limit", least=1)
    offset = parameters.integer(request, "offset", least=0) or 0
    wanted = {name: request.query[name] for name in ("task", "category") if name in request.query}
    if status is not None:
        wanted["status"] = status
    rows = [row for row in await all_rows(backend) if all(row[name] == value for name, value in wanted.items())]
    page = rows[offset:] if limit is None else rows[offset : offset + limit]
    return json_response(page, headers={"X-Total-Count": str(len(rows))})


async def available(backend: Backend, request: Request) -> Response:
    """List the models that work now."""
    rows = [row for row in await all_rows(backend) if row["status"] == Status.AVAILABLE]
    return json_response({"total": len(rows), "models": rows})


async def model(backend: Backend, request: Request) -> Response:
    """Show one model."""
    wanted = configured(backend, request)
    counted = await asyncio.to_thread(backend.store.get_model_stats, wanted.model_id)
    return json_response(shape(backend)(wanted, counted))


async def history(backend: Backend, request: Request) -> Response:
    """Show one model's checks, newest first; `before` a row's id gives the next page."""
    model_id = configured(backend, request).model_id
    limit, before = parameters.page_limit(request), parameters.integer(request, "before", least=1)
    since, until = parameters.moment(request, "since"), parameters.moment(request, "until")
    store = backend.store

    def read() -> tuple[int, list[Row]]:
        rows = store.get_model_history(model_id, limit, since=since, until=until, before=before)
        return store.count_history(model_id, since=since, until=until), rows

    total, rows = await asyncio.to_thread(read)
    return json_response({"model_id": model_id, "total_records": total, "history": rows})


async def stats(backend: Backend, request: Request) -> Response:
    """Show one model's statistics, its last checks, the percent of checks that succeeded by window, its accuracy."""
    wanted = configured(backend, request)
    model_id, store, since = wanted.model_id, backend.store, backend.clock.now() - _ACCURACY_OVER

    def read() -> tuple[Row | None, Row]:
        return store.get_model_stats(model_id), {
            "recent_checks": store.get_model_history(model_id, _RECENT),
            "uptime": {window: rounded(percent) for window, percent in store.uptime(model_id).items()},
            "accuracy": accuracy(*store.accuracy(model_id, since)),
        }

    counted, measured = await asyncio.to_thread(read)
    return json_response({"model_info": shape(backend)(wanted, counted), **measured})


async def stats_summary(backend: Backend, request: Request) -> Response:
    """Sum up the enabled models."""
    return json_response({**summary(await enabled_rows(backend)), "timestamp": _now(backend)})


async def dashboard(backend: Backend, request: Request) -> Response:
    """Give what a dashboard shows: the summary, the best and the failed models, the incidents, the agent."""
    rows = await enabled_rows(backend)
    return json_response(
        {
            "summary": summary(rows),
            "top_models": top_models(rows),
            "failed_models": failed_models(rows),
            "incidents": open_incidents(backend),
            "agent_running": backend.agent.running,
            "total_models": len(rows),
            "simulated": backend.simulated,
            "timestamp": _now(backend),
        }
    )


async def agent_status(backend: Backend, request: Request) -> Response:
    """Tell whether the agent runs, when it scans, and which incidents hold it back."""
    agent = backend.agent
    return json_response(
        {
            "running": agent.running,
            "interval_minutes": _interval_minutes(backend),
            "last_scan": _optional_time(agent.last_scan),
            "next_scan": _optional_time(agent.next_scan),
            "incidents": open_incidents(backend),
        }
    )


async def agent_start(backend: Backend, request: Request) -> Response:
    """Start the agent, unless it runs."""
    running = backend.agent.running
    if not running:
        backend.agent.start()
    return json_response(
        {
            "status": "already_running" if running else "started",
            "message": "the agent was running already" if running else "the agent runs now",
            "interval_minutes": _interval_minutes(backend),
        }
    )


async def agent_stop(backend: Backend, request: Request) -> Response:
    """Stop the agent, if it runs, and wait until it has."""
    running = backend.agent.running
    if running:
        await backend.agent.stop()
    message = "the agent has stopped" if running else "the agent was not running"
    return json_response({"status": "stopped" if running else "not_running", "message": message})


async def health(backend: Backend, request: Request) -> Response:
    """Tell how the exporter itself is: 503 when a part of it is dead or the database takes no rows."""
    store, alive = backend.store, dict(backend.alive)
    works = all(alive.values()) and store.healthy
    database = "dead" if not alive.get("store", True) else "ok" if store.healthy else "failing"
    return json_response(
        {
            "status": "healthy" if works and backend.agent.running else "degraded",
            "database": {"status": database, "queue_rows": store.queue_rows, "last_error": store.last_error},
            "alive": alive,
            "agent_running": backend.agent.running,
            "timestamp": _now(backend),
        },
        200 if works else 503,
    )


def _interval_minutes(backend: Backend) -> float:
    minutes = round(backend.config.interval_s / 60, 2)
    return int(minutes) if minutes == int(minutes) else minutes


def _optional_time(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)


def _now(backend: Backend) -> str:
    return rfc3339(backend.clock.now())
