"""The composition root: puts the parts together, and is the only one that sees the whole.

One `async with`, one TaskGroup: a crash of the schedule, the store or the server ends all of it, and everything is
closed in reverse order.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import structlog
from aiohttp import web

from exporter import config as configuration
from exporter.board import Board
from exporter.chronicle import Chronicle
from exporter.clock import Clock, SystemClock
from exporter.config import Config, ConfigError
from exporter.credentials import CredentialError, Keyring
from exporter.demo import DEMO_TOKEN, StandIn
from exporter.fallback import Fallback
from exporter.gate import Gate, Skip
from exporter.incidents import Incidents
from exporter.metrics import BudgetReading, Metrics, Readings
from exporter.prober import Monitor
from exporter.providers import PROVIDERS, Connectivity, Provider, Wire
from exporter.remembered import remember
from exporter.scheduler import Agent, Scheduler, Slots
from exporter.store import StorageError, Store
from exporter.version import __version__
from exporter.web.server import make_app
from exporter.web.webconfig import WebConfig

USER_AGENT: Final = f"ai-model-exporter/{__version__}"
REVISION_VARIABLE: Final = "AI_MODEL_EXPORTER_REVISION"
WATCH_EVERY_S: Final = 1.0
SERVER_SHUTDOWN_S: Final = 2.0


class ServerStoppedError(Exception):
    """The HTTP server has stopped listening by itself."""


class Service:
    """The running whole, as web/ and the library see it. Made by `open_service`."""

    def __init__(
        self,
        *,
        config: Config,
        load: Callable[[], Config],
        store: Store,
        wire: Wire,
        keyring: Keyring,
        clock: Clock,
        simulated: bool,
        group: asyncio.TaskGroup,
    ) -> None:
        self.config = config
        self.store = store
        self.clock = clock
        self.simulated = simulated
        self.version = __version__
        self.ready = False
        self._load = load
        self._wire = wire
        self._keyring = keyring
        self._reloading = asyncio.Lock()
        self._servers: list[asyncio.AbstractServer] = []
        self._log = structlog.get_logger("exporter.service")
        self.board = Board()
        self.metrics = Metrics(
            version=__version__,
            revision=os.environ.get(REVISION_VARIABLE, "unknown"),
            simulated=simulated,
            skip_reasons=Skip,
        )
        self.incidents = Incidents()
        self.fallback = Fallback()
        self.gate = Gate(self.incidents)
        self._connectivity = Connectivity(wire, clock)
        self._chronicle = Chronicle(
            store=store,
            board=self.board,
            metrics=self.metrics,
            incidents=self.incidents,
            fallback=self.fallback,
            reachable=self._connectivity.reachable,
            on_recovered=lambda model_ids: self._scheduler.hurry(model_ids),
            interval_s=self.effective_interval_s,
        )
        slots = Slots(config.concurrency, clock)
        self._slots = slots
        self.monitor = Monitor(
            config=config,
            providers=self._providers(config),
            gate=self.gate,
            chronicle=self._chronicle,
            metrics=self.metrics,
            slots=slots,
            clock=clock,
            spawn=group.create_task,
        )
        self._scheduler = Scheduler(
            run=self.monitor.run_scheduled,
            slots=slots,
            clock=clock,
            on_start=self.metrics.observe_lateness,
            on_skip=lambda key: self.metrics.count_skip(Skip.RUNNING),
        )
        self.agent = Agent(scheduler=self._scheduler, spawn=group.create_task, last_probe=self._last_probe)
        self.metrics.watch(
            Readings(
                in_flight=lambda: slots.in_flight,
                agent_running=lambda: self.agent.running,
                queue_rows=lambda: store.queue_rows,
                rows_dropped=lambda: store.rows_dropped,
                store_errors=lambda: store.errors,
                incidents=self.incidents.open,
                fallbacks=self.fallback.in_use,
                budgets=self.read_budgets,
                effective_interval_s=self.effective_interval_s,
            )
        )

    @property
    def alive(self) -> Mapping[str, bool]:
        """Say by part whether it still runs; an agent that was stopped on purpose is alive."""
        return {"store": self.store.running, "scheduler": not self.agent.failed}

    async def begin(self) -> None:
        """Take up where the store left off. Raises StorageError."""
        await asyncio.to_thread(self.store.sync_models, self.config.models)
        remembered = await asyncio.to_thread(remember, self.store)
        known = [remembered.last[model.model_id] for model in self.config.active if model.model_id in remembered.last]
        self.gate.restore(
            remembered.spending,
            [(model, at) for model in self.config.active if (at := remembered.asked.get(model.model_id)) is not None],
        )
        self._show(self.config)
        self.board.prime(known)
        for observation in known:
            row = remembered.stats.get(observation.model_id, {})
            self.metrics.prime(observation, _moment(row.get("last_success_at")), _moment(row.get("last_failure_at")))
        self._chronicle.restore(
            baselines=remembered.baselines,
            stats=remembered.stats,
            choices=remembered.choices,
            incidents=remembered.incidents,
            now=self.clock.now(),
        )
        self._plan()
        self._log_warnings(self.config)
        self._log_tokens()

    def read_budgets(self) -> list[BudgetReading]:
        """Return what each provider has cost this month, and what it will."""
        now = self.clock.now()
        return [
            BudgetReading(
                provider=name,
                requests_limit=provider.requests_per_month,
                requests_used=budget.spent(now).requests,
                requests_projected=round(budget.projected(now)),
                compute_s_limit=provider.compute_s_per_month,
                compute_s_used=round(budget.spent(now).compute_s, 3),
            )
            for name, provider in self.config.providers.items()
            if (budget := self.gate.budgets.get(name)) is not None
        ]

    def effective_interval_s(self, model_id: str) -> float:
        """Return the seconds between two requests for inference at the present pace. Raises KeyError if not enabled."""
        model = self.config.model(model_id)
        if model is None:
            raise KeyError(model_id)
        return self.gate.budgets[model.provider].effective_interval_s(model_id, self.clock.now())

    async def reload(self) -> None:
        """Read the configuration again. Raises ConfigError and keeps the old one when the new one is bad.

        Counters go on and models that keep their interval keep their place in the schedule.
        """
        async with self._reloading:
            try:
                config = await asyncio.to_thread(self._load)
            except ConfigError as error:
                self.metrics.reloaded(at=None)
                self._log.error("config_reload_failed", problems=[str(problem) for problem in error.problems])
                raise
            if config.database != self.config.database:
                self._log.warning("config_needs_restart", key="database", kept=str(self.config.database))
                config = replace(config, database=self.config.database)
            self.config = config
            self._wire.max_body_bytes = config.max_body_bytes
            self._slots.resize(config.concurrency)
            self.store.history_s = config.history_s
            self.monitor.use(config, self._providers(config))
            self._show(config)
            self._plan()
            self._log_warnings(config)
            self._log.info("config_reloaded", models=len(config.active))
            try:
                await asyncio.to_thread(self.store.sync_models, config.models)
            except StorageError as error:
                self._log.error("store_failed", error=str(error))

    async def serve(self, host: str | None, port: int, web_config: WebConfig, stack: AsyncExitStack) -> list[str]:
        """Listen until `stack` is closed and return the URLs. Raises OSError when the address cannot be had."""
        runner = web.AppRunner(make_app(self, web_config), access_log=None, shutdown_timeout=SERVER_SHUTDOWN_S)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        protocol = runner.server
        assert protocol is not None, "setup() makes it"  # noqa: S101 -- the library's promise, for the type checker
        server = await asyncio.get_running_loop().create_server(
            protocol, host, port, ssl=web_config.ssl_context, reuse_address=True
        )
        stack.callback(server.close)
        self._servers.append(server)
        scheme = "http" if web_config.ssl_context is None else "https"
        return [f"{scheme}://{_authority(listening.getsockname())}" for listening in server.sockets]

    async def watch(self) -> None:
        """End everything when a part has died that has no task of its own; tell of the store's troubles once."""
        failing = False
        while True:
            await self.clock.sleep(WATCH_EVERY_S)
            self._chronicle.tick(self.clock.now())
            if not self.store.running:
                raise StorageError(self.store.path, "write", f"the writer thread has died: {self.store.last_error}")
            if not all(server.is_serving() for server in self._servers):
                raise ServerStoppedError("the HTTP server has stopped listening")
            if failing != (not self.store.healthy):
                failing = not failing
                if failing:
                    self._log.error("store_failing", error=self.store.last_error, queue_rows=self.store.queue_rows)
                else:
                    self._log.info("store_recovered")

    async def drain(self) -> None:
        """Stop listening for the watch, stop the agent, and let what is in flight end."""
        self.ready = False
        self._servers.clear()
        await self.agent.stop()
        self._chronicle.close()

    def _log_tokens(self) -> None:
        for name, provider in self.config.providers.items():
            try:
                token = self._keyring.token(provider.token_env).get()
            except CredentialError as error:
                self._log.error("token_unusable", provider=name, reason=str(error))
                continue
            if token is None:
                self._log.warning("token_missing", provider=name, variable=provider.token_env)

    def _show(self, config: Config) -> None:
        self.gate.plan(config)
        self._chronicle.plan(config, self.clock.now())
        self._connectivity.plan(config)
        # A model that has got another provider, task or input is another one: what is known of it is of the former.
        self.board.retain(
            model.model_id
            for model in config.active
            if (known := self.board.get(model.model_id)) is None
            or (known.provider, known.task) == (model.provider, model.task)
        )
        self.metrics.set_models(config.active)
        self.metrics.reloaded(at=self.clock.now(), digest=_digest(config))

    def _plan(self) -> None:
        """Plan the schedule by what the board knows; who is not on it is asked soon."""
        last = {model_id: observation.checked_at for model_id, observation in self.board.current.items()}
        self._scheduler.plan({model.model_id: model.interval_s for model in self.config.active}, last)
        self._scheduler.hurry([model.model_id for model in self.config.active if model.model_id not in last])

    def _providers(self, config: Config) -> dict[str, Provider]:
        return {
            name: PROVIDERS[provider.kind](provider, self._wire, self._keyring.token(provider.token_env))
            for name, provider in config.providers.items()
        }

    def _last_probe(self) -> datetime | None:
        return max((observation.checked_at for observation in self.board.current.values()), default=None)

    def _log_warnings(self, config: Config) -> None:
        for warning in config.warnings:
            self._log.warning("config_warning", message=warning)
        for budget in self.read_budgets():
            self._log.info(
                "budget",
                provider=budget.provider,
                requests_limit=budget.requests_limit,
                requests_used=budget.requests_used,
                requests_projected=budget.requests_projected,
            )


@asynccontextmanager
async def open_service(
    load: Callable[[], Config],
    *,
    clock: Clock | None = None,
    keyring: Keyring | None = None,
    store: Store | None = None,
    simulated: bool = False,
) -> AsyncIterator[Service]:
    """Open everything for the configuration that `load` returns; the agent is started by the caller.

    Raises ConfigError and StorageError, and an ExceptionGroup when a part crashes while it is open. A `store` that is
    handed in stays open afterwards.
    """
    clock = clock or SystemClock()
    keyring = keyring or Keyring(os.environ, Path(".env"))
    config = await asyncio.to_thread(load)
    log = structlog.get_logger("exporter.service")
    async with AsyncExitStack() as stack:
        if store is None:
            store = await asyncio.to_thread(_open_store, config, simulated, clock)
            stack.callback(_close_store, store)
            if store.set_aside is not None:
                log.warning("simulated_database_set_aside", path=str(store.set_aside))
            if store.carried_over is not None:
                log.info(
                    "predecessor_carried_over",
                    path=str(store.path),
                    rows=store.carried_over,
                    undated=store.carried_over_undated,
                    copy=str(store.predecessor_copy),
                )
        wire = await stack.enter_async_context(
            Wire(max_body_bytes=config.max_body_bytes, user_agent=USER_AGENT, use_proxy=not simulated)
        )
        async with asyncio.TaskGroup() as group:
            service = Service(
                config=config,
                load=load,
                store=store,
                wire=wire,
                keyring=keyring,
                clock=clock,
                simulated=simulated,
                group=group,
            )
            await service.begin()
            watch = group.create_task(service.watch())
            try:
                yield service
            finally:
                await service.drain()
                service.monitor.cancel_scan()
                watch.cancel()


@asynccontextmanager
async def stand_in(load: Callable[[], Config], clock: Clock) -> AsyncIterator[tuple[Callable[[], Config], Keyring]]:
    """Start the embedded stand-in, and return `load` with every provider pointed at it and a keyring with its token.

    The real token is not even looked up, so that it cannot reach anything simulated.
    """
    async with StandIn(clock=clock).serve() as url:

        def load_demo() -> Config:
            config = load()
            providers = {
                name: replace(provider, base_url=f"{url}/hf-inference", hub_url=url)
                for name, provider in config.providers.items()
            }
            return replace(config, providers=providers)

        names = {provider.token_env for provider in (await asyncio.to_thread(load)).providers.values()}
        yield load_demo, Keyring(dict.fromkeys(names, DEMO_TOKEN), None)


def loader(path: Path, database: Path | None = None) -> Callable[[], Config]:
    """Return a `load` for `open_service`: the file or directory, with the database replaced if one is given."""

    def load() -> Config:
        config = configuration.load(path)
        return config if database is None else replace(config, database=database)

    return load


def _open_store(config: Config, simulated: bool, clock: Clock) -> Store:
    return Store.open(config.database, simulated=simulated, history_s=config.history_s, now=clock.now)


def _digest(config: Config) -> int:
    """Return a number of the effective configuration that a float holds exactly."""
    effective = repr(replace(config, sources=(), warnings=()))
    return int.from_bytes(hashlib.blake2b(effective.encode(), digest_size=6).digest())


def _close_store(store: Store) -> None:
    """Commit what waits and close; what could not be kept is told, as the counter of it ends with the process."""
    dropped = store.rows_dropped
    store.close()
    if store.rows_dropped > dropped:
        structlog.get_logger("exporter.service").error(
            "rows_lost", rows=store.rows_dropped - dropped, error=store.last_error, path=str(store.path)
        )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _authority(address: tuple[Any, ...]) -> str:
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{host}:{address[1]}"
