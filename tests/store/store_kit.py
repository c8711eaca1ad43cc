"""What the tests of the store share: an observation to record, a clock to set, a writer that waits until it is told."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from exporter.models import Model, Observation, Reason, Scope, Status
from exporter.store import Store

NOW = datetime(2025, 12, 8, 3, 13, 29, 123_000, tzinfo=UTC)
PATIENCE_S = 30.0
GPT2 = Model(model_id="gpt2", task="text-generation", category="general")
FINBERT = Model(model_id="ProsusAI/finbert", task="sentiment-analysis", category="financial", model_key="fin")

Open = Callable[..., Store]


def observe(model_id: str = "gpt2", **changes: Any) -> Observation:
    """Return an observation of a model that works, with changes."""
    facts: dict[str, Any] = {
        "provider": "huggingface",
        "task": "text-generation",
        "checked_at": NOW,
        "status": Status.AVAILABLE,
        "reason": Reason.OK,
        "scope": Scope.MODEL,
        "counts": True,
        "success": True,
    }
    return Observation(model_id=model_id, **(facts | changes))


def failed(model_id: str = "gpt2", **changes: Any) -> Observation:
    """Return an observation of a model that does not work, with changes."""
    facts = {"status": Status.FAILED, "reason": Reason.SERVER_ERROR, "success": False}
    return observe(model_id, **(facts | changes))


@dataclass
class SetClock:
    """A clock that stands still until it is set."""

    moment: datetime = NOW

    def __call__(self) -> datetime:
        return self.moment

    def advance(self, **parts: float) -> None:
        self.moment += timedelta(**parts)


class Waits:
    """The writer's waiting: it can be seen for how long it would, and it waits until `over` or until it is woken."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._seconds: float | None = None
        self._event = threading.Event()

    def __call__(self, event: threading.Event, seconds: float) -> None:
        with self._changed:
            self._event, self._seconds = event, seconds
            self._changed.notify_all()
        event.wait(PATIENCE_S)
        with self._changed:
            self._seconds = None

    def until(self, seconds: float) -> None:
        """Return when the writer has done all there was to do, and waits for so long."""
        with self._changed:
            settled = self._changed.wait_for(
                lambda: self._seconds == seconds and not self._event.is_set(), timeout=PATIENCE_S
            )
            assert settled, f"the writer waits for {self._seconds} s"

    def over(self) -> None:
        """Let the time be over that the writer waits for."""
        self._event.set()


def stored(store: Store, *observations: Observation) -> list[bool]:
    """Record observations, and return what came of each."""
    futures = [store.record(observation) for observation in observations]
    return [future.result(PATIENCE_S) for future in futures]


def query(path: Path, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Ask the file itself, as somebody else's program would."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql, parameters).fetchall()


def make_database(path: Path, statements: Iterable[str | tuple[str, tuple[Any, ...]]]) -> Path:
    """Write a database that is not ours."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            sql, parameters = (statement, ()) if isinstance(statement, str) else statement
            connection.execute(sql, parameters)
    return path


def statistics_of_rows(path: Path) -> list[tuple[Any, ...]]:
    """Return what model_stats should say, added up anew from the counted rows."""
    return query(
        path,
        """SELECT model_id, count(*), sum(success), sum(1 - success),
            round(avg(CASE WHEN NOT cached THEN response_time_ms END), 6),
            max(CASE WHEN success THEN checked_at END), max(CASE WHEN NOT success THEN checked_at END),
            round(100.0 * avg(success), 6)
        FROM model_metrics WHERE counted GROUP BY model_id ORDER BY model_id""",
    )


def statistics_kept(path: Path) -> list[tuple[Any, ...]]:
    """Return what model_stats says."""
    return query(
        path,
        """SELECT model_id, total_checks, successful_checks, failed_checks, round(avg_response_time_ms, 6),
            last_success_at, last_failure_at, round(success_rate, 6) FROM model_stats ORDER BY model_id""",
    )
