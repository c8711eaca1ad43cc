"""Every metric name. State is rendered from the newest observations of the present configuration, activity is counted.

This is a prober daemon: it measures on its own timetable, as the HELP texts say, and never at the scrape. What is kept
for a model is one flat record, changed when a probe finishes (`observe`) and only read by `render`: so the lines of a
model can be made when they change, without another change to anyone who calls this.
"""

from __future__ import annotations

import platform
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from exporter.models import Model, Observation, Reason, Status

# `*_created` leaks as gauges into the text format; counters here live as long as the process anyway.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types for it

DURATION_BUCKETS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)
LATENESS_BUCKETS: Final = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0)
FAILURES: Final = tuple(reason for reason in Reason if reason is not Reason.OK)
NOT_MEASURED: Final = frozenset({Status.UNKNOWN, Status.NOT_SERVED})
CACHED: Final = "Measured when the exporter probed last, not at the scrape: see ai_model_last_probe_timestamp_seconds."
BY_MODEL: Final = ("model", "provider")


@dataclass(slots=True)
class _Series:
    """What is kept for one model. Counters and histogram live as long as the process and the model's configuration."""

    model: Model
    probes: int = 0
    failures: list[int] = field(default_factory=lambda: [0] * len(FAILURES))
    buckets: list[int] = field(default_factory=lambda: [0] * (len(DURATION_BUCKETS) + 1))
    duration_sum_s: float = 0.0
    last: Observation | None = None
    last_success: float | None = None
    last_failure: float | None = None

    @property
    def labels(self) -> tuple[str, str]:
        return self.model.model_id, self.model.provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What the metrics about the exporter itself are read from at the scrape: memory only."""

    in_flight: Callable[[], int]
    agent_running: Callable[[], bool]
    queue_rows: Callable[[], int]
    rows_dropped: Callable[[], int]
    store_errors: Callable[[], Mapping[str, int]]


class Metrics:
    """The registry of one exporter."""

    def __init__(self, *, version: str, revision: str, simulated: bool) -> None:
        self._series: dict[str, _Series] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._registry.register(_Models(self._series))
        build = {"version": version, "revision": revision, "pythonversion": platform.python_version()}
        Info("ai_model_exporter_build", "What this exporter is built from.", registry=self._registry).info(build)
        self._gauge("simulated", "1 when the answers come from the embedded stand-in and not from a real host.").set(
            simulated
        )
        self._reload_ok = self._gauge(
            "config_last_reload_successful", "1 when the last load of the configuration succeeded."
        )
        self._reload_time = self._gauge(
            "config_last_reload_success_timestamp_seconds", "When the configuration was last loaded with success."
        )
        self._last_cycle: float | None = None
        self._lateness = Histogram(
            "ai_model_exporter_scheduler_lateness_seconds",
            "How long after its due time a scheduled probe began.",
            buckets=LATENESS_BUCKETS,
            registry=self._registry,
        )
        self._skipped = Counter(
            "ai_model_exporter_probes_skipped_total",
            "Slots of the schedule that were skipped because the model's last probe was still running.",
            registry=self._registry,
        )

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"ai_model_exporter_{name}", text, registry=self._registry)

    def watch(self, readings: Readings) -> None:
        """Read the exporter's own state through these callables from now on."""
        self._registry.register(_Own(readings, lambda: self._last_cycle))

    def set_models(self, models: Iterable[Model]) -> None:
        """Show these models and no others; counters of the ones that stay go on."""
        wanted = {model.model_id: model for model in models}
        for model_id in [known for known in self._series if known not in wanted]:
            del self._series[model_id]
        for model_id, model in wanted.items():
            series = self._series.get(model_id)
            if series is None or series.model.provider != model.provider:
                self._series[model_id] = _Series(model=model)
            else:
                series.model = model

    def prime(self, observation: Observation, last_success: datetime | None, last_failure: datetime | None) -> None:
        """Show what a store remembers as the present state; nothing is counted."""
        series = self._series.get(observation.model_id)
        if series is not None:
            series.last = observation
            series.last_success = last_success.timestamp() if last_success else None
            series.last_failure = last_failure.timestamp() if last_failure else None

    def observe(self, observation: Observation) -> None:
        """Take a finished probe. One of a model that has left the configuration meanwhile is dropped."""
        series = self._series.get(observation.model_id)
        if series is None:
            return
        series.last = observation
        series.probes += 1
        if observation.reason is not Reason.OK:
            series.failures[FAILURES.index(observation.reason)] += 1
        if observation.timings is not None:
            duration_s = observation.timings.total_s
            series.buckets[bisect_left(DURATION_BUCKETS, duration_s)] += 1
            series.duration_sum_s += duration_s
        if observation.success:
            series.last_success = observation.checked_at.timestamp()
        elif observation.counts:
            series.last_failure = observation.checked_at.timestamp()

    def observe_lateness(self, lateness_s: float) -> None:
        """Count how late a scheduled probe began."""
        self._lateness.observe(lateness_s)

    def count_skip(self, _key: str) -> None:
        """Count a slot that was skipped."""
        self._skipped.inc()

    def cycle_ended(self, at: datetime) -> None:
        """Tell when every model had been probed once more."""
        self._last_cycle = at.timestamp()

    def reloaded(self, *, at: datetime | None) -> None:
        """Tell of a load of the configuration: when it succeeded, or None when it failed."""
        self._reload_ok.set(at is not None)
        if at is not None:
            self._reload_time.set(at.timestamp())

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return the body and its content type: OpenMetrics or the text format, as the Accept header prefers."""
        encoder, content_type = choose_encoder(accept)
        return encoder(self._registry), content_type

    @staticmethod
    def render_probe(observation: Observation) -> bytes:
        """Return the text body for one synchronous probe: a registry of its own, blackbox_exporter's names first."""
        registry = CollectorRegistry()

        def gauge(name: str, text: str, value: float) -> None:
            Gauge(name, text, registry=registry).set(value)

        gauge("probe_success", "1 when the model gave an answer that can be used.", observation.success)
        if observation.timings is not None:
            gauge("probe_duration_seconds", "Duration of the inference request.", observation.timings.total_s)
        if observation.http_status is not None:
            gauge("probe_http_status_code", "Status of the last HTTP answer.", observation.http_status)
        if observation.confidence is not None:
            gauge("ai_model_confidence_ratio", "Score of the top label.", observation.confidence)
        status = Gauge("ai_model_status", "1 for the status that the model has.", ["status"], registry=registry)
        for known in Status:
            status.labels(known).set(known is observation.status)
        reason = Gauge("ai_model_probe_reason", "1 for the reason of the status.", ["reason"], registry=registry)
        for why in Reason:
            reason.labels(why).set(why is observation.reason)
        phases = observation.timings.phases() if observation.timings else {}
        phase_gauge = Gauge("ai_model_probe_phase_seconds", "Duration of each phase.", ["phase"], registry=registry)
        for phase, seconds in phases.items():
            phase_gauge.labels(phase).set(seconds)
        return generate_latest(registry)


class _Models(Collector):
    """The series of the models, in the order of the contract."""

    def __init__(self, series: Mapping[str, _Series]) -> None:
        self._series = series

    def collect(self) -> Iterator[Metric]:
        every = list(self._series.values())
        yield _info(every)
        yield _state(every)
        yield _gauge(
            "ai_model_probe_success",
            f"1 when the last probe got an answer that can be used; absent while nothing can be said. {CACHED}",
            every,
            lambda s: None if s.last is None or s.last.status in NOT_MEASURED else float(s.last.success),
        )
        yield from _counters(every)
        yield _durations(every)
        yield _phases(every)
        yield _gauge(
            "ai_model_confidence_ratio",
            f"Score of the top label in the last answer, 0 to 1. {CACHED}",
            every,
            lambda s: s.last.confidence if s.last else None,
        )
        yield _gauge(
            "ai_model_last_probe_timestamp_seconds",
            "When the last probe finished.",
            every,
            lambda s: s.last.checked_at.timestamp() if s.last else None,
        )
        yield _gauge(
            "ai_model_last_success_timestamp_seconds",
            "When a probe last got an answer that can be used.",
            every,
            lambda s: s.last_success,
        )
        yield _gauge(
            "ai_model_last_failure_timestamp_seconds",
            "When a probe last failed for a reason of the model's own.",
            every,
            lambda s: s.last_failure,
        )


def _gauge(name: str, text: str, every: Sequence[_Series], read: Callable[[_Series], float | None]) -> Metric:
    """Return one gauge a model; where nothing was measured the series is left out."""
    family = GaugeMetricFamily(name, text, labels=BY_MODEL)
    for series in every:
        value = read(series)
        if value is not None:
            family.add_metric(series.labels, value)
    return family


def _info(every: Sequence[_Series]) -> Metric:
    family = GaugeMetricFamily(
        "ai_model_info",
        "A configured model; join it for its task and category.",
        labels=(*BY_MODEL, "task", "category"),
    )
    for series in every:
        family.add_metric((*series.labels, series.model.task, series.model.category), 1)
    return family


def _state(every: Sequence[_Series]) -> Metric:
    family = GaugeMetricFamily(
        "ai_model_status",
        f"1 for the status that the model has, 0 for the others. {CACHED}",
        labels=(*BY_MODEL, "status"),
    )
    for series in every:
        present = series.last.status if series.last else Status.UNKNOWN
        for status in Status:
            family.add_metric((*series.labels, status), float(status is present))
    return family


def _counters(every: Sequence[_Series]) -> Iterator[Metric]:
    probes = CounterMetricFamily("ai_model_probes", "Finished probes.", labels=BY_MODEL)
    failures = CounterMetricFamily(
        "ai_model_probe_failures", "Finished probes whose reason was not `ok`, by reason.", labels=(*BY_MODEL, "reason")
    )
    for series in every:
        probes.add_metric(series.labels, series.probes)
        for reason, count in zip(FAILURES, series.failures, strict=True):
            failures.add_metric((*series.labels, reason), count)
    yield probes
    yield failures


def _durations(every: Sequence[_Series]) -> Metric:
    family = HistogramMetricFamily(
        "ai_model_probe_duration_seconds",
        "Duration of the last inference request of each probe, until its answer or the time-out.",
        labels=BY_MODEL,
    )
    bounds = [*map(floatToGoString, DURATION_BUCKETS), "+Inf"]
    for series in every:
        total, buckets = 0, []
        for bound, count in zip(bounds, series.buckets, strict=True):
            total += count
            buckets.append((bound, float(total)))
        family.add_metric(series.labels, buckets=buckets, sum_value=series.duration_sum_s)
    return family


def _phases(every: Sequence[_Series]) -> Metric:
    family = GaugeMetricFamily(
        "ai_model_probe_phase_seconds",
        f"Phases of the last inference request; a kept connection has no dns, connect and tls. {CACHED}",
        labels=(*BY_MODEL, "phase"),
    )
    for series in every:
        if series.last is not None and series.last.timings is not None:
            for phase, seconds in series.last.timings.phases().items():
                family.add_metric((*series.labels, phase), seconds)
    return family


class _Own(Collector):
    """The exporter's own state."""

    def __init__(self, readings: Readings, last_cycle: Callable[[], float | None]) -> None:
        self._readings = readings
        self._last_cycle = last_cycle

    def collect(self) -> Iterator[Metric]:
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
            "When every enabled model had last been probed once more.",
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
