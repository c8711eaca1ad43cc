"""The command line: options in, an exit code out. 0 ok, 1 failed, 2 usage."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, Final

import click

from exporter import log
from exporter.commands import leaves, probe_once, run_daemon, scan_once, show_serving, with_hubs
from exporter.config import Config, ConfigError
from exporter.credentials import Keyring
from exporter.discovery import Hub, provider_of
from exporter.discovery import check as check_serving
from exporter.discovery import discover as discover_models
from exporter.service import loader
from exporter.store import StorageError
from exporter.version import __version__

DEFAULT_CONFIG: Final = "config/models.yaml"
DEFAULT_LISTEN: Final = ":10021"
LISTEN: Final = re.compile(r"(?:\[(?P<ipv6>[^\[\]\s]+)\]|(?P<host>[^:\[\]\s]*)):(?P<port>[0-9]{1,5})")
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
    _finish(run_daemon(loader(config_path, database), keyring, host, port, web_config, demo))


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
        _finish(probe_once(load, keyring, model, as_json, demo))


@main.command()
@config_option
@database_option
@demo_option
def scan(config_path: Path, database: Path | None, demo: bool) -> None:
    """Probe every enabled model once, keep the results, and print them; exit 1 if one that should work does not."""
    keyring = Keyring(os.environ, Path(".env"))
    log.configure(form="console", level="warning", secrets=keyring.secrets)
    _finish(scan_once(loader(config_path, database), keyring, demo))


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
            return show_serving(await check_serving(config, hubs))
        hub = hubs[provider_of(config, provider).name]
        click.echo(await discover_models(hub, config, task, search=search, limit=limit), nl=False)
        return 0

    _finish(with_hubs(act, loader(config_path), keyring, demo))


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
        for error in leaves(group):
            click.echo(str(error), err=True)
    except* KeyboardInterrupt:
        code = 130
    raise SystemExit(code)
