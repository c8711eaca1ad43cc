"""The binding to ASGI 3: a whole application, or one mounted in FastAPI or Starlette."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from exporter.web.dispatch import dispatch
from exporter.web.http import Request, Response
from exporter.web.webconfig import WebConfig

if TYPE_CHECKING:
    from exporter.web.backend import Backend

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Hook = Callable[[], Awaitable[None]]


class AsgiApp:
    """The same routes as an ASGI application. A request's body is never read, as no route takes one.

    `get_backend` is called at each request; while it returns None the answer is 503. `start` and `stop` are awaited
    with the lifespan of a server that runs this alone; a host that mounts it passes `lifespan` to its own.
    """

    def __init__(
        self,
        get_backend: Callable[[], Backend | None],
        *,
        web_config: WebConfig | None = None,
        start: Hook | None = None,
        stop: Hook | None = None,
    ) -> None:
        self._get_backend = get_backend
        self._web_config = web_config or WebConfig()
        self._start = start
        self._stop = stop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope of type http or lifespan; a websocket is closed. Raises ValueError for any other type."""
        if scope["type"] == "lifespan":
            await self._serve_lifespan(receive, send)
        elif scope["type"] == "http":
            await _send_response(await self._respond(scope), scope["method"], send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        else:
            raise ValueError(f"the scope {scope['type']!r} is not known")

    @asynccontextmanager
    async def lifespan(self, _app: object) -> AsyncIterator[None]:
        """Start and stop with a host: `FastAPI(lifespan=asgi_app.lifespan)`."""
        if self._start is not None:
            await self._start()
        try:
            yield
        finally:
            if self._stop is not None:
                await self._stop()

    async def _respond(self, scope: Scope) -> Response:
        return await dispatch(self._get_backend(), self._web_config, _neutral(scope))

    async def _serve_lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        event = "lifespan.startup.failed"
        try:
            async with self.lifespan(self):
                event = "lifespan.shutdown.failed"
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except Exception as error:
            await send({"type": event, "message": f"{type(error).__name__}: {error}"})
            raise
        await send({"type": "lifespan.shutdown.complete"})


def _neutral(scope: Scope) -> Request:
    prefix, path = _split(scope)
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    client = scope.get("client")
    return Request(
        method=scope["method"],
        path=path,
        query_string=scope.get("query_string", b"").decode("utf-8", "surrogateescape"),
        headers=headers,
        remote=client[0] if client else None,
        prefix=prefix,
    )


def _split(scope: Scope) -> tuple[str, str]:
    """Return the prefix that a mount or a proxy put before the path, and the rest of the path as sent."""
    root: str = scope.get("root_path", "").rstrip("/")
    raw: bytes | None = scope.get("raw_path")
    full = raw.decode("utf-8", "surrogateescape") if raw else quote(scope["path"])
    for prefix in (quote(root), root):
        if full == prefix or full.startswith(f"{prefix}/"):
            return prefix, full.removeprefix(prefix) or "/"
    return root, full


async def _send_response(response: Response, method: str, send: Send) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
    headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else response.body})
