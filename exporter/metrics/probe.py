"""The body for one synchronous probe: a registry of its own, as a multi-target exporter answers."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from exporter.models import Observation, Reason, Status


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
