"""Who is asked less: models that are gone, and all of them when the month's budget is short."""

from __future__ import annotations

from typing import Any, Final

from exporter.demo import Kind, Scenario
from exporter.demo.errors import refusal
from exporter.models import EventKind, Reason, Scope, Status
from tests.situations.answers import GONE, MODEL, UNSERVED, WELL
from tests.situations.kit import Now, Situation, Step, credits_left, hub, play, restart, rounds, say, scan
from tests.situations.stage import EVERY, ok, ranking

S, R, C, E = Status, Reason, Scope, EventKind
WARM: Final = Scenario(kind=Kind.WARM)
FIVE: Final = tuple(f"a/{number}" for number in range(5))
SPENT: Final = (S.UNKNOWN, R.BUDGET, C.ACCOUNT)
NOBODY: Final[dict[str, Any]] = {"fallbacks": {MODEL: None}, "told": {E.FALLBACK_CHANGED: 1}}


def _gone(name: str, now: Now, plays: Scenario, **more: Any) -> Situation:
    """Return a situation of a model that is gone for two hours: asked at 0, 5, 15, 35 and 75 minutes only."""
    return Situation(
        name=name,
        plays={MODEL: plays},
        now={MODEL: now},
        **{"steps": [rounds(24)], "requests": {MODEL: 5}, "hub_requests": {MODEL: 24}, **NOBODY, **more},
    )


def _one(name: str, now: Now, *steps: Step, plays: Scenario = WARM, **more: Any) -> Situation:
    return Situation(name=name, plays={MODEL: plays}, steps=steps, now={MODEL: now}, **more)


def _budget(**limits: float) -> dict[str, Any]:
    return {"budget": limits}


SITUATIONS: Final = (
    _gone(
        "a model that the router does not support is asked ever more rarely", UNSERVED, Scenario(kind=Kind.UNSUPPORTED)
    ),
    _gone(
        "a deprecated model is asked ever more rarely",
        (S.NOT_SERVED, R.DEPRECATED, C.MODEL),
        Scenario(kind=Kind.DEPRECATED),
    ),
    _gone(
        "a gated model is asked ever more rarely",
        (S.AUTH_REQUIRED, R.GATED, C.MODEL),
        Scenario(kind=Kind.GATED),
    ),
    _gone(
        "a model that only the hub knows is asked ever more rarely",
        GONE,
        WARM,
        says={MODEL: [refusal(404, "Model {model} does not exist")]},
    ),
    _one(
        "a gone model is asked at once when the hub tells of a change",
        WELL,
        rounds(6),
        play(Scenario(kind=Kind.WARM, revision=2), MODEL),
        rounds(),
        plays=Scenario(kind=Kind.DEPRECATED),
        requests={MODEL: 4},
        told={E.FALLBACK_CHANGED: 2, E.HUB_SHA_CHANGED: 1},
    ),
    _one(
        "a gone model comes back unannounced, and is found at its next turn",
        WELL,
        rounds(6),
        play(Kind.WARM, MODEL),
        rounds(2),
        plays=Scenario(kind=Kind.DEPRECATED),
        requests={MODEL: 4},
        told={E.FALLBACK_CHANGED: 2},
    ),
    _one(
        "a person's scan asks a gone model too",
        WELL,
        rounds(5),
        play(Kind.WARM, MODEL),
        scan,
        plays=Scenario(kind=Kind.DEPRECATED),
        requests={MODEL: 4},
        told={E.FALLBACK_CHANGED: 2},
    ),
    _one(
        "a gone model is left alone while the hub is silent",
        (S.NOT_SERVED, R.DEPRECATED, C.MODEL),
        rounds(4),
        hub("down"),
        rounds(3),
        plays=Scenario(kind=Kind.DEPRECATED),
        requests={MODEL: 3},
        **NOBODY,
    ),
    # budgets
    _one(
        "the month's requests are spent, even for a person",
        SPENT,
        *[scan] * 5,
        settings=_budget(requests_per_month=3),
        requests={MODEL: 3},
        hub_requests={MODEL: 5},
        counted={MODEL: (3, 0)},
        seen={MODEL: [(S.AVAILABLE, R.OK), (S.UNKNOWN, R.BUDGET)]},
    ),
    _one(
        "what is spent stays spent after a restart",
        SPENT,
        *[scan] * 3,
        restart,
        scan,
        settings=_budget(requests_per_month=3),
        requests={MODEL: 3},
    ),
    _one(
        "the month's seconds of compute are spent",
        SPENT,
        *[scan] * 4,
        says={MODEL: [ranking(0.6, x_compute_time="40")]},
        settings=_budget(compute_seconds_per_month=100),
        requests={MODEL: 2},
    ),
    _one(
        "a second try that the budget does not allow is not made",
        (S.LOADING, R.LOADING, C.MODEL),
        scan,
        plays=Scenario(kind=Kind.LOADING),
        settings=_budget(requests_per_month=1),
        requests={MODEL: 1},
    ),
    _one(
        "a model that nobody serves costs nothing of the budget",
        UNSERVED,
        *[scan] * 4,
        plays=Scenario(kind=Kind.NOT_SERVED),
        settings=_budget(requests_per_month=1),
        requests={MODEL: 0},
        **NOBODY,
    ),
    _one(
        "a spent budget does not hide what the hub says",
        (S.FAILED, R.DISABLED, C.MODEL),
        scan,
        scan,
        play(Scenario(kind=Kind.WARM, disabled=True), MODEL),
        scan,
        settings=_budget(requests_per_month=1),
        told={E.DISABLED_CHANGED: 1},
    ),
    _one(
        "a pace that stretches the month leaves the last answer standing",
        WELL,
        rounds(24),
        # A month of 744 hours at one request each two hours; the hub is read every interval.
        settings=_budget(requests_per_month=372),
        hub_requests={MODEL: 24},
        requests={MODEL: 1},
        counted={MODEL: (1, 0)},
    ),
    _one(
        "without a budget nothing is held back",
        WELL,
        rounds(24),
        requests={MODEL: 24},
    ),
    Situation(
        name="the budget ends for all alike, and is no incident",
        plays=dict.fromkeys(FIVE, WARM),
        steps=[scan, scan, scan],
        settings=_budget(requests_per_month=10),
        now={EVERY: SPENT},
        requests={EVERY: 2},
        counted={EVERY: (2, 0)},
    ),
    _one(
        "the account is refused before the budget is spent",
        (S.UNKNOWN, R.QUOTA, C.ACCOUNT),
        credits_left(1),
        scan,
        scan,
        settings=_budget(requests_per_month=100),
        incidents=((C.ACCOUNT, R.QUOTA),),
        told={E.INCIDENT_OPENED: 1},
        requests={MODEL: 2},
    ),
    _one(
        "an answer that computed for no time costs a request all the same",
        SPENT,
        say(ok([[{"label": "neutral", "score": 1.0}]], x_compute_time="nan"), to=[MODEL]),
        scan,
        scan,
        settings=_budget(requests_per_month=1, compute_seconds_per_month=1),
        requests={MODEL: 1},
    ),
)
