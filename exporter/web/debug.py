"""The log of one probe as text for a person at a terminal. Pure; hostile bytes are escaped, tokens blanked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from exporter.models import Observation, Reply, rfc3339

_BODY_MOST_BYTES: Final = 2048
_SECRET_HEADERS: Final = ("authorization", "proxy-authorization", "set-cookie", "cookie", "x-api-key")
# We never write the token; a server that sends it back is not allowed to either.
_TOKEN: Final = re.compile(r"hf_[A-Za-z0-9]{8,}|(?<=Bearer )\S+", re.IGNORECASE)


def exchange_log(observation: Observation, trace: Sequence[Reply]) -> str:
    """Return each exchange of the probe (request, timings, headers, the first 2 kB of the body) and the verdict."""
    lines = [f"probe of {observation.model_id} ({observation.provider}, {observation.task})", ""]
    if not trace:
        lines += ["no exchange: a probe of this model that was in flight already has been joined", ""]
    for number, reply in enumerate(trace, start=1):
        lines += [f"exchange {number}: {reply.method} {reply.url}", *(f"  {line}" for line in _exchange(reply)), ""]
    lines += [
        f"verdict at {rfc3339(observation.checked_at)}: {observation.status}",
        f"  reason: {observation.reason}",
        f"  scope: {observation.scope}",
        f"  counted: {str(observation.counts).lower()}",
        f"  message: {observation.message}",
        f"  response time: {_ms(observation.response_time_ms)}",
    ]
    return "".join(f"{_escape(_TOKEN.sub('***', line))}\n" for line in lines)


def _exchange(reply: Reply) -> Iterator[str]:
    if reply.request_body:
        yield "request body:"
        yield from _body(reply.request_body.encode("utf-8", "replace"))
    yield f"status: {reply.http_status}" if reply.fault is None else f"fault: {reply.fault}: {reply.error}"
    phases = {**reply.timings.phases(), "total": reply.timings.total_s}
    yield "timings: " + ", ".join(f"{name} {seconds * 1000:.1f} ms" for name, seconds in phases.items())
    for name, value in reply.headers.items():
        yield f"header {name}: {'***' if name.lower() in _SECRET_HEADERS else value}"
    yield f"body, {len(reply.body)} bytes:"
    yield from _body(reply.body)


def _body(body: bytes) -> Iterator[str]:
    text = body[:_BODY_MOST_BYTES].decode("utf-8", "backslashreplace")
    yield from (f"  {line}" for line in text.split("\n"))
    if len(body) > _BODY_MOST_BYTES:
        yield f"  ... {len(body) - _BODY_MOST_BYTES} more bytes"


def _escape(line: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in line)


def _ms(milliseconds: float | None) -> str:
    return "none" if milliseconds is None else f"{milliseconds:.1f} ms"
