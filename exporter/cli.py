"""The command line. Exit codes: 0 ok, 1 failed, 2 usage."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import click
import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from exporter import log
from exporter.clock import SystemClock
from exporter.config import Config, ConfigError
from exporter.discovery import MAX_BODY_BYTES, DiscoveryError, Hub, Serving, provider_of
from exporter.discovery import check as check_serving
from exporter.discovery import discover as discover_models
from exporter.models import Reply, Status
from exporter.observing import as_result
from exporter.providers import Wire
from exporter.service import USER_AGENT, Keyring, Service, loader, open_service, stand_in
from exporter.store import StorageError
from exporter.version import __version__
from exporter.web.debug import exchange_log
from exporter.web.webconfig import WebConfig, WebConfigError, load_web_config

DEFAULT_CONFIG: Final = "config/models.yaml"
DEFAULT_LISTEN: Final = ":10021"
LISTEN: Final = re.compile(r"(?:\[(?P<ipv6>[^\[\]\s]+)\]|(?P<host>[^:\[\]\s]*)):(?P<port>[0-9]{1,5})")
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


class ListenError(Exception):
    """The address to listen on cannot be had."""


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
    with tempfile.TemporaryDirectory(prefix="ai-model-exporter-") as folder:
        # The history is not even opened: a service has to have a database, and this one is thrown away.
        load = loader(config_path, Path(folder) / "probe.db")
        _finish(_probe(load, keyring, model, as_json, demo))


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


@main.command()
@click.option("--task", help="Print the models that are served for this task, ready for the configuration.")
@click.option("--search", help="With --task: only models with this text in their id.")
@click.option("--provider", help="With --task: the hub's name of a configured provider.  [default: that of the first]")
@click.option("--limit", type=click.IntRange(min=1), help="With --task: the most models to print.  [default: all]")
@click.option("--check", "checking", is_flag=True, help="Say for the configured models who serves each now.")
@config_option
@demo_option
def discover(
    task: str | None,
    search: str | None,
    provider: str | None,
    limit: int | None,
    checking: bool,
    config_path: Path,
    demo: bool,
) -> None:
    """Ask the hub which models are served, without probing any; with --check exit 1 if an enabled one is not."""
    if (task is not None) == checking:
        raise click.UsageError("give one of --task and --check")
    if checking and (search, provider, limit) != (None, None, None):
        raise click.UsageError("--check looks at every configured model: no --search, --provider or --limit")
    keyring = Keyring(os.environ, Path(".env"))
    log.configure(form="console", level="warning", secrets=keyring.secrets)

    async def act(config: Config, hubs: Mapping[str, Hub]) -> int:
        if task is None:
            return _show_serving(await check_serving(config, hubs))
        hub = hubs[provider_of(config, provider).name]
        click.echo(await discover_models(hub, config, task, search=search, limit=limit), nl=False)
        return 0

    _finish(_with_hubs(act, loader(config_path), keyring, demo))


def parse_listen(text: str) -> tuple[str | None, int]:
    """Return host and port of `HOST:PORT`, `[IPV6]:PORT` or `:PORT` (every address). Raises click.BadParameter."""
    found = LISTEN.fullmatch(text)
    if found is None or int(found["port"]) > 65535:
        raise click.BadParameter(f"{text!r} is not HOST:PORT or :PORT", param_hint="--web.listen-address")
    return found["ipv6"] or found["host"] or None, int(found["port"])


def _finish(command: Coroutine[Any, Any, int]) -> None:
    """Run a command and turn what ends it into an exit code and one clear line."""
    code = 1
    try:
        code = asyncio.run(command)
    except* (ConfigError, StorageError) as group:
        for error in _leaves(group):
            click.echo(str(error), err=True)
    except* KeyboardInterrupt:
        code = 130
    raise SystemExit(code)


@asynccontextmanager
async def _opened(load: Callable[[], Config], keyring: Keyring, demo: bool) -> AsyncIterator[Service]:
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        if demo:
            load, keyring = await stack.enter_async_context(stand_in(load, clock))
        yield await stack.enter_async_context(open_service(load, clock=clock, keyring=keyring, simulated=demo))


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


async def _scan(load: Callable[[], Config], keyring: Keyring, demo: bool) -> int:
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


async def _with_hubs(
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


def _show_serving(rows: list[Serving]) -> int:
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


def _leaves(group: BaseExceptionGroup[Any]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
