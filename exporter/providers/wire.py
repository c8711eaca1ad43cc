"""The one way out: send a request, return what came of it as a Reply. Never raises for the other side's faults.

A deadline over the whole exchange, a cap on the body, redirects within one origin at the most, the time of each phase,
and the token kept out of everything that is returned. It judges nothing.
"""

from __future__ import annotations

import asyncio
import contextvars
import errno
import json
import re
import ssl
import time
from dataclasses import dataclass, replace
from types import SimpleNamespace, TracebackType
from typing import Any, Final, Self
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from exporter.models import Fault, Reply, Secret, Timings

MAX_REDIRECTS: Final = 5
_USER_INFO: Final = re.compile(r"//[^/@\s]+@")
# A host is asked every few seconds when many models share it; a kept connection saves the handshake.
KEEPALIVE_S: Final = 75.0
DNS_CACHE_S: Final = 60
CHUNK_BYTES: Final = 65_536

# From the particular to the general: the first class that fits names the fault.
FAULT_OF: Final[tuple[tuple[type[Exception], Fault], ...]] = (
    (aiohttp.ClientConnectorDNSError, Fault.DNS),
    (aiohttp.ClientConnectorCertificateError, Fault.TLS),
    (aiohttp.ClientSSLError, Fault.TLS),
    (aiohttp.ServerFingerprintMismatch, Fault.TLS),
    (ssl.SSLError, Fault.TLS),
    (aiohttp.ClientConnectorError, Fault.CONNECT),
    (aiohttp.ClientPayloadError, Fault.TRUNCATED),
    (aiohttp.InvalidURL, Fault.BUG),
    (aiohttp.NonHttpUrlClientError, Fault.BUG),
    (aiohttp.ClientResponseError, Fault.PROTOCOL),
    (aiohttp.ClientError, Fault.RESET),
    (OSError, Fault.RESET),
    (ValueError, Fault.BUG),
)


@dataclass(slots=True)
class _Marks:
    """Moments of one request on `time.perf_counter`, filled in by aiohttp's tracing."""

    started: float
    dns_start: float | None = None
    dns_end: float | None = None
    connect_start: float | None = None
    tls_start: float | None = None
    connect_end: float | None = None
    sent: float | None = None
    first_byte: float | None = None
    reused: bool = False

    @property
    def connected(self) -> bool:
        return self.reused or self.connect_end is not None

    def timings(self, ended: float) -> Timings:
        dns_s = _between(self.dns_start, self.dns_end)
        tcp_end = self.tls_start or self.connect_end
        connect_s = _between(self.connect_start, tcp_end)
        if connect_s is not None and dns_s is not None:
            connect_s = max(connect_s - dns_s, 0.0)
        return Timings(
            dns_s=dns_s,
            connect_s=connect_s,
            tls_s=_between(self.tls_start, self.connect_end),
            first_byte_s=_between(self.sent, self.first_byte),
            transfer_s=_between(self.first_byte, ended),
            total_s=ended - self.started,
        )


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else max(end - start, 0.0)


_current_marks: contextvars.ContextVar[_Marks | None] = contextvars.ContextVar("current_marks", default=None)


class _TimedTLS(ssl.SSLContext):
    """Marks when the handshake begins: aiohttp's tracing tells of TCP and TLS as one."""

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        marks = _current_marks.get()
        if marks is not None and marks.tls_start is None:
            marks.tls_start = time.perf_counter()
        return super().wrap_bio(*args, **kwargs)


def client_tls() -> ssl.SSLContext:
    """Return a verifying client context with the system's authorities."""
    context = _TimedTLS(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_default_certs()
    return context


class Wire:
    """A client session with the rules of this program. Use as `async with Wire(…) as wire`.

    `use_proxy` honours HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the environment.
    """

    def __init__(
        self, *, max_body_bytes: int, user_agent: str, tls: ssl.SSLContext | None = None, use_proxy: bool = True
    ) -> None:
        self.max_body_bytes = max_body_bytes
        self._user_agent = user_agent
        self._tls = tls
        self._use_proxy = use_proxy
        self._proxies: dict[str, str] = {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # Reading the system's authorities takes tens of milliseconds of disk and CPU.
        tls = await asyncio.to_thread(client_tls) if self._tls is None else self._tls
        # How much is asked at a time is bounded by the slots of the scheduler, not by the pool.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_S, ttl_dns_cache=DNS_CACHE_S, ssl=tls)
        self._proxies = getproxies() if self._use_proxy else {}
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": self._user_agent, "Accept-Encoding": "gzip, deflate"},
            timeout=aiohttp.ClientTimeout(total=None),
            trace_configs=[_trace_config()],
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def request(
        self,
        method: str,
        url: str,
        *,
        timeout_s: float,
        json_body: Any = None,
        headers: dict[str, str] | None = None,
        token: Secret | None = None,
        follow_redirects: bool = False,
    ) -> Reply:
        """Send one request and return what came of it within `timeout_s` seconds, redirects included.

        A redirect is followed only if asked for and only to the same origin, so that the token goes nowhere else.
        """
        body = None if json_body is None else json.dumps(json_body, ensure_ascii=False).encode()
        marks = _Marks(started=time.perf_counter())
        asked = _Asked(method=method, url=url, body=body, headers=dict(headers or {}), token=token)
        try:
            target = URL(url)
        except ValueError as error:
            return asked.describe(Reply(fault=Fault.BUG, error=f"not a URL: {error}"))
        try:
            async with asyncio.timeout(timeout_s):
                reply = await self._follow(asked, target, marks, hops=MAX_REDIRECTS if follow_redirects else 0)
        except TimeoutError:
            fault = Fault.TIMEOUT if marks.connected else Fault.CONNECT_TIMEOUT
            where = "no complete answer" if marks.connected else "no connection"
            reply = Reply(fault=fault, error=f"{where} within {timeout_s:g} s", timings=marks.timings(_now()))
        return asked.describe(reply)

    async def _follow(self, asked: _Asked, url: URL, marks: _Marks, hops: int) -> Reply:
        for _ in range(hops):
            reply = await self._send(asked, url, marks)
            location = reply.headers.get("location")
            if reply.http_status not in (301, 302, 307, 308) or location is None:
                return reply
            try:
                target = url.join(URL(location))
            except ValueError:
                return reply
            if target.origin() != url.origin():
                return reply
            url = target
        return await self._send(asked, url, marks)

    async def _send(self, asked: _Asked, url: URL, marks: _Marks) -> Reply:
        reply = await self._exchange(asked, url, marks)
        if reply.fault is Fault.RESET and marks.reused and marks.first_byte is None:
            # The server closed a kept connection at the moment it was used again: that is no fault of anybody's.
            marks.reused = False
            reply = replace(await self._exchange(asked, url, marks), sends=2)
        return reply

    async def _exchange(self, asked: _Asked, url: URL, marks: _Marks) -> Reply:
        assert self._session is not None, "the wire is used within its async with"  # noqa: S101 -- our own bug
        marks.first_byte = None
        _current_marks.set(marks)
        headers = dict(asked.headers)
        if asked.body is not None:
            headers["Content-Type"] = "application/json"
        if asked.token is not None:
            headers["Authorization"] = f"Bearer {asked.token.reveal()}"
        try:
            async with self._session.request(
                asked.method,
                url,
                data=asked.body,
                headers=headers,
                allow_redirects=False,
                trace_request_ctx=marks,
                proxy=self._proxy_for(url),
            ) as response:
                marks.first_byte = _now()
                body, whole = await self._read(response)
                answer = Reply(
                    http_status=response.status,
                    headers={
                        name.lower(): value for name, value in response.headers.items() if name.lower() != "set-cookie"
                    },
                    body=body,
                    timings=marks.timings(_now()),
                )
                if whole:
                    return answer
                error = f"the body is larger than {self.max_body_bytes} bytes"
                return replace(answer, fault=Fault.TOO_LARGE, error=error)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(error, TimeoutError):
                raise
            fault = _fault_of(error)
            text = (
                f"{type(error).__name__}: {_USER_INFO.sub('//***@', str(error))}"
                if str(error)
                else type(error).__name__
            )
            return Reply(fault=fault, error=text, timings=marks.timings(_now()))

    def _proxy_for(self, url: URL) -> str | None:
        """Return the proxy that the environment names. Not by aiohttp's trust_env, which reads ~/.netrc as well.

        Its user and password go out in a header, but into no error text: see `_USER_INFO`.
        """
        proxy = self._proxies.get(url.scheme)
        return None if proxy is None or proxy_bypass(url.host or "") else proxy

    async def _read(self, response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
        """Return the body and whether it is whole; past the cap the connection is dropped, not drained."""
        parts: list[bytes] = []
        room = self.max_body_bytes
        async for chunk in response.content.iter_chunked(CHUNK_BYTES):
            parts.append(chunk[:room])
            room -= len(chunk)
            if room < 0:
                response.close()
                return b"".join(parts), False
        return b"".join(parts), True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    method: str
    url: str
    body: bytes | None
    headers: dict[str, str]
    token: Secret | None

    def describe(self, reply: Reply) -> Reply:
        """Add what was asked, and take the token out of what a server or an error may echo."""
        sent = "" if self.body is None else self.body.decode()
        reply = replace(reply, method=self.method, url=self.url, request_body=sent)
        if self.token is None:
            return reply
        secret = self.token.reveal()
        return replace(
            reply,
            body=reply.body.replace(secret.encode(), b"***"),
            error=reply.error.replace(secret, "***"),
            headers={name: value.replace(secret, "***") for name, value in reply.headers.items()},
        )


def _fault_of(error: Exception) -> Fault:
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno == errno.ECONNREFUSED:
        return Fault.REFUSED
    return next(fault for kind, fault in FAULT_OF if isinstance(error, kind))


def _now() -> float:
    return time.perf_counter()


def _trace_config() -> aiohttp.TraceConfig:
    """Let aiohttp fill in the _Marks that each request brings along."""
    config: aiohttp.TraceConfig = aiohttp.TraceConfig()

    def mark(name: str) -> Any:
        async def on_signal(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
            setattr(context.trace_request_ctx, name, _now())

        return on_signal

    async def on_reuse(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
        context.trace_request_ctx.reused = True

    config.on_dns_resolvehost_start.append(mark("dns_start"))
    config.on_dns_resolvehost_end.append(mark("dns_end"))
    config.on_connection_create_start.append(mark("connect_start"))
    config.on_connection_create_end.append(mark("connect_end"))
    config.on_connection_reuseconn.append(on_reuse)
    config.on_request_headers_sent.append(mark("sent"))
    return config
