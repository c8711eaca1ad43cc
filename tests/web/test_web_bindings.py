"""What is particular to aiohttp and to ASGI: prefixes, peers, life cycle."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web
from fastapi import FastAPI

from exporter.web.asgi import AsgiApp
from exporter.web.server import setup_routes
from exporter.web.webconfig import WebConfig

API = "/api/ai-models"
HEALTHY = "/-/healthy"


async def test_another_aiohttp_application_keeps_its_own_routes(serve: Any, backend: Any) -> None:
    async def home(request: web.Request) -> web.Response:
        return web.Response(text="home")

    app = web.Application()
    app.router.add_get("/", home)
    app.router.add_get("/api/other", home)
    setup_routes(app, lambda: backend)
    ask = await serve(app)
    assert (await ask("/")).body == b"home"
    assert (await ask("/api/other")).body == b"home"
    assert (await ask(f"{API}/models/ProsusAI%2Ffinbert")).status == 200
    assert (await ask("/metricsx")).status == 404


async def test_a_host_that_has_not_started_yet_answers_503(serve: Any, ask_asgi: Any) -> None:
    app = web.Application()
    setup_routes(app, lambda: None)
    for ask in (await serve(app), ask_asgi(AsgiApp(lambda: None))):
        answer = await ask("/metrics")
        assert (answer.status, answer.code) == (503, "not_ready")


async def test_the_headers_of_the_web_configuration_hold_in_every_binding(
    serve: Any, ask_asgi: Any, backend: Any
) -> None:
    config = WebConfig(headers={"X-Frame-Options": "deny"})
    app = web.Application()
    setup_routes(app, lambda: backend, web_config=config)
    for ask in (await serve(app), ask_asgi(AsgiApp(lambda: backend, web_config=config))):
        assert (await ask(HEALTHY)).headers["x-frame-options"] == "deny"


async def test_a_middleware_of_the_host_does_not_make_a_stranger_local(serve: Any, backend: Any) -> None:
    @web.middleware
    async def trusting(request: web.Request, handler: Any) -> web.StreamResponse:
        return await handler(request.clone(remote=request.headers["X-Real-IP"]))

    app = web.Application(middlewares=[trusting])
    setup_routes(app, lambda: backend)
    ask = await serve(app)
    answer = await ask(f"{API}/agent/stop", "POST", headers={"X-Real-IP": "127.0.0.1"})
    assert (answer.status, answer.code) == (403, "loopback_only")


async def respond(app: AsgiApp, **scope: Any) -> list[Any]:
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("a body is never read")

    async def send(event: Any) -> None:
        sent.append(event)

    await app({"type": "http", "method": "GET", "headers": [], "query_string": b"", **scope}, receive, send)
    return sent


@pytest.mark.parametrize(
    "scope",
    [
        {"path": HEALTHY},
        {"path": HEALTHY, "raw_path": b"/-/healthy"},
        {"path": HEALTHY, "raw_path": None, "root_path": ""},
        {"path": "/x y/-/healthy", "raw_path": b"/x%20y/-/healthy", "root_path": "/x y"},
        {"path": "/x y/-/healthy", "raw_path": b"/x y/-/healthy", "root_path": "/x y/"},
        {"path": "/x y/-/healthy", "root_path": "/x y"},
        {"path": HEALTHY, "raw_path": b"/-/healthy", "root_path": "/stripped/by/a/proxy"},
    ],
    ids=["no raw path", "raw path", "raw path is None", "mounted", "mounted raw", "mounted, no raw path", "stripped"],
)
async def test_the_path_is_found_in_every_kind_of_scope(backend: Any, scope: Any) -> None:
    start, body = await respond(AsgiApp(lambda: backend), **scope)
    assert start["status"] == 200
    assert dict(start["headers"])[b"content-length"] == str(len(body["body"])).encode()


async def test_a_model_id_survives_a_server_that_gives_no_raw_path(backend: Any, hostile: str) -> None:
    start, _ = await respond(AsgiApp(lambda: backend), path=f"{API}/models/{hostile}/history")
    assert start["status"] == 200


@pytest.mark.parametrize(
    "target", [{"raw_path": b"/\xff"}, {"raw_path": b"/-/healthy", "query_string": b"\xff"}], ids=["path", "query"]
)
async def test_bytes_that_are_not_utf_8_are_refused(backend: Any, target: Any) -> None:
    start, _ = await respond(AsgiApp(lambda: backend), path="/?", **target)
    assert start["status"] == 400


async def test_the_mounted_root_is_the_landing_page(backend: Any) -> None:
    start, _ = await respond(AsgiApp(lambda: backend), path="/hosted", raw_path=b"/hosted", root_path="/hosted")
    assert dict(start["headers"])[b"content-type"] == b"text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("client", "http_status"),
    [(("127.0.0.1", 1), 200), (("10.0.0.1", 1), 403), (None, 403)],
    ids=["loopback", "elsewhere", "a socket without an address"],
)
async def test_asgi_knows_the_peer(backend: Any, client: Any, http_status: int) -> None:
    headers = [(b"Host", b"localhost")]
    path = f"{API}/agent/stop"
    start, _ = await respond(AsgiApp(lambda: backend), method="POST", path=path, client=client, headers=headers)
    assert start["status"] == http_status


async def test_repeated_headers_are_all_seen(backend: Any) -> None:
    headers = [(b"host", b"localhost"), (b"host", b"evil.example")]
    path = f"{API}/agent/stop"
    start, _ = await respond(
        AsgiApp(lambda: backend), method="POST", path=path, client=("127.0.0.1", 1), headers=headers
    )
    assert start["status"] == 403


async def live(app: AsgiApp) -> list[str]:
    sent: list[str] = []

    async def receive() -> Any:
        return {"type": "lifespan.shutdown" if sent else "lifespan.startup"}

    async def send(event: Any) -> None:
        sent.append(event["type"].removeprefix("lifespan."))

    try:
        await app({"type": "lifespan"}, receive, send)
    except RuntimeError as error:
        sent.append(str(error))
    return sent


def hooks(*, fails: str = "") -> tuple[list[str], Any, Any]:
    called: list[str] = []

    def hook(name: str) -> Any:
        async def run() -> None:
            called.append(name)
            if name == fails:
                raise RuntimeError(f"{name} fails")

        return run

    return called, hook("start"), hook("stop")


@pytest.mark.parametrize(
    ("fails", "events", "calls"),
    [
        ("", ["startup.complete", "shutdown.complete"], ["start", "stop"]),
        ("start", ["startup.failed", "start fails"], ["start"]),
        ("stop", ["startup.complete", "shutdown.failed", "stop fails"], ["start", "stop"]),
    ],
    ids=["all well", "start fails", "stop fails"],
)
async def test_the_service_lives_as_long_as_the_server(fails: str, events: list[str], calls: list[str]) -> None:
    called, start, stop = hooks(fails=fails)
    assert await live(AsgiApp(lambda: None, start=start, stop=stop)) == events
    assert called == calls


async def test_without_hooks_the_life_cycle_is_only_acknowledged() -> None:
    assert await live(AsgiApp(lambda: None)) == ["startup.complete", "shutdown.complete"]


async def test_a_host_passes_the_life_cycle_on() -> None:
    called, start, stop = hooks()
    mounted = AsgiApp(lambda: None, start=start, stop=stop)
    host = FastAPI(lifespan=mounted.lifespan)
    host.mount("/ai", mounted)
    async with host.router.lifespan_context(host):
        assert called == ["start"]
    assert called == ["start", "stop"]


async def test_a_websocket_is_closed_and_another_scope_refused() -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(event: Any) -> None:
        sent.append(event)

    await AsgiApp(lambda: None)({"type": "websocket"}, receive, send)
    assert [event["type"] for event in sent] == ["websocket.close"]
    with pytest.raises(ValueError, match="'odd' is not known"):
        await AsgiApp(lambda: None)({"type": "odd"}, receive, send)
