"""Connections that only read: any thread may ask, nobody waits for the writer."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from exporter.store.errors import StorageError, explain
from exporter.store.schema import connect

POOL: Final = 4


class Readers:
    """A small pool of reading connections to the database at `path`; `note` is told of every failure."""

    def __init__(self, path: Path, *, busy_timeout_s: float, note: Callable[[str, BaseException], None]) -> None:
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._note = note
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._closed = False

    def rows(self, sql: str, parameters: Mapping[str, Any]) -> list[sqlite3.Row]:
        """Return the rows of one SELECT, all of one moment. Raises StorageError."""
        try:
            with self._connection() as connection:
                return connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            self._note("read", error)
            raise explain(self._path, "read", error) from error

    def close(self) -> None:
        """Close the connections; one that is being read from is closed when its reader is done. Idempotent."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._closed:
                raise StorageError(self._path, "read", "the store is closed")
            connection = self._idle.pop() if self._idle else None
        connection = connection or connect(self._path, busy_timeout_s=self._busy_timeout_s)
        keep = False
        try:
            connection.execute("PRAGMA query_only = ON")
            yield connection
            keep = True  # one that failed is not trusted with the next reader
        finally:
            with self._lock:
                keep = keep and not self._closed and len(self._idle) < POOL
                if keep:
                    self._idle.append(connection)
            if not keep:
                connection.close()
