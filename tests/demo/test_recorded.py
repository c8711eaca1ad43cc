"""Our bodies against recorded ones: the same JSON shape, the same words, the same header names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from exporter.demo import Kind, Scenario
from tests.demo.conftest import Bench, Got

RECORDED = Path(__file__).resolve().parents[2].parent / "shared" / "recorded" / "hf-exchanges.json"

pytestmark = pytest.mark.skipif(not RECORDED.exists(), reason=f"no recorded exchanges at {RECORDED.name}")

ROUTER = "https://router.huggingface.co/hf-inference/models/"
COMPUTE_HEADERS = {
    "x-compute-type",
    "x-compute-time",
    "x-compute-characters",
    "x-inference-id",
    "x-request-id",
    "x-sha",
    "x-powered-by",
    "x-total-time",
    "x-validation-time",
    "x-queue-time",
    "x-inference-time",
    "x-time-per-token",
    "x-prompt-tokens",
    "x-generated-tokens",
}


def exchanges() -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads(RECORDED.read_text())
    return loaded


def task_of(model_id: str) -> tuple[Kind, str] | None:
    """Return how the stand-in has to play a recorded model; None for what it does not play."""
    if "does-not-exist" in model_id:
        return Kind.MISSING, "text-classification"
    for part, task in {
        "sst-2": "text-classification",
        "mnli": "zero-shot-classification",
        "bart": "summarization",
        "gpt2": "text-generation",
        "flan-t5": "text-generation",
        "Mistral": "text-generation",
        "Llama": "text-generation",
        "zephyr": "text-generation",
    }.items():
        if part in model_id and "vit-" not in model_id:
            return Kind.WARM, task
    return (Kind.TEMPLATE_ERROR, "text-generation") if "gemma" in model_id else None


def comparable() -> list[Any]:
    if not RECORDED.exists():
        return []
    cases = []
    for number, exchange in enumerate(exchanges()):
        if exchange["method"] != "POST" or not exchange["url"].startswith(ROUTER) or not exchange["request_body"]:
            continue
        path = exchange["url"].removeprefix(ROUTER)
        model_id = path.partition("/v1/")[0]
        played = task_of(model_id)
        body = exchange["body"]
        asks_chat_at_the_model = "messages" in exchange["request_body"] and "/v1/" not in path
        no_messages = "gemma" in model_id and "messages" not in exchange["request_body"]
        if played is None or body.endswith("trimmed") or (asks_chat_at_the_model and exchange["status"] == 200):
            continue
        kind, task = (Kind.WARM, played[1]) if no_messages else played
        cases.append(pytest.param(exchange, path, model_id, kind, task, id=f"{number}-{path}"))
    return cases


def shape(value: Any) -> Any:
    """Return a JSON value with its scalars replaced by the names of their types, and lists by their first item."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


async def replay(bench: Bench, exchange: dict[str, Any], path: str, model_id: str, scenario: Scenario) -> Got:
    bench.stand_in.set(model_id, scenario)
    raw = exchange["request_body"].encode()
    return await bench.request(
        "POST", f"/hf-inference/models/{path}", data=raw, headers={"Content-Type": "application/json"}
    )


@pytest.mark.parametrize(("exchange", "path", "model_id", "kind", "task"), comparable())
async def test_the_answer_has_the_recorded_shape(
    bench: Bench, exchange: dict[str, Any], path: str, model_id: str, kind: Kind, task: str
) -> None:
    recorded = exchange["body"]
    style: Any = "object" if recorded.startswith('{"sequence"') else "pairs"
    got = await replay(bench, exchange, path, model_id, Scenario(kind=kind, task=task, zero_shot=style))
    assert got.status == exchange["status"]
    assert got.content_type == exchange["headers"]["content-type"].partition(";")[0]
    if got.content_type == "application/json":
        theirs, ours = json.loads(recorded), got.json
        assert shape(ours) == shape(theirs)
        if got.status != 200:
            assert ours == theirs
    elif got.content_type == "text/plain":
        assert got.text == recorded
    else:
        first = [text.partition("\n")[0].removeprefix("data:") for text in (got.text, recorded)]
        assert json.loads(first[0]).keys() == json.loads(first[1]).keys()


def with_compute_headers() -> list[Any]:
    return [
        case
        for case in comparable()
        if "x-compute-time" in case.values[0]["headers"] and case.values[0]["status"] == 200
    ]


@pytest.mark.parametrize(("exchange", "path", "model_id", "kind", "task"), with_compute_headers())
async def test_the_answer_has_the_recorded_compute_headers(
    bench: Bench, exchange: dict[str, Any], path: str, model_id: str, kind: Kind, task: str
) -> None:
    got = await replay(bench, exchange, path, model_id, Scenario(kind=kind, task=task))
    ours = {name.lower() for name in got.headers}
    recorded = exchange["headers"].keys() & COMPUTE_HEADERS
    assert recorded - ours == set()
    assert got.headers["x-compute-characters"] == exchange["headers"]["x-compute-characters"]


async def test_the_hubs_document_has_the_recorded_fields(bench: Bench) -> None:
    [recorded] = [
        json.loads(exchange["body"].partition(" /*")[0])
        for exchange in exchanges()
        if exchange["url"].endswith("/api/models/distilbert/distilbert-base-uncased-finetuned-sst-2-english")
    ]
    ours = (await bench.hub("models/org/model")).json
    assert recorded.keys() - ours.keys() == {"widgetData", "mask_token"}
    shared = recorded.keys() & ours.keys() - {"config"}
    assert {name: shape(ours[name]) for name in shared} == {name: shape(recorded[name]) for name in shared}


def test_enough_exchanges_are_compared() -> None:
    tasks = {(case.values[4], case.values[0]["status"]) for case in comparable()}
    assert tasks >= {
        ("text-classification", 200),
        ("text-classification", 404),
        ("zero-shot-classification", 200),
        ("summarization", 200),
        ("text-generation", 200),
        ("text-generation", 422),
    }
