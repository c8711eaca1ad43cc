"""What the handlers need of the running service, as a Protocol: the web side never sees how it is put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from exporter.board import Board
    from exporter.clock import Clock
    from exporter.config import Config
    from exporter.fallback import Fallback
    from exporter.gate import Gate
    from exporter.incidents import Incidents
    from exporter.metrics import BudgetReading, Metrics
    from exporter.prober import Monitor
    from exporter.scheduler import Agent
    from exporter.store import Store


class Backend(Protocol):
    """The running service. Properties are read anew at each request, since a reload replaces the config."""

    @property
    def config(self) -> Config:
        """The configuration in use."""
        ...

    @property
    def store(self) -> Store:
        """The history; its reads block."""
        ...

    @property
    def board(self) -> Board:
        """The newest observation of each model."""
        ...

    @property
    def monitor(self) -> Monitor:
        """Probes and scans."""
        ...

    @property
    def agent(self) -> Agent:
        """The periodic probing."""
        ...

    @property
    def metrics(self) -> Metrics:
        """The exposition formats, rendered from memory."""
        ...

    @property
    def fallback(self) -> Fallback:
        """Which model to use in place of one that is down."""
        ...

    @property
    def incidents(self) -> Incidents:
        """The one cause behind many failures, by provider."""
        ...

    @property
    def gate(self) -> Gate:
        """The budget of each provider."""
        ...

    @property
    def clock(self) -> Clock:
        """The time."""
        ...

    @property
    def simulated(self) -> bool:
        """True when the models are the demo's stand-ins."""
        ...

    @property
    def version(self) -> str:
        """The version of this program."""
        ...

    @property
    def ready(self) -> bool:
        """True once everything is open and the schedule runs."""
        ...

    @property
    def alive(self) -> Mapping[str, bool]:
        """By part (`store`, `scheduler`), whether it still runs."""
        ...

    def read_budgets(self) -> Sequence[BudgetReading]:
        """Return what each provider has cost this month, and what it will."""
        ...

    def effective_interval_s(self, model_id: str) -> float:
        """Return the seconds between two requests for inference at the present pace. Raises KeyError if not enabled."""
        ...

    async def reload(self) -> None:
        """Read the configuration again. Raises ConfigError and keeps the old one when the new one is bad."""
        ...
