"""What a restart takes up of the truth: incidents, budgets, baselines and fallbacks, as the store remembers them."""

from __future__ import annotations

from pathlib import Path

from exporter.demo import Kind, Scenario
from exporter.models import EventKind, Reason, Status
from tests import daemon
from tests.daemon import entry
from tests.until import until

WARM = Scenario(kind=Kind.WARM)


async def test_an_incident_that_lasts_is_there_after_a_restart_and_is_closed_by_one_good_try(tmp_path: Path) -> None:
    scenarios = {f"a/{number}": WARM for number in range(4)}
    async with daemon.running(tmp_path, scenarios) as running:
        running.stand_in.host = "gone"
        await running.service.monitor.scan_all_models()
        assert [incident.reason for incident in running.service.incidents.open()] == [Reason.ENDPOINT_GONE]
    async with daemon.running(tmp_path, scenarios) as running:
        (incident,) = running.service.incidents.open()
        assert (incident.provider, incident.reason) == ("huggingface", Reason.ENDPOINT_GONE)
        assert (
            'ai_model_incident{provider="huggingface",reason="endpoint_gone",scope="host"} 1.0'
            in await running.text("/metrics")
        )
        await running.service.monitor.run_scheduled("a/0")
        assert running.stand_in.requests["inference", "a/0"] == 0, "the first try is not due yet"
        await running.service.monitor.check("a/0")
        assert running.service.incidents.open() == ()
    async with daemon.running(tmp_path, scenarios) as running:
        assert running.service.incidents.open() == ()


async def test_what_the_month_has_cost_is_counted_on(tmp_path: Path) -> None:
    budget = {"requests_per_month": 3}
    async with daemon.running(tmp_path, {"a/b": WARM}, budget=budget) as running:
        for _ in range(2):
            await running.service.monitor.check("a/b")
    async with daemon.running(tmp_path, {"a/b": WARM}, budget=budget) as running:
        assert 'ai_model_budget_requests_used{provider="huggingface"} 2.0' in await running.text("/metrics")
        await running.service.monitor.check("a/b")
        assert (await running.service.monitor.check("a/b")).reason is Reason.BUDGET


async def test_a_change_over_a_restart_is_no_silent_one(tmp_path: Path) -> None:
    async with daemon.running(tmp_path, {"a/b": WARM}) as running:
        await running.service.monitor.check("a/b")
    async with daemon.running(tmp_path, {"a/b": Scenario(kind=Kind.WARM, revision=2)}) as running:
        await running.service.monitor.check("a/b")
        kinds = [EventKind.HUB_SHA_CHANGED, EventKind.SERVED_SHA_CHANGED]
        await until(lambda: len(running.service.store.get_events("a/b", kinds=kinds)) == 2)


async def test_a_fallback_in_use_stays_in_use(tmp_path: Path) -> None:
    scenarios = {"a/first": Scenario(kind=Kind.SERVER_ERROR), "a/second": WARM}
    models = [entry("a/first", fallback=["a/second"]), entry("a/second")]
    async with daemon.running(tmp_path, scenarios, models) as running:
        for _ in range(2):
            await running.service.monitor.scan_all_models()
        assert running.service.fallback.in_use() == {"a/first": "a/second"}
    async with daemon.running(tmp_path, scenarios, models) as running:
        assert running.service.fallback.in_use() == {"a/first": "a/second"}
        now = running.service.clock.now()
        resolution = running.service.fallback.resolve(model="a/first", now=now)
        assert (resolution.model_id, resolution.status) == ("a/second", Status.AVAILABLE)


async def test_a_probe_of_which_nothing_is_kept_costs_all_the_same(tmp_path: Path) -> None:
    async with daemon.running(tmp_path, {"a/b": WARM}) as running:
        await running.service.monitor.test_model({"model_id": "a/b", "task": daemon.TASK, "category": "x"})
        assert running.service.store.count_history("a/b") == 0
    async with daemon.running(tmp_path, {"a/b": WARM}) as running:
        assert running.service.read_budgets()[0].requests_used == 1
