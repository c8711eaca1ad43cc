"""The one table of routes: what is matched, what is guarded, and what the OpenAPI document says.

A path is matched as it was sent, before percent-decoding, so that `{id}` may hold a slash raw or as %2F.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from exporter.web import api, findings, ops
from exporter.web.http import ApiError, Request, Response, decode, json_response
from exporter.web.openapi import document

if TYPE_CHECKING:
    from exporter.web.backend import Backend

Handler = Callable[["Backend", Request], Awaitable[Response]]

API: Final = "/api/ai-models"
ROOTS: Final = (API, "/metrics", "/-", "/probe", "/config")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One path. `answers` maps an HTTP status to a schema's name, or to a media type where it is not JSON.

    `acts` is guarded as guard.py says; `public` is answered without credentials. GET includes HEAD.
    """

    path: str
    handler: Handler
    answers: Mapping[int, str]
    methods: tuple[str, ...] = ("GET",)
    parameters: tuple[str, ...] = ()
    acts: bool = False
    public: bool = False
    pattern: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pattern", re.compile(re.escape(self.path).replace(r"\{id\}", "(?P<id>.+)")))

    @property
    def allowed(self) -> tuple[str, ...]:
        """The methods that the route answers."""
        return (*self.methods, "HEAD") if "GET" in self.methods else self.methods

    @property
    def takes_id(self) -> bool:
        """True when the path holds a model's id."""
        return "{id}" in self.path


async def openapi(backend: Backend, request: Request) -> Response:
    """Describe this API as OpenAPI 3.1."""
    return json_response(document(ROUTES, version=backend.version, prefix=request.prefix))


_METRICS: Final = "text/plain"
_PAGE: Final = ("status", "task", "category", "limit", "offset")
_WINDOW: Final = ("page_limit", "since", "until", "before")
_CHANGES: Final = ("page_limit", "before", "since", "kinds")
_WANTED: Final = ("wanted_task", "wanted_category", "wanted_model")
_POST: Final = ("POST",)

# Of two routes with an {id} that match one path, the first is meant.
ROUTES: Final = (
    Route(
        path=f"{API}/scan",
        handler=api.scan,
        answers={200: "Scan", 202: "Done"},
        methods=("GET", "POST"),
        parameters=("wait",),
        acts=True,
    ),
    Route(path=f"{API}/models", handler=api.models, answers={200: "Models"}, parameters=_PAGE),
    Route(path=f"{API}/models/available", handler=api.available, answers={200: "Available"}),
    Route(path=f"{API}/models/{{id}}/history", handler=api.history, answers={200: "History"}, parameters=_WINDOW),
    Route(path=f"{API}/models/{{id}}/stats", handler=api.stats, answers={200: "Stats"}),
    Route(
        path=f"{API}/models/{{id}}/events", handler=findings.model_events, answers={200: "Events"}, parameters=_CHANGES
    ),
    Route(path=f"{API}/models/{{id}}", handler=api.model, answers={200: "Model"}),
    Route(
        path=f"{API}/resolve",
        handler=findings.resolve,
        answers={200: "Resolution", 503: "NoneWorks"},
        parameters=_WANTED,
    ),
    Route(path=f"{API}/incidents", handler=findings.incidents, answers={200: "Incidents"}),
    Route(path=f"{API}/budget", handler=findings.budgets, answers={200: "Budgets"}),
    Route(path=f"{API}/stats/summary", handler=api.stats_summary, answers={200: "TimedSummary"}),
    Route(path=f"{API}/dashboard", handler=api.dashboard, answers={200: "Dashboard"}),
    Route(path=f"{API}/agent/status", handler=api.agent_status, answers={200: "AgentStatus"}),
    Route(path=f"{API}/agent/start", handler=api.agent_start, answers={200: "AgentStart"}, methods=_POST, acts=True),
    Route(path=f"{API}/agent/stop", handler=api.agent_stop, answers={200: "Done"}, methods=_POST, acts=True),
    Route(path=f"{API}/health", handler=api.health, answers={200: "Health", 503: "Health"}),
    Route(path=f"{API}/openapi.json", handler=openapi, answers={200: "OpenApi"}),
    Route(path="/metrics", handler=ops.metrics, answers={200: _METRICS}),
    Route(path="/-/healthy", handler=ops.healthy, answers={200: "text/plain"}, public=True),
    Route(path="/-/ready", handler=ops.ready, answers={200: "text/plain", 503: "text/plain"}, public=True),
    Route(path="/-/reload", handler=ops.reload, answers={200: "Reloaded"}, methods=_POST, acts=True),
    Route(path="/probe", handler=ops.probe, answers={200: _METRICS}, parameters=("model", "debug"), acts=True),
    Route(path="/config", handler=ops.config, answers={200: "text/yaml"}),
    Route(path="/", handler=ops.landing, answers={200: "text/html"}),
)

_EXACT: Final = {route.path: route for route in ROUTES if not route.takes_id}
_PATTERNS: Final = tuple(route for route in ROUTES if route.takes_id)


def match(path: str) -> tuple[Route, dict[str, str]]:
    """Return the route of a path as sent, and its decoded parameters. Raises ApiError 400 or 404."""
    raw = path.removesuffix("/") or "/"
    decoded = decode(raw, "path")
    if exact := _EXACT.get(decoded):
        return exact, {}
    for route in _PATTERNS:
        if found := route.pattern.fullmatch(raw):
            return route, {name: decode(value, "path") for name, value in found.groupdict().items()}
    raise ApiError(404, "not_found", f"there is nothing at {decoded}")
