"""What a restart takes up of the truth: incidents, budgets, baselines and fallbacks, as the store remembers them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from exporter.demo import Kind, Scenario
from exporter.models import EventKind, Reason, Status
from exporter.store import Store
from tests import daemon, make
from tests.daemon import entry
from tests.until import until

WARM = Scenario(kind=Kind.WARM)
PREDECESSOR = """
CREATE TABLE ai_models (id INTEGER PRIMARY KEY, model_id TEXT UNIQUE, task TEXT);
CREATE TABLE model_metrics (id INTEGER PRIMARY KEY, model_id TEXT, status TEXT, success INTEGER, checked_at TEXT);
CREATE TABLE model_stats (model_id TEXT);
INSERT INTO ai_models VALUES (1, 'a/b', 'sentiment-analysis');
INSERT INTO model_metrics VALUES (1, 'a/b', 'failed', 0, '2025-12-08 03:13:29');
"""


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


async def test_an_incident_whose_models_leave_the_configuration_is_over(tmp_path: Path) -> None:
    scenarios = {f"a/{number}": WARM for number in range(3)} | {"b/c": WARM}
    async with daemon.running(tmp_path, scenarios, [entry(f"a/{number}") for number in range(3)]) as running:
        running.stand_in.host = "gone"
        await running.service.monitor.scan_all_models()
        assert running.service.incidents.open()
        base_url = running.service.config.providers["huggingface"].hub_url
        daemon.write_config(running.config_path, base_url, [entry("b/c")])
        await running.service.reload()
        assert running.service.incidents.open() == ()
        await until(lambda: len(running.service.store.get_events(kinds=[EventKind.INCIDENT_CLOSED])) == 1)
    async with daemon.running(tmp_path, scenarios) as running:
        assert running.service.incidents.open() == ()


async def test_after_a_reload_the_next_try_of_an_incident_is_due(tmp_path: Path) -> None:
    scenarios = {f"a/{number}": WARM for number in range(3)}
    async with daemon.running(tmp_path, scenarios) as running:
        running.stand_in.host = "gone"
        await running.service.monitor.scan_all_models()
        before = running.stand_in.requests["inference", "a/0"]
        running.stand_in.host = None
        await running.service.monitor.run_scheduled("a/0")
        assert running.stand_in.requests["inference", "a/0"] == before, "paused"
        await running.service.reload()
        await running.service.monitor.run_scheduled("a/0")
        assert running.service.incidents.open() == ()


@pytest.mark.parametrize("damaged", ['{"goldens": 5}', '{"labels": 3}'])
async def test_a_damaged_baseline_is_learnt_anew_and_told(
    damaged: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with daemon.running(tmp_path, {"a/b": WARM}) as running:
        await running.service.monitor.check("a/b")
    with closing(sqlite3.connect(tmp_path / "history.db")) as database, database:
        database.execute("UPDATE baselines SET baseline = ?", (damaged,))
    async with daemon.running(tmp_path, {"a/b": WARM}) as running:
        assert (await running.service.monitor.check("a/b")).status is Status.AVAILABLE
    assert "baseline_unreadable" in capsys.readouterr().out


async def test_a_simulated_database_is_set_aside_and_that_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Store.open(tmp_path / "history.db", simulated=True, now=lambda: make.NOW).close()
    async with daemon.running(tmp_path, {"a/b": WARM}):
        pass
    assert "simulated_database_set_aside" in capsys.readouterr().out


async def test_a_predecessors_database_is_carried_over_and_that_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(tmp_path / "history.db")) as database, database:
        database.executescript(PREDECESSOR)
    async with daemon.running(tmp_path, {"a/b": WARM}) as running:
        (row,) = running.service.store.get_model_history("a/b")
        assert (row["status"], row["checked_at"]) == ("failed", "2025-12-08T03:13:29.000Z")
    assert "predecessor_carried_over" in capsys.readouterr().out


async def test_a_token_that_cannot_be_used_is_told_at_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with daemon.running(tmp_path, {"a/b": WARM}, token="two words"):
        pass
    assert "token_unusable" in capsys.readouterr().out


async def test_rows_that_could_not_be_kept_are_told_at_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocker = sqlite3.connect(tmp_path / "history.db", isolation_level=None, timeout=0)
    async with daemon.running(tmp_path, {"a/b": WARM}) as running:
        blocker.execute("BEGIN IMMEDIATE")
        await running.service.monitor.check("a/b")
    blocker.execute("ROLLBACK")
    blocker.close()
    assert "rows_lost" in capsys.readouterr().out


async def test_a_store_in_trouble_is_told_once_and_so_is_its_recovery(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with daemon.running(tmp_path, {"a/b": WARM}) as running:
        blocker = sqlite3.connect(tmp_path / "history.db", isolation_level=None, timeout=0)
        blocker.execute("BEGIN IMMEDIATE")
        await running.service.monitor.check("a/b")
        said: list[str] = []

        def told(event: str) -> bool:
            said.append(capsys.readouterr().out)
            return event in "".join(said)

        await until(lambda: told("store_failing"))
        blocker.execute("ROLLBACK")
        blocker.close()
        await until(lambda: told("store_recovered"), timeout_s=20)
    assert "".join(said).count("store_failing") == 1
