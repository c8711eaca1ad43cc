"""The router's list of chat models, `/v1/models`, as the hub's mapping has them."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from exporter.demo.errors import JSON, NOT_FOUND_ROUTE, compact, unified
from exporter.demo.generation import MAX_TOTAL_TOKENS
from exporter.demo.router import MODEL_ID
from exporter.demo.scenario import Kind, Scenario
from exporter.demo.sending import send_refusal
from exporter.demo.world import World


class Catalogue:
    """The handlers, over the state of one world; no token is asked for."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Return the routes under `/v1/models`."""
        return [web.get("/v1/models", self._all), web.get(f"/v1/models/{MODEL_ID}", self._one)]

    async def _all(self, _request: web.Request) -> web.StreamResponse:
        current = {model_id: self._world.current(model_id) for model_id in self._world.scenarios}
        listed = [_entry(model_id, scenario) for model_id, scenario in current.items() if _is_listed(scenario)]
        return web.Response(text=compact({"object": "list", "data": listed}), content_type=JSON)

    async def _one(self, request: web.Request) -> web.StreamResponse:
        model_id = request.match_info["id"]
        scenario = self._world.current(model_id)
        if not _is_listed(scenario):
            return send_refusal(unified(Kind.MISSING, model_id) or NOT_FOUND_ROUTE)
        body = compact({"object": "model", "data": _entry(model_id, scenario)})
        return web.Response(text=body, content_type=JSON)


def _is_listed(scenario: Scenario) -> bool:
    return scenario.task == "text-generation" and bool(scenario.mapping) and scenario.kind is not Kind.MISSING


def _entry(model_id: str, scenario: Scenario) -> dict[str, Any]:
    providers = [
        {"provider": provider, "status": status, "context_length": MAX_TOTAL_TOKENS, "is_model_author": False}
        for provider, status in scenario.mapping
    ]
    owner = model_id.partition("/")[0]
    return {"id": model_id, "object": "model", "created": 0, "owned_by": owner, "providers": providers}
