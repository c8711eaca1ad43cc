"""What was not the model's own doing is taken out of its statistics again, and stays in its history."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from store_kit import (
    NOW,
    PATIENCE_S,
    Open,
    Waits,
    failed,
    observe,
    query,
    statistics_kept,
    statistics_of_rows,
    stored,
)

from exporter.models import Observation, Status
from exporter.store import Store

IDLE_S = 60.0


@pytest.fixture
def store(open_store: Open) -> Store:
    return open_store()


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def text(minutes: int) -> str:
    return f"2025-12-08 03:{13 + minutes}:29.123"


def retracted(store: Store, moment: datetime, model_id: str = "gpt2") -> bool:
    return store.retract(model_id, moment).result(PATIENCE_S)


CHECKS = (
    observe(response_time_ms=100.0, checked_at=at(0)),
    failed(response_time_ms=33.3, checked_at=at(1)),
    observe(response_time_ms=250.5, checked_at=at(2)),
    failed(checked_at=at(3)),  # nothing was measured
    observe(response_time_ms=2.0, cached=True, checked_at=at(4)),
    failed(status=Status.UNKNOWN, counts=False, response_time_ms=9e9, checked_at=at(5)),
    failed("other/one", response_time_ms=7.0, checked_at=at(3)),
)
ALL = ("gpt2", 5, 3, 2, round((100 + 33.3 + 250.5) / 3, 6), text(4), text(3), 60.0)


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        pytest.param([at(3)], ("gpt2", 4, 3, 1, ALL[4], text(4), text(1), 75.0), id="the-newest-failure"),
        pytest.param([at(1)], ("gpt2", 4, 3, 1, 175.25, text(4), text(3), 75.0), id="an-older-failure"),
        pytest.param([at(1), at(3)], ("gpt2", 3, 3, 0, 175.25, text(4), None, 100.0), id="all-failures"),
        pytest.param([at(4)], ("gpt2", 4, 2, 2, ALL[4], text(2), text(3), 50.0), id="a-success-from-a-cache"),
        pytest.param([at(0)], ("gpt2", 4, 2, 2, 141.9, text(4), text(3), 50.0), id="an-older-success"),
        pytest.param([at(0), at(2), at(4)], ("gpt2", 2, 0, 2, 33.3, None, text(3), 0.0), id="all-successes"),
        pytest.param([at(n) for n in range(5)], ("gpt2", 0, 0, 0, None, None, None, None), id="everything"),
        pytest.param([at(3)] * 3, ("gpt2", 4, 3, 1, ALL[4], text(4), text(1), 75.0), id="the-same-again"),
        pytest.param(
            [at(3).astimezone(timezone(timedelta(hours=5)))],
            ("gpt2", 4, 3, 1, ALL[4], text(4), text(1), 75.0),
            id="in-another-time-zone",
        ),
        pytest.param([at(5)], ALL, id="one-that-does-not-count"),
        pytest.param([at(9)], ALL, id="one-that-is-not-there"),
    ],
)
def test_statistics_are_as_if_what_was_retracted_had_not_counted(
    store: Store, path: Path, moments: list[datetime], expected: tuple[object, ...]
) -> None:
    stored(store, *CHECKS)
    other = statistics_kept(path)[1:]

    assert all(retracted(store, moment) for moment in moments)
    assert statistics_kept(path) == [expected, *other]
    assert [row for row in statistics_kept(path) if row[1]] == statistics_of_rows(path)  # 0: no row counts
    assert store.count_history("gpt2") == 6
    assert store.rows_dropped == 0


def test_a_check_that_was_retracted_is_shown_as_one_that_does_not_count(store: Store) -> None:
    store.add_model({"model_id": "gpt2", "task": "text-generation"})
    check = failed(requests=2, compute_time_s=0.5, message="HTTP 500")
    stored(store, observe(checked_at=at(-1)), check)
    before = store.get_model_history("gpt2")
    assert store.uptime("gpt2")["24h"] == 50.0

    assert retracted(store, check.checked_at)
    assert store.get_model_history("gpt2") == [before[0] | {"counted": False}, before[1]]
    assert store.last_observations()["gpt2"].counts is False
    assert store.uptime("gpt2")["24h"] == 100.0
    assert store.spending() == {("huggingface", "2025-12"): (2, 0.5)}  # it was paid all the same


@pytest.mark.parametrize("model_id", ["no/such", "\ud800"], ids=["unknown", "hostile"])
def test_of_a_model_without_checks_there_is_nothing_to_retract(store: Store, path: Path, model_id: str) -> None:
    stored(store, *CHECKS)
    before = statistics_kept(path)

    assert retracted(store, at(3), model_id)
    assert statistics_kept(path) == before
    assert store.get_model_stats(model_id) is None


def test_what_retention_has_deleted_stays_in_the_statistics(store: Store, path: Path) -> None:
    stored(store, *CHECKS)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("DELETE FROM model_metrics WHERE checked_at < ?", (text(3),))

    assert retracted(store, at(3))
    assert statistics_kept(path)[0] == ("gpt2", 4, 3, 1, ALL[4], text(4), None, 75.0)


def test_a_mean_stays_exact_over_many_retractions(store: Store, path: Path) -> None:
    stored(store, *(failed(response_time_ms=0.1 * n, checked_at=at(n)) for n in range(1000)))
    rows = [store.retract("gpt2", at(n)) for n in range(0, 1000, 3)]
    assert all(row.result(PATIENCE_S) for row in rows)

    assert statistics_kept(path) == statistics_of_rows(path)
    assert statistics_kept(path)[0][1] == 666


def test_a_check_that_waits_is_stored_before_it_is_retracted(open_store: Open, waits: Waits, path: Path) -> None:
    store = open_store(wait=waits)
    waits.until(IDLE_S)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert stored(store, failed()) == [False]
        waits.until(0.5)
        rows = [store.retract("gpt2", NOW), store.record(failed(checked_at=at(1))), store.spend("huggingface", NOW, 3)]
        assert [row.done() and row.result() for row in rows] == [False] * 3
        other.execute("ROLLBACK")

    waits.over()
    waits.until(IDLE_S)
    assert query(path, "SELECT checked_at, counted FROM model_metrics ORDER BY id") == [(text(0), 0), (text(1), 1)]
    assert statistics_kept(path) == statistics_of_rows(path)
    assert store.spending() == {("huggingface", "2025-12"): (3, 0.0)}


def test_a_retraction_that_fails_changes_neither_row_nor_statistics(store: Store, path: Path) -> None:
    stored(store, *CHECKS)
    before = statistics_kept(path)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(
            """CREATE TRIGGER picky BEFORE UPDATE ON model_stats WHEN NEW.model_id = 'gpt2'
            BEGIN SELECT RAISE(ABORT, 'no'); END"""
        )

    assert retracted(store, at(3)) is False
    assert (store.errors["row"], store.rows_dropped, store.healthy) == (1, 1, True)
    assert statistics_kept(path) == before
    assert query(path, "SELECT sum(counted) FROM model_metrics WHERE model_id = 'gpt2'") == [(5,)]


def test_a_model_can_be_checked_again_after_all_its_checks_were_retracted(store: Store, path: Path) -> None:
    again: Observation = observe(response_time_ms=0.3, checked_at=at(1))
    stored(store, failed(response_time_ms=1e6))
    assert retracted(store, NOW)
    stored(store, again)

    assert statistics_kept(path) == statistics_of_rows(path) == [("gpt2", 1, 1, 0, 0.3, text(1), None, 100.0)]
