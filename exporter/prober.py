"""One turn: ask, judge, remember, show, and log what changed. And a scan: one turn of every model."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import structlog

from exporter.board import Board
from exporter.classify import judge, judge_listing
from exporter.clock import Clock
from exporter.config import Config, parse_model
from exporter.metrics import Metrics
from exporter.models import Attempt, Fault, Listing, Model, Observation, Reason, Reply, Scope, Status, Verdict
from exporter.providers import Provider
from exporter.scheduler import Slots, Spawn
from exporter.store import Store
from exporter.tasks import TASKS, canary_for

# A cold model is asked once more in the same turn.
MAX_ATTEMPTS: Final = 2


class Monitor:
    """Probes the models of a configuration. Everything that it needs is handed in."""

    def __init__(
        self,
        *,
        config: Config,
        providers: Mapping[str, Provider],
        store: Store,
        board: Board,
        metrics: Metrics,
        slots: Slots,
        clock: Clock,
        spawn: Spawn,
    ) -> None:
        self._store = store
        self._board = board
        self._metrics = metrics
        self._slots = slots
        self._clock = clock
        self._spawn = spawn
        self._log = structlog.get_logger("exporter.prober")
        self._in_flight: dict[str, asyncio.Future[Observation]] = {}
        self._scan: asyncio.Task[dict[str, Any]] | None = None
        self.use(config, providers)

    def use(self, config: Config, providers: Mapping[str, Provider]) -> None:
        """Take a new configuration; turns in flight end with the old one."""
        self._config = config
        self._providers = dict(providers)
        self._pending = {model.model_id for model in config.active}

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
                if not running.cancelled():
                    return running.result()
                continue
            model = self._config.model(model_id)
            if model is None:
                raise KeyError(model_id)
            async with self._slots.take():
                if model_id not in self._in_flight:
                    return await self._turn(model, trace)

    async def run_scheduled(self, model_id: str) -> None:
        """Do the turn of a model that is due; the scheduler holds a slot for it.

        One that is being probed already, or has just left the configuration, is passed over.
        """
        model = self._config.model(model_id)
        if model is not None and model_id not in self._in_flight:
            await self._turn(model, None)

    async def _turn(self, model: Model, trace: list[Reply] | None) -> Observation:
        done: asyncio.Future[Observation] = asyncio.get_running_loop().create_future()
        self._in_flight[model.model_id] = done
        try:
            observation = await self.observe(model, trace)
            await self._keep(observation)
            done.set_result(observation)
            return observation
        finally:
            done.cancel()
            del self._in_flight[model.model_id]

    async def observe(self, model: Model, trace: list[Reply] | None = None) -> Observation:
        """Ask and judge, and keep nothing. A bug of ours becomes an `unknown` of reason `probe_bug`."""
        try:
            return await self._ask(model, [] if trace is None else trace)
        except Exception as error:  # noqa: BLE001 -- a bug in the probe of one model must not stop those of the others
            self._log.exception("probe_bug", model=model.model_id)
            reply = Reply(fault=Fault.BUG, error=f"{type(error).__name__}: {error}")
            verdict = Verdict(
                status=Status.UNKNOWN, reason=Reason.PROBE_BUG, scope=Scope.CLIENT, message=type(error).__name__
            )
            listing = Listing(reply=reply, canonical_id=model.model_id)
            return self._observation(model, listing, verdict, None, (), None)

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

    async def _ask(self, model: Model, trace: list[Reply]) -> Observation:
        provider = self._providers[model.provider]
        task = TASKS[model.task]
        canary = canary_for(task, model)
        listing = await provider.look_up(model)
        if listing.reply.method:
            trace.append(listing.reply)
        refused = judge_listing(listing, self._config.providers[model.provider].hub_provider)
        if refused is not None:
            return self._observation(model, listing, refused, None, (), None)
        attempts: list[Attempt] = []
        while True:
            started_at = self._clock.now()
            reply = await provider.infer(model, canary, listing.canonical_id)
            trace.append(reply)
            verdict = judge(reply, task, canary, model)
            attempts.append(_attempt(started_at, reply, verdict))
            if verdict.reason is not Reason.LOADING or len(attempts) == MAX_ATTEMPTS:
                return self._observation(model, listing, verdict, reply, tuple(attempts), canary.input)
            most_s = self._config.cold_start_wait_s
            await self._slots.pause(min(verdict.estimated_wait_s or most_s, most_s))

    async def _keep(self, observation: Observation) -> None:
        """Commit first, then show: what was shown survives a crash. A store in trouble does not stop the probes."""
        await asyncio.wrap_future(self._store.record(observation))
        if self._config.model(observation.model_id) is None:
            return
        self._metrics.observe(observation)
        flip = self._board.publish(observation)
        if flip is not None:
            self._log.info(
                "status_changed",
                model=flip.model_id,
                before=flip.before,
                after=flip.after,
                reason=flip.reason,
                scope=observation.scope,
                message=observation.message,
            )
        self._pending.discard(observation.model_id)
        if not self._pending:
            self._pending = {model.model_id for model in self._config.active}
            self._metrics.cycle_ended(observation.checked_at)

    def _observation(
        self,
        model: Model,
        listing: Listing,
        verdict: Verdict,
        reply: Reply | None,
        attempts: tuple[Attempt, ...],
        test_input: str | None,
    ) -> Observation:
        asked = listing.reply if reply is None else reply
        headers = {} if reply is None else reply.headers
        answer = verdict.answer
        return Observation(
            model_id=model.model_id,
            provider=model.provider,
            task=model.task,
            checked_at=self._clock.now(),
            status=verdict.status,
            reason=verdict.reason,
            scope=verdict.scope,
            counts=verdict.counts,
            success=verdict.success,
            message=verdict.message,
            http_status=asked.http_status,
            response_time_ms=None if reply is None else _response_time_ms(reply),
            confidence=None if answer is None else answer.confidence,
            test_input=test_input,
            test_output=None if answer is None else answer.output,
            timings=None if reply is None or not reply.method else reply.timings,
            attempts=attempts,
            canonical_id=listing.canonical_id,
            hub_sha=listing.sha,
            served_sha=headers.get("x-sha"),
            compute_type=headers.get("x-compute-type"),
            compute_time_s=_number(headers.get("x-compute-time")),
        )

    def _since(self, moment: datetime) -> float:
        return (self._clock.now() - moment).total_seconds()


def as_result(observation: Observation) -> dict[str, Any]:
    """Return the short form of an observation that a scan lists."""
    return {
        "model_id": observation.model_id,
        "status": observation.status.value,
        "success": observation.success,
        "reason": observation.reason.value,
        "scope": observation.scope.value,
        "response_time_ms": observation.response_time_ms,
        "confidence": observation.confidence,
        "error_message": observation.message or None,
        "test_output": observation.test_output,
    }


def _attempt(started_at: datetime, reply: Reply, verdict: Verdict) -> Attempt:
    return Attempt(
        started_at=started_at,
        status=verdict.status,
        reason=verdict.reason,
        http_status=reply.http_status,
        response_time_ms=_response_time_ms(reply),
        message=verdict.message,
    )


def _response_time_ms(reply: Reply) -> float | None:
    """Return how long a complete HTTP answer took; a fault has no response time."""
    return None if reply.http_status is None else round(reply.timings.total_s * 1000, 3)


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number < 1e9 else None
