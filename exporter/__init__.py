"""The blackbox exporter for AI models, as a library.

`from exporter import monitor, db, agent` works on config/models.yaml below the working directory, opened when first
used; `Library(config)` makes the same three for another configuration; `setup(app)` builds the exporter into an aiohttp
application, and `Embedded(Library(config)).asgi` into FastAPI or Starlette.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from exporter.version import __version__

__all__ = ["Embedded", "Library", "__version__", "agent", "db", "monitor", "open_service", "setup"]

if TYPE_CHECKING:
    from exporter.library import Embedded, Library, LibraryAgent, LibraryDatabase, LibraryMonitor, setup
    from exporter.service import open_service

    monitor: LibraryMonitor
    agent: LibraryAgent
    db: LibraryDatabase


def __getattr__(name: str) -> Any:
    """Make the default objects when they are first asked for: an import alone opens nothing and reads no file."""
    if name not in __all__:
        raise AttributeError(f"module 'exporter' has no attribute {name!r}")
    # Not `from exporter import …`, which would ask this function again.
    library = import_module("exporter.library")
    if name in ("monitor", "agent", "db"):
        return getattr(library.default(), name)
    return getattr(library, name)
