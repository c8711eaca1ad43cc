"""Every metric name. State is rendered from the newest observations of the present configuration, activity is counted.

This is a prober daemon: it measures on its own timetable, as the HELP texts say, and never at the scrape. What is kept
for a model is one flat record, changed when a probe finishes (`observe`) and only read by `render`: so the lines of a
model can be made when they change, without another change to anyone who calls this.
"""

from __future__ import annotations

import platform
from bisect import bisect_left
from collections.abc import Iterable
from datetime import datetime

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from exporter.metrics.models import ModelSeries
from exporter.metrics.probe import render_probe
from exporter.metrics.series import CHANGES, DURATION_BUCKETS, FAILURES, LATENESS_BUCKETS, Series
from exporter.metrics.shared import BudgetReading, OwnSeries, Readings, SharedSeries
from exporter.models import Event, EventKind, Model, Observation, Reason

__all__ = ["FAILURES", "BudgetReading", "Metrics", "Readings"]

# `*_created` leaks as gauges into the text format; counters here live as long as the process anyway.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types for it


class Metrics:
    """The registry of one exporter."""

    def __init__(self, *, version: str, revision: str, simulated: bool, skip_reasons: Iterable[str] = ()) -> None:
        self._series: dict[str, Series] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._registry.register(ModelSeries(self._series))
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
        self._config_hash = self._gauge(
            "config_hash", "A number that differs when the effective configuration differs."
        )
        self._hub_remaining = Gauge(
            "ai_model_hub_requests_remaining",
            "Requests that the hub still allows in its present window, as its last answer said.",
            ["provider"],
            registry=self._registry,
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
            "Slots of the schedule that passed without a request for inference, by reason.",
            ["reason"],
            registry=self._registry,
        )
        for reason in skip_reasons:
            self._skipped.labels(reason)
        self._runtime_changes = Counter(
            "ai_model_runtime_changes_total",
            "Shifts of the scores of most models of a provider at once, without a new revision of any.",
            ["provider"],
            registry=self._registry,
        )

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"ai_model_exporter_{name}", text, registry=self._registry)

    def watch(self, readings: Readings) -> None:
        """Read the exporter's own state through these callables from now on."""
        self._registry.register(OwnSeries(readings, lambda: self._last_cycle))
        self._registry.register(SharedSeries(readings, self._series))

    def set_models(self, models: Iterable[Model]) -> None:
        """Show these models and no others; counters of the ones that stay go on."""
        wanted = {model.model_id: model for model in models}
        for model_id in [known for known in self._series if known not in wanted]:
            del self._series[model_id]
        for model_id, model in wanted.items():
            series = self._series.get(model_id)
            if series is None or (series.model.provider, series.model.task) != (model.provider, model.task):
                self._series[model_id] = Series(model=model)
            else:
                series.model = model
        for provider in {model.provider for model in wanted.values()}:
            self._runtime_changes.labels(provider)

    def prime(self, observation: Observation, last_success: datetime | None, last_failure: datetime | None) -> None:
        """Show what a store remembers as the present state; nothing is counted."""
        series = self._series.get(observation.model_id)
        if series is not None:
            series.last = observation
            series.last_probe = observation.checked_at.timestamp()
            series.last_success = last_success.timestamp() if last_success else None
            series.last_failure = last_failure.timestamp() if last_failure else None

    def observe(self, observation: Observation, *, probed: bool = True) -> None:
        """Take a finished probe. One of a model that has left the configuration meanwhile is dropped.

        What was not `probed` changes the state and counts nowhere.
        """
        series = self._series.get(observation.model_id)
        if series is None or (series.model.provider, series.model.task) != (observation.provider, observation.task):
            return
        series.last = observation
        if not probed:
            return
        series.last_probe = observation.checked_at.timestamp()
        series.probes += 1
        series.counted += observation.counts
        series.counted_failures += observation.counts and not observation.success
        if observation.reason is not Reason.OK:
            series.failures[FAILURES.index(observation.reason)] += 1
        series.count_checks(observation.checks)
        # An answer out of the host's cache says nothing of the model's speed.
        if observation.timings is not None and not observation.cached:
            duration_s = observation.timings.total_s
            series.buckets[bisect_left(DURATION_BUCKETS, duration_s)] += 1
            series.duration_sum_s += duration_s
            if observation.cold is not None and observation.success:
                series.latency_s["cold" if observation.cold else "warm"] = duration_s
        series.cold_starts += observation.cold is True
        if observation.success:
            series.last_success = observation.checked_at.timestamp()
        elif observation.counts:
            series.last_failure = observation.checked_at.timestamp()

    def observe_lateness(self, lateness_s: float) -> None:
        """Count how late a scheduled probe began."""
        self._lateness.observe(lateness_s)

    def count_skip(self, reason: str) -> None:
        """Count a slot that passed without a request for inference."""
        self._skipped.labels(reason).inc()

    def count_event(self, event: Event) -> None:
        """Count a change of a model, or of a provider's runtime."""
        if event.kind is EventKind.RUNTIME_CHANGED:
            self._runtime_changes.labels(event.provider).inc()
        series = self._series.get(event.model_id or "")
        if series is not None and event.kind in CHANGES:
            series.changes[CHANGES.index(event.kind)] += 1

    def cycle_ended(self, at: datetime) -> None:
        """Tell when every model had been probed once more."""
        self._last_cycle = at.timestamp()

    def reloaded(self, *, at: datetime | None, digest: int = 0) -> None:
        """Tell of a load of the configuration: when it succeeded and its digest, or None when it failed."""
        self._reload_ok.set(at is not None)
        if at is not None:
            self._reload_time.set(at.timestamp())
            self._config_hash.set(digest)

    def hub_allows(self, provider: str, requests: int) -> None:
        """Tell how many requests the catalogue of a provider still allows in its present window."""
        self._hub_remaining.labels(provider).set(requests)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return the body and its content type: OpenMetrics or the text format, as the Accept header prefers."""
        encoder, content_type = choose_encoder(accept)
        return encoder(self._registry), content_type

    render_probe = staticmethod(render_probe)
