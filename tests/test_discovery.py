"""Discovery: the hub's list read page by page at the pace it allows, written as entries for the configuration."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from click.testing import CliRunner, Result

from exporter import config as configuration
from exporter import discovery
from exporter.cli import main
from exporter.config import Config, ProviderConfig
from exporter.credentials import Token
from exporter.demo import DEMO_SCENARIOS, DEMO_TOKEN, Kind, Scenario, StandIn
from exporter.discovery import (
    DiscoveryError,
    Found,
    Hub,
    as_entries,
    check,
    discover,
    next_page,
    provider_of,
    read_found,
    wait_s,
)
from exporter.models import Model, Reply
from exporter.providers import Wire
from tests.daemon import entry, write_config
from tests.fakes import FakeClock
from tests.make import model

TASK: Final = "sentiment-analysis"
CANARY: Final = "hf_canaryQzXvbWnMkLpRtYsDfGhJk"
SHIPPED: Final = Path(__file__).parent.parent / "config" / "models.yaml"
WARM: Final = Scenario(kind=Kind.WARM)
LIVE: Final = [{"provider": "hf-inference", "status": "live", "task": "text-classification"}]


@dataclass(kw_only=True)
class Bench:
    """A Hub of the provider `huggingface` at `url`; `told` is what the user was told, `clock` moves by itself."""

    hub: Hub
    clock: FakeClock
    told: list[str] = field(default_factory=list)


@asynccontextmanager
async def hub_at(
    url: str, environ: Mapping[str, str] = MappingProxyType({}), clock: FakeClock | None = None
) -> AsyncIterator[Bench]:
    clock, told = clock or FakeClock(auto=True), list[str]()
    provider = ProviderConfig(name="huggingface", hub_url=url, base_url=f"{url}/hf-inference")
    async with Wire(max_body_bytes=discovery.MAX_BODY_BYTES, user_agent="test/1", use_proxy=False) as wire:
        hub = Hub(provider, wire, Token("HF_TOKEN", environ), clock, told.append)
        yield Bench(hub=hub, clock=clock, told=told)


@dataclass(kw_only=True)
class Scripted:
    """A hub that gives the answers one after the other, the last one for ever, and keeps what it was asked."""

    url: str = ""
    answers: list[Callable[[web.Request], web.Response]]
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        return self.answers[min(len(self.asked), len(self.answers)) - 1](request)


@asynccontextmanager
async def scripted(*answers: Callable[[web.Request], web.Response]) -> AsyncIterator[tuple[Scripted, Bench]]:
    script = Scripted(answers=list(answers))
    app = web.Application()
    app.router.add_get("/{tail:.*}", script.answer)
    async with TestServer(app) as server:
        script.url = str(server.make_url("")).rstrip("/")
        async with hub_at(script.url) as bench:
            yield script, bench


def says(
    body: object, status: int = 200, /, text: str | None = None, **headers: str
) -> Callable[[web.Request], web.Response]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def answer(request: web.Request) -> web.Response:
        absolute = {name: value.replace("{origin}", str(request.url.origin())) for name, value in named.items()}
        content = json.dumps(body) if text is None else text
        return web.Response(status=status, text=content, headers=absolute, content_type="application/json")

    return answer


def row(model_id: str, **more: Any) -> dict[str, Any]:
    return {"_id": "0", "id": model_id, "inferenceProviderMapping": LIVE, **more}


def config_with(*models: Model) -> Config:
    return Config(models=models)


async def ids(bench: Bench, **query: Any) -> list[str]:
    return [one.model_id for one in await bench.hub.models(TASK, **query)]


# Reading the hub's words


@pytest.mark.parametrize(
    ("link", "following"),
    [
        ('<https://hub/api/models?cursor=2>; rel="next"', "https://hub/api/models?cursor=2"),
        ("</api/models?cursor=2>; rel=next", "https://hub/api/models?cursor=2"),
        ('<?cursor=2>; rel="next"', "https://hub/api/models?cursor=2"),
        ('<https://hub/1>; rel="prev", <https://hub/3>; title="on"; Rel="Next"', "https://hub/3"),
        ('<https://elsewhere/2>; rel="next"', "https://elsewhere/2"),
        ('<https://hub/1>; rel="prev"', None),
        ('<https://hub/1>; rel="nextish"', None),
        ("", None),
        ('rel="next"', None),
        ('<<<<>; rel="next"', "https://hub/api/models?limit=1"),
    ],
    ids=["absolute", "unquoted", "query", "second", "elsewhere", "previous", "other word", "none", "bare", "broken"],
)
def test_the_next_page_is_read_from_the_link_header(link: str, following: str | None) -> None:
    assert next_page(link, "https://hub/api/models?limit=1") == following


NOON: Final = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("http_status", "headers", "seconds"),
    [
        (200, {}, 0),
        (200, {"ratelimit": '"api";r=17;t=55'}, 0),
        (200, {"ratelimit": '"api";r=0;t=55'}, 55),
        (200, {"ratelimit": '"api"; r=0; t=55'}, 55),
        (200, {"ratelimit": "soon"}, 0),
        (200, {"retry-after": "9"}, 0),
        (429, {}, discovery.DEFAULT_WAIT_S),
        (429, {"ratelimit": '"api";r=0;t=55'}, 55),
        (429, {"ratelimit": '"api";r=0;t=55', "retry-after": "7"}, 7),
        (429, {"retry-after": "0"}, 1),
        (429, {"retry-after": "Thu, 01 Jan 2026 12:00:42 GMT"}, 42),
        (429, {"retry-after": "Thu, 01 Jan 2026 12:00:42 -0000"}, 42),
        (429, {"retry-after": "Thu, 01 Jan 2026 11:00:00 GMT"}, 1),
        (429, {"retry-after": "Thu, 01 Jan 99999999999999 12:00:00 GMT"}, discovery.DEFAULT_WAIT_S),
        (429, {"retry-after": "later"}, discovery.DEFAULT_WAIT_S),
    ],
    ids=lambda value: str(value),
)
def test_the_wait_that_the_hub_asks_for_is_read(http_status: int, headers: dict[str, str], seconds: float) -> None:
    assert wait_s(Reply(http_status=http_status, headers=headers), NOON) == seconds


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (row("a/b"), Found(model_id="a/b", state="live")),
        (
            row("a/b", downloads=12, likes=3, gated="manual"),
            Found(model_id="a/b", state="live", downloads=12, likes=3, gated=True),
        ),
        (row("a/b", downloads="12", likes=True, gated=False), Found(model_id="a/b", state="live")),
        (row("a/b", downloads=-1, gated=None), Found(model_id="a/b", state="live")),
        (
            row("a/b", inferenceProviderMapping=[{"provider": "hf-inference", "status": "error"}]),
            Found(model_id="a/b", state="error"),
        ),
        (
            row("a/b", inferenceProviderMapping={"hf-inference": {"status": "live"}}),
            Found(model_id="a/b", state="live"),
        ),
        (row("a/b", inferenceProviderMapping=[{"provider": "hf-inference", "status": "staging"}]), None),
        (row("a/b", inferenceProviderMapping=[{"provider": "together", "status": "live"}]), None),
        (row("a/b", inferenceProviderMapping=[]), None),
        ({"id": "a/b"}, None),
        ({"id": 7, "inferenceProviderMapping": LIVE}, None),
        ({"inferenceProviderMapping": LIVE}, None),
        ("a/b", None),
        (None, None),
    ],
    ids=[
        *("live", "with numbers", "wrong types", "negative", "error", "mapping as a dict", "staging", "elsewhere"),
        *("nobody", "no mapping", "id a number", "no id", "text", "null"),
    ],
)
def test_a_row_of_the_list_is_a_model_that_the_provider_serves_or_nothing(given: Any, found: Found | None) -> None:
    assert read_found(given, "hf-inference") == found


# Writing entries


def written(*found: Found, config: Config, known: Mapping[str, str] = MappingProxyType({}), provider: int = 0) -> str:
    return as_entries(found, task=TASK, provider=list(config.providers.values())[provider], config=config, known=known)


def test_entries_appended_to_the_shipped_configuration_are_read_back(tmp_path: Path) -> None:
    before = configuration.load(SHIPPED)
    text = written(
        Found(model_id="org/crypto-one", state="live", downloads=1234567, likes=8),
        Found(model_id="org/two", state="error", gated=True),
        Found(model_id="ProsusAI/finbert", state="live"),
        config=before,
        known={"ProsusAI/finbert": "ProsusAI/finbert"},
    )
    path = tmp_path / "models.yaml"
    path.write_text(SHIPPED.read_text(encoding="utf-8") + text, encoding="utf-8")
    added = configuration.load(path).models[len(before.models) :]
    assert [(one.model_id, one.task, one.provider, one.requires_auth) for one in added] == [
        ("org/crypto-one", TASK, "huggingface", False),
        ("org/two", TASK, "huggingface", True),
    ]
    assert text == (
        "  # served by hf-inference for sentiment-analysis: 3, of which configured: 1\n"
        "  - model_id: org/crypto-one  # 1,234,567 downloads a month, 8 likes\n"
        "    task: sentiment-analysis\n"
        "  - model_id: org/two  # gated: its owner grants access, the hub's last check of it failed\n"
        "    task: sentiment-analysis\n"
        "    requires_auth: true\n"
        "  # ProsusAI/finbert: already configured\n"
    )


def test_an_entry_names_its_provider_unless_that_is_the_first() -> None:
    second = ProviderConfig(name="other", hub_provider="together")
    config = Config(models=(), providers={"huggingface": ProviderConfig(name="huggingface"), "other": second})
    assert yaml.safe_load(written(Found(model_id="a/b", state="live"), config=config, provider=1)) == [
        {"model_id": "a/b", "task": TASK, "provider": "other"}
    ]


@pytest.mark.parametrize("model_id", ["null", "12", "1.5", "true", "[a]", "a/b:c", "- x", "naïve/模型", "'", '"', "*a"])
def test_an_id_that_yaml_would_misread_comes_back_as_it_is_or_is_left_out(model_id: str) -> None:
    text = written(Found(model_id=model_id, state="live"), config=config_with())
    expected = None if " " in model_id else [{"model_id": model_id, "task": TASK}]
    assert yaml.safe_load(text) == expected


@pytest.mark.parametrize(
    "model_id",
    [
        "",
        "a/../b",
        "a b",
        "x\n  - model_id: evil/injected",
        "x\u2028- model_id: evil/injected",
        "\x1b[2Jx",
        "a" * 201,
        "a#b",
    ],
    ids=repr,
)
def test_an_id_that_the_configuration_refuses_is_left_out_in_a_comment_of_one_line(model_id: str) -> None:
    text = written(Found(model_id=model_id, state="live"), config=config_with())
    assert yaml.safe_load(text) is None
    first, second = text.rstrip("\n").split("\n")
    assert second.startswith("  # left out, ")
    assert (first + second).isprintable()


def test_nothing_found_is_only_a_comment() -> None:
    text = written(config=config_with())
    assert text == "  # served by hf-inference for sentiment-analysis: 0, of which configured: 0\n"


# Asking


async def test_every_page_of_the_stand_in_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "PAGE_MODELS", 2)
    stand_in = StandIn(clock=FakeClock(auto=True), time_factor=0)
    async with stand_in.serve() as url, hub_at(url) as bench:
        found = await ids(bench)
    tasks = {name: scenario.task for name, scenario in DEMO_SCENARIOS.items()}
    assert len(found) == len(set(found)) == 12
    assert {tasks.get(name, "text-classification") for name in found} == {"text-classification"}
    assert stand_in.requests["hub", ""] == 6


async def test_the_hub_is_asked_for_what_the_user_wants() -> None:
    async with scripted(says([])) as (script, bench):
        assert await ids(bench, search="crypto news", limit=7) == []
    assert script.asked == [
        "/api/models?inference_provider=hf-inference&pipeline_tag=text-classification&search=crypto+news"
        "&sort=downloads&limit=7&expand%5B%5D=inferenceProviderMapping&expand%5B%5D=downloads"
        "&expand%5B%5D=likes&expand%5B%5D=gated"
    ]


async def test_no_more_than_the_limit_is_returned_and_no_page_too_many_is_asked_for() -> None:
    page = says([row("a/1"), row("a/2")], Link='<{origin}/api/models?cursor=2>; rel="next"')
    second = says([row("a/3"), row("a/4")], Link='<{origin}/api/models?cursor=3>; rel="next"')
    async with scripted(page, second) as (script, bench):
        assert await ids(bench, limit=3) == ["a/1", "a/2", "a/3"]
    assert len(script.asked) == 2


async def test_a_model_that_moved_between_two_pages_is_listed_once_and_one_that_nobody_serves_not_at_all() -> None:
    pages = (
        says([row("a/1"), row("a/2")], Link='</api/models?cursor=2>; rel="next"'),
        says([row("a/2"), {"id": "a/4"}, row("a/3")]),
    )
    async with scripted(*pages) as (_, bench):
        assert await ids(bench) == ["a/1", "a/2", "a/3"]


@pytest.mark.parametrize("target", ["http://elsewhere.invalid/2", "mailto:x", "//elsewhere.invalid/2", "http://[/2"])
async def test_a_next_page_at_another_origin_is_not_asked_for_and_that_is_told(target: str) -> None:
    async with scripted(says([row("a/1")], Link=f'<{target}>; rel="next"')) as (script, bench):
        assert await ids(bench) == ["a/1"]
    assert len(script.asked) == 1
    assert bench.told == [f"{script.url}: the next page is at another host and is not read; there are more"]


async def test_an_endless_list_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "MAX_PAGES", 3)
    async with scripted(says([row("a/1")], Link='</api/models>; rel="next"')) as (script, bench):
        assert await ids(bench) == ["a/1"]
    assert len(script.asked) == 3
    assert bench.told == [f"{script.url}: no more than 3 pages are read; there are more"]


async def test_a_used_up_rate_limit_is_waited_for_before_the_next_page_but_not_after_the_last() -> None:
    spent = {"RateLimit": '"api";r=0;t=55'}
    pages = says([row("a/1")], Link='</api/models?cursor=2>; rel="next"', **spent), says([row("a/2")], **spent)
    async with scripted(*pages) as (script, bench):
        assert await ids(bench) == ["a/1", "a/2"]
    assert bench.clock.slept == [55]
    assert bench.told == [f"{script.url}: asks for a wait of 55 s, waiting"]


async def test_a_refused_request_is_sent_again_after_the_wait() -> None:
    async with scripted(says({}, 429, Retry_After="7"), says([row("a/1")])) as (script, bench):
        assert await ids(bench) == ["a/1"]
    assert bench.clock.slept == [7]
    assert script.asked[0] == script.asked[1]


async def test_the_stand_ins_quota_is_kept_over_all_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "PAGE_MODELS", 1)
    clock = FakeClock(auto=True)  # the hub's window and our waits are of one time
    stand_in = StandIn(clock=clock, time_factor=0)
    stand_in.hub_quota = 5
    async with stand_in.serve() as url, hub_at(url, clock=clock) as bench:
        assert len(await ids(bench)) == 12
    assert stand_in.requests["hub", ""] == 12, "nothing was asked in vain"
    assert len(clock.slept) == 2
    assert all(0 < seconds <= 300 for seconds in clock.slept)


TOO_LONG: Final = f"{discovery.MAX_WAIT_S + 1:.0f}"


@pytest.mark.parametrize(
    ("answers", "message", "slept"),
    [
        ([says({}, 429, Retry_After="9")], "asked too often (HTTP 429), 3 times in a row", [9, 9]),
        ([says({}, 429, Retry_After=TOO_LONG)], "asks for a wait of 301 s, try again then", []),
        ([says({"error": "boom"}, 500)], "HTTP 500: boom", []),
        ([says({"error": "unknown provider"}, 400)], "HTTP 400: unknown provider", []),
        ([says(None, 404, text="Not Found")], "HTTP 404: Not Found", []),
        ([says(None, 302, Location="http://elsewhere.invalid/")], "HTTP 302", []),
        ([says(None, text="<html>hello</html>")], "the answer is HTML, not JSON: <html>hello</html>", []),
        ([says(None, text="[{")], "the answer is not JSON", []),
        ([says(None, text="[" * 100_000)], "the answer is nested too deeply", []),
        ([says({"error": "no list"})], "the answer is not a list of models", []),
    ],
    ids=[
        *("429 for ever", "too long a wait", "500", "400", "404", "redirected away", "html", "cut off", "nested"),
        "no list",
    ],
)
async def test_a_hub_that_does_not_answer_is_one_error(
    answers: list[Callable[[web.Request], web.Response]], message: str, slept: list[float]
) -> None:
    async with scripted(*answers) as (script, bench):
        with pytest.raises(DiscoveryError) as caught:
            await bench.hub.models(TASK)
    assert str(caught.value).startswith(script.url)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert bench.clock.slept == slept


async def test_a_hub_that_is_down_is_named() -> None:
    async with hub_at(f"http://127.0.0.1:{unused_port()}") as bench:
        with pytest.raises(DiscoveryError, match=r"^http://127\.0\.0\.1:\d+: ClientConnectorError"):
            await bench.hub.models(TASK)


async def test_an_answer_larger_than_the_cap_is_an_error() -> None:
    async with scripted(says(None, text="[" + " " * discovery.MAX_BODY_BYTES + "]")) as (_, bench):
        with pytest.raises(DiscoveryError, match="larger than 8388608 bytes"):
            await bench.hub.models(TASK)


@pytest.mark.parametrize("ask", [Hub.models, Hub.look_up], ids=["list", "look-up"])
async def test_a_refused_token_is_told_by_its_source_never_by_its_value(ask: Callable[[Hub, Any], Any]) -> None:
    stand_in = StandIn(clock=FakeClock(auto=True), time_factor=0, scenarios={"a/b": WARM})
    async with stand_in.serve() as url, hub_at(url, {"HF_TOKEN": CANARY}) as bench:
        with pytest.raises(DiscoveryError) as caught:
            await ask(bench.hub, TASK if ask is Hub.models else model("a/b"))
    assert "HTTP 401: Invalid credentials in Authorization header" in str(caught.value)
    assert "(the token is from environment HF_TOKEN)" in str(caught.value)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("ask", [Hub.models, Hub.look_up], ids=["list", "look-up"])
async def test_a_token_that_cannot_be_read_is_told_and_nothing_is_asked(ask: Callable[[Hub, Any], Any]) -> None:
    async with scripted(says([])) as (script, _), hub_at(script.url, {"HF_TOKEN_FILE": "/nowhere"}) as bench:
        with pytest.raises(DiscoveryError, match="file /nowhere cannot be read"):
            await ask(bench.hub, TASK if ask is Hub.models else model("a/b"))
    assert script.asked == []


async def test_the_token_is_sent_to_the_hub() -> None:
    stand_in = StandIn(clock=FakeClock(auto=True), time_factor=0, scenarios={})
    async with stand_in.serve() as url, hub_at(url, {"HF_TOKEN": DEMO_TOKEN}) as bench:
        assert await ids(bench) == []
    assert [received.headers["authorization"] for received in stand_in.log] == ["***"]


# What is configured already


async def test_a_model_configured_under_its_former_id_is_recognised() -> None:
    scenarios = {
        "gpt2": Scenario(kind=Kind.WARM, task="text-generation"),
        "other/gpt2": Scenario(kind=Kind.WARM, task="text-generation"),
        "a/b": Scenario(kind=Kind.WARM, task="text-generation"),
        "x/b": Scenario(kind=Kind.WARM, task="text-generation"),
    }
    stand_in = StandIn(clock=FakeClock(auto=True), time_factor=0, scenarios=scenarios)
    config = config_with(model("gpt2", task="text-generation"), model("a/b", task="text-generation"), model("c/d"))
    async with stand_in.serve() as url, hub_at(url) as bench:
        text = await discover(bench.hub, config, "text-generation")
    assert "  # openai-community/gpt2: already configured as gpt2\n" in text
    assert "  # a/b: already configured\n" in text
    assert [one["model_id"] for one in yaml.safe_load(text)] == ["x/b", "other/gpt2"]
    asked = {subject for kind, subject in stand_in.requests if kind == "hub"}
    assert asked == {"", "gpt2", "openai-community/gpt2", "a/b"}, "only what could be the same is looked up"


async def test_an_unknown_task_is_refused_before_anything_is_asked() -> None:
    async with scripted(says([])) as (script, bench):
        with pytest.raises(DiscoveryError, match="unknown task 'text-classification'; one of: sentiment-analysis, "):
            await discover(bench.hub, config_with(), "text-classification")
    assert script.asked == []


def test_a_provider_is_found_by_its_name_on_the_hub() -> None:
    first = ProviderConfig(name="huggingface")
    second = ProviderConfig(name="other", hub_provider="together")
    config = Config(models=(), providers={"huggingface": first, "other": second})
    assert provider_of(config, None) is first
    assert provider_of(config, "hf-inference") is first
    assert provider_of(config, "together") is second
    with pytest.raises(
        DiscoveryError, match="no configured provider is 'groq' on the hub; there are: hf-inference, to"
    ):
        provider_of(config, "groq")


# Who serves the configured models

SERVING: Final = {
    "live": (WARM, True, {"hf-inference": "live"}, ""),
    "last check failed": (Scenario(providers=(("hf-inference", "error"),)), True, {"hf-inference": "error"}, ""),
    "gated": (Scenario(kind=Kind.GATED), True, {"hf-inference": "live"}, "gated"),
    "elsewhere": (
        Scenario(providers=(("together", "live"), ("groq", "staging"))),
        False,
        {"together": "live", "groq": "staging"},
        "hf-inference does not serve it; served by together (live), groq (staging)",
    ),
    "nobody": (Scenario(kind=Kind.NOT_SERVED), False, {}, "hf-inference does not serve it; nobody does"),
    "missing": (Scenario(kind=Kind.MISSING), False, {}, "HTTP 401: Invalid username or password."),
    "disabled": (Scenario(kind=Kind.DISABLED), False, {}, "HTTP 403: Access to this resource is disabled."),
    "renamed": (
        Scenario(kind=Kind.RENAMED, renamed_to="new/name"),
        True,
        {"hf-inference": "live"},
        "renamed to new/name",
    ),
}


@pytest.mark.parametrize("enabled", [True, False], ids=["enabled", "not enabled"])
@pytest.mark.parametrize(("scenario", "served", "served_by", "note"), SERVING.values(), ids=SERVING.keys())
async def test_who_serves_a_configured_model_is_told(
    scenario: Scenario, served: bool, served_by: dict[str, str], note: str, enabled: bool
) -> None:
    stand_in = StandIn(clock=FakeClock(auto=True), time_factor=0, scenarios={"a/b": scenario, "new/name": WARM})
    async with stand_in.serve() as url, hub_at(url) as bench:
        (one,) = await check(config_with(model("a/b", enabled=enabled)), {"huggingface": bench.hub})
    assert (one.served, one.served_by) == (served, served_by)
    assert one.note.startswith(note)
    assert one.note.endswith("not enabled") is not enabled
    assert one.missing is (enabled and not served)


async def test_a_hub_that_does_not_tell_the_providers_leaves_it_open() -> None:
    async with scripted(says({"id": "a/b"})) as (_, bench):
        (one,) = await check(config_with(model("a/b")), {"huggingface": bench.hub})
    assert (one.served, one.missing) == (None, False)


async def test_each_model_is_looked_up_at_its_own_provider() -> None:
    here, there = says({"id": "a/b", "inferenceProviderMapping": {}}), says(row("c/d"))
    async with scripted(here) as (_, first), scripted(there) as (_, second):
        config = config_with(model("a/b", provider="one"), model("c/d", provider="two"))
        rows = await check(config, {"one": first.hub, "two": second.hub})
    assert [(one.model.model_id, one.served) for one in rows] == [("a/b", False), ("c/d", True)]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (says({"error": "boom"}, 500), "HTTP 500: boom"),
        (says({"error": "Invalid username or password."}, 401), "HTTP 401: Invalid username or password."),
        (says({}, 429, Retry_After="1"), "asked too often"),
    ],
    ids=["500", "401", "429"],
)
async def test_a_hub_in_trouble_is_no_word_on_the_model(
    answer: Callable[[web.Request], web.Response], message: str
) -> None:
    async with scripted(answer) as (_, bench):
        with pytest.raises(DiscoveryError, match=message):
            await check(config_with(model("a/b")), {"huggingface": bench.hub})


# The command


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, so that no `.env` is read, and no token of the surroundings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HF_TOKEN_FILE", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def asked(*arguments: str, token: str | None = None) -> Result:
    return CliRunner(env={} if token is None else {"HF_TOKEN": token}).invoke(main, ["discover", *arguments])


async def asked_of(url: str, folder: Path, *arguments: str, token: str | None = None, models: Any = ()) -> Result:
    write_config(folder / "models.yaml", url, list(models))
    return await asyncio.to_thread(asked, "--config", str(folder / "models.yaml"), *arguments, token=token)


def test_the_command_prints_entries_for_the_demo(folder: Path) -> None:
    write_config(folder / "models.yaml", "http://127.0.0.1:1", [entry("ProsusAI/finbert")])
    got = asked("--task", TASK, "--search", "finbert", "--limit", "2", "--config", "models.yaml", "--demo")
    assert got.exit_code == 0
    assert got.stderr == "simulated: every answer comes from the embedded stand-in, none is real\n"
    assert got.stdout.startswith("  # served by hf-inference for sentiment-analysis: 2, of which configured: ")
    assert len(yaml.safe_load(got.stdout)) in (1, 2)


async def test_the_command_tells_of_a_wait_on_stderr_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock(auto=True)
    monkeypatch.setattr("exporter.commands.SystemClock", lambda: clock)
    async with scripted(says({}, 429, Retry_After="7"), says([row("a/b")])) as (script, _):
        got = await asked_of(script.url, folder, "--task", TASK, "--provider", "hf-inference")
    assert (got.exit_code, yaml.safe_load(got.stdout)) == (0, [{"model_id": "a/b", "task": TASK}])
    assert got.stderr == f"{script.url}: asks for a wait of 7 s, waiting\n"
    assert clock.slept == [7]


@pytest.mark.parametrize(
    ("models", "exit_code", "total"),
    [
        ([entry("a/good")], 0, "1 models: 1 served, 0 enabled but not served"),
        ([entry("a/good"), entry("a/gone", enabled=False)], 0, "2 models: 1 served, 0 enabled but not served"),
        ([entry("a/good"), entry("a/gone")], 1, "2 models: 1 served, 1 enabled but not served"),
        ([], 0, "0 models: 0 served, 0 enabled but not served"),
    ],
    ids=["all served", "a disabled one is not", "an enabled one is not", "none"],
)
async def test_check_exits_1_when_an_enabled_model_is_not_served(
    folder: Path, models: list[dict[str, Any]], exit_code: int, total: str
) -> None:
    scenarios = {"a/good": WARM, "a/gone": Scenario(kind=Kind.NOT_SERVED)}
    stand_in = StandIn(clock=FakeClock(auto=True), time_factor=0, scenarios=scenarios)
    async with stand_in.serve() as url:
        got = await asked_of(url, folder, "--check", models=models)
    assert (got.exit_code, got.stderr) == (exit_code, "")
    assert got.stdout.splitlines()[-1] == total
    for one in models:
        assert one["model_id"] in got.stdout


async def test_check_shows_no_control_characters_of_the_hub(folder: Path) -> None:
    mapping = {"\x1b[2Jevil": {"status": "li\nve"}}
    async with scripted(says({"id": "a/\x1b[2Jb", "inferenceProviderMapping": mapping})) as (script, _):
        got = await asked_of(script.url, folder, "--check", models=[entry("a/b")])
    assert got.exit_code == 1
    assert "\x1b" not in got.output
    assert "evil" in got.stdout


@pytest.mark.parametrize(
    ("arguments", "token", "message"),
    [
        (["--task", TASK], CANARY, "HTTP 401: Invalid credentials in Authorization header"),
        (["--check"], CANARY, "HTTP 401: Invalid credentials in Authorization header"),
        (["--task", TASK], "two words", "the token from environment HF_TOKEN holds a space"),
        (["--task", "translation"], None, "unknown task 'translation'; one of: sentiment-analysis, "),
        (["--task", TASK, "--provider", "groq"], None, "no configured provider is 'groq' on the hub"),
    ],
    ids=["bad token", "bad token at check", "broken token", "bad task", "unknown provider"],
)
async def test_what_goes_wrong_is_one_line_and_exit_1(
    folder: Path, arguments: list[str], token: str | None, message: str
) -> None:
    stand_in = StandIn(clock=FakeClock(auto=True), time_factor=0, scenarios={"a/b": WARM})
    async with stand_in.serve() as url:
        got = await asked_of(url, folder, *arguments, token=token, models=[entry("a/b")])
    assert (got.exit_code, got.stdout) == (1, "")
    assert got.stderr.count("\n") == 1
    assert message in got.stderr
    assert token is None or token not in got.output


async def test_a_hub_that_is_down_and_a_bad_configuration_are_one_line_and_exit_1(folder: Path) -> None:
    got = await asked_of(f"http://127.0.0.1:{unused_port()}", folder, "--task", TASK)
    assert (got.exit_code, got.stdout, got.stderr.count("\n")) == (1, "", 1)
    assert "ClientConnectorError" in got.stderr
    got = await asyncio.to_thread(asked, "--task", TASK, "--config", "nowhere.yaml")
    assert (got.exit_code, got.stdout) == (1, "")
    assert got.stderr == "nowhere.yaml: no such file; name one with --config\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give one of --task and --check"),
        (["--task", TASK, "--check"], "give one of --task and --check"),
        (["--check", "--search", "x"], "no --search, --provider or --limit"),
        (["--check", "--provider", "x"], "no --search, --provider or --limit"),
        (["--check", "--limit", "1"], "no --search, --provider or --limit"),
        (["--task", TASK, "--limit", "0"], "0 is not in the range x>=1"),
        (["--task", TASK, "--limit", "many"], "'many' is not a valid integer"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_use_of_discover_exits_2(folder: Path, arguments: list[str], said: str) -> None:
    got = asked(*arguments)
    assert (got.exit_code, got.stdout) == (2, "")
    assert said in got.stderr
