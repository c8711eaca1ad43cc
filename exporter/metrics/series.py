"""What is kept for one model: one flat record, changed when a probe finishes and only read at the scrape."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from exporter.models import Check, EventKind, Model, Observation, Reason
from exporter.tasks import TASKS

DURATION_BUCKETS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)
LATENESS_BUCKETS: Final = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0)
FAILURES: Final = tuple(reason for reason in Reason if reason is not Reason.OK)
# Of the events those that tell of a change of one model; the others are told by the status, incidents and fallbacks.
CHANGES: Final = tuple(
    kind
    for kind in EventKind
    if kind
    not in (
        EventKind.STATUS_CHANGED,
        EventKind.INCIDENT_OPENED,
        EventKind.INCIDENT_CLOSED,
        EventKind.FALLBACK_CHANGED,
        EventKind.RUNTIME_CHANGED,
    )
)
CACHED: Final = "Measured when the exporter probed last, not at the scrape: see ai_model_last_probe_timestamp_seconds."
BY_MODEL: Final = ("model", "provider")


@dataclass(slots=True)
class Series:
    """What is kept for one model. Counters and histogram live as long as the process and the model's configuration."""

    model: Model
    probes: int = 0
    counted: int = 0
    counted_failures: int = 0
    failures: list[int] = field(default_factory=lambda: [0] * len(FAILURES))
    buckets: list[int] = field(default_factory=lambda: [0] * (len(DURATION_BUCKETS) + 1))
    duration_sum_s: float = 0.0
    last: Observation | None = None
    last_probe: float | None = None
    last_success: float | None = None
    last_failure: float | None = None
    checks: list[int] = field(default_factory=list)
    failed_checks: list[int] = field(default_factory=list)
    changes: list[int] = field(default_factory=lambda: [0] * len(CHANGES))
    cold_starts: int = 0
    latency_s: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = TASKS[self.model.task].checks
        self.checks, self.failed_checks = [0] * len(names), [0] * len(names)

    def count_checks(self, checks: Iterable[Check]) -> None:
        """Count what was held against an answer."""
        names = TASKS[self.model.task].checks
        for check in checks:
            place = names.index(check.name)
            self.checks[place] += 1
            self.failed_checks[place] += not check.passed

    @property
    def labels(self) -> tuple[str, str]:
        """Return the values of the labels that every series of the model has."""
        return self.model.model_id, self.model.provider
