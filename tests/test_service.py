"""The whole, put together: what a restart takes up, what a reload keeps, and what ends everything."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from exporter.config import TASKS as CONFIG_TASKS
from exporter.config import ConfigError
from exporter.demo import Kind, Scenario
from exporter.models import Status
from exporter.service import ServerStoppedError
from exporter.store import StorageError
from exporter.tasks import TASKS
from tests import daemon
from tests.daemon import entry
from tests.until import until

WARM = Scenario(kind=Kind.WARM)


def test_the_configuration_knows_the_tasks_that_there_are() -> None:
    assert set(CONFIG_TASKS) == set(TASKS)


def rewrite(running: daemon.Daemon, models: list[dict[str, Any]], **settings: Any) -> None:
    base_url = running.service.config.providers["huggingface"].hub_url
    daemon.write_config(running.config_path, base_url, models, **settings)


async def metric(running: daemon.Daemon, line: str) -> str | None:
    body = await running.text("/metrics")
    return next((text.rpartition(" ")[2] for text in body.splitlines() if text.startswith(line + " ")), None)


def probes(model: str) -> str:
    return f'ai_model_probes_total{{model="{model}",provider="huggingface"}}'


async def test_the_agent_probes_every_model_and_the_api_and_the_database_say_so(tmp_path: Path) -> None:
    scenarios = {"gpt2": WARM, "owner/name": WARM, 'own"er/na<me>': WARM}
    async with daemon.running(tmp_path, scenarios) as running:
        running.service.agent.start()
        await until(lambda: len(running.service.board.current) == 3)
        listed = await running.json("/models")
        health = await running.json("/health")
        agent = await running.json("/agent/status")
        assert 'model="own\\"er/na<me>"' in await running.text("/metrics")
    assert [row["status"] for row in listed] == ["available"] * 3
    assert health["status"] == "healthy"
    assert agent["running"] is True
    assert agent["last_scan"].endswith("Z")
    with sqlite3.connect(tmp_path / "history.db") as database:
        rows = database.execute("SELECT model_id, status, success FROM model_metrics ORDER BY model_id").fetchall()
    database.close()
    assert rows == [("gpt2", "available", 1), ('own"er/na<me>', "available", 1), ("owner/name", "available", 1)]


async def test_a_restart_shows_what_was_known_and_waits_for_the_next_slot(tmp_path: Path) -> None:
    async with daemon.running(tmp_path, {"a/b": WARM}) as running:
        await running.service.monitor.check("a/b")
    async with daemon.running(tmp_path, {"a/b": WARM}) as running:
        assert (await running.json("/models/available"))["total"] == 1
        assert await metric(running, probes("a/b")) == "0.0"
        stamp = 'ai_model_last_success_timestamp_seconds{model="a/b",provider="huggingface"}'
        assert await metric(running, stamp) is not None
        running.service.agent.start()
        due = running.service.agent.next_scan
        assert due is not None
        assert (due - running.service.clock.now()).total_seconds() > 0
        assert not running.stand_in.requests


async def test_a_reload_takes_the_new_and_keeps_counters_and_schedule(tmp_path: Path) -> None:
    async with daemon.running(tmp_path, {"a/b": WARM, "c/d": WARM, "e/f": WARM}) as running:
        rewrite(running, [entry("a/b"), entry("c/d")])
        await running.service.reload()
        await running.service.monitor.scan_all_models()
        running.service.agent.start()
        due = running.service.agent.next_scan
        rewrite(running, [entry("a/b", category="news"), entry("e/f", interval="1h")], concurrency=3)
        async with running.client.post(f"{running.url}/-/reload") as response:
            assert response.status == 200
        assert float(await metric(running, probes("a/b")) or 0) >= 1
        assert await metric(running, probes("e/f")) is not None
        assert await metric(running, probes("c/d")) is None
        assert [row["model_id"] for row in await running.json("/models")] == ["a/b", "e/f"]
        await running.json("/models/c/d/stats", status=404)
        assert running.service._slots.limit == 3
        assert due is not None
        assert await metric(running, "ai_model_exporter_config_last_reload_successful") == "1.0"


async def test_a_bad_configuration_is_refused_with_its_place_and_the_old_one_goes_on(tmp_path: Path) -> None:
    async with daemon.running(tmp_path, {"a/b": WARM}) as running:
        running.config_path.write_text("models:\n  - model_id: a/b\n    tsk: x\n", encoding="utf-8")
        with pytest.raises(ConfigError, match=r"models\.yaml:3"):
            await running.service.reload()
        async with running.client.post(f"{running.url}/-/reload") as response:
            assert response.status == 400
            assert "did you mean 'task'?" in (await response.json())["error"]["message"]
        assert await metric(running, "ai_model_exporter_config_last_reload_successful") == "0.0"
        assert (await running.service.monitor.check("a/b")).status is Status.AVAILABLE


async def test_a_config_that_shrinks_to_nothing_and_grows_again(tmp_path: Path) -> None:
    async with daemon.running(tmp_path, {"a/b": WARM}) as running:
        running.service.agent.start()
        rewrite(running, [])
        await running.service.reload()
        assert await running.json("/models") == []
        assert running.service.agent.next_scan is None
        assert (await running.json("/scan"))["total"] == 0
        rewrite(running, [entry("a/b")])
        await running.service.reload()
        assert running.service.agent.next_scan is not None
        assert running.service.agent.running


async def test_another_database_needs_a_restart_and_is_told(tmp_path: Path) -> None:
    async with daemon.running(tmp_path, {"a/b": WARM}) as running:
        rewrite(running, [entry("a/b")], database=str(tmp_path / "other.db"))
        await running.service.reload()
        assert running.service.config.database == tmp_path / "history.db"
    assert not (tmp_path / "other.db").exists()


async def test_a_store_that_fails_does_not_stop_probes_or_metrics(tmp_path: Path) -> None:
    async with daemon.running(tmp_path, {"a/b": WARM}) as running:
        blocker = sqlite3.connect(tmp_path / "history.db", isolation_level=None, timeout=0)
        running.service.store._writer._connection.execute("PRAGMA busy_timeout = 10")
        blocker.execute("BEGIN IMMEDIATE")
        seen = await running.service.monitor.check("a/b")
        assert seen.status is Status.AVAILABLE
        assert await metric(running, probes("a/b")) == "1.0"
        assert float(await metric(running, "ai_model_exporter_store_queue_rows") or 0) >= 1
        assert await metric(running, 'ai_model_exporter_store_errors_total{operation="write"}') == "1.0"
        health = await running.json("/health", status=503)
        assert health["status"] == "degraded"
        await running.service.reload()
        blocker.execute("ROLLBACK")
        blocker.close()
    with sqlite3.connect(tmp_path / "history.db") as database:
        assert database.execute("SELECT count(*) FROM model_metrics").fetchone() == (1,)
    database.close()


async def test_a_dead_writer_ends_the_whole(tmp_path: Path) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with daemon.running(tmp_path, {"a/b": WARM}) as running:
            running.service.store.close()
            assert (await running.json("/health", status=503))["alive"]["store"] is False
            await asyncio.Event().wait()
    assert caught.group_contains(StorageError)


async def test_a_server_that_stops_listening_ends_the_whole(tmp_path: Path) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with daemon.running(tmp_path, {"a/b": WARM}) as running:
            running.service._servers[0].close()
            await asyncio.Event().wait()
    assert caught.group_contains(ServerStoppedError)


async def test_a_crash_of_the_schedule_ends_the_whole(tmp_path: Path) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with daemon.running(tmp_path, {"a/b": WARM}) as running:

            async def crash(model: Any, turn: Any) -> None:
                raise ZeroDivisionError

            running.service.monitor._hand_on = crash  # type: ignore[method-assign]
            running.service.agent.start()
            await asyncio.Event().wait()
    assert caught.group_contains(ZeroDivisionError)


async def test_the_agent_is_stopped_and_started_over_the_api(tmp_path: Path) -> None:
    async with daemon.running(tmp_path, {"a/b": WARM}) as running:
        assert (await running.json("/agent/start", "POST"))["status"] == "started"
        assert (await running.json("/agent/start", "POST"))["status"] == "already_running"
        assert (await running.json("/agent/stop", "POST"))["status"] == "stopped"
        assert (await running.json("/agent/stop", "POST"))["status"] == "not_running"
        assert (await running.json("/agent/status"))["next_scan"] is None
        assert await metric(running, "ai_model_exporter_agent_running") == "0.0"
        assert (await running.json("/agent/start", "POST"))["status"] == "started"


async def test_warnings_of_the_configuration_are_told_at_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with daemon.running(tmp_path, {}):
        pass
    assert "no models are configured" in capsys.readouterr().out


async def test_a_synchronous_probe_answers_as_a_multi_target_exporter_does(tmp_path: Path) -> None:
    async with daemon.running(tmp_path, {"a/b": WARM}) as running:
        body = await running.text("/probe?model=a/b")
        debug = await running.text("/probe?model=a%2Fb&debug=true")
        await running.text("/probe?model=somebody/else", status=400)
    assert "probe_success 1.0" in body
    assert "hf_demo" not in debug
    assert "POST http://127.0.0.1" in debug
