"""What is answered to a request that cannot be answered: JSON, a code, and nothing of the inside."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import structlog

from exporter.web.dispatch import dispatch
from exporter.web.http import Request
from exporter.web.webconfig import WebConfig

API = "/api/ai-models"
PASSES = WebConfig()


@pytest.mark.parametrize(
    ("path", "http_status", "code"),
    [
        ("/nothing", 404, "not_found"),
        ("/api", 404, "not_found"),
        (f"{API}", 404, "not_found"),
        (f"{API}/", 404, "not_found"),
        (f"{API}/models/", 200, ""),
        (f"{API}/scans", 404, "not_found"),
        ("//metrics", 404, "not_found"),
        ("/metrics/", 200, ""),
        ("/metrics//", 404, "not_found"),
        ("/m%65trics", 200, ""),
        ("/-/", 404, "not_found"),
        (f"{API}/models/%zz/history", 400, "bad_url"),
        (f"{API}/models/%", 400, "bad_url"),
        (f"{API}/models/%f", 400, "bad_url"),
        (f"{API}/models/%ff", 400, "bad_url"),
        (f"{API}/models/%c0%af/stats", 400, "bad_url"),
        (f"{API}/models/%ed%a0%80", 400, "bad_url"),
        (f"{API}/models?status=%ff", 400, "bad_url"),
        (f"{API}/models?%zz", 400, "bad_url"),
        (f"{API}/models?&&=&limit=1&", 200, ""),
        ("/%00", 404, "not_found"),
    ],
)
async def test_a_bad_url_is_refused_and_never_a_bug(own: Any, path: str, http_status: int, code: str) -> None:
    answer = await own(path)
    assert answer.status == http_status
    if code:
        assert answer.code == code
        assert answer.headers["content-type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", f"{API}/models", "GET, HEAD"),
        ("DELETE", f"{API}/models/gpt2", "GET, HEAD"),
        ("PUT", f"{API}/models/a/b/history", "GET, HEAD"),
        ("DELETE", f"{API}/scan", "GET, POST, HEAD"),
        ("GET", f"{API}/agent/start", "POST"),
        ("HEAD", f"{API}/agent/stop", "POST"),
        ("GET", "/-/reload", "POST"),
        ("OPTIONS", "/metrics", "GET, HEAD"),
        ("POST", "/", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_is_told_which_are_right(ask: Any, method: str, path: str, allow: str) -> None:
    answer = await ask(path, method)
    if path == "/" and answer.status == 404:
        return  # another application keeps its own page
    assert (answer.status, answer.headers["allow"]) == (405, allow)
    if method != "HEAD":
        assert answer.code == "method_not_allowed"


@pytest.mark.parametrize("path", [f"{API}/models", f"{API}/health", "/metrics", "/", f"{API}/models/a/b"])
async def test_head_answers_what_get_answers_without_the_body(ask: Any, path: str) -> None:
    got, head = await ask(path), await ask(path, "HEAD")
    assert head.body == b""
    assert head.status == got.status
    assert head.headers.get("content-length") == got.headers.get("content-length")
    assert head.headers.get("content-type") == got.headers.get("content-type")


@pytest.mark.parametrize(
    "path",
    [
        "/models",
        "/models/available",
        "/models/gpt2",
        "/models/gpt2/history",
        "/models/gpt2/stats",
        "/dashboard",
        "/models/gpt2/events",
        "/incidents",
    ],
)
async def test_a_database_that_does_not_answer_is_a_503_without_its_path(
    ask: Any, backend: Any, logged: list[Any], path: str
) -> None:
    backend.store.broken = True
    answer = await ask(f"{API}{path}")
    assert (answer.status, answer.code) == (503, "storage")
    assert b"/secret" not in answer.body
    assert [(event["event"], event["log_level"]) for event in logged] == [("storage_unavailable", "warning")]


@pytest.mark.parametrize(
    "path", ["/metrics", f"{API}/health", f"{API}/resolve?model=gpt2", f"{API}/budget", f"{API}/agent/status"]
)
async def test_what_is_told_from_memory_does_not_need_the_database(own: Any, backend: Any, path: str) -> None:
    backend.store.broken = True
    assert (await own(path)).status == 200
    assert backend.store.asked == []


async def test_a_bug_is_logged_and_answered_without_a_trace(ask: Any, backend: Any, logged: list[Any]) -> None:
    backend.monitor.bug = RuntimeError("the secret inside")
    answer = await ask("/probe?model=gpt2")
    assert (answer.status, answer.code) == (500, "internal")
    assert b"inside" not in answer.body
    assert b"Traceback" not in answer.body
    (event,) = logged
    assert (event["event"], event["log_level"], event["path"]) == ("request_failed", "error", "/probe")
    assert event["traceback"].endswith("RuntimeError: the secret inside\n")


async def test_a_bug_is_logged_without_the_local_variables_of_its_traceback(
    own: Any, backend: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check(model_id: str, trace: Any = None) -> None:
        token = "hf_" + "x" * 20
        raise RuntimeError(len(token))

    structlog.reset_defaults()
    monkeypatch.setattr(backend.monitor, "check", check)
    assert (await own("/probe?model=gpt2")).status == 500
    shown = capsys.readouterr().out
    assert "RuntimeError" in shown
    assert "hf_xxx" not in shown


async def test_a_cancelled_request_is_not_taken_for_a_bug(backend: Any, logged: list[Any]) -> None:
    backend.monitor.bug = asyncio.CancelledError()
    request = Request(
        method="GET", path="/probe", query_string="model=gpt2", remote="127.0.0.1", headers={"host": "localhost"}
    )
    with pytest.raises(asyncio.CancelledError):
        await dispatch(backend, PASSES, request)
    assert logged == []


async def test_before_the_service_is_open_the_answer_is_503() -> None:
    response = await dispatch(None, PASSES, Request(method="GET", path="/metrics"))
    assert response.status == 503
    assert b"not_ready" in response.body


async def test_every_answer_forbids_sniffing_and_keeping(ask: Any) -> None:
    for path in (f"{API}/models", "/metrics", "/config", f"{API}/models/a/b", "/-/healthy"):
        answer = await ask(path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


async def first_line(port: int, head: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head)
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return line


async def test_a_body_is_never_waited_for(own: Any) -> None:
    head = f"POST {API}/agent/stop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n"
    assert (await first_line(own.port, head.encode())).startswith(b"HTTP/1.1 200 ")


async def test_the_versions_of_what_serves_are_not_told(own: Any) -> None:
    assert (await own("/metrics")).headers["server"] == "ai-model-exporter"


async def test_a_request_in_absolute_form_is_answered(own: Any) -> None:
    head = b"GET http://elsewhere/-/healthy?x=1 HTTP/1.1\r\nHost: elsewhere\r\nConnection: close\r\n\r\n"
    assert (await first_line(own.port, head)).startswith(b"HTTP/1.1 200 ")
