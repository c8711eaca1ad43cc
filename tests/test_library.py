"""The Python API, and the exporter within other servers: one service at a time, opened late, closed when done with."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog
import uvicorn
from aiohttp import web
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from yarl import URL

from exporter.config import ConfigError
from exporter.demo import DEMO_TOKEN, Kind, Scenario, StandIn
from exporter.library import Embedded, Library, setup
from exporter.models import Status
from exporter.store import StorageError, Store
from tests.daemon import entry, write_config
from tests.fakes import FakeClock
from tests.processes import finished
from tests.until import until

WARM = Scenario(kind=Kind.WARM)
SCENARIOS = {
    "a/good": WARM,
    "gpt2": Scenario(kind=Kind.NOT_SERVED, task="text-generation"),
    "a/broken": Scenario(kind=Kind.SERVER_ERROR),
    "a/hangs": Scenario(kind=Kind.HANG),
}
MODELS = [entry("a/good"), entry("gpt2", "text-generation"), entry("a/broken")]
HANGS = entry("a/hangs", timeout="60s")
API = "/api/ai-models"


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    made = StandIn(clock=FakeClock(auto=True), time_factor=0, scenarios=SCENARIOS)
    async with made.serve() as url:
        made.url = url  # type: ignore[attr-defined]
        yield made


@pytest.fixture
def configure(stand_in: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write a configuration that asks the stand-in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_TOKEN", DEMO_TOKEN)

    def write(*models: dict[str, Any], **settings: Any) -> Path:
        path = tmp_path / "config" / "models.yaml"
        path.parent.mkdir(exist_ok=True)
        write_config(path, stand_in.url, list(models or MODELS), **{"database": "data/history.db", **settings})
        return path

    return write


@pytest.fixture
async def library(configure: Callable[..., Path]) -> AsyncIterator[Library]:
    made = Library(configure())
    yield made
    await made.agent.stop()
    made.close()


def bad_config(tmp_path: Path) -> Path:
    path = tmp_path / "bad.yaml"
    path.write_text("models:\n  - model_id: a/b\n    tsk: summarization\n", encoding="utf-8")
    return path


# monitor and db


async def test_a_scan_gives_the_counts_and_the_models_and_is_kept(library: Library) -> None:
    result = await library.monitor.scan_all_models()
    assert result["total"] == 3
    assert {status: result[status] for status in Status} == {
        **dict.fromkeys(Status, 0),
        "available": 1,
        "not_served": 1,
        "failed": 1,
    }
    assert [(row["model_id"], row["status"], row["success"], row["reason"]) for row in result["models"]] == [
        ("a/good", "available", True, "ok"),
        ("gpt2", "not_served", False, "not_served"),
        ("a/broken", "failed", False, "server_error"),
    ]
    assert result["models"][0]["response_time_ms"] > 0
    kept = {model["model_id"]: model for model in library.db.get_all_models()}
    assert {model_id: model["status"] for model_id, model in kept.items()} == {
        "a/good": "available",
        "gpt2": "not_served",
        "a/broken": "failed",
    }
    assert {model_id: model.get("success_rate", 0) for model_id, model in kept.items()} == {
        "a/good": 100.0,
        "gpt2": 0,
        "a/broken": 0.0,
    }
    assert library.service is None


async def test_a_model_that_is_tested_is_not_kept(library: Library, stand_in: StandIn) -> None:
    stand_in.set("a/new", WARM)
    good = await library.monitor.test_model({"model_id": "a/new", "task": "sentiment-analysis", "category": "general"})
    bad = await library.monitor.test_model({"model_id": "a/broken", "task": "sentiment-analysis"})
    assert (good["success"], good["error_message"]) == (True, None)
    assert good["response_time_ms"] > 0
    assert bad["success"] is False
    assert bad["error_message"]
    assert library.db.get_model_history("a/new") == library.db.get_model_history("a/broken") == []
    assert [model["model_id"] for model in library.db.get_all_models()] == ["a/good", "gpt2", "a/broken"]


async def test_a_row_of_the_database_can_be_tested(library: Library) -> None:
    tested = [await library.monitor.test_model(model) for model in library.db.get_all_models()]
    assert [result["status"] for result in tested] == ["available", "not_served", "failed"]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"model_id": "a/b", "tsk": "summarization"}, "did you mean 'task'"),
        ({"model_id": "a/b", "task": "poetry"}, "unknown task 'poetry'"),
        ({"task": "summarization"}, "model_id: missing"),
        ({"model_id": "a b", "task": "summarization"}, "holds a space"),
        ({}, "model_id: missing"),
    ],
    ids=["unknown key", "unknown task", "no id", "bad id", "nothing"],
)
async def test_a_model_that_no_file_could_have_is_refused(library: Library, model: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        await library.monitor.test_model(model)
    assert (await library.monitor.test_model({"model_id": "a/good", "task": "sentiment-analysis"}))["success"]


async def test_one_configured_model_is_checked_and_kept(library: Library) -> None:
    seen = await library.monitor.check("a/good")
    assert seen.status is Status.AVAILABLE
    assert len(library.db.get_model_history("a/good")) == 1
    with pytest.raises(KeyError, match="somebody/else"):
        await library.monitor.check("somebody/else")


async def test_the_history_is_newest_first_and_limited(library: Library) -> None:
    for _ in range(6):
        await library.monitor.check("a/good")
    history = library.db.get_model_history("a/good", limit=5)
    assert [row["id"] for row in history] == [6, 5, 4, 3, 2]
    assert [row["checked_at"] for row in history] == sorted((row["checked_at"] for row in history), reverse=True)
    assert (library.db.get_model_stats("a/good") or {})["total_checks"] == 6
    assert library.db.get_model_stats("somebody/else") is None


async def test_a_model_is_added_and_changed(library: Library) -> None:
    library.db.add_model({"model_id": "a/new", "task": "summarization", "category": "news"})
    library.db.add_model({"model_id": "a/new", "task": "summarization", "category": "crypto"})
    (added,) = [model for model in library.db.get_all_models() if model["model_id"] == "a/new"]
    assert added["category"] == "crypto"
    with pytest.raises(ValueError, match="categroy: unknown key; did you mean 'category'"):
        library.db.add_model({"model_id": "a/new", "task": "summarization", "categroy": "news"})


async def test_the_database_of_the_caller_takes_the_place_of_the_configured_one(
    configure: Callable[..., Path], tmp_path: Path
) -> None:
    library = Library(str(configure()), database=str(tmp_path / "mine.db"), environ={"HF_TOKEN": "hf_wrong"})
    result = await library.monitor.check("a/good")
    library.close()
    assert (result.scope, result.reason) == ("account", "auth")
    assert (tmp_path / "mine.db").exists()
    assert not (tmp_path / "data").exists()


async def test_threads_that_come_at_once_open_one_database(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Store] = []
    together = threading.Barrier(4)
    open_store = Store.open

    def counted(*arguments: Any, **more: Any) -> Store:
        opened.append(open_store(*arguments, **more))
        return opened[-1]

    def read() -> int:
        together.wait(5)
        return len(library.db.get_all_models())

    monkeypatch.setattr(Store, "open", counted)
    with ThreadPoolExecutor(4) as pool:
        loop = asyncio.get_running_loop()
        assert await asyncio.gather(*(loop.run_in_executor(pool, read) for _ in range(4))) == [3, 3, 3, 3]
    assert len(opened) == 1


async def test_a_closed_database_is_opened_again_when_it_is_used(library: Library) -> None:
    await library.monitor.check("a/good")
    library.close()
    library.close()
    assert len(library.db.get_model_history("a/good")) == 1


# Sharing one service


async def test_scans_at_the_same_time_are_one_scan(library: Library, stand_in: StandIn) -> None:
    first, second = await asyncio.gather(library.monitor.scan_all_models(), library.monitor.scan_all_models())
    assert first == second
    assert stand_in.requests["inference", "a/good"] == 1


async def test_who_came_first_need_not_wait_for_the_others(
    library: Library, configure: Callable[..., Path], stand_in: StandIn
) -> None:
    configure(*MODELS, HANGS)
    quick = asyncio.create_task(library.monitor.check("gpt2"))
    slow = asyncio.create_task(library.monitor.check("a/hangs"))
    assert (await quick).status is Status.NOT_SERVED
    await until(lambda: stand_in.requests["inference", "a/hangs"] > 0)
    assert library.service is not None
    assert (await library.monitor.check("a/good")).status is Status.AVAILABLE
    assert not slow.done()
    slow.cancel()
    await asyncio.wait([slow])
    assert slow.cancelled()
    assert library.service is None


async def test_a_scan_that_is_given_up_leaves_nothing_open(
    library: Library, configure: Callable[..., Path], stand_in: StandIn
) -> None:
    configure(HANGS)
    scan = asyncio.create_task(library.monitor.scan_all_models())
    await until(lambda: stand_in.requests["inference", "a/hangs"] > 0)
    scan.cancel()
    with pytest.raises(asyncio.CancelledError):
        await scan
    assert library.service is None
    configure()
    assert (await library.monitor.scan_all_models())["total"] == 3


async def test_a_bad_configuration_is_told_to_whoever_uses_it(tmp_path: Path) -> None:
    library = Library(bad_config(tmp_path))
    with pytest.raises(ConfigError, match="did you mean 'task'"):
        await library.monitor.scan_all_models()
    with pytest.raises(ConfigError, match="did you mean 'task'"):
        library.db.get_all_models()


async def test_a_bad_database_is_told_to_whoever_uses_it(configure: Callable[..., Path], tmp_path: Path) -> None:
    library = Library(configure(), database=tmp_path)
    with pytest.raises(StorageError, match="is a folder"):
        await library.monitor.scan_all_models()
    with pytest.raises(StorageError, match="is a folder"):
        library.db.get_all_models()


async def test_a_database_that_fails_at_the_first_write_is_told_and_closed(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[Path] = []

    def refuse(store: Store, models: object) -> None:
        raise StorageError(store.path, "models", "the disk is full")

    close = Store.close
    monkeypatch.setattr(Store, "sync_models", refuse)
    monkeypatch.setattr(Store, "close", lambda store: closed.append(store.path) or close(store))
    with pytest.raises(StorageError, match="the disk is full"):
        library.db.get_all_models()
    assert len(closed) == 1


async def test_a_failure_while_it_opens_is_told_as_it_is(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(store: Store) -> None:
        raise StorageError(store.path, "read", "the disk is gone")

    monkeypatch.setattr(Store, "last_observations", refuse)
    with pytest.raises(StorageError, match="the disk is gone"):
        await library.monitor.scan_all_models()
    assert library.service is None


async def test_a_crash_is_told_to_everybody_who_waits(
    library: Library, configure: Callable[..., Path], stand_in: StandIn
) -> None:
    configure(HANGS)
    task = library.agent.start()
    scan = asyncio.create_task(library.monitor.scan_all_models())
    await until(lambda: stand_in.requests["inference", "a/hangs"] > 0)
    library.store.close()  # as if its writer had died
    with pytest.raises(StorageError, match="the writer thread has died"):
        await scan
    with pytest.raises(StorageError, match="the writer thread has died"):
        await task
    assert not library.agent.running
    with pytest.raises(StorageError, match="the writer thread has died"):
        await library.agent.stop()
    await library.agent.stop()
    library.close()
    configure()
    assert (await library.monitor.scan_all_models())["available"] == 1


# The agent


async def test_the_agent_starts_and_stops_any_number_of_times(library: Library) -> None:
    await library.agent.stop()
    for _ in range(3):
        assert not library.agent.running
        assert library.agent.next_scan is None
        task = library.agent.start()
        assert library.agent.running
        assert library.agent.start() is task
        await until(lambda: library.agent.next_scan is not None)
        await asyncio.gather(library.agent.stop(), library.agent.stop())
        assert task.done()
        assert library.service is None
        await library.agent.stop()
    await until(lambda: library.agent.last_scan is None)


async def test_the_agent_probes_by_itself(library: Library) -> None:
    library.agent.start()
    await until(lambda: all(model["status"] for model in library.db.get_all_models()))
    assert library.agent.last_scan is not None


async def test_a_scan_while_the_agent_runs_is_done_by_the_same_service(library: Library) -> None:
    library.agent.start()
    result = await library.monitor.scan_all_models()  # the agent is still about to open
    service = library.service
    assert service is not None
    assert result["models"][0]["model_id"] in service.board.current
    assert (await library.monitor.check("a/good")).status is Status.AVAILABLE
    assert library.service is service
    assert library.agent.running


async def test_the_agent_stops_while_a_scan_goes_on(
    library: Library, configure: Callable[..., Path], stand_in: StandIn
) -> None:
    stand_in.set("a/hangs", Scenario(kind=Kind.NOT_SERVED))
    configure(HANGS, interval="7d")  # probed once by the agent, and not again
    await library.agent.begin()
    await until(lambda: library.agent.last_scan is not None)
    stand_in.set("a/hangs", Scenario(kind=Kind.HANG))
    scan = asyncio.create_task(library.monitor.scan_all_models())
    await until(lambda: stand_in.requests["inference", "a/hangs"] > 0)
    await library.agent.stop()
    assert not library.agent.running
    assert not scan.done()
    assert library.service is not None
    assert not library.service.ready
    scan.cancel()
    await asyncio.wait([scan])
    assert library.service is None


async def test_a_start_during_a_stop_is_a_start(library: Library) -> None:
    first = await library.agent.begin()
    stopping = asyncio.create_task(library.agent.stop())
    await asyncio.sleep(0)
    assert not first.done()
    second = library.agent.start()
    assert second is not first
    await stopping
    assert first.done()
    assert library.agent.running
    await until(lambda: library.agent.next_scan is not None)


async def test_an_agent_whose_task_is_cancelled_has_stopped(library: Library) -> None:
    task = await library.agent.begin()
    task.cancel()
    await library.agent.stop()
    assert task.cancelled()
    assert not library.agent.running
    assert library.service is None


async def test_an_agent_stopped_over_http_is_started_again(library: Library) -> None:
    task = await library.agent.begin()
    assert library.service is not None
    await library.service.agent.stop()
    assert not library.agent.running
    assert library.agent.start() is task
    assert library.agent.running


async def test_what_keeps_the_agent_from_starting_comes_out_of_its_task_and_of_stop(
    configure: Callable[..., Path], tmp_path: Path
) -> None:
    cases: list[tuple[Library, type[Exception]]] = [
        (Library(bad_config(tmp_path)), ConfigError),
        (Library(configure(), database=tmp_path), StorageError),
    ]
    for library, kind in cases:
        task = library.agent.start()
        with pytest.raises(kind):
            await task
        assert not library.agent.running
        with pytest.raises(kind):
            await library.agent.stop()
        await library.agent.stop()
        with pytest.raises(kind):
            await library.agent.begin()


# from exporter import monitor, db, agent

ONLY_IMPORTED = """
import os, sys
from exporter import Embedded, Library, __version__, agent, db, monitor, open_service, setup
import exporter
assert not hasattr(exporter, "something_else")
assert exporter.agent is agent
assert not agent.running
assert os.listdir() == [], os.listdir()
"""

TWO_LOOPS = """
import asyncio, json
from exporter import agent, db, monitor

async def scan():
    task = agent.start()
    both = await asyncio.gather(monitor.scan_all_models(), monitor.scan_all_models())
    tested = await monitor.test_model({"model_id": "a/good", "task": "sentiment-analysis", "category": "general"})
    running = agent.running
    await agent.stop()
    return [*(result["total"] for result in both), tested["success"], running, task.done(), agent.running]

async def leave_it_running():
    await asyncio.gather(monitor.check("a/good"), monitor.check("gpt2"))
    agent.start()
    await monitor.check("a/good")

print(json.dumps([asyncio.run(scan()), asyncio.run(leave_it_running()), asyncio.run(scan())]))
rates = {model["model_id"]: model.get("success_rate", 0) for model in db.get_all_models()}
print(json.dumps([rates, len(db.get_model_history("a/good", limit=2))]))
"""


async def test_an_import_alone_opens_and_reads_nothing(tmp_path: Path) -> None:
    assert await finished("-c", ONLY_IMPORTED, folder=tmp_path) == (0, "", "")


async def test_the_default_objects_work_in_one_event_loop_after_another(
    configure: Callable[..., Path], tmp_path: Path
) -> None:
    configure()
    script = "import logging, structlog\n"
    script += "structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))\n" + TWO_LOOPS
    code, out, err = await finished("-c", script, folder=tmp_path, environ={"HF_TOKEN": DEMO_TOKEN})
    assert (code, err) == (0, "")
    loops, kept = map(json.loads, out.splitlines())
    assert loops == [[3, 3, True, True, True, False], None, [3, 3, True, True, True, False]]
    assert kept == [{"a/good": 100.0, "gpt2": 0, "a/broken": 0.0}, 2]
    assert (tmp_path / "data" / "history.db").exists()
    assert not (tmp_path / "data" / "history.db-wal").exists()


# Within an aiohttp application


def aiohttp_host() -> web.Application:
    async def home(request: web.Request) -> web.Response:
        return web.Response(text="the host's own")

    app = web.Application()
    app.router.add_get("/", home)
    app.router.add_get("/api/other", home)
    return app


@pytest.mark.parametrize("prefix", ["", "/exporter"])
async def test_an_aiohttp_application_starts_and_stops_it(
    configure: Callable[..., Path], aiohttp_client: Callable[..., Awaitable[Any]], prefix: str
) -> None:
    app = aiohttp_host()
    embedded = setup(app, configure(), prefix=prefix)
    assert embedded.backend() is None
    client = await aiohttp_client(app)
    assert embedded.library.agent.running
    async with client.get(f"{prefix}/metrics") as response:
        assert (response.status, "ai_model_info{" in await response.text()) == (200, True)
    async with client.get(f"{prefix}{API}/models") as response:
        assert [row["model_id"] for row in await response.json()] == ["a/good", "gpt2", "a/broken"]
    async with client.get(f"{prefix}{API}/agent/status") as response:
        assert (await response.json())["running"] is True
    async with client.get(f"{prefix}/-/ready") as response:
        assert response.status == 200
    for path in ("/", "/api/other"):
        async with client.get(path) as response:
            assert await response.text() == "the host's own"
    async with client.get("/somewhere/else") as response:
        assert response.status == 404
    await embedded.library.agent.stop()
    async with client.get(f"{prefix}/metrics") as response:
        assert (response.status, (await response.json())["error"]["code"]) == (503, "not_ready")
    embedded.library.agent.start()
    await client.close()
    assert not embedded.library.agent.running
    assert embedded.backend() is None


async def test_an_aiohttp_application_does_not_start_with_a_bad_configuration(
    tmp_path: Path,
) -> None:
    app = aiohttp_host()
    embedded = setup(app, bad_config(tmp_path))
    runner = web.AppRunner(app)
    with pytest.raises(ConfigError, match="did you mean 'task'"):
        await runner.setup()
    await runner.cleanup()
    assert not embedded.library.agent.running


async def test_a_crash_within_a_host_is_logged_at_once_and_raised_at_the_end(configure: Callable[..., Path]) -> None:
    embedded = Embedded(Library(configure()))
    await embedded.start()
    with structlog.testing.capture_logs() as logs:
        embedded.library.store.close()
        await until(lambda: any(line["event"] == "crashed" for line in logs))
    (crash,) = [line for line in logs if line["event"] == "crashed"]
    assert embedded.backend() is None
    assert "the writer thread has died" in crash["reason"]
    with pytest.raises(StorageError, match="the writer thread has died"):
        await embedded.stop()
    await embedded.start()
    await embedded.stop()


async def test_a_host_that_gives_up_its_start_leaves_nothing_behind(configure: Callable[..., Path]) -> None:
    embedded = Embedded(Library(configure()))
    starting = asyncio.create_task(embedded.start())
    await until(lambda: embedded.library.agent.running)
    starting.cancel()
    await asyncio.wait([starting])
    assert starting.cancelled()
    assert not embedded.library.agent.running
    assert embedded.backend() is None


# Within FastAPI and Starlette, served by uvicorn


@asynccontextmanager
async def served(app: Any, **options: Any) -> AsyncIterator[str]:
    """Serve an ASGI application with a real server; yields an empty URL when it does not start."""
    config = uvicorn.Config(app, log_config=None, ws="none", **{"lifespan": "on", **options})
    server = uvicorn.Server(config)

    async def serve(listening: socket.socket) -> None:
        with suppress(SystemExit):  # its way to say that it does not start
            await server.serve(sockets=[listening])

    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = asyncio.create_task(serve(listening))
        await until(lambda: server.started or serving.done())
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}" if server.started else ""
        finally:
            server.should_exit = True
            await serving


async def get(url: str, status: int = 200) -> str:
    async with aiohttp.request("GET", URL(url, encoded=True)) as response:
        body = await response.text()
        assert response.status == status, body
        return body


def fastapi_host(embedded: Embedded) -> Any:
    app = FastAPI(lifespan=embedded.lifespan)
    app.mount("/ai", embedded.asgi)

    @app.get("/own")
    async def own() -> str:
        return "the host's own"

    return app


def starlette_host(embedded: Embedded) -> Any:
    async def own(request: Any) -> PlainTextResponse:
        return PlainTextResponse("the host's own")

    return Starlette(routes=[Route("/own", own), Mount("/ai", app=embedded.asgi)], lifespan=embedded.lifespan)


HOSTS = pytest.mark.parametrize("host", [fastapi_host, starlette_host], ids=["FastAPI", "Starlette"])


@HOSTS
async def test_an_asgi_host_starts_and_stops_it(
    configure: Callable[..., Path], host: Callable[[Embedded], Any]
) -> None:
    embedded = Embedded(Library(configure()))
    async with served(host(embedded)) as url:
        assert embedded.library.agent.running
        assert "the host's own" in await get(f"{url}/own")
        assert "ai_model_info{" in await get(f"{url}/ai/metrics")
        assert json.loads(await get(f"{url}/ai{API}/agent/status"))["running"] is True
        for model_id in ("a/good", "a%2Fgood", "gpt2"):
            shown = json.loads(await get(f"{url}/ai{API}/models/{model_id}/stats"))
            assert shown["model_info"]["model_id"] == model_id.replace("%2F", "/")
        await get(f"{url}/ai{API}/models/a/other/stats", status=404)
        await get(f"{url}/metrics", status=404)
        assert json.loads(await get(f"{url}/ai{API}/scan"))["total"] == 3
    assert not embedded.library.agent.running
    assert embedded.backend() is None


async def test_a_host_without_its_lifespan_answers_503(configure: Callable[..., Path]) -> None:
    async with served(fastapi_host(Embedded(Library(configure()))), lifespan="off") as url:
        assert "not_ready" in await get(f"{url}/ai/metrics", status=503)


async def test_it_is_an_asgi_application_of_its_own_too(configure: Callable[..., Path]) -> None:
    embedded = Embedded(Library(configure()))
    async with served(embedded.asgi) as url:
        assert "ai_model_info{" in await get(f"{url}/metrics")
        assert json.loads(await get(f"{url}{API}/models/a%2Fgood/stats"))["model_info"]["model_id"] == "a/good"
    assert not embedded.library.agent.running


@pytest.mark.parametrize(
    "host",
    [fastapi_host, starlette_host, lambda embedded: embedded.asgi],
    ids=["FastAPI", "Starlette", "by itself"],
)
async def test_an_asgi_host_does_not_start_with_a_bad_configuration_and_says_why(
    tmp_path: Path, host: Callable[[Embedded], Any], caplog: pytest.LogCaptureFixture
) -> None:
    embedded = Embedded(Library(bad_config(tmp_path)))
    async with served(host(embedded)) as url:
        assert url == ""
    assert "did you mean 'task'" in caplog.text
    assert not embedded.library.agent.running
