"""Say which model to use now in place of one that is down. Pure: no clock, no I/O, and it asks nobody.

Two rules keep a flapping model from flapping its users: a choice is left only after several results in a row that are
the model's own fault, and the first choice is taken back only when it has been well for a while. A failure of the
account, the host or ourselves says nothing of a model, so it moves no choice.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from typing import Final, TypeAlias

from exporter.models import Event, EventKind, Model, Reason, Scope, Status, rfc3339

# A derived chain is every model of the task; of thousands only the first are listed, all of them are used.
LONGEST_CHAIN: Final = 20

Group: TypeAlias = tuple[str | None, str | None]  # task and category, None for any
Rank: TypeAlias = tuple[bool, float, float, str]  # degraded, less success, more latency, the model's id: best first


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """The newest result of one model, and how well it did lately: percent of success, seconds of a usual answer."""

    model_id: str
    status: Status
    reason: Reason
    scope: Scope = Scope.MODEL
    success_rate: float | None = None
    latency_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """The model to use now, and `why`, for a human. `model_id` is None when nothing works.

    `provider`, `status` and `reason` are those of `model_id`, else of the model that was `wanted`, else of the first
    in the chain. `reason` is None where nothing is known yet. `chain` is best first; empty when no model is
    configured for what was asked.
    """

    model_id: str | None
    provider: str | None
    status: Status
    reason: Reason | None
    wanted: str | None
    why: str
    chain: tuple[str, ...]


class Fallback:
    """The model in use for each configured one: itself while it works, else the next of its chain that does.

    A model is left after `down_after` results in a row by its own fault, and taken back when it has been well for
    `heal_after_s` seconds. What takes its place stays while it works: nobody hops to a slightly better one.
    """

    def __init__(self, *, down_after: int = 2, heal_after_s: float = 900.0) -> None:
        self._down_after = down_after
        self._heal_after_s = heal_after_s
        self._models: dict[str, Model] = {}
        self._health: dict[str, _Health] = {}
        self._order = _Ranking()
        self._usable = _Ranking()
        # Only of models that are not their own choice. None: nothing in the chain works.
        self._displaced: dict[str, str | None] = {}
        self._users: dict[str | None, set[str]] = {}
        self._favourites: dict[Group, str] = {}

    def plan(self, models: Sequence[Model]) -> None:
        """Take the configuration; models that are not enabled take no part. What is known of those that stay is kept.

        A choice that the new chains do not allow is dropped: `tick` says what comes in its place.
        """
        self._models = {model.model_id: model for model in models if model.enabled}
        self._health = {model_id: self._health.get(model_id, _Health()) for model_id in self._models}
        self._order, self._usable = _Ranking(), _Ranking()
        for model_id in self._models:
            self._rank(model_id)
        self._favourites = {
            group: model_id
            for group, model_id in self._favourites.items()
            if model_id in self._models and group in _groups(self._models[model_id])
        }
        choices, self._displaced, self._users = self._displaced, {}, {}
        self.restore(choices)

    def restore(self, choices: Mapping[str, str | None]) -> None:
        """Go on with the choices of an earlier run (the newest `after` of each model's events); call it after plan."""
        for wanted, chosen in choices.items():
            if wanted in self._models:
                self._move(wanted, chosen if chosen is not None and self._allows(wanted, chosen) else None)

    def update(self, candidate: Candidate, now: datetime) -> list[Event]:
        """Take one result; return the choices that it changed. A model that is not configured is ignored."""
        before = self._health.get(candidate.model_id)
        # Where the budget forbade to ask nothing was learnt: what was known holds.
        if before is None or candidate.reason is Reason.BUDGET:
            return []
        after = before.after(candidate, now)
        self._health[candidate.model_id] = after
        self._rank(candidate.model_id)
        affected = {candidate.model_id} | self._users.get(candidate.model_id, set())
        if before.well_since is None and after.well_since is not None:
            affected |= self._users.get(None, set())
        return self._settle(affected, now)

    def tick(self, now: datetime) -> list[Event]:
        """Heal by time: return the choices that changed since the newest result."""
        return self._settle(self._displaced, now)

    def resolve(
        self, *, model: str | None = None, task: str | None = None, category: str | None = None, now: datetime
    ) -> Resolution:
        """Return what to use now for a model, or as the best one of a task, a category or both.

        Raises KeyError for a model that is not configured (or not enabled), and ValueError when none of the three is
        given or the model is of another task or category than the ones given.
        """
        if model is None:
            if task is None and category is None:
                raise ValueError("say which model, task or category")
            return self._resolve_group((task, category))
        if (task, category) not in ((None, None), *_groups(self._models[model])):
            raise ValueError(f"{model} is of task {self._models[model].task}, category {self._models[model].category}")
        chosen = self._choose(model, now)
        return self._resolution(chosen, model, self._why(model, chosen), self.chain(model))

    def in_use(self) -> Mapping[str, str]:
        """Return the fallback of each model that has one in use now."""
        return {wanted: chosen for wanted, chosen in self._displaced.items() if chosen is not None}

    def chain(self, model_id: str) -> tuple[str, ...]:
        """Return the model and what may take its place, best first. Raises KeyError for an unknown model.

        The configured chain, else derived: the models of its task, those of its category first, by recent success,
        then by latency; at most LONGEST_CHAIN ids.
        """
        model = self._models[model_id]
        if model.fallback:
            return (model_id, *(other for other in model.fallback if other in self._models))
        near = self._order.best((model.task, model.category), LONGEST_CHAIN)
        # Twice as many, as those of the category are met here again.
        far = self._order.best((model.task, None), 2 * LONGEST_CHAIN)
        return tuple(dict.fromkeys((model_id, *near, *far)))[:LONGEST_CHAIN]

    def _rank(self, model_id: str) -> None:
        health, groups = self._health[model_id], _groups(self._models[model_id])
        self._order.put((False, *health.merit, model_id), groups)
        self._usable.discard(model_id)
        if health.well_since is not None:
            self._usable.put((health.status is Status.DEGRADED, *health.merit, model_id), groups)

    def _settle(self, model_ids: Iterable[str], now: datetime) -> list[Event]:
        events = []
        for wanted in sorted(model_ids):
            before, after = self._displaced.get(wanted, wanted), self._choose(wanted, now)
            if before != after:
                self._move(wanted, after)
                events.append(
                    Event(
                        at=now,
                        kind=EventKind.FALLBACK_CHANGED,
                        provider=self._models[wanted].provider,
                        model_id=wanted,
                        before=before,
                        after=after,
                        message=self._why(wanted, after),
                    )
                )
        return events

    def _move(self, wanted: str, chosen: str | None) -> None:
        if wanted in self._displaced:
            self._users[self._displaced.pop(wanted)].discard(wanted)
        if chosen != wanted:
            self._displaced[wanted] = chosen
            self._users.setdefault(chosen, set()).add(wanted)

    def _choose(self, wanted: str, now: datetime) -> str | None:
        present = self._displaced.get(wanted, wanted)
        if present is None:
            return self._pick(wanted)
        if present != wanted and self._is_healed(wanted, present, now):
            return wanted
        return self._pick(wanted) if self._is_down(present) else present

    def _is_down(self, model_id: str) -> bool:
        return self._health[model_id].faults >= self._down_after

    def _is_healed(self, wanted: str, present: str, now: datetime) -> bool:
        health = self._health[wanted]
        if health.well_since is None or now - health.well_since < timedelta(seconds=self._heal_after_s):
            return False
        return health.status is Status.AVAILABLE or self._health[present].status is Status.DEGRADED

    def _pick(self, wanted: str) -> str | None:
        """Return the first of the chain that is available, else degraded; None when none is."""
        model = self._models[wanted]
        others: Iterable[str] = self.chain(wanted)
        if not model.fallback:
            # The two best, as the wanted one may be the best.
            others = self._usable.best((model.task, model.category), 2) + self._usable.best((model.task, None), 2)
        # Last of all the wanted one itself: it was down, and has not been well for long enough to be relied on.
        order = [*(other for other in others if other != wanted), wanted]
        usable = [model_id for model_id in order if self._health[model_id].well_since is not None]
        return min(usable, key=lambda model_id: self._health[model_id].status is Status.DEGRADED, default=None)

    def _allows(self, wanted: str, chosen: str) -> bool:
        if self._models[wanted].fallback:
            return chosen in self.chain(wanted)
        return chosen in self._models and self._models[chosen].task == self._models[wanted].task

    def _resolve_group(self, group: Group) -> Resolution:
        chosen, chain = self._favourites.get(group), self._order.best(group, LONGEST_CHAIN)
        if chosen is None or self._is_down(chosen):
            chosen = next(iter(self._usable.best(group, 1)), None)
        if chosen is not None:
            self._favourites[group] = chosen
            return self._resolution(chosen, None, f"{chosen} is {self._health[chosen]}", chain)
        asked = " and ".join(f"{word} {name}" for word, name in zip(("task", "category"), group, strict=True) if name)
        why = f"no model of {asked} is known to work" if chain else f"no model is configured for {asked}"
        return self._resolution(None, None, why, chain)

    def _resolution(self, chosen: str | None, wanted: str | None, why: str, chain: tuple[str, ...]) -> Resolution:
        shown = chosen or wanted or next(iter(chain), None)
        health = self._health[shown] if shown else _Health()
        return Resolution(
            model_id=chosen,
            provider=self._models[shown].provider if shown else None,
            status=health.status,
            reason=health.reason,
            wanted=wanted,
            why=why,
            chain=chain if chosen is None or chosen in chain else (*chain, chosen),
        )

    def _why(self, wanted: str, chosen: str | None) -> str:
        health = self._health[wanted]
        if chosen is None:
            return f"{wanted} is {health}, and nothing else in its chain is known to work"
        if chosen != wanted:
            if health.well_since is None:
                return f"{chosen} stands in for {wanted}, which is {health}"
            well = f"well again since {rfc3339(health.well_since)} and must stay so for {self._heal_after_s:g} s"
            return f"{chosen} stands in for {wanted}, which is {well}"
        if health.well_since is not None or health.reason is None:
            return f"{wanted} is {health}"
        if health.is_own_fault:
            return f"{wanted} is {health}; it is left after {self._down_after} such results in a row"
        return f"{wanted} is {health}; that is not its own fault, so the choice stays"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Health:
    """What the results of one model add up to. Well means that its newest result was a usable answer."""

    status: Status = Status.UNKNOWN
    reason: Reason | None = None
    is_own_fault: bool = False
    faults: int = 0
    well_since: datetime | None = None
    merit: tuple[float, float] = (1.0, inf)

    def after(self, candidate: Candidate, now: datetime) -> _Health:
        """Return the health after one more result. What is unknown interrupts being well, but not being down."""
        well = candidate.status in (Status.AVAILABLE, Status.DEGRADED)
        is_own_fault = not well and candidate.scope is Scope.MODEL and candidate.status is not Status.UNKNOWN
        return _Health(
            status=candidate.status,
            reason=candidate.reason,
            is_own_fault=is_own_fault,
            faults=0 if well else self.faults + is_own_fault,
            well_since=(self.well_since or now) if well else None,
            merit=(
                # Whoever has no success rate comes after one who never succeeded.
                1.0 if candidate.success_rate is None else -candidate.success_rate,
                inf if candidate.latency_s is None else candidate.latency_s,
            ),
        )

    def __str__(self) -> str:
        if self.reason is None:
            return "not checked yet"
        return self.status if self.reason is Reason.OK else f"{self.status} ({self.reason})"


class _Ranking:
    """The members of each group, best first. Kept in order, so that neither a result nor a question sorts them all."""

    def __init__(self) -> None:
        self._groups: dict[Group, list[Rank]] = {}
        self._members: dict[str, tuple[Rank, tuple[Group, ...]]] = {}

    def put(self, rank: Rank, groups: tuple[Group, ...]) -> None:
        self.discard(rank[-1])
        self._members[rank[-1]] = rank, groups
        for group in groups:
            insort(self._groups.setdefault(group, []), rank)

    def discard(self, model_id: str) -> None:
        if model_id in self._members:
            rank, groups = self._members.pop(model_id)
            for group in groups:
                del self._groups[group][bisect_left(self._groups[group], rank)]

    def best(self, group: Group, count: int) -> tuple[str, ...]:
        return tuple(rank[-1] for rank in self._groups.get(group, [])[:count])


def _groups(model: Model) -> tuple[Group, ...]:
    return (model.task, model.category), (model.task, None), (None, model.category)
