"""One turn: may we, ask, judge, and hand on what was seen. And a scan: one turn of every model."""

from __future__ import annotations

import asyncio
import contextlib
import re
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from exporter.budget import Refusal
from exporter.changes import Facts
from exporter.chronicle import Chronicle
from exporter.classify import check_identity, explain_mismatch, judge, judge_listing, judge_refusal
from exporter.clock import Clock
from exporter.config import Config, parse_model
from exporter.gate import Gate, Skip
from exporter.metrics import Metrics
from exporter.models import Attempt, Fault, Listing, Model, Observation, Reason, Reply, Scope, Status, Verdict
from exporter.observing import Asked, as_result, attempt, compute_s, learn, see
from exporter.providers import Provider
from exporter.scheduler import Slots, Spawn
from exporter.tasks import TASKS, canary_for

# A cold model is asked once more in the same turn.
MAX_ATTEMPTS: Final = 2
# `RateLimit: "api";r=<remaining>;t=<seconds to the reset>`
HUB_LIMIT: Final = re.compile(r";\s*r=([0-9]{1,9})")
LISTING_HOLDS: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What came of one turn: an observation, or why there is none; and what was learnt on the way."""

    listing: Listing
    observation: Observation | None = None
    facts: Facts | None = None
    skip: Skip | None = None


class Monitor:
    """Probes the models of a configuration. Everything that it needs is handed in."""

    def __init__(
        self,
        *,
        config: Config,
        providers: Mapping[str, Provider],
        gate: Gate,
        chronicle: Chronicle,
        metrics: Metrics,
        slots: Slots,
        clock: Clock,
        spawn: Spawn,
    ) -> None:
        self._gate = gate
        self._chronicle = chronicle
        self._metrics = metrics
        self._slots = slots
        self._clock = clock
        self._spawn = spawn
        self._log = structlog.get_logger("exporter.prober")
        self._in_flight: dict[str, asyncio.Future[Observation | None]] = {}
        self._rotation: Counter[str] = Counter()
        self._listings: dict[str, tuple[datetime, Listing]] = {}
        self._scan: asyncio.Task[dict[str, Any]] | None = None
        self.use(config, providers)

    def use(self, config: Config, providers: Mapping[str, Provider]) -> None:
        """Take a new configuration; turns in flight end with the old one."""
        self._config = config
        self._providers = dict(providers)
        self._pending = {model.model_id for model in config.active}
        self._listings = {key: said for key, said in self._listings.items() if config.model(key) is not None}

    @property
    def scan_in_progress(self) -> bool:
        """True while a scan runs."""
        return self._scan is not None and not self._scan.done()

    async def check(self, model_id: str, trace: list[Reply] | None = None) -> Observation:
        """Probe one configured model now, within the bound on concurrency. Raises KeyError for any other id.

        Every exchange is appended to `trace`. A probe of the same model that is in flight is joined, not repeated.
        """
        while True:
            running = self._in_flight.get(model_id)
            if running is not None:
                # asyncio.wait, because the cancellation of that probe is not ours. No slot is held meanwhile: the probe
                # may need one more itself.
                await asyncio.wait([running])
                if not running.cancelled() and (observation := running.result()) is not None:
                    return observation
                continue
            model = self._config.model(model_id)
            if model is None:
                raise KeyError(model_id)
            async with self._slots.take():
                if model_id not in self._in_flight and (observation := await self._turn(model, trace, forced=True)):
                    return observation

    async def run_scheduled(self, model_id: str) -> None:
        """Do the turn of a model that is due; the scheduler holds a slot for it.

        One that is being probed already, or has just left the configuration, is passed over.
        """
        model = self._config.model(model_id)
        if model is None or model_id in self._in_flight:
            return
        await self._turn(model, None, forced=False)

    async def _turn(self, model: Model, trace: list[Reply] | None, *, forced: bool) -> Observation | None:
        done: asyncio.Future[Observation | None] = asyncio.get_running_loop().create_future()
        self._in_flight[model.model_id] = done
        try:
            turn = await self._look(model, trace, forced=forced)
            seen = await self._hand_on(model, turn)
            done.set_result(seen)
            return seen
        finally:
            done.cancel()
            del self._in_flight[model.model_id]

    async def _hand_on(self, model: Model, turn: Turn) -> Observation | None:
        """Return the observation as it was kept: an incident may explain what the model alone seemed to do."""
        seen = None
        if turn.observation is not None:
            self._gate.learn(model, turn.listing, turn.observation, self._clock.now())
            seen = await self._chronicle.take(turn.observation, turn.facts)
        elif turn.facts is not None:
            self._chronicle.learn(turn.facts)
        if turn.skip is not None:
            self._metrics.count_skip(turn.skip)
        if turn.skip is Skip.INCIDENT:
            await self._chronicle.hold_back(model, self._clock.now())
        self._pending.discard(model.model_id)
        if not self._pending:
            self._pending = {model.model_id for model in self._config.active}
            self._metrics.cycle_ended(self._clock.now())
        return seen

    async def observe(self, model: Model, trace: list[Reply] | None = None) -> Observation:
        """Ask and judge, and keep nothing but what it cost. A bug of ours is `unknown` of reason `probe_bug`."""
        turn = await self._look(model, trace, forced=True)
        assert turn.observation is not None, "a person's wish is not skipped"  # noqa: S101 -- for the type checker
        self._chronicle.spend(turn.observation)
        return turn.observation

    async def _look(self, model: Model, trace: list[Reply] | None, *, forced: bool) -> Turn:
        try:
            return await self._ask(model, [] if trace is None else trace, forced=forced)
        except Exception as error:  # noqa: BLE001 -- a bug in the probe of one model must not stop those of the others
            # As text: a renderer that shows local variables would show the token among them.
            self._log.error("probe_bug", model=model.model_id, traceback=traceback.format_exc())
            reply = Reply(fault=Fault.BUG, error=f"{type(error).__name__}: {error}")
            verdict = Verdict(
                status=Status.UNKNOWN, reason=Reason.PROBE_BUG, scope=Scope.CLIENT, message=type(error).__name__
            )
            listing = Listing(reply=reply, canonical_id=model.model_id)
            return Turn(listing=listing, observation=see(model, listing, verdict, self._clock.now()))

    def start_scan(self) -> asyncio.Task[dict[str, Any]]:
        """Start a scan, or join the one that runs."""
        if self._scan is None or self._scan.done():
            self._scan = self._spawn(self._scan_all(lambda observation: None))
        return self._scan

    async def scan_all_models(self, on_result: Callable[[Observation], None] | None = None) -> dict[str, Any]:
        """Probe every enabled model at once, within the concurrency, and return the counts and the models.

        Scans at the same time are one scan; `on_result` is called for each finished probe of a scan begun here.
        """
        if on_result is not None and not self.scan_in_progress:
            self._scan = self._spawn(self._scan_all(on_result))
        return await asyncio.shield(self.start_scan())

    def cancel_scan(self) -> None:
        """End the scan that runs, if one does; the probes that it has finished are kept."""
        if self._scan is not None:
            self._scan.cancel()

    async def test_model(self, model: Mapping[str, Any]) -> dict[str, Any]:
        """Probe one model and keep nothing. It is a mapping with the configuration's keys, or a row of the store.

        Raises ConfigError when a key or a value is wrong.
        """
        parsed = parse_model(model, self._config)
        async with self._slots.take():
            return as_result(await self.observe(parsed))

    async def _scan_all(self, on_result: Callable[[Observation], None]) -> dict[str, Any]:
        started_at = self._clock.now()
        finished: dict[str, Observation] = {}

        async def check(model_id: str) -> None:
            # A model that leaves the configuration while it waits is no part of the scan any more.
            with contextlib.suppress(KeyError):
                finished[model_id] = await self.check(model_id)
                on_result(finished[model_id])

        models = self._config.active
        async with asyncio.TaskGroup() as group:
            for model in models:
                group.create_task(check(model.model_id))
        results = [as_result(finished[model.model_id]) for model in models if model.model_id in finished]
        counts = Counter(result["status"] for result in results)
        self._log.info("scan_finished", total=len(results), took_s=round(self._since(started_at), 3), **counts)
        return {"total": len(results), **{status.value: counts[status] for status in Status}, "models": results}

    async def _ask(self, model: Model, trace: list[Reply], *, forced: bool) -> Turn:
        # Held for the whole turn: a reload may change both meanwhile.
        provider, hub_provider = self._providers[model.provider], self._config.providers[model.provider].hub_provider
        listing = await provider.look_up(model)
        if listing.reply.method:
            trace.append(listing.reply)
        now = self._clock.now()
        if (allowed := HUB_LIMIT.search(listing.reply.headers.get("ratelimit", ""))) is not None:
            self._metrics.hub_allows(model.provider, int(allowed[1]))
        listing = self._remember(model, listing, now)
        facts = learn(model, listing, now)
        refused = judge_listing(listing, hub_provider)
        if refused is not None:
            return Turn(listing=listing, facts=facts, observation=see(model, listing, refused, now))
        held = self._gate.refuses(model, listing, now, forced=forced)
        if isinstance(held, Skip):
            return Turn(listing=listing, facts=facts, skip=held)
        if held is Refusal.SPENT:
            spent = judge_refusal(Reply(fault=Fault.BUDGET, error="the month's budget is spent"))
            assert spent is not None, "a fault is a refusal"  # noqa: S101 -- for the type checker
            return Turn(listing=listing, facts=facts, observation=see(model, listing, spent, now))
        return await self._infer(model, provider, hub_provider, listing, trace)

    def _remember(self, model: Model, listing: Listing, now: datetime) -> Listing:
        """Keep what the catalogue says; while it cannot be heard, what it said within the hour holds.

        A catalogue in trouble must not make requests be paid for that it would have spared.
        """
        if listing.reply.http_status == 200:
            self._listings[model.model_id] = (now, listing)
            return listing
        said_at, said = self._listings.get(model.model_id, (now, listing))
        return listing if now - said_at > LISTING_HOLDS else replace(said, reply=listing.reply)

    async def _infer(
        self, model: Model, provider: Provider, hub_provider: str, listing: Listing, trace: list[Reply]
    ) -> Turn:
        task = TASKS[model.task]
        canary = canary_for(task, model, self._next_golden(model))
        attempts: list[Attempt] = []
        sent = 0
        while True:
            started_at = self._clock.now()
            self._gate.sends(model, started_at)
            reply = await provider.infer(model, canary, listing.canonical_id)
            if reply.method:
                sent += reply.sends
                for _ in range(1, reply.sends):
                    self._gate.sends(model, started_at)
            else:
                self._gate.did_not_send(model, started_at)
            trace.append(reply)
            self._gate.computed(model, self._clock.now(), compute_s(reply))
            verdict = explain_mismatch(judge(reply, task, canary, model), listing, task)
            verdict = check_identity(verdict, reply, hub_provider)
            attempts.append(attempt(started_at, reply, verdict))
            if verdict.reason is not Reason.LOADING or len(attempts) == MAX_ATTEMPTS:
                break
            most_s = self._config.cold_start_wait_s
            await self._slots.pause(min(verdict.estimated_wait_s or most_s, most_s))
            if not self._gate.has_room(model, self._clock.now()):
                break
        asked = Asked(canary=canary, reply=reply, attempts=tuple(attempts), sent=sent)
        now = self._clock.now()
        facts = learn(model, listing, now, asked, verdict)
        return Turn(listing=listing, facts=facts, observation=see(model, listing, verdict, now, asked))

    def _next_golden(self, model: Model) -> int:
        """Count the turns of a model, from a place that differs from restart to restart."""
        if model.model_id not in self._rotation:
            self._rotation[model.model_id] = int(self._clock.now().timestamp() // model.interval_s)
        self._rotation[model.model_id] += 1
        return self._rotation[model.model_id]

    def _since(self, moment: datetime) -> float:
        return (self._clock.now() - moment).total_seconds()
