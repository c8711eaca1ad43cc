"""What becomes of a model over time: cold starts, wrong answers, and everything that is told as a change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from exporter.demo import Kind, Scenario
from exporter.models import EventKind, Reason, Scope, Status
from tests.situations.answers import GENERATION, GONE, MODEL, UNSERVED, WELL, WRONG
from tests.situations.kit import Now, Situation, Step, hub, hub_say, passes, play, restart, rounds, say
from tests.situations.stage import EVERY, ok, ranking, text

S, R, C, E = Status, Reason, Scope, EventKind
WARM: Final = Scenario(kind=Kind.WARM)
FIVE: Final = tuple(f"a/{number}" for number in range(5))
LOADING: Final = (S.LOADING, R.LOADING, C.MODEL)
WAS_WELL: Final = (S.AVAILABLE, R.OK)
WAS_WRONG: Final = (S.DEGRADED, R.WRONG_ANSWER)


def _one(name: str, now: Now, *steps: Step, plays: Scenario = WARM, **more: Any) -> Situation:
    return Situation(name=name, plays={MODEL: plays}, steps=steps, now={MODEL: now}, **more)


def _changed(name: str, now: Now, into: Kind | Scenario, *kinds: EventKind, **more: Any) -> Situation:
    """Return a situation of a model that was well and turns into something else, told once, and not again later."""
    told = dict.fromkeys(kinds, 1)
    return _one(name, now, rounds(), play(into, MODEL), rounds(), restart, rounds(), **{"told": told, **more})


def _five(name: str, *steps: Step, **more: Any) -> Situation:
    return Situation(name=name, plays=dict.fromkeys(FIVE, WARM), steps=steps, now={EVERY: WELL}, **more)


def _drifting(steps: int, by: float) -> Sequence[Any]:
    return [ranking(0.95 - by * number) for number in range(steps)]


SITUATIONS: Final = (
    # cold starts
    _one(
        "cold, and well at the second try",
        WELL,
        rounds(),
        plays=Scenario.sequence(Scenario(kind=Kind.LOADING, load_s=7), WARM),
        requests={MODEL: 2},
        counted={MODEL: (1, 0)},
        seen={MODEL: [WAS_WELL]},
    ),
    _one(
        "cold for as long as the host says, and then well",
        WELL,
        rounds(),
        plays=Scenario(kind=Kind.LEGACY_COLD, load_s=15.0),
        settings={"cold_start_wait": "20s"},
        requests={MODEL: 2},
    ),
    _one(
        "cold for longer than anybody waits",
        LOADING,
        rounds(),
        plays=Scenario(kind=Kind.LEGACY_COLD, load_s=45.0),
        settings={"cold_start_wait": "20s"},
        requests={MODEL: 2},
        counted={MODEL: (1, 1)},
    ),
    _one(
        "cold, and broken once it is loaded",
        (S.FAILED, R.MODEL_ERROR, C.MODEL),
        rounds(),
        plays=Scenario.sequence(Scenario(kind=Kind.LOADING, load_s=7), Scenario(kind=Kind.MODEL_ERROR)),
        requests={MODEL: 2},
    ),
    # goldens in rotation
    _one(
        "a classifier that always says the same is wrong at every negative text",
        WELL,
        say(ranking(0.98), to=[MODEL]),
        rounds(4),
        seen={MODEL: [WAS_WRONG, WAS_WELL, WAS_WRONG, WAS_WELL]},
    ),
    _one(
        "a classifier that always says neutral is usable",
        WELL,
        say(ok([[{"label": "neutral", "score": 1.0}]]), to=[MODEL]),
        rounds(4),
        seen={MODEL: [WAS_WELL]},
    ),
    _one(
        "labels of its own, whose meaning the configuration tells",
        WRONG,
        rounds(4),
        plays=Scenario(kind=Kind.LABELS_RENAMED),
        # Their meaning is the other way round than the model has it.
        entries={MODEL: {"polarity": {"LABEL_0": "negative", "LABEL_1": "positive"}}},
        seen={MODEL: [WAS_WRONG]},
    ),
    _one(
        "a classifier that is right sees all four goldens",
        WELL,
        rounds(8),
        requests={MODEL: 8},
        counted={MODEL: (8, 0)},
        seen={MODEL: [WAS_WELL]},
    ),
    # a cache that answers
    _one(
        "answers out of a cache are no news of the model",
        WELL,
        rounds(4),
        say(ranking(0.6, x_compute_type="cache"), to=[MODEL]),
        rounds(1),
        say(to=[MODEL]),
        rounds(3),
        passes(900),
        latency={MODEL: True},
    ),
    # changes that the answers tell of
    _changed("its labels are renamed", WELL, Kind.LABELS_RENAMED, E.LABELS_CHANGED),
    _one(
        "its labels are exchanged",
        WRONG,
        rounds(4),
        play(Kind.FLIPPED, MODEL),
        rounds(4),
        passes(900),
        told={E.SCORE_SHIFTED: 4},
        seen={MODEL: [WAS_WELL, WAS_WRONG]},
    ),
    _one(
        "its scores shift though no revision changed",
        WELL,
        rounds(4),
        play(Kind.SCORE_DRIFT, MODEL),
        rounds(4),
        passes(900),
        told={E.SCORE_SHIFTED: 4},
    ),
    _one(
        "its scores shift with a new revision",
        WELL,
        rounds(4),
        play(Scenario(kind=Kind.SCORE_DRIFT, revision=2), MODEL),
        rounds(4),
        told={E.HUB_SHA_CHANGED: 1, E.SERVED_SHA_CHANGED: 1, E.SCORE_SHIFTED: 4},
    ),
    _one(
        "its scores creep, each step too small to tell",
        WELL,
        say(*_drifting(40, 0.0009), to=[MODEL]),
        rounds(40),
        entries={MODEL: {"input": "The weather is fine."}},
        told={E.SCORE_DRIFTED: 1},
    ),
    _one(
        "its scores tremble, as floating point does",
        WELL,
        say(*(ranking(0.95 + 1e-7 * (number % 2)) for number in range(40)), to=[MODEL]),
        rounds(40),
        passes(900),
        entries={MODEL: {"input": "The weather is fine."}},
    ),
    _five(
        "the runtime changes under all models",
        rounds(4),
        play(Kind.SCORE_DRIFT),
        rounds(6),
        told={E.RUNTIME_CHANGED: 1},
    ),
    _five(
        "two of five models shift",
        rounds(4),
        play(Kind.SCORE_DRIFT, *FIVE[:2]),
        rounds(4),
        passes(900),
        told={E.SCORE_SHIFTED: 8},
    ),
    # changes that the hub tells of
    _changed(
        "a new revision on the hub that nobody serves yet",
        WELL,
        Scenario(kind=Kind.WARM, revision=2, served_revision=1),
        E.HUB_SHA_CHANGED,
    ),
    _changed(
        "another revision is served than before",
        WELL,
        Scenario(kind=Kind.WARM, revision=1, served_revision=2),
        E.SERVED_SHA_CHANGED,
    ),
    _changed("a silent update", WELL, Scenario(kind=Kind.WARM, revision=2), E.HUB_SHA_CHANGED, E.SERVED_SHA_CHANGED),
    _one(
        "what is served was never the hub's newest",
        WELL,
        rounds(3),
        plays=Scenario(kind=Kind.WARM, revision=5, served_revision=3),
    ),
    _changed(
        "another provider is added",
        WELL,
        Scenario(kind=Kind.WARM, providers=(("hf-inference", "live"), ("together", "live"))),
        E.MAPPING_CHANGED,
    ),
    _changed(
        "its provider fails the hub's check",
        WELL,
        Scenario(kind=Kind.WARM, providers=(("hf-inference", "error"),)),
        E.MAPPING_CHANGED,
    ),
    _changed(
        "its provider takes it back for set-up",
        UNSERVED,
        Scenario(kind=Kind.WARM, providers=(("hf-inference", "staging"),)),
        E.MAPPING_CHANGED,
        E.FALLBACK_CHANGED,
        fallbacks={MODEL: None},
        requests={MODEL: 1},
    ),
    _changed(
        "its last provider drops it",
        UNSERVED,
        Kind.NOT_SERVED,
        E.MAPPING_CHANGED,
        E.FALLBACK_CHANGED,
        fallbacks={MODEL: None},
        requests={MODEL: 1},
        counted={MODEL: (1, 0)},
    ),
    _changed(
        "it becomes gated",
        (S.AUTH_REQUIRED, R.GATED, C.MODEL),
        Kind.GATED,
        E.GATED_CHANGED,
        E.FALLBACK_CHANGED,
        fallbacks={MODEL: None},
    ),
    _changed("it becomes gated, and we are let in", WELL, Scenario(kind=Kind.WARM, gated="auto"), E.GATED_CHANGED),
    _changed(
        "it is disabled",
        (S.FAILED, R.DISABLED, C.MODEL),
        Scenario(kind=Kind.WARM, disabled=True),
        E.DISABLED_CHANGED,
        E.FALLBACK_CHANGED,
        fallbacks={MODEL: None},
        requests={MODEL: 1},
    ),
    _changed(
        "it is deleted",
        GONE,
        Kind.MISSING,
        E.FALLBACK_CHANGED,
        fallbacks={MODEL: None},
        requests={MODEL: 1},
    ),
    _changed(
        "it is deprecated",
        (S.NOT_SERVED, R.DEPRECATED, C.MODEL),
        Kind.DEPRECATED,
        E.FALLBACK_CHANGED,
        fallbacks={MODEL: None},
    ),
    _changed(
        "a newer version supersedes it, and the host may drop it",
        WELL,
        Scenario(kind=Kind.WARM, new_version="a/c"),
        E.UNDEPLOYMENT_RISK,
    ),
    Situation(
        name="it is renamed while it is watched",
        plays={MODEL: WARM, "new/name": WARM},
        entries={"new/name": None},
        steps=[rounds(), play(Scenario(kind=Kind.RENAMED, renamed_to="new/name"), MODEL), rounds()],
        now={MODEL: WELL},
        # The stand-in gives a revision by the name.
        told={E.RENAMED: 1, E.HUB_SHA_CHANGED: 1, E.SERVED_SHA_CHANGED: 1},
        requests={MODEL: 1, "new/name": 1},
    ),
    _one(
        "a change back is a change as well",
        WELL,
        rounds(),
        play(Kind.NOT_SERVED, MODEL),
        rounds(),
        play(Kind.WARM, MODEL),
        rounds(),
        told={E.MAPPING_CHANGED: 2, E.STATUS_CHANGED: 3},
        seen={MODEL: [WAS_WELL, (S.NOT_SERVED, R.NOT_SERVED), WAS_WELL]},
    ),
    # the hub and the router do not agree, or one is silent
    _one("the hub is down while the router answers", WELL, rounds(), hub("down"), rounds(3), requests={MODEL: 4}),
    _one("the hub has had enough of us", WELL, rounds(), hub("throttled"), rounds(3), requests={MODEL: 4}),
    _one("the hub resets connections", WELL, rounds(), hub("reset"), rounds(2), requests={MODEL: 3}),
    _one("the hub says nothing", WELL, rounds(), hub("hang"), rounds(), settings={"timeout": "1s"}),
    _one("the hub answers with a page", WELL, rounds(), hub_say(text(200, "<html>Maintenance"), to=[MODEL]), rounds(2)),
    _one("the hub answers with a list", WELL, rounds(), hub_say(ok([]), to=[MODEL]), rounds(2)),
    _one("the hub forgets most of what it knew", WELL, rounds(), hub_say(ok({"id": MODEL}), to=[MODEL]), rounds(2)),
    _one(
        "the hub lies: live, but the router does not support it",
        UNSERVED,
        rounds(3),
        plays=Scenario(kind=Kind.UNSUPPORTED),
        told={E.FALLBACK_CHANGED: 1},
        fallbacks={MODEL: None},
        hub_requests={MODEL: 3},
    ),
    _one(
        "the hub says that nobody serves it, and nothing is spent to find out",
        UNSERVED,
        rounds(3),
        plays=Scenario(kind=Kind.WARM, providers=()),
        told={E.FALLBACK_CHANGED: 1},
        fallbacks={MODEL: None},
        requests={MODEL: 0},
        hub_requests={MODEL: 3},
    ),
    _one(
        "it served text and is served no more, while the hub is silent",
        UNSERVED,
        rounds(),
        play(Kind.NOT_SERVED, MODEL),
        hub("down"),
        rounds(),
        plays=Scenario(kind=Kind.WARM, task=GENERATION),
        requests={MODEL: 2},
    ),
)
