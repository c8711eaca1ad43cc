"""The one thread that writes: rows in groups, jobs of callers, retention in small steps. Knows no tables."""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from exporter.store import retention
from exporter.store.errors import StorageError, explain
from exporter.store.schema import BUSY_TIMEOUT_S, set_busy_timeout, transaction

T = TypeVar("T")
Wait = Callable[[threading.Event, float], object]
"""Waits for the event, but so many seconds at the most; `threading.Event.wait` is one."""
Write = Callable[[sqlite3.Connection], object]
"""Writes one row, and what belongs to it, within the writer's transaction: all of it or nothing."""

QUEUE_ROWS: Final = 10_000
ROWS_BUSY_TIMEOUT_S: Final = 1.0  # rows are tried again, and who recorded them may hold a slot until the first try
OPERATIONS: Final = ("models", "read", "retention", "row", "write", "writer")
# What is wrong with one row alone; any other error of SQLite is about the database, and worth trying again.
ROW_ERRORS: Final = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)


@dataclass(slots=True, eq=False)
class _Row:
    write: Write
    future: Future[bool] = field(default_factory=Future)

    def settle(self, stored: bool) -> None:
        with suppress(InvalidStateError):  # the first word stands, whichever thread says it
            self.future.set_result(stored)


@dataclass(slots=True, eq=False)
class _Job(Generic[T]):
    operation: str
    work: Callable[[sqlite3.Connection], T]
    future: Future[T] = field(default_factory=Future)


class Writer:
    """Owns the writing connection from here on, and closes it in its thread.

    A commit that fails is tried again after 0.5 s, then twice as long each time up to 30 s, until it works or the
    writer is closed; its rows stay queued. Jobs of callers wait `busy_timeout_s` for other processes, rows a second at
    most. `wait` is how it waits, so that tests need not.

    `rows_dropped`, `errors` and `last_error` stay readable when it is closed.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        *,
        history_s: float,
        now: Callable[[], datetime],
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        queue_rows: int = QUEUE_ROWS,
        wait: Wait = threading.Event.wait,
    ) -> None:
        self.history_s = history_s
        self.rows_dropped = 0
        self.errors = dict.fromkeys(OPERATIONS, 0)
        self.last_error: str | None = None
        self._connection = connection
        self._path = path
        self._now = now
        self._busy_timeout_s = busy_timeout_s
        self._rows_busy_timeout_s = min(busy_timeout_s, ROWS_BUSY_TIMEOUT_S)
        self._capacity = queue_rows
        self._wait = wait
        self._lock = threading.Lock()
        self._wake = threading.Event()  # there is something to do
        self._urgent = threading.Event()  # ... that does not wait for the end of a back-off
        self._waiting: deque[_Row] = deque()
        self._batch: deque[_Row] = deque()
        self._jobs: deque[_Job[Any]] = deque()
        self._job: _Job[Any] | None = None
        self._failures = 0
        self._refusing = False
        self._swept_at: datetime = now()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    @property
    def queue_rows(self) -> int:
        """How many rows wait to be committed, those of the commit under way included."""
        return len(self._waiting) + len(self._batch)

    @property
    def running(self) -> bool:
        """True until the writer is closed or its thread has died."""
        return self._thread.is_alive() and not self._refusing

    @property
    def healthy(self) -> bool:
        """True when the writer runs and its last commit of rows worked."""
        return self.running and not self._failures

    def record(self, write: Write) -> Future[bool]:
        """Queue a row and return at once. The future is True when the row is committed, False when a first try failed.

        False at once while the last commit failed: nobody waits for the end of a back-off; the row stays queued. False
        as well for a row that can never be stored, that a full queue drops, or that comes after the end.
        """
        row = _Row(write)
        row.future.set_running_or_notify_cancel()  # who gives up waiting does not take the row back
        with self._lock:
            if not self._refusing:
                self._waiting.append(row)
                if self._failures:
                    row.settle(False)
            lost = [row] if self._refusing else self._overflow()
        self._drop(lost)
        self._wake.set()
        return row.future

    def call(self, operation: str, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` in the writer's thread, in a transaction of its own, and return what it returns.

        Waits for it, at most as long as a commit and the busy timeout take. Raises StorageError.
        """
        job = _Job(operation, work)
        with self._lock:
            if self._refusing:
                raise StorageError(self._path, operation, "the store is closed")
            self._jobs.append(job)
        self._wake.set()
        self._urgent.set()
        return job.future.result()

    def close(self) -> None:
        """Commit what waits, with one try, and end the thread. What could not be committed is counted as dropped."""
        with self._lock:
            self._refusing = True
        self._wake.set()
        self._urgent.set()
        self._thread.join()

    def note(self, operation: str, error: BaseException) -> None:
        """Count a failure of an operation and remember what it said."""
        with self._lock:
            self.errors[operation] = self.errors.get(operation, 0) + 1
            self.last_error = f"{operation}: {error}"

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except BaseException as bug:  # it goes on; but the service must read why its writer died
            self.note("writer", bug)
            raise
        finally:
            self._abandon()
            self._connection.close()

    def _turn(self) -> bool:
        """Do what there is to do, then wait; False when that was the last turn."""
        self._wake.clear()  # before looking: what comes after the look sets it again
        self._urgent.clear()
        with self._lock:
            last = self._refusing
            self._batch, self._waiting = self._waiting, deque()
        while self._jobs:
            self._do(self._jobs.popleft())
        if self._batch:
            self._commit()
        if last:
            return False
        more = self._sweep()
        if self._failures:
            self._wait(self._urgent, backoff_s(self._failures))
        elif not more:
            self._wait(self._wake, retention.EVERY_S)
        return True

    def _do(self, job: _Job[Any]) -> None:
        self._job = job
        try:
            set_busy_timeout(self._connection, self._busy_timeout_s)
            with transaction(self._connection):
                result = job.work(self._connection)
        except (sqlite3.Error, *ROW_ERRORS) as error:
            self.note(job.operation, error)
            job.future.set_exception(explain(self._path, job.operation, error))
        else:
            job.future.set_result(result)
        self._job = None

    def _commit(self) -> None:
        unfit: dict[_Row, Exception] = {}
        try:
            set_busy_timeout(self._connection, self._rows_busy_timeout_s)
            with transaction(self._connection):
                for row in self._batch:
                    try:
                        self._write(row.write)
                    except ROW_ERRORS as error:
                        unfit[row] = error
        except sqlite3.Error as error:
            self.note("write", error)
            self._requeue()
            return
        with self._lock:
            done, self._batch = self._batch, deque()
            self._failures = 0
        self.last_error = None
        for row, flaw in unfit.items():
            self.note("row", flaw)
            self._drop([row])
        for row in done:
            row.settle(True)

    def _write(self, write: Write) -> None:
        self._connection.execute("SAVEPOINT one_row")
        try:
            write(self._connection)
        except ROW_ERRORS:
            self._connection.execute("ROLLBACK TO one_row")
            raise
        finally:
            # After an error that undid the whole transaction there is no savepoint left to release.
            if self._connection.in_transaction:
                self._connection.execute("RELEASE one_row")

    def _requeue(self) -> None:
        with self._lock:
            self._failures += 1
            failed, self._batch = self._batch, deque()
            self._waiting.extendleft(reversed(failed))
            lost = self._overflow()
            late = [*self._waiting]  # those that came during the try are told with it
        self._drop(lost)
        for row in late:
            row.settle(False)

    def _overflow(self) -> list[_Row]:
        """Take the oldest rows that are too many out of the queue; the lock is held."""
        return [self._waiting.popleft() for _ in range(len(self._waiting) - self._capacity)]

    def _drop(self, lost: Iterable[_Row]) -> None:
        for row in lost:
            with self._lock:
                self.rows_dropped += 1
            row.settle(False)

    def _sweep(self) -> bool:
        """Do one step of retention when its time has come; True when there is more to do."""
        now = self._now()
        if abs((now - self._swept_at).total_seconds()) < retention.EVERY_S:  # abs: the wall clock may be set back
            return False
        try:
            with transaction(self._connection):
                more = retention.step(self._connection, now, self.history_s)
        except sqlite3.Error as error:
            self.note("retention", error)
            more = False
        if not more:
            self._swept_at = now
        return more

    def _abandon(self) -> None:
        """Tell everybody who still waits that nothing will come."""
        with self._lock:
            self._refusing = True
            lost = [*self._batch, *self._waiting]
            self._batch, self._waiting = deque(), deque()
            jobs = [*([self._job] if self._job else ()), *self._jobs]
            self._jobs.clear()
        self._drop(lost)
        for job in jobs:
            job.future.set_exception(StorageError(self._path, job.operation, "the writer thread has died"))


def backoff_s(failures: int) -> float:
    """Return the seconds to wait after so many failures in a row: 0.5, 1, 2 … 30."""
    return min(30.0, 0.5 * 2.0 ** min(failures - 1, 6))
