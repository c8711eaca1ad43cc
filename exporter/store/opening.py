"""From a path to a connection that may write: every way in which that can fail is named here."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from exporter.store import schema
from exporter.store.carry_over import CarriedOver, carry_over, free_path
from exporter.store.errors import StorageError, explaining
from exporter.store.schema import Kind

_ANOTHER: Final = "give another --database"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A connection to a database of the present version in WAL mode, and what had to be done for it."""

    connection: sqlite3.Connection
    set_aside: Path | None
    carried: CarriedOver | None


def open_database(path: Path, *, simulated: bool, now: datetime, busy_timeout_s: float) -> Opened:
    """Open or begin the database at `path`, carry a predecessor's over, set a simulated one aside for a real one.

    Overwrites nothing, deletes nothing that was there before. Raises StorageError.
    """
    _make_folder(path)
    set_aside, carried = None, None
    with explaining(path, "open"):
        connection = schema.connect(path, mode="rwc", busy_timeout_s=busy_timeout_s)
    try:
        with explaining(path, "open"):
            kind = schema.kind_of(connection)
            _refuse_strangers(path, kind)
            was_simulated = kind is Kind.OURS and schema.is_simulated(connection)
        if simulated and kind is not Kind.EMPTY and not was_simulated:
            raise StorageError(path, "open", "holds real checks, and simulated ones must not mix with them", _ANOTHER)
        if was_simulated and not simulated:
            with explaining(path, "set aside"):
                set_aside = _set_aside(connection, path, now)
                connection = schema.connect(path, mode="rwc", busy_timeout_s=busy_timeout_s)
        if kind is Kind.PREDECESSOR:
            with explaining(path, "carry over"):
                carried = carry_over(connection, path, now)
        with explaining(path, "open"):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
        with explaining(path, "migrate"):
            schema.migrate(connection, simulated=simulated)
    except BaseException:  # whatever ends it, an interrupt too, goes on; but an open file is not left behind
        connection.close()
        raise
    return Opened(connection=connection, set_aside=set_aside, carried=carried)


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        odd = path.exists() and not path.is_file()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        problem = f"cannot make its folder: {error}"
        raise StorageError(path, "open", problem, f"make the folder writable for this user, or {_ANOTHER}") from error
    if odd:
        raise StorageError(path, "open", f"is {'a folder' if path.is_dir() else 'no regular file'}", _ANOTHER)


def _refuse_strangers(path: Path, kind: Kind) -> None:
    if kind is Kind.NEWER:
        raise StorageError(
            path, "open", "was written by a newer version of this program", f"install that version, or {_ANOTHER}"
        )
    if kind is Kind.FOREIGN:
        raise StorageError(path, "open", "holds the tables of another program", _ANOTHER)


def _set_aside(connection: sqlite3.Connection, path: Path, now: datetime) -> Path:
    """Rename the database and return its new path; closes the connection.

    Leaving WAL mode needs the file for oneself alone, so it fails while another process uses the file; it also moves
    all of -wal into the file and removes -wal and -shm. One complete file is left to be renamed.
    """
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    return path.rename(free_path(path.with_name(f"{path.name}.simulated-{now.astimezone(UTC):%Y%m%dT%H%M%S}")))
