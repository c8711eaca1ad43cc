"""A single model as a mapping, as the Python API takes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exporter.config import Config, ConfigError, ProviderConfig, parse_model
from exporter.models import Expectation, Model

KNOWN = Model(model_id="a/known", task="summarization", category="x", input="text")
CONFIG = Config(
    models=(KNOWN,), interval_s=60.0, timeout_s=9.0, database=Path("x"), providers={"hub": ProviderConfig(name="hub")}
)
ROW: dict[str, Any] = {"id": 1, "is_active": True, "created_at": "2025-12-08", "status": None, "success_rate": 50.0}


def test_three_keys_are_enough_and_the_rest_is_as_configured() -> None:
    assert parse_model({"model_id": "gpt2", "task": "text-generation", "category": "general"}, CONFIG) == Model(
        model_id="gpt2",
        task="text-generation",
        category="general",
        provider="hub",
        model_key="gpt2",
        interval_s=60.0,
        timeout_s=9.0,
    )


def test_every_key_of_a_file_can_be_given() -> None:
    given = {"model_id": "a", "task": "sentiment-analysis", "timeout": "1m", "requires_auth": True, "fallback": ["b"]}
    model = parse_model(given | {"expect": {"labels": ["up"]}, "input": None}, CONFIG)
    assert (model.timeout_s, model.requires_auth, model.fallback) == (60.0, True, ())
    assert model.expect == Expectation(labels=("up",))


def test_a_row_of_a_configured_model_is_that_model() -> None:
    assert parse_model(ROW | {"model_id": "a/known", "task": "summarization"}, CONFIG) is KNOWN


def test_an_item_of_a_list_with_more_columns_is_a_row_too() -> None:
    item = {"model_id": "gpt2", "task": "text-generation", "status": "failed", "reason": "timeout", "uptime": {}}
    assert parse_model(item, CONFIG).task == "text-generation"


@pytest.mark.parametrize("requires_auth", [0, 1, False, True])
def test_a_row_of_another_model_gives_what_the_store_knows(requires_auth: int) -> None:
    row = ROW | {
        "model_id": "gpt2",
        "model_key": "",
        "task": "text-generation",
        "category": "mine",
        "provider": "hub",
        "requires_auth": requires_auth,
    }
    model = parse_model(row, CONFIG)
    assert (model.model_key, model.category, model.requires_auth) == ("gpt2", "mine", bool(requires_auth))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "models[0].model_id: missing"),
        (ROW, "models[0].model_id: missing"),
        ({"model_id": "gpt2", "task": "chess"}, "models.gpt2.task: unknown task 'chess'; one of: sentiment-analysis"),
        ({"model_id": "gpt2", "task": "summarization", "timeot": 1}, "models.gpt2.timeot: unknown key; did you mean"),
        ({"model_id": "gpt2", "task": "summarization", "provider": "x"}, "models.gpt2.provider: unknown provider 'x'"),
        ({"model_id": "a b", "task": "summarization"}, "models.a b.model_id: holds a space"),
        ({"model_id": "gpt2", "task": "summarization", 5: 1}, "models.gpt2[5]: Keys should be strings"),
        ({"model_id": "gpt2", "task": "hf_abcdefghijklmnopqrstuvwxyz"}, "models.gpt2.task: unknown task '***'"),
    ],
    ids=["empty", "row without id", "task", "key", "provider", "id", "no text as key", "token"],
)
def test_what_is_wrong_is_refused_as_in_a_file(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_model(given, CONFIG)
    assert str(refused.value).startswith(message)
    assert "hf_" not in str(refused.value)
