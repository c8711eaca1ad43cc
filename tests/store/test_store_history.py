"""What goes in comes out: rows, pages of them, statistics, uptime, the newest of each model."""

from __future__ import annotations

import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from store_kit import (
    FINBERT,
    GPT2,
    NOW,
    PATIENCE_S,
    Open,
    SetClock,
    failed,
    observe,
    query,
    statistics_kept,
    statistics_of_rows,
    stored,
)

from exporter.models import Attempt, Observation, Reason, Scope, Status, Timings
from exporter.store import Store, ai_models, checks

FULL = observe(
    "ProsusAI/finbert",
    provider="elsewhere",
    task="sentiment-analysis",
    status=Status.DEGRADED,
    reason=Reason.SLOW,
    message="took 2100 ms, the objective is 2000 ms",
    http_status=200,
    response_time_ms=2100.5,
    confidence=0.93,
    test_input="Bitcoin rises",
    test_output=[{"label": "positive", "score": 0.93, "note": "é\u0000\U0001f600"}],
    timings=Timings(dns_s=0.001, connect_s=0.02, total_s=2.1005),
    attempts=(
        Attempt(
            started_at=NOW - timedelta(seconds=20),
            status=Status.LOADING,
            reason=Reason.LOADING,
            http_status=503,
            response_time_ms=80.0,
            message="is loading",
        ),
        Attempt(started_at=NOW, status=Status.DEGRADED, reason=Reason.SLOW, http_status=200, response_time_ms=2100.5),
    ),
    canonical_id="ProsusAI/finbert",
    hub_sha="abc",
    served_sha="def",
    compute_type="cpu",
    compute_time_s=0.031,
    requests=2,
    cached=True,
    cold=False,
    canary="bullish",
    correct=True,
)


@pytest.fixture
def store(open_store: Open) -> Store:
    return open_store()


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def test_a_check_comes_out_as_a_row_of_the_history(store: Store) -> None:
    assert stored(store, FULL) == [True]

    assert store.get_model_history("ProsusAI/finbert") == [
        {
            "id": 1,
            "model_id": "ProsusAI/finbert",
            "status": "degraded",
            "response_time_ms": 2100.5,
            "success": True,
            "error_message": "took 2100 ms, the objective is 2000 ms",
            "test_input": "Bitcoin rises",
            "test_output": [{"label": "positive", "score": 0.93, "note": "é\u0000\U0001f600"}],
            "confidence": 0.93,
            "checked_at": "2025-12-08T03:13:29.123Z",
            "provider": "elsewhere",
            "reason": "slow",
            "scope": "model",
            "http_status": 200,
            "counted": True,
            "attempts": [
                {
                    "started_at": "2025-12-08T03:13:09.123Z",
                    "status": "loading",
                    "reason": "loading",
                    "http_status": 503,
                    "response_time_ms": 80.0,
                    "message": "is loading",
                },
                {
                    "started_at": "2025-12-08T03:13:29.123Z",
                    "status": "degraded",
                    "reason": "slow",
                    "http_status": 200,
                    "response_time_ms": 2100.5,
                    "message": "",
                },
            ],
            "timings": {"dns_s": 0.001, "connect_s": 0.02, "total_s": 2.1005},
            "canonical_id": "ProsusAI/finbert",
            "hub_sha": "abc",
            "served_sha": "def",
            "compute_type": "cpu",
            "compute_time_s": 0.031,
            "requests": 2,
            "cached": True,
            "cold": False,
            "canary": "bullish",
            "correct": True,
        }
    ]


def test_what_was_not_measured_is_null(store: Store, path: Path) -> None:
    stored(store, observe())

    (row,) = store.get_model_history("gpt2")
    assert (row["attempts"], row["timings"], row["test_output"], row["error_message"]) == ([], {}, None, None)
    assert query(path, "SELECT test_output, attempts, timings, error_message FROM model_metrics") == [(None,) * 4]


def test_times_in_the_file_compare_with_those_of_sqlite(store: Store, path: Path) -> None:
    moment = datetime.now(UTC)
    stored(store, observe(checked_at=moment.astimezone(timezone(timedelta(hours=3, minutes=30)))))

    ((text,),) = query(path, "SELECT checked_at FROM model_metrics")
    assert text == moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{moment.microsecond // 1000:03}"
    since = "SELECT count(*) FROM model_metrics WHERE checked_at > datetime('now', ?)"
    assert query(path, since, "-1 hour") == [(1,)]
    assert query(path, since, "+1 hour") == [(0,)]


def test_history_is_newest_first_and_of_one_model(store: Store) -> None:
    stored(store, *(observe(checked_at=at(n), message=str(n)) for n in (0, 2, 1)), observe("other/one"))

    assert [row["error_message"] for row in store.get_model_history("gpt2")] == ["2", "1", "0"]
    assert [row["error_message"] for row in store.get_model_history("gpt2", limit=2)] == ["2", "1"]
    assert store.get_model_history("no/such") == []


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        pytest.param({}, [4, 3, 2, 1, 0], id="all"),
        pytest.param({"since": at(3)}, [4, 3], id="since-is-included"),
        pytest.param({"until": at(3)}, [2, 1, 0], id="until-is-excluded"),
        pytest.param({"since": at(1), "until": at(3)}, [2, 1], id="both"),
        pytest.param({"since": at(3).astimezone(timezone(timedelta(hours=-8)))}, [4, 3], id="another-time-zone"),
        pytest.param({"since": at(3), "until": at(1)}, [], id="nothing-between"),
    ],
)
def test_a_window_of_time_limits_rows_and_their_count(
    store: Store, window: dict[str, datetime], expected: list[int]
) -> None:
    stored(store, *(observe(checked_at=at(n), message=str(n)) for n in range(5)))

    assert [int(row["error_message"]) for row in store.get_model_history("gpt2", **window)] == expected
    assert store.count_history("gpt2", **window) == len(expected)


def test_pages_meet_without_gap_or_overlap_also_among_rows_of_one_moment(store: Store) -> None:
    stored(store, *(observe(checked_at=at(n // 3), message=str(n)) for n in range(10)))

    seen, before = [], None
    while page := store.get_model_history("gpt2", limit=4, before=before):
        seen += [int(row["error_message"]) for row in page]
        before = page[-1]["id"]
    assert seen == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        pytest.param({"before": 10**30}, 3, id="before-beyond-any-id"),
        pytest.param({"before": -(10**30)}, 0, id="before-below-any-id"),
        pytest.param({"limit": 10**30}, 3, id="a-limit-beyond-any-number"),
        pytest.param({"limit": 0}, 0, id="no-row"),
        pytest.param({"limit": -1}, 0, id="fewer-than-none"),
    ],
)
def test_absurd_pages_are_answered(store: Store, page: dict[str, int], expected: int) -> None:
    stored(store, *(observe() for _ in range(3)))

    assert len(store.get_model_history("gpt2", **page)) == expected


def test_a_page_goes_on_where_its_cursor_was_deleted(store: Store, path: Path) -> None:
    stored(store, *(observe(checked_at=at(n)) for n in range(5)))
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("DELETE FROM model_metrics WHERE id = 4")

    assert [row["id"] for row in store.get_model_history("gpt2", before=4)] == [3, 2, 1]


def test_statistics_are_those_of_the_counted_rows(store: Store, path: Path) -> None:
    stored(
        store,
        observe(response_time_ms=100.0, checked_at=at(0)),
        observe(response_time_ms=250.5, checked_at=at(2)),
        observe(checked_at=at(1)),  # success, nothing measured; not the newest success
        failed(response_time_ms=33.3, checked_at=at(3)),
        failed("dead/one", checked_at=at(3)),
        observe(status=Status.UNKNOWN, success=False, counts=False, response_time_ms=9e9, checked_at=at(9)),
        observe("not/served", status=Status.NOT_SERVED, success=False, counts=False),
    )

    assert store.get_model_stats("gpt2") == {
        "model_id": "gpt2",
        "total_checks": 4,
        "successful_checks": 3,
        "failed_checks": 1,
        "avg_response_time_ms": pytest.approx((100 + 250.5 + 33.3) / 3),
        "last_success_at": "2025-12-08T03:15:29.123Z",
        "last_failure_at": "2025-12-08T03:16:29.123Z",
        "success_rate": 75.0,
    }
    assert statistics_kept(path) == statistics_of_rows(path)
    assert store.get_model_stats("dead/one") == {
        "model_id": "dead/one",
        "total_checks": 1,
        "successful_checks": 0,
        "failed_checks": 1,
        "avg_response_time_ms": None,
        "last_success_at": None,
        "last_failure_at": "2025-12-08T03:16:29.123Z",
        "success_rate": 0.0,
    }
    assert store.count_history("gpt2") == 5
    assert store.get_model_stats("not/served") is None


def test_a_mean_stays_exact_over_many_checks(store: Store, path: Path) -> None:
    stored(store, *(observe(response_time_ms=0.1 * n) for n in range(3000)))

    assert statistics_kept(path) == statistics_of_rows(path)


def test_all_statistics_name_every_model(store: Store) -> None:
    store.sync_models([GPT2, FINBERT])
    stored(store, observe("ProsusAI/finbert"), observe("left/the-config"))

    stats = store.all_stats()
    assert set(stats) == {"gpt2", "ProsusAI/finbert", "left/the-config"}
    assert (stats["gpt2"]["total_checks"], stats["gpt2"]["success_rate"]) == (0, None)
    assert (stats["ProsusAI/finbert"]["total_checks"], stats["ProsusAI/finbert"]["success_rate"]) == (1, 100.0)
    assert store.get_model_stats("gpt2") == stats["gpt2"]


def test_uptime_is_the_share_of_counted_checks_in_each_window(store: Store, clock: SetClock) -> None:
    ages = {"1h": 0.5, "24h": 10, "7d": 100, "30d": 500}
    stored(
        store,
        *(failed(checked_at=NOW - timedelta(hours=hours)) for hours in ages.values()),
        observe(checked_at=NOW - timedelta(hours=10)),
        observe(checked_at=NOW - timedelta(days=31)),
        observe(success=True, counts=False),
    )

    assert store.uptime("gpt2") == {
        "1h": 0.0,
        "24h": pytest.approx(100 / 3),
        "7d": pytest.approx(25.0),
        "30d": pytest.approx(20.0),
    }
    assert store.uptime("no/such") == {"1h": None, "24h": None, "7d": None, "30d": None}


def test_the_newest_observation_of_each_active_model_comes_back_whole(store: Store) -> None:
    store.sync_models([GPT2, FINBERT])
    stored(store, failed("ProsusAI/finbert", checked_at=at(-5)), FULL, failed("ProsusAI/finbert", checked_at=at(-9)))
    stored(store, observe("left/the-config"))

    assert store.last_observations() == {"ProsusAI/finbert": FULL}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        pytest.param(
            {"status": "'available'", "success": "1"}, (Status.AVAILABLE, Reason.OK, Scope.MODEL), id="success"
        ),
        pytest.param({"status": "'failed'"}, (Status.FAILED, Reason.SERVER_ERROR, Scope.MODEL), id="failure"),
        pytest.param({"status": "'loading'"}, (Status.LOADING, Reason.LOADING, Scope.MODEL), id="reason-of-that-name"),
        pytest.param({"status": "'broken'"}, (Status.UNKNOWN, Reason.SERVER_ERROR, Scope.MODEL), id="no-such-status"),
        pytest.param(
            {"reason": "'no_such'", "scope": "'nobody'"},
            (Status.FAILED, Reason.SERVER_ERROR, Scope.MODEL),
            id="words-of-another-version",
        ),
        pytest.param(
            {"attempts": "'[7, {}]'", "timings": "'{\"total_s\": 2}'", "test_output": "'{oops'"},
            (Status.FAILED, Reason.SERVER_ERROR, Scope.MODEL),
            id="odd-json",
        ),
        pytest.param(
            {"attempts": "'{'", "timings": "'[]'", "checked_at": "'yesterday'"},
            (Status.FAILED, Reason.SERVER_ERROR, Scope.MODEL),
            id="no-json-and-no-time",
        ),
    ],
)
def test_rows_that_others_wrote_are_read_as_well_as_they_can_be(
    store: Store, path: Path, columns: dict[str, str], expected: tuple[Status, Reason, Scope]
) -> None:
    store.sync_models([GPT2])
    values = {"model_id": "'gpt2'", "status": "'failed'", "success": "0"} | columns
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(f"INSERT INTO model_metrics ({', '.join(values)}) VALUES ({', '.join(values.values())})")

    newest = store.last_observations()["gpt2"]
    assert (newest.status, newest.reason, newest.scope) == expected
    assert newest.checked_at.tzinfo is UTC
    assert store.get_model_history("gpt2")[0]["model_id"] == "gpt2"
    assert isinstance(newest, Observation)


def test_output_that_is_no_json_comes_out_as_text(store: Store, path: Path) -> None:
    deep = "[" * 100_000
    with closing(sqlite3.connect(path)) as other, other:
        for text in ("{oops", "[NaN, 1e999]", '"\\ud800"', deep):
            other.execute(
                "INSERT INTO model_metrics (model_id, status, success, test_output) VALUES ('gpt2', 'failed', 0, ?)",
                (text,),
            )

    outputs = [row["test_output"] for row in reversed(store.get_model_history("gpt2"))]
    assert outputs == ["{oops", [None, None], "\ufffd", deep]


def test_no_read_walks_through_the_whole_history(store: Store, path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        for statement in (ai_models.ACTIVE, checks.HISTORY, checks.COUNT, checks.UPTIME, checks.NEWEST):
            parameters = dict.fromkeys(re.findall(r":(\w+)", statement), None)
            plan = [row[3] for row in other.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            assert not [step for step in plan if re.match(r"SCAN (model_metrics|h)\b", step)], plan
            assert [step for step in plan if re.match(r"SEARCH (model_metrics|h) .*\(model_id=\?", step)], plan


def test_a_reader_sees_the_last_commit_while_the_writer_holds_a_transaction(store: Store) -> None:
    stored(store, observe())

    def work(connection: sqlite3.Connection) -> int:
        connection.execute("DELETE FROM model_metrics")
        return len(store.get_model_history("gpt2"))  # within the writer's transaction, on a connection of its own

    assert store._writer.call("models", work) == 1
    assert store.count_history("gpt2") == 0


def test_many_threads_read_while_rows_are_written(store: Store) -> None:
    futures = [store.record(observe(message=str(n))) for n in range(2000)]
    with ThreadPoolExecutor(8) as pool:
        lengths = list(pool.map(lambda _: len(store.get_model_history("gpt2", limit=5000)), range(40)))
    assert all(future.result(PATIENCE_S) for future in futures)
    assert max(lengths) <= 2000
    assert store.count_history("gpt2") == 2000
    assert store.errors["read"] == 0
