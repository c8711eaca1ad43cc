"""Stand-ins for what tests must not wait for: a clock that moves when it is told to."""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    """A clock of `exporter.clock.Clock`'s kind that nothing but the test moves.

    `advance(s)` moves the time and wakes every sleep that has come due, the earliest first; the tasks run once the
    test awaits something. With `auto=True` a sleep returns at once and moves the time by itself.
    `slept` holds the seconds of every sleep that was asked for; `sleepers` is how many sleep now.
    """

    def __init__(self, *, start: datetime = START, auto: bool = False) -> None:
        self.auto = auto
        self.slept: list[float] = []
        self._start = start
        self._elapsed = 0.0
        self._serial = 0
        self._sleeping: list[tuple[float, int, asyncio.Future[None]]] = []
        self._watching: list[tuple[int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return 1_000.0 + self._elapsed

    @property
    def sleepers(self) -> int:
        return sum(not future.done() for _, _, future in self._sleeping)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if self.auto:
            self._elapsed += max(seconds, 0.0)
        if self.auto or seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        self._serial += 1
        heapq.heappush(self._sleeping, (self._elapsed + seconds, self._serial, future))
        self._tell_watchers()
        await future

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        waits = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self.sleep(seconds))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    def advance(self, seconds: float) -> None:
        """Move the time on by `seconds` and wake the sleeps that are due."""
        self._elapsed += seconds
        while self._sleeping and (self._sleeping[0][0] <= self._elapsed + 1e-9 or self._sleeping[0][2].done()):
            future = heapq.heappop(self._sleeping)[2]
            if not future.done():
                future.set_result(None)

    async def until_sleeping(self, count: int = 1, *, timeout_s: float = 5.0) -> None:
        """Wait until at least `count` tasks sleep on this clock. Raises TimeoutError after real seconds."""
        if self.sleepers >= count:
            return
        future = asyncio.get_running_loop().create_future()
        self._watching.append((count, future))
        await asyncio.wait_for(future, timeout_s)

    def _tell_watchers(self) -> None:
        for count, future in self._watching:
            if self.sleepers >= count and not future.done():
                future.set_result(None)
        self._watching = [(count, future) for count, future in self._watching if not future.done()]
