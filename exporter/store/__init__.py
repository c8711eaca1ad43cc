"""What is remembered: models, checks, changes and spending in one SQLite file. The only room with SQL."""

from exporter.store.errors import StorageError
from exporter.store.store import Store

__all__ = ["StorageError", "Store"]
