"""The binding to aiohttp: our own application, or our routes within another one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from aiohttp import web

from exporter.web.dispatch import dispatch
from exporter.web.http import Request
from exporter.web.routes import ROOTS
from exporter.web.webconfig import WebConfig

if TYPE_CHECKING:
    from exporter.web.backend import Backend

_BODY_MOST_BYTES: Final = 16_384
_HEADERS: Final = {"Server": "ai-model-exporter"}  # instead of the versions of Python and aiohttp
_TAIL: Final = "/{tail:.*}"

_AiohttpHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(backend: Backend, web_config: WebConfig | None = None) -> web.Application:
    """Return the application that serves everything, the landing page included."""
    app = web.Application(client_max_size=_BODY_MOST_BYTES)
    app.router.add_route("*", _TAIL, _handler(lambda: backend, web_config or WebConfig(), ""))
    return app


def setup_routes(
    app: web.Application,
    get_backend: Callable[[], Backend | None],
    prefix: str = "",
    web_config: WebConfig | None = None,
) -> None:
    """Add the API and the exporter's routes, but no page at `/`, to another application, under `prefix`.

    `get_backend` is called at each request; while it returns None (before start-up) the answer is 503.
    The headers and the users of `web_config` hold for these routes only; TLS is the host's.
    """
    for root in ROOTS:
        for path, template in ((root, root), (root + _TAIL, f"{root}/{{tail}}")):
            handler = _handler(get_backend, web_config or WebConfig(), template)
            app.router.add_route("*", prefix.rstrip("/") + path, handler)


def _handler(get_backend: Callable[[], Backend | None], web_config: WebConfig, template: str) -> _AiohttpHandler:
    async def handle(request: web.Request) -> web.StreamResponse:
        neutral = _neutral(request, template)
        response = await dispatch(get_backend(), web_config, neutral)
        return web.Response(status=response.status, body=response.body, headers={**_HEADERS, **response.headers})

    return handle


def _neutral(request: web.Request, template: str) -> Request:
    path, _, query_string = request.raw_path.partition("?")
    if not path.startswith("/"):  # the absolute form, as a proxy asks
        path = urlsplit(path).path
    prefix = _prefix(request, template)
    names = {name.lower() for name in request.headers}
    return Request(
        method=request.method,
        path=path.removeprefix(prefix),
        query_string=query_string,
        headers={name: ", ".join(request.headers.getall(name)) for name in names},
        remote=_peer(request),
        prefix=prefix,
    )


def _prefix(request: web.Request, template: str) -> str:
    # A host may nest applications: only the resource that matched knows the whole prefix.
    resource = request.match_info.route.resource
    return resource.canonical.removesuffix(template) if template and resource is not None else ""


def _peer(request: web.Request) -> str | None:
    # Not request.remote: a host's middleware may have replaced that with what a header says.
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return str(peer[0]) if isinstance(peer, tuple) else None
