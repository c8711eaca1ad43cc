"""Put an answer on the wire, whole or in every way that a network or a broken server breaks it."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from exporter.demo.errors import HOST_DOWN, HOST_GONE, HTML, JSON, THROTTLED, Refusal, compact
from exporter.demo.scenario import Kind, Scenario
from exporter.demo.world import HostFault, World

CHUNK_BYTES: Final = 65_536
EVENT_STREAM: Final = "text/event-stream"
_SLOW_PIECES: Final = 20
_DEPTH: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sendable:
    """A good answer that is ready to be sent, well or badly."""

    world: World
    request: web.Request
    scenario: Scenario
    body: bytes
    headers: Mapping[str, str]
    content_type: str = JSON


def send_refusal(answer: Refusal, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a refusal as a response; `headers` are added to its own."""
    return web.Response(
        status=answer.status,
        body=answer.body.encode(),
        headers={"Content-Type": answer.content_type, **answer.headers, **(headers or {})},
    )


async def send(answer: Sendable) -> web.StreamResponse:
    """Send an answer in the manner of its scenario's kind."""
    return await _MANNERS.get(answer.scenario.kind, _plainly)(answer)


async def send_host_fault(world: World, request: web.Request, fault: HostFault) -> web.StreamResponse:
    """Answer as a host that is retired, down, throttling, resetting or silent as a whole."""
    if fault == "reset":
        return reset(request)
    if fault == "hang":
        return await hang(world, request)
    return send_refusal({"gone": HOST_GONE, "down": HOST_DOWN, "throttled": THROTTLED}[fault])


def reset(request: web.Request) -> web.StreamResponse:
    """Break the connection off with a TCP reset."""
    transport = request.transport
    if transport is not None:
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return _nothing_more()


async def hang(world: World, request: web.Request) -> web.StreamResponse:
    """Say nothing until the client leaves or the stand-in closes; no clock ends it."""
    await world.closing.wait()
    return reset(request)


def _nothing_more() -> web.StreamResponse:
    return web.Response(status=503)  # never seen: the connection is gone


async def _plainly(answer: Sendable) -> web.StreamResponse:
    return web.Response(body=answer.body, headers={"Content-Type": answer.content_type, **answer.headers})


async def _gzipped(answer: Sendable) -> web.StreamResponse:
    headers = {"Content-Type": JSON, "Content-Encoding": "gzip", **answer.headers}
    return web.Response(body=gzip.compress(answer.body, mtime=0), headers=headers)


async def _start(answer: Sendable, **headers: str) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": answer.content_type, **answer.headers, **headers})
    await response.prepare(answer.request)
    return response


async def _slowly(answer: Sendable) -> web.StreamResponse:
    response = await _start(answer)
    size = max(len(answer.body) // _SLOW_PIECES, 1)
    pieces = [answer.body[at : at + size] for at in range(0, len(answer.body), size)]
    for piece in pieces:
        await answer.world.wait(answer.scenario.wait_s / len(pieces))
        await response.write(piece)
    return response


async def _endlessly(answer: Sendable) -> web.StreamResponse:
    response = await _start(answer)
    await response.write(b"[[")
    try:
        while not answer.world.closing.is_set():
            await response.write(b" " * CHUNK_BYTES)
            await asyncio.sleep(0)  # a loopback client takes it as fast as it is written: let the others in
    except ConnectionError:
        pass  # the client has had enough
    return response


async def _hugely(answer: Sendable) -> web.StreamResponse:
    response = await _start(answer)
    head, tail = b'[{"summary_text":"', b'"}]'
    left = max(answer.scenario.size_bytes - len(head) - len(tail), 0)
    try:
        await response.write(head)
        while left > 0 and not answer.world.closing.is_set():
            await response.write(b"x" * min(left, CHUNK_BYTES))
            left -= CHUNK_BYTES
            await asyncio.sleep(0)
        await response.write(tail)
    except ConnectionError:
        pass  # the client has had enough
    return response


async def _cut_off(answer: Sendable) -> web.StreamResponse:
    response = await _start(answer, **{"Content-Length": str(len(answer.body))})
    await response.write(answer.body[: len(answer.body) // 2])
    if answer.request.transport is not None:
        answer.request.transport.close()
    return response


async def _stream_error(answer: Sendable) -> web.StreamResponse:
    first = {"index": 1, "token": {"id": 3, "text": " a", "logprob": -0.5, "special": False}}
    events = [
        {**first, "generated_text": None, "details": None},
        {"error": "Request failed during generation: Server error: Out of memory", "error_type": "generation"},
    ]
    body = "".join(f"data:{compact(event)}\n\n" for event in events).encode()
    return web.Response(body=body, headers={**answer.headers, "Content-Type": EVENT_STREAM})


def _with_body(body: bytes, content_type: str = JSON) -> Callable[[Sendable], Awaitable[web.StreamResponse]]:
    async def manner(answer: Sendable) -> web.StreamResponse:
        return web.Response(body=body, headers={**answer.headers, "Content-Type": content_type})

    return manner


_MANNERS: Final[Mapping[Kind, Callable[[Sendable], Awaitable[web.StreamResponse]]]] = {
    Kind.GZIP: _gzipped,
    Kind.SLOW_BODY: _slowly,
    Kind.ENDLESS_BODY: _endlessly,
    Kind.HUGE_BODY: _hugely,
    Kind.TRUNCATED_BODY: _cut_off,
    Kind.STREAM_ERROR: _stream_error,
    Kind.INVALID_JSON: _with_body(b'[[{"label":"POSITIVE","score":0.99'),
    Kind.WRONG_CONTENT_TYPE: _with_body(b"<!doctype html><title>Hugging Face</title><p>Hello.</p>", HTML),
    Kind.INVALID_UTF8: _with_body(b'[[{"label":"POSI\xff\xfeTIVE","score":0.99}]]'),
    Kind.DEEP_NESTING: _with_body(b"[" * _DEPTH + b"]" * _DEPTH),
    Kind.EMPTY_LIST: _with_body(json.dumps([]).encode()),
    Kind.NESTED_EMPTY_LIST: _with_body(json.dumps([[]]).encode()),
}
