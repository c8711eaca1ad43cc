"""The exporter as a library: `monitor`, `db` and `agent` over one configuration, and built into another server.

Everything is opened when it is first used. A service is open while somebody uses it: the agent while it runs, a scan
while it lasts; those at the same time share it. The database stays open until `close` or the end of the process.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog
from aiohttp import web

from exporter import log
from exporter.clock import SystemClock
from exporter.credentials import Keyring
from exporter.models import Observation
from exporter.scheduler import Agent
from exporter.service import Service, loader, open_service
from exporter.session import Session
from exporter.store import Store
from exporter.web.asgi import AsgiApp
from exporter.web.server import setup_routes
from exporter.web.webconfig import WebConfig

T = TypeVar("T")

DEFAULT_CONFIG: Final = Path("config/models.yaml")


class Library:
    """The three objects of the Python API for one configuration.

    `config` is a file or directory, by default config/models.yaml below the working directory; `database` replaces the
    configured one; `environ` is where tokens are looked up. Using any of them raises ConfigError or StorageError when
    the configuration or the database is bad.
    """

    def __init__(
        self,
        config: Path | str = DEFAULT_CONFIG,
        *,
        database: Path | str | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        log.lend()
        self._load = loader(Path(config), None if database is None else Path(database))
        self._keyring = Keyring(os.environ if environ is None else environ, Path(".env"))
        self._store: Store | None = None
        self._opening = threading.Lock()
        self._session: Session | None = None
        self.monitor = LibraryMonitor(self)
        self.agent = LibraryAgent(self)
        self.db = LibraryDatabase(self)

    @property
    def store(self) -> Store:
        """Return the store, opened and told of the configured models at the first use."""
        with self._opening:
            if self._store is None:
                config = self._load()
                store = Store.open(config.database, history_s=config.history_s, now=SystemClock().now)
                with ExitStack() as undo:
                    undo.callback(store.close)
                    store.sync_models(config.models)
                    undo.pop_all()
                self._store = store
            return self._store

    @property
    def service(self) -> Service | None:
        """Return the service that is open now, or None."""
        return None if self._session is None else self._session.service

    async def do(self, action: Callable[[Service], Awaitable[T]]) -> T:
        """Return what `action` makes of the service that is open, or of one that is opened for it.

        Raises what `action` raises, or what kept the service from opening or ended it meanwhile.
        """
        if self._session is None or self._session.ending:
            self._session = Session(self._open())
        return await self._session.do(action)

    def close(self) -> None:
        """Close the database, once nothing is under way; it is opened again at the next use."""
        with self._opening:
            if self._store is not None:
                self._store.close()
                self._store = None

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Service]:
        store = await asyncio.to_thread(lambda: self.store)
        async with open_service(self._load, keyring=self._keyring, store=store) as service:
            yield service


class LibraryMonitor:
    """Probes and scans: `await monitor.scan_all_models()`, `await monitor.test_model({...})`."""

    def __init__(self, library: Library) -> None:
        self._library = library

    async def scan_all_models(self) -> dict[str, Any]:
        """Probe every enabled model, keep the results, and return counts by status and the models.

        Scans at the same time are one scan.
        """
        return await self._library.do(lambda service: service.monitor.scan_all_models())

    async def test_model(self, model: Mapping[str, Any]) -> dict[str, Any]:
        """Probe one model and keep nothing. It is a mapping with the configuration's keys, or a row of `db`.

        Raises ConfigError when a key or a value is wrong.
        """
        return await self._library.do(lambda service: service.monitor.test_model(model))

    async def check(self, model_id: str) -> Observation:
        """Probe one configured model and keep the result. Raises KeyError for any other id."""
        return await self._library.do(lambda service: service.monitor.check(model_id))


class LibraryDatabase:
    """The history: plain, blocking calls, from any thread."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def get_all_models(self) -> list[dict[str, Any]]:
        """Return each active model with its statistics; `success_rate` is missing where nothing was measured."""
        return self._library.store.get_all_models()

    def get_model_history(self, model_id: str, limit: int = 100) -> list[dict[str, Any]]:
        """Return the newest checks of one model, newest first."""
        return self._library.store.get_model_history(model_id, limit)

    def get_model_stats(self, model_id: str) -> dict[str, Any] | None:
        """Return the statistics of one model, or None when it has none."""
        return self._library.store.get_model_stats(model_id)

    def add_model(self, model: Mapping[str, Any]) -> None:
        """Insert or update one model. Raises ValueError naming a key that is missing or wrong."""
        self._library.store.add_model(model)


class LibraryAgent:
    """The agent in the caller's event loop: `task = agent.start()`, `agent.running`, `await agent.stop()`."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._task: asyncio.Task[None] | None = None
        self._agent: Agent | None = None
        self._begun = asyncio.Event()
        self._stop = asyncio.Event()

    @property
    def running(self) -> bool:
        """True from `start` until it has stopped, by `stop` or by the HTTP API."""
        if self._task is None or self._task.done():
            return False
        return self._agent is None or self._agent.running

    @property
    def last_scan(self) -> datetime | None:
        """Return when the newest probe finished."""
        service = self._library.service
        return None if service is None else service.agent.last_scan

    @property
    def next_scan(self) -> datetime | None:
        """Return when the next probe is due; None while stopped."""
        service = self._library.service
        return None if service is None else service.agent.next_scan

    def start(self) -> asyncio.Task[None]:
        """Start probing on schedule in the running event loop; the task ends with `stop`, or raises what ended it."""
        previous = None if self._task is None or self._task.done() else self._task
        if previous is not None and not self._stop.is_set():
            if self._agent is not None:
                self._agent.start()  # the HTTP API may have stopped it
            return previous
        self._begun, self._stop, self._agent = asyncio.Event(), asyncio.Event(), None
        # The parent of this task is the caller, who awaits it or calls `stop`.
        self._task = asyncio.get_running_loop().create_task(self._run(self._begun, self._stop, previous))
        return self._task

    async def begin(self) -> asyncio.Task[None]:
        """Start, and return the task once the schedule runs. Raises what keeps it from that."""
        task = self.start()
        begun = asyncio.get_running_loop().create_task(self._begun.wait())
        try:
            await asyncio.wait([task, begun], return_when=asyncio.FIRST_COMPLETED)
        finally:
            begun.cancel()
        if task.done():
            await self.stop()
        return task

    async def stop(self) -> None:
        """Stop probing and close what was opened for it. Raises what had ended the agent, if anything had."""
        task = self._task
        if task is None:
            return
        self._stop.set()
        if not task.done():
            await asyncio.wait([task])
        if self._task is task:
            self._task = None
        if not task.cancelled():
            task.result()

    async def _run(self, begun: asyncio.Event, stop: asyncio.Event, previous: asyncio.Task[None] | None) -> None:
        if previous is not None:
            await asyncio.wait([previous])

        async def probe_until_stopped(service: Service) -> None:
            self._agent = service.agent
            service.agent.start()
            service.ready = True
            begun.set()
            try:
                await stop.wait()
            finally:
                await service.drain()

        await self._library.do(probe_until_stopped)


class Embedded:
    """The exporter within another server: its agent is started when that server starts and stopped when it stops.

    aiohttp: `setup(app)`. FastAPI or Starlette: `FastAPI(lifespan=embedded.lifespan)`, then
    `app.mount("/", embedded.asgi)`.
    """

    def __init__(self, library: Library, web_config: WebConfig | None = None) -> None:
        self.library = library
        self.web_config = web_config
        self.asgi = AsgiApp(self.backend, web_config=web_config, start=self.start, stop=self.stop)
        self.lifespan = self.asgi.lifespan

    def backend(self) -> Service | None:
        """Return the running service, or None before the start and after the end."""
        return self.library.service

    async def start(self) -> None:
        """Start the agent and return once it probes. Raises what keeps it from starting."""
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.stop)
            task = await self.library.agent.begin()
            task.add_done_callback(_tell_of_a_crash)
            undo.pop_all()

    async def stop(self) -> None:
        """Stop the agent and close the database. Raises what had ended the agent, if anything had."""
        try:
            await self.library.agent.stop()
        finally:
            await asyncio.to_thread(self.library.close)

    async def run(self, _app: web.Application) -> AsyncIterator[None]:
        """Run with an aiohttp application, as one of its `cleanup_ctx`."""
        await self.start()
        yield
        await self.stop()


def _tell_of_a_crash(task: asyncio.Task[None]) -> None:
    """Log it at once: the host goes on without us, and asks only when it stops."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        log = structlog.get_logger("exporter.library")
        log.error("crashed", reason=f"{type(error).__name__}: {error}", exc_info=error)


@cache
def default() -> Library:
    """Return the one library on the default configuration."""
    return Library()


def setup(
    app: web.Application,
    config: Path | str = DEFAULT_CONFIG,
    *,
    database: Path | str | None = None,
    prefix: str = "",
    web_config: WebConfig | None = None,
) -> Embedded:
    """Add the exporter's routes and its agent to another aiohttp application, before that starts."""
    embedded = Embedded(Library(config, database=database), web_config)
    app.cleanup_ctx.append(embedded.run)
    setup_routes(app, embedded.backend, prefix, web_config)
    return embedded
