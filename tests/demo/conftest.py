"""A stand-in on a real socket, on a clock that moves by itself, and a client with its token."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from exporter.demo import DEMO_TOKEN, Kind, Scenario, StandIn
from tests.fakes import FakeClock

GOOD_NEWS = "The company reported record profits and raised its outlook for the year."
BAD_NEWS = "The bank fell into bankruptcy after heavy losses and a fraud lawsuit."
MODEL = "org/model"

PAYLOADS: dict[str, dict[str, Any]] = {
    "text-classification": {"inputs": GOOD_NEWS},
    "zero-shot-classification": {
        "inputs": "The central bank raised interest rates by half a percentage point.",
        "parameters": {"candidate_labels": ["economy", "sports"]},
    },
    "summarization": {
        "inputs": "The council opened a new library on Monday after two years of work. Readers queued from early in the"
        " morning. The building has three floors, a garden and forty thousand books. Its opening was delayed twice"
        " because of problems with the roof. The mayor said that the library belonged to everyone in the city."
    },
    "text-generation": {"inputs": "The stock market is"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """A complete HTTP answer."""

    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def content_type(self) -> str:
        return str(self.headers["Content-Type"]).partition(";")[0]


class Bench:
    """A served stand-in with one client; `time_factor` is 0 until a test wants waits."""

    def __init__(self, stand_in: StandIn, clock: FakeClock, base: str, session: aiohttp.ClientSession) -> None:
        self.stand_in = stand_in
        self.clock = clock
        self.base = base
        self.session = session

    def play(self, kind: Kind = Kind.WARM, **parameters: Any) -> None:
        self.stand_in.set(MODEL, Scenario(kind=kind, **parameters))

    async def request(self, method: str, path: str, *, token: str | None = DEMO_TOKEN, **more: Any) -> Got:
        headers = {**({"Authorization": f"Bearer {token}"} if token else {}), **more.pop("headers", {})}
        async with self.session.request(method, self.base + path, headers=headers, **more) as response:
            return Got(status=response.status, headers=response.headers.copy(), body=await response.read())

    async def ask(self, payload: Any = None, *, model: str = MODEL, route: str = "", **more: Any) -> Got:
        asked = PAYLOADS["text-classification"] if payload is None else payload
        return await self.request("POST", f"/hf-inference/models/{model}{route}", json=asked, **more)

    async def hub(self, path: str, **more: Any) -> Got:
        return await self.request("GET", f"/api/{path}", **more)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    clock = FakeClock(auto=True)
    stand_in = StandIn(clock=clock, time_factor=0.0, scenarios={MODEL: Scenario(kind=Kind.WARM)})
    async with stand_in.serve() as base, aiohttp.ClientSession() as session:
        yield Bench(stand_in, clock, base, session)
