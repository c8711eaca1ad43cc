"""Say when: a time grid with the probes spread over it, a bound on how many run, and the agent that switches it.

Knows time, not models.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from exporter.clock import Clock
from exporter.models import stable_fraction

Spawn = Callable[[Coroutine[Any, Any, Any]], "asyncio.Task[Any]"]

# What is overdue at the start (a new model, or one missed while we were down) is caught up at this pace, unless the
# grid itself is faster: 21 models are all probed within six seconds, and 10,000 take one interval.
CATCH_UP_PER_S: Final = 4.0
# Waking at exact due times spins when thousands are due each second.
LEAST_TICK_S: Final = 0.01
IDLE_TICK_S: Final = 3600.0
# A wall clock that is slewed by so little is not followed.
CLOCK_SLACK_S: Final = 5.0


class Slots:
    """At most `limit` probes at a time. A probe that only waits gives its slot to others meanwhile."""

    def __init__(self, limit: int, clock: Clock) -> None:
        self.limit = limit
        self.in_flight = 0
        self._clock = clock
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Hold a slot for the length of the block; first come, first served."""
        await self._acquire()
        try:
            yield
        finally:
            self._release()

    async def pause(self, seconds: float) -> None:
        """Wait without holding the slot that the caller has, then take one again."""
        self._release()
        taken = False
        try:
            await self._clock.sleep(seconds)
            await self._acquire()
            taken = True
        finally:
            # When cancelled in between, the caller's block will still give back the slot that it entered with.
            if not taken:
                self.in_flight += 1

    def resize(self, limit: int) -> None:
        """Change the bound; what runs already runs on."""
        self.limit = limit
        self._wake()

    async def _acquire(self) -> None:
        if self.in_flight < self.limit and not self._waiting:
            self.in_flight += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._release()
            raise

    def _release(self) -> None:
        self.in_flight -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting and self.in_flight < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)


class Scheduler:
    """Runs `run(key)` for each key once in each of its intervals.

    A key's slots lie at `stable_fraction(key) * interval` past every multiple of its interval since the epoch, so that
    neither a restart nor a reload moves or bunches them. A slot that comes while the key still runs, or that was
    missed, is skipped and never made up for by a burst. Waiting goes by monotonic time; when the wall clock is set, the
    whole grid moves with it, so that this neither stops nor floods the schedule.
    """

    def __init__(
        self,
        *,
        run: Callable[[str], Awaitable[object]],
        slots: Slots,
        clock: Clock,
        on_start: Callable[[float], None] = lambda lateness_s: None,
        on_skip: Callable[[str], None] = lambda key: None,
    ) -> None:
        self._run = run
        self._slots = slots
        self._clock = clock
        self._on_start = on_start
        self._on_skip = on_skip
        self._epoch_offset_s = clock.now().timestamp() - clock.monotonic()
        self._intervals: dict[str, float] = {}
        self._due: dict[str, float] = {}
        self._heap: list[tuple[float, int, str]] = []
        self._order = itertools.count()
        self._running: set[str] = set()
        self._changed = asyncio.Event()

    @property
    def next_due(self) -> datetime | None:
        """Return when the next probe is due, as aware UTC; None with nothing to do."""
        return datetime.fromtimestamp(self._heap[0][0], UTC) if self._heap else None

    def plan(self, intervals: Mapping[str, float], last: Mapping[str, datetime]) -> None:
        """Set what is to run and how often (seconds). Keys that keep their interval keep their place.

        `last` says when a key last ran: it waits for its next slot. A key without one, or whose slot passed since, is
        overdue and is caught up soon.
        """
        now = self._now()
        kept = {key: self._due[key] for key, every in intervals.items() if self._intervals.get(key) == every}
        fresh = [key for key in intervals if key not in kept]
        self._intervals = dict(intervals)
        overdue = [key for key in fresh if self._is_overdue(key, last.get(key), now)]
        self._place({**kept, **{key: next_slot(key, intervals[key], now) for key in fresh}}, overdue)

    async def run(self, stop: asyncio.Event, *, grace_s: float = 5.0) -> None:
        """Run until `stop` is set and `wake` called; give what is in flight `grace_s` seconds and cancel the rest.

        An exception out of `run(key)` ends the scheduler with it.
        """
        now = self._now()
        self._place(self._due, [key for key, due in self._due.items() if due < now])
        async with asyncio.TaskGroup() as group:
            tasks: set[asyncio.Task[None]] = set()
            while not stop.is_set():
                for due, key in self._take_due():
                    task = group.create_task(self._start(key, due), name=key)
                    tasks.add(task)
                    # Not in a `finally` of the task: one that is cancelled before its first step never gets there.
                    task.add_done_callback(tasks.discard)
                    task.add_done_callback(lambda ended: self._running.discard(ended.get_name()))
                await self._sleep()
            if tasks:
                await asyncio.wait(tasks, timeout=grace_s)
            for task in tasks:
                task.cancel()

    def hurry(self, keys: Iterable[str]) -> None:
        """Bring these keys forward, one after the other; one that is due sooner stays where it is."""
        soon = self._now() + 1
        self._place(self._due, [key for key in keys if self._due.get(key, soon) > soon])

    def wake(self) -> None:
        """Let `run` look at its plan and its `stop` now."""
        self._changed.set()

    async def _start(self, key: str, due: float) -> None:
        async with self._slots.take():
            self._on_start(max(self._now() - due, 0.0))
            await self._run(key)

    def _take_due(self) -> list[tuple[float, str]]:
        """Return what is due now, and move each key to its next slot."""
        self._follow_clock()
        now = self._now()
        taken: list[tuple[float, str]] = []
        while self._heap and self._heap[0][0] <= now:
            due, _, key = heapq.heappop(self._heap)
            following = next_slot(key, self._intervals[key], now)
            self._due[key] = following
            heapq.heappush(self._heap, (following, next(self._order), key))
            if key in self._running:
                self._on_skip(key)
            else:
                self._running.add(key)
                taken.append((due, key))
        return taken

    def _follow_clock(self) -> None:
        """Take the grid along when the wall clock was set, or a suspend passed: what was due in a while stays so."""
        moved_s = self._clock.now().timestamp() - self._now()
        if abs(moved_s) > CLOCK_SLACK_S:
            self._epoch_offset_s += moved_s
            self._due = {key: due + moved_s for key, due in self._due.items()}
            # All by the same span: the order of the heap holds.
            self._heap = [(due + moved_s, number, key) for due, number, key in self._heap]

    def _place(self, due: Mapping[str, float], overdue: Sequence[str]) -> None:
        """Set when each key is due; the overdue ones soon, one after the other."""
        placed = dict(due)
        now = self._now()
        for number, key in enumerate(sorted(overdue, key=stable_fraction)):
            # Never later than its own slot: with many overdue the grid itself is the pace.
            slot = next_slot(key, self._intervals[key], now)
            placed[key] = min(slot, now + number / CATCH_UP_PER_S)
        self._due = placed
        self._heap = [(moment, next(self._order), key) for key, moment in placed.items()]
        heapq.heapify(self._heap)
        self._changed.set()

    async def _sleep(self) -> None:
        """Sleep until the next due time, a new plan, or the end."""
        delay_s = max(self._heap[0][0] - self._now(), LEAST_TICK_S) if self._heap else IDLE_TICK_S
        await self._clock.wait(self._changed, delay_s)
        self._changed.clear()

    def _is_overdue(self, key: str, last: datetime | None, now: float) -> bool:
        return last is None or next_slot(key, self._intervals[key], last.timestamp()) <= now

    def _now(self) -> float:
        return self._clock.monotonic() + self._epoch_offset_s


class Agent:
    """Starts and stops a scheduler. `last_scan` is when a probe last finished, `next_scan` when the next is due."""

    def __init__(self, *, scheduler: Scheduler, spawn: Spawn, last_probe: Callable[[], datetime | None]) -> None:
        self._scheduler = scheduler
        self._spawn = spawn
        self._last_probe = last_probe
        self._task: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._log = structlog.get_logger("exporter.scheduler")

    @property
    def running(self) -> bool:
        """True from `start` until `stop`, or until the schedule has ended by itself."""
        return self._task is not None and not self._task.done() and not self._stop.is_set()

    @property
    def failed(self) -> bool:
        """True when the schedule has ended by an exception."""
        return (
            self._task is not None and self._task.done() and not self._task.cancelled() and bool(self._task.exception())
        )

    @property
    def last_scan(self) -> datetime | None:
        """Return when the newest probe finished, as aware UTC."""
        return self._last_probe()

    @property
    def next_scan(self) -> datetime | None:
        """Return when the next probe is due, as aware UTC; None while stopped."""
        return self._scheduler.next_due if self.running else None

    def start(self) -> asyncio.Task[None]:
        """Start the schedule, or return the task of the one that runs. One that is being stopped is awaited first."""
        if self._task is None or not self.running:
            self._stop = asyncio.Event()
            self._task = self._spawn(self._run_after(self._task, self._stop))
            self._log.info("agent_started")
        return self._task

    async def stop(self) -> None:
        """Start no more probes, give those in flight a few seconds, and return when the schedule has ended."""
        task = self._task
        if task is None or task.done():
            return
        told = self._stop.is_set()
        self._stop.set()
        self._scheduler.wake()
        await asyncio.wait([task])
        if not told:
            self._log.info("agent_stopped")

    async def _run_after(self, former: asyncio.Task[None] | None, stop: asyncio.Event) -> None:
        if former is not None and not former.done():
            await asyncio.wait([former])
        await self._scheduler.run(stop)


def next_slot(key: str, interval_s: float, after_s: float) -> float:
    """Return the first slot of `key` after the moment `after_s` (seconds since the epoch)."""
    offset = stable_fraction(key) * interval_s
    slot = (math.floor((after_s - offset) / interval_s) + 1) * interval_s + offset
    # The sum may round down to the moment itself.
    return slot if slot > after_s else slot + interval_s
