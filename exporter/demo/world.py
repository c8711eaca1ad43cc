"""What the stand-in knows and remembers: scenarios, loaded models, credits, counts, the log. No routes, no sockets."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from exporter.clock import Clock
from exporter.demo.errors import BAD_TOKEN, DEPLETED, NO_SCOPE, NO_TOKEN, Refusal
from exporter.demo.scenario import Kind, Scenario
from exporter.models import stable_fraction

DEMO_TOKEN: Final = "hf_demo"  # noqa: S105 -- opens nothing but the stand-in
NO_SCOPE_TOKEN: Final = "hf_noscope"  # noqa: S105 -- likewise
DEPLETED_TOKEN: Final = "hf_depleted"  # noqa: S105 -- likewise

IDLE_S: Final = 60.0
LOG_SIZE: Final = 1_000
_CACHE_SIZE: Final = 64

ALIASES: Final[Mapping[str, str]] = {
    "bert-base-uncased": "google-bert/bert-base-uncased",
    "distilbert-base-uncased-finetuned-sst-2-english": "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
    "distilgpt2": "distilbert/distilgpt2",
    "gpt2": "openai-community/gpt2",
}

HostFault = Literal["gone", "down", "throttled", "reset", "hang"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request as it came: `path` with its query, header names in lower case, the token masked."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True, kw_only=True)
class Runtime:
    """What one deployed model remembers between requests; times are the clock's monotonic seconds."""

    scenario: Scenario
    turns: int = 0
    last_used: float | None = None
    ready_at: float | None = None
    queue: asyncio.Lock = field(default_factory=asyncio.Lock)
    cache: dict[bytes, bytes] = field(default_factory=dict)

    def remember(self, question: bytes, answer: bytes) -> None:
        """Keep an answer for an identical question; the oldest is forgotten beyond 64."""
        self.cache[question] = answer
        if len(self.cache) > _CACHE_SIZE:
            del self.cache[next(iter(self.cache))]


class World:
    """The state behind the routes; what may be changed at run time is public."""

    def __init__(
        self,
        *,
        clock: Clock,
        seed: int,
        time_factor: float,
        scenarios: Mapping[str, Scenario],
        headers: bool,
        credit_requests: int | None,
    ) -> None:
        self.clock = clock
        self.seed = seed
        self.time_factor = time_factor
        self.headers = headers
        self.credit_requests = credit_requests
        self.scenarios: dict[str, Scenario] = {}
        self.host: HostFault | None = None
        self.hub_host: HostFault | None = None
        self.hub_quota: int | None = None
        self.requests: Counter[tuple[str, str]] = Counter()
        self.log: deque[Received] = deque(maxlen=LOG_SIZE)
        self.closing = asyncio.Event()
        self._runtimes: dict[str, Runtime] = {}
        for model_id, scenario in scenarios.items():
            self.set(model_id, scenario)

    def set(self, model_id: str, scenario: Scenario) -> None:
        """Play `scenario` for a model from now on, freshly deployed: not loaded, nothing cached, scripts at the start.

        Legacy ids (`gpt2`) are kept under their canonical id (`openai-community/gpt2`), the keys of `scenarios`.
        """
        self.scenarios[canonical(model_id)] = scenario

    def current(self, model_id: str) -> Scenario:
        """Return what is played for a model now; an id that nobody set is missing."""
        runtime = self.runtime(model_id)
        return runtime.scenario.part(runtime.turns)

    def take(self, model_id: str) -> Scenario:
        """Return what is played for this request for inference, and move a script on."""
        scenario = self.current(model_id)
        self.runtime(model_id).turns += 1
        return scenario

    def runtime(self, model_id: str) -> Runtime:
        """Return what a model remembers; new when its scenario was replaced."""
        model_id = canonical(model_id)
        scenario = self.scenarios.get(model_id)
        if scenario is None:  # not kept: an asked-for id that does not exist must not grow the memory
            return Runtime(scenario=Scenario(kind=Kind.MISSING))
        runtime = self._runtimes.get(model_id)
        if runtime is None or runtime.scenario is not scenario:
            runtime = self._runtimes[model_id] = Runtime(scenario=scenario)
        return runtime

    def authorise(self, authorization: str | None) -> Refusal | None:
        """Return why a request for inference is refused, or None; an accepted one costs one credit."""
        token = bearer(authorization)
        if token is None:
            return NO_TOKEN
        if token == NO_SCOPE_TOKEN:
            return NO_SCOPE
        if token == DEPLETED_TOKEN:
            return DEPLETED
        if token != DEMO_TOKEN:
            return BAD_TOKEN
        if self.credit_requests is None:
            return None
        if self.credit_requests <= 0:
            return DEPLETED
        self.credit_requests -= 1
        return None

    async def wait(self, seconds: float) -> None:
        """Wait scaled seconds on the clock; nothing at all when that is none."""
        if seconds * self.time_factor > 0:
            await self.clock.sleep(seconds * self.time_factor)

    def draw(self, *parts: object) -> float:
        """Return a number in [0, 1) that depends on the seed and `parts` alone."""
        return stable_fraction(":".join(str(part) for part in (self.seed, *parts)))


def canonical(model_id: str) -> str:
    """Return the id that the hub redirects to, or the id itself."""
    return ALIASES.get(model_id, model_id)


def bearer(authorization: str | None) -> str | None:
    """Return the token of an Authorization header; None without one, "" when it is of another scheme."""
    if authorization is None:
        return None
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def hexdigest(*parts: object, size: int = 20) -> str:
    """Return `2 * size` hex digits that depend on `parts` alone: commits and ids."""
    return hashlib.blake2b(":".join(str(part) for part in parts).encode(), digest_size=size).hexdigest()


def sha(model_id: str, revision: int) -> str:
    """Return the commit of a revision of a model, 40 hex digits; the hub and the router agree on it."""
    return hexdigest(canonical(model_id), revision)
