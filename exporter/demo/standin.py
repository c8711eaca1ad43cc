"""The stand-in as one aiohttp application: router, hub and retired host side by side, counted and logged."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler
from yarl import URL

from exporter.clock import Clock
from exporter.demo.catalogue import Catalogue
from exporter.demo.errors import HOST_GONE, NOT_FOUND_ROUTE
from exporter.demo.hub import Hub
from exporter.demo.router import BASE_PATH, UNIFIED_CHAT, Router, unified_model
from exporter.demo.scenario import Scenario
from exporter.demo.scenes import DEMO_SCENARIOS
from exporter.demo.sending import send_host_fault, send_refusal
from exporter.demo.world import Received, World

LEGACY_HOST: Final = "api-inference.huggingface.co"
LEGACY_PATH: Final = "/legacy"


class StandIn(World):
    """An honest imitation of the hosted service, on a loopback socket; its answers come from a toy (see `toy`).

    `clock` is what every wait and every age is measured by; `seed` fixes all that varies; `time_factor` scales the
    waits inside an answer (network, load, compute, delays), not the conditions (60 s idle, the estimate of a legacy
    cold start), and 0 leaves the waits out. `scenarios` by model id, default DEMO_SCENARIOS; other ids do not exist.
    `headers=False` leaves out the router's optional response headers. After `credit_requests` accepted requests for
    inference the account answers 402.

    May be changed at any time: `set(model_id, scenario)`, `headers`, `credit_requests`, `hub_quota`, and the switches
    `host` and `hub_host` (None, "gone", "down", "throttled", "reset", "hang") of the whole router and the whole hub.
    `requests` counts by (kind, model id as it was asked for), kind "inference", "hub" or "other", id "" for lists;
    refused requests count too. `log` holds the newest 1,000 requests.
    """

    base_path: Final = BASE_PATH
    legacy_path: Final = LEGACY_PATH

    def __init__(
        self,
        *,
        clock: Clock,
        seed: int = 0,
        time_factor: float = 1.0,
        scenarios: Mapping[str, Scenario] | None = None,
        headers: bool = True,
        credit_requests: int | None = None,
    ) -> None:
        super().__init__(
            clock=clock,
            seed=seed,
            time_factor=time_factor,
            scenarios=DEMO_SCENARIOS if scenarios is None else scenarios,
            headers=headers,
            credit_requests=credit_requests,
        )
        self.app = web.Application(middlewares=[self._receive])
        self.app.add_routes(Router(self).routes())
        self.app.add_routes(Catalogue(self).routes())
        self.app.add_routes(Hub(self).routes())
        self.app.router.add_route("*", LEGACY_PATH + "{tail:(?:/.*)?}", _gone)
        self.app.router.add_route("*", "/{tail:.*}", _no_route)
        self.app.on_shutdown.append(self._close)

    @asynccontextmanager
    async def serve(self, host: str = "127.0.0.1", port: int = 0, ssl: SSLContext | None = None) -> AsyncIterator[str]:
        """Listen while the context is open and yield the base URL, without a path; port 0 takes a free one.

        Raises OSError when the address cannot be had. A stand-in is served once.
        """
        runner = web.AppRunner(self.app, handler_cancellation=True, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port, ssl_context=ssl).start()
            bound: int = runner.addresses[0][1]
            yield str(URL.build(scheme="https" if ssl else "http", host=host, port=bound))
        finally:
            await runner.cleanup()

    async def _close(self, _app: web.Application) -> None:
        self.closing.set()

    @web.middleware
    async def _receive(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count and log a request, then let it through to its host, unless that host is gone or broken as a whole."""
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        if "authorization" in headers:
            headers["authorization"] = "***"
        self.log.append(Received(method=request.method, path=request.raw_path, headers=headers, body=body))
        kind, model_id = _subject(request, body)
        self.requests[kind, model_id] += 1
        if request.host.partition(":")[0] == LEGACY_HOST:
            return send_refusal(HOST_GONE)
        fault = self.hub_host if request.path.startswith("/api/") else self.host
        response = await (send_host_fault(self, request, fault) if fault is not None else handler(request))
        if not response.prepared:
            response.headers["Server"] = "stand-in"
        return response


def _subject(request: web.Request, body: bytes) -> tuple[str, str]:
    """Return what a request is counted as: kind and model id."""
    resource = request.match_info.route.resource
    canonical = resource.canonical if resource is not None else ""
    if request.host.partition(":")[0] == LEGACY_HOST or canonical.startswith(LEGACY_PATH):
        return "other", ""
    if canonical == UNIFIED_CHAT:
        return "inference", unified_model(body)[0]
    if canonical.startswith(f"{BASE_PATH}/"):
        return "inference", request.match_info["id"]
    if canonical.startswith("/api/"):
        return "hub", request.match_info.get("id", "")
    return "other", ""


async def _gone(_request: web.Request) -> web.StreamResponse:
    return send_refusal(HOST_GONE)


async def _no_route(_request: web.Request) -> web.StreamResponse:
    return send_refusal(NOT_FOUND_ROUTE)
