"""The command line. Exit codes: 0 ok, 1 failed, 2 usage."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click
import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from exporter import log
from exporter.clock import SystemClock
from exporter.config import Config, ConfigError
from exporter.models import Reply, Status
from exporter.prober import as_result
from exporter.service import Keyring, Service, loader, open_service, stand_in
from exporter.store import StorageError
from exporter.version import __version__
from exporter.web.debug import exchange_log
from exporter.web.webconfig import WebConfig, WebConfigError, load_web_config

DEFAULT_CONFIG: Final = "config/models.yaml"
DEFAULT_LISTEN: Final = ":10021"
# What a scan may find without failing: `not_served` was promised by nobody.
ALL_WELL: Final = frozenset({Status.AVAILABLE, Status.DEGRADED, Status.NOT_SERVED})
COLOR: Final = {
    Status.AVAILABLE: "green",
    Status.DEGRADED: "yellow",
    Status.LOADING: "yellow",
    Status.NOT_SERVED: "dim",
    Status.UNKNOWN: "magenta",
}

config_option = click.option(
    "--config", "config_path", default=DEFAULT_CONFIG, type=click.Path(path_type=Path), show_default=True,
    help="The configuration: a file, or a directory of files.",
)  # fmt: skip
database_option = click.option(
    "--database", type=click.Path(path_type=Path), help="The history, in place of the configured file."
)
demo_option = click.option("--demo", is_flag=True, help="Ask an embedded stand-in instead of the real hosts.")
log_format_option = click.option(
    "--log.format", "log_format", default="json", type=click.Choice(log.FORMATS), show_default=True
)
log_level_option = click.option(
    "--log.level", "log_level", default="info", type=click.Choice(list(log.LEVELS)), show_default=True
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Probe hosted AI models with real inference requests and tell the truth about them."""


@main.command()
@config_option
@database_option
@click.option("--web.listen-address", "listen", default=DEFAULT_LISTEN, show_default=True, help="HOST:PORT or :PORT.")
@click.option("--web.config.file", "web_config", type=click.Path(path_type=Path), help="TLS and users of the server.")
@log_format_option
@log_level_option
@demo_option
def run(
    config_path: Path,
    database: Path | None,
    listen: str,
    web_config: Path | None,
    log_format: str,
    log_level: str,
    demo: bool,
) -> None:
    """Run the daemon: probe on schedule, keep the history, serve metrics, API and page."""
    host, port = parse_listen(listen)
    keyring = Keyring(os.environ, Path(".env"))
    log.configure(form=log_format, level=log_level, secrets=keyring.secrets)
    _finish(_daemon(loader(config_path, database), keyring, host, port, web_config, demo))


@main.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
def check(files: tuple[Path, ...]) -> None:
    """Check configurations; tell everything that is wrong with file, line and hint."""
    failed = False
    for path in files or (Path(DEFAULT_CONFIG),):
        try:
            config = loader(path)()
        except ConfigError as error:
            failed = True
            click.echo(str(error), err=True)
            continue
        for warning in config.warnings:
            click.echo(f"{path}: warning: {warning}", err=True)
        click.echo(f"{path}: ok, {len(config.active)} of {len(config.models)} models enabled")
    if failed:
        raise SystemExit(1)


@main.command()
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print the result and the exchanges as JSON.")
@config_option
@demo_option
def probe(model: str, as_json: bool, config_path: Path, demo: bool) -> None:
    """Probe one configured MODEL once and show the whole exchange, secrets masked; nothing is kept."""
    keyring = Keyring(os.environ, Path(".env"))
    log.configure(form="console", level="warning", secrets=keyring.secrets)
    _finish(_probe(loader(config_path), keyring, model, as_json, demo))


@main.command()
@config_option
@database_option
@demo_option
def scan(config_path: Path, database: Path | None, demo: bool) -> None:
    """Probe every enabled model once, keep the results, and print them; exit 1 if one that should work does not."""
    keyring = Keyring(os.environ, Path(".env"))
    log.configure(form="console", level="warning", secrets=keyring.secrets)
    _finish(_scan(loader(config_path, database), keyring, demo))


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(f"ai-model-exporter {__version__}")


def parse_listen(text: str) -> tuple[str | None, int]:
    """Return host and port of `HOST:PORT`, `[IPV6]:PORT` or `:PORT` (every address). Raises click.BadParameter."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise click.BadParameter(f"{text!r} is not HOST:PORT or :PORT", param_hint="--web.listen-address")
    return host.removeprefix("[").removesuffix("]") or None, int(port)


def _finish(command: Coroutine[Any, Any, int]) -> None:
    """Run a command and turn what ends it into an exit code and one clear line."""
    try:
        code = asyncio.run(command)
    except (ConfigError, WebConfigError, StorageError) as error:
        click.echo(str(error), err=True)
        code = 1
    except KeyboardInterrupt:
        code = 130
    raise SystemExit(code)


@asynccontextmanager
async def _opened(
    load: Callable[[], Config], keyring: Keyring, demo: bool, stack: AsyncExitStack
) -> AsyncIterator[Service]:
    clock = SystemClock()
    if demo:
        load, keyring = await stack.enter_async_context(stand_in(load, clock))
    async with open_service(load, clock=clock, keyring=keyring, simulated=demo) as service:
        yield service


async def _daemon(
    load: Callable[[], Config], keyring: Keyring, host: str | None, port: int, web_config: Path | None, demo: bool
) -> int:
    logger = structlog.get_logger("exporter")
    stopping, hung_up = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number, event in ((signal.SIGTERM, stopping), (signal.SIGINT, stopping), (signal.SIGHUP, hung_up)):
        loop.add_signal_handler(number, event.set)
    code = 1
    try:
        web = WebConfig() if web_config is None else await asyncio.to_thread(load_web_config, web_config)
        async with AsyncExitStack() as stack, _opened(load, keyring, demo, stack) as service:
            urls = await service.serve(host, port, web, stack)
            service.agent.start()
            service.ready = True
            logger.info("started", version=__version__, models=len(service.config.active), urls=urls, simulated=demo)
            if demo:
                logger.warning("simulated", message="every answer comes from the embedded stand-in, none is real")
            await _until(stopping, hung_up, service)
            logger.info("stopping")
            await service.drain()
        code = 0
    except* (ConfigError, WebConfigError, StorageError, OSError) as group:
        for error in _leaves(group):
            logger.error("stopped", reason=str(error), kind=type(error).__name__)
    except* Exception as group:
        # Whatever ended a task of ours ends the process, and must be seen.
        for error in _leaves(group):
            logger.error("crashed", reason=f"{type(error).__name__}: {error}", exc_info=error)
    if code == 0:
        logger.info("stopped", reason="asked to")
    return code


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


async def _probe(load: Callable[[], Config], keyring: Keyring, model_id: str, as_json: bool, demo: bool) -> int:
    load = _without_history(load)
    async with AsyncExitStack() as stack, _opened(load, keyring, demo, stack) as service:
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


async def _scan(load: Callable[[], Config], keyring: Keyring, demo: bool) -> int:
    errors = Console(stderr=True)
    async with AsyncExitStack() as stack, _opened(load, keyring, demo, stack) as service:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=errors) as progress:
            bar = progress.add_task("probing", total=len(service.config.active))
            result = await service.monitor.scan_all_models(lambda observation: progress.advance(bar))
    Console().print(_table(result["models"]))
    broken = [row for row in result["models"] if row["status"] not in ALL_WELL]
    counts = ", ".join(f"{result[status]} {status}" for status in Status if result[status])
    click.echo(f"{result['total']} models: {counts or 'nothing to probe'}" + (" (simulated)" if demo else ""))
    return 1 if broken else 0


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table("model", "status", "reason", "ms", "answer or error")
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


def _without_history(load: Callable[[], Config]) -> Callable[[], Config]:
    """Let one probe be judged without touching the history: its database is thrown away at the end."""
    folder = tempfile.TemporaryDirectory(prefix="ai-model-exporter-")

    def load_apart() -> Config:
        return replace(load(), database=Path(folder.name) / "probe.db")

    return load_apart


def _leaves(group: BaseExceptionGroup[Any]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
