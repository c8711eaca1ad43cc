"""The writer goes on: what fails is tried again, what cannot be stored is dropped alone, and everything is counted."""

from __future__ import annotations

import math
import sqlite3
import subprocess
import threading
from concurrent.futures import Future
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from store_kit import (
    GPT2,
    PATIENCE_S,
    Open,
    SetClock,
    Waits,
    failed,
    observe,
    query,
    statistics_kept,
    statistics_of_rows,
    stored,
)

from exporter.store import StorageError, Store
from exporter.store.writer import OPERATIONS, backoff_s

IDLE_S = 60.0


@pytest.fixture
def store(open_store: Open, waits: Waits) -> Store:
    store = open_store(wait=waits)
    waits.until(IDLE_S)
    return store


def fill(store: Store, pages: int = 1) -> None:
    """Let the database be full: it may have no more pages (1 is "as many as it has")."""
    store._writer._connection.execute(f"PRAGMA max_page_count = {pages}")


def free(store: Store) -> None:
    fill(store, 1_000_000)


def big(**changes: Any) -> Any:
    return observe(test_output="x" * 50_000, **changes)


def test_the_back_off_doubles_up_to_half_a_minute() -> None:
    assert [backoff_s(failures) for failures in (1, 2, 3, 4, 5, 6, 7, 8, 5000)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_rows_that_wait_are_committed_together(store: Store) -> None:
    statements: list[str] = []
    futures: list[Future[bool]] = []

    def work(connection: sqlite3.Connection) -> None:
        futures.extend(store.record(observe(message=str(n))) for n in range(100))  # while the writer is busy with this
        connection.set_trace_callback(statements.append)

    store._writer.call("models", work)
    assert all(future.result(PATIENCE_S) for future in futures)
    assert statements.count("COMMIT") == 2  # that of the work, and that of all the rows


def test_a_full_database_loses_no_row_and_heals_by_itself(store: Store, waits: Waits, path: Path) -> None:
    store.sync_models([GPT2])
    fill(store)
    rows = [store.record(big(message=str(n), response_time_ms=float(n))) for n in range(3)]

    assert [row.result(PATIENCE_S) for row in rows] == [False] * 3
    waits.until(0.5)
    assert (store.healthy, store.running, store.queue_rows) == (False, True, 3)
    assert store.errors["write"] >= 1
    assert "full" in str(store.last_error)
    assert store.get_all_models()[0]["total_checks"] == 0

    waits.over()
    waits.until(1.0)
    late = store.record(big(message="3", response_time_ms=3.0))
    assert late.done()  # the writer has yet to wait for a second, the one who recorded it has not
    assert late.result() is False
    waits.over()
    waits.until(2.0)

    free(store)
    waits.over()
    waits.until(IDLE_S)
    assert (store.healthy, store.queue_rows, store.rows_dropped, store.last_error) == (True, 0, 0, None)
    assert [row["error_message"] for row in store.get_model_history("gpt2")] == ["3", "2", "1", "0"]
    assert statistics_kept(path) == statistics_of_rows(path)


def test_a_full_disk_loses_no_row_and_heals_by_itself(open_store: Open, small_disk: Path, waits: Waits) -> None:
    path = small_disk / "ai_models.db"
    store = open_store(path, wait=waits)
    recorded = 0
    while recorded < 1000:
        recorded += 1
        if not store.record(big(message=str(recorded))).result(PATIENCE_S):
            break
    waits.until(0.5)
    assert recorded < 1000
    assert (store.healthy, store.queue_rows) == (False, 1)
    assert store.errors["write"] == 1
    assert store.count_history("gpt2") == recorded - 1
    assert store.uptime("gpt2")["1h"] == 100.0

    subprocess.run(["mount", "-o", "remount,size=16m", small_disk], check=True)
    waits.over()
    waits.until(IDLE_S)
    assert (store.healthy, store.queue_rows, store.rows_dropped) == (True, 0, 0)
    assert store.count_history("gpt2") == recorded
    assert statistics_kept(path) == statistics_of_rows(path)
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


def test_a_locked_database_loses_no_row_and_nobody_waits_for_it(store: Store, waits: Waits, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        row = store.record(observe())
        assert row.result(PATIENCE_S) is False
        waits.until(0.5)
        assert "locked" in str(store.last_error)
        assert store.count_history("gpt2") == 0
        other.execute("ROLLBACK")

    waits.over()
    waits.until(IDLE_S)
    assert store.healthy
    assert store.count_history("gpt2") == 1


def test_models_cannot_be_saved_into_a_locked_database(store: Store, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for save in (lambda: store.sync_models([GPT2]), lambda: store.add_model({"model_id": "a", "task": "b"})):
            with pytest.raises(StorageError, match="models: database is locked") as caught:
                save()
            assert str(path) in str(caught.value)
            assert "another process" in caught.value.hint
        other.execute("ROLLBACK")

    assert store.errors["models"] == 2
    store.sync_models([GPT2])
    assert len(store.get_all_models()) == 1


def test_models_are_saved_at_once_also_during_a_back_off(store: Store, waits: Waits) -> None:
    fill(store)
    assert stored(store, big()) == [False]
    waits.until(0.5)
    free(store)

    store.sync_models([GPT2])  # would time out with the patience of the waits if it waited
    waits.until(IDLE_S)
    assert store.count_history("gpt2") == 1


def test_a_row_that_comes_during_a_commit_that_fails_does_not_wait_for_the_next_one(store: Store, waits: Waits) -> None:
    late: list[Future[bool]] = []

    def fail(connection: sqlite3.Connection) -> None:
        if not late:
            late.append(store.record(observe()))
            raise sqlite3.OperationalError("disk I/O error")

    assert store._writer.record(fail).result(PATIENCE_S) is False
    waits.until(0.5)
    assert late[0].done()
    assert late[0].result() is False
    assert store.queue_rows == 2

    waits.over()
    waits.until(IDLE_S)
    assert (store.healthy, store.queue_rows, store.count_history("gpt2")) == (True, 0, 1)
    assert stored(store, observe()) == [True]  # and the next one is waited for again


def test_a_row_that_is_stored_at_the_second_try_has_had_its_answer(store: Store, waits: Waits) -> None:
    told: list[bool] = []

    def fail(connection: sqlite3.Connection) -> None:
        if not told:
            raise sqlite3.OperationalError("disk I/O error")

    row = store._writer.record(fail)
    row.add_done_callback(lambda done: told.append(done.result()))
    waits.until(0.5)
    waits.over()
    waits.until(IDLE_S)
    assert (told, row.result(), store.healthy) == ([False], False, True)


@pytest.mark.parametrize(
    ("busy_timeout_s", "of_rows_ms", "of_jobs_ms"),
    [
        pytest.param(5.0, 1000, 5000, id="rows-wait-less-than-callers"),
        pytest.param(0.25, 250, 250, id="nobody-waits-longer-than-was-said"),
    ],
)
def test_rows_wait_for_other_processes_a_second_at_most(
    open_store: Open, busy_timeout_s: float, of_rows_ms: int, of_jobs_ms: int
) -> None:
    store = open_store(busy_timeout_s=busy_timeout_s)
    seen: list[int] = []

    def look(connection: sqlite3.Connection) -> int:
        return int(connection.execute("PRAGMA busy_timeout").fetchone()[0])

    for _ in range(2):
        assert store._writer.record(lambda connection: seen.append(look(connection))).result(PATIENCE_S)
        seen.append(store._writer.call("models", look))
    assert seen == [of_rows_ms, of_jobs_ms] * 2


def test_a_full_queue_drops_the_oldest_rows_and_counts_them(open_store: Open, waits: Waits) -> None:
    store = open_store(wait=waits, queue_rows=3)
    waits.until(IDLE_S)
    fill(store)
    assert stored(store, big(message="0")) == [False]
    waits.until(0.5)
    rows = [store.record(big(message=str(n))) for n in range(1, 6)]

    assert store.queue_rows == 3
    assert store.rows_dropped == 3
    assert [row.done() and row.result() for row in rows] == [False] * 5
    free(store)
    waits.over()
    waits.until(IDLE_S)
    assert sorted(row["error_message"] for row in store.get_model_history("gpt2")) == ["3", "4", "5"]


def test_closing_ends_a_back_off_and_tries_once_more(store: Store, waits: Waits, path: Path) -> None:
    fill(store)
    assert stored(store, big()) == [False]
    waits.until(0.5)
    free(store)
    store.close()

    assert (store.queue_rows, store.rows_dropped) == (0, 0)
    assert query(path, "SELECT count(*) FROM model_metrics") == [(1,)]


def test_rows_that_cannot_be_committed_by_closing_are_counted_as_dropped(store: Store, waits: Waits) -> None:
    fill(store)
    assert stored(store, big(), big()) == [False, False]
    waits.until(0.5)
    store.close()

    assert (store.queue_rows, store.rows_dropped) == (0, 2)
    assert store.last_error == "write: database or disk is full"
    assert store.errors["write"] == 2

    store.close()
    assert (store.rows_dropped, store.errors["write"]) == (2, 2)  # nothing is lost twice


def test_a_store_that_lost_nothing_says_so_when_it_is_closed(store: Store) -> None:
    store.record(observe())
    store.close()

    assert (store.queue_rows, store.rows_dropped, store.last_error) == (0, 0, None)


TEXT = "lone \ud800 surrogate, pair \ud83d\ude00, nul \x00, 'quote', \"quote\"; DROP TABLE model_metrics; --"
CLEAN = TEXT.replace("\ud800", "\ufffd").replace("\ud83d\ude00", "\U0001f600")


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"message": TEXT}, {"error_message": CLEAN}, id="message"),
        pytest.param({"test_input": TEXT}, {"test_input": CLEAN}, id="input"),
        pytest.param({"hub_sha": TEXT, "compute_type": TEXT}, {"hub_sha": CLEAN, "compute_type": CLEAN}, id="headers"),
        pytest.param({"test_output": {TEXT: [TEXT]}}, {"test_output": {CLEAN: [CLEAN]}}, id="output"),
        pytest.param(
            {"test_output": [math.nan, -math.inf, {"a": (math.inf, 1.5)}]},
            {"test_output": [None, None, {"a": [None, 1.5]}]},
            id="numbers-that-are-none",
        ),
        pytest.param({"test_output": {7: 1, None: 2}}, {"test_output": {"7": 1, "None": 2}}, id="keys-of-other-types"),
        pytest.param({"test_output": 10**300}, {"test_output": 10**300}, id="a-number-of-300-digits"),
        pytest.param(
            {"test_output": 10**5000}, {"test_output": "(cannot be stored: ValueError)"}, id="a-number-of-5000-digits"
        ),
        pytest.param(
            {"test_output": endless()}, {"test_output": "(cannot be stored: RecursionError)"}, id="endless-output"
        ),
        pytest.param({"test_output": {1, 2}}, {"test_output": "(cannot be stored: TypeError)"}, id="no-json-at-all"),
        pytest.param(
            {"response_time_ms": math.nan, "confidence": math.inf},
            {"response_time_ms": None, "confidence": None},
            id="measures-that-are-none",
        ),
    ],
)
def test_hostile_values_are_stored_in_a_form_that_can_be(
    store: Store, changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert stored(store, observe(**changes)) == [True]

    (row,) = store.get_model_history("gpt2")
    assert {name: row[name] for name in expected} == expected


@pytest.mark.parametrize("model_id", ["a/b'; DROP TABLE ai_models; --", "\ud800/x", "", "ü\n\x00", "x" * 5000])
def test_a_hostile_model_id_is_a_model_id(store: Store, model_id: str) -> None:
    store.add_model({"model_id": f"m{model_id}", "task": "summarization"})
    assert stored(store, observe(f"m{model_id}")) == [True]

    assert len(store.get_model_history(f"m{model_id}")) == 1
    assert store.count_history(f"m{model_id}") == 1
    assert store.uptime(f"m{model_id}")["1h"] == 100.0
    assert (store.get_model_stats(f"m{model_id}") or {})["total_checks"] == 1
    assert store.get_all_models()[0]["status"] == "available"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"http_status": 2**70}, id="a-number-too-big"),
        pytest.param({"hub_sha": {1}}, id="a-type-that-no-column-holds"),
        pytest.param({"model_id": None}, id="no-model"),
        pytest.param({"timings": "fast"}, id="no-timings"),
        pytest.param({"response_time_ms": "x", "success": 2**62, "counts": 2**70}, id="too-big-for-the-statistics"),
        pytest.param({"checked_at": datetime.max.replace(tzinfo=UTC), "http_status": -(2**64)}, id="too-small"),
    ],
)
def test_a_row_that_can_never_be_stored_is_dropped_alone(store: Store, path: Path, changes: dict[str, Any]) -> None:
    arguments = {"model_id": "gpt2"} | changes
    results = stored(store, observe(), observe(**arguments), failed())

    assert results == [True, False, True]
    assert (store.errors["row"], store.rows_dropped, store.queue_rows) == (1, 1, 0)
    assert store.healthy
    assert query(path, "SELECT count(*) FROM model_metrics") == [(2,)]
    assert statistics_kept(path) == statistics_of_rows(path)


def test_a_row_whose_statistics_fail_leaves_no_history_either(store: Store, path: Path) -> None:
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(
            """CREATE TRIGGER picky BEFORE INSERT ON model_stats WHEN NEW.model_id = 'bad'
            BEGIN SELECT RAISE(ABORT, 'no'); END"""
        )

    assert stored(store, observe("bad"), observe("good")) == [False, True]
    assert query(path, "SELECT model_id FROM model_metrics") == [("good",)]
    assert store.errors["row"] == 1


def test_the_death_of_the_writer_is_seen_and_nobody_waits_for_it(
    open_store: Open, clock: SetClock, waits: Waits, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaths: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", deaths.append)
    store = open_store(wait=waits)
    waits.until(IDLE_S)

    def bug(connection: sqlite3.Connection) -> None:
        waiting.append(store.record(observe()))
        raise KeyError("a bug")

    waiting: list[Future[bool]] = []
    with pytest.raises(StorageError, match="the writer thread has died"):
        store._writer.call("models", bug)
    store._writer._thread.join(PATIENCE_S)

    assert [death.exc_type for death in deaths] == [KeyError]
    assert [row.result(PATIENCE_S) for row in waiting] == [False]
    assert stored(store, observe()) == [False]
    assert (store.healthy, store.running, store.rows_dropped, store.errors["writer"]) == (False, False, 2, 1)
    assert "a bug" in str(store.last_error)
    assert store.get_all_models() == []
    with pytest.raises(StorageError):
        store.sync_models([])


def test_who_gives_up_waiting_does_not_take_the_row_back(store: Store) -> None:
    row = store.record(observe())

    assert row.cancel() is False
    assert row.result(PATIENCE_S) is True


def test_every_operation_is_counted_from_zero(store: Store) -> None:
    assert store.errors == dict.fromkeys(OPERATIONS, 0)


def test_a_read_that_fails_is_an_error_with_the_path_and_is_counted(store: Store, path: Path) -> None:
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("DROP TABLE model_stats")

    with pytest.raises(StorageError, match="read: no such table") as caught:
        store.get_all_models()
    assert str(path) in str(caught.value)
    assert store.errors["read"] == 1
    assert "read" in str(store.last_error)
    assert store.count_history("gpt2") == 0


def test_a_database_that_was_taken_away_is_not_begun_anew_by_reading(store: Store, path: Path) -> None:
    path.rename(path.with_name("elsewhere.db"))

    with pytest.raises(StorageError, match="unable to open"):
        store.get_all_models()
    assert not path.exists()


def test_the_reading_connections_cannot_write(store: Store) -> None:
    with pytest.raises(StorageError, match="readonly"):
        store._readers.rows("DELETE FROM model_metrics", {})


def test_an_unused_pool_of_readers_stays_small(store: Store) -> None:
    with ExitStack() as stack:
        connections = [stack.enter_context(store._readers._connection()) for _ in range(9)]
        assert len(set(connections)) == 9
    assert len(store._readers._idle) == 4
