"""The one error of the store: which file, which operation, what is wrong, what can be done about it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

HINTS: Final[Mapping[int, str]] = {
    sqlite3.SQLITE_BUSY: "another process holds the file: stop it, or give another --database",
    sqlite3.SQLITE_LOCKED: "another process holds the file: stop it, or give another --database",
    sqlite3.SQLITE_READONLY: "make the file and its folder writable for this user, or give another --database",
    sqlite3.SQLITE_PERM: "make the file and its folder writable for this user, or give another --database",
    sqlite3.SQLITE_CANTOPEN: "the folder must exist, have space, and the file must be readable and writable",
    sqlite3.SQLITE_FULL: "make space on the disk",
    sqlite3.SQLITE_IOERR: "look at the disk: is it full, unplugged or failing?",
    sqlite3.SQLITE_NOTADB: "the file is something else than an SQLite database: give another --database",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: move it away together with its -wal file, or restore a copy",
}


class StorageError(Exception):
    """The store could not do `operation` on the database at `path`; `hint` says what a person can do, or is empty."""

    def __init__(self, path: Path, operation: str, problem: str, hint: str = "") -> None:
        super().__init__(f"{path}: {operation}: {problem}" + (f"; {hint}" if hint else ""))
        self.path = path
        self.operation = operation
        self.hint = hint


def explain(path: Path, operation: str, error: Exception) -> StorageError:
    """Return what SQLite, the system or a conversion raised as a StorageError with a hint."""
    code = getattr(error, "sqlite_errorcode", None)
    hint = HINTS.get(code & 0xFF, "") if code is not None else ""
    return StorageError(path, operation, str(error) or type(error).__name__, hint)


@contextmanager
def explaining(path: Path, operation: str) -> Iterator[None]:
    """Turn what SQLite or the system raises in the block into a StorageError."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise explain(path, operation, error) from error
