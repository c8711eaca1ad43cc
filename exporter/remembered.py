"""What a store knows of the time before this process, read once at the start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from exporter.models import EventKind, Incident, Observation, Reason, Scope
from exporter.store import Store

# How far back the fallbacks that were in use are looked for.
SWITCHES_READ: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What a store knows of the time before this process."""

    last: Mapping[str, Observation]
    stats: Mapping[str, Mapping[str, Any]]
    spending: Mapping[tuple[str, str], tuple[int, float]]
    asked: Mapping[str, datetime]
    baselines: Mapping[str, Mapping[str, Any]]
    choices: Mapping[str, str | None]
    incidents: Sequence[Incident]


def remember(store: Store) -> Remembered:
    """Read it all; blocking. Raises StorageError."""
    switches = store.get_events(kinds=[EventKind.FALLBACK_CHANGED], limit=SWITCHES_READ)
    return Remembered(
        last=store.last_observations(),
        stats=store.all_stats(),
        spending=store.spending(),
        asked=store.last_asked(),
        baselines=store.load_baselines(),
        # Newest first: the oldest is written first and the newest stays.
        choices={switch["model_id"]: switch["after"] for switch in reversed(switches)},
        incidents=_still_open(
            store.get_events(kinds=[EventKind.INCIDENT_OPENED, EventKind.INCIDENT_CLOSED], limit=SWITCHES_READ)
        ),
    )


def _still_open(events: Sequence[Mapping[str, Any]]) -> list[Incident]:
    """Return the incidents of these events, newest first, that no later one closed."""
    newest: dict[str, Mapping[str, Any]] = {}
    for event in events:
        newest.setdefault(event["provider"], event)
    return [
        Incident(
            provider=event["provider"],
            scope=Scope(event["after"]["scope"]),
            reason=Reason(event["after"]["reason"]),
            opened_at=datetime.fromisoformat(event["after"]["opened_at"]),
            model_ids=tuple(event["after"]["model_ids"]),
            message=event["message"],
        )
        for event in newest.values()
        if event["kind"] == EventKind.INCIDENT_OPENED
    ]
