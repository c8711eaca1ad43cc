"""A real Prometheus scrapes the running daemon and answers queries about it; promtool reads the real body."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp.test_utils import unused_port

from exporter.demo import Kind, Scenario
from tests import daemon
from tests.servers import prometheus_needed
from tests.until import until

SCENARIOS = {
    "a/good": Scenario(kind=Kind.WARM),
    "a/bad": Scenario(kind=Kind.SERVER_ERROR),
    "a/unserved": Scenario(kind=Kind.NOT_SERVED),
    'own"er/name<b>': Scenario(kind=Kind.WARM),
}
QUERIES = {
    "sum(ai_model_info)": 4,
    'ai_model_probe_success{model="a/good"}': 1,
    'ai_model_probe_success{model="a/bad"}': 0,
    'count(ai_model_probe_success{model="a/unserved"}) or vector(0)': 0,
    'ai_model_status{model="a/unserved",status="not_served"}': 1,
    "sum(ai_model_status)": 4,
    'sum by (reason) (ai_model_probe_failures_total{model="a/bad"}) > 0': 1,
    'ai_model_probe_success * on (model, provider) group_left (category) ai_model_info{model="a/good"}': 1,
    'histogram_quantile(0.5, sum by (le) (ai_model_probe_duration_seconds_bucket{model="a/good"})) < bool 1': 1,
    "min(time() - ai_model_last_probe_timestamp_seconds) < bool 300": 1,
    "ai_model_exporter_config_last_reload_successful": 1,
    'count(ai_model_probe_success{model="own\\"er/name<b>"})': 1,
    "up": 1,
}


@asynccontextmanager
async def prometheus(tmp_path: Path, target: str) -> AsyncIterator[str]:
    port = unused_port()
    config = tmp_path / "prometheus.yml"
    job = {
        "job_name": "ai-models",
        "scrape_interval": "1s",
        "scrape_timeout": "1s",
        "static_configs": [{"targets": [target.removeprefix("http://")]}],
    }
    config.write_text(yaml.safe_dump({"scrape_configs": [job]}), encoding="utf-8")
    program = shutil.which("prometheus")
    assert program is not None
    process = await asyncio.create_subprocess_exec(
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def answers(client: aiohttp.ClientSession, url: str, query: str) -> list[Any]:
    async with client.get(f"{url}/api/v1/query", params={"query": query}) as response:
        body = await response.json()
        assert body["status"] == "success", body
        return list(body["data"]["result"])


async def is_scraped(client: aiohttp.ClientSession, url: str) -> bool:
    try:
        return bool(await answers(client, url, "up == 1"))
    except (aiohttp.ClientConnectionError, aiohttp.ContentTypeError):
        return False


@prometheus_needed
async def test_a_real_prometheus_scrapes_the_daemon_and_answers_queries(tmp_path: Path) -> None:
    async with daemon.running(tmp_path, SCENARIOS) as running:
        await running.service.monitor.scan_all_models()
        async with prometheus(tmp_path, running.url) as url:
            await until(lambda: is_scraped(running.client, url), timeout_s=40)
            got = {}
            for query in QUERIES:
                result = await answers(running.client, url, query)
                got[query] = float(result[0]["value"][1]) if result else None
            targets = await running.client.get(f"{url}/api/v1/targets")
            target = (await targets.json())["data"]["activeTargets"][0]
    assert got == {query: float(value) for query, value in QUERIES.items()}
    assert (target["health"], target["lastError"]) == ("up", "")


@prometheus_needed
async def test_promtool_finds_nothing_to_say_about_what_the_daemon_serves(tmp_path: Path) -> None:
    async with daemon.running(tmp_path, SCENARIOS) as running:
        await running.service.monitor.scan_all_models()
        bodies = [await running.text("/metrics"), await running.text("/probe?model=a/good")]
    promtool = shutil.which("promtool")
    assert promtool is not None
    for body in bodies:
        process = await asyncio.create_subprocess_exec(
            promtool, "check", "metrics", stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        _, said = await process.communicate(body.encode())
        assert (process.returncode, said) == (0, b"")
