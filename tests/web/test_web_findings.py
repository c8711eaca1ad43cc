"""What follows from the probes, as the API tells it: what to use now, what changed, the one cause, the cost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from exporter.config import ProviderConfig
from exporter.fallback import Candidate
from exporter.models import Model, Reason, Scope, Status

API = "/api/ai-models"
NOW = datetime(2025, 12, 8, 3, 13, 29, tzinfo=UTC)
FINBERT, CRYPTOBERT = "ProsusAI/finbert", "ElKulako/cryptobert"


def results(backend: Any, model_id: str, status: Status, reason: Reason, *, times: int = 2) -> None:
    """Tell the fallback of so many results in a row: two are enough to leave a model."""
    for _ in range(times):
        backend.fallback.update(Candidate(model_id=model_id, status=status, reason=reason), NOW)


def refused(backend: Any, observation: Any) -> None:
    """Let the account be refused: that is an incident at once."""
    one = observation(FINBERT, Status.UNKNOWN, Reason.AUTH, scope=Scope.ACCOUNT, counts=False)
    assert len(backend.incidents.observe(one, NOW)) == 1


# --- resolve -------------------------------------------------------------------------------------------------------


async def test_a_model_that_works_is_the_one_to_use(ask: Any, backend: Any) -> None:
    results(backend, FINBERT, Status.AVAILABLE, Reason.OK)
    answer = await ask(f"{API}/resolve?model=ProsusAI/finbert")
    assert answer.status == 200
    found = answer.json()
    assert found.pop("chain")[0] == FINBERT
    assert found == {
        "model_id": FINBERT,
        "provider": "huggingface",
        "status": "available",
        "reason": "ok",
        "wanted": FINBERT,
        "why": f"{FINBERT} is available",
    }


async def test_another_stands_in_for_a_model_that_is_down(own: Any, backend: Any) -> None:
    results(backend, FINBERT, Status.FAILED, Reason.MODEL_ERROR)
    results(backend, CRYPTOBERT, Status.AVAILABLE, Reason.OK)
    found = (await own(f"{API}/resolve?model={FINBERT}&task=sentiment-analysis")).json()
    assert (found["model_id"], found["wanted"], found["status"]) == (CRYPTOBERT, FINBERT, "available")
    assert found["why"] == f"{CRYPTOBERT} stands in for {FINBERT}, which is failed (model_error)"
    assert {FINBERT, CRYPTOBERT} <= set(found["chain"])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("task=sentiment-analysis", CRYPTOBERT),
        ("category=crypto", CRYPTOBERT),
        ("task=sentiment-analysis&category=crypto", CRYPTOBERT),
        ("task=sentiment-analysis&category=&model=", CRYPTOBERT),
        ("task=&category=&model=ElKulako%2Fcryptobert", CRYPTOBERT),
        ("category=crypto&model=ElKulako/cryptobert", CRYPTOBERT),
    ],
    ids=["a task", "a category", "both", "empty means nothing", "empty beside a model", "a model of its category"],
)
async def test_the_best_of_a_task_or_category_is_named(own: Any, backend: Any, query: str, expected: str) -> None:
    results(backend, CRYPTOBERT, Status.AVAILABLE, Reason.OK)
    answer = await own(f"{API}/resolve?{query}")
    assert (answer.status, answer.json()["model_id"]) == (200, expected)


async def test_when_none_works_the_answer_is_503_with_the_chain(ask: Any, backend: Any) -> None:
    results(backend, "gpt2", Status.NOT_SERVED, Reason.NOT_SERVED)
    answer = await ask(f"{API}/resolve?model=gpt2")
    why = "gpt2 is not_served (not_served), and nothing else in its chain is known to work"
    assert answer.status == 503
    assert answer.json() == {
        "model_id": None,
        "provider": "huggingface",
        "status": "not_served",
        "reason": "not_served",
        "wanted": "gpt2",
        "why": why,
        "chain": ["gpt2"],
        "error": {"code": "none_works", "message": why},
    }


async def test_a_task_of_which_no_model_is_configured_has_an_empty_chain(own: Any) -> None:
    answer = await own(f"{API}/resolve?task=translation")
    assert (answer.status, answer.code) == (503, "none_works")
    assert (answer.json()["chain"], answer.json()["provider"]) == ([], None)
    assert answer.json()["why"] == "no model is configured for task translation"


@pytest.mark.parametrize(
    ("query", "http_status", "code"),
    [
        ("", 400, "bad_parameter"),
        ("?model=&task=", 400, "bad_parameter"),
        ("?model=gpt2&task=summarization", 400, "bad_parameter"),
        ("?model=gpt2&category=news", 400, "bad_parameter"),
        ("?model=nobody", 404, "unknown_model"),
        ("?model=off/model", 404, "unknown_model"),
        ("?model=nobody&task=nothing", 404, "unknown_model"),
    ],
    ids=["nothing", "all empty", "another task", "another category", "unknown", "disabled", "unknown and more"],
)
async def test_a_question_that_makes_no_sense_is_refused(own: Any, query: str, http_status: int, code: str) -> None:
    answer = await own(f"{API}/resolve{query}")
    assert (answer.status, answer.code) == (http_status, code)


async def test_the_fallback_in_use_is_shown_with_the_model(own: Any, backend: Any) -> None:
    results(backend, CRYPTOBERT, Status.AVAILABLE, Reason.OK)
    results(backend, FINBERT, Status.FAILED, Reason.MODEL_ERROR)
    rows = {row["model_id"]: row["fallback"] for row in (await own(f"{API}/models")).json()}
    assert {model_id: fallback for model_id, fallback in rows.items() if fallback} == {FINBERT: CRYPTOBERT}
    assert (await own(f"{API}/models/{FINBERT}/stats")).json()["model_info"]["fallback"] == CRYPTOBERT


# --- events --------------------------------------------------------------------------------------------------------


async def test_the_events_of_a_model_are_told_newest_first(ask: Any) -> None:
    answer = (await ask(f"{API}/models/{FINBERT}/events")).json()
    assert answer["model_id"] == FINBERT
    assert [event["id"] for event in answer["events"]] == [5, 3]
    assert answer["events"][0] == {
        "id": 5,
        "at": "2025-12-08T01:38:29.000Z",
        "kind": "labels_changed",
        "provider": "huggingface",
        "model_id": FINBERT,
        "before": ["LABEL_0"],
        "after": ["positive"],
        "message": "",
    }


async def test_the_events_of_a_model_are_paged_and_chosen(own: Any, backend: Any) -> None:
    query = f"limit=7&before=9&since={quote('2025-12-08T05:13:29+02:00')}&kinds=renamed,labels_changed"
    answer = (await own(f"{API}/models/{FINBERT}/events?{query}")).json()
    assert [event["id"] for event in answer["events"]] == [5]
    assert backend.store.asked == [
        ("get_events", {"limit": 7, "before": 9, "since": NOW, "kinds": ["renamed", "labels_changed"]})
    ]


async def test_a_hundred_events_of_every_kind_are_told_unless_asked_otherwise(own: Any, backend: Any) -> None:
    await own(f"{API}/models/gpt2/events")
    assert backend.store.asked == [("get_events", {"limit": 100, "before": None, "since": None, "kinds": None})]


# --- incidents -----------------------------------------------------------------------------------------------------


OPEN = {
    "provider": "huggingface",
    "scope": "account",
    "reason": "auth",
    "opened_at": "2025-12-08T03:13:29.000Z",
    "next_try": "2025-12-08T03:14:29.000Z",
    "model_ids": [FINBERT],
    "message": "huggingface: auth (the account) on 1 of 5 models since 03:13 UTC",
}


async def test_incidents_that_last_are_told_with_their_next_try_and_those_that_ended(
    ask: Any, backend: Any, observation: Any
) -> None:
    refused(backend, observation)
    answer = (await ask(f"{API}/incidents")).json()
    assert answer["incidents"] == [OPEN]
    assert answer["recent"] == [
        {
            "provider": "huggingface",
            "scope": "host",
            "reason": "endpoint_gone",
            "opened_at": "2025-12-08T01:13:29.000Z",
            "closed_at": "2025-12-08T01:37:29.000Z",
            "model_ids": [FINBERT, "gpt2"],
            "message": "huggingface: endpoint_gone, over at 03:00 UTC",
        }
    ]


@pytest.mark.parametrize("path", ["/agent/status", "/dashboard"])
async def test_the_agent_and_the_dashboard_tell_what_incidents_last(
    own: Any, backend: Any, observation: Any, path: str
) -> None:
    assert (await own(f"{API}{path}")).json()["incidents"] == []
    refused(backend, observation)
    assert (await own(f"{API}{path}")).json()["incidents"] == [OPEN]


async def test_an_incident_is_shown_with_the_models_that_it_holds_for(own: Any, backend: Any, observation: Any) -> None:
    refused(backend, observation)
    rows = {row["model_id"]: row["incident"] for row in (await own(f"{API}/models")).json()}
    assert {model_id: reason for model_id, reason in rows.items() if reason} == {FINBERT: "auth"}
    assert (await own(f"{API}/models/{FINBERT}")).json()["incident"] == "auth"


# --- budget --------------------------------------------------------------------------------------------------------


def limited(backend: Any, **limits: Any) -> None:
    provider = ProviderConfig(name="huggingface", **limits)
    backend.use(replace(backend.config, providers={"huggingface": provider}))


async def test_a_budget_without_a_limit_tells_what_the_month_will_need(ask: Any, backend: Any) -> None:
    backend.gate.sends(backend.config.models[0], NOW)
    (provider,) = (await ask(f"{API}/budget")).json()["providers"]
    models = provider.pop("models")
    requests = provider["requests"]
    assert (provider["provider"], provider["month"]) == ("huggingface", "2025-12")
    assert provider["compute_seconds"] == {"limit": None, "used": 0.0}
    assert (requests["limit"], requests["used"]) == (None, 1)
    # Five models each five minutes, for 31 days.
    assert requests["projected_without_limit"] == 5 * 31 * 288
    assert 0 < requests["projected"] < requests["projected_without_limit"]
    assert [model["model_id"] for model in models] == [model.model_id for model in backend.config.active]
    assert all(model["interval_s"] == model["effective_interval_s"] == 300.0 for model in models)


async def test_a_limit_stretches_the_intervals_and_is_not_projected_to_be_passed(own: Any, backend: Any) -> None:
    limited(backend, requests_per_month=1000, compute_s_per_month=60.0)
    backend.gate.computed(backend.config.models[0], NOW, 0.0625)
    (provider,) = (await own(f"{API}/budget")).json()["providers"]
    assert provider["requests"]["limit"] == 1000
    assert 900 <= provider["requests"]["projected"] <= 1000
    assert provider["compute_seconds"] == {"limit": 60.0, "used": 0.062}
    assert all(model["effective_interval_s"] > model["interval_s"] == 300.0 for model in provider["models"])
    row = (await own(f"{API}/models/gpt2")).json()
    assert row["effective_interval_s"] == pytest.approx(provider["models"][1]["effective_interval_s"])


async def test_each_provider_has_a_budget_of_its_own(own: Any, backend: Any) -> None:
    providers = {name: ProviderConfig(name=name) for name in ("huggingface", "other")}
    model = Model(model_id="a/b", task="summarization", category="news", provider="other", interval_s=86400.0)
    backend.use(replace(backend.config, models=(*backend.config.models, model), providers=providers))
    first, second = (await own(f"{API}/budget")).json()["providers"]
    assert (first["provider"], len(first["models"])) == ("huggingface", 5)
    assert second["models"] == [{"model_id": "a/b", "interval_s": 86400.0, "effective_interval_s": 86400.0}]
    assert second["requests"]["projected_without_limit"] == 31
