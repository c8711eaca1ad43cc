"""The series of the models, as families in the order of the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from exporter.metrics.series import BY_MODEL, CACHED, CHANGES, DURATION_BUCKETS, FAILURES, Series
from exporter.models import Status
from exporter.tasks import TASKS


class ModelSeries(Collector):
    """The series of the models, in the order of the contract."""

    def __init__(self, series: Mapping[str, Series]) -> None:
        self._series = series

    def collect(self) -> Iterator[Metric]:
        """Yield the families, as the library asks for them at each scrape."""
        every = list(self._series.values())
        yield _info(every)
        yield _state(every)
        yield _gauge(
            "ai_model_probe_success",
            f"1 when the last probe got an answer that can be used; absent while nothing can be said. {CACHED}",
            every,
            lambda s: float(s.last.success) if s.last is not None and s.last.counts else None,
        )
        yield _gauge(
            "ai_model_hub_served",
            f"1 when the hub says that the provider serves the model; absent while it does not say. {CACHED}",
            every,
            lambda s: float(s.last.hub_served) if s.last is not None and s.last.hub_served is not None else None,
        )
        yield from _counters(every)
        yield _durations(every)
        yield _phases(every)
        yield from _truth(every)
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
            lambda s: s.last_probe,
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


def _gauge(name: str, text: str, every: Sequence[Series], read: Callable[[Series], float | None]) -> Metric:
    """Return one gauge a model; where nothing was measured the series is left out."""
    family = GaugeMetricFamily(name, text, labels=BY_MODEL)
    for series in every:
        value = read(series)
        if value is not None:
            family.add_metric(series.labels, value)
    return family


def _info(every: Sequence[Series]) -> Metric:
    family = GaugeMetricFamily(
        "ai_model_info",
        "A configured model; join it for its task and category.",
        labels=(*BY_MODEL, "task", "category"),
    )
    for series in every:
        family.add_metric((*series.labels, series.model.task, series.model.category), 1)
    return family


def _state(every: Sequence[Series]) -> Metric:
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


def _counters(every: Sequence[Series]) -> Iterator[Metric]:
    probes = CounterMetricFamily("ai_model_probes", "Finished probes.", labels=BY_MODEL)
    failures = CounterMetricFamily(
        "ai_model_probe_failures", "Finished probes whose reason was not `ok`, by reason.", labels=(*BY_MODEL, "reason")
    )
    counted = CounterMetricFamily(
        "ai_model_checks",
        "Finished probes that count for or against the model: no fault of the account, the host or ourselves.",
        labels=BY_MODEL,
    )
    counted_failures = CounterMetricFamily(
        "ai_model_check_failures", "Those of ai_model_checks_total without an answer that can be used.", labels=BY_MODEL
    )
    for series in every:
        probes.add_metric(series.labels, series.probes)
        for reason, count in zip(FAILURES, series.failures, strict=True):
            failures.add_metric((*series.labels, reason), count)
        counted.add_metric(series.labels, series.counted)
        counted_failures.add_metric(series.labels, series.counted_failures)
    yield from (probes, failures, counted, counted_failures)


def _durations(every: Sequence[Series]) -> Metric:
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


def _phases(every: Sequence[Series]) -> Metric:
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


def _truth(every: Sequence[Series]) -> Iterator[Metric]:
    """Yield what was held against the answers, what changed, and how cold and warm differ."""
    checks = CounterMetricFamily(
        "ai_model_canary_checks", "Checks of answers to golden inputs.", labels=(*BY_MODEL, "check")
    )
    failed = CounterMetricFamily(
        "ai_model_canary_failures", "Checks of answers that failed.", labels=(*BY_MODEL, "check")
    )
    changes = CounterMetricFamily(
        "ai_model_changes", "Changes of a model that were noticed, by kind.", labels=(*BY_MODEL, "kind")
    )
    cold = CounterMetricFamily("ai_model_cold_starts", "Probes that had to wait for a load.", labels=BY_MODEL)
    latency = GaugeMetricFamily(
        "ai_model_latency_seconds",
        f"Duration of the last good answer, of a cold and of a warm model apart. {CACHED}",
        labels=(*BY_MODEL, "temperature"),
    )
    for series in every:
        for name, done, wrong in zip(TASKS[series.model.task].checks, series.checks, series.failed_checks, strict=True):
            checks.add_metric((*series.labels, name), done)
            failed.add_metric((*series.labels, name), wrong)
        for kind, count in zip(CHANGES, series.changes, strict=True):
            changes.add_metric((*series.labels, kind), count)
        cold.add_metric(series.labels, series.cold_starts)
        for temperature, seconds in series.latency_s.items():
            latency.add_metric((*series.labels, temperature), seconds)
    yield from (checks, failed, changes, cold, latency)
