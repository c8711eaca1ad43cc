"""What the commands do: the daemon, one probe, one scan, the catalogue; each returns its exit code."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import click
import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from exporter.clock import SystemClock
from exporter.config import Config, ConfigError
from exporter.credentials import Keyring
from exporter.discovery import MAX_BODY_BYTES, DiscoveryError, Hub, Serving
from exporter.models import Reply, Status
from exporter.observing import as_result
from exporter.providers import Wire
from exporter.service import USER_AGENT, Service, open_service, stand_in
from exporter.store import StorageError
from exporter.version import __version__
from exporter.web.debug import exchange_log
from exporter.web.webconfig import WebConfig, WebConfigError, load_web_config

# What a scan may find without failing: `not_served` was promised by nobody.
ALL_WELL: Final = frozenset({Status.AVAILABLE, Status.DEGRADED, Status.NOT_SERVED})
COLOR: Final = {
    Status.AVAILABLE: "green",
    Status.DEGRADED: "yellow",
    Status.LOADING: "yellow",
    Status.NOT_SERVED: "dim",
    Status.UNKNOWN: "magenta",
}


THREADS: Final = "exporter-thread"
THREADS_END_S: Final = 2.0


class ListenError(Exception):
    """The address to listen on cannot be had."""


@asynccontextmanager
async def _opened(load: Callable[[], Config], keyring: Keyring, demo: bool) -> AsyncIterator[Service]:
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        if demo:
            load, keyring = await stack.enter_async_context(stand_in(load, clock))
        yield await stack.enter_async_context(open_service(load, clock=clock, keyring=keyring, simulated=demo))


async def run_daemon(
    load: Callable[[], Config], keyring: Keyring, host: str | None, port: int, web_config: Path | None, demo: bool
) -> int:
    """Serve until SIGTERM or SIGINT, reload at SIGHUP; 1 when anything ends it otherwise, and the log says what."""
    logger = structlog.get_logger("exporter")
    stopping, hung_up = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    executor = ThreadPoolExecutor(thread_name_prefix=THREADS)
    loop.set_default_executor(executor)
    for number, event in ((signal.SIGTERM, stopping), (signal.SIGINT, stopping), (signal.SIGHUP, hung_up)):
        loop.add_signal_handler(number, event.set)
    code = 1
    try:
        web = WebConfig() if web_config is None else await asyncio.to_thread(load_web_config, web_config)
        async with _opened(load, keyring, demo) as service, AsyncExitStack() as serving:
            try:
                urls = await service.serve(host, port, web, serving)
            except OSError as refused:
                raise ListenError(f"cannot listen on {host or ''}:{port}: {refused.strerror or refused}") from refused
            service.agent.start()
            service.ready = True
            logger.info("started", version=__version__, models=len(service.config.active), urls=urls, simulated=demo)
            if demo:
                logger.warning("simulated", message="every answer comes from the embedded stand-in, none is real")
            await _until(stopping, hung_up, service)
            logger.info("stopping")
            await service.drain()
        code = 0
    except* (ConfigError, WebConfigError, StorageError, ListenError) as group:
        for error in leaves(group):
            logger.error("stopped", reason=str(error), kind=type(error).__name__)
    except* Exception as group:
        # Whatever ended a task of ours ends the process, and must be seen.
        for error in leaves(group):
            logger.error("crashed", reason=f"{type(error).__name__}: {error}", exc_info=error)
    if code == 0:
        logger.info("stopped", reason="asked to")
    _end_threads(executor, code)
    return code


def _end_threads(executor: ThreadPoolExecutor, code: int) -> None:
    """Wait a little for the threads that look names up: one that hangs must not hold the end up for its time-out."""
    executor.shutdown(wait=False, cancel_futures=True)
    working = [thread for thread in threading.enumerate() if thread.name.startswith(THREADS)]
    for thread in working:
        thread.join(THREADS_END_S / len(working))
    if any(thread.is_alive() for thread in working):
        # Everything of ours is closed and committed; what is left is stuck in the system's resolver.
        logging.shutdown()
        os._exit(code)


async def _until(stopping: asyncio.Event, hung_up: asyncio.Event, service: Service) -> None:
    """Wait for the end; reload at each SIGHUP meanwhile. A bad configuration has been logged by the service."""

    async def reload_on_hangup() -> None:
        while True:
            await hung_up.wait()
            hung_up.clear()
            with contextlib.suppress(ConfigError):
                await service.reload()

    async with asyncio.TaskGroup() as group:
        reloading = group.create_task(reload_on_hangup())
        await stopping.wait()
        reloading.cancel()


async def probe_once(load: Callable[[], Config], keyring: Keyring, model_id: str, as_json: bool, demo: bool) -> int:
    """Probe one configured model and print the exchange; 1 when it gives no answer, 2 when it is not configured."""
    async with _opened(load, keyring, demo) as service:
        model = service.config.model(model_id)
        if model is None:
            known = ", ".join(model.model_id for model in service.config.models)
            click.echo(f"{model_id!r} is not configured; there are: {known}", err=True)
            return 2
        trace: list[Reply] = []
        observation = await service.monitor.observe(model, trace)
        if as_json:
            exchanges = [_exchange_as_json(reply) for reply in trace]
            click.echo(json.dumps({**as_result(observation), "exchanges": exchanges}, indent=2))
        else:
            click.echo(exchange_log(observation, trace), nl=False)
        return 0 if observation.success else 1


async def scan_once(load: Callable[[], Config], keyring: Keyring, demo: bool) -> int:
    """Probe every enabled model and print a table; 1 when one that should work does not."""
    errors = Console(stderr=True)
    async with _opened(load, keyring, demo) as service:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=errors) as progress:
            bar = progress.add_task("probing", total=len(service.config.active))
            result = await service.monitor.scan_all_models(lambda observation: progress.advance(bar))
    Console().print(_table(result["models"]))
    broken = [row for row in result["models"] if row["status"] not in ALL_WELL]
    counts = ", ".join(f"{result[status]} {status}" for status in Status if result[status])
    click.echo(f"{result['total']} models: {counts or 'nothing to probe'}" + (" (simulated)" if demo else ""))
    return 1 if broken else 0


async def with_hubs(
    act: Callable[[Config, Mapping[str, Hub]], Awaitable[int]],
    load: Callable[[], Config],
    keyring: Keyring,
    demo: bool,
) -> int:
    """Act on the catalogues of the configured providers; what keeps them from answering is told in one line."""
    clock = SystemClock()

    def tell(text: str) -> None:
        click.echo(_printable(text), err=True)

    async with AsyncExitStack() as stack:
        if demo:
            load, keyring = await stack.enter_async_context(stand_in(load, clock))
            tell("simulated: every answer comes from the embedded stand-in, none is real")
        config = await asyncio.to_thread(load)
        wire = await stack.enter_async_context(
            Wire(max_body_bytes=MAX_BODY_BYTES, user_agent=USER_AGENT, use_proxy=not demo)
        )
        hubs = {
            name: Hub(provider, wire, keyring.token(provider.token_env), clock, tell)
            for name, provider in config.providers.items()
        }
        try:
            return await act(config, hubs)
        except DiscoveryError as error:
            tell(str(error))
            return 1


def show_serving(rows: list[Serving]) -> int:
    """Print who serves each model; 1 when an enabled one is not served by its provider."""
    table = Table(*(Column(name, overflow="fold") for name in ("model", "served", "by", "note")))
    for row in rows:
        served = {True: "yes", False: "no", None: "unknown"}[row.served]
        style = "red" if row.missing else "green" if row.served else "dim"
        by = ", ".join(f"{name} ({state})" for name, state in row.served_by.items())
        cells = (row.model.model_id, served, by, row.note)
        table.add_row(*(Text(_printable(cell), style=style if place == 1 else "") for place, cell in enumerate(cells)))
    Console().print(table)
    missing = sum(row.missing for row in rows)
    click.echo(
        f"{len(rows)} models: {sum(row.served is True for row in rows)} served, {missing} enabled but not served"
    )
    return 1 if missing else 0


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(Column("model", overflow="fold"), "status", "reason", "ms", "answer or error")
    for row in rows:
        style = COLOR.get(Status(row["status"]), "red")
        took = "" if row["response_time_ms"] is None else f"{row['response_time_ms']:.0f}"
        said = row["error_message"] or json.dumps(row["test_output"], ensure_ascii=False)
        cells = (row["model_id"], row["status"], row["reason"], took, said[:80])
        table.add_row(*(Text(_printable(cell), style=style if place == 1 else "") for place, cell in enumerate(cells)))
    return table


def _printable(text: str) -> str:
    """Drop what could drive a terminal: answers and errors are other people's text."""
    return "".join(c if c.isprintable() else " " for c in text)


def _exchange_as_json(reply: Reply) -> dict[str, Any]:
    return {
        "method": reply.method,
        "url": reply.url,
        "request_body": reply.request_body,
        "http_status": reply.http_status,
        "fault": reply.fault,
        "error": reply.error or None,
        "headers": dict(reply.headers),
        "body": reply.body.decode("utf-8", "backslashreplace"),
        "timings": {**reply.timings.phases(), "total": reply.timings.total_s},
    }


def leaves(group: BaseExceptionGroup[Any]) -> Iterator[BaseException]:
    """Yield the errors of a group, however it is nested."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error
