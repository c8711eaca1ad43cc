"""One request to one response: match, authenticate, guard, handle, and give every answer its headers."""

from __future__ import annotations

import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from exporter.store import StorageError
from exporter.web.compress import compressed
from exporter.web.guard import check_acting
from exporter.web.http import ApiError, Request, Response, error_response, parse_query
from exporter.web.routes import match

if TYPE_CHECKING:
    from exporter.web.backend import Backend
    from exporter.web.webconfig import WebConfig

_log = structlog.get_logger()
_HEADERS: Final = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


async def dispatch(backend: Backend | None, web: WebConfig, request: Request) -> Response:
    """Answer `request`; never raises. `backend` is None while the service is not open."""
    response = await _answer(backend, web, request)
    response = replace(response, headers={**_HEADERS, **response.headers, **web.headers})
    return await compressed(response, request.headers.get("accept-encoding", ""))


async def _answer(backend: Backend | None, web: WebConfig, request: Request) -> Response:
    try:
        return await _handle(backend, web, request)
    except ApiError as error:
        return error_response(error)
    except StorageError as error:
        _log.warning("storage_unavailable", path=request.path, error=str(error))
        return error_response(ApiError(503, "storage", "the database does not answer; the log says why"))
    except Exception:  # noqa: BLE001 -- a bug in one handler is logged and answered; it does not end the connection
        # As text: a renderer that shows local variables could show a token among them.
        _log.error("request_failed", method=request.method, path=request.path, traceback=traceback.format_exc())
        return error_response(ApiError(500, "internal", "this request failed because of a bug; the log says more"))


async def _handle(backend: Backend | None, web: WebConfig, request: Request) -> Response:
    try:
        route, params = match(request.path)
    except ApiError:
        await _authenticate(web, request)
        raise
    if not route.public:
        await _authenticate(web, request)
    if request.method not in route.allowed:
        allow = ", ".join(route.allowed)
        raise ApiError(405, "method_not_allowed", f"{route.path} answers {allow} only", {"Allow": allow})
    if route.acts:
        check_acting(request, credentials_configured=web.users is not None)
    if backend is None:
        raise ApiError(503, "not_ready", "the service is starting or ending")
    return await route.handler(backend, replace(request, params=params, query=parse_query(request.query_string)))


async def _authenticate(web: WebConfig, request: Request) -> None:
    if web.users is not None and not await web.users.allows(request.headers.get("authorization")):
        challenge = {"WWW-Authenticate": 'Basic realm="ai-model-exporter", charset="UTF-8"'}
        raise ApiError(401, "unauthorized", "this asks for a user and a password", challenge)
