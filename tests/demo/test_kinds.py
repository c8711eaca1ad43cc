"""Every kind of behaviour, over a real socket: status, type and body. The last test asserts that none is left out."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from exporter.demo import Kind, Scenario, StandIn
from tests.demo.conftest import PAYLOADS, Bench, Got
from tests.fakes import FakeClock

DEEP = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    status: int
    check: Callable[[Got], bool]
    content_type: str = "application/json"
    parameters: dict[str, Any] = field(default_factory=dict)


def error(text: str, **more: Any) -> Callable[[Got], bool]:
    return lambda got: got.json == {"error": text, **more}


def top(got: Got) -> tuple[str, float]:
    best = got.json[0][0]
    return best["label"], best["score"]


def scores(got: Got) -> list[float]:
    return [row["score"] for row in got.json[0]]


def is_not_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return True
    return False


def repeats_itself(text: str) -> bool:
    words = text.split()
    return len(words) > 30 and len(set(words)) / len(words) < 0.4


SUMMARY = {"task": "summarization"}
WELL = Row(status=200, check=lambda got: top(got)[0] == "POSITIVE" and top(got)[1] > 0.9)

ANSWERS: dict[Kind, Row] = {
    Kind.IDLE_UNLOAD: WELL,
    Kind.WARM: WELL,
    Kind.GZIP: Row(
        status=200, check=lambda got: WELL.check(got) and got.headers["Content-Encoding"] == "gzip"
    ),  # the client decodes it
    Kind.LEGACY_COLD: Row(
        status=503,
        check=error("Model org/model is currently loading", estimated_time=12.5),
        parameters={"load_s": 12.5},
    ),
    Kind.LOADING: Row(
        status=503, check=error("Model org/model is currently loading", estimated_time=20.0), parameters={"load_s": 20}
    ),
    Kind.NOT_SERVED: Row(status=400, check=error("Model not supported by provider hf-inference")),
    Kind.UNSUPPORTED: Row(status=400, check=error("Model not supported by provider hf-inference")),
    Kind.DEPRECATED: Row(
        status=410, check=error("The requested model is deprecated and no longer supported by provider hf-inference")
    ),
    Kind.GATED: Row(
        status=403,
        check=lambda got: "org/model is restricted" in got.json["error"] and got.headers["X-Error-Code"] == "GatedRepo",
    ),
    Kind.DISABLED: Row(
        status=403, check=lambda got: got.headers["X-Error-Message"] == "Access to this resource is disabled."
    ),
    Kind.MISSING: Row(status=404, check=error("Model org/model does not exist")),
    Kind.RENAMED: Row(
        status=404, check=error("Model org/model does not exist"), parameters={"renamed_to": "org/other"}
    ),
    Kind.OVERLOADED: Row(status=503, check=error("Service temporarily unavailable, overload detected")),
    Kind.TGI_OVERLOADED: Row(status=429, check=error("Model is overloaded", error_type="overloaded")),
    Kind.RATE_LIMITED: Row(
        status=429,
        check=lambda got: got.json["error"].startswith("Rate limit reached.") and "Retry-After" not in got.headers,
    ),
    Kind.SERVER_ERROR: Row(status=500, check=error("unknown error")),
    Kind.BAD_GATEWAY: Row(status=502, check=lambda got: "502 Bad Gateway" in got.text, content_type="text/html"),
    Kind.GATEWAY_TIMEOUT: Row(
        status=504, check=lambda got: "504 Gateway Time-out" in got.text, content_type="text/html"
    ),
    Kind.UNAVAILABLE: Row(
        status=503, check=lambda got: got.text == "Service Temporarily Unavailable", content_type="text/plain"
    ),
    Kind.MODEL_ERROR: Row(status=400, check=error("Could not load model org/model with any of the following classes.")),
    Kind.GENERATION_ERROR: Row(status=424, check=lambda got: got.json["error_type"] == "generation"),
    Kind.VALIDATION_ERROR: Row(
        status=422,
        check=error(
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 1512."
            " Given: 2 `inputs` tokens and 10000 `max_new_tokens`",
            error_type="validation",
        ),
    ),
    Kind.TEMPLATE_ERROR: Row(
        status=422, check=error("Template error: template not found", error_type="template_error")
    ),
    Kind.NO_CONTENT: Row(status=204, check=lambda got: got.body == b""),
    Kind.SLOW_BODY: WELL,
    Kind.HUGE_BODY: Row(
        status=200,
        check=lambda got: len(got.body) == 300_000 and got.json[0]["summary_text"].startswith("xxx"),
        parameters={"size_bytes": 300_000},
    ),
    Kind.INVALID_JSON: Row(status=200, check=lambda got: is_not_json(got.body)),
    Kind.WRONG_CONTENT_TYPE: Row(
        status=200, check=lambda got: got.text.startswith("<!doctype html>"), content_type="text/html"
    ),
    Kind.INVALID_UTF8: Row(status=200, check=lambda got: b"\xff\xfe" in got.body),
    Kind.DEEP_NESTING: Row(status=200, check=lambda got: got.body == b"[" * DEEP + b"]" * DEEP),
    Kind.STREAM_ERROR: Row(
        status=200,
        check=lambda got: json.loads(got.text.split("\n\n")[1].removeprefix("data:"))["error_type"] == "generation",
        content_type="text/event-stream",
    ),
    Kind.EMPTY_LIST: Row(status=200, check=lambda got: got.body == b"[]"),
    Kind.NESTED_EMPTY_LIST: Row(status=200, check=lambda got: got.body == b"[[]]"),
    Kind.EMPTY_TEXT: Row(status=200, check=lambda got: got.json == [{"summary_text": ""}], parameters=SUMMARY),
    Kind.GARBAGE: Row(status=200, check=lambda got: repeats_itself(got.json[0]["summary_text"]), parameters=SUMMARY),
    Kind.NAN_SCORES: Row(
        status=200, check=lambda got: b"NaN" in got.body and all(math.isnan(score) for score in scores(got))
    ),
    Kind.UNNORMALISED_SCORES: Row(status=200, check=lambda got: sum(scores(got)) == pytest.approx(0.6)),
    Kind.SCORE_OUT_OF_RANGE: Row(status=200, check=lambda got: scores(got) == [1.7, -0.7]),
    Kind.LABELS_RENAMED: Row(status=200, check=lambda got: top(got)[0] == "LABEL_0"),
    Kind.SCORE_DRIFT: Row(
        status=200,
        check=lambda got: (
            top(got) == ("POSITIVE", pytest.approx(0.8, abs=0.01)) and sum(scores(got)) == pytest.approx(1)
        ),
        parameters={"drift": 0.4},
    ),
    Kind.FLIPPED: Row(status=200, check=lambda got: top(got)[0] == "NEGATIVE" and top(got)[1] > 0.9),
}


@pytest.mark.parametrize(("kind", "row"), ANSWERS.items(), ids=[kind.value for kind in ANSWERS])
async def test_a_kind_gives_its_status_and_body(bench: Bench, kind: Kind, row: Row) -> None:
    bench.play(kind, **row.parameters)
    got = await bench.ask(PAYLOADS[row.parameters.get("task", "text-classification")])
    assert got.status == row.status
    assert row.status == 204 or got.content_type == row.content_type
    assert row.check(got), got.body[:300]


async def is_cut_off(bench: Bench) -> None:
    with pytest.raises(aiohttp.ClientPayloadError):
        await bench.ask()


async def is_reset(bench: Bench) -> None:
    with pytest.raises(aiohttp.ClientOSError, match="reset"):
        await bench.ask()


async def is_silent_until_it_closes(bench: Bench) -> None:
    with pytest.raises(TimeoutError):
        await bench.ask(timeout=aiohttp.ClientTimeout(total=0.05))


async def goes_on_for_ever(bench: Bench) -> None:
    read = 0
    async with bench.session.post(
        f"{bench.base}/hf-inference/models/org/model", json={"inputs": "x"}, headers={"Authorization": "Bearer hf_demo"}
    ) as response:
        async for chunk in response.content.iter_any():
            read += len(chunk)
            if read > 3_000_000:
                break
    assert read > 3_000_000


CONNECTIONS = {
    Kind.TRUNCATED_BODY: is_cut_off,
    Kind.RESET: is_reset,
    Kind.HANG: is_silent_until_it_closes,
    Kind.ENDLESS_BODY: goes_on_for_ever,
}


@pytest.mark.parametrize(("kind", "check"), CONNECTIONS.items(), ids=[kind.value for kind in CONNECTIONS])
async def test_a_kind_breaks_the_connection_in_its_way(bench: Bench, kind: Kind, check: Any) -> None:
    bench.play(kind)
    await check(bench)
    bench.play(Kind.WARM)
    assert (await bench.ask()).status == 200  # and the stand-in is still there


async def test_a_huge_body_is_left_when_the_client_leaves(bench: Bench) -> None:
    bench.play(Kind.HUGE_BODY, size_bytes=2_000_000_000)
    async with bench.session.post(
        f"{bench.base}/hf-inference/models/org/model", json={"inputs": "x"}, headers={"Authorization": "Bearer hf_demo"}
    ) as response:
        assert len(await response.content.readexactly(100_000)) == 100_000
    bench.play(Kind.WARM)
    assert (await bench.ask()).status == 200


@pytest.mark.parametrize("kind", [Kind.ENDLESS_BODY, Kind.HUGE_BODY], ids=str)
async def test_a_server_that_cancels_no_handler_stops_sending_too(kind: Kind, caplog: pytest.LogCaptureFixture) -> None:
    scenario = Scenario(kind=kind, size_bytes=2_000_000_000)
    runner = web.AppRunner(StandIn(clock=FakeClock(auto=True), scenarios={"org/model": scenario}).app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/hf-inference/models/org/model"
    async with asyncio.timeout(5), aiohttp.ClientSession(headers={"Authorization": "Bearer hf_demo"}) as session:
        response = await session.post(url, json={"inputs": "x"})
        await response.content.readexactly(100_000)
        response.close()
        await runner.cleanup()
    assert not caplog.records


async def test_a_slow_body_takes_its_time(bench: Bench) -> None:
    bench.stand_in.time_factor = 1.0
    bench.play(Kind.SLOW_BODY, delay_s=8.0)
    before = bench.clock.monotonic()
    assert (await bench.ask()).status == 200
    assert 8.0 < bench.clock.monotonic() - before < 9.0


async def test_a_gateway_timeout_comes_after_its_delay(bench: Bench) -> None:
    bench.stand_in.time_factor = 1.0
    bench.play(Kind.GATEWAY_TIMEOUT)
    before = bench.clock.monotonic()
    assert (await bench.ask()).status == 504
    assert 30.0 < bench.clock.monotonic() - before < 31.0


@pytest.mark.parametrize(
    ("parameters", "header"),
    [
        pytest.param({}, None, id="without"),
        pytest.param({"retry_after_s": 7}, "7", id="in seconds"),
        pytest.param(
            {"retry_after_s": 90, "retry_after_date": True}, "Thu, 01 Jan 2026 00:01:30 GMT", id="as an HTTP-date"
        ),
    ],
)
async def test_retry_after_is_sent_as_asked_for(bench: Bench, parameters: dict[str, Any], header: str | None) -> None:
    bench.play(Kind.RATE_LIMITED, **parameters)
    assert (await bench.ask()).headers.get("Retry-After") == header


@pytest.mark.parametrize("kind", [Kind.FLIPPED, Kind.SCORE_OUT_OF_RANGE, Kind.NAN_SCORES], ids=str)
async def test_scores_of_zero_shot_are_bent_too(bench: Bench, kind: Kind) -> None:
    bench.play(kind, task="zero-shot-classification")
    best = (await bench.ask(PAYLOADS["zero-shot-classification"])).json[0]
    if kind is Kind.FLIPPED:
        assert best["label"] == "sports"
    else:
        assert not 0 <= best["score"] <= 1


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [(Kind.EMPTY_TEXT, ""), (Kind.GARBAGE, None)],
    ids=["empty", "garbage"],
)
async def test_texts_and_labels_are_bent_in_every_task(bench: Bench, kind: Kind, wanted: str | None) -> None:
    bench.play(kind, task="text-generation")
    text = (await bench.ask(PAYLOADS["text-generation"])).json[0]["generated_text"]
    bench.play(kind)
    label = (await bench.ask()).json[0][0]["label"]
    if wanted is None:
        assert repeats_itself(text)
        assert repeats_itself(label)
    else:
        assert (text, label) == (wanted, wanted)


def test_every_kind_has_its_row() -> None:
    assert ANSWERS.keys() | CONNECTIONS.keys() == set(Kind)
    assert not ANSWERS.keys() & CONNECTIONS.keys()
