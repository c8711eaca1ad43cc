"""The routes of an exporter: metrics, life signs, reload, a synchronous probe, the configuration, the landing page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.config import ConfigError, as_yaml
from exporter.web.debug import exchange_log
from exporter.web.http import ApiError, Request, Response, json_response, text_response
from exporter.web.page import CONTENT_SECURITY_POLICY, landing_page

if TYPE_CHECKING:
    from exporter.models import Reply
    from exporter.web.backend import Backend


async def metrics(backend: Backend, request: Request) -> Response:
    """Expose the metrics, as text or OpenMetrics by the Accept header."""
    body, content_type = backend.metrics.render(request.headers.get("accept", ""))
    return Response(body=body, headers={"Content-Type": content_type, "Vary": "Accept"})


async def healthy(backend: Backend, request: Request) -> Response:
    """Answer 200 as long as requests are answered at all."""
    return text_response("The exporter is healthy.\n")


async def ready(backend: Backend, request: Request) -> Response:
    """Answer 200 once everything is open and the schedule runs."""
    if not backend.ready:
        return text_response("The exporter is not ready: it is starting or ending.\n", 503)
    return text_response("The exporter is ready.\n")


async def reload(backend: Backend, request: Request) -> Response:
    """Read the configuration again; a bad one is refused, and the old one stays."""
    try:
        await backend.reload()
    except ConfigError as error:
        raise ApiError(400, "config_invalid", str(error)) from error
    config = backend.config
    return json_response({"status": "reloaded", "models": len(config.models), "warnings": list(config.warnings)})


async def probe(backend: Backend, request: Request) -> Response:
    """Probe one configured model now; its metrics come from a registry of their own."""
    model_id = request.query.get("model")
    if not model_id:
        raise ApiError(400, "bad_parameter", "model is missing: name a configured model, as in /probe?model=gpt2")
    if backend.config.model(model_id) is None:
        raise ApiError(400, "unknown_model", f"model {model_id!r} is not configured; only configured ones are probed")
    trace: list[Reply] = []
    observation = await backend.monitor.check(model_id, trace)
    exposition = backend.metrics.render_probe(observation)
    if request.query.get("debug", "").lower() not in ("true", "1"):
        return Response(body=exposition, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})
    log = exchange_log(observation, trace)
    return text_response(f"{log}\nmetrics that would have been returned:\n{exposition.decode()}")


async def config(backend: Backend, request: Request) -> Response:
    """Show the configuration in effect; it holds no secret."""
    return text_response(as_yaml(backend.config), content_type="text/yaml")


async def landing(backend: Backend, request: Request) -> Response:
    """Show a page with links."""
    page = landing_page(version=backend.version, models=len(backend.config.models), simulated=backend.simulated)
    response = text_response(page, content_type="text/html")
    return Response(
        body=response.body, headers={**response.headers, "Content-Security-Policy": CONTENT_SECURITY_POLICY}
    )
