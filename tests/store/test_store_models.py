"""The models that the store knows: those of the config, and those that a script adds."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from store_kit import FINBERT, GPT2, Open, SetClock, failed, observe, query, stored

from exporter.store import Store


@pytest.fixture
def store(open_store: Open) -> Store:
    return open_store()


def test_configured_models_are_listed_in_their_order_with_what_is_known_of_them(store: Store) -> None:
    store.sync_models([GPT2, FINBERT])
    stored(store, observe("ProsusAI/finbert", response_time_ms=120.0), failed("ProsusAI/finbert"))

    assert store.get_all_models() == [
        {
            "model_id": "gpt2",
            "model_key": "",
            "task": "text-generation",
            "category": "general",
            "provider": "huggingface",
            "requires_auth": False,
            "is_active": True,
            "created_at": "2025-12-08T03:13:29.123Z",
            "updated_at": "2025-12-08T03:13:29.123Z",
            "status": None,
            "total_checks": 0,
            "successful_checks": 0,
            "failed_checks": 0,
            "avg_response_time_ms": None,
            "last_success_at": None,
            "last_failure_at": None,
        },
        {
            "model_id": "ProsusAI/finbert",
            "model_key": "fin",
            "task": "sentiment-analysis",
            "category": "financial",
            "provider": "huggingface",
            "requires_auth": False,
            "is_active": True,
            "created_at": "2025-12-08T03:13:29.123Z",
            "updated_at": "2025-12-08T03:13:29.123Z",
            "status": "failed",
            "total_checks": 2,
            "successful_checks": 1,
            "failed_checks": 1,
            "avg_response_time_ms": 120.0,
            "last_success_at": "2025-12-08T03:13:29.123Z",
            "last_failure_at": "2025-12-08T03:13:29.123Z",
            "success_rate": 50.0,
        },
    ]


def test_a_model_that_left_the_config_stays_but_is_not_active(store: Store, path: Path) -> None:
    store.sync_models([GPT2, FINBERT])
    store.sync_models([FINBERT])

    assert [model["model_id"] for model in store.get_all_models()] == ["ProsusAI/finbert"]
    assert query(path, "SELECT model_id, is_active FROM ai_models") == [("gpt2", 0), ("ProsusAI/finbert", 1)]

    store.sync_models([GPT2, FINBERT])
    assert [model["model_id"] for model in store.get_all_models()] == ["gpt2", "ProsusAI/finbert"]


def test_a_model_that_is_not_enabled_is_not_active(store: Store) -> None:
    store.sync_models([dataclasses.replace(GPT2, enabled=False), FINBERT])

    assert [model["model_id"] for model in store.get_all_models()] == ["ProsusAI/finbert"]


def test_only_a_change_moves_the_time_of_update(store: Store, path: Path, clock: SetClock) -> None:
    store.sync_models([GPT2, FINBERT])
    clock.advance(minutes=1)
    store.sync_models([GPT2, dataclasses.replace(FINBERT, requires_auth=True)])

    assert query(path, "SELECT model_id, created_at, updated_at, requires_auth FROM ai_models") == [
        ("gpt2", "2025-12-08 03:13:29.123", "2025-12-08 03:13:29.123", 0),
        ("ProsusAI/finbert", "2025-12-08 03:13:29.123", "2025-12-08 03:14:29.123", 1),
    ]


def test_a_model_that_is_added_has_defaults(store: Store) -> None:
    store.add_model({"model_id": "gpt2", "task": "text-generation"})

    (model,) = store.get_all_models()
    assert (model["category"], model["provider"], model["model_key"]) == ("general", "huggingface", "")
    assert (model["requires_auth"], model["is_active"]) == (False, True)


def test_a_model_that_is_added_again_is_updated_and_keeps_what_is_not_said(store: Store) -> None:
    store.sync_models([FINBERT])
    store.add_model({"model_id": "ProsusAI/finbert", "task": "zero-shot-classification", "requires_auth": True})

    (model,) = store.get_all_models()
    assert (model["task"], model["requires_auth"]) == ("zero-shot-classification", True)
    assert (model["category"], model["model_key"]) == ("financial", "fin")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        pytest.param({"task": "summarization"}, "model_id: is required", id="no-id"),
        pytest.param({"model_id": "", "task": "summarization"}, "model_id: is required", id="an-empty-id"),
        pytest.param({"model_id": "gpt2"}, "task: is required", id="no-task"),
        pytest.param(
            {"model_id": "gpt2", "task": "summarization", "categroy": "news"},
            "categroy: unknown key; did you mean 'category'?",
            id="a-slip",
        ),
        pytest.param({"model_id": "gpt2", "zzz": 1}, "zzz: unknown key", id="an-unknown-key"),
        pytest.param({"model_id": 7, "task": "x"}, "model_id: must be a text, not int", id="a-number"),
        pytest.param(
            {"model_id": "gpt2", "task": "x", "is_active": "yes"},
            "is_active: must be true or false, not 'yes'",
            id="a-word-for-a-flag",
        ),
    ],
)
def test_a_model_that_cannot_be_added_is_refused_by_key(store: Store, model: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        store.add_model(model)

    assert str(caught.value) == message
    assert store.get_all_models() == []
