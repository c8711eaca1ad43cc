"""The one way out, against servers on real sockets: every fault becomes a value, and the token goes nowhere else."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from aioresponses import aioresponses

from exporter.classify import retry_after_s
from exporter.models import Fault, Reply, Secret
from exporter.providers.wire import FAULT_OF, Wire, client_tls
from tests import make

TOKEN = Secret("hf_canaryCanaryCanary1234")
Raw = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with Wire(max_body_bytes=100_000, user_agent="test/1", use_proxy=False) as opened:
        yield opened


@asynccontextmanager
async def raw_server(handle: Raw) -> AsyncIterator[str]:
    """A server below HTTP, for answers that no library would send."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handle(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


def says(text: bytes) -> Raw:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(text)
        await writer.drain()

    return handle


@asynccontextmanager
async def app_server(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application(client_max_size=1 << 20)
    app.router.add_route("*", "/{tail:.*}", handler)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


async def test_an_answer_is_returned_whole_with_its_phases(wire: Wire) -> None:
    async def handler(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {TOKEN.reveal()}"
        assert request.headers["User-Agent"] == "test/1"
        assert await request.json() == {"inputs": "é"}
        return web.json_response({"ok": True}, headers={"X-Sha": "abc"})

    async with app_server(handler) as url:
        url = url.replace("127.0.0.1", "localhost")
        first = await wire.request("POST", url, timeout_s=5, json_body={"inputs": "é"}, token=TOKEN)
        second = await wire.request("POST", url, timeout_s=5, json_body={"inputs": "é"}, token=TOKEN)

    assert (first.http_status, first.body, first.headers["x-sha"], first.fault) == (200, b'{"ok": true}', "abc", None)
    assert (first.method, first.url, first.request_body) == ("POST", url, '{"inputs": "é"}')
    assert set(first.timings.phases()) == {"dns", "connect", "first_byte", "transfer"}
    assert sum(first.timings.phases().values()) <= first.timings.total_s
    assert set(second.timings.phases()) == {"first_byte", "transfer"}, "the connection is kept"


async def test_the_handshake_is_a_phase_of_its_own() -> None:
    authority = trustme.CA()
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server_tls)
    tls = client_tls()
    authority.configure_trust(tls)
    app = web.Application()
    app.router.add_get("/", _ok)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        port = unused_port()
        await web.TCPSite(runner, "localhost", port, ssl_context=server_tls).start()
        async with Wire(max_body_bytes=100, user_agent="t", tls=tls, use_proxy=False) as wire:
            reply = await wire.request("GET", f"https://localhost:{port}/", timeout_s=5)
            untrusting = Wire(max_body_bytes=100, user_agent="t", use_proxy=False)
            async with untrusting:
                refused = await untrusting.request("GET", f"https://localhost:{port}/", timeout_s=5)
    finally:
        await runner.cleanup()

    assert reply.body == b"ok"
    assert {"connect", "tls", "first_byte", "transfer"} <= set(reply.timings.phases())
    assert reply.timings.tls_s is not None
    assert reply.timings.tls_s > 0
    assert (refused.fault, refused.http_status) == (Fault.TLS, None)


async def _ok(_request: web.Request) -> web.Response:
    return web.Response(text="ok")


GONE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
RAW_CASES = {
    "closed without a word": (says(b""), Fault.RESET),
    "not HTTP": (says(b"220 smtp.example ESMTP\r\n\r\n"), Fault.PROTOCOL),
    "a header without end": (says(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000), Fault.PROTOCOL),
    "a body cut short": (says(GONE + b"Content-Length: 100\r\n\r\n[[{"), Fault.TRUNCATED),
    "a chunk that is none": (says(GONE + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"), Fault.PROTOCOL),
    "gzip that is none": (says(GONE + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd"), Fault.TRUNCATED),
}


@pytest.mark.parametrize(("handle", "fault"), RAW_CASES.values(), ids=RAW_CASES.keys())
async def test_a_broken_answer_is_a_fault(handle: Raw, fault: Fault, wire: Wire) -> None:
    async with raw_server(handle) as url:
        reply = await wire.request("POST", url, timeout_s=5, json_body={}, token=TOKEN)
    assert reply.fault is fault, reply.error
    assert reply.error
    assert reply.timings.total_s > 0


async def test_nobody_listens(wire: Wire) -> None:
    reply = await wire.request("GET", f"http://127.0.0.1:{unused_port()}/", timeout_s=5)
    assert reply.fault is Fault.REFUSED


@pytest.mark.parametrize("url", ["http://", "mailto:x", "http://\ud800/", "http://[::1/"])
async def test_a_url_that_is_none_is_a_bug_of_ours_and_no_exception(url: str, wire: Wire) -> None:
    reply = await wire.request("GET", url, timeout_s=5)
    assert reply.fault is Fault.BUG


async def test_a_host_that_hangs_before_it_answers(wire: Wire) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(hang) as url:
        reply = await wire.request("POST", url, timeout_s=0.05, json_body={})
    assert (reply.fault, reply.http_status) == (Fault.TIMEOUT, None)
    assert "0.05 s" in reply.error


async def test_a_body_that_drips_is_cut_by_the_deadline(wire: Wire) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(GONE + b"Content-Length: 1000\r\n\r\n[")
        await writer.drain()
        await reader.read()

    async with raw_server(drip) as url:
        reply = await wire.request("POST", url, timeout_s=0.05, json_body={})
    assert reply.fault is Fault.TIMEOUT


async def test_a_connection_that_is_never_made_is_told_from_an_answer_that_never_comes(wire: Wire) -> None:
    # A handshake that nobody answers: connected below TLS, so no connection to send anything over.
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(hang) as url:
        reply = await wire.request("GET", url.replace("http:", "https:"), timeout_s=0.05)
    assert reply.fault is Fault.CONNECT_TIMEOUT


async def test_a_body_of_a_hundred_megabytes_costs_no_more_than_the_cap(wire: Wire) -> None:
    sent = 0

    async def huge(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Length": str(100_000_000)})
        await response.prepare(request)
        try:
            while sent < 100_000_000:
                await response.write(b"x" * 100_000)
                sent += 100_000
        except ConnectionError:
            pass
        return response

    async with app_server(huge) as url:
        reply = await wire.request("GET", url, timeout_s=10)
    assert (reply.fault, reply.http_status, len(reply.body)) == (Fault.TOO_LARGE, 200, 100_000)
    assert sent < 20_000_000


async def test_an_endless_body_ends_at_the_cap(wire: Wire) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(GONE + b"Transfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
                await writer.drain()
        except ConnectionError:
            pass

    async with raw_server(endless) as url:
        reply = await wire.request("GET", url, timeout_s=10)
    assert (reply.fault, len(reply.body)) == (Fault.TOO_LARGE, 100_000)


async def test_a_gzip_bomb_ends_at_the_cap_of_what_it_becomes(wire: Wire) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    async with app_server(handler) as url:
        reply = await wire.request("GET", url, timeout_s=10)
    assert (reply.fault, len(reply.body)) == (Fault.TOO_LARGE, 100_000)


async def test_a_kept_connection_that_the_server_closed_is_asked_once_more(wire: Wire) -> None:
    asked = 0

    async def one_answer_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await reader.readuntil(b"\r\n\r\n")
        asked += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        # Close only when the next request is on its way: the client has no chance to notice before.
        await reader.readuntil(b"\r\n\r\n")
        asked += 1

    async with raw_server(one_answer_each) as url:
        first = await wire.request("POST", url, timeout_s=5, json_body={})
        second = await wire.request("POST", url, timeout_s=5, json_body={})
    assert (first.body, second.body, asked) == (b"ok", b"ok", 3)


async def test_a_redirect_is_followed_within_the_origin_if_asked_for(wire: Wire) -> None:
    async def handler(request: web.Request) -> web.Response:
        if request.path == "/new":
            assert "Authorization" in request.headers
            return web.Response(text="here")
        return web.Response(status=307, headers={"Location": "/new"})

    async with app_server(handler) as url:
        followed = await wire.request("GET", url + "old", timeout_s=5, token=TOKEN, follow_redirects=True)
        left = await wire.request("GET", url + "old", timeout_s=5, token=TOKEN)
    assert (followed.http_status, followed.body) == (200, b"here")
    assert left.http_status == 307


@pytest.mark.parametrize(
    "location", ["http://localhost:{port}/steal", "//other.example/", "https://127.0.0.1/", "http://["]
)
async def test_a_redirect_to_another_origin_is_not_followed_so_that_the_token_stays(location: str, wire: Wire) -> None:
    reached = []

    async def handler(request: web.Request) -> web.Response:
        reached.append(request.path)
        return web.Response(status=307, headers={"Location": location.format(port=request.url.port)})

    async with app_server(handler) as url:
        reply = await wire.request("GET", url, timeout_s=5, token=TOKEN, follow_redirects=True)
    assert (reply.http_status, reached) == (307, ["/"])


async def test_redirects_in_a_circle_end(wire: Wire) -> None:
    asked = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(status=302, headers={"Location": "/"})

    async with app_server(handler) as url:
        reply = await wire.request("GET", url, timeout_s=5, follow_redirects=True)
    assert (reply.http_status, asked) == (302, 6)


async def test_a_server_that_echoes_the_token_does_not_bring_it_in(wire: Wire) -> None:
    async def handler(request: web.Request) -> web.Response:
        header = request.headers["Authorization"]
        return web.Response(text=f"you sent {header}", headers={"X-Echo": header, "set-cookie": "a=b"})

    async with app_server(handler) as url:
        reply = await wire.request("GET", url, timeout_s=5, token=TOKEN)
    assert reply.body == b"you sent Bearer ***"
    assert TOKEN.reveal() not in repr(reply)
    assert "set-cookie" not in reply.headers


async def test_every_error_of_the_client_library_has_a_fault_of_its_own(wire: Wire) -> None:
    key = aiohttp.client_reqrep.ConnectionKey("h", 80, False, True, None, None, None)
    os_error = OSError(1, "no")
    errors: dict[Exception, Fault] = {
        aiohttp.ClientConnectorDNSError(key, os_error): Fault.DNS,
        aiohttp.ClientConnectorError(key, os_error): Fault.CONNECT,
        aiohttp.ClientConnectorSSLError(key, os_error): Fault.TLS,
        aiohttp.ServerDisconnectedError(): Fault.RESET,
        aiohttp.ClientOSError(104, "reset"): Fault.RESET,
        ConnectionResetError(): Fault.RESET,
        aiohttp.ClientPayloadError("cut"): Fault.TRUNCATED,
        aiohttp.InvalidURL("x"): Fault.BUG,
        ValueError("x"): Fault.BUG,
    }
    for error, fault in errors.items():
        with aioresponses() as mocked:
            mocked.post("http://h/", exception=error)
            reply = await wire.request("POST", "http://h/", timeout_s=5, json_body={})
        assert reply.fault is fault, error
    with aioresponses() as mocked:
        mocked.post("http://h/", exception=TimeoutError())
        assert (await wire.request("POST", "http://h/", timeout_s=5)).fault is Fault.CONNECT_TIMEOUT
    assert issubclass(aiohttp.ClientError, tuple(kind for kind, _ in FAULT_OF))


async def test_a_bug_in_what_is_asked_is_not_hidden(wire: Wire) -> None:
    with pytest.raises(TypeError):
        await wire.request("POST", "http://127.0.0.1/", timeout_s=5, json_body={"x": object()})


def test_a_reply_shows_no_secret_and_says_nothing_by_default() -> None:
    assert repr(TOKEN) == str(TOKEN) == f"{TOKEN}" == "Secret('***')"
    assert Reply().fault is None


async def test_the_password_of_a_proxy_is_in_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with raw_server(refuse) as url:
        monkeypatch.setenv("https_proxy", url.replace("//", "//bob:s3cretpw@"))
        monkeypatch.setenv("no_proxy", "")
        async with Wire(max_body_bytes=1000, user_agent="t") as wire:
            reply = await wire.request("GET", "https://host.invalid/", timeout_s=5)
    assert reply.fault is not None
    assert "407" in reply.error
    assert "s3cretpw" not in repr(reply)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120.0), ("Sun, 01 Mar 2026 12:01:00 GMT", 60.0), ("soon", None), ("", None), ("9" * 20, None)],
)
def test_retry_after_is_read_in_seconds_and_as_a_date(header: str, seconds: float | None) -> None:
    assert retry_after_s(Reply(headers={"retry-after": header}), make.NOW) == seconds
