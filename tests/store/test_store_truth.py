"""What a check cost, whether it was right, what changed and from what: kept in the same file, by the same rules."""

from __future__ import annotations

import dataclasses
import math
import re
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from store_kit import (
    FINBERT,
    GPT2,
    NOW,
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

from exporter.models import Event, EventKind, Observation
from exporter.store import StorageError, Store, changes, checks, schema, statistics
from exporter.store.retention import EVERY_S, STEP_ROWS
from exporter.store.rows import to_text

IDLE_S = 60.0
DAY_S = 86_400.0


@pytest.fixture
def store(open_store: Open) -> Store:
    return open_store()


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def tell(model_id: str | None = "gpt2", **changes: Any) -> Event:
    facts: dict[str, Any] = {"at": NOW, "kind": EventKind.LABELS_CHANGED, "provider": "huggingface"}
    return Event(model_id=model_id, **(facts | changes))


def told(store: Store, *events: Event) -> list[bool]:
    futures = [store.record_event(event) for event in events]
    return [future.result(PATIENCE_S) for future in futures]


def saved(store: Store, model_id: str, baseline: Mapping[str, Any]) -> bool:
    return store.save_baseline(model_id, baseline).result(PATIENCE_S)


def messages(events: list[dict[str, Any]]) -> list[str]:
    return [event["message"] for event in events]


def swept(store: Store, clock: SetClock, waits: Waits) -> None:
    """Let the writer do what retention there is to do."""
    waits.until(EVERY_S)
    clock.advance(seconds=EVERY_S)
    waits.over()
    waits.until(EVERY_S)


# What a check cost


@pytest.mark.parametrize(
    ("checks_made", "expected"),
    [
        pytest.param([{"requests": 1, "compute_time_s": 0.25}], {("huggingface", "2025-12"): (1, 0.25)}, id="one"),
        pytest.param(
            [{"requests": 2, "compute_time_s": 0.25}, {"requests": 1, "compute_time_s": 0.5}],
            {("huggingface", "2025-12"): (3, 0.75)},
            id="a-second-try",
        ),
        pytest.param([{"requests": 1}], {("huggingface", "2025-12"): (1, 0.0)}, id="no-time-was-told"),
        pytest.param(
            [{"requests": 1, "compute_time_s": math.nan}], {("huggingface", "2025-12"): (1, 0.0)}, id="no-number"
        ),
        pytest.param([{"requests": 0}], {}, id="nothing-was-sent"),
        pytest.param([{"requests": 0, "compute_time_s": 0.5}], {}, id="a-result-that-is-told-again-was-paid-before"),
        pytest.param(
            [{"requests": 1, "counts": False, "success": False}],
            {("huggingface", "2025-12"): (1, 0.0)},
            id="what-does-not-count-costs-as-well",
        ),
        pytest.param(
            [{"requests": 1}, {"requests": 2, "provider": "elsewhere"}],
            {("huggingface", "2025-12"): (1, 0.0), ("elsewhere", "2025-12"): (2, 0.0)},
            id="two-providers",
        ),
        pytest.param(
            [
                {"requests": 1, "checked_at": datetime(2025, 12, 31, 23, 59, 59, 999_000, UTC)},
                {"requests": 2, "checked_at": datetime(2026, 1, 1, tzinfo=UTC)},
                {"requests": 4, "checked_at": datetime(2026, 1, 1, 8, 59, tzinfo=timezone(timedelta(hours=9)))},
            ],
            {("huggingface", "2025-12"): (5, 0.0), ("huggingface", "2026-01"): (2, 0.0)},
            id="a-month-is-one-of-utc",
        ),
    ],
)
def test_what_checks_cost_adds_up_by_provider_and_month(
    store: Store, checks_made: list[dict[str, Any]], expected: dict[tuple[str, str], tuple[int, float]]
) -> None:
    stored(store, *(observe(**changes) for changes in checks_made))

    assert store.spending() == expected


def test_what_was_spent_is_known_after_a_restart_and_after_its_checks_are_gone(
    open_store: Open, clock: SetClock, waits: Waits
) -> None:
    with open_store() as store:
        stored(store, observe(requests=3, compute_time_s=1.5, checked_at=NOW - timedelta(days=31)))

    again = open_store(wait=waits)
    swept(again, clock, waits)
    assert again.count_history("gpt2") == 0
    assert again.spending() == {("huggingface", "2025-11"): (3, 1.5)}


@pytest.mark.parametrize(
    ("spent", "expected"),
    [
        pytest.param([("huggingface", NOW, 2)], {("huggingface", "2025-12"): (3, 0.5)}, id="no-time-was-told"),
        pytest.param([("huggingface", NOW, 2, 0.25)] * 2, {("huggingface", "2025-12"): (5, 1.0)}, id="twice"),
        pytest.param([("huggingface", NOW, 1, math.inf)], {("huggingface", "2025-12"): (2, 0.5)}, id="no-number"),
        pytest.param(
            [("elsewhere", datetime(2026, 1, 1, 8, 59, tzinfo=timezone(timedelta(hours=9))), 4)],
            {("huggingface", "2025-12"): (1, 0.5), ("elsewhere", "2025-12"): (4, 0.0)},
            id="another-provider-and-a-month-of-utc",
        ),
        pytest.param(
            [("else\ud800", NOW, 1)],
            {("huggingface", "2025-12"): (1, 0.5), ("else\ufffd", "2025-12"): (1, 0.0)},
            id="a-hostile-name",
        ),
    ],
)
def test_what_is_spent_without_a_check_is_added_to_what_checks_cost(
    store: Store, spent: list[Any], expected: dict[tuple[str, str], tuple[int, float]]
) -> None:
    stored(store, observe(requests=1, compute_time_s=0.5))

    assert [store.spend(*each).result(PATIENCE_S) for each in spent] == [True] * len(spent)
    assert store.spending() == expected
    assert store.count_history("gpt2") == 1


@pytest.mark.parametrize(
    "spent",
    [
        pytest.param((None, NOW, 1), id="no-provider"),
        pytest.param(("huggingface", NOW, 2**70), id="a-number-too-big"),
        pytest.param(("huggingface", NOW, 1, "long"), id="no-number"),
    ],
)
def test_spending_that_can_never_be_stored_is_dropped_alone(store: Store, spent: Any) -> None:
    assert store.spend(*spent).result(PATIENCE_S) is False
    assert stored(store, observe(requests=1)) == [True]

    assert store.spending() == {("huggingface", "2025-12"): (1, 0.0)}
    assert (store.errors["row"], store.rows_dropped, store.healthy) == (1, 1, True)


def test_a_check_that_is_tried_again_is_paid_once(open_store: Open, waits: Waits, path: Path) -> None:
    store = open_store(wait=waits)
    waits.until(IDLE_S)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        rows = [store.record(observe(requests=1, compute_time_s=0.5)) for _ in range(3)]
        assert [row.result(PATIENCE_S) for row in rows] == [False] * 3
        waits.until(0.5)
        other.execute("ROLLBACK")
    assert store.spending() == {}

    waits.over()
    waits.until(IDLE_S)
    assert store.spending() == {("huggingface", "2025-12"): (3, 1.5)}
    assert query(path, "SELECT sum(requests), sum(compute_time_s) FROM model_metrics") == [(3, 1.5)]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"http_status": 2**70}, id="its-row-is-unfit"),
        pytest.param({"compute_time_s": "long"}, id="its-cost-is-no-number"),
    ],
)
def test_a_check_that_cannot_be_stored_leaves_neither_row_nor_statistics_nor_cost(
    store: Store, path: Path, changes: dict[str, Any]
) -> None:
    assert stored(store, observe(requests=1), observe(**({"requests": 5} | changes))) == [True, False]

    assert store.spending() == {("huggingface", "2025-12"): (1, 0.0)}
    assert store.count_history("gpt2") == 1
    assert statistics_kept(path) == statistics_of_rows(path)
    assert (store.errors["row"], store.rows_dropped) == (1, 1)


def test_the_time_of_an_answer_from_a_cache_is_no_response_time_of_the_model(store: Store, path: Path) -> None:
    stored(
        store,
        observe(response_time_ms=100.0),
        observe(response_time_ms=2.0, cached=True),
        failed(response_time_ms=300.0),
        observe("always/cached", response_time_ms=2.0, cached=True),
    )

    stats = store.all_stats()
    assert (stats["gpt2"]["total_checks"], stats["gpt2"]["successful_checks"]) == (3, 2)
    assert stats["gpt2"]["avg_response_time_ms"] == 200.0
    assert (stats["always/cached"]["total_checks"], stats["always/cached"]["avg_response_time_ms"]) == (1, None)
    assert statistics_kept(path) == statistics_of_rows(path)
    assert [row["response_time_ms"] for row in store.get_model_history("always/cached")] == [2.0]


def test_a_model_was_last_asked_when_a_request_was_last_sent(store: Store) -> None:
    never = dataclasses.replace(GPT2, model_id="never/asked")
    store.sync_models([GPT2, FINBERT, never])
    stored(
        store,
        observe(requests=1, checked_at=at(2)),
        observe(requests=2, checked_at=at(1)),
        observe(requests=0, checked_at=at(3)),
        observe("never/asked", checked_at=at(3)),
        observe("not/known", requests=1),
        observe("ProsusAI/finbert", requests=1, checked_at=at(5)),
    )
    store.sync_models([GPT2, never])

    assert store.last_asked() == {"gpt2": at(2), "ProsusAI/finbert": at(5)}  # it may come back: its pace goes on


def test_a_time_that_is_none_was_long_ago(store: Store, path: Path) -> None:
    store.sync_models([GPT2])
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(
            "INSERT INTO model_metrics (model_id, status, success, checked_at, requests)"
            " VALUES ('gpt2', 'available', 1, 'yesterday', 1)"
        )

    assert store.last_asked() == {"gpt2": datetime(1970, 1, 1, tzinfo=UTC)}


# Whether it was right


@pytest.mark.parametrize(
    ("since", "expected", "of_all"),
    [
        pytest.param(None, (2, 3), {"gpt2": (2, 3), "ProsusAI/finbert": (0, 1)}, id="ever"),
        pytest.param(at(1), (1, 2), {"gpt2": (1, 2), "ProsusAI/finbert": (0, 1)}, id="since-is-included"),
        pytest.param(at(2).astimezone(timezone(timedelta(hours=-8))), (1, 1), {"gpt2": (1, 1)}, id="another-time-zone"),
        pytest.param(at(9), (0, 0), {}, id="nothing-since"),
    ],
)
def test_accuracy_is_of_the_answers_that_were_judged(
    store: Store, since: datetime | None, expected: tuple[int, int], of_all: dict[str, tuple[int, int]]
) -> None:
    store.sync_models([GPT2, FINBERT])
    stored(
        store,
        observe(correct=True, checked_at=at(0)),
        observe(correct=False, checked_at=at(1)),
        observe(correct=True, checked_at=at(2)),
        observe(correct=None, checked_at=at(2)),
        observe("ProsusAI/finbert", correct=False, checked_at=at(1)),
        observe("not/known", correct=True, checked_at=at(0)),
    )

    assert store.accuracy("gpt2", since) == expected
    assert store.all_accuracy(since) == of_all


def test_accuracy_of_a_model_that_is_not_configured_can_be_asked_for(store: Store) -> None:
    stored(store, observe("not/known", correct=True))

    assert store.accuracy("not/known") == (1, 1)
    assert store.accuracy("no/such") == (0, 0)


# What changed


def test_an_event_comes_out_as_it_was_told(store: Store) -> None:
    event = tell(
        kind=EventKind.LABELS_CHANGED,
        before=["LABEL_0", "LABEL_1"],
        after=("NEGATIVE", "POSITIVE"),
        message="labels changed",
    )
    assert told(store, event, tell(None, kind=EventKind.RUNTIME_CHANGED, at=at(1))) == [True, True]

    assert store.get_events() == [
        {
            "id": 2,
            "at": "2025-12-08T03:14:29.123Z",
            "kind": "runtime_changed",
            "provider": "huggingface",
            "model_id": None,
            "before": None,
            "after": None,
            "message": "",
        },
        {
            "id": 1,
            "at": "2025-12-08T03:13:29.123Z",
            "kind": "labels_changed",
            "provider": "huggingface",
            "model_id": "gpt2",
            "before": ["LABEL_0", "LABEL_1"],
            "after": ["NEGATIVE", "POSITIVE"],
            "message": "labels changed",
        },
    ]


@pytest.mark.parametrize("kind", EventKind)
def test_every_kind_of_event_can_be_kept(store: Store, kind: EventKind) -> None:
    assert told(store, tell(kind=kind)) == [True]

    assert [event["kind"] for event in store.get_events(kinds={kind})] == [kind.value]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param({}, ["5", "4", "3", "2", "1", "0"], id="all"),
        pytest.param({"limit": 2}, ["5", "4"], id="newest-first"),
        pytest.param({"limit": 0}, [], id="none"),
        pytest.param({"limit": -1}, [], id="fewer-than-none"),
        pytest.param({"limit": 10**30, "before": 10**30}, ["5", "4", "3", "2", "1", "0"], id="absurd-numbers"),
        pytest.param({"model_id": "gpt2"}, ["5", "3", "0"], id="of-a-model"),
        pytest.param({"model_id": "no/such"}, [], id="of-a-model-without-any"),
        pytest.param({"since": at(3)}, ["5", "4", "3"], id="since-is-included"),
        pytest.param({"since": at(4).astimezone(timezone(timedelta(hours=5)))}, ["5", "4"], id="another-time-zone"),
        pytest.param({"kinds": [EventKind.INCIDENT_OPENED]}, ["4", "1"], id="of-a-kind"),
        pytest.param({"kinds": {EventKind.INCIDENT_OPENED, EventKind.RENAMED}}, ["5", "4", "1"], id="of-two-kinds"),
        pytest.param({"kinds": ()}, [], id="of-no-kind"),
        pytest.param(
            {"model_id": "gpt2", "since": at(1), "kinds": [EventKind.LABELS_CHANGED]}, ["3"], id="all-of-these"
        ),
    ],
)
def test_events_are_found_by_model_time_and_kind(store: Store, wanted: dict[str, Any], expected: list[str]) -> None:
    told(
        store,
        tell("gpt2", at=at(0), message="0"),
        tell(None, at=at(1), message="1", kind=EventKind.INCIDENT_OPENED),
        tell("gpt2", at=at(3), message="3"),
        tell("ProsusAI/finbert", at=at(2), message="2"),  # comes late
        tell(None, at=at(4), message="4", kind=EventKind.INCIDENT_OPENED, provider="elsewhere"),
        tell("gpt2", at=at(5), message="5", kind=EventKind.RENAMED),
    )

    assert messages(store.get_events(**wanted)) == expected


@pytest.mark.parametrize("model_id", [None, "gpt2"], ids=["of-all", "of-one-model"])
def test_pages_of_events_meet_without_gap_or_overlap_also_where_the_cursor_was_deleted(
    store: Store, path: Path, model_id: str | None
) -> None:
    told(store, *(tell(at=at(n // 3), message=str(n)) for n in range(10)))

    first = store.get_events(model_id, 4)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("DELETE FROM events WHERE id = ?", (first[-1]["id"],))
    second = store.get_events(model_id, 4, before=first[-1]["id"])
    third = store.get_events(model_id, 4, before=second[-1]["id"])
    assert messages(first + second + third) == ["9", "8", "7", "6", "5", "4", "3", "2", "1", "0"]
    assert store.get_events(model_id, 4, before=third[-1]["id"]) == []


HOSTILE = "lone \ud800, nul \x00, '; DROP TABLE events; --"
CLEAN = HOSTILE.replace("\ud800", "\ufffd")


def test_hostile_values_of_an_event_are_stored_in_a_form_that_can_be(store: Store) -> None:
    event = tell(f"m{HOSTILE}", before={HOSTILE: math.nan}, after={1, 2}, message=HOSTILE)
    assert told(store, event) == [True]

    (found,) = store.get_events(f"m{HOSTILE}")
    assert (found["model_id"], found["message"]) == (f"m{CLEAN}", CLEAN)
    assert (found["before"], found["after"]) == ({CLEAN: None}, "(cannot be stored: TypeError)")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"provider": None}, id="no-provider"),
        pytest.param({"kind": "exploded"}, id="no-such-kind"),
        pytest.param({"message": {1}}, id="a-type-that-no-column-holds"),
    ],
)
def test_an_event_that_can_never_be_stored_is_dropped_alone(store: Store, changes: dict[str, Any]) -> None:
    assert told(store, tell(message="1"), tell(**changes), tell(message="2")) == [True, False, True]

    assert messages(store.get_events()) == ["2", "1"]
    assert (store.errors["row"], store.rows_dropped, store.healthy) == (1, 1, True)


def test_checks_events_and_baselines_wait_in_one_queue_and_are_committed_together(
    open_store: Open, waits: Waits, path: Path
) -> None:
    store = open_store(wait=waits, queue_rows=3)
    waits.until(IDLE_S)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        early = [store.record_event(tell(message="0"))]
        assert early[0].result(PATIENCE_S) is False
        waits.until(0.5)
        late = [store.record(observe()), store.save_baseline("gpt2", {"a": 1}), store.record_event(tell(message="1"))]
        assert (store.queue_rows, store.rows_dropped, store.errors["write"]) == (3, 1, 1)  # the oldest had to go
        other.execute("ROLLBACK")

    waits.over()
    waits.until(IDLE_S)
    assert [row.result(PATIENCE_S) for row in late] == [False] * 3  # said while the store was failing
    assert messages(store.get_events()) == ["1"]
    assert store.load_baselines() == {"gpt2": {"a": 1}}
    assert store.count_history("gpt2") == 1


def test_events_stay_four_times_as_long_as_checks_and_go_in_steps(
    open_store: Open, clock: SetClock, waits: Waits
) -> None:
    store = open_store(wait=waits, history_s=30 * DAY_S)
    too_old, old, checked = (NOW - timedelta(days=days) for days in (121, 119, 31))
    told(store, *(tell(at=too_old) for _ in range(2 * STEP_ROWS + 10)), tell(at=old, message="old"))
    told(store, tell(None, at=too_old))
    stored(store, observe(checked_at=checked))

    swept(store, clock, waits)
    assert messages(store.get_events(limit=2000)) == ["old"]
    assert store.count_history("gpt2") == 0


def test_events_without_end_are_kept(open_store: Open, clock: SetClock, waits: Waits) -> None:
    store = open_store(wait=waits, history_s=math.inf)
    told(store, tell(at=NOW - timedelta(days=20_000)))

    swept(store, clock, waits)
    assert len(store.get_events()) == 1
    assert store.errors["retention"] == 0


# ... and from what


def test_a_baseline_is_there_the_next_time_and_a_new_one_takes_its_place(
    open_store: Open, path: Path, clock: SetClock
) -> None:
    baseline = {"labels": ["NEGATIVE", "POSITIVE"], "goldens": {"bullish": {"score": 0.93, "count": 3}}, "gated": None}
    with open_store() as store:
        assert store.load_baselines() == {}
        assert saved(store, "gpt2", {"labels": None})
        assert saved(store, "ProsusAI/finbert", baseline)
        clock.advance(minutes=1)
        assert saved(store, "gpt2", baseline)

    assert open_store().load_baselines() == {"gpt2": baseline, "ProsusAI/finbert": baseline}
    assert query(path, "SELECT model_id, updated_at FROM baselines ORDER BY model_id") == [
        ("ProsusAI/finbert", "2025-12-08 03:13:29.123"),
        ("gpt2", "2025-12-08 03:14:29.123"),
    ]


def endless() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["again"] = value
    return value


@pytest.mark.parametrize(
    "baseline",
    [
        pytest.param({"labels": {1, 2}}, id="a-type-that-json-has-not"),
        pytest.param({"count": 10**5000}, id="a-number-of-5000-digits"),
        pytest.param(endless(), id="endless"),
    ],
)
def test_a_baseline_that_json_cannot_hold_leaves_the_former_one(store: Store, baseline: dict[str, Any]) -> None:
    assert saved(store, "gpt2", {"labels": ["a"]})
    assert not saved(store, "gpt2", baseline)

    assert store.load_baselines() == {"gpt2": {"labels": ["a"]}}
    assert (store.errors["row"], store.rows_dropped, store.healthy) == (1, 1, True)


def test_hostile_values_of_a_baseline_are_stored_in_a_form_that_can_be(store: Store) -> None:
    assert saved(store, HOSTILE, {HOSTILE: [HOSTILE, math.inf]})

    assert store.load_baselines() == {CLEAN: {CLEAN: [CLEAN, None]}}


def test_a_damaged_baseline_is_as_none(store: Store, path: Path) -> None:
    saved(store, "gpt2", {"labels": ["a"]})
    with closing(sqlite3.connect(path)) as other, other:
        for model_id, text in (("no/json", "{oops"), ("a/list", "[1]"), ("no/thing", "null")):
            other.execute("INSERT INTO baselines VALUES (?, ?, '')", (model_id, text))

    assert store.load_baselines() == {"gpt2": {"labels": ["a"]}}


# The file


def test_a_database_of_the_former_version_is_migrated_with_all_kept(open_store: Open, path: Path) -> None:
    with closing(schema.connect(path, mode="rwc")) as former:
        with schema.transaction(former):
            schema.apply(former, 0, simulated=False)
        former.execute("INSERT INTO ai_models (model_id, task) VALUES ('gpt2', 'text-generation')")
        former.executemany(
            "INSERT INTO model_metrics (id, model_id, status, success, response_time_ms, checked_at, compute_time_s)"
            " VALUES (?, 'gpt2', 'available', 1, 100.0, ?, 0.5)",
            [(7, to_text(NOW)), (9, to_text(at(5)))],
        )
        former.execute(
            "INSERT INTO model_stats (model_id, total_checks, successful_checks, failed_checks, avg_response_time_ms,"
            " success_rate, measured_checks, response_time_sum_ms) VALUES ('gpt2', 10, 9, 1, 100.0, 90.0, 10, 1000.0)"
        )
        assert schema.user_version(former) == 1
        columns = [name for (name,) in former.execute("SELECT name FROM pragma_table_info('model_metrics')")]
        before = query(path, f"SELECT {', '.join(columns)} FROM model_metrics ORDER BY id")
    store = open_store()

    assert query(path, "PRAGMA user_version") == [(schema.VERSION,)]
    assert query(path, f"SELECT {', '.join(columns)} FROM model_metrics ORDER BY id") == before
    assert {"requests", "cached", "cold", "canary", "correct"}.isdisjoint(columns)
    newest = store.last_observations()["gpt2"]
    assert (newest.requests, newest.cached, newest.cold, newest.canary, newest.correct) == (0, False, None, None, None)
    assert (store.carried_over, store.set_aside) == (None, None)
    assert (store.spending(), store.last_asked(), store.get_events(), store.load_baselines()) == ({}, {}, [], {})

    stored(store, observe(requests=1, response_time_ms=210.0, checked_at=at(10)))
    assert [row["id"] for row in store.get_model_history("gpt2")] == [10, 9, 7]
    stats = store.get_model_stats("gpt2")
    assert stats is not None
    assert (stats["total_checks"], stats["avg_response_time_ms"]) == (11, pytest.approx(110.0))


def test_a_migration_that_fails_changes_nothing_and_works_when_its_cause_is_gone(open_store: Open, path: Path) -> None:
    with closing(schema.connect(path, mode="rwc")) as former:
        with schema.transaction(former):
            schema.apply(former, 0, simulated=False)
        former.execute("CREATE TABLE spending (songs)")  # the last one of the migration
        columns = former.execute("SELECT count(*) FROM pragma_table_info('model_metrics')").fetchone()[0]

    with pytest.raises(StorageError, match=r"migrate: .*spending"):
        open_store()
    assert query(path, "PRAGMA user_version") == [(1,)]
    assert query(path, "SELECT count(*) FROM pragma_table_info('model_metrics')") == [(columns,)]

    with closing(sqlite3.connect(path)) as other, other:
        other.execute("DROP TABLE spending")
    assert stored(open_store(), observe(requests=1)) == [True]


def test_a_database_that_is_begun_has_the_same_tables_as_one_that_was_migrated_and_one_that_was_carried_over(
    open_store: Open, tmp_path: Path
) -> None:
    begun, migrated, carried = (tmp_path / f"{name}.db" for name in ("begun", "migrated", "carried"))
    with closing(schema.connect(migrated, mode="rwc")) as former, schema.transaction(former):
        schema.apply(former, 0, simulated=False)
    with closing(sqlite3.connect(carried)) as predecessor:
        predecessor.execute("CREATE TABLE model_metrics (model_id, status)")
    shapes = []
    for path in (begun, migrated, carried):
        open_store(path)
        shapes.append(query(path, "SELECT type, name, sql FROM sqlite_master ORDER BY type, name"))

    assert shapes[0] == shapes[1] == shapes[2]
    assert query(carried, "PRAGMA user_version") == [(schema.VERSION,)]


@pytest.mark.parametrize(
    ("statement", "given", "index"),
    [
        pytest.param(checks.LAST_ASKED, {}, r"SEARCH h .*INDEX model_metrics_asked \(model_id=\?", id="last-asked"),
        pytest.param(
            checks.ACCURACY,
            {"model_id": "gpt2", "since": "2025-12-08"},
            r"SEARCH h .*COVERING INDEX model_metrics_judged \(model_id=\? AND checked_at>\?\)",
            id="accuracy",
        ),
        pytest.param(
            checks._COUNTED_AT,
            {},
            r"SEARCH model_metrics .*INDEX model_metrics_of_model \(model_id=\? AND checked_at=\?\)",
            id="the-check-to-retract",
        ),
        pytest.param(
            statistics.TAKE, {}, r"SEARCH model_metrics .*INDEX model_metrics_of_model \(model_id=\?\)", id="retracting"
        ),
        pytest.param(changes.EVENTS, {}, r"SEARCH events .*INDEX events_by_age \(at>\?", id="events"),
        pytest.param(
            changes.EVENTS_OF_MODEL,
            {"model_id": "gpt2"},
            r"SEARCH events .*INDEX events_of_model \(model_id=\?",
            id="events-of-a-model",
        ),
    ],
)
def test_no_read_walks_through_all_rows(
    store: Store, path: Path, statement: str, given: dict[str, str], index: str
) -> None:
    with closing(sqlite3.connect(path)) as other:
        parameters = dict.fromkeys(re.findall(r":(\w+)", statement)) | given
        plan = [row[3] for row in other.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]

    assert [step for step in plan if re.match(index, step)], plan
    assert not [step for step in plan if re.match(r"SCAN (model_metrics|h|events)\b", step)], plan
    assert "USE TEMP B-TREE FOR ORDER BY" not in plan


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(Store.last_asked, id="last_asked"),
        pytest.param(Store.spending, id="spending"),
        pytest.param(lambda store: store.accuracy("gpt2"), id="accuracy"),
        pytest.param(Store.all_accuracy, id="all_accuracy"),
        pytest.param(Store.get_events, id="get_events"),
        pytest.param(lambda store: store.get_events("gpt2"), id="get_events-of-a-model"),
        pytest.param(Store.load_baselines, id="load_baselines"),
    ],
)
def test_a_read_that_fails_says_so(store: Store, path: Path, ask: Callable[[Store], object]) -> None:
    with closing(sqlite3.connect(path)) as other, other:
        for table in ("model_metrics", "events", "baselines", "spending"):
            other.execute(f"DROP TABLE {table}")
    with pytest.raises(StorageError, match="read: no such table") as caught:
        ask(store)
    assert str(path) in str(caught.value)

    store.close()
    with pytest.raises(StorageError, match="the store is closed"):
        ask(store)


def test_a_closed_store_takes_nothing_any_more(store: Store) -> None:
    store.close()

    assert told(store, tell()) == [False]
    assert not saved(store, "gpt2", {})
    assert not store.spend("huggingface", NOW, 1).result(PATIENCE_S)
    assert not store.retract("gpt2", NOW).result(PATIENCE_S)
    assert store.rows_dropped == 4


def test_the_table_of_checks_holds_every_field_of_an_observation(store: Store, path: Path) -> None:
    renamed = {"message": "error_message", "counts": "counted"}
    kept = {name for (name,) in query(path, "SELECT name FROM pragma_table_info('model_metrics')")}

    fields = {renamed.get(field.name, field.name) for field in dataclasses.fields(Observation)}
    assert fields - kept == {
        "task",
        "checks",
        "retry_after_s",
        "hub_served",
    }  # the one is the model's, the others are counted where they are made
