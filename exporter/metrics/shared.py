"""What is read at the scrape from the memory of other parts: incidents, budgets, fallbacks, the exporter itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from exporter.metrics.series import BY_MODEL, Series
from exporter.models import Incident


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetReading:
    """The budget of one provider in this month; None where there is no limit."""

    provider: str
    requests_limit: float | None
    requests_used: float
    requests_projected: float
    compute_s_limit: float | None
    compute_s_used: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What is read at the scrape from the memory of other parts."""

    in_flight: Callable[[], int]
    agent_running: Callable[[], bool]
    queue_rows: Callable[[], int]
    rows_dropped: Callable[[], int]
    store_errors: Callable[[], Mapping[str, int]]
    incidents: Callable[[], Sequence[Incident]] = tuple
    fallbacks: Callable[[], Mapping[str, str]] = dict
    budgets: Callable[[], Sequence[BudgetReading]] = tuple
    effective_interval_s: Callable[[str], float] = lambda model_id: math.nan


class SharedSeries(Collector):
    """What belongs to a provider, or to a model and another."""

    def __init__(self, readings: Readings, series: Mapping[str, Series]) -> None:
        self._readings = readings
        self._series = series

    def collect(self) -> Iterator[Metric]:
        """Yield the families, as the library asks for them at each scrape."""
        read = self._readings
        incidents = GaugeMetricFamily(
            "ai_model_incident",
            "1 for each incident that lasts: one cause that holds for many models of a provider.",
            labels=("provider", "scope", "reason"),
        )
        for incident in read.incidents():
            incidents.add_metric((incident.provider, incident.scope, incident.reason), 1)
        fallbacks = GaugeMetricFamily(
            "ai_model_fallback_info",
            "1 for each model that is down and the one in its place.",
            labels=(*BY_MODEL, "fallback"),
        )
        for model_id, fallback in read.fallbacks().items():
            if model_id in self._series:
                fallbacks.add_metric((*self._series[model_id].labels, fallback), 1)
        interval = GaugeMetricFamily(
            "ai_model_effective_interval_seconds",
            "Time between two requests for inference at the pace that the budget allows.",
            labels=BY_MODEL,
        )
        for series in self._series.values():
            interval.add_metric(series.labels, read.effective_interval_s(series.model.model_id))
        yield from (incidents, fallbacks, interval, *_budgets(read.budgets()))


def _budgets(every: Sequence[BudgetReading]) -> Iterator[Metric]:
    texts: tuple[tuple[str, str, Callable[[BudgetReading], float | None]], ...] = (
        ("requests_limit", "Requests for inference that a month may have, if limited.", lambda b: b.requests_limit),
        ("requests_used", "Requests for inference sent this month, second tries too.", lambda b: b.requests_used),
        ("requests_projected", "Requests of this month by its end, at this pace.", lambda b: b.requests_projected),
        ("compute_seconds_limit", "Compute seconds that a month may have, if limited.", lambda b: b.compute_s_limit),
        ("compute_seconds_used", "Compute seconds of this month, as the host told them.", lambda b: b.compute_s_used),
    )
    for name, text, read in texts:
        family = GaugeMetricFamily(f"ai_model_budget_{name}", text, labels=("provider",))
        for budget in every:
            value = read(budget)
            if value is not None:
                family.add_metric((budget.provider,), value)
        yield family


class OwnSeries(Collector):
    """The exporter's own state."""

    def __init__(self, readings: Readings, last_cycle: Callable[[], float | None]) -> None:
        self._readings = readings
        self._last_cycle = last_cycle

    def collect(self) -> Iterator[Metric]:
        """Yield the families, as the library asks for them at each scrape."""
        read = self._readings
        yield GaugeMetricFamily(
            "ai_model_exporter_agent_running", "1 while the agent probes on schedule.", value=read.agent_running()
        )
        yield GaugeMetricFamily(
            "ai_model_exporter_probes_in_flight", "Probes that hold a slot now.", value=read.in_flight()
        )
        # Without a sample until the first cycle has ended: 0 would be 1970.
        yield GaugeMetricFamily(
            "ai_model_exporter_last_cycle_timestamp_seconds",
            "When every enabled model had last had its turn once more.",
            value=self._last_cycle(),
        )
        yield GaugeMetricFamily(
            "ai_model_exporter_store_queue_rows", "Rows that wait to be committed.", value=read.queue_rows()
        )
        yield CounterMetricFamily(
            "ai_model_exporter_store_rows_dropped", "Rows of the history that were lost.", value=read.rows_dropped()
        )
        errors = CounterMetricFamily(
            "ai_model_exporter_store_errors", "Failed operations of the store.", labels=["operation"]
        )
        for operation, count in read.store_errors().items():
            errors.add_metric([operation], count)
        yield errors
