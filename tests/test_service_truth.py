"""What follows from the probes, through the whole daemon over sockets: causes, changes, substitutes and costs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from exporter.demo import Kind, Scenario, toy
from tests import daemon
from tests.until import until

WARM = Scenario(kind=Kind.WARM)
BROKEN = Scenario(kind=Kind.SERVER_ERROR)
MODELS = tuple(f"a/{number}" for number in range(5))
# What a path cannot be asked for without.
NEEDED: Final[Mapping[str, str]] = {"/api/ai-models/resolve": "?model=a/0"}


async def scan(running: daemon.Daemon) -> None:
    """Probe every model, and wait until all that follows is in the database."""
    await running.json("/scan")
    await until(lambda: running.service.store.queue_rows == 0)


async def test_a_host_that_is_gone_is_one_incident_and_no_model_is_down(tmp_path: Path) -> None:
    async with daemon.running(tmp_path, dict.fromkeys(MODELS, WARM)) as running:
        await scan(running)
        running.stand_in.host = "gone"
        await scan(running)
        (incident,) = (await running.json("/incidents"))["incidents"]
        dashboard = await running.json("/dashboard")
        rows = await running.json("/models")
        found = await running.json("/resolve?model=a/0")
        running.stand_in.host = None
        await scan(running)
        ended = await running.json("/incidents")
    assert (incident["scope"], incident["reason"], incident["model_ids"]) == ("host", "endpoint_gone", list(MODELS))
    assert incident["opened_at"] < incident["next_try"]
    assert (dashboard["failed_models"], dashboard["incidents"]) == ([], [incident])
    assert {(row["status"], row["incident"], row["counted"]) for row in rows} == {("unknown", "endpoint_gone", False)}
    assert (found["model_id"], found["status"]) == ("a/0", "unknown")
    assert ended["incidents"] == []
    (closed,) = ended["recent"]
    assert {closed[name] for name in ("provider", "scope", "reason")} == {"huggingface", "host", "endpoint_gone"}
    assert (closed["opened_at"], closed["model_ids"]) == (incident["opened_at"], list(MODELS))
    assert closed["opened_at"] < closed["closed_at"]


@pytest.mark.parametrize(
    ("token", "status", "scopes"),
    [(None, "auth_required", ["account"]), ("hf_wrongwrongwrong", "unknown", ["account"])],
    ids=["no token", "a wrong token"],
)
async def test_what_is_wrong_with_the_token_is_not_shown_as_failed_models(
    tmp_path: Path, token: str | None, status: str, scopes: list[str]
) -> None:
    async with daemon.running(tmp_path, dict.fromkeys(MODELS, WARM), token=token) as running:
        await scan(running)
        dashboard = await running.json("/dashboard")
        agent = await running.json("/agent/status")
    assert dashboard["failed_models"] == []
    assert dashboard["summary"]["by_status"][status] == len(MODELS)
    assert [incident["scope"] for incident in dashboard["incidents"]] == scopes
    assert agent["incidents"] == dashboard["incidents"]


async def test_a_model_that_is_down_is_resolved_to_another_until_none_works(tmp_path: Path) -> None:
    async with daemon.running(tmp_path, {"a/0": BROKEN, "a/1": WARM}) as running:
        for _ in range(2):
            await scan(running)
        found = await running.json("/resolve?model=a/0")
        row = await running.json("/models/a/0")
        events = (await running.json("/models/a/0/events?kinds=fallback_changed"))["events"]
        running.stand_in.set("a/1", BROKEN)
        for _ in range(2):
            await scan(running)
        none = await running.json("/resolve?task=sentiment-analysis", status=503)
        await running.json("/resolve?model=nobody", status=404)
        await running.json("/resolve", status=400)
    assert (found["model_id"], found["wanted"], found["chain"]) == ("a/1", "a/0", ["a/0", "a/1"])
    assert row["fallback"] == "a/1"
    assert [(event["before"], event["after"]) for event in events] == [("a/0", "a/1")]
    assert (none["model_id"], none["error"]["code"], set(none["chain"])) == (None, "none_works", {"a/0", "a/1"})


async def test_a_change_of_labels_is_an_event_of_the_model(tmp_path: Path) -> None:
    async with daemon.running(tmp_path, {"a/0": Scenario(kind=Kind.WARM, labels=toy.LOWER_THREE)}) as running:
        await scan(running)
        running.stand_in.set("a/0", Scenario(kind=Kind.WARM, labels=toy.BULLISH_UPPER))
        await scan(running)
        every = (await running.json("/models/a/0/events"))["events"]
        (changed,) = (await running.json("/models/a/0/events?kinds=labels_changed"))["events"]
        older = (await running.json(f"/models/a/0/events?before={every[0]['id']}"))["events"]
    assert changed["before"] == ["negative", "neutral", "positive"]
    assert changed["after"] == ["BEARISH", "BULLISH", "NEUTRAL"]
    assert changed in every
    assert older == every[1:]


async def test_answers_are_judged_and_their_cost_is_told(tmp_path: Path) -> None:
    budget = {"budget": {"requests_per_month": 1000}}
    async with daemon.running(tmp_path, {"a/0": WARM, "a/1": WARM}) as running:
        limited(running, budget)
        await running.service.reload()
        await scan(running)
        stats = await running.json("/models/a/0/stats")
        (provider,) = (await running.json("/budget"))["providers"]
    assert stats["accuracy"] == {"correct": 1, "judged": 1, "ratio": 1.0}
    assert stats["model_info"]["canonical_id"] == "a/0"
    check = stats["recent_checks"][0]
    assert (check["requests"], check["cached"], check["correct"]) == (1, False, True)
    assert check["canary"]
    assert (provider["requests"]["limit"], provider["requests"]["used"]) == (1000, 2)
    assert provider["requests"]["projected"] <= 1000 < provider["requests"]["projected_without_limit"]
    assert [model["model_id"] for model in provider["models"]] == ["a/0", "a/1"]


def limited(running: daemon.Daemon, budget: dict[str, Any]) -> None:
    known = running.service.config.providers["huggingface"]
    provider = {"base_url": known.base_url, "hub_url": known.hub_url, **budget}
    models = [daemon.entry("a/0"), daemon.entry("a/1")]
    daemon.write_config(running.config_path, known.hub_url, models, providers={"huggingface": provider})


async def test_every_answer_is_as_the_openapi_document_says_while_an_incident_lasts(tmp_path: Path) -> None:
    scenarios = {**dict.fromkeys(MODELS, WARM), "c/d": BROKEN, "e/f": Scenario(kind=Kind.NOT_SERVED)}
    asked = set()
    async with daemon.running(tmp_path, scenarios) as running:
        for host in (None, "gone", None, "gone"):
            running.stand_in.host = host
            await scan(running)
        document = await running.json("/openapi.json")
        for path, item in document["paths"].items():
            answer = item.get("get", {"responses": {}})["responses"].get("200", {})
            if "json" not in str(answer) or path.endswith("/openapi.json"):
                continue
            asked.add(path)
            shown = await running.text(path.replace("{id}", "a/0") + NEEDED.get(path, ""))
            schema = {**answer["content"]["application/json"]["schema"], "components": document["components"]}
            Draft202012Validator(schema, format_checker=FormatChecker()).validate(json.loads(shown))
    new = ("resolve", "incidents", "budget", "models/{id}/events")
    assert {f"/api/ai-models/{name}" for name in new} <= asked
