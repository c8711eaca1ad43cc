"""Whether a request may be spent: whole months are simulated, tick by tick, at times of our own."""

from __future__ import annotations

import heapq
import math
import random
import statistics
import timeit
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest

from exporter.budget import Budget, Refusal, Spent, month_of
from exporter.scheduler import next_slot

LIMIT = 30_000
DAY_S = 86_400.0
MODELS = [f"owner/model-{number}" for number in range(21)]
EVERY_5_MIN = dict.fromkeys(MODELS, 300.0)
UNEVEN = {**EVERY_5_MIN, MODELS[0]: 60.0, MODELS[1]: 3600.0}
JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
FEBRUARY = datetime(2026, 2, 1, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)
# A start in the last week, with a week's share of the limit, has the same pace and takes a quarter of the time.
LAST_WEEK = FEBRUARY + timedelta(days=21)
WEEKS_LIMIT = LIMIT // 4


@dataclass
class World:
    """The ticks of a scheduler, and a provider that is asked at those that the budget lets through."""

    intervals: Mapping[str, float]
    budget: Budget
    retry_share: float = 0.0
    cost_s: Callable[[str], float] = lambda model_id: 0.0
    asked: dict[str, list[float]] = field(default_factory=dict)
    refused: dict[str | None, int] = field(default_factory=dict)
    spent: dict[str, Spent] = field(default_factory=dict)
    rng: random.Random = field(default_factory=lambda: random.Random(7))

    def __post_init__(self) -> None:
        self.budget.plan(self.intervals)
        self.asked = {model_id: [] for model_id in self.intervals}

    def run(self, begin: datetime, end: datetime, *, unserved: Iterable[str] = ()) -> None:
        away = set(unserved)
        for model_id in self.intervals:
            self.budget.mark_served(model_id, model_id not in away)
        ticks = [(next_slot(key, every, begin.timestamp()), key) for key, every in self.intervals.items()]
        heapq.heapify(ticks)
        while ticks[0][0] < end.timestamp():
            at, model_id = ticks[0]
            heapq.heapreplace(ticks, (at + self.intervals[model_id], model_id))
            if model_id not in away:
                self.tick(model_id, at)

    def tick(self, model_id: str, at: float) -> None:
        now = datetime.fromtimestamp(at, UTC)
        refusal = self.budget.may_ask(model_id, now)
        self.refused[refusal] = self.refused.get(refusal, 0) + 1
        if refusal is not None:
            return
        # The request goes out a little later than the tick: the free catalogue was asked first.
        self.send(model_id, now + timedelta(seconds=self.rng.uniform(0, 2)))
        self.asked[model_id].append(at)
        later = now + timedelta(seconds=20)
        if self.rng.random() < self.retry_share and self.budget.room_for_retry(later):
            self.send(model_id, later)

    def send(self, model_id: str, at: datetime) -> None:
        self.budget.record(model_id, at)
        self.budget.record(model_id, at, requests=0, compute_s=self.cost_s(model_id))
        self.spent[month_of(at)] = self.budget.spent(at)

    def restart(self) -> None:
        """Let a new process take over, which knows what a store keeps."""
        self.budget = Budget(requests_per_month=LIMIT, spent=self.spent)
        self.budget.plan(self.intervals)
        for model_id, times in self.asked.items():
            self.budget.last_asked(model_id, datetime.fromtimestamp(times[-1], UTC))


def end_of(month: datetime) -> datetime:
    return (month + timedelta(days=32)).replace(day=1)


def in_month(share: float, month: datetime) -> datetime:
    return month + share * (end_of(month) - month)


def assert_regular(times: list[float]) -> None:
    gaps = [after - before for before, after in pairwise(times)]
    assert max(gaps) <= 1.5 * statistics.median(gaps)


def assert_even(counts: Iterable[int]) -> None:
    least, *_, most = sorted(counts)
    assert most - least <= 0.02 * most


@pytest.mark.parametrize(
    ("month", "retry_share", "intervals"),
    [
        pytest.param(FEBRUARY, 0.0, EVERY_5_MIN, id="28-days-no-retries"),
        pytest.param(APRIL, 0.3, EVERY_5_MIN, id="30-days-many-retries"),
        pytest.param(JANUARY, 0.02, UNEVEN, id="31-days-few-retries-one-at-1-min-one-at-1-h"),
    ],
)
def test_a_month_is_never_overrun_and_is_used_to_the_end(
    month: datetime, retry_share: float, intervals: dict[str, float]
) -> None:
    world = World(intervals=intervals, budget=Budget(requests_per_month=LIMIT), retry_share=retry_share)
    world.run(month, end_of(month))

    assert 0.99 * LIMIT <= world.spent[month_of(month)].requests <= LIMIT
    for times in world.asked.values():
        assert_regular(times)
        assert times[0] <= (month + timedelta(hours=1)).timestamp()
        assert times[-1] >= (end_of(month) - timedelta(hours=9)).timestamp()
    assert_even(len(world.asked[model_id]) for model_id in MODELS[2:])
    per_wish = [len(times) * intervals[model_id] for model_id, times in world.asked.items()]
    assert max(per_wish) <= 1.05 * min(per_wish)


def test_the_days_of_a_month_and_the_minutes_of_an_hour_get_equal_shares() -> None:
    world = World(intervals=EVERY_5_MIN, budget=Budget(requests_per_month=WEEKS_LIMIT))
    world.run(LAST_WEEK, end_of(FEBRUARY))
    all_times = [at - LAST_WEEK.timestamp() for times in world.asked.values() for at in times]

    days = [sum(day <= at / DAY_S < day + 1 for at in all_times) for day in range(7)]
    assert max(days) <= 1.15 * WEEKS_LIMIT / 7
    assert min(days) >= 0.95 * WEEKS_LIMIT / 7
    # The models do not march in step: ten minutes of any half hour hold a part of the requests.
    third = [sum(int(at % 1800 // 600) == part for at in all_times if at < DAY_S) for part in range(3)]
    assert min(third) >= 0.5 * max(third)


def test_models_that_nobody_serves_leave_their_share_to_the_others_and_get_it_back() -> None:
    away = set(MODELS[:7])
    world = World(intervals=EVERY_5_MIN, budget=Budget(requests_per_month=LIMIT))
    begin, leave, back, end = (in_month(share, JANUARY) for share in (0.0, 0.3, 0.6, 1.0))
    world.run(begin, leave)
    pace_before = world.budget.effective_interval_s(MODELS[20], leave)
    world.run(leave, back, unserved=away)
    pace_between = world.budget.effective_interval_s(MODELS[20], back)
    world.run(back, end)

    assert 0.99 * LIMIT <= world.spent["2026-01"].requests <= LIMIT
    assert pace_between == pytest.approx(pace_before * 14 / 21, rel=0.05)
    for model_id, times in world.asked.items():
        spans = [(begin, leave), (back, end)] if model_id in away else [(begin, leave), (leave, back), (back, end)]
        for since, until in spans:
            within = [at for at in times if since.timestamp() <= at < until.timestamp()]
            assert_regular(within)
            assert within[0] - since.timestamp() <= 1.5 * pace_before
            assert until.timestamp() - within[-1] <= 1.5 * pace_before


def test_models_that_come_and_go_all_the_time_neither_overrun_the_month_nor_starve_others() -> None:
    world = World(intervals=EVERY_5_MIN, budget=Budget(requests_per_month=WEEKS_LIMIT))
    for hours in range(0, 7 * 24, 2):
        begin = LAST_WEEK + timedelta(hours=hours)
        world.run(begin, begin + timedelta(hours=2), unserved=MODELS[:15] if hours % 4 else ())

    assert 0.99 * WEEKS_LIMIT <= world.spent["2026-02"].requests <= WEEKS_LIMIT
    assert_even(len(world.asked[model_id]) for model_id in MODELS[15:])


def test_a_restart_leaves_the_pace_as_it_was() -> None:
    world = World(intervals=UNEVEN, budget=Budget(requests_per_month=LIMIT), retry_share=0.02)
    middle = in_month(0.5, JANUARY)
    world.run(JANUARY, middle)
    before = world.budget
    world.restart()
    assert world.budget.spent(middle) == before.spent(middle)
    # Only how many second tries there are has to be learnt again.
    pace, pace_before = (budget.effective_interval_s(MODELS[3], middle) for budget in (world.budget, before))
    assert pace == pytest.approx(pace_before, rel=0.05)
    world.run(middle, end_of(JANUARY))

    assert 0.99 * LIMIT <= world.spent["2026-01"].requests <= LIMIT
    for times in world.asked.values():
        assert_regular(times)


def test_a_restart_every_ten_minutes_spends_no_more() -> None:
    world = World(intervals=EVERY_5_MIN, budget=Budget(requests_per_month=LIMIT))
    for number in range(6 * 24):
        begin = JANUARY + timedelta(minutes=10 * number)
        world.run(begin, begin + timedelta(minutes=10))
        world.restart()

    assert world.spent["2026-01"].requests <= 1.05 * LIMIT / 31


def test_a_start_in_the_middle_of_a_month_spreads_the_whole_limit_over_the_rest_and_the_next_month_is_new() -> None:
    world = World(intervals=EVERY_5_MIN, budget=Budget(requests_per_month=10_000))
    world.run(JANUARY + timedelta(days=28), FEBRUARY + timedelta(days=3))

    assert 0.99 * 10_000 <= world.spent["2026-01"].requests <= 10_000
    assert world.spent["2026-02"].requests == pytest.approx(0.97 * 10_000 * 3 / 28, rel=0.05)
    # Only the very last ticks of a month may find nothing left.
    assert world.refused.get(Refusal.SPENT, 0) <= 2 * len(MODELS)


@pytest.mark.parametrize(
    "requests",
    [
        pytest.param(None, id="compute-alone"),
        pytest.param(LIMIT, id="compute-is-stricter"),
        pytest.param(500, id="requests-are-stricter"),
    ],
)
def test_compute_seconds_are_a_limit_too_and_the_stricter_one_holds(requests: int | None) -> None:
    cost_s = {**dict.fromkeys(MODELS, 0.016), MODELS[0]: 4.1, MODELS[1]: 0.85}
    world = World(
        intervals=EVERY_5_MIN,
        budget=Budget(requests_per_month=requests, compute_s_per_month=833.0),
        cost_s=cost_s.__getitem__,
    )
    world.run(JANUARY + timedelta(days=24), end_of(JANUARY))

    spent = world.spent["2026-01"]
    assert spent.requests <= (requests or math.inf)
    # What a request computes is known afterwards: the last one may end past the limit.
    assert spent.compute_s <= 833.0 + 4.1
    assert max(spent.requests / (requests or math.inf), spent.compute_s / 833.0) >= 0.97
    for times in world.asked.values():
        assert_regular(times)


def test_before_any_compute_second_was_measured_its_limit_holds_nothing_back() -> None:
    budget = Budget(requests_per_month=None, compute_s_per_month=10.0)
    budget.plan(EVERY_5_MIN)
    assert budget.effective_interval_s(MODELS[0], JANUARY) == 300.0
    assert budget.may_ask(MODELS[0], JANUARY) is None
    budget.record(MODELS[0], JANUARY, compute_s=2.0)
    # 10 s less 3 % in reserve and the 2 s spent, at 2 s a request.
    seconds = 31 * DAY_S
    assert budget.effective_interval_s(MODELS[0], JANUARY) == pytest.approx(21 * seconds / (7.7 / 2))


@pytest.mark.parametrize(
    ("spent", "expected_mean_s"),
    [
        pytest.param({"2025-12": Spent(requests=10, compute_s=40.0)}, 4.0, id="the-month-before"),
        pytest.param(
            {"2025-12": Spent(requests=10, compute_s=40.0), "2026-01": Spent(requests=30, compute_s=40.0)},
            2.0,
            id="both-months",
        ),
        pytest.param({"2026-01": Spent(requests=10, compute_s=5.0)}, 0.5, id="this-month"),
        pytest.param(
            {"2025-11": Spent(requests=10, compute_s=90.0), "2026-01": Spent(requests=10, compute_s=5.0)},
            0.5,
            id="older-ones-are-forgotten",
        ),
    ],
)
def test_the_cost_of_a_request_is_the_mean_of_this_month_and_the_one_before(
    spent: dict[str, Spent], expected_mean_s: float
) -> None:
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    budget = Budget(requests_per_month=None, compute_s_per_month=1000.0, spent=spent)
    budget.plan(EVERY_5_MIN)
    room = (1000.0 * (1 - 0.03 * 0.5 / 31) - budget.spent(now).compute_s) / expected_mean_s
    # The wish is stretched only when it needs more than that, so the projection is taken where it does.
    budget.plan({**EVERY_5_MIN, "fast": 0.1})
    assert budget.projected(now) == pytest.approx(budget.spent(now).requests + room)


def test_without_a_limit_nothing_is_held_back() -> None:
    world = World(intervals=UNEVEN, budget=Budget(requests_per_month=None), cost_s=lambda model_id: 4.0)
    end = JANUARY + timedelta(days=2)
    world.run(JANUARY, end)

    assert set(world.refused) == {None}
    assert world.budget.spent(end).requests == sum(len(times) for times in world.asked.values())
    assert world.budget.effective_interval_s(MODELS[0], end) == 60.0
    assert world.budget.room_for_retry(end)
    assert world.budget.projected_free(end) == pytest.approx(31 * DAY_S * (19 / 300 + 1 / 60 + 1 / 3600))
    assert world.budget.projected(end) == pytest.approx(world.budget.projected_free(end), rel=1e-3)


def test_a_limit_that_is_enough_holds_nothing_back_either() -> None:
    world = World(intervals=EVERY_5_MIN, budget=Budget(requests_per_month=200_000))
    world.run(JANUARY, JANUARY + timedelta(days=1))
    world.run(JANUARY + timedelta(days=30), end_of(JANUARY))

    assert set(world.refused) == {None}
    assert world.budget.projected_free(JANUARY) == pytest.approx(21 * 31 * 288)
    # A second probe of a tick that comes early, as after a start, is not held back.
    early = end_of(JANUARY) - timedelta(seconds=1)
    assert world.budget.may_ask(MODELS[0], early) is None


def test_many_models_that_were_never_asked_are_spread_and_few_are_asked_at_once() -> None:
    many = {f"owner/model-{number}": 3600.0 for number in range(1000)}
    world = World(intervals=many, budget=Budget(requests_per_month=3000))
    world.run(JANUARY, JANUARY + timedelta(days=3))
    assert 0.8 <= world.spent["2026-01"].requests / (3000 * 3 / 31) <= 1.2

    few = World(intervals=EVERY_5_MIN, budget=Budget(requests_per_month=500))
    few.run(JANUARY, JANUARY + timedelta(minutes=5))
    assert all(few.asked.values())


def test_a_month_whose_limit_went_early_is_followed_by_one_without_a_burst() -> None:
    many = {f"owner/model-{number}": 3600.0 for number in range(1000)}
    world = World(intervals=many, budget=Budget(requests_per_month=3000, spent={"2026-01": Spent(requests=3000)}))
    for model_id in many:
        world.budget.last_asked(model_id, JANUARY + timedelta(hours=1))
    world.run(FEBRUARY - timedelta(days=1), FEBRUARY)
    assert set(world.refused) == {Refusal.SPENT}
    world.run(FEBRUARY, FEBRUARY + timedelta(days=2))
    assert world.spent["2026-02"].requests <= 1.2 * 3000 * 2 / 28


def test_the_order_of_the_models_changes_nothing() -> None:
    odd = {model_id: 60.0 + 7.3 * number for number, model_id in enumerate(MODELS)}
    worlds = [
        World(intervals=intervals, budget=Budget(requests_per_month=LIMIT))
        for intervals in (odd, dict(reversed(odd.items())))
    ]
    for world in worlds:
        world.run(JANUARY, JANUARY + timedelta(days=2))
    assert worlds[0].asked == worlds[1].asked


def test_a_persons_wish_is_not_paced_and_never_goes_over() -> None:
    budget = Budget(requests_per_month=40)
    budget.plan(EVERY_5_MIN)
    outcomes = []
    for number in range(50):
        now = JANUARY + timedelta(seconds=number)
        outcomes.append(budget.may_ask(MODELS[0], now, forced=True))
        if outcomes[-1] is None:
            budget.record(MODELS[0], now)

    assert outcomes == [None] * 40 + [Refusal.SPENT] * 10
    now = JANUARY + timedelta(minutes=1)
    assert budget.may_ask(MODELS[1], now) is Refusal.SPENT
    assert not budget.room_for_retry(now)
    assert budget.projected(now) == 40
    assert budget.spent(now) == Spent(requests=40)
    assert budget.effective_interval_s(MODELS[0], now) > 31 * DAY_S
    assert budget.may_ask(MODELS[1], end_of(JANUARY), forced=True) is None


def test_second_tries_and_scans_leave_the_models_own_times_as_they_are() -> None:
    quiet, disturbed = (World(intervals=EVERY_5_MIN, budget=Budget(requests_per_month=LIMIT)) for _ in range(2))
    scan = JANUARY + timedelta(hours=6)
    for world in (quiet, disturbed):
        world.run(JANUARY, scan)
        if world is disturbed:
            for model_id in MODELS:
                assert world.budget.may_ask(model_id, scan, forced=True) is None
                world.budget.record(model_id, scan)
                world.budget.record(model_id, scan + timedelta(seconds=20))
        world.run(scan, scan + timedelta(minutes=45))
    for model_id in MODELS:
        nexts = [min(at for at in world.asked[model_id] if at >= scan.timestamp()) for world in (quiet, disturbed)]
        # So many at once slow down the pace a little: a tick at the most.
        assert 0 <= nexts[1] - nexts[0] <= 301


def test_a_wild_day_of_scans_does_not_slow_down_the_next_month_for_long() -> None:
    world = World(intervals=EVERY_5_MIN, budget=Budget(requests_per_month=LIMIT))
    wild = FEBRUARY - timedelta(days=1)
    for number in range(20_000):
        world.send(MODELS[number % 21], wild + timedelta(seconds=number))
    slowed = world.budget.effective_interval_s(MODELS[0], FEBRUARY)
    world.run(FEBRUARY, FEBRUARY + timedelta(days=4))
    assert slowed <= 2.1 * 28 * DAY_S * 21 / LIMIT
    assert world.budget.effective_interval_s(MODELS[0], FEBRUARY + timedelta(days=4)) <= 0.55 * slowed


def test_scans_every_three_hours_are_paid_for_by_a_slower_pace() -> None:
    world = World(intervals=EVERY_5_MIN, budget=Budget(requests_per_month=WEEKS_LIMIT))
    at = LAST_WEEK
    scanned = 0
    while at < end_of(FEBRUARY):
        for model_id in MODELS:
            if world.budget.may_ask(model_id, at, forced=True) is None:
                world.send(model_id, at)
                scanned += 1
        world.run(at, at + timedelta(hours=3))
        at += timedelta(hours=3)

    assert scanned == 7 * 8 * 21
    assert 0.99 * WEEKS_LIMIT <= world.spent["2026-02"].requests <= WEEKS_LIMIT
    for times in world.asked.values():
        assert_regular(times)


@pytest.mark.parametrize("back", [timedelta(minutes=20), timedelta(days=3), timedelta(days=40)], ids=str)
def test_a_clock_that_goes_back_stops_nobody(back: timedelta) -> None:
    world = World(intervals=EVERY_5_MIN, budget=Budget(requests_per_month=LIMIT // 2))
    middle = in_month(0.5, JANUARY)
    world.run(middle - timedelta(days=1), middle)
    spent = world.spent["2026-01"].requests
    counts = {model_id: len(times) for model_id, times in world.asked.items()}
    world.run(middle - back, middle - back + timedelta(hours=2))

    more = [len(times) - counts[model_id] for model_id, times in world.asked.items()]
    assert 2 <= min(more) <= max(more) <= 6
    assert sum(entry.requests for entry in world.spent.values()) == spent + sum(more)


def test_a_new_plan_keeps_what_the_models_that_stay_did_last() -> None:
    budget = Budget(requests_per_month=LIMIT)
    budget.plan(EVERY_5_MIN)
    first, second, third = MODELS[:3]
    for model_id in (first, second, third):
        assert budget.may_ask(model_id, JANUARY) is None
        budget.record(model_id, JANUARY)
    budget.mark_served(second, False)
    next_tick = JANUARY + timedelta(seconds=1)
    paced = {model_id: budget.may_ask(model_id, next_tick) for model_id in (first, third)}
    assert paced == {first: Refusal.PACED, third: Refusal.PACED}

    budget.plan({model_id: every for model_id, every in EVERY_5_MIN.items() if model_id != third})
    demand = 19 / 300
    assert budget.projected_free(JANUARY) == pytest.approx(31 * DAY_S * demand)
    assert budget.may_ask(first, next_tick) is Refusal.PACED
    budget.plan(EVERY_5_MIN)
    assert budget.may_ask(first, next_tick) is Refusal.PACED
    assert budget.may_ask(third, next_tick) is None


def test_a_new_limit_holds_for_what_was_spent_already() -> None:
    budget = Budget(requests_per_month=None, spent={"2026-01": Spent(requests=100)})
    budget.plan(EVERY_5_MIN)
    budget.limit(requests_per_month=100)
    assert budget.may_ask(MODELS[0], JANUARY) is Refusal.SPENT
    budget.limit(requests_per_month=101)
    assert budget.may_ask(MODELS[0], JANUARY, forced=True) is None
    budget.limit(requests_per_month=None)
    assert budget.effective_interval_s(MODELS[0], JANUARY) == 300.0


def test_what_was_asked_last_may_be_restored_before_the_plan() -> None:
    budget = Budget(requests_per_month=LIMIT)
    budget.last_asked(MODELS[0], JANUARY)
    budget.plan(EVERY_5_MIN)
    soon = JANUARY + timedelta(minutes=5)
    assert budget.may_ask(MODELS[0], soon) is Refusal.PACED
    assert budget.may_ask(MODELS[1], soon) is None


def test_a_model_that_is_not_planned_is_counted_and_refused_only_when_nothing_is_left() -> None:
    budget = Budget(requests_per_month=2)
    budget.plan(EVERY_5_MIN)
    budget.mark_served("owner/other", False)
    assert budget.projected_free(JANUARY) == pytest.approx(21 * 31 * 288)
    for _ in range(2):
        assert budget.may_ask("owner/other", JANUARY) is None
        budget.record("owner/other", JANUARY)
    assert budget.may_ask("owner/other", JANUARY) is Refusal.SPENT
    with pytest.raises(KeyError, match="owner/other"):
        budget.effective_interval_s("owner/other", JANUARY)


def test_telling_twice_that_a_model_is_unserved_tells_it_once() -> None:
    budget = Budget(requests_per_month=None)
    budget.plan(EVERY_5_MIN)
    for served in (True, False, False, True, True, False):
        budget.mark_served(MODELS[0], served)
    assert budget.projected_free(JANUARY) == pytest.approx(20 * 31 * 288)


def test_a_request_of_a_model_that_has_just_left_is_counted() -> None:
    budget = Budget(requests_per_month=LIMIT)
    budget.plan(EVERY_5_MIN)
    assert budget.may_ask(MODELS[0], JANUARY) is None
    budget.plan({})
    budget.record(MODELS[0], JANUARY, compute_s=0.5)
    assert budget.spent(JANUARY) == Spent(requests=1, compute_s=0.5)


def test_a_model_that_left_and_came_back_is_held_to_be_served() -> None:
    budget = Budget(requests_per_month=None)
    budget.plan(EVERY_5_MIN)
    budget.mark_served(MODELS[0], False)
    budget.plan({})
    assert budget.projected_free(JANUARY) == 0
    budget.plan(EVERY_5_MIN)
    assert budget.projected_free(JANUARY) == pytest.approx(21 * 31 * 288)


def test_nothing_is_wished_when_nobody_serves_anything() -> None:
    budget = Budget(requests_per_month=LIMIT, spent={"2026-01": Spent(requests=5)})
    budget.plan(EVERY_5_MIN)
    for model_id in MODELS:
        budget.mark_served(model_id, False)
    assert budget.projected(JANUARY) == pytest.approx(5)
    assert budget.effective_interval_s(MODELS[0], JANUARY) == 300.0


@pytest.mark.parametrize(
    ("spent", "expected"),
    [
        pytest.param(0, 0.97 * LIMIT, id="all-but-the-reserve"),
        pytest.param(LIMIT // 2, 0.97 * LIMIT, id="half-spent"),
        pytest.param(LIMIT - 10, LIMIT - 10, id="only-the-reserve-is-left"),
        pytest.param(LIMIT + 10, LIMIT + 10, id="the-limit-was-lowered"),
    ],
)
def test_the_projection_is_what_is_spent_and_what_the_pace_will_spend(spent: int, expected: float) -> None:
    budget = Budget(requests_per_month=LIMIT, spent={"2026-01": Spent(requests=spent)})
    budget.plan(EVERY_5_MIN)
    assert budget.projected(JANUARY) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("now", "month"),
    [
        pytest.param(datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC), "2026-11", id="last-second"),
        pytest.param(datetime(2026, 12, 1, tzinfo=UTC), "2026-12", id="first-second"),
        pytest.param(datetime(2026, 12, 1, 1, tzinfo=timezone(timedelta(hours=2))), "2026-11", id="another-zone"),
    ],
)
def test_a_month_is_one_of_the_utc_calendar(now: datetime, month: str) -> None:
    assert month_of(now) == month
    budget = Budget(requests_per_month=LIMIT, spent={month: Spent(requests=3)})
    assert budget.spent(now) == Spent(requests=3)
    assert budget.spent(now + timedelta(days=40)) == Spent()


def test_ten_thousand_models_cost_a_question_no_more_than_ten() -> None:
    def seconds(count: int) -> float:
        budget = Budget(requests_per_month=1_000_000, compute_s_per_month=1e6)
        budget.plan({f"owner/model-{number}": 60.0 for number in range(count)})

        def questions() -> None:
            for number in range(10):
                model_id = f"owner/model-{number}"
                budget.may_ask(model_id, JANUARY)
                budget.record(model_id, JANUARY, compute_s=1.0)
                budget.mark_served(model_id, number % 2 == 0)
                budget.mark_served(model_id, True)
                budget.effective_interval_s(model_id, JANUARY)
                budget.projected(JANUARY)

        return min(timeit.repeat(questions, number=5, repeat=5))

    # One pass over the models in any of them would make it hundreds of times as much.
    assert seconds(10_000) < 10 * seconds(10)
