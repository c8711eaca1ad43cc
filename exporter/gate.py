"""Say whether a model may be asked now, and if not why: an incident, a back-off, the budget. Reads no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from exporter.budget import Budget, Refusal, Spent
from exporter.config import Config
from exporter.incidents import Incidents
from exporter.models import Listing, Model, Observation, Reason

# A model that the host itself calls gone is asked ever more rarely, down to once in this time; what the free catalogue
# says of it is still read every interval.
RAREST_S: Final = 3600.0
GONE: Final = frozenset({Reason.NOT_SERVED, Reason.DEPRECATED, Reason.NOT_FOUND, Reason.GATED, Reason.DISABLED})


class Skip(StrEnum):
    """Why a slot of the schedule passed without a request for inference; a bounded set, safe as a label."""

    RUNNING = "running"
    INCIDENT = "incident"
    BACKOFF = "backoff"
    PACED = "paced"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Away:
    """A model that was said to be gone: how often in a row, until when it is left alone, and what the hub said then."""

    times: int
    until: datetime
    listed: object


class Gate:
    """What may be asked, over all providers."""

    def __init__(self, incidents: Incidents) -> None:
        self._incidents = incidents
        self._away: dict[str, _Away] = {}
        self.budgets: dict[str, Budget] = {}

    def plan(self, config: Config) -> None:
        """Take a configuration; what was spent and what is known of the models that stay is kept."""
        active = config.active
        ids = {model.model_id for model in active}
        self._away = {model_id: away for model_id, away in self._away.items() if model_id in ids}
        for name, provider in config.providers.items():
            budget = self.budgets.setdefault(name, Budget(requests_per_month=None))
            budget.limit(
                requests_per_month=provider.requests_per_month, compute_s_per_month=provider.compute_s_per_month
            )
            budget.plan({model.model_id: model.interval_s for model in active if model.provider == name})

    def restore(
        self, spending: Mapping[tuple[str, str], tuple[int, float]], asked: Iterable[tuple[Model, datetime]]
    ) -> None:
        """Take up what a store remembers of the months' spending, before `plan`, and of when models were last asked."""
        for provider in {provider for provider, _ in spending}:
            spent = {
                month: Spent(requests=requests, compute_s=compute_s)
                for (name, month), (requests, compute_s) in spending.items()
                if name == provider
            }
            self.budgets[provider] = Budget(requests_per_month=None, spent=spent)
        for model, at in asked:
            self.budgets.setdefault(model.provider, Budget(requests_per_month=None)).last_asked(model.model_id, at)

    def refuses(self, model: Model, listing: Listing, now: datetime, *, forced: bool) -> Skip | Refusal | None:
        """Say why no request for inference may be sent, or None: then it is to be sent at once.

        A person's wish (`forced`) waits for no pace and for no incident, but the month's limit holds for it too.
        """
        away = self._away.get(model.model_id)
        if not forced and away is not None and now < away.until and away.listed == _listed(listing):
            return Skip.BACKOFF
        refusal = self.budgets[model.provider].may_ask(model.model_id, now, forced=forced)
        if refusal is not None:
            return Skip.PACED if refusal is Refusal.PACED else refusal
        # Last, because True makes this request the one try during an incident.
        if not forced and not self._incidents.may_ask(model.provider, now):
            return Skip.INCIDENT
        return None

    def sends(self, model: Model, now: datetime) -> None:
        """Count a request at the moment that it is sent, before anything is awaited."""
        self.budgets[model.provider].record(model.model_id, now)

    def did_not_send(self, model: Model, now: datetime) -> None:
        """Take back what `sends` counted: nothing went out."""
        self.budgets[model.provider].record(model.model_id, now, requests=-1)

    def computed(self, model: Model, now: datetime, compute_s: float | None) -> None:
        """Count what a request made the host compute, as its answer told."""
        if compute_s:
            self.budgets[model.provider].record(model.model_id, now, requests=0, compute_s=compute_s)

    def has_room(self, model: Model, now: datetime) -> bool:
        """Say whether a second try can be afforded."""
        return self.budgets[model.provider].room_for_retry(now)

    def learn(self, model: Model, listing: Listing, observation: Observation, now: datetime) -> None:
        """Take what came of a turn: who is gone is left alone for longer each time, who is not served has no share."""
        budget = self.budgets.get(model.provider)
        if observation.reason in GONE and observation.requests:
            before = self._away.get(model.model_id)
            times = 0 if before is None else before.times + 1
            pause_s = min(model.interval_s * 2.0 ** min(times, 30), max(RAREST_S, model.interval_s))
            until = now + timedelta(seconds=pause_s)
            self._away[model.model_id] = _Away(times=times, until=until, listed=_listed(listing))
        elif observation.requests:
            self._away.pop(model.model_id, None)
        if budget is not None:
            # Who is not asked takes no share of the pace.
            budget.mark_served(model.model_id, listing.served is not False and model.model_id not in self._away)


def _listed(listing: Listing) -> object:
    """Return what, when it changes in the catalogue, makes a model that was gone worth asking again."""
    return listing.canonical_id, listing.sha, listing.gated, listing.served_by and sorted(listing.served_by.items())
