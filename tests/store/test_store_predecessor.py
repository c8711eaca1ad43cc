"""A predecessor's database, however it was written, is copied first and then carried over without losing a row."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from store_kit import FINBERT, GPT2, Open, SetClock, make_database, observe, query, statistics_kept, stored

from exporter.models import Reason, Status
from exporter.store import StorageError
from exporter.store.carry_over import carry_over
from exporter.store.schema import connect

AI_MODELS = """CREATE TABLE ai_models (
    id INTEGER PRIMARY KEY AUTOINCREMENT, model_id TEXT UNIQUE NOT NULL, model_key TEXT, task TEXT NOT NULL,
    category TEXT NOT NULL, provider TEXT DEFAULT 'huggingface', requires_auth BOOLEAN DEFAULT 0,
    is_active BOOLEAN DEFAULT 1, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)"""
MODEL_METRICS = """CREATE TABLE model_metrics (
    id INTEGER PRIMARY KEY AUTOINCREMENT, model_id TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('available', 'loading', 'failed', 'unknown')), response_time_ms REAL,
    success BOOLEAN, error_message TEXT, test_input TEXT, test_output TEXT, confidence REAL,
    checked_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, FOREIGN KEY (model_id) REFERENCES ai_models (model_id))"""
MODEL_STATS = """CREATE TABLE model_stats (
    model_id TEXT PRIMARY KEY, total_checks INTEGER DEFAULT 0, successful_checks INTEGER DEFAULT 0,
    failed_checks INTEGER DEFAULT 0, avg_response_time_ms REAL, last_success_at TIMESTAMP,
    last_failure_at TIMESTAMP, success_rate REAL, FOREIGN KEY (model_id) REFERENCES ai_models (model_id))"""
SEED = [
    AI_MODELS,
    MODEL_METRICS,
    MODEL_STATS,
    "CREATE INDEX model_metrics_of_model ON model_metrics (checked_at)",  # a name that we use as well
    "CREATE TABLE notes (text)",
    "INSERT INTO notes VALUES ('keep me')",
    "CREATE VIEW failures AS SELECT model_id FROM model_metrics WHERE NOT success",
    """INSERT INTO ai_models (id, model_id, model_key, task, category, requires_auth, created_at, updated_at) VALUES
    (3, 'ProsusAI/finbert', 'fin', 'sentiment-analysis', 'financial', 0, '2025-12-01 10:00:00', '2025-12-02T10:00:00'),
    (7, 'ElKulako/cryptobert', NULL, 'sentiment-analysis', 'crypto', 1, NULL, NULL)""",
    """INSERT INTO model_metrics VALUES
    (11, 'ProsusAI/finbert', 'failed', 84.5, 0, 'HTTP 410', 'Bitcoin', NULL, NULL, '2025-12-08 03:13:29'),
    (12, 'ProsusAI/finbert', 'available', 115.5, 1, NULL, 'Bitcoin', '[{"label": "positive"}]', 0.9,
     '2025-12-08T03:18:29.123456'),
    (13, 'ElKulako/cryptobert', 'unknown', NULL, NULL, 'no token', NULL, '{not json', NULL, '2025-12-08 03:18:30'),
    (15, 'gone/model', 'loading', NULL, 0, NULL, NULL, NULL, NULL, '2025-12-08 03:18:31')""",
    """INSERT INTO model_stats VALUES
    ('ProsusAI/finbert', 1000, 900, 100, 123.25, '2025-12-08T03:18:29.123456', '2025-12-08 03:13:29', 90.0)""",
]


def with_metrics(columns: str, *values: tuple[Any, ...]) -> list[str | tuple[str, tuple[Any, ...]]]:
    marks = ", ".join("?" for _ in columns.split(","))
    inserts = [(f"INSERT INTO model_metrics VALUES ({marks})", value) for value in values]
    return [f"CREATE TABLE model_metrics ({columns})", *inserts]


def test_everything_of_a_seed_database_is_carried_over(open_store: Open, path: Path) -> None:
    make_database(path, SEED)
    store = open_store()

    assert (store.carried_over, store.carried_over_undated, store.set_aside) == (4, 0, None)
    newest, first = store.get_model_history("ProsusAI/finbert")
    assert first == {
        "id": 11,
        "model_id": "ProsusAI/finbert",
        "status": "failed",
        "response_time_ms": 84.5,
        "success": False,
        "error_message": "HTTP 410",
        "test_input": "Bitcoin",
        "test_output": None,
        "confidence": None,
        "checked_at": "2025-12-08T03:13:29.000Z",
        "provider": "huggingface",
        "reason": None,
        "scope": None,
        "http_status": None,
        "counted": True,
        "attempts": [],
        "timings": {},
        "canonical_id": None,
        "hub_sha": None,
        "served_sha": None,
        "compute_type": None,
        "compute_time_s": None,
        "requests": 0,
        "cached": False,
        "cold": None,
        "canary": None,
        "correct": None,
    }
    assert (newest["id"], newest["checked_at"]) == (12, "2025-12-08T03:18:29.123Z")
    assert (newest["test_output"], newest["confidence"]) == ([{"label": "positive"}], 0.9)
    (unknown,) = store.get_model_history("ElKulako/cryptobert")
    assert (unknown["test_output"], unknown["counted"], unknown["success"]) == ("{not json", False, False)
    assert store.count_history("gone/model") == 1

    models = {model["model_id"]: model for model in store.get_all_models()}
    assert list(models) == ["ProsusAI/finbert", "ElKulako/cryptobert"]
    assert models["ProsusAI/finbert"]["created_at"] == "2025-12-01T10:00:00.000Z"
    assert models["ProsusAI/finbert"]["updated_at"] == "2025-12-02T10:00:00.000Z"
    assert models["ElKulako/cryptobert"]["requires_auth"] is True
    assert models["ElKulako/cryptobert"]["model_key"] == ""
    assert models["ElKulako/cryptobert"]["created_at"] == "2025-12-08T03:13:29.123Z"
    assert query(path, "SELECT * FROM notes") == [("keep me",)]
    assert query(path, "SELECT count(*) FROM failures") == [(3,)]
    assert query(path, "SELECT id FROM ai_models ORDER BY id") == [(3,), (7,)]


def test_statistics_stay_as_they_were_and_go_on(open_store: Open, path: Path) -> None:
    make_database(path, SEED)
    store = open_store()

    assert statistics_kept(path) == [
        ("ProsusAI/finbert", 1000, 900, 100, 123.25, "2025-12-08 03:18:29.123", "2025-12-08 03:13:29.000", 90.0),
        ("gone/model", 1, 0, 1, None, None, "2025-12-08 03:18:31.000", 0.0),
    ]
    stored(store, observe("ProsusAI/finbert", response_time_ms=1124.25))
    stats = store.get_model_stats("ProsusAI/finbert")
    assert stats is not None
    assert (stats["total_checks"], stats["success_rate"]) == (1001, pytest.approx(100 * 901 / 1001))
    assert stats["avg_response_time_ms"] == pytest.approx((123.25 * 1000 + 1124.25) / 1001)


def test_the_last_checks_of_the_predecessor_prime_the_next_start(open_store: Open, path: Path) -> None:
    make_database(path, SEED)
    store = open_store()
    store.sync_models([FINBERT, GPT2])

    (last,) = store.last_observations().values()
    assert (last.model_id, last.status, last.reason, last.task) == (
        "ProsusAI/finbert",
        Status.AVAILABLE,
        Reason.OK,
        "sentiment-analysis",
    )


def test_a_complete_copy_is_made_first_and_none_is_overwritten(open_store: Open, path: Path) -> None:
    make_database(path, SEED)
    before = query(path, "SELECT * FROM model_metrics")
    path.with_name("ai_models.db.predecessor").write_text("precious")
    store = open_store()

    assert store.predecessor_copy == path.with_name("ai_models.db.predecessor-2")
    assert query(store.predecessor_copy, "SELECT * FROM model_metrics") == before
    assert query(store.predecessor_copy, "SELECT sql FROM sqlite_master WHERE name = 'ai_models'") == [(AI_MODELS,)]
    assert path.with_name("ai_models.db.predecessor").read_text() == "precious"
    store.close()
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "ai_models.db",
        "ai_models.db.predecessor",
        "ai_models.db.predecessor-2",
    ]


def test_a_predecessor_is_carried_over_once(open_store: Open, path: Path) -> None:
    make_database(path, SEED)
    open_store().close()
    again = open_store()

    assert (again.carried_over, again.predecessor_copy) == (None, None)
    assert again.count_history("ProsusAI/finbert") == 2


def test_a_database_of_ours_is_not_carried_over(open_store: Open, path: Path, clock: SetClock) -> None:
    with open_store() as store:
        stored(store, observe())

    with closing(connect(path)) as connection:  # as a second process finds it that waited while the first carried over
        assert carry_over(connection, path, clock()) is None
    assert sorted(path.parent.iterdir()) == [path]


def test_a_predecessor_in_wal_mode_is_carried_over_with_its_log(open_store: Open, path: Path) -> None:
    with closing(sqlite3.connect(path)) as predecessor:
        predecessor.execute("PRAGMA journal_mode = WAL")
        for statement in SEED:
            predecessor.execute(statement)
        predecessor.commit()
        store = open_store()
        assert store.carried_over == 4
    assert query(path.with_name("ai_models.db.predecessor"), "SELECT count(*) FROM model_metrics") == [(4,)]


@pytest.mark.parametrize(
    "statements",
    [
        pytest.param(
            [AI_MODELS, "INSERT INTO ai_models (model_id, task, category) VALUES ('gpt2', 't', 'c')"], id="models-only"
        ),
        pytest.param(["CREATE TABLE model_stats (model_id TEXT)"], id="statistics-without-columns"),
        pytest.param(["CREATE TABLE ai_models (id INTEGER PRIMARY KEY)", "INSERT INTO ai_models VALUES (1)"], id="ids"),
        pytest.param([AI_MODELS, MODEL_METRICS, MODEL_STATS], id="empty-tables"),
        pytest.param(["CREATE TABLE model_metrics (note)"], id="metrics-without-columns"),
    ],
)
def test_parts_of_a_seed_database_will_do(open_store: Open, path: Path, statements: list[str]) -> None:
    make_database(path, statements)
    store = open_store()

    assert store.carried_over == 0
    assert stored(store, observe()) == [True]
    assert store.count_history("gpt2") == 1


@pytest.mark.parametrize("kind", ["INTEGER", "TEXT", ""])
def test_checks_may_name_their_model_by_its_number(open_store: Open, path: Path, kind: str) -> None:
    make_database(
        path,
        [
            "CREATE TABLE ai_models (id INTEGER PRIMARY KEY, model_id TEXT)",
            "INSERT INTO ai_models VALUES (3, 'gpt2'), (4, '3'), (5, 'a/b')",
            *with_metrics(f"model_id {kind}, status, success", (5, "failed", 0), (4, "failed", 0), (99, "failed", 0)),
            f"CREATE TABLE model_stats (model_id {kind}, total_checks, successful_checks)",
            "INSERT INTO model_stats VALUES (5, 10, 5)",
        ],
    )
    store = open_store()

    assert query(path, "SELECT model_id FROM model_metrics ORDER BY id") == [("a/b",), ("3",), ("99",)]
    assert (store.get_model_stats("a/b") or {})["success_rate"] == 50.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("2025-12-08 03:13:29", "2025-12-08 03:13:29.000", id="seconds"),
        pytest.param("2025-12-08T03:13:29", "2025-12-08 03:13:29.000", id="with-a-t"),
        pytest.param("2025-12-08T03:13:29.123456", "2025-12-08 03:13:29.123", id="microseconds"),
        pytest.param("2025-12-08 03:13:29.1", "2025-12-08 03:13:29.100", id="tenths"),
        pytest.param("2025-12-08 03:13:29+00:00", "2025-12-08 03:13:29.000", id="zero-offset"),
        pytest.param("2025-12-08T03:13:29.5Z", "2025-12-08 03:13:29.500", id="z"),
        pytest.param("2025-12-08T06:43:29+03:30", "2025-12-08 03:13:29.000", id="another-zone"),
        pytest.param(" 2025-12-08 03:13 ", "2025-12-08 03:13:00.000", id="spaces"),
    ],
)
def test_times_in_every_form_are_read(open_store: Open, path: Path, text: str, expected: str) -> None:
    make_database(path, with_metrics("model_id, status, checked_at", ("gpt2", "failed", text)))
    store = open_store()

    assert query(path, "SELECT checked_at FROM model_metrics") == [(expected,)]
    assert store.carried_over_undated == 0


def test_a_check_without_a_readable_time_is_kept_at_the_time_of_its_neighbour(open_store: Open, path: Path) -> None:
    times = [None, "2025-12-08 01:00:00", "yesterday", 17, "9999-12-31T23:59:59-10:00", "2025-12-08 02:00:00", ""]
    make_database(path, with_metrics("model_id, status, checked_at", *(("gpt2", "failed", time) for time in times)))
    store = open_store()

    assert (store.carried_over, store.carried_over_undated) == (7, 5)
    assert [time for (time,) in query(path, "SELECT substr(checked_at, 12, 2) FROM model_metrics ORDER BY id")] == [
        *["01"] * 5,
        *["02"] * 2,
    ]


def test_checks_without_any_time_are_of_the_moment_of_carrying_over(open_store: Open, path: Path) -> None:
    make_database(path, with_metrics("model_id, status", ("gpt2", "failed")))
    open_store()

    assert query(path, "SELECT checked_at FROM model_metrics") == [("2025-12-08 03:13:29.123",)]


@pytest.mark.parametrize(
    ("status", "success", "expected"),
    [
        pytest.param("available", 1, ("available", 1, 1), id="a-success"),
        pytest.param("failed", 0, ("failed", 0, 1), id="a-failure"),
        pytest.param("available", None, ("available", 1, 1), id="success-by-status"),
        pytest.param("degraded", None, ("degraded", 1, 1), id="degraded-is-a-success"),
        pytest.param("loading", None, ("loading", 0, 1), id="loading-is-none"),
        pytest.param(None, 1, ("available", 1, 1), id="status-by-success"),
        pytest.param(None, 0, ("failed", 0, 1), id="status-by-failure"),
        pytest.param(None, None, ("unknown", 0, 0), id="nothing-known"),
        pytest.param("unknown", 0, ("unknown", 0, 0), id="unknown-does-not-count"),
        pytest.param("not_served", 0, ("not_served", 0, 0), id="not-served-does-not-count"),
        pytest.param("exploded", "true", ("exploded", 1, 1), id="a-word-of-its-own"),
        pytest.param(b"failed\xff", "False", ("failed\ufffd", 0, 1), id="bytes"),
    ],
)
def test_status_and_success_are_read_as_well_as_they_can_be(
    open_store: Open, path: Path, status: Any, success: Any, expected: tuple[str, int, int]
) -> None:
    make_database(path, with_metrics("model_id, status, success", ("gpt2", status, success)))
    store = open_store()

    assert query(path, "SELECT status, success, counted FROM model_metrics") == [expected]
    counted = 0 if (stats := store.get_model_stats("gpt2")) is None else stats["total_checks"]
    assert counted == expected[2]


def test_values_of_odd_types_are_kept_as_far_as_they_mean_something(open_store: Open, path: Path) -> None:
    columns = "model_id, status, response_time_ms, confidence, error_message, test_output"
    make_database(
        path,
        [
            *with_metrics(
                columns,
                (None, "failed", "12.5", "high", 404, 7),
                (" gpt2 ", "failed", float("inf"), b"1", b"\xff", '"text"'),
                ("gpt2", "failed", 10**18, 0.5, "nul \x00", b"[1]"),
            ),
            "INSERT INTO model_metrics (model_id, error_message) VALUES ('gpt2', CAST(x'41ff' AS TEXT))",
        ],
    )
    store = open_store()

    assert store.carried_over == 4
    assert query(path, "SELECT model_id, response_time_ms, confidence, error_message FROM model_metrics") == [
        ("(unknown)", 12.5, None, "404"),
        ("gpt2", None, None, "\ufffd"),
        ("gpt2", None, 0.5, "nul \x00"),
        ("gpt2", None, None, "A\ufffd"),
    ]
    assert [row["test_output"] for row in store.get_model_history("gpt2")] == [None, [1], "text"]


def test_models_that_are_there_twice_become_one_with_the_checks_of_both(open_store: Open, path: Path) -> None:
    make_database(
        path,
        [
            "CREATE TABLE ai_models (id INTEGER, model_id TEXT, task TEXT, is_active)",
            "INSERT INTO ai_models VALUES (1, 'gpt2', 'a', NULL), (2, 'gpt2 ', 'b', 0), (3, NULL, 'c', 1)",
            *with_metrics("model_id INTEGER, success", (1, 1), (2, 0), (3, 0)),
            "CREATE TABLE model_stats (model_id INTEGER, total_checks, successful_checks, failed_checks,"
            " avg_response_time_ms, last_success_at, success_rate)",
            "INSERT INTO model_stats VALUES (1, 3, 3, 0, 100.0, '2025-12-01', 100.0),"
            " (2, 1, 0, 1, 500.0, NULL, 0.0), (3, NULL, 9, 9, 9, NULL, 9)",
        ],
    )
    store = open_store()

    assert query(path, "SELECT model_id, task, is_active FROM ai_models") == [("gpt2", "a", 1)]
    assert store.count_history("gpt2") == 2
    assert store.get_model_stats("gpt2") == {
        "model_id": "gpt2",
        "total_checks": 4,
        "successful_checks": 3,
        "failed_checks": 1,
        "avg_response_time_ms": 200.0,
        "last_success_at": "2025-12-01T00:00:00.000Z",
        "last_failure_at": None,
        "success_rate": 75.0,
    }
    assert (store.get_model_stats("3") or {})["total_checks"] == 1  # its statistics said nothing: from its rows


def test_statistics_of_no_checks_have_no_rate(open_store: Open, path: Path) -> None:
    make_database(path, [AI_MODELS, MODEL_STATS, "INSERT INTO model_stats VALUES ('a', 0, 0, 0, NULL, NULL, NULL, 0)"])

    assert (open_store().get_model_stats("a") or {})["success_rate"] is None


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("CREATE TABLE store_meta (songs)", id="a-name-of-ours-is-taken"),
        pytest.param(
            "CREATE TABLE model_metrics (id TEXT PRIMARY KEY, status) WITHOUT ROWID", id="rows-without-numbers"
        ),
    ],
)
def test_a_carry_over_that_fails_changes_nothing_and_leaves_nothing(
    open_store: Open, path: Path, statement: str
) -> None:
    make_database(path, [AI_MODELS, "INSERT INTO ai_models (model_id, task, category) VALUES ('a', 'b', 'c')"])
    content = make_database(path, [statement]).read_bytes()

    with pytest.raises(StorageError, match="carry over") as caught:
        open_store()
    assert str(path) in str(caught.value)
    assert path.read_bytes() == content
    assert sorted(path.parent.iterdir()) == [path]


def test_a_carry_over_on_a_full_disk_changes_nothing_and_works_when_there_is_space(
    open_store: Open, small_disk: Path
) -> None:
    path = small_disk / "ai_models.db"
    make_database(path, [*with_metrics("model_id, status, test_output", *([("gpt2", "failed", "x" * 6000)] * 100))])
    content = path.read_bytes()
    with pytest.raises(StorageError, match="full"):
        open_store(path)
    assert path.read_bytes() == content
    assert sorted(small_disk.iterdir()) == [path]

    subprocess.run(["mount", "-o", "remount,size=16m", small_disk], check=True)
    assert open_store(path).carried_over == 100
