"""The end of a month through the whole daemon: requests really sent, counted by the stand-in that got them."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from exporter.demo import Kind, Scenario, StandIn
from exporter.models import Reason, Status
from tests import daemon
from tests.daemon import entry
from tests.fakes import FakeClock

LIMIT = 300
MODELS = [f"a/{number}" for number in range(7)]
LAST_DAY = datetime(2026, 3, 31, tzinfo=UTC)
EVERY = timedelta(minutes=5)


def inference(stand_in: StandIn) -> Counter[str]:
    return Counter({model: count for (kind, model), count in stand_in.requests.items() if kind == "inference"})


async def test_the_last_day_of_a_month_is_stretched_to_what_is_left_and_never_over(tmp_path: Path) -> None:
    scenarios = {model: Scenario(kind=Kind.WARM) for model in MODELS} | {"a/none": Scenario(kind=Kind.NOT_SERVED)}
    # One model is always cold: each of its probes costs two requests.
    scenarios[MODELS[0]] = Scenario(kind=Kind.LOADING)
    budget = {"requests_per_month": LIMIT}
    clock = FakeClock(start=LAST_DAY)
    asked: dict[str, list[datetime]] = {model: [] for model in [*MODELS, "a/none"]}
    stand_in = StandIn(clock=clock, time_factor=0, scenarios=scenarios)
    listed = [entry(model) for model in scenarios]
    async with daemon.running(
        tmp_path, scenarios, listed, clock=clock, stand_in=stand_in, budget=budget, cold_start_wait="1ms"
    ) as running:
        cold_pause = running.service._slots

        async def at_once(seconds: float) -> None:
            """The wait for the cold model: the time of this test moves by whole slots only."""

        cold_pause.pause = at_once  # type: ignore[method-assign]
        while clock.now() < LAST_DAY + timedelta(days=1):
            for model in [*MODELS, "a/none"]:
                before = inference(stand_in)[model]
                await running.service.monitor.run_scheduled(model)
                if inference(stand_in)[model] > before:
                    asked[model].append(clock.now())
            clock.advance(EVERY.total_seconds())
        sent = sum(inference(stand_in).values())
        hub = stand_in.requests["hub", "a/none"]
        metrics = await running.text("/metrics")
        assert (await running.service.monitor.check(MODELS[1])).status is Status.AVAILABLE, "a new month"
        clock.advance(-EVERY.total_seconds())
        again = [await running.service.monitor.check(MODELS[1]) for _ in range(LIMIT - sent + 1)]

    assert LIMIT * 0.9 <= sent <= LIMIT
    assert (again[-1].status, again[-1].reason) == (Status.UNKNOWN, Reason.BUDGET), "never over, even for a person"
    assert hub == 288, "the free look-up runs every interval"
    assert inference(stand_in)["a/none"] == 0
    for moments in (asked[model] for model in MODELS):
        gaps = [(later - sooner) / EVERY for sooner, later in itertools.pairwise(moments)]
        assert max(gaps) <= 2 * sorted(gaps)[len(gaps) // 2]
    assert 'ai_model_budget_requests_limit{provider="huggingface"} 300.0' in metrics
    assert 'ai_model_exporter_probes_skipped_total{reason="paced"}' in metrics
