"""The store as the rest of the program sees it: plain values in, plain values out, StorageError when it fails."""

from __future__ import annotations

import atexit
import json
import sqlite3
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from exporter.models import DAY_S, Event, EventKind, Model, Observation
from exporter.store import ai_models, changes, checks, rows, statistics
from exporter.store.opening import Opened, open_database
from exporter.store.readers import Readers
from exporter.store.schema import BUSY_TIMEOUT_S
from exporter.store.writer import QUEUE_ROWS, Wait, Writer

HISTORY_S: Final = 30 * DAY_S
WINDOWS_S: Final[Mapping[str, float]] = {"1h": 3600.0, "24h": DAY_S, "7d": 7 * DAY_S, "30d": 30 * DAY_S}

_MAX_ID: Final = 2**63 - 1


class Store:
    """Models, checks, changes and spending in one SQLite file. Every method may be called from any thread.

    WAL with synchronous=NORMAL: a process that is killed loses no committed row; a power cut may lose the last
    transactions, but leaves a sound file. `close` is registered with atexit, so that a script need not call it.

    `set_aside` is where a simulated database was moved to make room for this one; `carried_over` is the number of
    checks that came from a predecessor's database, `carried_over_undated` how many of them had no readable time and
    got that of their neighbour, `predecessor_copy` the copy that was made of it. None (0) where that did not happen.
    """

    def __init__(
        self, path: Path, opened: Opened, readers: Readers, writer: Writer, now: Callable[[], datetime]
    ) -> None:
        self.path = path
        self.set_aside = opened.set_aside
        self.carried_over = opened.carried.rows if opened.carried else None
        self.carried_over_undated = opened.carried.undated if opened.carried else 0
        self.predecessor_copy = opened.carried.copy if opened.carried else None
        self._readers = readers
        self._writer = writer
        self._now = now
        atexit.register(self.close)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        simulated: bool = False,
        history_s: float = HISTORY_S,
        now: Callable[[], datetime],
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        queue_rows: int = QUEUE_ROWS,
        wait: Wait = threading.Event.wait,
    ) -> Store:
        """Open the database at `path`, begun with its folders where there is none. Raises StorageError.

        A database that holds real checks is not opened as a simulated one; a simulated one is renamed when a real one
        is asked for. Rows older than `history_s` seconds are deleted bit by bit. `now` gives aware UTC. SQLite waits
        `busy_timeout_s` for other processes, a second at most where rows are committed; `queue_rows` may wait for that,
        `wait` is how the writer waits.
        """
        path = path.absolute()  # a process that changes its folder goes on with the same file
        opened = open_database(path, simulated=simulated, now=now(), busy_timeout_s=busy_timeout_s)
        writer = Writer(
            opened.connection,
            path,
            history_s=history_s,
            now=now,
            busy_timeout_s=busy_timeout_s,
            queue_rows=queue_rows,
            wait=wait,
        )
        readers = Readers(path, busy_timeout_s=busy_timeout_s, note=writer.note)
        return cls(path, opened, readers, writer, now)

    def close(self) -> None:
        """Commit what waits, with one last try, and close the file. Idempotent.

        What was lost can be asked for afterwards: `rows_dropped` counts the rows that could not be committed as well,
        and `last_error` says why.
        """
        atexit.unregister(self.close)
        self._readers.close()
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def history_s(self) -> float:
        """How old a row of the history may get, in seconds; may be set at any time."""
        return self._writer.history_s

    @history_s.setter
    def history_s(self, seconds: float) -> None:
        self._writer.history_s = seconds

    @property
    def queue_rows(self) -> int:
        """How many rows wait to be committed."""
        return self._writer.queue_rows

    @property
    def rows_dropped(self) -> int:
        """How many rows were lost: they did not fit the queue, could not be stored, or came after the end.

        It stays readable after `close`.
        """
        return self._writer.rows_dropped

    @property
    def errors(self) -> Mapping[str, int]:
        """How often an operation failed, by `write`, `read`, `row`, `models`, `retention`, `writer` (its death)."""
        return dict(self._writer.errors)

    @property
    def running(self) -> bool:
        """True until the store is closed or its writer has died of a bug."""
        return self._writer.running

    @property
    def healthy(self) -> bool:
        """True while it is running and its last commit of rows worked."""
        return self._writer.healthy

    @property
    def last_error(self) -> str | None:
        """What the last failure said; None when a commit has worked since. It stays readable after `close`."""
        return self._writer.last_error

    def record(self, observation: Observation) -> Future[bool]:
        """Queue an observation for the history and the statistics; returns at once and raises nothing.

        The future is True when the row is committed. It is False as soon as a first try has failed: the row stays
        queued then, and is tried again until it is stored. While the last commit failed it is False at once. False also
        when the row is dropped.
        """
        return self._writer.record(lambda connection: checks.insert(connection, observation))

    def retract(self, model_id: str, checked_at: datetime) -> Future[bool]:
        """Queue that the check of a model at that time (aware) was not the model's own doing, as `record` does.

        The row stays in the history, but counts no longer, and is taken out of the statistics: by one transaction,
        after the observations that were recorded before. A check that does not count, or is not there, is left alone.
        """
        return self._writer.record(lambda connection: checks.retract(connection, model_id, checked_at))

    def spend(self, provider: str, at: datetime, requests: int, compute_s: float = 0.0) -> Future[bool]:
        """Queue what requests for inference cost whose results are not kept, as `record` does an observation.

        It is added to the `spending` of the provider in the UTC month of `at` (aware); `compute_s` is in seconds.
        """
        return self._writer.record(lambda connection: checks.spend(connection, provider, at, requests, compute_s))

    def record_event(self, event: Event) -> Future[bool]:
        """Queue an event as `record` does an observation."""
        return self._writer.record(lambda connection: changes.insert(connection, event))

    def save_baseline(self, model_id: str, baseline: Mapping[str, Any]) -> Future[bool]:
        """Queue a baseline, a JSON object, for the place of the model's former one, as `record` does an observation.

        The future is False as well for what JSON cannot hold: the former one stays then.
        """
        now = rows.to_text(self._now())
        return self._writer.record(lambda connection: changes.save(connection, model_id, baseline, now))

    def sync_models(self, models: Sequence[Model]) -> None:
        """Insert or update the configured models; the others stay, but are no longer active. Raises StorageError."""
        moment = rows.to_text(self._now())
        wanted = [ai_models.of_model(model) | {"now": moment} for model in models]

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(ai_models.UPSERT, wanted)
            active = {name for (name,) in connection.execute("SELECT model_id FROM ai_models WHERE is_active")}
            gone = active.difference(model["model_id"] for model in wanted)
            connection.executemany(
                "UPDATE ai_models SET is_active = 0, updated_at = ? WHERE model_id = ?",
                [(moment, name) for name in sorted(gone)],
            )

        self._writer.call("models", work)

    def add_model(self, model: Mapping[str, Any]) -> None:
        """Insert or update one model from `model_id` and `task`, and where wanted `model_key`, `category`, `provider`,
        `requires_auth`, `is_active`; what is left out keeps its value. Raises ValueError naming the key, StorageError.
        """
        row = ai_models.checked(model) | {"now": rows.to_text(self._now())}
        self._writer.call("models", lambda connection: connection.execute(ai_models.UPSERT, row).rowcount)

    def get_all_models(self) -> list[dict[str, Any]]:
        """Return the active models: model_id, model_key, task, category, provider, requires_auth, is_active,
        created_at, updated_at, status (of the newest check, or None), total_checks, successful_checks, failed_checks,
        avg_response_time_ms, last_success_at, last_failure_at, and success_rate (percent) where a check has counted.
        Raises StorageError.
        """
        found = self._readers.rows(ai_models.ACTIVE, {})
        return [_shown_model(row) for row in found]

    def get_model_history(
        self,
        model_id: str,
        limit: int = 100,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        before: int | None = None,
    ) -> list[dict[str, Any]]:
        """Return at most `limit` checks of one model, newest first, from `since` on and before `until` (aware).

        `before` is the id of the last row of the page before this one. Raises StorageError.
        """
        found = self._readers.rows(checks.HISTORY, _slice(model_id, since, until) | _page(limit, before))
        return [rows.to_history(row) for row in found]

    def count_history(self, model_id: str, *, since: datetime | None = None, until: datetime | None = None) -> int:
        """Return how many checks of one model are kept, from `since` on and before `until`. Raises StorageError."""
        return int(self._readers.rows(checks.COUNT, _slice(model_id, since, until))[0][0])

    def get_model_stats(self, model_id: str) -> dict[str, Any] | None:
        """Return one model's statistics as `all_stats` does; None when it was never heard of. Raises StorageError."""
        found = self._readers.rows(statistics.ALL, {"model_id": rows.clean_text(model_id)})
        return _shown_stats(found[0]) if found else None

    def all_stats(self) -> dict[str, dict[str, Any]]:
        """Return by model_id, inactive ones included: total_checks, successful_checks, failed_checks,
        avg_response_time_ms, last_success_at, last_failure_at, success_rate (percent; None where no check has
        counted). Raises StorageError.
        """
        return {row["model_id"]: _shown_stats(row) for row in self._readers.rows(statistics.ALL, {"model_id": None})}

    def uptime(self, model_id: str) -> dict[str, float | None]:
        """Return the percentage of counted checks that succeeded in the last 1h, 24h, 7d and 30d, None where there
        were none. Raises StorageError.
        """
        now = self._now()
        since = {f"since_{name}": rows.to_text(now - timedelta(seconds=s)) for name, s in WINDOWS_S.items()}
        (row,) = self._readers.rows(checks.UPTIME, since | {"model_id": rows.clean_text(model_id)})
        return dict(row)

    def last_observations(self) -> dict[str, Observation]:
        """Return the newest check of each active model that has one, by model_id. Raises StorageError."""
        found = self._readers.rows(checks.NEWEST, {})
        return {row["model_id"]: rows.to_observation(row) for row in found}

    def last_asked(self) -> dict[str, datetime]:
        """Return when each known model was last sent a request for inference, if ever, as aware UTC, by model_id.

        Raises StorageError.
        """
        found = self._readers.rows(checks.LAST_ASKED, {})
        return {row["model_id"]: rows.parse_time(row["at"]) or rows.EPOCH for row in found}

    def spending(self) -> dict[tuple[str, str], tuple[int, float]]:
        """Return the requests for inference and the compute seconds spent, by provider and UTC month (`2025-12`).

        Retention leaves them alone. Raises StorageError.
        """
        found = self._readers.rows(checks.SPENDING, {})
        return {(row["provider"], row["month"]): (row["requests"], row["compute_s"]) for row in found}

    def accuracy(self, model_id: str, since: datetime | None = None) -> tuple[int, int]:
        """Return how many answers of one model were right and how many were judged, from `since` on (aware).

        Raises StorageError.
        """
        found = self._readers.rows(checks.ACCURACY, _slice(model_id, since, None))
        return (found[0]["correct"], found[0]["judged"]) if found else (0, 0)

    def all_accuracy(self, since: datetime | None = None) -> dict[str, tuple[int, int]]:
        """Return the same of each known model of which an answer was judged, by model_id. Raises StorageError."""
        found = self._readers.rows(checks.ACCURACY, {"model_id": None, "since": since and rows.to_text(since)})
        return {row["model_id"]: (row["correct"], row["judged"]) for row in found}

    def get_events(
        self,
        model_id: str | None = None,
        limit: int = 100,
        *,
        before: int | None = None,
        since: datetime | None = None,
        kinds: Collection[EventKind] | None = None,
    ) -> list[dict[str, Any]]:
        """Return at most `limit` events, newest first, from `since` on (aware) and of those `kinds`: id, at, kind,
        provider, model_id, before, after (JSON values), message.

        Those of one model, or of all models and of whole providers where `model_id` is None. `before` is the id of
        the last event of the page before this one. Raises StorageError.
        """
        wanted = {
            "model_id": model_id and rows.clean_text(model_id),
            "since": since and rows.to_text(since),
            "kinds": None if kinds is None else json.dumps(list(kinds)),
        }
        statement = changes.EVENTS if model_id is None else changes.EVENTS_OF_MODEL
        return [rows.to_event(row) for row in self._readers.rows(statement, wanted | _page(limit, before))]

    def load_baselines(self) -> dict[str, dict[str, Any]]:
        """Return every baseline as it was saved, by model_id; one that somebody damaged is left out.

        Raises StorageError.
        """
        found = (
            (row["model_id"], rows.from_json(row["baseline"])) for row in self._readers.rows(changes.BASELINES, {})
        )
        return {model_id: baseline for model_id, baseline in found if isinstance(baseline, dict)}


def _slice(model_id: str, since: datetime | None, until: datetime | None) -> dict[str, Any]:
    return {
        "model_id": rows.clean_text(model_id),
        "since": since and rows.to_text(since),
        "until": until and rows.to_text(until),
    }


def _page(limit: int, before: int | None) -> dict[str, int | None]:
    return {
        "before": None if before is None else min(max(before, 0), _MAX_ID),
        "limit": min(max(limit, 0), _MAX_ID),
    }


def _shown_stats(row: sqlite3.Row) -> dict[str, Any]:
    return dict(row) | {name: rows.to_rfc3339(row[name]) for name in ("last_success_at", "last_failure_at")}


def _shown_model(row: sqlite3.Row) -> dict[str, Any]:
    shown = _shown_stats(row) | {name: bool(row[name]) for name in ai_models.FLAGS}
    shown |= {name: rows.to_rfc3339(row[name]) for name in ("created_at", "updated_at")}
    if shown["success_rate"] is None:
        del shown["success_rate"]  # so that model.get("success_rate", 0) is a number
    return shown
