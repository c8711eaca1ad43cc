"""The OpenAPI 3.1 document, made from the table of routes and the schemas. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from exporter.web.schemas import PARAMETERS, SCHEMAS

if TYPE_CHECKING:
    from exporter.web.routes import Route

_NO_CREDENTIALS: list[dict[str, list[str]]] = [{}]
_ERRORS = {
    "400": "A parameter or the path is bad; the message names it",
    "401": "Credentials are configured, and these are not right",
    "403": "This acts, and is answered to the loopback address only or not to a page of another site",
    "404": "Nothing is there, or the model is not configured",
    "503": "The database does not answer, or the service is starting or ending",
}


def document(routes: Iterable[Route], *, version: str, prefix: str = "") -> dict[str, Any]:
    """Return the document; `prefix` is where another application put the routes."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "AI model exporter",
            "version": version,
            "description": "Probes hosted AI models and tells their state. Times are RFC 3339 in UTC. "
            "A model's id with a slash may be sent with it raw or as %2F.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": prefix or "/"}],
        "security": [{}, {"basic": []}],
        "paths": {route.path: _path_item(route) for route in routes},
        "components": {
            "schemas": SCHEMAS,
            "parameters": PARAMETERS,
            "responses": {f"Error{status}": _error(text) for status, text in _ERRORS.items()},
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
        },
    }


def _path_item(route: Route) -> dict[str, Any]:
    return {method.lower(): _operation(route, method) for method in route.methods}


def _operation(route: Route, method: str) -> dict[str, Any]:
    name = getattr(route.handler, "__name__", "")
    summary = (route.handler.__doc__ or "").strip()
    names = ("id", *route.parameters) if route.takes_id else route.parameters
    operation: dict[str, Any] = {
        "operationId": name if method == route.methods[0] else f"{name}_{method.lower()}",
        "summary": summary.partition("\n")[0],
        "tags": ["models" if route.path.startswith("/api/") else "exporter"],
        "responses": {
            **{str(status): _answer(shape) for status, shape in route.answers.items()},
            **{status: {"$ref": f"#/components/responses/Error{status}"} for status in _errors(route)},
        },
    }
    if names:
        operation["parameters"] = [{"$ref": f"#/components/parameters/{name}"} for name in names]
    if route.public:
        operation["security"] = _NO_CREDENTIALS
    return operation


def _errors(route: Route) -> list[str]:
    applies = {
        "400": bool(route.parameters) or route.takes_id or "POST" in route.methods,
        "401": not route.public,
        "403": route.acts,
        "404": route.takes_id or "wanted_model" in route.parameters,
        "503": 503 not in route.answers and not route.public,
    }
    return [status for status, holds in applies.items() if holds]


def _answer(shape: str) -> dict[str, Any]:
    if "/" in shape:
        return {"description": shape, "content": {shape: {"schema": {"type": "string"}}}}
    schema = {"$ref": f"#/components/schemas/{shape}"}
    return {"description": shape, "content": {"application/json": {"schema": schema}}}


def _error(text: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Error"}
    return {"description": text, "content": {"application/json": {"schema": schema}}}
