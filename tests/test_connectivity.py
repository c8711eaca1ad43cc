"""Telling an outage of a host from one of our own network."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from exporter.config import Config, ProviderConfig
from exporter.providers import Connectivity, Wire
from exporter.providers.connectivity import HOLDS_S
from tests.fakes import FakeClock


def config(*urls: str, check: str | None = None) -> Config:
    providers = {
        f"p{number}": ProviderConfig(name=f"p{number}", kind="huggingface", base_url=f"{url}/x", hub_url=url)
        for number, url in enumerate(urls)
    }
    return Config(models=(), providers=providers, connectivity_check=check)


async def test_any_answer_of_any_host_means_that_the_network_works() -> None:
    asked: list[str] = []

    async def broken(request: web.Request) -> web.Response:
        asked.append(f"{request.method} {request.path}")
        assert "Authorization" not in request.headers
        return web.Response(status=500)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", broken)
    clock = FakeClock()
    async with TestServer(app) as server, Wire(max_body_bytes=1000, user_agent="t", use_proxy=False) as wire:
        alive, dead = str(server.make_url("")).rstrip("/"), "http://nobody.invalid"
        connectivity = Connectivity(wire, clock)
        connectivity.plan(config(dead, alive))
        assert await connectivity.reachable()
        assert await connectivity.reachable()
        assert asked == ["HEAD /"], "one answer serves for a while"
        clock.advance(HOLDS_S)
        assert await connectivity.reachable()
        assert len(asked) == 2
        connectivity.plan(config(dead))
        assert not await connectivity.reachable()
        refusing = f"http://127.0.0.1:{unused_port()}"
        connectivity.plan(config(dead, refusing))
        assert await connectivity.reachable(), "who refuses a connection has been reached"
        connectivity.plan(config(dead, check=refusing))
        assert not await connectivity.reachable(), "what is configured has to answer"
        connectivity.plan(config(dead, check=f"{alive}/health"))
        assert await connectivity.reachable()
        assert asked[-1] == "HEAD /health"


async def test_without_anything_to_ask_nothing_is_reachable() -> None:
    async with Wire(max_body_bytes=1000, user_agent="t", use_proxy=False) as wire:
        assert not await Connectivity(wire, FakeClock()).reachable()


@pytest.mark.parametrize("no_proxy", ["", "127.0.0.1"])
async def test_the_proxy_of_the_environment_is_used_and_netrc_is_not(
    no_proxy: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    seen: list[tuple[str, str | None]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.raw_path, request.headers.get("Authorization")))
        return web.Response(text="through")

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    home = tmp_path_factory.mktemp("home")
    (home / ".netrc").write_text("machine 127.0.0.1 login somebody password secret\n", encoding="utf-8")
    (home / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(home))
    async with TestServer(app) as proxy, TestServer(app) as target:
        monkeypatch.setenv("http_proxy", str(proxy.make_url("/")))
        monkeypatch.setenv("no_proxy", no_proxy)
        async with Wire(max_body_bytes=1000, user_agent="t") as wire:
            url = str(target.make_url("/model"))
            reply = await wire.request("GET", url, timeout_s=5)
    assert reply.body == b"through"
    assert seen == [("/model" if no_proxy else url, None)]
