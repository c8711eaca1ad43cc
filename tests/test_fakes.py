"""The fake clock moves when it is told to, and only then."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes import START, FakeClock


async def test_a_sleep_ends_when_the_time_has_come() -> None:
    clock, woken = FakeClock(), []

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    async with asyncio.TaskGroup() as group:
        for seconds in (3.0, 1.0, 2.0):
            group.create_task(sleep(seconds))
        await clock.until_sleeping(3)
        clock.advance(2.0)
        await asyncio.sleep(0)
        assert woken == [1.0, 2.0]
        assert clock.sleepers == 1
        clock.advance(1.0)
    assert woken == [1.0, 2.0, 3.0]
    assert clock.slept == [3.0, 1.0, 2.0]


async def test_an_automatic_clock_moves_by_sleeping() -> None:
    clock = FakeClock(auto=True)
    before = clock.monotonic()
    await clock.sleep(90.0)
    assert clock.monotonic() - before == 90.0
    assert (clock.now() - START).total_seconds() == 90.0


async def test_sleeping_for_no_time_does_not_wait() -> None:
    clock = FakeClock()
    await clock.sleep(0.0)
    assert clock.now() == START


async def test_a_cancelled_sleep_is_forgotten() -> None:
    clock = FakeClock()
    task = asyncio.create_task(clock.sleep(1.0))
    await clock.until_sleeping()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert clock.sleepers == 0
    clock.advance(5.0)


async def test_waiting_for_sleepers_that_do_not_come_times_out() -> None:
    with pytest.raises(TimeoutError):
        await FakeClock().until_sleeping(timeout_s=0.01)
