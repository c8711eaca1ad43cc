"""Say whether a request may be spent: the pace at which a month's budget lasts. Reads no clock and sends nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final

from exporter.models import stable_fraction

# Kept back from the pace, as a share of what is meant for the rest of the month, for second tries and people's scans.
# It shrinks with the month, so that nothing is left over at its end.
RESERVE: Final = 0.03
# Models that were never asked, or not for long, are all asked at once when that costs no more than this share of what
# is left; otherwise they are spread over one stretched interval.
AT_ONCE_SHARE: Final = 0.05
# The weight of the newest turn in the mean number of requests a turn: about half a day of a free account's requests.
NEWEST: Final = 1 / 500
# That mean goes no higher, or one wild day of people's scans would slow down the weeks after it.
MOST_PER_TURN: Final = 2.0


class Refusal(StrEnum):
    """Why a request is not sent now."""

    PACED = "paced"
    SPENT = "spent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a provider was asked for in one month: requests for inference, and the seconds that it computed for them."""

    requests: int = 0
    compute_s: float = 0.0


def month_of(now: datetime) -> str:
    """Return the UTC calendar month of an aware datetime: `2026-11`."""
    return _month(now).name


class Budget:
    """The budget of one provider. Every limit is for a UTC calendar month; None is no limit.

    When the wished intervals need more than is left, all are stretched by one factor, by which what is left lasts to
    the end of the month; it is worked out anew at each question, so that whatever comes between is made up for. A model
    keeps a grid of its own stretched interval and is asked at the first tick after each point of it. What comes on top,
    second tries and people's scans, moves nobody's grid; the pace makes room for as many of them as there were lately.

    `now` is an aware datetime. It may go back: a model is then asked afresh, and the month's limit holds as ever.
    """

    def __init__(
        self,
        *,
        requests_per_month: int | None,
        compute_s_per_month: float | None = None,
        spent: Mapping[str, Spent] = {},
    ) -> None:
        self.limit(requests_per_month=requests_per_month, compute_s_per_month=compute_s_per_month)
        self._spent = dict(spent)
        self._intervals: dict[str, float] = {}
        self._unserved: set[str] = set()
        # The point of its grid (seconds since the epoch) for which a model was asked last.
        self._points: dict[str, float] = {}
        # Turns per second at the wished intervals, of the served models; a sum kept, not made at each question.
        self._demand = 0.0
        self._requests_per_turn = 1.0
        # Those that were let through at a point of their grid, until their request is recorded.
        self._let_through: set[str] = set()

    def limit(self, *, requests_per_month: int | None, compute_s_per_month: float | None = None) -> None:
        """Set the limits; what was spent is kept."""
        self._requests_per_month = requests_per_month
        self._compute_s_per_month = compute_s_per_month

    def plan(self, intervals: Mapping[str, float]) -> None:
        """Set the models that may cost, and how often each would be asked (seconds > 0).

        For the models that stay, what is known is kept. A model is held to be served until told otherwise.
        """
        self._intervals = dict(intervals)
        self._unserved &= intervals.keys()
        self._let_through &= intervals.keys()
        self._points = {model_id: point for model_id, point in self._points.items() if model_id in intervals}
        # fsum is exact: the order of the models leaves no trace in the pace.
        self._demand = math.fsum(1 / every for key, every in intervals.items() if key not in self._unserved)

    def mark_served(self, model_id: str, served: bool) -> None:
        """Say whether anybody serves the model: one that nobody serves costs nothing and takes no share."""
        if model_id not in self._intervals or served is (model_id not in self._unserved):
            return
        if served:
            self._unserved.remove(model_id)
            self._demand += 1 / self._intervals[model_id]
        else:
            self._unserved.add(model_id)
            self._demand -= 1 / self._intervals[model_id]

    def last_asked(self, model_id: str, at: datetime) -> None:
        """Restore when a model was last asked; before or after `plan`."""
        self._points[model_id] = at.timestamp()

    def may_ask(self, model_id: str, now: datetime, *, forced: bool = False) -> Refusal | None:
        """Return None when one request for this model may be sent now, else why not.

        A person's wish (`forced`) and a model that is not planned are not paced; nothing goes over the limit.
        """
        if self._left(now) < 1:
            return Refusal.SPENT
        if forced or model_id not in self._intervals:
            return None
        stretch = self._stretch(now)
        if stretch > 1 and now.timestamp() < self._next_point(model_id, now, stretch):
            return Refusal.PACED
        self._let_through.add(model_id)
        return None

    def record(self, model_id: str, now: datetime, *, requests: int = 1, compute_s: float = 0.0) -> None:
        """Count what was spent. Each request is to be counted when it is sent, before anything is awaited.

        Else others that are in flight could go over the limit with it. What it computed is known later: that is
        recorded with `requests=0`.
        """
        turns = 0
        if requests and model_id in self._let_through:
            turns = 1
            self._let_through.remove(model_id)
            self._points[model_id] = self._next_point(model_id, now, self._stretch(now))
        mean = self._requests_per_turn + NEWEST * (requests - turns * self._requests_per_turn)
        self._requests_per_turn = min(mean, MOST_PER_TURN)
        before = self.spent(now)
        self._spent[month_of(now)] = Spent(requests=before.requests + requests, compute_s=before.compute_s + compute_s)

    def room_for_retry(self, now: datetime) -> bool:
        """Return whether the month's limit allows one request more."""
        return self._left(now) >= 1

    def effective_interval_s(self, model_id: str, now: datetime) -> float:
        """Return the seconds between two requests at the present pace; the wished interval when that fits.

        Always finite; longer than what is left of the month when nothing is left to spend. Raises KeyError for a model
        that is not planned.
        """
        return self._intervals[model_id] * self._stretch(now)

    def spent(self, now: datetime) -> Spent:
        """Return what was spent in the month of `now`."""
        return self._spent.get(month_of(now), Spent())

    def projected(self, now: datetime) -> float:
        """Return how many requests the month will have had at its end, at the present pace."""
        return self.spent(now).requests + min(self._wished(now), max(self._room(now), 0.0))

    def projected_free(self, now: datetime) -> float:
        """Return how many requests this whole month would need at the wished intervals, with no limit and no retry."""
        return self._demand * _month(now).length_s

    def _next_point(self, model_id: str, now: datetime, stretch: float) -> float:
        """Return the next point of a model's grid, or of the new one that begins when the last point is of no use."""
        now_s = now.timestamp()
        every = self._intervals[model_id]
        point = self._points.get(model_id)
        # None, or the clock was set back behind it, or a pause, a new month or a faster pace left it far behind. The
        # new grid has a phase of the model's own, so that the models do not stay in step.
        if point is None or not -every <= now_s - point <= 2 * stretch * every:
            at_once = len(self._intervals) - len(self._unserved) <= AT_ONCE_SHARE * self._room(now)
            point = now_s - (stable_fraction(model_id) + at_once) * stretch * every
            self._points[model_id] = point
        return point + stretch * every

    def _stretch(self, now: datetime) -> float:
        """Return the factor >= 1 between the wished intervals and those that can be afforded."""
        # With less than one request left the pace of the last one holds: finite, and `may_ask` refuses anyway.
        return max(1.0, self._wished(now) / max(self._room(now), 1.0))

    def _wished(self, now: datetime) -> float:
        """Return how many requests the wished intervals need in the rest of the month, what comes on top included."""
        return self._demand * self._requests_per_turn * _rest_s(now)

    def _room(self, now: datetime) -> float:
        """Return how many requests the pace may still spend this month; infinite without a limit."""
        return self._left(now, reserve=RESERVE * _rest_s(now) / _month(now).length_s)

    def _left(self, now: datetime, *, reserve: float = 0.0) -> float:
        """Return the requests left under the stricter limit, each without the share `reserve`; infinite without."""
        spent = self.spent(now)
        left = math.inf
        if self._requests_per_month is not None:
            left = self._requests_per_month * (1 - reserve) - spent.requests
        if self._compute_s_per_month is not None:
            mean_s = self._mean_compute_s(now)
            if mean_s > 0:
                left = min(left, (self._compute_s_per_month * (1 - reserve) - spent.compute_s) / mean_s)
        return left

    def _mean_compute_s(self, now: datetime) -> float:
        """Return the mean compute seconds of a request in this month and the one before; 0 before the first."""
        first = now.astimezone(UTC).replace(day=1)
        months = [self.spent(now), self.spent(first - timedelta(days=1))]
        return sum(month.compute_s for month in months) / max(sum(month.requests for month in months), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Month:
    name: str
    length_s: float
    end_s: float


def _month(now: datetime) -> _Month:
    utc = now.astimezone(UTC)
    return _month_at(utc.year, utc.month)


@lru_cache(maxsize=8)
def _month_at(year: int, month: int) -> _Month:
    start = datetime(year, month, 1, tzinfo=UTC)
    end = (start + timedelta(days=32)).replace(day=1)
    return _Month(name=f"{year:04}-{month:02}", length_s=(end - start).total_seconds(), end_s=end.timestamp())


def _rest_s(now: datetime) -> float:
    """Return how long the UTC month of `now` still lasts, in seconds (> 0)."""
    return _month(now).end_s - now.timestamp()
