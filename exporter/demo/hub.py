"""The hub's routes: what is known of a model, lists of models, whose the token is. Metadata only, never inference."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from aiohttp import web

from exporter.demo import errors
from exporter.demo.errors import compact
from exporter.demo.router import MODEL_ID
from exporter.demo.scenario import HF_INFERENCE, Kind, Scenario
from exporter.demo.sending import send_refusal
from exporter.demo.world import (
    ALIASES,
    DEMO_TOKEN,
    DEPLETED_TOKEN,
    NO_SCOPE_TOKEN,
    World,
    bearer,
    canonical,
    hexdigest,
    sha,
)
from exporter.models import rfc3339

WINDOW_S: Final = 300
ANONYMOUS_QUOTA: Final = 500
TOKEN_QUOTA: Final = 1_000
DEPLOYED: Final = "hf-inference/deployed-models-680a42b770e6b6cd546c3fbc"

_TOKENS: Final = frozenset({DEMO_TOKEN, NO_SCOPE_TOKEN, DEPLETED_TOKEN})
_CREATED: Final = datetime(2022, 3, 2, 23, 29, 4, tzinfo=UTC)
_ONLY_EXPANDED: Final = frozenset({"inferenceProviderMapping"})
_LISTED: Final = frozenset(
    {"createdAt", "downloads", "library_name", "likes", "modelId", "pipeline_tag", "private", "tags"}
)
_FIELDS: Final = """
    author baseModels cardData config createdAt disabled downloads downloadsAllTime gated gguf inference
    inferenceProviderMapping lastModified library_name likes mask_token model-index pipeline_tag private resourceGroup
    safetensors sha siblings spaces tags transformersInfo trendingScore usedStorage widgetData xetEnabled
"""
_EXPANDABLE: Final = frozenset(_FIELDS.split())
_UNLISTED: Final = frozenset({Kind.MISSING, Kind.RENAMED, Kind.DISABLED})

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True, kw_only=True)
class _Window:
    """Requests of one caller in one fixed window of 300 s."""

    number: int
    used: int = 0


class Hub:
    """The handlers, over the state of one world; every answer carries and spends the caller's rate limit."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._windows: dict[bool, _Window] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes under `/api`."""
        return [
            web.get("/api/whoami-v2", self._limited(self._whoami)),
            web.get("/api/models", self._limited(self._models)),
            web.get(f"/api/models/{MODEL_ID}", self._limited(self._model)),
            web.get("/api/collections/{slug:.+}", self._limited(self._collection)),
            web.get("/api/partners/{provider}/models", self._limited(self._partner)),
        ]

    def _limited(self, handler: Handler) -> Handler:
        async def limited(request: web.Request) -> web.StreamResponse:
            world = self._world
            serial = world.requests["hub", request.match_info.get("id", "")]
            await world.wait(0.05 + 0.1 * world.draw(request.path, serial, "network"))
            token = bearer(request.headers.get("Authorization"))
            quota, remaining, reset_s = self._spend(known=token in _TOKENS)
            if remaining < 0:
                response: web.StreamResponse = send_refusal(
                    errors.refusal(
                        429, f"We had to rate limit you, you hit the quota of {quota} api requests per 5 minutes."
                    )
                )
            elif token is not None and token not in _TOKENS:
                response = send_refusal(errors.BAD_TOKEN)
            else:
                response = await handler(request)
            made = hexdigest(world.seed, request.path, serial, size=16)
            response.headers["RateLimit"] = f'"api";r={max(remaining, 0)};t={reset_s}'
            response.headers["RateLimit-Policy"] = f'"fixed window";"api";q={quota};w={WINDOW_S}'
            response.headers["X-Request-Id"] = request.headers.get("X-Request-Id", made)
            return response

        return limited

    def _spend(self, *, known: bool) -> tuple[int, int, int]:
        """Count a request; return the quota, what is left of it (negative: too many), and seconds to the reset."""
        quota = self._world.hub_quota
        if quota is None:
            quota = TOKEN_QUOTA if known else ANONYMOUS_QUOTA
        now = self._world.clock.monotonic()
        number = int(now // WINDOW_S)
        window = self._windows.get(known)
        if window is None or window.number != number:
            window = self._windows[known] = _Window(number=number)
        window.used += 1
        return quota, quota - window.used, int((number + 1) * WINDOW_S - now) or 1

    async def _whoami(self, request: web.Request) -> web.StreamResponse:
        token = bearer(request.headers.get("Authorization"))
        if token is None:
            return send_refusal(errors.NO_TOKEN)
        body = {
            "type": "user",
            "id": hexdigest("demo", size=12),
            "name": "demo",
            "fullname": "The stand-in's only user",
            "isPro": False,
            "orgs": [],
            "auth": {
                "type": "access_token",
                "accessToken": {"displayName": "demo", "role": "read" if token == NO_SCOPE_TOKEN else "fineGrained"},
            },
        }
        return _json(body)

    async def _model(self, request: web.Request) -> web.StreamResponse:
        model_id = request.match_info["id"]
        scenario = self._world.current(model_id)
        target = scenario.renamed_to if scenario.kind is Kind.RENAMED else ALIASES.get(model_id)
        if target is not None:
            query = f"?{request.query_string}" if request.query_string else ""
            location = f"/api/models/{target}"
            return web.Response(
                status=307,
                text=f"Temporary Redirect. Redirecting to {location}",
                headers={"Location": location + query},
            )
        if scenario.kind is Kind.DISABLED:
            return send_refusal(errors.DISABLED)
        signed_in = request.headers.get("Authorization") is not None
        if scenario.kind is Kind.MISSING or (scenario.private and not signed_in):
            return send_refusal(errors.REPO_NOT_FOUND if signed_in else errors.REPO_HIDDEN)
        expand = _expand(request)
        unknown = sorted(expand - _EXPANDABLE)
        if unknown:
            return send_refusal(errors.refusal(400, f'"expand" must be one of {sorted(_EXPANDABLE)}, not {unknown}'))
        whole = document(model_id, scenario)
        shown = expand or (whole.keys() - _ONLY_EXPANDED)
        return _with_etag(request, {name: value for name, value in whole.items() if name in shown | {"_id", "id"}})

    async def _models(self, request: web.Request) -> web.StreamResponse:
        query, expand = request.query, _expand(request)
        providers = set(filter(None, query.get("inference_provider", "").split(",")))
        try:
            limit = min(max(int(query.get("limit", "1000")), 1), 1000)
            start = max(int(query.get("cursor", "0")), 0)
        except ValueError:
            return send_refusal(errors.refusal(400, '"limit" must be a number'))
        found = [
            (model_id, scenario)
            for model_id, scenario in self._listed()
            if _offered(scenario, providers)
            and query.get("pipeline_tag", scenario.task) == scenario.task
            and query.get("search", "").lower() in model_id.lower()
            and set(query.getall("filter", [])) <= set(_tags(scenario))
            and (query.get("inference") != "warm" or _is_warm(scenario))
        ]
        rows = [_row(model_id, scenario, expand) for model_id, scenario in found[start : start + limit]]
        response = _json(rows)
        if start + limit < len(found):
            following = request.url.update_query(cursor=str(start + limit))
            response.headers["Link"] = f'<{following}>; rel="next"'
        return response

    async def _collection(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["slug"] != DEPLOYED:
            return send_refusal(errors.refusal(404, "Collection not found"))
        items = [
            {
                "_id": hexdigest("item", model_id, size=12),
                "position": position,
                "type": "model",
                "id": model_id,
                "pipeline_tag": scenario.task,
                "availableInferenceProviders": [
                    {**row, "modelStatus": row.pop("status"), "providerStatus": "live"}
                    for row in _provider_rows(model_id, scenario)
                ],
            }
            for position, (model_id, scenario) in enumerate(self._listed())
            if (HF_INFERENCE, "live") in scenario.mapping
        ]
        return _json({"slug": DEPLOYED, "title": "Deployed models", "owner": {"name": HF_INFERENCE}, "items": items})

    async def _partner(self, request: web.Request) -> web.StreamResponse:
        provider, wanted = request.match_info["provider"], request.query.get("status")
        by_task: dict[str, dict[str, Any]] = {}
        for model_id, scenario in self._listed():
            status = dict(scenario.mapping).get(provider)
            if provider != HF_INFERENCE and status is not None and wanted in (None, status):
                row = {"_id": hexdigest(provider, model_id, size=12), "providerId": model_id, "status": status}
                by_task.setdefault(scenario.mapping_task or scenario.task, {})[model_id] = row
        return _json(by_task)

    def _listed(self) -> Iterator[tuple[str, Scenario]]:
        """Yield the models that a list shows, by downloads, most first."""
        current = {model_id: self._world.current(model_id) for model_id in self._world.scenarios}
        for model_id in sorted(current, key=lambda name: (-_downloads(name), name)):
            if current[model_id].kind not in _UNLISTED and not current[model_id].private:
                yield model_id, current[model_id]


def document(model_id: str, scenario: Scenario) -> dict[str, Any]:
    """Return all that the hub says of one model, by field name; fields without a value are left out."""
    fields: dict[str, Any] = {
        "_id": hexdigest("model", canonical(model_id), size=12),
        "id": model_id,
        "modelId": model_id,
        "author": model_id.partition("/")[0],
        "private": scenario.private,
        "pipeline_tag": scenario.task,
        "library_name": "transformers",
        "sha": sha(model_id, scenario.revision),
        "lastModified": rfc3339(_CREATED + timedelta(days=scenario.revision)),
        "gated": scenario.hub_gated,
        "disabled": scenario.disabled,
        "inference": "warm" if _is_warm(scenario) else None,
        "inferenceProviderMapping": {row.pop("provider"): row for row in _provider_rows(model_id, scenario)},
        "downloads": _downloads(model_id),
        "likes": _downloads(model_id) // 900,
        "tags": _tags(scenario),
        "config": _config(scenario),
        "cardData": {"license": "apache-2.0"} | ({"new_version": scenario.new_version} if scenario.new_version else {}),
        "createdAt": rfc3339(_CREATED),
        "siblings": [{"rfilename": "config.json"}, {"rfilename": "model.safetensors"}],
    }
    return {name: value for name, value in fields.items() if value is not None}


def _provider_rows(model_id: str, scenario: Scenario) -> list[dict[str, Any]]:
    task = scenario.mapping_task or scenario.task
    return [
        {"provider": provider, "status": status, "providerId": model_id, "task": task}
        for provider, status in scenario.mapping
    ]


def _row(model_id: str, scenario: Scenario, expand: frozenset[str]) -> dict[str, Any]:
    whole = document(model_id, scenario) | {"inferenceProviderMapping": _provider_rows(model_id, scenario)}
    shown = (expand or _LISTED) | {"_id", "id"}
    return {name: value for name, value in whole.items() if name in shown}


def _offered(scenario: Scenario, providers: set[str]) -> bool:
    if not providers:
        return True
    mapped = {provider for provider, _ in scenario.mapping}
    return bool(mapped) if "all" in providers else bool(mapped & providers)


def _is_warm(scenario: Scenario) -> bool:
    return any(status == "live" for _, status in scenario.mapping)


def _tags(scenario: Scenario) -> list[str]:
    return ["transformers", "safetensors", scenario.task, "endpoints_compatible"]


def _config(scenario: Scenario) -> dict[str, Any]:
    if scenario.task != "text-classification":
        return {"model_type": "toy"}
    return {"model_type": "toy", "id2label": {str(index): label for index, (label, _) in enumerate(scenario.labels)}}


def _downloads(model_id: str) -> int:
    return 1_000 + int(hexdigest("downloads", canonical(model_id), size=3), 16) % 5_000_000


def _expand(request: web.Request) -> frozenset[str]:
    return frozenset([*request.query.getall("expand[]", []), *request.query.getall("expand", [])])


def _json(body: object) -> web.Response:
    return web.Response(text=compact(body), content_type=errors.JSON)


def _with_etag(request: web.Request, body: object) -> web.Response:
    text = compact(body)
    etag = f'W/"{len(text):x}-{hexdigest(text, size=10)}"'
    if request.headers.get("If-None-Match") == etag:
        return web.Response(status=304, headers={"ETag": etag})
    return web.Response(text=text, content_type=errors.JSON, headers={"ETag": etag})
