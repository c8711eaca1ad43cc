"""The whole daemon in the test's own loop: a real configuration file and database, the stand-in on a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from exporter.clock import Clock, SystemClock
from exporter.credentials import Keyring
from exporter.demo import DEMO_TOKEN, Scenario, StandIn
from exporter.service import Service, loader, open_service
from exporter.web.webconfig import WebConfig
from tests.fakes import FakeClock
from tests.until import until

TASK = "sentiment-analysis"


@dataclass(frozen=True, kw_only=True)
class Daemon:
    service: Service
    stand_in: StandIn
    url: str
    client: aiohttp.ClientSession
    config_path: Path

    async def json(self, path: str, method: str = "GET", status: int = 200) -> Any:
        async with self.client.request(method, f"{self.url}/api/ai-models{path}") as response:
            assert response.status == status, await response.text()
            return await response.json()

    async def text(self, path: str, status: int = 200, **headers: str) -> str:
        async with self.client.get(self.url + path, headers=headers) as response:
            assert response.status == status, await response.text()
            return await response.text()

    async def asked(self, model_id: str) -> None:
        """Wait until the stand-in has been asked for an inference of the model."""
        await until(lambda: self.stand_in.requests["inference", model_id] > 0)


def write_config(path: Path, base_url: str, models: list[dict[str, Any]], **settings: Any) -> None:
    provider: dict[str, Any] = {"base_url": f"{base_url}/hf-inference", "hub_url": base_url}
    if "budget" in settings:
        provider["budget"] = settings.pop("budget")
    document = {
        "timeout": "5s",
        "cold_start_wait": "20ms",
        "database": str(path.parent / "history.db"),
        "providers": {"huggingface": provider},
        **settings,
        "models": models,
    }
    path.write_text(yaml.safe_dump(document), encoding="utf-8")


def entry(model_id: str, task: str = TASK, **more: Any) -> dict[str, Any]:
    return {"model_id": model_id, "task": task, "category": "general", **more}


@asynccontextmanager
async def running(
    tmp_path: Path,
    scenarios: Mapping[str, Scenario],
    models: list[dict[str, Any]] | None = None,
    *,
    token: str | None = DEMO_TOKEN,
    clock: Clock | None = None,
    stand_in: StandIn | None = None,
    **settings: Any,
) -> AsyncIterator[Daemon]:
    """Run the daemon with a model for each scenario; its agent is not started."""
    stand_in = stand_in or StandIn(clock=FakeClock(auto=True), time_factor=0, scenarios=scenarios)
    listed = [entry(model_id, timeout="2s") for model_id in scenarios] if models is None else models
    config_path = tmp_path / "models.yaml"
    async with AsyncExitStack() as stack:
        base_url = await stack.enter_async_context(stand_in.serve())
        write_config(config_path, base_url, listed, **settings)
        keyring = Keyring({} if token is None else {"HF_TOKEN": token}, None)
        client = await stack.enter_async_context(aiohttp.ClientSession())
        service = await stack.enter_async_context(
            open_service(loader(config_path), clock=clock or SystemClock(), keyring=keyring)
        )
        urls = await service.serve("127.0.0.1", 0, WebConfig(), stack)
        service.ready = True
        yield Daemon(service=service, stand_in=stand_in, url=urls[0], client=client, config_path=config_path)
