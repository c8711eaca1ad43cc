"""The JSON API under /api/ai-models. A handler reads the board, the store once, and shapes; it keeps nothing."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from exporter.models import Model, Status, rfc3339
from exporter.web.http import ApiError, Request, Response, json_response
from exporter.web.rows import Row, failed_models, model_row, rounded, summary, top_models

if TYPE_CHECKING:
    from exporter.web.backend import Backend

_INTEGER: Final = re.compile(r"[0-9]{1,18}")
_RFC3339: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)(Z|[ +-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}
_HISTORY_LIMIT: Final = 100
_HISTORY_MOST: Final = 1000
_RECENT: Final = 10


async def scan(backend: Backend, request: Request) -> Response:
    """Probe every model now; with `wait=false` answer 202 at once. Scans at the same time are one scan."""
    if _boolean(request, "wait", default=True):
        return json_response(await backend.monitor.scan_all_models())
    under_way = backend.monitor.scan_in_progress
    backend.monitor.start_scan()
    state = "already_running" if under_way else "started"
    message = "a scan was under way already" if under_way else "the scan has begun"
    return json_response({"status": state, "message": message}, 202)


async def models(backend: Backend, request: Request) -> Response:
    """List the configured models in their order; X-Total-Count tells how many match before limit and offset."""
    status = _status(request)
    limit = _integer(request, "limit", None, least=1)
    offset = _integer(request, "offset", 0, least=0) or 0
    wanted = {name: request.query[name] for name in ("task", "category") if name in request.query}
    if status is not None:
        wanted["status"] = status
    rows = [row for row in await _rows(backend) if all(row[name] == value for name, value in wanted.items())]
    page = rows[offset:] if limit is None else rows[offset : offset + limit]
    return json_response(page, headers={"X-Total-Count": str(len(rows))})


async def available(backend: Backend, request: Request) -> Response:
    """List the models that work now."""
    rows = [row for row in await _rows(backend) if row["status"] == Status.AVAILABLE]
    return json_response({"total": len(rows), "models": rows})


async def model(backend: Backend, request: Request) -> Response:
    """Show one model."""
    configured = _configured(backend, request)
    stats = await asyncio.to_thread(backend.store.get_model_stats, configured.model_id)
    return json_response(model_row(configured, backend.board.get(configured.model_id), stats))


async def history(backend: Backend, request: Request) -> Response:
    """Show one model's checks, newest first; `before` a row's id gives the next page."""
    model_id = _configured(backend, request).model_id
    limit = _integer(request, "limit", _HISTORY_LIMIT, least=1, most=_HISTORY_MOST) or _HISTORY_LIMIT
    since, until = _moment(request, "since"), _moment(request, "until")
    before = _integer(request, "before", None, least=1)
    store = backend.store

    def read() -> tuple[int, list[Row]]:
        rows = store.get_model_history(model_id, limit, since=since, until=until, before=before)
        return store.count_history(model_id, since=since, until=until), rows

    total, rows = await asyncio.to_thread(read)
    return json_response({"model_id": model_id, "total_records": total, "history": rows})


async def stats(backend: Backend, request: Request) -> Response:
    """Show one model's statistics, its last checks, and the percent of checks that succeeded by window."""
    configured = _configured(backend, request)
    model_id, store = configured.model_id, backend.store

    def read() -> tuple[Row | None, list[Row], dict[str, float | None]]:
        return store.get_model_stats(model_id), store.get_model_history(model_id, _RECENT), store.uptime(model_id)

    counted, recent, uptime = await asyncio.to_thread(read)
    return json_response(
        {
            "model_info": model_row(configured, backend.board.get(model_id), counted),
            "recent_checks": recent,
            "uptime": {window: rounded(percent) for window, percent in uptime.items()},
        }
    )


async def stats_summary(backend: Backend, request: Request) -> Response:
    """Sum up the enabled models."""
    return json_response({**summary(await _enabled_rows(backend)), "timestamp": _now(backend)})


async def dashboard(backend: Backend, request: Request) -> Response:
    """Give what a dashboard shows: the summary, the best and the failed models, the agent."""
    rows = await _enabled_rows(backend)
    return json_response(
        {
            "summary": summary(rows),
            "top_models": top_models(rows),
            "failed_models": failed_models(rows),
            "agent_running": backend.agent.running,
            "total_models": len(rows),
            "simulated": backend.simulated,
            "timestamp": _now(backend),
        }
    )


async def agent_status(backend: Backend, request: Request) -> Response:
    """Tell whether the agent runs, and when it scans."""
    agent = backend.agent
    return json_response(
        {
            "running": agent.running,
            "interval_minutes": _interval_minutes(backend),
            "last_scan": _optional_time(agent.last_scan),
            "next_scan": _optional_time(agent.next_scan),
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


async def _rows(backend: Backend) -> list[Row]:
    counted = await asyncio.to_thread(backend.store.all_stats)
    board = backend.board
    return [model_row(each, board.get(each.model_id), counted.get(each.model_id)) for each in backend.config.models]


async def _enabled_rows(backend: Backend) -> list[Row]:
    return [row for row in await _rows(backend) if row["enabled"]]


def _configured(backend: Backend, request: Request) -> Model:
    model_id = request.params["id"]
    found = backend.config.model(model_id)
    if found is None:
        raise ApiError(404, "unknown_model", f"no model {model_id!r} is configured")
    return found


def _status(request: Request) -> str | None:
    status = request.query.get("status")
    if status is not None and status not in list(Status):
        raise _bad_parameter("status", f"must be one of {', '.join(Status)}")
    return status


def _integer(request: Request, name: str, default: int | None, *, least: int, most: int | None = None) -> int | None:
    text = request.query.get(name)
    if text is None:
        return default
    number = int(text) if _INTEGER.fullmatch(text) else None
    if number is None or number < least or (most is not None and number > most):
        raise _bad_parameter(name, f"must be an integer from {least}" + (f" to {most}" if most else " up"))
    return number


def _boolean(request: Request, name: str, *, default: bool) -> bool:
    text = request.query.get(name)
    if text is None:
        return default
    if text.lower() not in _BOOLEANS:
        raise _bad_parameter(name, "must be true or false")
    return _BOOLEANS[text.lower()]


def _moment(request: Request, name: str) -> datetime | None:
    text = request.query.get(name)
    if text is None:
        return None
    parts = _RFC3339.fullmatch(text)
    try:
        if parts is None:
            raise ValueError(name)
        # A + that was not percent-encoded arrives as a space.
        return datetime.fromisoformat(parts[1] + parts[2].replace(" ", "+").upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _bad_parameter(name, "must be a time as RFC 3339 has it, such as 2025-12-08T03:13:29Z") from None


def _bad_parameter(name: str, what: str) -> ApiError:
    return ApiError(400, "bad_parameter", f"{name} {what}")


def _interval_minutes(backend: Backend) -> float:
    minutes = round(backend.config.interval_s / 60, 2)
    return int(minutes) if minutes == int(minutes) else minutes


def _optional_time(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)


def _now(backend: Backend) -> Any:
    return rfc3339(backend.clock.now())
