"""When: the grid, the spread, what is skipped, how much at a time, and the switch."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.models import stable_fraction
from exporter.scheduler import CATCH_UP_PER_S, Agent, Scheduler, Slots, next_slot
from tests.fakes import FakeClock

KEYS = [f"owner/model-{number}" for number in range(50)]


class Bench:
    """A scheduler on a clock of ours; `ran` tells what ran when, in seconds since its start."""

    def __init__(self, limit: int = 100) -> None:
        self.clock = FakeClock()
        self.begin = self.clock.monotonic()
        self.ran: list[tuple[float, str]] = []
        self.lateness: list[float] = []
        self.skipped: list[str] = []
        self.held: dict[str, asyncio.Event] = {}
        self.slots = Slots(limit, self.clock)
        self.scheduler = Scheduler(
            run=self.run,
            slots=self.slots,
            clock=self.clock,
            on_start=self.lateness.append,
            on_skip=self.skipped.append,
        )
        self.stop = asyncio.Event()

    async def run(self, key: str) -> None:
        self.ran.append((self.clock.monotonic() - self.begin, key))
        if key in self.held:
            await self.held[key].wait()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.scheduler.run(self.stop, grace_s=0.01))
            await settle()
            yield
            self.stop.set()
            self.scheduler.wake()

    async def pass_s(self, seconds: float, step_s: float = 1.0) -> None:
        for _ in range(round(seconds / step_s)):
            self.clock.advance(step_s)
            await settle()

    def plan(self, *keys: str, every_s: float = 300.0, last: dict[str, datetime] | None = None) -> None:
        self.scheduler.plan(dict.fromkeys(keys, every_s), last or {})


async def settle() -> None:
    """Let every task that can run, run."""
    for _ in range(25):
        await asyncio.sleep(0)


@given(st.text(max_size=20), st.floats(1, 1e6), st.floats(0, 4e9))
def test_the_next_slot_is_after_now_and_within_an_interval(key: str, every_s: float, now_s: float) -> None:
    slot = next_slot(key, every_s, now_s)
    assert now_s < slot <= now_s + every_s * (1 + 1e-9) + 1e-6
    assert next_slot(key, every_s, now_s) == slot


def test_the_hash_spreads_evenly_and_is_the_same_everywhere() -> None:
    tenths = [0] * 10
    for number in range(10_000):
        tenths[int(stable_fraction(f"owner/model-{number}") * 10)] += 1
    assert all(900 < count < 1100 for count in tenths)
    assert stable_fraction("gpt2") == pytest.approx(0.377326, abs=1e-6)


async def test_each_key_runs_once_in_each_interval_at_its_own_place() -> None:
    bench = Bench()
    now = bench.clock.now()
    bench.plan(*KEYS, last=dict.fromkeys(KEYS, now))
    async with bench.running():
        await bench.pass_s(900)
    for key in KEYS:
        times = [at for at, ran in bench.ran if ran == key]
        assert len(times) == 3
        assert [round(b - a) for a, b in itertools.pairwise(times)] == [300, 300]
        place = stable_fraction(key) * 300
        assert (times[0] + now.timestamp()) % 300 == pytest.approx(place, abs=1.1)
    busiest = max(sum(1 for at, _ in bench.ran if second <= at < second + 10) for second in range(900))
    assert busiest <= 10, "spread, not in one burst"
    assert max(bench.lateness) <= 1.0


async def test_new_keys_are_all_caught_up_soon_and_in_turn() -> None:
    bench = Bench()
    bench.plan(*KEYS[:21])
    async with bench.running():
        await bench.pass_s(6)
        assert {key for _, key in bench.ran} == set(KEYS[:21])
        first_second = [at for at, _ in bench.ran if at < 1]
        assert len(first_second) <= CATCH_UP_PER_S + 1


async def test_ten_thousand_new_keys_take_no_more_than_their_interval_and_do_not_burst() -> None:
    bench = Bench(limit=10_000)
    keys = [f"m{number}" for number in range(10_000)]
    bench.plan(*keys)
    async with bench.running():
        await bench.pass_s(302, step_s=1.0)
    assert {key for _, key in bench.ran} == set(keys)
    busiest = max(sum(1 for at, _ in bench.ran if second <= at < second + 1) for second in range(300))
    assert busiest < 80, "about 33 a second on the grid"


async def test_a_restart_waits_for_the_slot_of_what_was_just_probed_and_catches_up_what_was_missed() -> None:
    bench = Bench()
    now = bench.clock.now()
    bench.plan(*KEYS[:2], last={KEYS[0]: now, KEYS[1]: now - timedelta(hours=3)})
    async with bench.running():
        await bench.pass_s(1)
        assert [key for _, key in bench.ran] == [KEYS[1]]
        await bench.pass_s(300)
        assert [key for _, key in bench.ran].count(KEYS[0]) == 1
        assert [key for _, key in bench.ran].count(KEYS[1]) == 2, "the missed ones once, not thirty-six times"


async def test_a_slot_that_comes_while_the_key_still_runs_is_skipped_and_counted() -> None:
    bench = Bench()
    bench.held["slow"] = asyncio.Event()
    bench.plan("slow", every_s=10)
    async with bench.running():
        await bench.pass_s(35)
        assert len(bench.ran) == 1
        assert len(bench.skipped) in (3, 4)
        bench.held["slow"].set()
        await bench.pass_s(10)
        assert len(bench.ran) == 2


async def test_a_slow_key_does_not_keep_the_others_from_their_slots() -> None:
    bench = Bench(limit=2)
    bench.held["slow"] = asyncio.Event()
    bench.plan("slow", *KEYS[:10], every_s=10)
    async with bench.running():
        await bench.pass_s(30)
        assert all(sum(1 for _, ran in bench.ran if ran == key) >= 3 for key in KEYS[:10])
        bench.held["slow"].set()


async def test_no_more_run_at_a_time_than_there_are_slots_and_the_wait_is_lateness() -> None:
    bench = Bench(limit=3)
    bench.held = {key: asyncio.Event() for key in KEYS[:10]}
    bench.plan(*KEYS[:10])
    async with bench.running():
        await bench.pass_s(20)
        assert (len(bench.ran), bench.slots.in_flight) == (3, 3)
        bench.slots.resize(5)
        await settle()
        assert len(bench.ran) == 5
        for event in bench.held.values():
            event.set()
        await settle()
        assert len(bench.ran) == 10
        assert max(bench.lateness) > 15


async def test_a_new_plan_keeps_the_place_of_what_stays_and_forgets_what_left() -> None:
    bench = Bench()
    bench.plan("a", "b", every_s=100, last={"a": bench.clock.now(), "b": bench.clock.now()})
    async with bench.running():
        await bench.pass_s(5)
        due = bench.scheduler.next_due
        bench.plan("a", "c", every_s=100)
        await bench.pass_s(100)
        ran = [key for _, key in bench.ran]
        assert ran.count("a") == 1
        assert "b" not in ran
        assert ran.count("c") in (1, 2)
        assert due is not None
        bench.plan()
        assert bench.scheduler.next_due is None
        await bench.pass_s(100)
        assert len(bench.ran) == len(ran)


async def test_a_crash_of_one_run_ends_the_scheduler_with_it() -> None:
    bench = Bench()

    async def crash(key: str) -> None:
        raise ZeroDivisionError(key)

    scheduler = Scheduler(run=crash, slots=bench.slots, clock=bench.clock)
    scheduler.plan({"a": 10.0}, {})
    with pytest.raises(ExceptionGroup) as caught:
        await scheduler.run(asyncio.Event())
    assert caught.group_contains(ZeroDivisionError)


async def test_the_end_gives_what_is_in_flight_a_little_time_and_then_cancels_it() -> None:
    bench = Bench()
    bench.held["stuck"] = asyncio.Event()
    bench.plan("stuck")
    async with bench.running():
        await bench.pass_s(1)
    assert bench.slots.in_flight == 0


async def test_the_wall_clock_may_jump_without_stopping_or_flooding_the_schedule() -> None:
    bench = Bench()
    bench.plan("a", every_s=10)
    async with bench.running():
        await bench.pass_s(15)
        before = len(bench.ran)
        for jump in (timedelta(days=-1), timedelta(hours=5)):  # monotonic time goes on
            bench.clock._start += jump
            await bench.pass_s(30)
            before += 3
            assert len(bench.ran) == before
            due = bench.scheduler.next_due
            assert due is not None
            assert 0 < (due - bench.clock.now()).total_seconds() <= 11


async def test_a_probe_that_only_waits_gives_its_slot_to_others() -> None:
    clock = FakeClock()
    slots = Slots(1, clock)
    order: list[str] = []

    async def waits() -> None:
        async with slots.take():
            order.append("first")
            await slots.pause(20)
            order.append("first again")

    async def other() -> None:
        async with slots.take():
            order.append("other")

    async with asyncio.TaskGroup() as group:
        group.create_task(waits())
        group.create_task(other())
        await settle()
        assert order == ["first", "other"]
        clock.advance(20)
    assert order == ["first", "other", "first again"]
    assert slots.in_flight == 0


@pytest.mark.parametrize("when", ["asleep", "waiting for a slot"])
async def test_a_cancelled_wait_leaves_the_count_right(when: str) -> None:
    clock = FakeClock()
    slots = Slots(1, clock)
    release = asyncio.Event()

    async def waits() -> None:
        async with slots.take():
            await slots.pause(20)

    async def holds() -> None:
        async with slots.take():
            await release.wait()

    waiting, holding = asyncio.create_task(waits()), asyncio.create_task(holds())
    await settle()
    if when == "waiting for a slot":
        clock.advance(20)
        await settle()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert slots.in_flight == 1
    release.set()
    await holding
    assert slots.in_flight == 0
    async with asyncio.timeout(1), slots.take():
        assert slots.in_flight == 1


async def test_a_cancelled_wait_passes_its_turn_on() -> None:
    slots = Slots(1, FakeClock())
    release = asyncio.Event()

    async def holds() -> None:
        async with slots.take():
            await release.wait()

    tasks = [asyncio.create_task(holds()) for _ in range(3)]
    await settle()
    release.set()
    tasks[1].cancel()
    await asyncio.wait(tasks)
    assert slots.in_flight == 0
    assert [task.cancelled() for task in tasks] == [False, True, False]


async def test_the_agent_is_started_stopped_and_asked_any_number_of_times() -> None:
    bench = Bench()
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    bench.plan("a", every_s=10)
    agent = Agent(scheduler=bench.scheduler, spawn=asyncio.create_task, last_probe=lambda: moment)
    await agent.stop()
    for _ in range(3):
        assert (agent.running, agent.next_scan) == (False, None)
        task = agent.start()
        assert agent.start() is task
        assert agent.running
        assert agent.next_scan is not None
        await bench.pass_s(11)
        await agent.stop()
        await agent.stop()
        assert task.done()
    assert len(bench.ran) >= 3
    assert agent.last_scan == moment
    assert not agent.failed


async def test_an_agent_stopped_before_its_first_step_is_stopped() -> None:
    bench = Bench()
    bench.plan("a")
    agent = Agent(scheduler=bench.scheduler, spawn=asyncio.create_task, last_probe=lambda: None)
    agent.start()
    await agent.stop()
    assert not agent.running


async def test_after_an_hour_stopped_nothing_is_made_up_for_in_a_burst() -> None:
    bench = Bench()
    bench.plan(*KEYS, every_s=300, last=dict.fromkeys(KEYS, bench.clock.now()))
    agent = Agent(scheduler=bench.scheduler, spawn=asyncio.create_task, last_probe=lambda: None)
    await bench.pass_s(3600, step_s=60)
    agent.start()
    await settle()
    assert len(bench.ran) <= 1
    await bench.pass_s(1)
    assert len(bench.ran) <= CATCH_UP_PER_S + 1
    await bench.pass_s(15)
    assert {key for _, key in bench.ran} == set(KEYS)
    await agent.stop()


async def test_a_crashed_schedule_is_told() -> None:
    bench = Bench()

    async def crash(key: str) -> None:
        raise ZeroDivisionError

    scheduler = Scheduler(run=crash, slots=bench.slots, clock=bench.clock)
    scheduler.plan({"a": 10.0}, {})
    agent = Agent(scheduler=scheduler, spawn=asyncio.create_task, last_probe=lambda: None)
    task = agent.start()
    await asyncio.wait([task])
    assert agent.failed
    assert isinstance(task.exception(), ExceptionGroup)
