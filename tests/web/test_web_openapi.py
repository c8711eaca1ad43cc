"""The OpenAPI document: complete, consistent, and true of the answers that are really given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from exporter.web.openapi import document
from exporter.web.routes import ROUTES

API = "/api/ai-models"
DOCUMENT = document(ROUTES, version="1.2.3")


def nodes(value: Any) -> Iterator[Any]:
    yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(item)


def resolved(reference: str) -> Any:
    found: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def test_every_route_and_method_is_described() -> None:
    described = {(path, method.upper()) for path, item in DOCUMENT["paths"].items() for method in item}
    assert described == {(route.path, method) for route in ROUTES for method in route.methods}


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    references = {node["$ref"] for node in nodes(DOCUMENT) if isinstance(node, dict) and "$ref" in node}
    for reference in references:
        assert resolved(reference)
    components = DOCUMENT["components"]
    defined = {
        f"#/components/{kind}/{name}" for kind in ("schemas", "parameters", "responses") for name in components[kind]
    }
    assert defined == references


def test_operations_have_unique_ids_and_a_summary() -> None:
    operations = [operation for item in DOCUMENT["paths"].values() for operation in item.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(operation["summary"].endswith(".") or operation["summary"] for operation in operations)
    assert all(operation["responses"] for operation in operations)


def test_every_schema_is_a_schema() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_the_parameters_of_a_path_are_declared() -> None:
    for path, item in DOCUMENT["paths"].items():
        for operation in item.values():
            names = [resolved(parameter["$ref"]) for parameter in operation.get("parameters", [])]
            assert any(parameter["in"] == "path" for parameter in names) is ("{id}" in path)
            assert len({parameter["name"] for parameter in names}) == len(names)


def described(route_path: str, method: str, http_status: int) -> Any:
    answer = DOCUMENT["paths"][route_path][method.lower()]["responses"][str(http_status)]
    answer = resolved(answer["$ref"]) if "$ref" in answer else answer
    return answer["content"]["application/json"]["schema"]


EXAMPLES = [
    ("GET", f"{API}/scan", "", 200),
    ("POST", f"{API}/scan", "?wait=false", 202),
    ("GET", f"{API}/scan", "?wait=x", 400),
    ("GET", f"{API}/models", "", 200),
    ("GET", f"{API}/models", "?limit=x", 400),
    ("GET", f"{API}/models/available", "", 200),
    ("GET", f"{API}/models/{{id}}", "", 200),
    ("GET", f"{API}/models/{{id}}/history", "", 200),
    ("GET", f"{API}/models/{{id}}/stats", "", 200),
    ("GET", f"{API}/models/{{id}}/events", "", 200),
    ("GET", f"{API}/resolve", "?model=gpt2", 200),
    ("GET", f"{API}/resolve", "?category=news", 503),
    ("GET", f"{API}/resolve", "", 400),
    ("GET", f"{API}/resolve", "?model=nobody", 404),
    ("GET", f"{API}/incidents", "", 200),
    ("GET", f"{API}/budget", "", 200),
    ("GET", f"{API}/stats/summary", "", 200),
    ("GET", f"{API}/dashboard", "", 200),
    ("GET", f"{API}/agent/status", "", 200),
    ("POST", f"{API}/agent/start", "", 200),
    ("POST", f"{API}/agent/stop", "", 200),
    ("GET", f"{API}/health", "", 200),
    ("GET", f"{API}/health", "", 503),
    ("GET", f"{API}/openapi.json", "", 200),
    ("POST", "/-/reload", "", 200),
    ("GET", "/probe", "", 400),
]


@pytest.mark.parametrize("name", ["ProsusAI/finbert", "new/model", "hostile"])
@pytest.mark.parametrize(("method", "path", "query", "http_status"), EXAMPLES)
async def test_a_real_answer_is_as_described(
    own: Any, backend: Any, hostile: str, method: str, path: str, query: str, http_status: int, name: str
) -> None:
    backend.store.healthy = http_status != 503
    model_id = quote(hostile if name == "hostile" else name, safe="")
    answer = await own(path.replace("{id}", model_id) + query, method)
    assert answer.status == http_status
    assert answer.json()
    schema = {**described(path, method, http_status), "components": DOCUMENT["components"]}
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(answer.json())


def test_an_example_of_every_json_answer_is_checked() -> None:
    checked = {(path, method, http_status) for method, path, _, http_status in EXAMPLES}
    for route in ROUTES:
        for http_status, shape in route.answers.items():
            assert "/" in shape or any((route.path, m, http_status) in checked for m in route.methods), route.path


async def test_the_document_names_the_place_where_it_is_served(ask: Any) -> None:
    answer = (await ask(f"{API}/openapi.json")).json()
    assert answer["openapi"] == "3.1.0"
    assert answer["info"]["version"] == "1.2.3"
    server = answer["servers"][0]["url"]
    assert server in ("/", "/ai/monitor", "/outer", "/hosted")


async def test_the_document_names_the_prefix(serve: Any, backend: Any) -> None:
    from aiohttp import web

    from exporter.web.server import setup_routes

    app = web.Application()
    setup_routes(app, lambda: backend, "/ai/")
    asked = await serve(app, "/ai")
    assert (await asked(f"{API}/openapi.json")).json()["servers"] == [{"url": "/ai"}]
