"""What follows from a finished probe, each thing told once: its row, flips, incidents, changes, fallbacks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import structlog

from exporter.board import Board
from exporter.changes import Baseline, Facts, RuntimeWatch, compare
from exporter.config import Config
from exporter.fallback import Candidate, Fallback
from exporter.incidents import Incidents, is_alike
from exporter.metrics import Metrics
from exporter.models import Event, EventKind, Incident, Model, Observation, Reason, Scope, Status, rfc3339
from exporter.store import Store

# Weight of the newest result in what counts as recent when fallbacks are ranked.
RECENT: Final = 0.1
# What a connectivity check can explain: the host's network or our own.
_UNREACHED: Final = frozenset({Reason.NETWORK, Reason.TIMEOUT, Reason.TLS})
_NETWORK: Final = frozenset({Scope.HOST, Scope.CLIENT})

# A result that is read anew was measured once: it is neither paid for, nor judged, nor timed a second time.
_NOT_MEASURED_AGAIN: Final[Mapping[str, Any]] = {
    "requests": 0,
    "timings": None,
    "checks": (),
    "attempts": (),
    "canary": None,
    "correct": None,
    "compute_time_s": None,
    "cold": None,
}

Reachable = Callable[[], Awaitable[bool | None]]


class Chronicle:
    """Takes observations and tells what they mean.

    `on_recovered` is called with the models that may be asked again; `interval_s(model_id)` is how often one is asked.
    """

    def __init__(
        self,
        *,
        store: Store,
        board: Board,
        metrics: Metrics,
        incidents: Incidents,
        fallback: Fallback,
        reachable: Reachable,
        on_recovered: Callable[[Iterable[str]], None],
        interval_s: Callable[[str], float],
    ) -> None:
        self._store = store
        self._board = board
        self._metrics = metrics
        self._incidents = incidents
        self._fallback = fallback
        self._reachable = reachable
        self._on_recovered = on_recovered
        self._runtime = RuntimeWatch()
        self._baselines: dict[str, Baseline] = {}
        self._recent: dict[str, tuple[float, float | None]] = {}  # percent of success, seconds
        self._models: dict[str, Model] = {}
        self._interval_s = interval_s
        self._log = structlog.get_logger("exporter.chronicle")

    def plan(self, config: Config, now: datetime) -> None:
        """Take a configuration; what is known of the models that stay is kept. What is paused may be tried at once."""
        self._models = {model.model_id: model for model in config.active}
        before = self._incidents.open()
        self._incidents.plan(
            {name: {model.model_id for model in config.active if model.provider == name} for name in config.providers}
        )
        for incident in before:
            if self._incidents.of(incident.provider) is None:
                gone = f"{incident.message}; its models left the configuration"
                self._note_incident(replace(incident, closed_at=now, message=gone), now)
        self._incidents.retry()
        self._fallback.plan(config.active)

    def restore(
        self,
        *,
        baselines: Mapping[str, Mapping[str, Any]],
        stats: Mapping[str, Mapping[str, Any]],
        choices: Mapping[str, str | None],
        incidents: Iterable[Incident],
        now: datetime,
    ) -> None:
        """Take up what a store remembers, after `plan` and after the board was primed; nothing of it is news."""
        for model_id, data in baselines.items():
            try:
                self._baselines[model_id] = Baseline.from_json(data)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                self._log.warning("baseline_unreadable", model=model_id, reason=f"{type(error).__name__}: {error}")
        for model_id in self._models:
            row = stats.get(model_id, {})
            if row.get("success_rate") is not None:
                took_ms = row.get("avg_response_time_ms")
                self._recent[model_id] = (row["success_rate"], None if took_ms is None else took_ms / 1000)
        for observation in self._board.current.values():
            # Who was well counts as well: else nobody could fall ill together right after a restart.
            if observation.success:
                self._incidents.observe(observation, now)
        self._incidents.restore(incidents)
        self._fallback.restore(choices)
        for observation in self._board.current.values():
            self._fallback.update(self._candidate(observation), now)

    async def take(self, observation: Observation, facts: Facts | None) -> Observation:
        """Keep and show a finished probe, and tell all that follows from it; return it as it was kept."""
        now = observation.checked_at
        reachable = None
        if observation.reason in _UNREACHED and observation.http_status is None:
            reachable = await self._reachable()
            if reachable is False and observation.status is not Status.UNKNOWN:
                # A kept connection dies in silence, as a model that hangs does: but then the others still answer.
                told = f"{observation.message} (nothing can be reached from here)"
                observation = replace(
                    observation, status=Status.UNKNOWN, scope=Scope.HOST, counts=False, success=False, message=told
                )
        transitions = self._incidents.observe(observation, now, reachable=reachable)
        seen = self._within_incident(observation)
        await self.show(seen)
        for incident in transitions:
            await self._tell_incident(incident, now)
        if facts is not None:
            self._compare(facts)
        self._note(seen)
        self._choose(seen, now)
        self._flush(now)
        return seen

    def learn(self, facts: Facts) -> None:
        """Take what the free catalogue said in a turn that asked for no inference."""
        self._compare(facts)
        self._flush(facts.at)

    async def hold_back(self, model: Model, now: datetime) -> None:
        """Show that a model is not asked because of its provider's incident; told once, not at every slot."""
        incident, present = self._incidents.of(model.provider), self._board.get(model.model_id)
        if incident is None or (present is not None and _is_told(present, incident)):
            return
        held = Observation(
            model_id=model.model_id,
            provider=model.provider,
            task=model.task,
            checked_at=now,
            status=Status.UNKNOWN,
            reason=Reason.BACKOFF,
            scope=incident.scope,
            counts=False,
            success=False,
            message=f"not asked: {incident.message}",
        )
        self._incidents.observe(held, now)
        await self.show(held, probed=False)
        self._choose(held, now)

    async def show(self, observation: Observation, *, probed: bool = True) -> None:
        """Commit, then show: what was shown survives a crash. A store in trouble does not stop the probes.

        What was not `probed` is a state that follows from an incident: it is shown and not counted.
        """
        await asyncio.wrap_future(self._store.record(observation))
        model = self._models.get(observation.model_id)
        if model is None or (model.provider, model.task) != (observation.provider, observation.task):
            return  # it has left the configuration, or is another one under its name, since it was asked
        self._metrics.observe(observation, probed=probed)
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
            self._keep(
                Event(
                    at=flip.at,
                    kind=EventKind.STATUS_CHANGED,
                    provider=observation.provider,
                    model_id=flip.model_id,
                    before=flip.before,
                    after=flip.after,
                    message=observation.message or flip.reason,
                )
            )

    def spend(self, observation: Observation) -> None:
        """Remember what a probe cost of which nothing else is kept."""
        if observation.requests:
            cost = observation.compute_time_s or 0.0
            self._store.spend(observation.provider, observation.checked_at, observation.requests, cost)

    def tick(self, now: datetime) -> None:
        """Tell what becomes true by the passing of time alone."""
        self._tell(self._fallback.tick(now))
        self._flush(now)

    def close(self) -> None:
        """Tell what was still held back."""
        self._tell(self._runtime.drain(self._scored()))

    def _within_incident(self, observation: Observation) -> Observation:
        """Read a failure that the provider's incident explains as unknown: it says nothing of the model.

        One that is unknown already takes over whether it was the host's network or our own.
        """
        incident = self._incidents.of(observation.provider)
        if incident is None or incident.scope is observation.scope:
            return observation
        if observation.status is Status.UNKNOWN:
            of_network = observation.reason in _UNREACHED and {incident.scope, observation.scope} == _NETWORK
            return replace(observation, scope=incident.scope) if of_network else observation
        if not is_alike(observation.reason, incident.reason):
            return observation
        message = f"{observation.message} ({incident.message})"
        return replace(
            observation, status=Status.UNKNOWN, scope=incident.scope, counts=False, success=False, message=message
        )

    async def _tell_incident(self, incident: Incident, now: datetime) -> None:
        self._note_incident(incident, now)
        if incident.closed_at is not None:
            if self._incidents.of(incident.provider) is None:
                self._on_recovered(m.model_id for m in self._models.values() if m.provider == incident.provider)
            return
        # Those that had failed before it was known why.
        for model_id in incident.model_ids:
            present = self._board.get(model_id)
            held = None if present is None else self._within_incident(present)
            if present is not None and held is not None and held is not present:
                if present.counts:
                    self._store.retract(present.model_id, present.checked_at)
                await self.show(replace(held, checked_at=now, **_NOT_MEASURED_AGAIN), probed=False)
                self._choose(held, now)

    def _note_incident(self, incident: Incident, now: datetime) -> None:
        opened = incident.closed_at is None
        facts = {"provider": incident.provider, "scope": incident.scope, "reason": incident.reason}
        if opened:
            self._log.warning("incident_opened", **facts, models=len(incident.model_ids), message=incident.message)
        else:
            self._log.info("incident_closed", **facts, since=rfc3339(incident.opened_at), message=incident.message)
        self._keep(
            Event(
                at=now,
                kind=EventKind.INCIDENT_OPENED if opened else EventKind.INCIDENT_CLOSED,
                provider=incident.provider,
                after={**facts, "opened_at": rfc3339(incident.opened_at), "model_ids": list(incident.model_ids)},
                message=incident.message,
            )
        )

    def _compare(self, facts: Facts) -> None:
        before = self._baselines.get(facts.model_id)
        after, events = compare(before, facts)
        if after != before:
            self._baselines[facts.model_id] = after
            self._store.save_baseline(facts.model_id, after.to_json())
        self._tell(event for event in events if not self._runtime.add(event))

    def _flush(self, now: datetime) -> None:
        # This runs at every probe, and mostly nothing is held.
        if held := self._runtime.held & self._models.keys():
            interval_s = max(self._interval_s(model_id) for model_id in held)
            self._tell(self._runtime.flush(now, self._scored(), interval_s=interval_s))

    def _scored(self) -> dict[str, int]:
        scored: dict[str, int] = {}
        for model_id, model in self._models.items():
            known = self._baselines.get(model_id)
            if known is not None and known.goldens:
                scored[model.provider] = scored.get(model.provider, 0) + 1
        return scored

    def _tell(self, events: Iterable[Event]) -> None:
        for event in events:
            self._log.warning(
                event.kind.value,
                provider=event.provider,
                model=event.model_id,
                before=event.before,
                after=event.after,
                message=event.message,
            )
            self._keep(event)

    def _keep(self, event: Event) -> None:
        self._metrics.count_event(event)
        self._store.record_event(event)

    def _choose(self, observation: Observation, now: datetime) -> None:
        self._tell(self._fallback.update(self._candidate(observation), now))

    def _note(self, observation: Observation) -> None:
        """Move what counts as recent towards a result that counts."""
        if not observation.counts:
            return
        result = 100.0 if observation.success else 0.0
        rate, latency_s = self._recent.get(observation.model_id, (result, None))
        took_ms = observation.response_time_ms
        if took_ms is not None and observation.success and not observation.cached:
            latency_s = took_ms / 1000 if latency_s is None else latency_s + RECENT * (took_ms / 1000 - latency_s)
        self._recent[observation.model_id] = (rate + RECENT * (result - rate), latency_s)

    def _candidate(self, observation: Observation) -> Candidate:
        rate, latency_s = self._recent.get(observation.model_id, (None, None))
        return Candidate(
            model_id=observation.model_id,
            status=observation.status,
            reason=observation.reason,
            scope=observation.scope,
            success_rate=rate,
            latency_s=latency_s,
        )


def _is_told(present: Observation, incident: Incident) -> bool:
    """Say whether a model reads already as one that the incident holds for."""
    same = present.scope is not Scope.ACCOUNT or present.reason in (incident.reason, Reason.BACKOFF)
    return present.status is Status.UNKNOWN and present.scope is incident.scope and same
