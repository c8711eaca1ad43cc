"""Old rows go, a few at a time, and statistics stay."""

from __future__ import annotations

import math
import sqlite3
from concurrent.futures import Future
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from store_kit import NOW, Open, SetClock, Waits, make_database, observe, query, stored

from exporter.store import Store
from exporter.store.retention import EVERY_S, STEP_ROWS

DAY_S = 86_400.0


def old(days: float, count: int) -> list[object]:
    return [observe(checked_at=NOW - timedelta(days=days)) for _ in range(count)]


def test_old_rows_are_deleted_in_steps_with_a_commit_after_each(
    open_store: Open, clock: SetClock, waits: Waits, path: Path
) -> None:
    store = open_store(wait=waits, history_s=30 * DAY_S)
    stored(store, *old(31, 2 * STEP_ROWS + 10), *old(29, 20))
    before = store.get_model_stats("gpt2")
    waits.until(EVERY_S)
    statements: list[str] = []
    store._writer._connection.set_trace_callback(statements.append)

    clock.advance(seconds=EVERY_S - 1)
    waits.over()
    waits.until(EVERY_S)
    assert statements == []

    clock.advance(seconds=1)
    waits.over()
    waits.until(EVERY_S)
    assert [statement.split()[0] for statement in statements if not statement.startswith("--")] == [
        "BEGIN",
        "DELETE",
        "DELETE",
        "COMMIT",
    ] * 3
    assert store.count_history("gpt2") == 20
    assert store.get_model_stats("gpt2") == before
    assert query(path, "SELECT count(*) FROM model_metrics") == [(20,)]


def test_rows_are_stored_between_the_steps(path: Path, waits: Waits) -> None:
    statements: list[str] = []
    rows: list[Future[bool]] = []

    def busy() -> datetime:
        """Tell the time, and let a row come just before each step."""
        if statements and len(rows) < 3:
            rows.append(store.record(observe()))
        return clock()

    clock = SetClock()
    with Store.open(path, now=busy, wait=waits) as store:
        stored(store, *old(31, 2 * STEP_ROWS + 10))
        waits.until(EVERY_S)
        clock.advance(seconds=EVERY_S)
        store._writer.call("models", lambda connection: connection.set_trace_callback(statements.append))
        waits.until(EVERY_S)

    touching = [statement.split()[0] for statement in statements if "model_metrics" in statement]
    assert touching[:6] == ["DELETE", "INSERT"] * 3


def test_the_length_of_the_history_may_be_changed(open_store: Open, clock: SetClock, waits: Waits) -> None:
    store = open_store(wait=waits, history_s=30 * DAY_S)
    stored(store, *old(8, 3), *old(1, 2))
    waits.until(EVERY_S)
    store.history_s = 7 * DAY_S
    assert store.history_s == 7 * DAY_S

    clock.advance(seconds=EVERY_S)
    waits.over()
    waits.until(EVERY_S)
    assert store.count_history("gpt2") == 2


def test_a_history_without_end_is_kept(open_store: Open, clock: SetClock, waits: Waits) -> None:
    store = open_store(wait=waits, history_s=math.inf)
    stored(store, *old(20_000, 3))
    waits.until(EVERY_S)

    clock.advance(seconds=EVERY_S)
    waits.over()
    waits.until(EVERY_S)
    assert store.count_history("gpt2") == 3
    assert store.errors["retention"] == 0


def test_a_clock_that_is_set_back_does_not_stop_retention(open_store: Open, clock: SetClock, waits: Waits) -> None:
    store = open_store(wait=waits)
    stored(store, *old(90, 3))
    waits.until(EVERY_S)

    clock.advance(days=-50)
    waits.over()
    waits.until(EVERY_S)
    assert store.count_history("gpt2") == 0


def test_a_step_that_fails_is_counted_and_tried_again_a_minute_later(
    open_store: Open, clock: SetClock, waits: Waits, path: Path
) -> None:
    store = open_store(wait=waits)
    stored(store, *old(31, 3))
    waits.until(EVERY_S)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        clock.advance(seconds=EVERY_S)
        waits.over()
        waits.until(EVERY_S)
        assert store.errors["retention"] == 1
        assert "retention" in str(store.last_error)
        assert store.healthy
        other.execute("ROLLBACK")

    clock.advance(seconds=EVERY_S)
    waits.over()
    waits.until(EVERY_S)
    assert store.count_history("gpt2") == 0
    assert store.errors["retention"] == 1


@pytest.mark.parametrize(
    ("days", "left"), [pytest.param(29, 2, id="spared-at-first"), pytest.param(31, 0, id="gone-a-history-later")]
)
def test_rows_of_the_predecessor_stay_for_a_whole_history(
    open_store: Open, clock: SetClock, waits: Waits, path: Path, days: int, left: int
) -> None:
    make_database(
        path,
        [
            "CREATE TABLE model_metrics (model_id TEXT, status TEXT, success INTEGER, checked_at TEXT)",
            "INSERT INTO model_metrics VALUES ('gpt2', 'failed', 0, '2024-01-01 00:00:00')",
            "INSERT INTO model_metrics VALUES ('gpt2', 'failed', 0, '2024-01-01 00:05:00')",
        ],
    )
    store = open_store(wait=waits, history_s=30 * DAY_S)
    stored(store, observe("own", checked_at=NOW - timedelta(days=31)))
    waits.until(EVERY_S)

    clock.advance(days=days)
    waits.over()
    waits.until(EVERY_S)
    assert store.count_history("gpt2") == left
    assert store.count_history("own") == 0
