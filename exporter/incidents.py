"""Find the one cause behind many failures, and say when its provider may be asked again. Pure: no I/O, no clock.

What the account or the host did is no model's doing. Neither is a failure that most models of a provider fall into
together. Such a cause becomes one incident; while it lasts the provider is left alone but for one try at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from exporter.models import Incident, Observation, Reason, Scope, Status

# After this long without an observation the try is taken for lost, and another may be made.
TRY_LASTS_S: Final = 120.0
# Models that are asked rarely fail one after the other over one interval: a failure counts for as long as its model had
# not been heard of before it, but no longer than this.
LONGEST_GAP_S: Final = 3600.0

# One outage shows as HTTP 500, 502, 503 and 504 and as silence, to different models at the same time.
OUTAGE: Final = frozenset({Reason.SERVER_ERROR, Reason.GATEWAY, Reason.OVERLOADED, Reason.TIMEOUT})
# What a shared cause makes of single models.
SHARED: Final = OUTAGE | {Reason.BAD_OUTPUT, Reason.MODEL_ERROR}
# What an outage of our own network looks like.
OWN_NETWORK: Final = frozenset({Reason.NETWORK, Reason.TIMEOUT, Reason.TLS})
# Nothing was asked, so nothing was learnt.
NOT_ASKED: Final = frozenset({Reason.BACKOFF, Reason.BUDGET})
# Settled for this model alone, whatever happens to the others.
SETTLED: Final = frozenset({Status.NOT_SERVED, Status.NOT_FOUND, Status.AUTH_REQUIRED})

WHOSE: Final[Mapping[Scope, str]] = {
    Scope.ACCOUNT: " (the account)",
    Scope.CLIENT: " (our own network)",
    Scope.HOST: "",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    """A failure of one model, and for how many seconds it counts as evidence."""

    at: datetime
    counts_s: float
    reason: Reason


@dataclass(slots=True, kw_only=True)
class _Lasting:
    """An incident, and the tries during it. `shared`: seen in model-scope failures, so that others may be healthy."""

    scope: Scope
    reason: Reason
    shared: bool
    affected: set[str]
    opened_at: datetime
    pause_s: float
    paused_at: datetime
    tried_at: datetime | None = None
    moved: bool = False


@dataclass(slots=True, kw_only=True)
class _Provider:
    """What is known of one provider. `settled` are the models that are not really asked at present."""

    name: str
    models: frozenset[str] = frozenset()
    heard: dict[str, datetime] = field(default_factory=dict)
    well: set[str] = field(default_factory=set)
    fallen: dict[str, _Failure] = field(default_factory=dict)
    unreached: dict[str, _Failure] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)
    lasting: _Lasting | None = None

    def retain(self, models: Collection[str]) -> None:
        self.models = frozenset(models)
        for known in (self.heard, self.fallen, self.unreached):
            for model_id in known.keys() - self.models:
                del known[model_id]
        self.well &= self.models
        self.settled &= self.models
        if self.lasting is not None:
            self.lasting.affected &= self.models
            if not self.lasting.affected:
                self.lasting = None

    def learn(self, observation: Observation, now: datetime, window_s: float) -> None:
        model_id = observation.model_id
        gap_s = (now - self.heard.get(model_id, now)).total_seconds()
        failure = _Failure(at=now, counts_s=max(window_s, min(gap_s, LONGEST_GAP_S)), reason=observation.reason)
        self.heard[model_id] = now
        if observation.scope is Scope.HOST:
            self.unreached[model_id] = failure
        elif _is_answer(observation) or _is_refusal(observation):
            self.unreached.clear()
        else:
            self.unreached.pop(model_id, None)
        if _is_settled(observation):
            self.settled.add(model_id)
            self.well.discard(model_id)
            self.fallen.pop(model_id, None)
            return
        self.settled.discard(model_id)
        if observation.success:
            self.well.add(model_id)
            self.fallen.pop(model_id, None)
        elif observation.scope is Scope.MODEL and model_id in self.well:
            self.well.remove(model_id)
            self.fallen[model_id] = failure
        elif observation.scope is Scope.MODEL and model_id in self.fallen:
            self.fallen[model_id] = replace(self.fallen[model_id], reason=observation.reason)

    def incident(self, lasting: _Lasting, closed_at: datetime | None = None) -> Incident:
        until = "" if closed_at is None else f", over at {closed_at.astimezone(UTC):%H:%M} UTC"
        return Incident(
            provider=self.name,
            scope=lasting.scope,
            reason=lasting.reason,
            opened_at=lasting.opened_at,
            closed_at=closed_at,
            model_ids=tuple(sorted(lasting.affected)),
            message=f"{self.name}: {lasting.reason}{WHOSE[lasting.scope]} on {len(lasting.affected)} of"
            f" {len(self.models)} models since {lasting.opened_at.astimezone(UTC):%H:%M} UTC{until}",
        )

    def close(self, lasting: _Lasting, by: str, now: datetime) -> Incident:
        if lasting.shared:
            # They fell with the host, so by themselves they count as well, and may fall together again.
            for model_id in lasting.affected - {by}:
                self.fallen.pop(model_id, None)
                self.well.add(model_id)
        self.lasting = None
        return self.incident(lasting, now)


class Incidents:
    """The incidents of all providers, one at a time each.

    An incident is about a provider's inference, so what its catalogue says (an observation without `requests`) neither
    opens nor closes one, except that a refused account is refused everywhere.

    `least` models must fail together, or all if the provider has fewer; in failures of model scope also `share` of
    those that were well. A failure counts for `window_s`, or for its model's interval if that is longer. The reasons of
    an outage (`OUTAGE`) are of one kind; the commonest names the incident.
    """

    def __init__(
        self,
        *,
        least: int = 3,
        share: float = 0.6,
        window_s: float = 600.0,
        first_pause_s: float = 60.0,
        longest_pause_s: float = 1800.0,
    ) -> None:
        self._least = least
        self._share = share
        self._window_s = window_s
        self._first_pause_s = first_pause_s
        self._longest_pause_s = longest_pause_s
        self._providers: dict[str, _Provider] = {}

    def plan(self, providers: Mapping[str, Collection[str]]) -> None:
        """Set the enabled models of each provider. What left is forgotten, with the incidents that told of it alone."""
        self._providers = {name: self._providers.get(name) or _Provider(name=name) for name in providers}
        for name, models in providers.items():
            self._providers[name].retain(models)

    def restore(self, incidents: Iterable[Incident]) -> None:
        """Take up the incidents that were open before a restart, after `plan`; a first try of each is due soon."""
        for incident in incidents:
            provider = self._providers.get(incident.provider)
            if provider is None or incident.closed_at is not None:
                continue
            affected = set(incident.model_ids) & provider.models
            if affected:
                shared = incident.scope is not Scope.ACCOUNT and incident.reason in SHARED
                provider.lasting = self._begin(
                    incident.scope, incident.reason, affected, incident.opened_at, shared=shared
                )

    def retry(self) -> None:
        """Let the next try of every incident be made at once: the cause may just have been mended."""
        for provider in self._providers.values():
            if provider.lasting is not None:
                provider.lasting.paused_at -= timedelta(seconds=provider.lasting.pause_s)
                provider.lasting.pause_s, provider.lasting.tried_at = self._first_pause_s, None

    def open(self) -> tuple[Incident, ...]:
        """Return the incidents that last, by provider in the order of the plan."""
        return tuple(p.incident(p.lasting) for p in self._providers.values() if p.lasting is not None)

    def of(self, provider: str) -> Incident | None:
        """Return the incident that lasts at this provider."""
        known = self._providers.get(provider)
        return None if known is None or known.lasting is None else known.incident(known.lasting)

    def next_try(self, provider: str) -> datetime | None:
        """Return when `may_ask` will next be true, as aware UTC; None when nothing holds the provider back."""
        known = self._providers.get(provider)
        if known is None or known.lasting is None:
            return None
        lasting = known.lasting
        if lasting.tried_at is not None:
            return lasting.tried_at + timedelta(seconds=TRY_LASTS_S)
        return lasting.paused_at + timedelta(seconds=lasting.pause_s)

    def may_ask(self, provider: str, now: datetime) -> bool:
        """Say whether a request for inference may be sent now; ask right before sending it.

        During an incident True makes this request the one try: False until it is observed or `TRY_LASTS_S` have passed.
        """
        known = self._providers.get(provider)
        if known is None or known.lasting is None:
            return True
        lasting = known.lasting
        if _is_within(lasting.pause_s, lasting.paused_at, now):
            return False
        if lasting.tried_at is not None and _is_within(TRY_LASTS_S, lasting.tried_at, now):
            return False
        lasting.tried_at = now
        return True

    def observe(self, observation: Observation, now: datetime, *, reachable: bool | None = None) -> list[Incident]:
        """Take a finished probe; return the incidents that it closed and opened, in this order.

        `reachable` is what a connectivity check said: False when nothing at all can be reached from here. A model that
        is not in the plan is passed over.
        """
        provider = self._providers.get(observation.provider)
        if provider is None or observation.model_id not in provider.models:
            return []
        lasting = provider.lasting
        if observation.reason in NOT_ASKED:
            # Held back by the cause of the whole host or account: then it is on this model too.
            held_back = observation.reason is Reason.BACKOFF and observation.model_id not in provider.settled
            if lasting is not None and held_back and not lasting.shared:
                lasting.affected.add(observation.model_id)
            return []
        provider.learn(observation, now, self._window_s)
        found = self._find(provider, observation, now)
        if lasting is None or (found is not None and _replaces(found, lasting)):
            if found is None:
                return []
            closed = [] if lasting is None else [provider.close(lasting, observation.model_id, now)]
            if reachable is False and _is_silence(observation) and found.reason in OWN_NETWORK:
                found.scope = Scope.CLIENT
            _heed(found, observation)
            provider.lasting = found
            return [*closed, provider.incident(found)]
        if _ends(observation, lasting):
            return [provider.close(lasting, observation.model_id, now)]
        if _is_hit(provider, observation, lasting):
            lasting.affected.add(observation.model_id)
        if lasting.tried_at is not None and _is_told(observation):
            self._end_try(observation, lasting, now)
        _heed(lasting, observation)
        return _move(provider, observation, lasting, now, reachable)

    def _find(self, provider: _Provider, observation: Observation, now: datetime) -> _Lasting | None:
        """Return the incident that this observation, with those before it, gives away."""
        if _is_refusal(observation):
            return self._begin(Scope.ACCOUNT, observation.reason, {observation.model_id}, now)
        if observation.scope is Scope.HOST:
            unreached = provider.unreached = _counting(provider.unreached, now)
            if len(unreached) < min(self._least, len(provider.models - provider.settled)):
                return None
            return self._begin(Scope.HOST, _commonest(unreached), set(unreached), now)
        if observation.reason not in SHARED or observation.model_id not in provider.fallen:
            return None
        fallen = provider.fallen = _counting(provider.fallen, now)
        alike = {key: failure for key, failure in fallen.items() if is_alike(failure.reason, observation.reason)}
        if len(alike) < max(self._least, self._share * (len(provider.well) + len(fallen))):
            return None
        return self._begin(Scope.HOST, _commonest(alike), set(alike), now, shared=True)

    def _begin(
        self, scope: Scope, reason: Reason, affected: set[str], at: datetime, *, shared: bool = False
    ) -> _Lasting:
        return _Lasting(
            scope=scope,
            reason=reason,
            shared=shared,
            affected=affected,
            opened_at=at,
            pause_s=self._first_pause_s,
            paused_at=at,
        )

    def _end_try(self, observation: Observation, lasting: _Lasting, now: datetime) -> None:
        lasting.tried_at = None
        # A model that the shared cause passed by has nothing to say of it: the next one tries at once.
        if not (lasting.shared and _is_answer(observation) and not _is_same(observation, lasting)):
            lasting.paused_at = now
            lasting.pause_s = min(2 * lasting.pause_s, self._longest_pause_s)


def _heed(lasting: _Lasting, observation: Observation) -> None:
    """Pause for as long as the host asked for, within reason."""
    lasting.pause_s = max(lasting.pause_s, min(observation.retry_after_s or 0.0, LONGEST_GAP_S))


def is_alike(reason: Reason, other: Reason) -> bool:
    """Say whether two failures may come of one cause."""
    return reason is other or {reason, other} <= OUTAGE


def _commonest(failures: Mapping[str, _Failure]) -> Reason:
    return Counter(failure.reason for failure in failures.values()).most_common(1)[0][0]


def _is_same(observation: Observation, lasting: _Lasting) -> bool:
    """Say whether this failed as the incident does. What the host did to all alike is of one kind only."""
    if lasting.shared:
        return is_alike(observation.reason, lasting.reason)
    return observation.reason is lasting.reason


def _replaces(found: _Lasting, lasting: _Lasting) -> bool:
    if found.scope is Scope.ACCOUNT:
        return lasting.scope is not Scope.ACCOUNT or found.reason is not lasting.reason
    return lasting.scope is Scope.ACCOUNT


def _ends(observation: Observation, lasting: _Lasting) -> bool:
    """Say whether this is an answer of another kind; one from a model that a shared cause passed by is no news."""
    if not _is_answer(observation) or _is_same(observation, lasting):
        return False
    return not lasting.shared or observation.model_id in lasting.affected


def _is_hit(provider: _Provider, observation: Observation, lasting: _Lasting) -> bool:
    if lasting.shared:
        return _is_same(observation, lasting) and observation.model_id in provider.fallen
    unreached = observation.scope is Scope.HOST and lasting.scope is not Scope.ACCOUNT
    return unreached or _is_same(observation, lasting)


def _move(
    provider: _Provider, observation: Observation, lasting: _Lasting, now: datetime, reachable: bool | None
) -> list[Incident]:
    """Change between the host's network and our own, once an incident."""
    if reachable is None or lasting.moved or lasting.reason not in OWN_NETWORK or not _is_silence(observation):
        return []
    scope = Scope.HOST if reachable else Scope.CLIENT
    if scope is lasting.scope:
        return []
    closed = provider.incident(lasting, now)
    lasting.scope, lasting.opened_at, lasting.moved = scope, now, True
    return [closed, provider.incident(lasting)]


def _counting(failures: Mapping[str, _Failure], now: datetime) -> dict[str, _Failure]:
    return {key: failure for key, failure in failures.items() if _is_within(failure.counts_s, failure.at, now)}


def _is_within(span_s: float, since: datetime, now: datetime) -> bool:
    """Say whether less than `span_s` have passed; no when the clock was set back, so that nothing waits for ever.

    A little back is no set clock: probes that end together are told in any order.
    """
    return -TRY_LASTS_S <= (now - since).total_seconds() < span_s


def _is_refusal(observation: Observation) -> bool:
    # A missing token is told as `auth_required`; once a request was refused for it, it is as much one cause for all.
    asked = observation.status is Status.UNKNOWN or observation.requests > 0
    return observation.scope is Scope.ACCOUNT and asked


def _is_answer(observation: Observation) -> bool:
    """Say whether the inference side let the request through to the model's own verdict."""
    by_model = observation.scope is Scope.MODEL and observation.requests > 0 and observation.http_status is not None
    return observation.success or by_model


def _is_told(observation: Observation) -> bool:
    """Say whether the provider was asked, as far as it could be."""
    return observation.requests > 0 or observation.scope is Scope.HOST or _is_refusal(observation)


def _is_silence(observation: Observation) -> bool:
    return observation.reason in OWN_NETWORK and observation.http_status is None


def _is_settled(observation: Observation) -> bool:
    """Say whether the model's own state is known without the inference side: gone, unserved, gated or disabled."""
    unasked = observation.scope is Scope.MODEL and observation.requests == 0 and not observation.success
    return unasked or (observation.status in SETTLED and not _is_refusal(observation))
