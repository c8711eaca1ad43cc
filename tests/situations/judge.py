"""The judge: plays a situation through the whole daemon and compares what it says with what must be true."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from exporter.models import EventKind, Reason, Scope, Status
from tests import daemon
from tests.situations.kit import Now, Run, Situation, Step, restart
from tests.situations.stage import EVERY, Stage, StageClock
from tests.until import until

T = TypeVar("T")


async def judge(situation: Situation, directory: Path) -> list[str]:
    """Play a situation through the whole daemon and return what is not as it must be; empty when all is right."""
    clock = StageClock()
    stage = Stage(clock=clock, scenarios=situation.plays)
    for model_id, answers in situation.says.items():
        stage.say("inference", [model_id], answers)
    for model_id, answers in situation.hub_says.items():
        stage.say("hub", [model_id], answers)
    *former, last = _lives(situation.steps)
    for steps in former:
        async with _running(situation, directory, stage) as run:
            for step in steps:
                await step(run)
        stage = stage.again()
    async with _running(situation, directory, stage) as run:
        for step in last:
            await step(run)
        return await _problems(run)


@asynccontextmanager
async def _running(situation: Situation, directory: Path, stage: Stage) -> AsyncIterator[Run]:
    opened = daemon.running(
        directory,
        situation.plays,
        situation.listed(),
        token=situation.token,
        clock=stage.stage_clock,
        stand_in=stage,
        **situation.settings,
    )
    async with opened as running:
        await stage.stage_clock.until_sleeping()
        standing = running.service.config.providers["huggingface"].hub_url
        yield Run(situation=situation, daemon=running, stage=stage, standing=standing)


def _lives(steps: Sequence[Step]) -> list[list[Step]]:
    """Return the steps of each run of the daemon, cut at the restarts."""
    lives: list[list[Step]] = [[]]
    for step in steps:
        if step is restart:
            lives.append([])
        else:
            lives[-1].append(step)
    return lives


async def _problems(run: Run) -> list[str]:
    """Ask the API and the metrics over the socket, and compare."""
    situation, service = run.situation, run.daemon.service
    await until(lambda: not service.store.queue_rows)
    rows = {row["model_id"]: row for row in await run.daemon.json("/models")}
    samples = [
        sample
        for family in text_string_to_metric_families(await run.daemon.text("/metrics"))
        for sample in family.samples
    ]
    models = situation.models
    now = _of_each(situation.now, models)
    want: dict[str, Any] = {}
    got: dict[str, Any] = {}

    def compare(what: str, wanted: Any, found: Any) -> None:
        want[what], got[what] = wanted, found

    compare("models", set(models), set(rows))
    for model_id, row in rows.items():
        compare(f"{model_id} in the API", now.get(model_id), (row["status"], row["reason"], row["scope"]))
        status = {s.labels["status"]: s.value for s in samples if _is(s, "ai_model_status", model_id)}
        compare(f"{model_id} in the metrics", {str(each): float(each is now[model_id][0]) for each in Status}, status)
        success = [s.value for s in samples if _is(s, "ai_model_probe_success", model_id)]
        compare(f"{model_id}'s ai_model_probe_success", _success(now[model_id]), success)
    open_ones = (await run.daemon.json("/incidents"))["incidents"]
    compare("incidents in the API", list(situation.incidents), [(each["scope"], each["reason"]) for each in open_ones])
    compare(
        "incidents in the metrics",
        list(situation.incidents),
        [(s.labels["scope"], s.labels["reason"]) for s in samples if s.name == "ai_model_incident"],
    )
    chosen = {model_id: situation.fallbacks.get(model_id, model_id) for model_id in models}
    resolved = {model_id: await run.resolve(model_id) for model_id in models}
    in_use = {s.labels["model"]: s.labels["fallback"] for s in samples if s.name == "ai_model_fallback_info"}
    for model_id, choice in chosen.items():
        found, shown = resolved[model_id]["model_id"], in_use.get(model_id)
        compare(f"{model_id}'s choice in the API", choice, found)
        compare(f"{model_id}'s fallback in the metrics", choice if choice != model_id else None, shown)
        status, reason, _ = now[found or model_id]
        # Where the budget forbids to ask, what was known before holds for the choice.
        if reason is not Reason.BUDGET:
            says = resolved[model_id]["status"], resolved[model_id]["reason"]
            compare(f"how the choice for {model_id} reads", (status, reason), says)
    events = await asyncio.to_thread(service.store.get_events, limit=10_000)
    told = Counter(EventKind(event["kind"]) for event in events)
    if EventKind.STATUS_CHANGED not in situation.told:
        del told[EventKind.STATUS_CHANGED]
    compare("what was told", dict(situation.told), dict(told))
    for model_id, statuses in situation.seen.items():
        history = (await run.daemon.json(f"/models/{model_id}/history?limit=1000"))["history"]
        passed = [(row["status"], row["reason"]) for row in reversed(history)]
        compare(f"what {model_id} went through", list(statuses), [each for each, _ in groupby(passed)])
    for model_id, count in _of_each(situation.requests, situation.plays).items():
        compare(f"requests for {model_id}", count, run.stage.requests["inference", model_id])
    for model_id, count in _of_each(situation.hub_requests, situation.plays).items():
        compare(f"requests to the hub for {model_id}", count, run.stage.requests["hub", model_id])
    for model_id, counted in _of_each(situation.counted, models).items():
        row = rows[model_id]
        compare(f"checks of {model_id}", counted, (row["total_checks"], row["failed_checks"]))
    for model_id, latency in situation.latency.items():
        compare(f"{model_id} has a latency", latency, rows[model_id]["avg_response_time_ms"] is not None)
    if not situation.astray:
        used = [s.value for s in samples if s.name == "ai_model_budget_requests_used"]
        compare("requests in the budget", [run.stage.inferences], used)
    return [f"{what}: expected {want[what]}, got {got[what]}" for what in want if want[what] != got[what]]


def _success(now: Now) -> list[float]:
    """Return what ai_model_probe_success must say: nothing where nothing can be said of the model."""
    status, _, scope = now
    if scope is not Scope.MODEL or status in (Status.UNKNOWN, Status.NOT_SERVED):
        return []
    return [float(status in (Status.AVAILABLE, Status.DEGRADED))]


def _is(sample: Sample, name: str, model_id: str) -> bool:
    return sample.name == name and sample.labels["model"] == model_id


def _of_each(given: Mapping[str, T], models: Iterable[str]) -> dict[str, T]:
    """Return what is given of each model, by name or with the others."""
    every = dict.fromkeys(models, given[EVERY]) if EVERY in given else {}
    return {**every, **{model_id: value for model_id, value in given.items() if model_id != EVERY}}
