"""The JSON API as a client meets it, through every binding."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from exporter.models import Reason, Scope, Status
from exporter.web.routes import ROUTES

API = "/api/ai-models"
SUCCESS_RATE = 66.67


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{API}/scan"),
        ("POST", f"{API}/scan"),
        ("GET", f"{API}/models"),
        ("GET", f"{API}/models/available"),
        ("GET", f"{API}/models/{{id}}/history"),
        ("GET", f"{API}/models/{{id}}/stats"),
        ("GET", f"{API}/models/{{id}}/events"),
        ("GET", f"{API}/resolve"),
        ("GET", f"{API}/incidents"),
        ("GET", f"{API}/budget"),
        ("GET", f"{API}/stats/summary"),
        ("GET", f"{API}/dashboard"),
        ("GET", f"{API}/agent/status"),
        ("POST", f"{API}/agent/start"),
        ("POST", f"{API}/agent/stop"),
        ("GET", f"{API}/health"),
        ("GET", f"{API}/openapi.json"),
        ("GET", "/metrics"),
        ("GET", "/-/healthy"),
        ("GET", "/-/ready"),
        ("POST", "/-/reload"),
        ("GET", "/probe"),
        ("GET", "/config"),
        ("GET", "/"),
    ],
)
def test_the_table_has_every_path_that_others_build_on(method: str, path: str) -> None:
    assert [route for route in ROUTES if route.path == path and method in route.methods]


def test_what_acts_is_marked_as_acting() -> None:
    acting = {route.path.removeprefix(API) for route in ROUTES if route.acts}
    assert acting == {"/scan", "/agent/start", "/agent/stop", "/-/reload", "/probe"}


async def test_models_are_listed_in_the_order_of_the_configuration_without_ghosts(ask: Any, hostile: str) -> None:
    answer = await ask(f"{API}/models")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["x-total-count"] == "6"
    ids = [row["model_id"] for row in answer.json()]
    assert ids == ["ProsusAI/finbert", "gpt2", "ElKulako/cryptobert", hostile, "off/model", "new/model"]


async def test_a_row_tells_the_configuration_the_present_state_and_the_statistics(own: Any) -> None:
    rows = {row["model_id"]: row for row in (await own(f"{API}/models")).json()}
    assert rows["ProsusAI/finbert"] == {
        "model_id": "ProsusAI/finbert",
        "model_key": "fin",
        "task": "sentiment-analysis",
        "category": "financial",
        "provider": "huggingface",
        "requires_auth": False,
        "enabled": True,
        "status": "available",
        "reason": "ok",
        "scope": "model",
        "message": "",
        "success": True,
        "counted": True,
        "incident": None,
        "fallback": None,
        "canonical_id": "ProsusAI/finbert",
        "effective_interval_s": 300.0,
        "last_probe_at": "2025-12-08T03:13:29.000Z",
        "response_time_ms": 123.46,
        "confidence": 0.9877,
        "total_checks": 3,
        "successful_checks": 2,
        "failed_checks": 1,
        "success_rate": SUCCESS_RATE,
        "avg_response_time_ms": 123.46,
        "last_success_at": "2025-12-08T03:13:29.000Z",
        "last_failure_at": "2025-12-08T03:13:29.000Z",
    }


async def test_a_model_before_its_first_probe_is_unknown_and_has_no_rate(own: Any) -> None:
    row = {row["model_id"]: row for row in (await own(f"{API}/models")).json()}["new/model"]
    assert (row["status"], row["reason"], row["success"], row["last_probe_at"]) == ("unknown", None, None, None)
    assert (row["total_checks"], row["success_rate"], row["avg_response_time_ms"]) == (0, None, None)


async def test_a_disabled_model_shows_no_old_state(own: Any) -> None:
    row = {row["model_id"]: row for row in (await own(f"{API}/models")).json()}["off/model"]
    assert (row["enabled"], row["status"]) == (False, "unknown")
    assert (row["counted"], row["canonical_id"], row["effective_interval_s"]) == (None, None, None)


async def test_a_number_that_is_not_finite_is_null(own: Any, hostile: str) -> None:
    row = {row["model_id"]: row for row in (await own(f"{API}/models")).json()}[hostile]
    assert row["confidence"] is None


@pytest.mark.parametrize(
    ("query", "expected", "total"),
    [
        ("status=available", ["ProsusAI/finbert"], 1),
        ("status=unknown", ["off/model", "new/model"], 2),
        ("task=text-generation", ["gpt2"], 1),
        ("category=%3Cb%3Ecrypto%3C%2Fb%3E&status=failed", "hostile", 1),
        ("category=nothing", [], 0),
        ("limit=2", ["ProsusAI/finbert", "gpt2"], 6),
        ("limit=1&offset=1", ["gpt2"], 6),
        ("offset=5", ["new/model"], 6),
        ("offset=99", [], 6),
        ("task=sentiment-analysis&limit=1&offset=1", ["ElKulako/cryptobert"], 3),
        ("status=failed&status=available", ["ProsusAI/finbert"], 1),
        ("unheard_of=1&limit=1", ["ProsusAI/finbert"], 6),
    ],
)
async def test_models_are_filtered_and_paged(own: Any, hostile: str, query: str, expected: Any, total: int) -> None:
    answer = await own(f"{API}/models?{query}")
    assert [row["model_id"] for row in answer.json()] == ([hostile] if expected == "hostile" else expected)
    assert answer.headers["x-total-count"] == str(total)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/models?status=AVAILABLE", "status"),
        ("/models?status=", "status"),
        ("/models?limit=0", "limit"),
        ("/models?limit=-1", "limit"),
        ("/models?limit=1.5", "limit"),
        ("/models?limit=1_0", "limit"),
        ("/models?limit=%EF%BC%91", "limit"),
        ("/models?limit=" + "9" * 5000, "limit"),
        ("/models?offset=-1", "offset"),
        ("/models?offset=x", "offset"),
        ("/models/gpt2/history?limit=0", "limit"),
        ("/models/gpt2/history?limit=1001", "limit"),
        ("/models/gpt2/history?limit=", "limit"),
        ("/models/gpt2/history?before=0", "before"),
        ("/models/gpt2/history?before=x", "before"),
        ("/models/gpt2/history?since=yesterday", "since"),
        ("/models/gpt2/history?since=2025-12-08", "since"),
        ("/models/gpt2/history?since=2025-12-08T03:13:29", "since"),
        ("/models/gpt2/history?until=2025-13-08T03:13:29Z", "until"),
        ("/models/gpt2/history?until=0001-01-01T00:00:00%2B23:59", "until"),
        ("/models/gpt2/history?until=9999-12-31T23:59:59-23:59", "until"),
        ("/models/gpt2/events?limit=1001", "limit"),
        ("/models/gpt2/events?before=0", "before"),
        ("/models/gpt2/events?since=yesterday", "since"),
        ("/models/gpt2/events?kinds=", "kinds"),
        ("/models/gpt2/events?kinds=renamed,nothing", "kinds"),
        ("/models/gpt2/events?kinds=renamed,", "kinds"),
        ("/scan?wait=perhaps", "wait"),
    ],
)
async def test_a_bad_parameter_is_named(own: Any, path: str, name: str) -> None:
    answer = await own(f"{API}{path}")
    assert (answer.status, answer.code) == (400, "bad_parameter")
    assert answer.json()["error"]["message"].startswith(f"{name} must be ")


async def test_available_models_are_those_that_work(ask: Any) -> None:
    answer = (await ask(f"{API}/models/available")).json()
    assert answer["total"] == 1
    assert [row["model_id"] for row in answer["models"]] == ["ProsusAI/finbert"]


@pytest.mark.parametrize(
    "form",
    [
        lambda model_id: quote(model_id, safe="/"),
        lambda model_id: quote(model_id, safe=""),
        lambda model_id: quote(model_id, safe="").replace("%2F", "%2f"),
        lambda model_id: f"{quote(model_id, safe='/')}/",
    ],
    ids=["slash raw", "slash encoded", "slash encoded in lower case", "trailing slash"],
)
@pytest.mark.parametrize("name", ["ProsusAI/finbert", "gpt2", "hostile"])
async def test_a_model_is_found_under_every_form_of_its_id(ask: Any, hostile: str, name: str, form: Any) -> None:
    model_id = hostile if name == "hostile" else name
    answer = await ask(f"{API}/models/{form(model_id)}")
    assert answer.status == 200
    assert answer.json()["model_id"] == model_id


@pytest.mark.parametrize("view", ["history", "history/", "stats", "events"])
@pytest.mark.parametrize("safe", ["/", ""], ids=["slash raw", "slash encoded"])
@pytest.mark.parametrize("name", ["ProsusAI/finbert", "gpt2", "hostile"])
async def test_the_views_of_a_model_are_found_under_every_form_of_its_id(
    ask: Any, hostile: str, name: str, safe: str, view: str
) -> None:
    model_id = hostile if name == "hostile" else name
    answer = (await ask(f"{API}/models/{quote(model_id, safe=safe)}/{view}")).json()
    assert (answer.get("model_id") or answer["model_info"]["model_id"]) == model_id


@pytest.mark.parametrize(
    ("model_id", "path"),
    [
        ("a/history", "a%2Fhistory"),
        ("a/stats", "a/stats/history"),
        ("a", "a/history"),
        ("a/history", "a/history/events"),
        ("available", "available/stats"),
    ],
    ids=[
        "an id that ends like a view",
        "a view of such an id",
        "the view itself",
        "its events",
        "an id like an exact path",
    ],
)
async def test_an_id_that_looks_like_a_path_is_reached(own: Any, backend: Any, model_id: str, path: str) -> None:
    ids = ("a", "a/history", "a/stats", "available")
    model = backend.config.models[0]
    models = tuple(type(model)(model_id=i, task="t", category="c") for i in ids)
    backend.use(type(backend.config)(models=models))
    answer = (await own(f"{API}/models/{path}")).json()
    assert (answer.get("model_id") or answer["model_info"]["model_id"]) == model_id


@pytest.mark.parametrize("view", ["", "/history", "/stats", "/events"])
@pytest.mark.parametrize("model_id", ["left/ghost", "nobody", "%00", "a//b", "GPT2", ".."])
async def test_a_model_that_is_not_configured_is_not_found(own: Any, model_id: str, view: str) -> None:
    answer = await own(f"{API}/models/{model_id}{view}")
    assert (answer.status, answer.code) == (404, "unknown_model")


async def test_history_counts_all_and_shows_a_page_newest_first(ask: Any) -> None:
    answer = (await ask(f"{API}/models/ProsusAI/finbert/history?limit=2&before=19")).json()
    assert (answer["model_id"], answer["total_records"]) == ("ProsusAI/finbert", 20)
    assert [row["id"] for row in answer["history"]] == [18, 17]


async def test_history_shows_a_hundred_unless_asked_otherwise(own: Any, backend: Any) -> None:
    await own(f"{API}/models/gpt2/history")
    assert backend.store.asked[0] == (
        "get_model_history",
        {"limit": 100, "since": None, "until": None, "before": None},
    )


@pytest.mark.parametrize(
    "text",
    [
        "2025-12-08T03:13:29Z",
        "2025-12-08t03:13:29.000000000z",
        "2025-12-08T05:13:29%2B02:00",
        "2025-12-08T05:13:29+02:00",
        "2025-12-07T22:13:29-05:00",
    ],
    ids=["UTC", "lower case, nanoseconds", "offset", "a plus that is not encoded", "negative offset"],
)
async def test_history_takes_times_as_rfc_3339_has_them(own: Any, backend: Any, text: str) -> None:
    assert (await own(f"{API}/models/gpt2/history?since={text}&until={text}")).status == 200
    moment = datetime(2025, 12, 8, 3, 13, 29, tzinfo=UTC)
    for _, facts in backend.store.asked:
        assert (facts["since"], facts["until"]) == (moment, moment)


async def test_what_a_model_answered_never_spoils_the_page(own: Any, hostile: str) -> None:
    answer = await own(f"{API}/models/{quote(hostile, safe='')}/history")
    assert answer.json()["history"][0]["test_output"] == {"score": None, "text": "?"}


async def test_stats_show_the_model_its_last_checks_and_its_uptime(ask: Any) -> None:
    answer = (await ask(f"{API}/models/ProsusAI%2Ffinbert/stats")).json()
    assert answer["model_info"]["success_rate"] == SUCCESS_RATE
    assert [row["id"] for row in answer["recent_checks"]] == list(range(20, 10, -1))
    assert answer["uptime"] == {"1h": None, "24h": SUCCESS_RATE, "7d": 100.0, "30d": 0.0}
    assert answer["accuracy"] == {"correct": 2, "judged": 3, "ratio": 0.6667}


async def test_accuracy_is_that_of_a_week_and_has_no_ratio_where_nothing_was_judged(own: Any, backend: Any) -> None:
    assert (await own(f"{API}/models/gpt2/stats")).json()["accuracy"] == {"correct": 0, "judged": 0, "ratio": None}
    week_ago = datetime(2025, 12, 1, 3, 13, 29, tzinfo=UTC)
    assert ("accuracy", {"since": week_ago}) in backend.store.asked


async def test_the_summary_averages_what_was_measured(ask: Any, hostile: str) -> None:
    answer = (await ask(f"{API}/stats/summary")).json()
    assert answer == {
        "total_models": 5,
        "models_with_checks": 3,
        "overall_success_rate": 44.45,
        "by_category": {
            "financial": {
                "total": 1,
                "models_with_checks": 1,
                "avg_success_rate": SUCCESS_RATE,
                "models": ["ProsusAI/finbert"],
            },
            "general": {"total": 1, "models_with_checks": 1, "avg_success_rate": SUCCESS_RATE, "models": ["gpt2"]},
            "crypto": {
                "total": 1,
                "models_with_checks": 0,
                "avg_success_rate": 0.0,
                "models": ["ElKulako/cryptobert"],
            },
            "<b>crypto</b>": {"total": 1, "models_with_checks": 1, "avg_success_rate": 0.0, "models": [hostile]},
            "news": {"total": 1, "models_with_checks": 0, "avg_success_rate": 0.0, "models": ["new/model"]},
        },
        "by_status": {
            **{str(status): 0 for status in Status},
            "available": 1,
            "degraded": 1,
            "auth_required": 1,
            "failed": 1,
            "unknown": 1,
        },
        "timestamp": "2025-12-08T03:13:29.000Z",
    }


async def test_the_summary_of_nothing_measured_is_zero(own: Any, backend: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(backend.store, "all_stats", dict)
    answer = (await own(f"{API}/stats/summary")).json()
    assert (answer["models_with_checks"], answer["overall_success_rate"]) == (0, 0.0)


async def test_the_dashboard_shows_the_best_and_those_that_are_down(ask: Any, hostile: str) -> None:
    answer = (await ask(f"{API}/dashboard")).json()
    assert [row["model_id"] for row in answer["top_models"]] == ["gpt2", "ProsusAI/finbert"]
    assert [row["model_id"] for row in answer["failed_models"]] == ["ElKulako/cryptobert", hostile]
    assert answer["summary"]["total_models"] == answer["total_models"] == 5
    assert "timestamp" not in answer["summary"]
    assert (answer["agent_running"], answer["simulated"]) == (True, False)
    assert answer["timestamp"] == "2025-12-08T03:13:29.000Z"


async def test_a_failure_that_is_not_the_models_own_is_not_shown_as_one(
    own: Any, backend: Any, observation: Any, hostile: str
) -> None:
    cryptobert = backend.board.current["ElKulako/cryptobert"]
    backend.board.current["ElKulako/cryptobert"] = observation(
        cryptobert.model_id, Status.AUTH_REQUIRED, Reason.AUTH, scope=Scope.ACCOUNT, counts=False
    )
    answer = (await own(f"{API}/dashboard")).json()
    assert [row["model_id"] for row in answer["failed_models"]] == [hostile]


@pytest.mark.parametrize("path", ["/models", "/models/available", "/stats/summary", "/dashboard"])
async def test_the_store_is_read_once_a_request(own: Any, backend: Any, path: str) -> None:
    await own(f"{API}{path}")
    assert [operation for operation, _ in backend.store.asked] == ["all_stats"]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_scan_answers_what_it_found(ask: Any, method: str) -> None:
    answer = await ask(f"{API}/scan", method)
    assert answer.status == 200
    assert (answer.json()["total"], answer.json()["available"]) == (1, 1)
    assert answer.json()["models"][0]["test_output"] is None


@pytest.mark.parametrize("value", ["false", "FALSE", "0"])
async def test_a_scan_that_is_not_waited_for_is_accepted(own: Any, value: str) -> None:
    answer = await own(f"{API}/scan?wait={value}", "POST")
    assert (answer.status, answer.json()["status"]) == (202, "started")
    answer = await own(f"{API}/scan?wait={value}", "POST")
    assert (answer.status, answer.json()["status"]) == (202, "already_running")


async def test_the_agent_tells_its_state(ask: Any) -> None:
    assert (await ask(f"{API}/agent/status")).json() == {
        "running": True,
        "interval_minutes": 5,
        "last_scan": "2025-12-08T03:13:29.000Z",
        "next_scan": "2025-12-08T03:18:29.000Z",
        "incidents": [],
    }


async def test_the_agent_is_stopped_and_started_any_number_of_times(ask: Any, backend: Any) -> None:
    for status, path in [
        ("stopped", "stop"),
        ("not_running", "stop"),
        ("started", "start"),
        ("already_running", "start"),
        ("stopped", "stop"),
    ]:
        answer = (await ask(f"{API}/agent/{path}", "POST")).json()
        assert answer["status"] == status
        assert answer["message"]
        assert answer.get("interval_minutes") == (5 if path == "start" else None)
        assert backend.agent.running is (path == "start")


async def test_an_agent_that_never_ran_has_no_times(own: Any, backend: Any) -> None:
    backend.agent.last_scan = backend.agent.next_scan = None
    backend.use(type(backend.config)(models=(), interval_s=90.0))
    assert (await own(f"{API}/agent/status")).json() == {
        "running": True,
        "interval_minutes": 1.5,
        "last_scan": None,
        "next_scan": None,
        "incidents": [],
    }


@pytest.mark.parametrize(
    ("alive", "writes", "running", "http_status", "status", "database"),
    [
        ({}, True, True, 200, "healthy", "ok"),
        ({}, True, False, 200, "degraded", "ok"),
        ({"scheduler": False}, True, True, 503, "degraded", "ok"),
        ({"store": False}, True, True, 503, "degraded", "dead"),
        ({}, False, True, 503, "degraded", "failing"),
    ],
    ids=["all well", "stopped by a person", "scheduler dead", "store dead", "writes fail"],
)
async def test_health_tells_what_is_wrong(
    own: Any, backend: Any, alive: Any, writes: bool, running: bool, http_status: int, status: str, database: str
) -> None:
    backend.alive |= alive
    backend.store.healthy, backend.agent.running = writes, running
    backend.store.last_error = None if writes else "disk full"
    answer = await own(f"{API}/health")
    assert answer.status == http_status
    assert answer.json() == {
        "status": status,
        "database": {"status": database, "queue_rows": 3, "last_error": backend.store.last_error},
        "alive": {"store": True, "scheduler": True} | alive,
        "agent_running": running,
        "timestamp": "2025-12-08T03:13:29.000Z",
    }
