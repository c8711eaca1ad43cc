"""The metrics as a scraper reads them: the contract's names, state of the present configuration, counters from 0."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.metrics import FAILURES, Metrics, Readings
from exporter.models import Reason, Scope, Status, Timings
from tests import make, servers

HOSTILE = 'own"er/na\\me<b>'
CONTRACT = {
    "ai_model_info": "gauge",
    "ai_model_probe_success": "gauge",
    "ai_model_status": "gauge",
    "ai_model_probes": "counter",
    "ai_model_probe_failures": "counter",
    "ai_model_probe_duration_seconds": "histogram",
    "ai_model_probe_phase_seconds": "gauge",
    "ai_model_confidence_ratio": "gauge",
    "ai_model_last_probe_timestamp_seconds": "gauge",
    "ai_model_last_success_timestamp_seconds": "gauge",
    "ai_model_last_failure_timestamp_seconds": "gauge",
    "ai_model_exporter_build_info": "gauge",
    "ai_model_exporter_config_last_reload_successful": "gauge",
    "ai_model_exporter_config_last_reload_success_timestamp_seconds": "gauge",
    "ai_model_exporter_agent_running": "gauge",
    "ai_model_exporter_simulated": "gauge",
    "ai_model_exporter_probes_in_flight": "gauge",
    "ai_model_exporter_last_cycle_timestamp_seconds": "gauge",
    "ai_model_exporter_scheduler_lateness_seconds": "histogram",
    "ai_model_exporter_store_errors": "counter",
    "ai_model_exporter_store_rows_dropped": "counter",
    "ai_model_exporter_store_queue_rows": "gauge",
    "process_cpu_seconds": "counter",
    "python_info": "gauge",
}


def made(*model_ids: str, simulated: bool = False) -> Metrics:
    metrics = Metrics(version="1.2.3", revision="abc", simulated=simulated)
    metrics.set_models(make.model(model_id) for model_id in model_ids)
    metrics.watch(
        Readings(
            in_flight=lambda: 2,
            agent_running=lambda: True,
            queue_rows=lambda: 3,
            rows_dropped=lambda: 4,
            store_errors=lambda: {"write": 5},
        )
    )
    return metrics


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    body, _ = metrics.render("")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse_text(body.decode())
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, model: str = "m", **labels: str) -> float | None:
    wanted = {"model": model, "provider": "huggingface", **labels}
    return samples(metrics).get((name, frozenset(wanted.items())))


def test_every_name_of_the_contract_is_there_with_its_type_and_a_help_text() -> None:
    metrics = made("m")
    metrics.observe(make.observation("m", confidence=0.5, timings=Timings(first_byte_s=0.1, total_s=0.2)))
    families = {family.name: family for family in parse_text(metrics.render("")[0].decode())}
    assert {name: families[name].type for name in CONTRACT} == CONTRACT
    assert all(family.documentation for family in families.values())
    assert not [name for name in families if name.endswith("_created")]


@pytest.mark.parametrize(
    "name", ["ai_model_probe_success", "ai_model_confidence_ratio", "ai_model_last_success_timestamp_seconds"]
)
def test_what_was_not_measured_is_left_out(name: str) -> None:
    metrics = made("m")
    assert value(metrics, name) is None
    metrics.observe(make.observation("m", status=Status.UNKNOWN, scope=Scope.HOST))
    assert value(metrics, name) is None


def test_counters_begin_at_zero_before_the_first_probe() -> None:
    metrics = made("m")
    assert value(metrics, "ai_model_probes_total") == 0
    assert value(metrics, "ai_model_probe_duration_seconds_count") == 0
    for reason in FAILURES:
        assert value(metrics, "ai_model_probe_failures_total", reason=reason) == 0
    assert Reason.OK not in FAILURES


def test_the_status_is_one_for_one_and_zero_for_the_others() -> None:
    metrics = made("m")
    assert value(metrics, "ai_model_status", status="unknown") == 1
    metrics.observe(make.observation("m", status=Status.LOADING))
    assert {status: value(metrics, "ai_model_status", status=status) for status in Status} == {
        status: float(status is Status.LOADING) for status in Status
    }


def test_a_probe_is_counted_with_its_reason_and_its_duration() -> None:
    metrics = made("m")
    metrics.observe(make.observation("m", timings=Timings(total_s=0.25)))
    metrics.observe(make.observation("m", status=Status.FAILED, reason=Reason.TIMEOUT, timings=Timings(total_s=200.0)))
    metrics.observe(make.observation("m", status=Status.NOT_SERVED, reason=Reason.NOT_SERVED))
    assert value(metrics, "ai_model_probes_total") == 3
    assert value(metrics, "ai_model_probe_failures_total", reason="timeout") == 1
    assert value(metrics, "ai_model_probe_failures_total", reason="not_served") == 1
    buckets = {
        bound: value(metrics, "ai_model_probe_duration_seconds_bucket", le=bound)
        for bound in ("0.1", "0.25", "120.0", "+Inf")
    }
    assert buckets == {"0.1": 0, "0.25": 1, "120.0": 1, "+Inf": 2}
    assert value(metrics, "ai_model_probe_duration_seconds_sum") == 200.25


def test_times_of_success_and_failure_are_those_that_count() -> None:
    metrics = made("m")
    stamp = make.NOW.timestamp()
    metrics.observe(make.observation("m"))
    metrics.observe(make.observation("m", status=Status.UNKNOWN, scope=Scope.ACCOUNT, counts=False))
    assert value(metrics, "ai_model_last_success_timestamp_seconds") == stamp
    assert value(metrics, "ai_model_last_failure_timestamp_seconds") is None
    metrics.observe(make.observation("m", status=Status.FAILED))
    assert value(metrics, "ai_model_last_failure_timestamp_seconds") == stamp


def test_what_the_store_remembers_is_shown_but_not_counted() -> None:
    metrics = made("m")
    metrics.prime(make.observation("m", status=Status.FAILED), make.NOW, None)
    metrics.prime(make.observation("gone"), None, None)
    assert value(metrics, "ai_model_status", status="failed") == 1
    assert value(metrics, "ai_model_last_success_timestamp_seconds") == make.NOW.timestamp()
    assert value(metrics, "ai_model_probes_total") == 0
    assert value(metrics, "ai_model_status", model="gone", status="available") is None


def test_a_reload_keeps_counters_adds_new_models_and_leaves_no_ghost() -> None:
    metrics = made("m", "old")
    metrics.observe(make.observation("m"))
    metrics.set_models([make.model("m", category="news"), make.model("new")])
    metrics.observe(make.observation("old"))
    assert value(metrics, "ai_model_probes_total") == 1
    assert value(metrics, "ai_model_probes_total", model="new") == 0
    assert b'"old"' not in metrics.render("")[0]
    assert b'category="news"' in metrics.render("")[0]
    metrics.set_models([make.model("m", provider="other")])
    assert value(metrics, "ai_model_probes_total", provider="other") == 0, "another provider is another series"


def test_the_exporter_tells_of_itself() -> None:
    metrics = made(simulated=True)
    metrics.observe_lateness(0.02)
    metrics.count_skip("m")
    metrics.cycle_ended(make.NOW)
    metrics.reloaded(at=make.NOW)
    metrics.reloaded(at=None)
    read = {name: number for (name, _), number in samples(metrics).items()}
    assert read["ai_model_exporter_simulated"] == 1
    assert read["ai_model_exporter_probes_in_flight"] == 2
    assert read["ai_model_exporter_store_queue_rows"] == 3
    assert read["ai_model_exporter_store_rows_dropped_total"] == 4
    assert read["ai_model_exporter_store_errors_total"] == 5
    assert read["ai_model_exporter_probes_skipped_total"] == 1
    assert read["ai_model_exporter_scheduler_lateness_seconds_count"] == 1
    assert read["ai_model_exporter_last_cycle_timestamp_seconds"] == make.NOW.timestamp()
    assert read["ai_model_exporter_config_last_reload_successful"] == 0
    assert read["ai_model_exporter_config_last_reload_success_timestamp_seconds"] == make.NOW.timestamp()
    assert b'version="1.2.3"' in metrics.render("")[0]


def test_openmetrics_is_given_to_who_prefers_it() -> None:
    metrics = made(HOSTILE)
    body, content_type = metrics.render("application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert content_type.startswith("application/openmetrics-text")
    assert {
        sample.labels["model"]
        for family in parse_openmetrics(body.decode())
        if family.name == "ai_model_info"
        for sample in family.samples
    } == {HOSTILE}
    assert metrics.render("text/plain")[1].startswith("text/plain; version=0.0.4")


def test_the_body_of_one_probe_has_a_registry_of_its_own() -> None:
    seen = make.observation("m", confidence=0.9, http_status=200, timings=Timings(first_byte_s=0.1, total_s=0.2))
    text = Metrics.render_probe(seen).decode()
    read: dict[Any, float] = {
        (sample.name, *sample.labels.values()): sample.value for family in parse_text(text) for sample in family.samples
    }
    assert read["probe_success",] == 1
    assert read["probe_duration_seconds",] == 0.2
    assert read["probe_http_status_code",] == 200
    assert read["ai_model_status", "available"] == 1
    assert read["ai_model_status", "failed"] == 0
    assert read["ai_model_probe_reason", "ok"] == 1
    assert read["ai_model_probe_phase_seconds", "first_byte"] == 0.1
    assert not [key for key in read if key[0].startswith("process_")]


@servers.prometheus_needed
def test_promtool_finds_nothing_to_say_about_any_body() -> None:
    metrics = made("m", HOSTILE)
    metrics.observe(make.observation("m", confidence=0.5, timings=Timings(dns_s=0.1, first_byte_s=0.1, total_s=0.2)))
    for body in (metrics.render("")[0], Metrics.render_probe(make.observation("m", confidence=0.1))):
        promtool = shutil.which("promtool")
        assert promtool is not None
        done = subprocess.run([promtool, "check", "metrics"], input=body, capture_output=True, timeout=60, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
