"""The signature of a provider: asking the free catalogue, and asking the model. A provider's file says only what is
particular to it; deadline, size cap and the mapping of errors are in wire.py."""

from __future__ import annotations

from typing import Protocol

from exporter.models import Listing, Model, Reply
from exporter.tasks import Canary


class Provider(Protocol):
    """Asks; never judges, never raises for the other side's faults."""

    async def look_up(self, model: Model) -> Listing:
        """Ask the catalogue, which costs nothing."""
        ...

    async def infer(self, model: Model, canary: Canary, asked_id: str) -> Reply:
        """Send one inference request for the model under the id that the catalogue gave."""
        ...
