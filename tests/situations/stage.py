"""What the situations are played on: a clock that the script moves, and a stand-in that can be told each answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeAlias

from aiohttp import web

from exporter.demo import Scenario, StandIn
from exporter.demo.errors import Refusal, compact
from exporter.demo.router import BASE_PATH
from exporter.demo.sending import send_refusal
from exporter.service import WATCH_EVERY_S
from tests.fakes import FakeClock

# An HTTP answer, or bytes that are none and end the connection.
Answer: TypeAlias = Refusal | bytes
EVERY = "*"


class StageClock(FakeClock):
    """Moves when the script says so. A pause within a turn moves it too; the service's watch waits for the script."""

    async def sleep(self, seconds: float) -> None:
        if seconds == WATCH_EVERY_S:
            await super().sleep(seconds)
        else:
            self.slept.append(seconds)
            self.advance(seconds)
            await asyncio.sleep(0)

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and the watch do what it does each second."""
        self.advance(seconds)
        await self.until_sleeping()


class Stage(StandIn):
    """The stand-in, with answers that are said word for word in place of what it would play.

    `words["inference", model_id]` are said one a request, the last one from then on; `words["hub", model_id]` likewise.
    `EVERY` stands for all models.
    """

    def __init__(self, *, clock: StageClock, scenarios: Mapping[str, Scenario]) -> None:
        super().__init__(clock=clock, time_factor=0, scenarios=scenarios)
        self.stage_clock = clock
        self.words: dict[tuple[str, str], list[Answer]] = {}
        self.app.middlewares.append(self._say)

    def say(self, kind: str, model_ids: Iterable[str], answers: Iterable[Answer]) -> None:
        """Set what is said from now on; without answers the scenarios are played again."""
        said = list(answers)
        for model_id in model_ids:
            self.words[kind, model_id] = list(said)

    def again(self) -> Stage:
        """Return the same world for another run of the daemon: a stand-in is served once."""
        other = Stage(clock=self.stage_clock, scenarios=self.scenarios)
        other.words, other.requests, other.credit_requests = self.words, self.requests, self.credit_requests
        other.host, other.hub_host = self.host, self.hub_host
        return other

    @property
    def inferences(self) -> int:
        """How many requests for inference came in."""
        return sum(count for (kind, _), count in self.requests.items() if kind == "inference")

    @web.middleware
    async def _say(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        kind = "inference" if request.path.startswith(BASE_PATH) else "hub"
        model_id = request.match_info.get("id", "")
        answers = self.words.get((kind, model_id)) or self.words.get((kind, EVERY))
        if not answers:
            return await handler(request)
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Refusal):
            return send_refusal(answer.about(model_id))
        assert request.transport is not None
        request.transport.write(answer)
        request.transport.close()
        return web.Response()  # never seen


def ok(body: object, **headers: str) -> Refusal:
    """Return a good answer over HTTP with this JSON; `x_sha="…"` is the header x-sha."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Refusal(status=200, body=compact(body), headers=named)


def text(status: int, body: str = "", **headers: str) -> Refusal:
    """Return an answer in plain text, or an empty one."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Refusal(status=status, body=body, content_type="text/plain", headers=named)


def ranking(positive: float, **headers: str) -> Refusal:
    """Return what a classifier of two labels answers."""
    scores = {"POSITIVE": positive, "NEGATIVE": 1 - positive}
    best_first = sorted(scores.items(), key=lambda pair: -pair[1])
    return ok([[{"label": label, "score": score} for label, score in best_first]], **headers)
