"""Configure logging, once: events with facts as keys, as JSON or for a console, no secret and no control character."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, Final, TextIO

import structlog

from exporter.models import Secret

LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
FORMATS: Final = ("json", "console")
TRACEBACKS: Final = ("exception", "traceback")


def configure(
    *, form: str, level: str, secrets: Callable[[], Iterable[Secret]] = tuple, stream: TextIO | None = None
) -> None:
    """Send every log line of structlog and of the standard library to `stream` (standard error by default).

    `secrets` is asked at each line for what must not be in it.
    """
    out = sys.stderr if stream is None else stream
    redact = _Redact(secrets)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    ending: list[structlog.typing.Processor]
    if form == "json":
        ending = [structlog.processors.format_exc_info, redact, structlog.processors.JSONRenderer()]
    else:
        colors = out.isatty()
        ending = [
            structlog.processors.format_exc_info,
            redact,
            _printable,
            structlog.dev.ConsoleRenderer(colors=colors),
        ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending]
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(LEVELS[level], logging.INFO))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    logging.getLogger("exporter").setLevel(LEVELS[level])


def lend() -> None:
    """Give what is logged to the standard library's logging, where nobody has configured anything: to a library's host.

    Without this, structlog would print every line to the host's standard output.
    """
    if not structlog.is_configured():
        structlog.configure(
            processors=[
                structlog.stdlib.filter_by_level,
                structlog.processors.format_exc_info,
                structlog.processors.KeyValueRenderer(key_order=["event"]),
            ],
            wrapper_class=structlog.stdlib.BoundLogger,
            logger_factory=structlog.stdlib.LoggerFactory(),
        )


class _Redact:
    """Replaces every occurrence of a secret in any value of the event."""

    def __init__(self, secrets: Callable[[], Iterable[Secret]]) -> None:
        self._secrets = secrets

    def __call__(self, _logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        texts = [secret.reveal() for secret in self._secrets()]
        return {key: _map_text(value, lambda text: _without(text, texts)) for key, value in event.items()}


def _printable(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escape what could drive a terminal; the lines of a traceback stay lines."""
    return {key: _map_text(value, _escape, keep_lines=key in TRACEBACKS) for key, value in event.items()}


def _map_text(value: Any, change: Callable[[str], str], *, keep_lines: bool = False) -> Any:
    if isinstance(value, str):
        return "\n".join(map(change, value.split("\n"))) if keep_lines else change(value)
    if isinstance(value, Mapping):
        return {_map_text(key, change): _map_text(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_map_text(item, change) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return change(str(value))


def _without(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _escape(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
