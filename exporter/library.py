"""The exporter as a library: `monitor`, `db` and `agent` over one configuration, and built into another server.

Everything is opened when it is first used and closed when it is done with: a scan outside the running agent opens a
session for its own length, and the database stays open until `close` or the end of the process.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from exporter.clock import SystemClock
from exporter.models import Observation
from exporter.service import Keyring, Service, loader, open_service
from exporter.store import Store
from exporter.web.asgi import AsgiApp
from exporter.web.server import setup_routes
from exporter.web.webconfig import WebConfig

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
        self.load = loader(Path(config), None if database is None else Path(database))
        self._keyring = Keyring(os.environ if environ is None else environ, Path(".env"))
        self._store: Store | None = None
        self._service: Service | None = None
        self._opening = asyncio.Lock()
        self.monitor = LibraryMonitor(self)
        self.agent = LibraryAgent(self)
        self.db = LibraryDatabase(self)

    @property
    def store(self) -> Store:
        """Return the store, opened and told of the configured models at the first use."""
        if self._store is None:
            config = self.load()
            store = Store.open(config.database, history_s=config.history_s, now=SystemClock().now)
            store.sync_models(config.models)
            self._store = store
        return self._store

    @property
    def service(self) -> Service | None:
        """Return the running service, or None."""
        return self._service

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Service]:
        """Use the service that runs, or open one for the length of the block."""
        if self._service is not None:
            yield self._service
            return
        async with self.open() as service:
            yield service

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Service]:
        """Open the service that everything here uses until the end of the block."""
        async with self._opening:
            store = await asyncio.to_thread(lambda: self.store)
            async with open_service(self.load, keyring=self._keyring, store=store) as service:
                self._service = service
                try:
                    yield service
                finally:
                    self._service = None

    def close(self) -> None:
        """Close the database; it is opened again at the next use."""
        if self._store is not None:
            self._store.close()
            self._store = None


class LibraryMonitor:
    """Probes and scans: `await monitor.scan_all_models()`, `await monitor.test_model({...})`."""

    def __init__(self, library: Library) -> None:
        self._library = library

    async def scan_all_models(self) -> dict[str, Any]:
        """Probe every enabled model, keep the results, and return counts by status and the models."""
        async with self._library.use() as service:
            return await service.monitor.scan_all_models()

    async def test_model(self, model: Mapping[str, Any]) -> dict[str, Any]:
        """Probe one model given as a mapping with the keys of the configuration; nothing is kept."""
        async with self._library.use() as service:
            return await service.monitor.test_model(model)

    async def check(self, model_id: str) -> Observation:
        """Probe one configured model and keep the result. Raises KeyError for any other id."""
        async with self._library.use() as service:
            return await service.monitor.check(model_id)


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
        self._stop = asyncio.Event()

    @property
    def running(self) -> bool:
        """True from `start` until it has stopped."""
        return self._task is not None and not self._task.done()

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
        if self._task is None or self._task.done():
            self._stop = asyncio.Event()
            # The parent of this task is the caller, who awaits it or calls `stop`.
            self._task = asyncio.get_running_loop().create_task(self._run(self._stop))
        return self._task

    async def stop(self) -> None:
        """Stop probing and close what was opened for it. Raises what had ended the agent, if anything had."""
        if self._task is not None:
            self._stop.set()
            task, self._task = self._task, None
            await task

    async def _run(self, stop: asyncio.Event) -> None:
        async with self._library.open() as service:
            service.agent.start()
            service.ready = True
            await stop.wait()


class Embedded:
    """The exporter within another server: its agent is started when that server starts and stopped when it stops.

    aiohttp: `setup(app)`. FastAPI or Starlette: `FastAPI(lifespan=embedded.lifespan)`, then
    `app.mount("/", embedded.asgi)`.
    """

    def __init__(self, library: Library, web_config: WebConfig | None = None) -> None:
        self.library = library
        self.web_config = web_config
        self.asgi = AsgiApp(self.backend, web_config=web_config, start=self.start, stop=self.library.agent.stop)
        self.lifespan = self.asgi.lifespan

    def backend(self) -> Service | None:
        """Return the running service, or None before the start and after the end."""
        return self.library.service

    async def start(self) -> None:
        """Start the agent and return once it is ready. Raises what keeps it from starting."""
        task = self.library.agent.start()
        while self.library.service is None and not task.done():
            await asyncio.wait([task], timeout=0.01)
        if task.done():
            await self.library.agent.stop()

    async def run(self, _app: web.Application) -> AsyncIterator[None]:
        """Run with an aiohttp application, as one of its `cleanup_ctx`."""
        await self.start()
        yield
        await self.library.agent.stop()
        self.library.close()


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
