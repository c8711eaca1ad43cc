"""A service made of fakes, and the same routes asked through every binding."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestServer
from fastapi import FastAPI
from yarl import URL

from exporter.config import Config
from exporter.fallback import Fallback
from exporter.gate import Gate
from exporter.incidents import Incidents
from exporter.models import Model, Observation, Reason, Reply, Scope, Status, Timings, rfc3339
from exporter.service import Service
from exporter.store import StorageError
from exporter.web.asgi import AsgiApp
from exporter.web.server import make_app, setup_routes

NOW = datetime(2025, 12, 8, 3, 13, 29, tzinfo=UTC)
HOSTILE = 'o"w\\ner/<script>alert(1)</script> ü100%?#&+'
MODELS = (
    Model(model_id="ProsusAI/finbert", task="sentiment-analysis", category="financial", model_key="fin"),
    Model(model_id="gpt2", task="text-generation", category="general"),
    Model(model_id="ElKulako/cryptobert", task="sentiment-analysis", category="crypto", requires_auth=True),
    Model(model_id=HOSTILE, task="sentiment-analysis", category="<b>crypto</b>"),
    Model(model_id="off/model", task="summarization", category="news", enabled=False),
    Model(model_id="new/model", task="summarization", category="news"),
)


def observed(model_id: str, status: Status, reason: Reason, **more: Any) -> Observation:
    given: dict[str, Any] = {
        "model_id": model_id,
        "provider": "huggingface",
        "task": "sentiment-analysis",
        "checked_at": NOW,
        "status": status,
        "reason": reason,
        "scope": Scope.MODEL,
        "counts": True,
        "success": status in (Status.AVAILABLE, Status.DEGRADED),
    }
    return Observation(**given | more)


BOARD = {
    "ProsusAI/finbert": observed(
        "ProsusAI/finbert",
        Status.AVAILABLE,
        Reason.OK,
        response_time_ms=123.4567,
        confidence=0.987654,
        canonical_id="ProsusAI/finbert",
    ),
    "gpt2": observed("gpt2", Status.DEGRADED, Reason.SLOW, response_time_ms=2500.0),
    "ElKulako/cryptobert": observed("ElKulako/cryptobert", Status.AUTH_REQUIRED, Reason.GATED, message="a token"),
    HOSTILE: observed(HOSTILE, Status.FAILED, Reason.BAD_OUTPUT, confidence=float("nan")),
    "off/model": observed("off/model", Status.AVAILABLE, Reason.OK),
    "left/ghost": observed("left/ghost", Status.AVAILABLE, Reason.OK),
}


def counted(total: int, good: int, rate: float, average_ms: float | None) -> dict[str, Any]:
    return {
        "total_checks": total,
        "successful_checks": good,
        "failed_checks": total - good,
        "success_rate": rate,
        "avg_response_time_ms": average_ms,
        "last_success_at": rfc3339(NOW) if good else None,
        "last_failure_at": rfc3339(NOW) if total > good else None,
    }


STATS = {
    "ProsusAI/finbert": counted(3, 2, 66.66666, 123.456),
    "gpt2": counted(3, 2, 66.66666, 99.9),
    HOSTILE: counted(4, 0, 0.0, None),
    "left/ghost": counted(9, 9, 100.0, 1.0),
    "new/model": counted(0, 0, 0.0, None),
}


def check_row(row_id: int, model_id: str, **more: Any) -> dict[str, Any]:
    return {
        "id": row_id,
        "model_id": model_id,
        "provider": "huggingface",
        "status": "available",
        "reason": "ok",
        "scope": "model",
        "http_status": 200,
        "response_time_ms": 10.0 * row_id,
        "success": True,
        "error_message": None,
        "test_input": "good",
        "test_output": [{"label": "positive", "score": 0.9}],
        "confidence": 0.9,
        "checked_at": rfc3339(NOW - timedelta(minutes=100 - row_id)),
        "counted": True,
        "requests": 1,
        "cached": False,
        "cold": None,
        "canary": "good news",
        "correct": True,
        "attempts": [],
        "timings": {},
        "canonical_id": model_id,
        "hub_sha": None,
        "served_sha": None,
        "compute_type": "cpu",
        "compute_time_s": 0.016,
        **more,
    }


def event_row(row_id: int, kind: str, model_id: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "id": row_id,
        "at": rfc3339(NOW - timedelta(minutes=100 - row_id)),
        "kind": kind,
        "provider": "huggingface",
        "model_id": model_id,
        "before": None,
        "after": None,
        "message": "",
        **more,
    }


ENDED = {
    "provider": "huggingface",
    "scope": "host",
    "reason": "endpoint_gone",
    "opened_at": rfc3339(NOW - timedelta(hours=2)),
    "model_ids": ["ProsusAI/finbert", "gpt2"],
}
EVENTS = [
    event_row(5, "labels_changed", "ProsusAI/finbert", before=["LABEL_0"], after=["positive"]),
    event_row(4, "incident_closed", after=ENDED, message="huggingface: endpoint_gone, over at 03:00 UTC"),
    event_row(3, "hub_sha_changed", "ProsusAI/finbert", before="old", after="new"),
    event_row(2, "status_changed", HOSTILE, before="available", after="failed"),
    event_row(1, "incident_opened", after=ENDED),
]


class FakeStore:
    def __init__(self) -> None:
        self.rows = {
            "ProsusAI/finbert": [check_row(number, "ProsusAI/finbert") for number in range(20, 0, -1)],
            HOSTILE: [check_row(21, HOSTILE, test_output={"score": float("inf"), "text": "\ud800"})],
        }
        self.asked: list[tuple[str, Any]] = []
        self.broken = False
        self.healthy = True
        self.queue_rows = 3
        self.last_error: str | None = None

    def _note(self, operation: str, **facts: Any) -> None:
        self.asked.append((operation, facts))
        if self.broken:
            raise StorageError(Path("/secret/place.db"), operation, "disk I/O error")

    def all_stats(self) -> dict[str, dict[str, Any]]:
        self._note("all_stats")
        return STATS

    def get_model_stats(self, model_id: str) -> dict[str, Any] | None:
        self._note("get_model_stats")
        return STATS.get(model_id)

    def get_model_history(
        self, model_id: str, limit: int = 100, *, since: Any = None, until: Any = None, before: Any = None
    ) -> list[dict[str, Any]]:
        self._note("get_model_history", limit=limit, since=since, until=until, before=before)
        rows = self.rows.get(model_id, [])
        return [row for row in rows if before is None or row["id"] < before][:limit]

    def count_history(self, model_id: str, *, since: Any = None, until: Any = None) -> int:
        self._note("count_history", since=since, until=until)
        return len(self.rows.get(model_id, []))

    def get_events(
        self, model_id: str | None = None, limit: int = 100, *, before: Any = None, since: Any = None, kinds: Any = None
    ) -> list[dict[str, Any]]:
        self._note("get_events", limit=limit, before=before, since=since, kinds=kinds)
        found = [event for event in EVENTS if model_id in (None, event["model_id"])]
        return [event for event in found if kinds is None or event["kind"] in kinds][:limit]

    def accuracy(self, model_id: str, since: Any = None) -> tuple[int, int]:
        self._note("accuracy", since=since)
        return {"ProsusAI/finbert": (2, 3)}.get(model_id, (0, 0))

    def uptime(self, model_id: str) -> dict[str, float | None]:
        self._note("uptime")
        return {"1h": None, "24h": 66.66666, "7d": 100.0, "30d": 0.0}


class FakeBoard:
    def __init__(self) -> None:
        self.current = dict(BOARD)

    def get(self, model_id: str) -> Observation | None:
        return self.current.get(model_id)


class FakeMonitor:
    def __init__(self) -> None:
        self.scan_in_progress = False
        self.scans = 0
        self.observation = BOARD["gpt2"]
        self.trace: list[Reply] = []
        self.bug: Exception | None = None

    async def check(self, model_id: str, trace: list[Reply] | None = None) -> Observation:
        if self.bug is not None:
            raise self.bug
        if trace is not None:
            trace.extend(self.trace)
        return replace(self.observation, model_id=model_id)

    def start_scan(self) -> asyncio.Task[dict[str, Any]]:
        self.scan_in_progress = True
        return asyncio.ensure_future(self.scan_all_models())

    async def scan_all_models(self) -> dict[str, Any]:
        self.scans += 1
        result = {
            "model_id": "gpt2",
            "status": "available",
            "response_time_ms": None,
            "success": True,
            "reason": "ok",
            "test_output": float("nan"),
        }
        return {"total": 1, **{str(status): 0 for status in Status}, "available": 1, "models": [result]}


class FakeAgent:
    def __init__(self) -> None:
        self.running = True
        self.last_scan: datetime | None = NOW
        self.next_scan: datetime | None = NOW + timedelta(minutes=5)

    def start(self) -> None:
        self.running = True

    async def stop(self) -> None:
        self.running = False


class FakeMetrics:
    def __init__(self) -> None:
        self.accepted: list[str] = []
        self.lines = 100

    def render(self, accept: str) -> tuple[bytes, str]:
        self.accepted.append(accept)
        if "openmetrics" in accept:
            return b"# EOF\n", "application/openmetrics-text; version=1.0.0; charset=utf-8"
        return b"ai_model_info 1\n" * self.lines, "text/plain; version=0.0.4; charset=utf-8"

    def render_probe(self, observation: Observation) -> bytes:
        return f"probe_success {int(observation.success)}\n".encode()


class FakeClock:
    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 5.0

    async def sleep(self, seconds: float) -> None:
        return None


@dataclass
class FakeBackend:
    config: Config = field(default_factory=lambda: Config(models=MODELS))
    store: FakeStore = field(default_factory=FakeStore)
    board: FakeBoard = field(default_factory=FakeBoard)
    monitor: FakeMonitor = field(default_factory=FakeMonitor)
    agent: FakeAgent = field(default_factory=FakeAgent)
    metrics: FakeMetrics = field(default_factory=FakeMetrics)
    fallback: Fallback = field(default_factory=Fallback)
    incidents: Incidents = field(default_factory=Incidents)
    gate: Gate = field(init=False)
    clock: FakeClock = field(default_factory=FakeClock)
    simulated: bool = False
    version: str = "1.2.3"
    ready: bool = True
    alive: dict[str, bool] = field(default_factory=lambda: {"store": True, "scheduler": True})
    reload_error: Exception | None = None
    reloads: int = 0
    read_budgets = Service.read_budgets
    effective_interval_s = Service.effective_interval_s

    def __post_init__(self) -> None:
        self.gate = Gate(self.incidents)
        self.use(self.config)

    def use(self, config: Config) -> None:
        self.config = config
        self.gate.plan(config)
        self.incidents.plan({"huggingface": {model.model_id for model in config.active}})
        self.fallback.plan(config.active)

    async def reload(self) -> None:
        self.reloads += 1
        if self.reload_error is not None:
            raise self.reload_error


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body, parse_constant=_refuse)

    @property
    def code(self) -> str:
        return str(self.json()["error"]["code"])


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


Ask = Callable[..., Awaitable[Answer]]


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def serve() -> Any:
    """Return how to ask an aiohttp application on a real socket, with the path sent exactly as given."""
    opened: list[Any] = []

    async def start(app: web.Application, prefix: str = "", **server: Any) -> Ask:
        running = TestServer(app)
        await running.start_server(**server)
        session = aiohttp.ClientSession(auto_decompress=False, headers={"Accept-Encoding": "identity"})
        opened.append((session, running))

        async def ask(path: str, method: str = "GET", **options: Any) -> Answer:
            url = URL(f"{running.scheme}://127.0.0.1:{running.port}{prefix}{path}", encoded=True)
            async with session.request(method, url, allow_redirects=False, **options) as response:
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, headers, await response.read())

        ask.port = running.port  # type: ignore[attr-defined]
        return ask

    start.opened = opened  # type: ignore[attr-defined]
    return start


@pytest.fixture(autouse=True)
async def _close_served(serve: Any) -> AsyncIterator[None]:
    yield
    for session, running in serve.opened:
        await session.close()
        await running.close()


@pytest.fixture
async def own(serve: Any, backend: FakeBackend) -> Ask:
    """Ask our own server."""
    return await serve(make_app(backend))


def _asgi(app: Any, prefix: str = "") -> Ask:
    async def ask(path: str, method: str = "GET", headers: dict[str, str] | None = None) -> Answer:
        transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            response = await client.request(method, f"{prefix}{path}", headers=headers)
            return Answer(response.status_code, dict(response.headers), response.content)

    return ask


@pytest.fixture(params=["own server", "in another aiohttp application", "nested application", "ASGI", "in FastAPI"])
async def ask(request: pytest.FixtureRequest, serve: Any, backend: FakeBackend) -> Ask:
    """Ask each binding in turn."""
    if request.param == "own server":
        return await serve(make_app(backend))
    if request.param == "in another aiohttp application":
        app = web.Application()
        setup_routes(app, lambda: backend, "/ai/monitor")
        return await serve(app, "/ai/monitor")
    if request.param == "nested application":
        app, inner = web.Application(), web.Application()
        setup_routes(inner, lambda: backend)
        app.add_subapp("/outer", inner)
        return await serve(app, "/outer")
    if request.param == "ASGI":
        return _asgi(AsgiApp(lambda: backend))
    fastapi = FastAPI()
    fastapi.mount("/hosted", AsgiApp(lambda: backend))
    return _asgi(fastapi, "/hosted")


@pytest.fixture
def ask_asgi() -> Callable[..., Ask]:
    """Return how to ask an ASGI application."""
    return _asgi


@pytest.fixture
def hostile() -> str:
    """Return a model's id with everything that breaks URLs, labels and pages."""
    return HOSTILE


@pytest.fixture
def observation() -> Callable[..., Observation]:
    """Return how to make an observation."""
    return observed


@pytest.fixture
def logged() -> AsyncIterator[list[Any]]:
    """Return the log events of the test."""
    with structlog.testing.capture_logs() as events:
        yield events


@pytest.fixture
def reply() -> Reply:
    """Return a hostile answer of a provider."""
    return Reply(
        http_status=503,
        headers={"x-request-id": "abc\x1b[31m", "authorization": "Bearer hf_SECRETsecret1", "set-cookie": "sid=1"},
        body=b"\x1b]0;title\x07 echo hf_SECRETsecret2\nBearer topsecret\n\xff" + b"x" * 5000,
        method="POST",
        url="https://router.example/models/gpt2",
        request_body='{"inputs": "good"}',
        timings=Timings(connect_s=0.01, first_byte_s=0.2, total_s=0.25),
    )
