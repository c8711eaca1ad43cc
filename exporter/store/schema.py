"""The shape of the database and the way to its present version. Knows no rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from pathlib import Path
from typing import Final, Literal

BUSY_TIMEOUT_S: Final = 5.0
SEED_TABLES: Final = ("ai_models", "model_metrics", "model_stats")

# Append only: the n-th entry leads from user_version n to n + 1, each in a transaction of its own.
# Times are naive UTC text, `YYYY-MM-DD HH:MM:SS.SSS`, so that they compare with datetime('now', '-1 day').
MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        "CREATE TABLE store_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
        """CREATE TABLE ai_models (
            id INTEGER PRIMARY KEY,
            model_id TEXT NOT NULL UNIQUE,
            model_key TEXT NOT NULL DEFAULT '',
            task TEXT NOT NULL DEFAULT '',
            category TEXT NOT NULL DEFAULT 'general',
            provider TEXT NOT NULL DEFAULT 'huggingface',
            requires_auth INTEGER NOT NULL DEFAULT 0,
            is_active INTEGER NOT NULL DEFAULT 1,
            created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')),
            updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now'))
        )""",
        # AUTOINCREMENT: ids are cursors of clients, so one that was deleted is never given again.
        """CREATE TABLE model_metrics (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            model_id TEXT NOT NULL,
            status TEXT NOT NULL,
            response_time_ms REAL,
            success INTEGER NOT NULL,
            error_message TEXT,
            test_input TEXT,
            test_output TEXT,
            confidence REAL,
            checked_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')),
            provider TEXT NOT NULL DEFAULT 'huggingface',
            reason TEXT,
            scope TEXT,
            http_status INTEGER,
            counted INTEGER NOT NULL DEFAULT 1,
            attempts TEXT,
            timings TEXT,
            canonical_id TEXT,
            hub_sha TEXT,
            served_sha TEXT,
            compute_type TEXT,
            compute_time_s REAL
        )""",
        # An index of SQLite ends with the row id: this one is "newest first of one model", ties included.
        "CREATE INDEX model_metrics_of_model ON model_metrics (model_id, checked_at)",
        "CREATE INDEX model_metrics_by_age ON model_metrics (checked_at)",
        """CREATE TABLE model_stats (
            model_id TEXT PRIMARY KEY,
            total_checks INTEGER NOT NULL DEFAULT 0,
            successful_checks INTEGER NOT NULL DEFAULT 0,
            failed_checks INTEGER NOT NULL DEFAULT 0,
            avg_response_time_ms REAL,
            last_success_at TEXT,
            last_failure_at TEXT,
            success_rate REAL,
            measured_checks INTEGER NOT NULL DEFAULT 0,
            response_time_sum_ms REAL NOT NULL DEFAULT 0
        )""",
    ),
    (
        "ALTER TABLE model_metrics ADD COLUMN requests INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE model_metrics ADD COLUMN cached INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE model_metrics ADD COLUMN cold INTEGER",
        "ALTER TABLE model_metrics ADD COLUMN canary TEXT",
        "ALTER TABLE model_metrics ADD COLUMN correct INTEGER",
        "CREATE INDEX model_metrics_asked ON model_metrics (model_id, checked_at) WHERE requests > 0",
        "CREATE INDEX model_metrics_judged ON model_metrics (model_id, checked_at, correct) WHERE correct IS NOT NULL",
        # The model is NULL in what is told of a whole provider.
        """CREATE TABLE events (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            at TEXT NOT NULL,
            kind TEXT NOT NULL,
            provider TEXT NOT NULL,
            model_id TEXT,
            before_value TEXT,
            after_value TEXT,
            message TEXT NOT NULL DEFAULT ''
        )""",
        "CREATE INDEX events_of_model ON events (model_id, at)",
        "CREATE INDEX events_by_age ON events (at)",
        "CREATE TABLE baselines (model_id TEXT PRIMARY KEY, baseline TEXT NOT NULL, updated_at TEXT NOT NULL)",
        """CREATE TABLE spending (
            provider TEXT NOT NULL,
            month TEXT NOT NULL,
            requests INTEGER NOT NULL DEFAULT 0,
            compute_s REAL NOT NULL DEFAULT 0,
            PRIMARY KEY (provider, month)
        )""",
    ),
)
VERSION: Final = len(MIGRATIONS)


class Kind(Enum):
    """Whose database a file is."""

    EMPTY = auto()
    OURS = auto()
    PREDECESSOR = auto()
    NEWER = auto()
    FOREIGN = auto()


def connect(
    path: Path, *, mode: Literal["rw", "rwc"] = "rw", busy_timeout_s: float = BUSY_TIMEOUT_S
) -> sqlite3.Connection:
    """Return a connection that any one thread at a time may use, with transactions only where they are written.

    `path` is absolute. `rwc` creates a missing file; `rw` does not, so that a file that was taken away is not begun
    anew unseen.
    """
    uri = f"{path.as_uri()}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    return connection


def set_busy_timeout(connection: sqlite3.Connection, seconds: float) -> None:
    """Let the connection wait so long for other processes from now on. Raises sqlite3.Error."""
    connection.execute(f"PRAGMA busy_timeout = {round(1000 * seconds)}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold the write lock from the start; commit at the end, undo everything when something is raised."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:  # whatever ends it, an interrupt too, goes on; but the write lock is not held for ever
        if connection.in_transaction:  # SQLite has rolled back by itself after some errors, a full disk among them
            connection.execute("ROLLBACK")
        raise


def kind_of(connection: sqlite3.Connection) -> Kind:
    """Tell whose database this is by its version and the names of its tables. Raises sqlite3.Error."""
    version = user_version(connection)
    tables = {
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if not name.startswith("sqlite_")
    }
    if version > VERSION:
        return Kind.NEWER
    if version > 0 and "store_meta" in tables:
        return Kind.OURS
    if version == 0 and not tables:
        return Kind.EMPTY
    if version == 0 and tables.intersection(SEED_TABLES):
        return Kind.PREDECESSOR
    return Kind.FOREIGN


def user_version(connection: sqlite3.Connection) -> int:
    """Return how many of MIGRATIONS the database has been through. Raises sqlite3.Error."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def is_simulated(connection: sqlite3.Connection) -> bool:
    """Tell whether one of our databases was begun by a simulation. Raises sqlite3.Error."""
    found = connection.execute("SELECT value FROM store_meta WHERE key = 'simulated'").fetchone()
    return bool(found and found["value"] == "1")


def migrate(connection: sqlite3.Connection, *, simulated: bool) -> None:
    """Bring the database to VERSION; `simulated` is remembered by one that is begun here. Raises sqlite3.Error.

    A database that cannot be written is found out here, even when there is nothing to do.
    """
    while True:
        with transaction(connection):
            version = user_version(connection)  # read under the lock: two processes may start at once
            if version >= VERSION:
                # BEGIN IMMEDIATE is content with a read-only file; a statement that could write is not.
                connection.execute("DELETE FROM store_meta WHERE FALSE")
                return
            apply(connection, version, simulated=simulated)


def apply(connection: sqlite3.Connection, version: int, *, simulated: bool) -> None:
    """Do one migration within the caller's transaction. Raises sqlite3.Error."""
    for statement in MIGRATIONS[version]:
        connection.execute(statement)
    if version == 0:
        connection.execute("INSERT INTO store_meta (key, value) VALUES ('simulated', ?)", (str(int(simulated)),))
    connection.execute(f"PRAGMA user_version = {version + 1}")
