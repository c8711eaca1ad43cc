"""Who may ask, under which addresses, what it costs in time, and what the headers tell."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import aiohttp
import pytest
import trustme

from exporter.demo import DEPLETED_TOKEN, NO_SCOPE_TOKEN, Kind, Scenario, StandIn
from tests.demo.conftest import MODEL, PAYLOADS, Bench
from tests.fakes import FakeClock

TOKENS = {
    "none": (None, 401, "Invalid username or password."),
    "unknown": ("hf_other", 401, "Invalid credentials in Authorization header"),
    "without the scope": (NO_SCOPE_TOKEN, 403, "This authentication method does not have sufficient permissions"),
    "without credits": (DEPLETED_TOKEN, 402, "You have depleted your monthly included credits."),
}


@pytest.mark.parametrize(("token", "status", "text"), TOKENS.values(), ids=TOKENS.keys())
async def test_a_token_that_may_not_ask_is_refused(bench: Bench, token: str | None, status: int, text: str) -> None:
    got = await bench.ask(token=token)
    assert got.status == status
    assert got.json["error"].startswith(text)
    assert ("WWW-Authenticate" in got.headers) is (token == "hf_other")


async def test_another_scheme_is_an_invalid_token(bench: Bench) -> None:
    assert (await bench.ask(token=None, headers={"Authorization": "Basic aGZfZGVtbw=="})).status == 401


async def test_the_account_is_depleted_after_its_credits(bench: Bench) -> None:
    bench.stand_in.credit_requests = 2
    assert [(await bench.ask()).status for _ in range(3)] == [200, 200, 402]


@pytest.mark.parametrize("model", ["org/model", "org%2Fmodel", "org%2fmodel"], ids=["raw", "encoded", "lower"])
async def test_an_id_with_a_slash_may_be_encoded(bench: Bench, model: str) -> None:
    async with bench.session.post(
        aiohttp.client.URL(f"{bench.base}/hf-inference/models/{model}", encoded=True),
        json=PAYLOADS["text-classification"],
        headers={"Authorization": "Bearer hf_demo"},
    ) as response:
        assert response.status == 200
    assert bench.stand_in.requests == {("inference", "org/model"): 1}


async def test_a_legacy_id_and_its_canonical_one_are_the_same_model(bench: Bench) -> None:
    bench.stand_in.set("gpt2", Scenario(kind=Kind.WARM, task="text-generation"))
    legacy = await bench.ask(PAYLOADS["text-generation"], model="gpt2")
    current = await bench.ask(PAYLOADS["text-generation"], model="openai-community/gpt2")
    assert legacy.status == 200
    assert legacy.json == current.json
    assert bench.stand_in.scenarios.keys() == {"org/model", "openai-community/gpt2"}
    assert bench.stand_in.requests == {("inference", "gpt2"): 1, ("inference", "openai-community/gpt2"): 1}


NO_ROUTES = {
    "the bare router": ("GET", "/hf-inference"),
    "embeddings": ("POST", "/v1/embeddings"),
    "responses": ("POST", "/v1/responses"),
    "a GET of a model": ("GET", "/hf-inference/models/org/model"),
    "three segments": ("POST", "/hf-inference/models/a/b/c"),
    "another provider": ("POST", "/together/v1/chat/completions"),
    "a path of the hub": ("GET", "/api/datasets"),
    "the root": ("GET", "/"),
}


@pytest.mark.parametrize(("method", "path"), NO_ROUTES.values(), ids=NO_ROUTES.keys())
async def test_any_other_route_is_a_plain_404(bench: Bench, method: str, path: str) -> None:
    got = await bench.request(method, path)
    assert (got.status, got.content_type, got.text) == (404, "text/plain", "Not Found")
    assert bench.stand_in.requests == {("other", ""): 1}


async def test_the_old_pipeline_route_is_not_supported(bench: Bench) -> None:
    got = await bench.request("POST", "/hf-inference/pipeline/feature-extraction/org/model", json={"inputs": "x"})
    assert (got.status, got.json) == (400, {"error": "Model not supported by provider hf-inference"})


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("where", ["path", "host"])
async def test_the_retired_host_is_gone_on_every_method(bench: Bench, method: str, where: str) -> None:
    path = "/legacy/models/org/model" if where == "path" else "/models/org/model"
    headers = {"Host": "api-inference.huggingface.co"} if where == "host" else {}
    got = await bench.request(method, path, headers=headers)
    assert got.status == 410
    assert got.json["error"] == (
        "https://api-inference.huggingface.co is no longer supported. Please use https://router.huggingface.co instead."
    )
    assert bench.stand_in.requests == {("other", ""): 1}


UNIFIED = {
    "plain": ("org/model", 200, None),
    "a policy": ("org/model:fastest", 200, None),
    "the provider": ("org/model:hf-inference", 200, None),
    "another provider": ("org/model:together", 400, "model_not_supported"),
    "unknown": ("org/none", 400, "model_not_found"),
    "nothing": (None, 400, "model_not_found"),
}


@pytest.mark.parametrize(("model", "status", "code"), UNIFIED.values(), ids=UNIFIED.keys())
async def test_the_unified_chat_route_picks_the_model(
    bench: Bench, model: str | None, status: int, code: str | None
) -> None:
    bench.play(task="text-generation")
    payload = {"model": model, "messages": [{"role": "user", "content": "Hello?"}]}
    got = await bench.request("POST", "/v1/chat/completions", json=payload)
    assert got.status == status
    assert got.headers["x-inference-provider"] == "hf-inference"
    if code:
        assert got.json["error"]["code"] == code
    assert bench.stand_in.requests == {("inference", (model or "").partition(":")[0]): 1}


async def test_the_unified_chat_route_says_when_nobody_serves_the_model(bench: Bench) -> None:
    bench.play(Kind.NOT_SERVED, task="text-generation")
    got = await bench.request("POST", "/v1/chat/completions", json={"model": MODEL, "messages": []})
    assert (got.status, got.json["error"]["code"]) == (400, "model_not_supported")


async def test_a_unified_chat_that_is_not_json_names_no_model(bench: Bench) -> None:
    got = await bench.request("POST", "/v1/chat/completions", data=b"{")
    assert got.status == 400
    assert bench.stand_in.requests == {("inference", ""): 1}


async def test_the_chat_models_are_listed_with_their_providers(bench: Bench) -> None:
    bench.stand_in.set("a/chat", Scenario(task="text-generation"))
    bench.stand_in.set("a/unserved", Scenario(task="text-generation", kind=Kind.NOT_SERVED))
    [listed] = (await bench.request("GET", "/v1/models")).json["data"]
    assert listed["id"] == "a/chat"
    assert listed["providers"][0]["provider"] == "hf-inference"
    assert (await bench.request("GET", "/v1/models/a/chat")).json["data"] == listed
    missing = await bench.request("GET", "/v1/models/a/unserved")
    assert (missing.status, missing.json["error"]["code"]) == (400, "model_not_found")


HEADERS = {"x-compute-type", "x-compute-time", "x-compute-characters", "x-inference-id", "x-request-id", "x-sha"}


async def test_an_answer_carries_the_compute_headers(bench: Bench) -> None:
    bench.stand_in.time_factor = 1.0
    got = await bench.ask({"inputs": "I like you"}, headers={"X-Request-Id": "mine"})
    assert {name.lower() for name in got.headers} >= HEADERS
    assert got.headers["x-compute-type"] == "cpu"
    assert got.headers["x-compute-characters"] == "10"
    assert float(got.headers["x-compute-time"]) == pytest.approx(0.016, rel=0.2)
    assert got.headers["x-request-id"] == "mine"
    assert len(got.headers["x-sha"]) == 40


async def test_a_generation_carries_the_token_headers(bench: Bench) -> None:
    bench.stand_in.time_factor = 1.0
    bench.play(task="text-generation")
    headers = (await bench.ask(PAYLOADS["text-generation"])).headers
    assert headers["x-generated-tokens"] == "20"
    assert headers["x-prompt-tokens"] == "5"
    assert float(headers["x-time-per-token"]) == pytest.approx(20, rel=0.2)


async def test_the_optional_headers_can_be_left_out(bench: Bench) -> None:
    bench.stand_in.headers = False
    for got in (await bench.ask(), await bench.ask(token=None)):
        assert not {name.lower() for name in got.headers} & (HEADERS | {"x-powered-by"})


async def test_the_served_commit_may_lag_behind_the_hubs(bench: Bench) -> None:
    async def commits() -> tuple[str, str]:
        return (await bench.hub(f"models/{MODEL}")).json["sha"], (await bench.ask()).headers["x-sha"]

    bench.play(revision=1)
    hub, served = await commits()
    assert hub == served
    bench.play(revision=2, served_revision=1)
    newer, same = await commits()
    assert (newer != hub, same == served) == (True, True)
    bench.play(revision=2)
    assert await commits() == (newer, newer)


async def test_an_identical_question_comes_from_the_cache_unless_refused(bench: Bench) -> None:
    async def kind_of(**more: Any) -> str:
        return str((await bench.ask(**more)).headers["x-compute-type"])

    refused = {**PAYLOADS["text-classification"], "options": {"use_cache": False}}
    assert await kind_of(headers={"X-Use-Cache": "false"}) == "cpu"
    assert await kind_of() == "cache"
    assert await kind_of(payload={"inputs": "another"}) == "cpu"
    assert await kind_of(headers={"X-Use-Cache": "false"}) == "cpu"
    assert [await kind_of(payload=refused) for _ in range(2)] == ["cpu", "cpu"]
    bench.play()
    assert await kind_of() == "cpu"


async def test_the_cache_forgets_the_oldest_answers(bench: Bench) -> None:
    for number in range(65):
        await bench.ask({"inputs": f"text {number}"})
    assert (await bench.ask({"inputs": "text 1"})).headers["x-compute-type"] == "cache"
    assert (await bench.ask({"inputs": "text 0"})).headers["x-compute-type"] == "cpu"


async def took(bench: Bench, number: int) -> float:
    before = bench.clock.monotonic()
    assert (await bench.ask({"inputs": f"question {number}"})).status == 200
    return bench.clock.monotonic() - before


async def test_an_idle_model_is_slow_once_and_then_fast(bench: Bench) -> None:
    bench.stand_in.time_factor = 1.0
    bench.play(Kind.IDLE_UNLOAD, load_s=5.0)
    first, second = await took(bench, 1), await took(bench, 2)
    bench.clock.advance(59.0)
    within = await took(bench, 3)
    bench.clock.advance(60.0)
    after = await took(bench, 4)
    assert first > 5.0 > 0.3 > second
    assert after > 5.0 > 0.3 > within


async def test_a_load_takes_between_two_and_eight_seconds_by_default(bench: Bench) -> None:
    bench.stand_in.time_factor = 1.0
    bench.play(Kind.IDLE_UNLOAD)
    assert 2.0 < await took(bench, 1) < 8.3


async def test_a_cold_model_tells_a_decreasing_estimate_and_then_answers(bench: Bench) -> None:
    bench.play(Kind.LEGACY_COLD, load_s=10.0)
    estimates = []
    for _ in range(3):
        estimates.append((await bench.ask()).json["estimated_time"])
        bench.clock.advance(4.0)
    assert estimates == [10.0, 6.0, 2.0]
    assert (await bench.ask()).status == 200
    bench.clock.advance(30.0)
    assert (await bench.ask()).status == 200
    bench.clock.advance(60.0)
    assert (await bench.ask()).json["estimated_time"] == 10.0


@pytest.mark.parametrize(
    "more",
    [
        {"headers": {"X-Wait-For-Model": "true"}},
        {"payload": {"inputs": "x", "options": {"wait_for_model": True}}},
    ],
    ids=["header", "options"],
)
async def test_waiting_for_the_model_holds_the_request(bench: Bench, more: dict[str, Any]) -> None:
    bench.play(Kind.LEGACY_COLD, load_s=10.0)
    assert (await bench.ask(**more)).status == 200
    assert bench.clock.slept == [10.0]
    bench.play(Kind.LOADING, load_s=7.0)
    assert (await bench.ask(**more)).status == 503
    assert bench.clock.slept == [10.0, 7.0]


async def test_a_model_answers_one_request_at_a_time() -> None:
    clock = FakeClock()
    stand_in = StandIn(clock=clock, scenarios={MODEL: Scenario(kind=Kind.WARM, task="summarization")})
    async with stand_in.serve() as base, aiohttp.ClientSession(headers={"Authorization": "Bearer hf_demo"}) as session:

        async def ask(text: str) -> float:
            async with session.post(f"{base}/hf-inference/models/{MODEL}", json={"inputs": text}) as response:
                assert response.status == 200
            return clock.monotonic()

        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(ask(text)) for text in ("one", "two")]
            await clock.until_sleeping(2)  # both on the network
            clock.advance(1.0)
            await clock.until_sleeping(1)  # one computes, the other queues
            assert clock.sleepers == 1
            clock.advance(5.0)
            await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            await clock.until_sleeping(1)
            assert clock.sleepers == 1
            clock.advance(5.0)
        assert sorted(task.result() for task in asked) == [1006.0, 1011.0]


async def test_a_client_that_leaves_frees_the_model() -> None:
    clock = FakeClock()
    stand_in = StandIn(clock=clock, scenarios={MODEL: Scenario(kind=Kind.WARM)})
    async with stand_in.serve() as base, aiohttp.ClientSession(headers={"Authorization": "Bearer hf_demo"}) as session:
        with pytest.raises(TimeoutError):
            await session.post(
                f"{base}/hf-inference/models/{MODEL}",
                json={"inputs": "x"},
                timeout=aiohttp.ClientTimeout(total=0.05),
            )
        stand_in.time_factor = 0.0
        async with session.post(f"{base}/hf-inference/models/{MODEL}", json={"inputs": "x"}) as response:
            assert response.status == 200


async def test_a_sequence_plays_one_part_a_request_and_stays_at_the_last(bench: Bench) -> None:
    cold, warm = Scenario(kind=Kind.LOADING, load_s=3.0), Scenario(kind=Kind.WARM)
    bench.stand_in.set(MODEL, Scenario.sequence(cold, cold, warm))
    assert [(await bench.ask()).status for _ in range(4)] == [503, 503, 200, 200]
    bench.stand_in.set(MODEL, Scenario.sequence(warm, Scenario(kind=Kind.NOT_SERVED)))
    before = (await bench.hub(f"models/{MODEL}?expand[]=inferenceProviderMapping")).json
    await bench.ask()
    after = (await bench.hub(f"models/{MODEL}?expand[]=inferenceProviderMapping")).json
    assert "hf-inference" in before["inferenceProviderMapping"]
    assert after["inferenceProviderMapping"] == {}


def test_a_scenario_refuses_what_it_cannot_play() -> None:
    with pytest.raises(ValueError, match="renamed_to"):
        Scenario(kind=Kind.RENAMED)
    with pytest.raises(ValueError, match="at least one part"):
        Scenario.sequence()


SWITCHES = {
    "gone": (410, "no longer supported"),
    "down": (503, "<h1>503 Service Temporarily Unavailable</h1>"),
    "throttled": (429, "Rate limit reached"),
}


@pytest.mark.parametrize(("fault", "wanted"), SWITCHES.items(), ids=SWITCHES.keys())
async def test_a_whole_host_can_be_switched(bench: Bench, fault: Any, wanted: tuple[int, str]) -> None:
    bench.stand_in.host = fault
    got = await bench.ask()
    assert (got.status, wanted[1] in got.text) == (wanted[0], True)
    assert (await bench.hub(f"models/{MODEL}")).status == 200
    bench.stand_in.host, bench.stand_in.hub_host = None, fault
    assert (await bench.hub(f"models/{MODEL}")).status == wanted[0]
    assert (await bench.ask()).status == 200
    assert bench.stand_in.requests == {("inference", MODEL): 2, ("hub", MODEL): 2}


async def test_a_whole_host_can_reset_or_hang(bench: Bench) -> None:
    bench.stand_in.host = "reset"
    with pytest.raises(aiohttp.ClientOSError):
        await bench.ask()
    bench.stand_in.host = "hang"
    with pytest.raises(TimeoutError):
        await bench.ask(timeout=aiohttp.ClientTimeout(total=0.05))


async def test_requests_are_logged_without_the_token(bench: Bench) -> None:
    await bench.ask(headers={"X-Use-Cache": "false"})
    [received] = bench.stand_in.log
    assert (received.method, received.path) == ("POST", "/hf-inference/models/org/model")
    assert received.headers["x-use-cache"] == "false"
    assert received.headers["authorization"] == "***"
    assert b"record profits" in received.body
    assert "hf_demo" not in repr(received)


async def test_the_log_is_bounded(bench: Bench) -> None:
    assert bench.stand_in.log.maxlen == 1_000


async def run_once(seed: int) -> list[tuple[bytes, str, float]]:
    clock = FakeClock(auto=True)
    stand_in = StandIn(clock=clock, seed=seed, scenarios={MODEL: Scenario(task="text-generation")})
    seen = []
    async with stand_in.serve() as base, aiohttp.ClientSession(headers={"Authorization": "Bearer hf_demo"}) as session:
        for number in range(3):
            payload = {"inputs": f"Prompt {number}"}
            async with session.post(f"{base}/hf-inference/models/{MODEL}", json=payload) as response:
                seen.append((await response.read(), response.headers["x-inference-id"], clock.monotonic()))
    return seen


async def test_the_seed_alone_decides_answers_ids_and_latencies() -> None:
    once, again, other = await run_once(1), await run_once(1), await run_once(2)
    assert once == again
    assert all(a[1] != b[1] and a[2] != b[2] for a, b in zip(once, other, strict=True))
    assert [a[0] for a in once] != [b[0] for b in other]


async def test_it_can_be_served_with_tls() -> None:
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    stand_in = StandIn(clock=FakeClock(auto=True), scenarios={MODEL: Scenario()})
    async with stand_in.serve(ssl=server) as base, aiohttp.ClientSession() as session:
        assert base.startswith("https://127.0.0.1:")
        async with session.get(f"{base}/api/models/{MODEL}", ssl=client) as response:
            assert response.status == 200
        stand_in.hub_host = "reset"
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"{base}/api/models/{MODEL}", ssl=client)


async def test_a_hanging_request_does_not_hold_the_end() -> None:
    stand_in = StandIn(clock=FakeClock(auto=True), scenarios={MODEL: Scenario(kind=Kind.HANG)})
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer hf_demo"}) as session:
        async with stand_in.serve() as base, asyncio.timeout(5):
            asked = asyncio.create_task(session.post(f"{base}/hf-inference/models/{MODEL}", json={"inputs": "x"}))
            while not stand_in.requests:  # noqa: ASYNC110 -- the count tells of the arrival, no event does
                await asyncio.sleep(0)
        with pytest.raises(aiohttp.ClientError):
            await asked
