"""What may be asked: an incident, a back-off of the model's own, the month's budget, and a person's wish."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from exporter.budget import Refusal
from exporter.config import Config, ProviderConfig
from exporter.gate import RAREST_S, Gate, Skip
from exporter.incidents import Incidents
from exporter.models import Listing, Model, Reason, Reply, Scope, Status
from tests import make

MODEL = make.model("a/b")
OTHER = make.model("c/d")
MINUTE = timedelta(minutes=1)


def gate(*models: Model, **limits: Any) -> Gate:
    made = Gate(Incidents())
    made.plan(config(*models, **limits))
    return made


def config(*models: Model, **limits: Any) -> Config:
    return Config(
        models=models or (MODEL, OTHER), providers={"huggingface": ProviderConfig(name="huggingface", **limits)}
    )


def listing(**changes: Any) -> Listing:
    return Listing(reply=Reply(), canonical_id="a/b", **changes)


def gone(reason: Reason = Reason.DEPRECATED, requests: int = 1) -> Any:
    return make.observation("a/b", status=Status.NOT_SERVED, reason=reason, requests=requests)


def refuses(made: Gate, at: datetime, listed: Listing | None = None, *, forced: bool = False) -> Skip | Refusal | None:
    return made.refuses(MODEL, listed or listing(), at, forced=forced)


def test_without_a_limit_nothing_is_held_back() -> None:
    made = gate()
    for minute in range(0, 60, 5):
        assert refuses(made, make.NOW + minute * MINUTE) is None
        made.sends(MODEL, make.NOW + minute * MINUTE)
    assert made.budgets["huggingface"].spent(make.NOW).requests == 12


def test_a_model_that_the_host_calls_gone_is_asked_ever_more_rarely_down_to_hourly() -> None:
    made = gate()
    asked = []
    for minute in range(0, 8 * 60, 5):
        now = make.NOW + minute * MINUTE
        if refuses(made, now) is None:
            asked.append(minute)
            made.learn(MODEL, listing(), gone(), now)
    assert asked == [0, 5, 15, 35, 75, 135, 195, 255, 315, 375, 435]
    assert RAREST_S == 3600
    assert refuses(made, make.NOW + 436 * MINUTE) is Skip.BACKOFF
    assert refuses(made, make.NOW + 436 * MINUTE, forced=True) is None


def test_a_gone_model_is_asked_again_at_once_when_the_catalogue_says_something_new() -> None:
    made = gate()
    for _ in range(4):
        made.learn(MODEL, listing(sha="1"), gone(), make.NOW)
    assert refuses(made, make.NOW + MINUTE, listing(sha="1")) is Skip.BACKOFF
    assert refuses(made, make.NOW + MINUTE, listing(sha="2")) is None
    assert refuses(made, make.NOW + MINUTE, listing(sha="1", served_by={"hf-inference": "live"})) is None


def test_a_gone_model_that_answers_again_is_forgiven_and_the_catalogues_word_costs_nothing() -> None:
    made = gate()
    made.learn(MODEL, listing(served=False), gone(requests=0), make.NOW)
    assert refuses(made, make.NOW + MINUTE) is None
    made.learn(MODEL, listing(), gone(), make.NOW)
    made.learn(MODEL, listing(), make.observation("a/b", requests=1), make.NOW)
    assert refuses(made, make.NOW + MINUTE) is None


def test_a_model_that_left_the_configuration_is_forgotten() -> None:
    made = gate()
    for _ in range(4):
        made.learn(MODEL, listing(), gone(), make.NOW)
    made.plan(config(OTHER))
    made.plan(config(MODEL))
    assert refuses(made, make.NOW + MINUTE) is None


def test_the_budget_paces_and_at_its_end_refuses_even_a_persons_wish() -> None:
    made = gate(requests_per_month=3)
    assert refuses(made, make.NOW, forced=True) is None
    made.sends(MODEL, make.NOW)
    assert refuses(made, make.NOW + MINUTE) is Skip.PACED
    for _ in range(2):
        assert made.has_room(MODEL, make.NOW)
        made.sends(MODEL, make.NOW)
    assert not made.has_room(MODEL, make.NOW)
    assert refuses(made, make.NOW, forced=True) is Refusal.SPENT
    made.did_not_send(MODEL, make.NOW)
    assert refuses(made, make.NOW, forced=True) is None
    made.plan(config(requests_per_month=None))
    assert refuses(made, make.NOW) is None


def test_compute_seconds_are_counted_when_the_answer_tells_them() -> None:
    made = gate(compute_s_per_month=10.0)
    made.sends(MODEL, make.NOW)
    made.computed(MODEL, make.NOW, None)
    made.computed(MODEL, make.NOW, 9.5)
    assert made.budgets["huggingface"].spent(make.NOW).compute_s == 9.5
    assert refuses(made, make.NOW, forced=True) is Refusal.SPENT


def test_what_a_store_remembers_of_the_month_is_taken_up() -> None:
    made = Gate(Incidents())
    made.restore({("huggingface", "2026-03"): (29_999, 5.0), ("gone", "2026-03"): (1, 0.0)}, [(MODEL, make.NOW)])
    made.plan(config(requests_per_month=30_000))
    assert refuses(made, make.NOW, forced=True) is None
    made.sends(MODEL, make.NOW)
    assert refuses(made, make.NOW, forced=True) is Refusal.SPENT


def test_an_incident_holds_the_whole_provider_back_but_for_one_try_and_a_persons_wish() -> None:
    incidents = Incidents()
    made = Gate(incidents)
    made.plan(config())
    incidents.plan({"huggingface": {"a/b", "c/d"}})
    refused = make.observation(
        "a/b", status=Status.UNKNOWN, reason=Reason.QUOTA, scope=Scope.ACCOUNT, counts=False, requests=1
    )
    incidents.observe(refused, make.NOW)
    assert refuses(made, make.NOW + timedelta(seconds=30)) is Skip.INCIDENT
    assert refuses(made, make.NOW + timedelta(seconds=30), forced=True) is None
    assert refuses(made, make.NOW + 2 * MINUTE) is None
    assert refuses(made, make.NOW + 2 * MINUTE) is Skip.INCIDENT
